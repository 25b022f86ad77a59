"""Addresses at which labellers' browsers find clips: served here and signed, or elsewhere."""

from __future__ import annotations

import hmac
import time
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Literal
from urllib.parse import SplitResult, parse_qs, quote, urlsplit

from ossl_builder.engine.files import sha256_json
from ossl_builder.errors import OsslError
from ossl_builder.exchange import address_key
from ossl_builder.tables import Clip
from ossl_builder.tools.address import refuse_password

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
        return Addresses(kind, checked_base(base or DEFAULT_BASE), address_key.of(corpus), expires)
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
