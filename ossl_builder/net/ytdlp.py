"""yt-dlp: make one attempt to download a file, and resolve a page's address to its film.

`net.downloader` does the retries. As a library, yt-dlp ignores `Retry-After` and does not notice a
very slow server, a changed file, or a response that is not a film.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yt_dlp
from yt_dlp.downloader.http import HttpFD
from yt_dlp.networking.exceptions import HTTPError, RequestError, TransportError

from ossl_builder.errors import OsslError
from ossl_builder.net.http import legible
from ossl_builder.net.retry import RetryPolicy, TransferError, asked_wait_s, final_error
from ossl_builder.net.stall_guard import Heard, Limits, Watched, stalled

PART = ".part"


@dataclass(frozen=True)
class ResolvedFilm:
    """The film at an address.

    Attributes:
        address: the media file's address.
        is_plain: whether the file is one HTTP download; False: it is served in fragments.
        headers: HTTP headers that the download needs.
        format: yt-dlp's identifier of the chosen format.
        duration_s: duration stated by the site, in seconds; None: not stated.
        size_bytes: size stated by the site; None: not stated.
        about: the site's metadata of the film, without dates and signed addresses.
        info: yt-dlp's info dictionary, needed by `download_fragments`.
    """

    address: str
    is_plain: bool
    headers: Mapping[str, str]
    format: str
    duration_s: float | None
    size_bytes: int | None
    about: Mapping[str, Any]
    info: dict[str, Any]


def attempt(
    address: str,
    target: Path,
    limits: Limits,
    headers: Mapping[str, str],
    on_headers: Callable[[Heard], None],
    progress: Callable[[int, int | None], None],
) -> None:
    """Make one attempt to download a file to `target`; resume `<target>.part` if it exists.

    Args:
        address: the file's address.
        target: where to write it.
        limits: maximum size, timeout and minimum speed.
        headers: HTTP headers of the request.
        on_headers: called with the response headers before the body is read; may raise.
        progress: called with the number of bytes received, and the file's size (None: unknown).

    Raises:
        TransferError: the attempt failed; the received bytes stay in the partial file.
        OSError: the file cannot be written.
    """
    client = _Client(limits, on_headers)

    def hook(state: dict[str, Any]) -> None:
        done = int(state.get("downloaded_bytes") or 0)
        _refuse_larger(done, limits.max_bytes)
        progress(done, state.get("total_bytes"))

    with client:
        downloader = HttpFD(client, client.params)
        downloader.add_progress_hook(hook)
        try:
            downloader.download(str(target), {"url": address, "http_headers": dict(headers)})
        except yt_dlp.utils.DownloadError as error:
            raise _transfer_error(error, limits.timeout_s) from error
    if not target.exists():
        raise TransferError("dropped", "sent nothing")


def _refuse_larger(size_bytes: int, max_bytes: int) -> None:
    if size_bytes > max_bytes:
        raise TransferError(
            "too_large", f"sends {size_bytes} bytes or more, and {max_bytes} are the most allowed"
        )


def resolve(address: str, retry_policy: RetryPolicy, extractors: tuple[str, ...]) -> ResolvedFilm:
    """Resolve an address to its film with yt-dlp's extractors; retry after network errors.

    Args:
        address: address of a page or a file.
        retry_policy: the retry policy.
        extractors: value of yt-dlp's option `allowed_extractors`.

    Raises:
        OsslError: `not_understood` (no extractor finds exactly one film), or the errors of
            `downloader.transfer`.
    """
    try:
        return retry_policy.call(lambda: _extract(address, retry_policy.timeout_s, extractors))
    except TransferError as error:
        hint = "Run the same command again later, or choose another source."
        raise final_error(address, error, hint) from error


def download_fragments(
    film: ResolvedFilm, target: Path, limits: Limits, progress: Callable[[int, int | None], None]
) -> None:
    """Download a film that a site serves in fragments; resume yt-dlp's partial files.

    Args:
        film: the film, as returned by `resolve`.
        target: where to write it.
        limits: maximum size, timeout and minimum speed.
        progress: called with the number of bytes received, and the estimated total (None: unknown).

    Raises:
        TransferError: the download failed.
    """

    def hook(state: dict[str, Any]) -> None:
        done = int(state.get("downloaded_bytes") or 0)
        _refuse_larger(done, limits.max_bytes)
        progress(done, state.get("total_bytes_estimate"))

    # yt-dlp's defaults for retries apply to its command line only.
    options = _options(limits.timeout_s) | {
        "retries": 10,
        "fragment_retries": 10,
        "skip_unavailable_fragments": False,
        "progress_hooks": [hook],
    }
    try:
        with yt_dlp.YoutubeDL(options, auto_init=False) as downloader:
            downloader.dl(str(target), film.info)
    except yt_dlp.utils.DownloadError as error:
        raise _transfer_error(error, limits.timeout_s) from error
    if not target.exists():
        raise TransferError("dropped", "sent not all fragments")


def _extract(address: str, timeout_s: float, extractors: tuple[str, ...]) -> ResolvedFilm:
    options = _options(timeout_s) | {
        "noplaylist": True,
        "allowed_extractors": list(extractors),
        "format": "best[vcodec!=none][acodec!=none]/best",
    }
    try:
        with yt_dlp.YoutubeDL(options) as client:
            info = client.extract_info(address, download=False)
    except yt_dlp.utils.DownloadError as error:
        cause = _cause(error)
        if isinstance(cause, RequestError):
            raise _request_error(cause, timeout_s) from error
        message = " ".join(str(error).removeprefix("ERROR: ").split())
        raise _not_understood(address, f"yt-dlp: {message.split('; please report')[0]}") from error
    if not info or not info.get("url"):
        raise _not_understood(address, "it leads to several films, or to none")
    about = ("id", "title", "uploader", "license", "webpage_url", "extractor", "ext", "duration")
    return ResolvedFilm(
        address=info["url"],
        is_plain=info.get("protocol") in ("http", "https"),
        headers=info.get("http_headers") or {},
        format=legible(str(info.get("format_id") or "only")),
        duration_s=info.get("duration"),
        size_bytes=info.get("filesize"),
        about={name: info[name] for name in about if info.get(name)},
        info=info,
    )


def _not_understood(address: str, why: str) -> OsslError:
    return OsslError(
        "not_understood",
        f"No film was found at {address} ({why}).",
        "Give the address of the page of one film, or of its file.",
    )


class _Client(yt_dlp.YoutubeDL):  # type: ignore[misc]
    """yt-dlp's client, with a check of the response headers before the body is read."""

    def __init__(self, limits: Limits, on_headers: Callable[[Heard], None]) -> None:
        super().__init__(_options(limits.timeout_s) | {"retries": 0}, auto_init=False)
        self._limits = limits
        self._on_headers = on_headers

    def urlopen(self, request: Any) -> Any:
        """Send a request; raise `TransferError` on failure."""
        try:
            response = super().urlopen(request)
        except HTTPError as error:
            if error.status == 416 and "Range" in request.headers:
                # yt-dlp would accept a partial file that is less than 100 bytes too short.
                raise TransferError("changed", "has no such file as the part came from") from error
            raise _request_error(error, self._limits.timeout_s) from error
        except RequestError as error:
            raise _request_error(error, self._limits.timeout_s) from error
        headers = _response_headers(response)
        try:
            start = yt_dlp.utils.parse_http_range(request.headers.get("Range"))[0]
            if response.status == 206 and headers.start != start:
                raise TransferError(
                    "changed", "sent another part of the file than the one asked for"
                )
            if headers.size_bytes is not None:
                _refuse_larger(headers.size_bytes, self._limits.max_bytes)
            self._on_headers(headers)
        except BaseException:
            response.close()
            raise
        return Watched(response, headers, self._limits)


def _response_headers(response: Any) -> Heard:
    start, _, total = yt_dlp.utils.parse_http_range(response.headers.get("Content-Range"))
    length = response.headers.get("Content-Length", "")
    if response.status != 206:
        start = 0
        total = int(length) if length.isdecimal() else None
    return Heard(
        size_bytes=total,
        etag=response.headers.get("ETag", ""),
        last_modified=response.headers.get("Last-Modified", ""),
        start=-1 if start is None and response.status == 206 else start or 0,
    )


def _options(timeout_s: float) -> dict[str, Any]:
    return {
        "quiet": True,
        "no_warnings": True,
        "noprogress": True,
        "logger": _Quiet(),
        "socket_timeout": timeout_s,
        "file_access_retries": 3,
        "extractor_retries": 3,
        "cachedir": False,
        "updatetime": False,
        "postprocessors": [],
        "fixup": "never",
        # Always use the standard library's transport, also if others are installed.
        "compat_opts": {"prefer-legacy-http-handler"},
    }


def _cause(error: Any) -> BaseException | None:
    """Return the exception that yt-dlp wrapped; None if there is none."""
    inner: BaseException | None = error.exc_info[1] if error.exc_info else None
    if isinstance(inner, yt_dlp.utils.ExtractorError):
        cause: BaseException | None = inner.cause or inner
        return cause
    return inner


def _transfer_error(error: Any, timeout_s: float) -> TransferError:
    cause = _cause(error)
    if isinstance(cause, RequestError):
        return _request_error(cause, timeout_s)
    if isinstance(cause, OSError) and not isinstance(cause, (TimeoutError, ConnectionError)):
        raise cause  # the disk is full, for example
    message = " ".join(str(error).removeprefix("ERROR: ").split())
    return TransferError("dropped", f"did not send it (yt-dlp: {message})")


def _request_error(error: RequestError, timeout_s: float) -> TransferError:
    if isinstance(error, HTTPError):
        if error.redirect_loop:
            return TransferError("redirects", "sends in circles (redirects without end)")
        wait_s = asked_wait_s(error.response.headers.get("Retry-After"))
        error.close()
        return TransferError("status", f"answered {error.status}", error.status, wait_s)
    if isinstance(error, TransportError):
        cause = getattr(error, "cause", None)
        if isinstance(cause, TimeoutError) or "timed out" in str(error):
            return stalled(timeout_s)
        return TransferError("unreachable", f"could not be reached ({error})")
    return TransferError("not_http", f"is no address of the web ({error})")


class _Quiet:
    """A logger that drops all messages; yt-dlp reports errors as exceptions."""

    def debug(self, message: str) -> None:
        """Drop it."""

    warning = error = info = debug
