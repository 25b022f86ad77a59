"""The key that signs clip URLs, and the signatures."""

from __future__ import annotations

import hashlib
import hmac
import os
import secrets
import stat
from pathlib import Path

from ossl_builder import files
from ossl_builder.annotations import records
from ossl_builder.annotations.annotators import keep_out_of_git
from ossl_builder.errors import OsslError

KEY_FILE_NAME = "serve.key"
OTHER_USERS_MODE = 0o077  # permission bits of group and others
KEY_BYTES = 32  # the length of SHA-256's output (RFC 2104, section 3)
SALT = b"ossl-builder clip URL"


def key_path(corpus: Path) -> Path:
    """Return the path of a corpus' key."""
    return corpus / records.FOLDER / KEY_FILE_NAME


def load_key(corpus: Path) -> bytes:
    """Read a corpus' key; create it, with mode 0600, if there is none or it is not secret.

    Raises:
        OsslError: `address_key_damaged`.
    """
    renew_key(corpus)
    path = key_path(corpus)
    if not path.exists():
        _create_key(path)
    return _read_key(path)[0]


def renew_key(corpus: Path) -> str:
    """Replace the key if somebody else may know it.

    Returns:
        A message for the user; empty: the key is secret, or there is none.

    Raises:
        OsslError: `address_key_damaged`.
    """
    path = key_path(corpus)
    try:
        file_stat = path.lstat()
    except FileNotFoundError:
        return ""
    if stat.S_ISLNK(file_stat.st_mode) or _read_key(path)[1] != file_stat.st_ino:
        reason = "was copied to this corpus from elsewhere"
    elif stat.S_IMODE(file_stat.st_mode) & OTHER_USERS_MODE:
        reason = "could be read by other users of this machine"
    else:
        return ""
    path.unlink()
    _create_key(path)
    return (
        f"The key that signs clip URLs {reason}, so it was replaced. URLs that were signed with "
        "the old key no longer work: renew them with `ossl label relink` and restart "
        "`ossl label serve`."
    )


def _read_key(path: Path) -> tuple[bytes, int | None]:
    """Read the key and the inode of the file that it was written to; None: not recorded."""
    try:
        first, _, second = path.read_text(encoding="ascii").strip().partition("\n")
        key, inode = bytes.fromhex(first), int(second) if second else None
    except ValueError:
        key, inode = b"", None
    if len(key) != KEY_BYTES:
        raise OsslError(
            "address_key_damaged",
            f"{path} is not a key that `ossl label serve` wrote.",
            "Delete the file and renew all URLs with `ossl label relink`.",
        )
    return key, inode


def _create_key(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    keep_out_of_git(path.parent)
    temporary = path.with_name(f".{KEY_FILE_NAME}.{os.getpid()}{files.TEMPORARY}")
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w") as stream:
        inode = os.fstat(stream.fileno()).st_ino
        stream.write(f"{secrets.token_hex(KEY_BYTES)}\n{inode}\n")
        stream.flush()
        os.fsync(stream.fileno())
    try:
        # Unlike a rename, a hard link does not replace a key that another process just created.
        path.hardlink_to(temporary)
    except FileExistsError:
        pass
    finally:
        temporary.unlink()


def sign(key: bytes, film_id: str, clip_id: str, expires: int) -> str:
    """Sign the ids of a clip and the time at which its URL expires.

    Returns:
        HMAC-SHA256 with a key derived from `key`, in base64url without padding.
    """
    from itsdangerous import Signer

    signer = Signer(key, SALT, key_derivation="hmac", digest_method=hashlib.sha256)
    return signer.get_signature(files.sha256_json([film_id, clip_id, expires])).decode()


def refusal_reason(
    key: bytes, film_id: str, clip_id: str, expires: str, signature: str, now: float
) -> str | None:
    """Check a signed URL.

    Args:
        key: the corpus' key.
        film_id, clip_id, expires, signature: the parts of the URL.
        now: seconds since 1970.

    Returns:
        Why the URL is refused, in a sentence; None: it is valid.
    """
    # isdigit alone accepts digits of other scripts, and numbers of thousands of digits.
    if not (expires.isascii() and expires.isdigit() and len(expires) <= 12):
        return "This URL is not signed."
    expected = sign(key, film_id, clip_id, int(expires))
    # As texts: Signer.verify_signature also accepts other spellings of the same base64 value.
    if not hmac.compare_digest(expected.encode(), signature.encode("utf-8", "replace")):
        return "The signature of this URL is wrong."
    if now >= int(expires):
        return "This URL has expired; renew it with `ossl label relink`."
    return None
