"""URLs at which annotators' browsers find clips: served here and signed, or elsewhere."""

from __future__ import annotations

import dataclasses
import hmac
import os
import secrets
import stat
import time
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Literal
from urllib.parse import SplitResult, parse_qs, quote, urlsplit

from ossl_builder import files
from ossl_builder.annotations import records
from ossl_builder.annotations.annotators import keep_out_of_git
from ossl_builder.corpus import Corpus
from ossl_builder.errors import OsslError
from ossl_builder.files import sha256_json
from ossl_builder.label_studio.state import State
from ossl_builder.net.http import refuse_password
from ossl_builder.tables import Clip

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


Kind = Literal["serve", "local-files", "base"]
KINDS: tuple[Kind, ...] = ("serve", "local-files", "base")

FILMS = "films"
DEFAULT_PORT = 8081
DEFAULT_BASE = f"http://127.0.0.1:{DEFAULT_PORT}"
VALID_FOR_S = 30 * 24 * 3600.0


@dataclass(frozen=True)
class Addresses:
    """How the clips of a corpus are addressed; from `addresses_of`.

    Attributes:
        kind: `serve` (by `ossl label serve`, signed), `local-files` (by Label Studio itself, on
            the same machine), `base` (any store of files, below one address).
        base: for `serve` and `base` the address before a clip's own part, without a slash at its
            end; for `local-files` Label Studio's document root below the corpus, in slashes.
        key: what signatures are made with; empty unless `serve`.
        expires: second since 1970 from which they are refused; 0 unless `serve`.
    """

    kind: Kind
    base: str
    key: bytes = b""
    expires: int = 0

    def address_for(self, clip: Clip) -> str:
        """The address of a clip's MP4."""
        if self.kind == "serve":
            signed = signature(self.key, clip.film_id, clip.clip_id, self.expires)
            path = clip_path(clip.film_id, clip.clip_id)
            return f"{self.base}{path}?expires={self.expires}&signature={signed}"
        if self.kind == "local-files":
            try:
                below = PurePosixPath(clip.video_path).relative_to(self.base).as_posix()
            except ValueError as error:
                raise OsslError(
                    "outside_document_root",
                    f"The clip {clip.clip_id} does not lie below Label Studio's document root, "
                    f"{self.base}.",
                    "Start Label Studio with the films folder as document root.",
                ) from error
            return f"/data/local-files/?d={quote(below)}"
        return f"{self.base}/{quote(clip.video_path)}"


def addresses_of(
    corpus: Path,
    kind: Kind = "serve",
    base: str = "",
    valid_for_s: float = VALID_FOR_S,
    now: float | None = None,
) -> Addresses:
    """Settle how the clips of a corpus are addressed.

    Args:
        corpus: its folder.
        kind: see `Addresses`.
        base: for `serve` the address that labellers reach `ossl label serve` at (empty: this
            machine); for `base` the address of the folder that holds a copy of the corpus'
            `films` folder; for `local-files` Label Studio's document root (empty: `films`).
        valid_for_s: how long signed addresses are good for, in seconds.
        now: seconds since 1970; None: now.

    Raises:
        OsslError: `address_base_invalid`, `document_root_unsafe`, `address_key_damaged`.
    """
    if kind == "local-files":
        return Addresses(kind, _document_root(corpus, Path(base) if base else corpus / FILMS))
    if kind == "serve":
        expires = int((time.time() if now is None else now) + valid_for_s)
        return Addresses(kind, checked_base(base or DEFAULT_BASE), of(corpus), expires)
    return Addresses(kind, checked_base(base))


def clip_path(film_id: str, clip_id: str) -> str:
    """The path at which `ossl label serve` has a clip."""
    return f"/clips/{quote(film_id, safe='')}/{quote(clip_id, safe='')}.mp4"


def signature(key: bytes, film_id: str, clip_id: str, expires: int) -> str:
    """HMAC-SHA256 (RFC 2104) over a clip's ids and the address' end, in hexadecimal."""
    return hmac.digest(key, sha256_json([film_id, clip_id, expires]).encode(), "sha256").hex()


def refusal(
    key: bytes, film_id: str, clip_id: str, expires: str, signed: str, now: float
) -> str | None:
    """Why an address is refused, in a sentence; None: it is good.

    Args:
        key: what it must have been signed with.
        film_id, clip_id, expires, signed: what it says.
        now: seconds since 1970.
    """
    # isdigit alone would let other scripts' digits and thousands of them through to int().
    if not (expires.isascii() and expires.isdigit() and len(expires) <= 12):
        return "This address is not signed."
    right = signature(key, film_id, clip_id, int(expires))
    if not hmac.compare_digest(right.encode(), signed.encode("utf-8", "replace")):
        return "The signature of this address is wrong."
    if now >= int(expires):
        return "This address has expired; `ossl label relink` renews it."
    return None


def expires_at(address: str) -> int | None:
    """Second since 1970 at which an address expires; None: never, or it does not say."""
    said = parse_qs(urlsplit(address).query).get("expires", [""])[0]
    return int(said) if said.isascii() and said.isdigit() and len(said) <= 12 else None


def checked_base(base: str) -> str:
    """An address that clips can stand below, without the slash at its end.

    Raises:
        OsslError: `address_base_invalid`, `address_has_password`.
    """
    refuse_password(base, is_server=True)
    parts = _parts(base)
    if parts is None or parts.scheme not in ("http", "https") or not parts.hostname or parts.query:
        raise OsslError(
            "address_base_invalid",
            f"{base!r} is no address that clips can stand below.",
            "Give one such as https://bucket.example.org/corpus.",
        )
    return base.rstrip("/")


def _parts(base: str) -> SplitResult | None:
    try:
        return urlsplit(base)
    except ValueError:
        return None


def _document_root(corpus: Path, root: Path) -> str:
    """Label Studio's document root below the corpus.

    Whoever may add a storage to a project gets every file below the root from Label Studio. Beside
    the films lie who the annotators are, and the key that addresses are signed with.
    """
    films = (corpus / FILMS).resolve()
    try:
        below = root.resolve().relative_to(films)
    except (ValueError, OSError, RuntimeError) as error:
        raise OsslError(
            "document_root_unsafe",
            f"With {root} as document root, labellers could get files beside the films of "
            f"{corpus.resolve()}, such as the annotators' names and the signing key.",
            f"Start Label Studio with LABEL_STUDIO_LOCAL_FILES_DOCUMENT_ROOT={films}, and give "
            f"--document-root {films}.",
        ) from error
    return (PurePosixPath(FILMS) / below.as_posix()).as_posix()


SERVE, LOCAL_FILES = "serve", "local-files"


def chosen(state: State, address: str, clips_url: str, document_root: str) -> State:
    """Merge the given options into the state; an empty option leaves its value unchanged.

    Args:
        state: what is remembered.
        address: `serve`, `local-files`, or the address of a store.
        clips_url: the address at which labellers reach `ossl label serve`.
        document_root: Label Studio's document root, for local files.
    """
    if not address and (clips_url or document_root):
        # Both are said of one kind of address only.
        address = SERVE if clips_url else LOCAL_FILES
    return dataclasses.replace(
        state,
        address=address or state.address,
        clips_url=clips_url or state.clips_url,
        document_root=document_root or state.document_root,
    )


def addresses(corpus: Corpus, state: State) -> Addresses:
    """The addresses of a corpus' clips.

    Raises:
        OsslError: see `addresses_of`.
    """
    if state.address in ("", SERVE):
        return addresses_of(corpus.root, "serve", state.clips_url)
    if state.address == LOCAL_FILES:
        return addresses_of(corpus.root, "local-files", state.document_root)
    return addresses_of(corpus.root, "base", state.address)
