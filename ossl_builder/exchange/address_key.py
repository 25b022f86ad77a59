"""The key that addresses of clips are signed with: made once, kept out of git, read by nobody.

The file holds the key, and its own number in the file system (inode). A key that came with a corpus
from elsewhere is in another file than it was written to, and is known to whoever sent it.
"""

from __future__ import annotations

import os
import secrets
import stat
from pathlib import Path

from ossl_builder.engine import files
from ossl_builder.errors import OsslError
from ossl_builder.labelling import records
from ossl_builder.labelling.annotators import keep_out_of_git

NAME = "serve.key"
OTHERS = 0o077  # bits of a mode that let anybody but the owner do something
LENGTH = 32  # bytes: as long as SHA-256's output, RFC 2104, section 3


def path_of(corpus: Path) -> Path:
    """Where a corpus' key lies."""
    return corpus / records.FOLDER / NAME


def of(corpus: Path) -> bytes:
    """A corpus' key; made, with mode 0600, when it is first asked for, and by `renew`.

    Raises:
        OsslError: `address_key_damaged`.
    """
    renew(corpus)
    path = path_of(corpus)
    if not path.exists():
        _make(path)
    return _read(path)[0]


def renew(corpus: Path) -> str:
    """Make the key anew if somebody else may know it.

    Returns:
        What the user should know of that; empty: the key is as it should be, or there is none.

    Raises:
        OsslError: `address_key_damaged`.
    """
    path = path_of(corpus)
    try:
        found = path.lstat()
    except FileNotFoundError:
        return ""
    if stat.S_ISLNK(found.st_mode) or _read(path)[1] != found.st_ino:
        why = "came with this corpus from elsewhere"
    elif stat.S_IMODE(found.st_mode) & OTHERS:
        why = "could be read by other users of this machine"
    else:
        return ""
    path.unlink()
    _make(path)
    return (
        f"The key that addresses of clips are signed with {why}: a new one was made. Addresses "
        "sent before are refused: renew them with `ossl label relink`, and start "
        "`ossl label serve` anew."
    )


def _read(path: Path) -> tuple[bytes, int | None]:
    """The key, and the number of the file that it was written to; None: it does not say."""
    try:
        first, _, second = path.read_text(encoding="ascii").strip().partition("\n")
        key, number = bytes.fromhex(first), int(second) if second else None
    except ValueError:
        key, number = b"", None
    if len(key) != LENGTH:
        raise OsslError(
            "address_key_damaged",
            f"{path} is not the key that `ossl label serve` wrote.",
            "Delete it, and renew all addresses with `ossl label relink`.",
        )
    return key, number


def _make(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    keep_out_of_git(path.parent)
    temporary = path.with_name(f".{NAME}.{os.getpid()}{files.TEMPORARY}")
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w") as stream:
        number = os.fstat(stream.fileno()).st_ino
        stream.write(f"{secrets.token_hex(LENGTH)}\n{number}\n")
        stream.flush()
        os.fsync(stream.fileno())
    try:
        # A link, unlike a rename, does not replace the key that another process just made.
        path.hardlink_to(temporary)
    except FileExistsError:
        pass
    finally:
        temporary.unlink()
