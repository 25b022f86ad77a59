"""Download a file: retry, switch servers, resume earlier runs, and verify the result."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path

from ossl_builder import files, parse
from ossl_builder.errors import OsslError
from ossl_builder.files import checksums, content_changed
from ossl_builder.net.retry import RetryPolicy, TransferError, final_error
from ossl_builder.net.stall_guard import Heard, Limits
from ossl_builder.net.ytdlp import PART, ResolvedFilm, attempt, download_fragments

# An attempt that receives at least this much resets the failure count.
WORTHWHILE_BYTES = 16 << 20

RETRY_HINT = "The download was deleted. Run the same command again later, or choose another source."


@dataclass(frozen=True)
class DownloadRequest:
    """A file to download.

    Attributes:
        name: the file's name in messages.
        addresses: its addresses, the preferred one first.
        form: the site's name of the chosen format; a partial file is resumed only if name and
            form are the same.
        size_bytes: expected size; None: unknown. Likewise `sha1` and `md5`.
        sha256: expected SHA-256, from an earlier download or from the user; None: unknown.
        headers: HTTP headers of each request.
    """

    name: str
    addresses: tuple[str, ...]
    form: str = ""
    size_bytes: int | None = None
    sha1: str | None = None
    md5: str | None = None
    sha256: str | None = None
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Marks:
    """Identity of the file that a partial file belongs to; stored next to the partial file."""

    name: str
    form: str
    size_bytes: int | None
    sha1: str | None
    etag: str
    last_modified: str


def transfer(
    wanted: DownloadRequest,
    target: Path,
    limits: Limits,
    retry_policy: RetryPolicy,
    progress: Callable[[float], None],
) -> dict[str, str]:
    """Download a file to `target` and verify size and checksums.

    Resume the partial file of an earlier run if it belongs to the same file: the expected
    checksum is the same, or the server sends the same ETag or Last-Modified.

    Args:
        wanted: the file.
        target: where to write it; the partial file is `<target>.part`.
        limits: maximum size, timeout and minimum speed.
        retry_policy: the retry policy.
        progress: called with the fraction done, 0 to 1.

    Returns:
        The file's checksums: `sha256`, `sha1`, `md5`.

    Raises:
        OsslError: `source_gone`, `access_refused`, `server_busy`, `server_error`,
            `download_dropped`, `download_stalled`, `download_slow`, `unreachable`,
            `redirect_loop`, `too_large`, `size_differs`, `checksum_differs`, `content_changed`,
            `source_changes`, `source_invalid`.
    """
    return _Transfer(wanted, target, limits, retry_policy, progress).run()


def transfer_fragments(
    film: ResolvedFilm,
    name: str,
    sha256: str | None,
    target: Path,
    limits: Limits,
    progress: Callable[[float], None],
) -> dict[str, str]:
    """Download a film that a site serves in fragments.

    Args:
        film: the film, as returned by `ytdlp.resolve`.
        name: the film's name in messages.
        sha256: expected SHA-256; None: unknown.
        target: where to write the film.
        limits: maximum size, timeout and minimum speed.
        progress: called with the fraction done, 0 to 1.

    Returns:
        The file's checksums, as `transfer` does.

    Raises:
        OsslError: the errors of `transfer`.
    """
    target.unlink(missing_ok=True)
    try:
        download_fragments(
            film, target, limits, lambda done, total: progress(done / total if total else 0.0)
        )
    except TransferError as error:
        hint = "The fragments that came are kept: run the same command to resume."
        raise final_error(name, error, hint) from error
    sums = checksums(target)
    if sha256 is not None and sums["sha256"] != sha256:
        target.unlink()
        raise content_changed(name, sha256, sums["sha256"])
    return sums


class _Part:
    """A partial file, and the JSON note next to it that identifies the whole file."""

    def __init__(self, target: Path) -> None:
        self.path = target.with_name(target.name + PART)
        self.note = target.with_name(target.name + PART + ".json")
        self.target = target
        # An earlier run ended after the last byte but before the checks: treat it as partial.
        if target.exists():
            target.replace(self.path)

    @property
    def size(self) -> int:
        return self.path.stat().st_size if self.path.exists() else 0

    def marks(self) -> Marks | None:
        try:
            return Marks(**parse.json_value(self.note.read_bytes()))
        except (OSError, ValueError, TypeError):
            return None

    def is_of(self, wanted: DownloadRequest) -> bool:
        """Whether the partial file may belong to `wanted`, so that resuming can be tried."""
        marks = self.marks()
        return (
            marks is not None
            and (marks.name, marks.form) == (wanted.name, wanted.form)
            and marks.sha1 == wanted.sha1
            and wanted.size_bytes in (None, marks.size_bytes)
            and bool(marks.sha1 or wanted.sha256 or marks.etag or marks.last_modified)
            and self.size <= (marks.size_bytes or self.size)
        )

    def write(self, marks: Marks) -> None:
        if marks != self.marks():
            files.write_bytes(self.note, files.json_bytes(asdict(marks)))

    def drop(self) -> None:
        for path in (self.path, self.note, self.target):
            path.unlink(missing_ok=True)


class _Transfer:
    def __init__(
        self,
        wanted: DownloadRequest,
        target: Path,
        limits: Limits,
        retry_policy: RetryPolicy,
        progress: Callable[[float], None],
    ) -> None:
        self.wanted = wanted
        self.limits = limits
        self.retry_policy = retry_policy
        self.progress = progress
        self.part = _Part(target)
        self.addresses = list(wanted.addresses)
        self.failures = 0
        self.rejected_files = 0
        self.best_size = 0
        self.failed_round: list[TransferError] = []
        # The bytes come from several responses, which might be of different files.
        self.has_several_responses = self.part.size > 0

    def run(self) -> dict[str, str]:
        while True:
            if not self.part.is_of(self.wanted):
                self.part.drop()
            self.has_several_responses = self.part.size > 0
            try:
                self._attempt()
            except TransferError as error:
                self._handle_failure(error)
                continue
            sums = checksums(self.part.target)
            problem = self._problem(sums)
            if problem is None:
                return sums
            self.part.drop()
            self.rejected_files += 1
            if not self.has_several_responses:
                self.addresses.pop(0)  # this server has a wrong file
            if not self.addresses or self.rejected_files > len(self.wanted.addresses):
                raise problem

    def _attempt(self) -> None:
        marks = self.part.marks()
        if marks and marks.size_bytes and self.part.size == marks.size_bytes:
            self.part.path.replace(self.part.target)
            return
        attempt(
            self.addresses[0],
            self.part.target,
            self.limits,
            self.wanted.headers,
            self._check_response,
            self._report_progress,
        )

    def _report_progress(self, done: int, total: int | None) -> None:
        size = self.wanted.size_bytes
        if size is not None and done > size:
            raise TransferError("other_size", f"sends more than the {size} bytes that were stated")
        self.progress(min(1.0, done / total) if total else 0.0)

    def _check_response(self, response: Heard) -> None:
        """Check by the response headers that the server will send the wanted file.

        Raises:
            TransferError: `other_size`, `changed`.
        """
        wanted = self.wanted
        size = wanted.size_bytes
        if None not in (size, response.size_bytes) and response.size_bytes != size:
            raise TransferError(
                "other_size", f"offers a file of {response.size_bytes} bytes, not of {size}"
            )
        version = (response.size_bytes or size, wanted.sha1, response.etag, response.last_modified)
        marks = Marks(wanted.name, wanted.form, *version)
        if response.start and not wanted.sha1 and self.part.marks() != marks:
            raise TransferError("changed", "has another file now than when the download began")
        if not response.start:
            self.part.drop()  # the server sends the file from its first byte
            self.has_several_responses = False
        self.part.write(marks)

    def _handle_failure(self, error: TransferError) -> None:
        """Switch to the next address or wait; raise if no attempt is left."""
        if error.kind in ("changed", "too_large"):
            self.part.drop()
        gained = self.part.size - self.best_size
        self.best_size = max(self.best_size, self.part.size)
        if gained >= WORTHWHILE_BYTES and error.kind != "slow":
            self.failures = 0
        self.failures += 1
        address = self.addresses.pop(0)
        asks_too_much = (error.asked_wait_s or 0.0) > self.retry_policy.max_wait_s
        if not error.is_final and not asks_too_much:
            self.addresses.append(address)
            self.failed_round.append(error)
        n_addresses = len(self.wanted.addresses)
        if not self.addresses or self.failures >= self.retry_policy.tries * n_addresses:
            raise self._final_error(error)
        # Try the other addresses at once. After a failure of each, or HTTP 429, wait for the
        # longest requested time.
        if len(self.failed_round) >= len(self.addresses) or error.status == 429:
            worst = max(
                self.failed_round, key=lambda failure: failure.asked_wait_s or 0.0, default=error
            )
            self.retry_policy.pause(-(-self.failures // n_addresses), worst)
            self.failed_round.clear()

    def _problem(self, sums: Mapping[str, str]) -> OsslError | None:
        wanted = self.wanted
        size = self.part.target.stat().st_size
        if wanted.size_bytes is not None and size != wanted.size_bytes:
            return OsslError(
                "size_differs",
                f"{wanted.name} has {size} bytes instead of {wanted.size_bytes}.",
                RETRY_HINT,
            )
        for kind, stated in (("sha1", wanted.sha1), ("md5", wanted.md5)):
            if stated is not None and sums[kind] != stated:
                return OsslError(
                    "checksum_differs",
                    f"{wanted.name} has the {kind} {sums[kind]}; the source states {stated}.",
                    RETRY_HINT,
                )
        if wanted.sha256 is not None and sums["sha256"] != wanted.sha256:
            return content_changed(wanted.name, wanted.sha256, sums["sha256"])
        return None

    def _final_error(self, error: TransferError) -> OsslError:
        size_bytes = self.part.size
        marks = self.part.marks()
        total_bytes = marks.size_bytes if marks else None
        done = f"{100 * size_bytes / total_bytes:.0f} %" if total_bytes else f"{size_bytes} bytes"
        if error.kind == "too_large":
            hint = "Nothing was kept. Raise fetch.max_gb in the recipe, or choose another source."
        elif size_bytes and self.part.is_of(self.wanted):
            hint = f"The part that came ({done}) is kept: run the same command to resume."
        else:
            self.part.drop()
            hint = "Nothing was kept. Run the same command again later, or choose another source."
        n = len(self.wanted.addresses)
        name = self.wanted.name + (f" (on the last of {n} servers asked)" if n > 1 else "")
        return final_error(name, error, hint)
