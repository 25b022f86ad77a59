"""URLs of clips for annotators' browsers: create them, and check that they can be reached."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from ipaddress import ip_address
from pathlib import Path, PurePosixPath
from typing import Literal
from urllib.parse import SplitResult, parse_qs, quote, urlsplit

from ossl_builder.corpus import Corpus
from ossl_builder.engine import tables_io
from ossl_builder.errors import OsslError
from ossl_builder.label_studio import project_api, url_key
from ossl_builder.label_studio.client import Server
from ossl_builder.label_studio.project_api import Project
from ossl_builder.label_studio.state import State
from ossl_builder.net import http
from ossl_builder.net.http import refuse_password
from ossl_builder.tables import CLIPS, Clip

Kind = Literal["serve", "local-files", "base"]
SERVE: Kind = "serve"
LOCAL_FILES: Kind = "local-files"

FILMS = "films"
DEFAULT_PORT = 8081
DEFAULT_BASE = f"http://127.0.0.1:{DEFAULT_PORT}"
VALID_FOR_S = 30 * 24 * 3600.0
EXPIRES_SOON_S = 3 * 24 * 3600.0


@dataclass(frozen=True)
class ClipUrls:
    """How browsers reach the clips of a corpus; from `make_clip_urls`.

    Attributes:
        kind: `serve` (signed URLs of `ossl label serve`), `local-files` (Label Studio on the same
            machine serves the files), `base` (any file store with one base URL).
        base: for `serve` and `base` the base URL, without a slash at its end; for `local-files`
            Label Studio's document root relative to the corpus, in POSIX form.
        key: signs the URLs; empty unless `serve`.
        expires: time from which URLs are refused, in seconds since 1970; 0 unless `serve`.
    """

    kind: Kind
    base: str
    key: bytes = b""
    expires: int = 0

    def url_for(self, clip: Clip) -> str:
        """Return the URL of a clip's MP4 file.

        Raises:
            OsslError: `outside_document_root`.
        """
        if self.kind == "serve":
            signature = url_key.sign(self.key, clip.film_id, clip.clip_id, self.expires)
            path = clip_path(clip.film_id, clip.clip_id)
            return f"{self.base}{path}?expires={self.expires}&signature={signature}"
        if self.kind == "local-files":
            try:
                relative = PurePosixPath(clip.video_path).relative_to(self.base).as_posix()
            except ValueError as error:
                raise OsslError(
                    "outside_document_root",
                    f"The clip {clip.clip_id} is not inside Label Studio's document root, "
                    f"{self.base}.",
                    "Start Label Studio with the films folder as document root.",
                ) from error
            return f"/data/local-files/?d={quote(relative)}"
        return f"{self.base}/{quote(clip.video_path)}"


def make_clip_urls(
    corpus: Path,
    kind: Kind = "serve",
    base: str = "",
    valid_for_s: float = VALID_FOR_S,
    now: float | None = None,
) -> ClipUrls:
    """Return the URLs of a corpus' clips.

    Args:
        corpus: its folder.
        kind: see `ClipUrls`.
        base: for `serve` the URL at which annotators reach `ossl label serve` (empty: this
            machine); for `base` the URL of a folder that contains a copy of the corpus' `films`
            folder; for `local-files` Label Studio's document root (empty: `films`).
        valid_for_s: how long signed URLs are valid, in seconds.
        now: seconds since 1970; None: the present time.

    Raises:
        OsslError: `address_base_invalid`, `document_root_unsafe`, `address_key_damaged`.
    """
    if kind == "local-files":
        return ClipUrls(kind, _document_root(corpus, Path(base) if base else corpus / FILMS))
    if kind == "serve":
        expires = int((time.time() if now is None else now) + valid_for_s)
        key = url_key.load_key(corpus)
        return ClipUrls(kind, checked_base(base or DEFAULT_BASE), key, expires)
    return ClipUrls(kind, checked_base(base))


def urls_of_state(corpus: Corpus, state: State) -> ClipUrls:
    """Return the URLs of a corpus' clips, as chosen in its state.

    Raises:
        OsslError: see `make_clip_urls`.
    """
    if state.address in ("", SERVE):
        return make_clip_urls(corpus.root, "serve", state.clips_url)
    if state.address == LOCAL_FILES:
        return make_clip_urls(corpus.root, "local-files", state.document_root)
    return make_clip_urls(corpus.root, "base", state.address)


def with_url_options(state: State, address: str, clips_url: str, document_root: str) -> State:
    """Merge options into the state; an empty option leaves its value unchanged.

    Args:
        state: the state.
        address: `serve`, `local-files`, or the base URL of a file store.
        clips_url: the URL at which annotators reach `ossl label serve`.
        document_root: Label Studio's document root, for local files.
    """
    if not address and (clips_url or document_root):
        # Each of these options fits only one kind of URL.
        address = SERVE if clips_url else LOCAL_FILES
    return dataclasses.replace(
        state,
        address=address or state.address,
        clips_url=clips_url or state.clips_url,
        document_root=document_root or state.document_root,
    )


def clips_of(corpus: Corpus, film_ids: Sequence[str]) -> list[Clip]:
    """Return the clips of films, in the table's order; no film: all clips.

    Raises:
        OsslError: `film_unknown`, `table_missing`, `table_version`.
    """
    chosen = set(corpus.chosen(film_ids)) if film_ids else set()
    rows: list[Clip] = tables_io.read_table(corpus.root / "manifests", CLIPS)
    return [row for row in rows if not chosen or row.film_id in chosen]


def allow_local_files(server: Server, project: Project, corpus: Corpus) -> None:
    """Let Label Studio serve the corpus' clips to the annotators of this project.

    One folder per film: the server refuses its document root itself, which is the films folder.

    Raises:
        OsslError: `request_refused`: the server was started without local files; `table_missing`.
    """
    folders = {str((corpus.root / clip.video_path).parent) for clip in clips_of(corpus, ())}
    project_api.allow_local_files(server, project.project_id, folders)


def clip_path(film_id: str, clip_id: str) -> str:
    """Return the URL path of a clip at `ossl label serve`."""
    return f"/clips/{quote(film_id, safe='')}/{quote(clip_id, safe='')}.mp4"


def checked_base(base: str) -> str:
    """Check a base URL, and return it without a slash at its end.

    Raises:
        OsslError: `address_base_invalid`, `address_has_password`.
    """
    refuse_password(base, is_server=True)
    parts = _parts(base)
    if parts is None or parts.scheme not in ("http", "https") or not parts.hostname or parts.query:
        raise OsslError(
            "address_base_invalid",
            f"{base!r} is not a base URL for clips.",
            "Give a URL such as https://bucket.example.org/corpus.",
        )
    return base.rstrip("/")


def _parts(base: str) -> SplitResult | None:
    try:
        return urlsplit(base)
    except ValueError:
        return None


def _document_root(corpus: Path, root: Path) -> str:
    """Return Label Studio's document root relative to the corpus.

    Whoever may add a storage to a project can read every file below the root. The folders beside
    the films contain the annotators' names and the key that signs URLs.
    """
    films = (corpus / FILMS).resolve()
    try:
        relative = root.resolve().relative_to(films)
    except (ValueError, OSError, RuntimeError) as error:
        raise OsslError(
            "document_root_unsafe",
            f"With the document root {root}, annotators could read files beside the films of "
            f"{corpus.resolve()}, such as the annotators' names and the signing key.",
            f"Start Label Studio with LABEL_STUDIO_LOCAL_FILES_DOCUMENT_ROOT={films}, and give "
            f"--document-root {films}.",
        ) from error
    return (PurePosixPath(FILMS) / relative.as_posix()).as_posix()


def expires_at(url: str) -> int | None:
    """Return when a URL expires, in seconds since 1970; None: never, or not given."""
    expires = parse_qs(urlsplit(url).query).get("expires", [""])[0]
    return int(expires) if expires.isascii() and expires.isdigit() and len(expires) <= 12 else None


def first_to_expire(urls: Iterable[str]) -> str:
    """Return the URL that expires first, or one that never expires; empty: no URLs."""
    return min(
        filter(None, urls),
        key=lambda url: (expires_at(url) or float("inf"), url),
        default="",
    )


@dataclass(frozen=True)
class UrlCheck:
    """Result of a check of a project's clip URLs.

    Attributes:
        base: scheme and host of the URL; never its signature, which is only for annotators.
        expires_at: when the first URL expires, ISO 8601 in UTC; None: never.
        is_reached: whether this machine could read the clip; None: not tried, because Label
            Studio itself serves the clips.
        warnings: reasons why annotators cannot see clips, a sentence each.
    """

    base: str
    expires_at: str | None
    is_reached: bool | None
    warnings: tuple[str, ...]


def check_url(url: str, server_url: str, now: float | None = None) -> UrlCheck | None:
    """Request a clip by its URL.

    Args:
        url: the clip's URL, from a task.
        server_url: Label Studio's URL, as annotators have it in their browsers.
        now: seconds since 1970; None: the present time.

    Returns:
        None if the URL is empty.
    """
    if not url:
        return None
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https"):
        return UrlCheck(url.partition("?")[0], None, None, ())
    base = f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}"
    warnings = []
    moment = time.time() if now is None else now
    expires = expires_at(url)
    expires_text = None if expires is None else _utc(expires)
    if expires is not None and expires < moment + EXPIRES_SOON_S:
        verb = "have expired since" if expires <= moment else "expire on"
        warnings.append(f"Clip URLs {verb} {expires_text}: renew them with `ossl label relink`.")
    problem = http.why_unreachable(url)
    if problem is not None:
        warnings.append(
            f"Clips cannot be read from {base}: {problem}. Check that `ossl label serve` runs, or "
            "that the file store has the clips."
        )
    server = urlsplit(server_url)
    if _is_loopback(parts.hostname) and not _is_loopback(server.hostname):
        warnings.append(
            f"Only browsers on this machine can reach {base}: give the URL that annotators can "
            "reach with `ossl label relink --clips-url`."
        )
    if server.scheme == "https" and parts.scheme == "http" and not _is_loopback(parts.hostname):
        warnings.append(
            f"Label Studio has an https URL: browsers do not load clips from {base} there."
        )
    return UrlCheck(base, expires_text, problem is None, tuple(warnings))


def _utc(second: int) -> str:
    try:
        return datetime.fromtimestamp(second, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    except (OverflowError, ValueError, OSError):
        return "a time that no calendar has"


def _is_loopback(host: str | None) -> bool:
    if host in (None, "localhost"):
        return host is not None
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False
