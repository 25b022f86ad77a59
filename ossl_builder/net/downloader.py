"""A file from the network, whole and right: over several attempts, addresses and runs."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path

from ossl_builder import files, parse
from ossl_builder.errors import OsslError
from ossl_builder.files import checksums, content_changed
from ossl_builder.net.retry import RetryPolicy, TransferError, given_up
from ossl_builder.net.stall_guard import Heard, Limits
from ossl_builder.net.ytdlp import PART, Look, attempt, download_fragments

# An attempt that brought so much was worth it: the count of failures begins anew.
WORTHWHILE_BYTES = 16 << 20

RETRY_HINT = "The download was deleted. Run the same command again later, or choose another source."


@dataclass(frozen=True)
class Wanted:
    """A file that is to be had.

    Attributes:
        name: of the file, as messages call it.
        form: which of a site's forms of it; a part is continued for the same name and form only.
        addresses: where it is to be had, the first preferred.
        size_bytes: that it must have; likewise `sha1`, `md5`. None: not known.
        sha256: that it must have, because it had it before or the user said so.
        headers: of HTTP, for each request.
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
    """What a part is known to be a part of; kept beside it."""

    name: str
    form: str
    size_bytes: int | None
    sha1: str | None
    etag: str
    last_modified: str


def transfer(
    wanted: Wanted,
    target: Path,
    limits: Limits,
    patience: RetryPolicy,
    progress: Callable[[float], None],
) -> dict[str, str]:
    """Bring a file to `target`, and see that it is the one wanted.

    What an earlier run left beside `target` is continued if it is known to be of the same file:
    by the checksum stated for it, or by the server's mark (ETag, Last-Modified).

    Returns:
        Its checksums: `sha256`, `sha1`, `md5`.

    Raises:
        OsslError: `source_gone`, `access_refused`, `server_busy`, `server_error`,
            `download_dropped`, `download_stalled`, `download_slow`, `unreachable`,
            `redirect_loop`, `too_large`, `size_differs`, `checksum_differs`, `content_changed`,
            `source_changes`, `source_invalid`.
    """
    return _Transfer(wanted, target, limits, patience, progress).run()


def transfer_fragments(
    found: Look,
    name: str,
    sha256: str | None,
    target: Path,
    limits: Limits,
    progress: Callable[[float], None],
) -> dict[str, str]:
    """Bring a film that a site serves in fragments to `target`.

    Args:
        sha256: that it must have; None: not known.

    Returns:
        Its checksums, as `transfer` does.

    Raises:
        OsslError: as `transfer` does.
    """
    target.unlink(missing_ok=True)
    try:
        download_fragments(
            found, target, limits, lambda done, total: progress(done / total if total else 0.0)
        )
    except TransferError as setback:
        hint = "The fragments that came are kept: run the same command to resume."
        raise given_up(name, setback, hint) from setback
    sums = checksums(target)
    if sha256 is not None and sums["sha256"] != sha256:
        target.unlink()
        raise content_changed(name, sha256, sums["sha256"])
    return sums


class _Part:
    """A file that has come in part, and a note beside it that says of what."""

    def __init__(self, target: Path) -> None:
        self.path = target.with_name(target.name + PART)
        self.note = target.with_name(target.name + PART + ".json")
        self.target = target
        # Killed after the last byte: go on as if the last byte were still to come.
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

    def is_of(self, wanted: Wanted) -> bool:
        """Whether it can be known to be a part of what is wanted, when the server answers."""
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
        wanted: Wanted,
        target: Path,
        limits: Limits,
        patience: RetryPolicy,
        progress: Callable[[float], None],
    ) -> None:
        self.wanted = wanted
        self.limits = limits
        self.patience = patience
        self.progress = progress
        self.part = _Part(target)
        self.addresses = list(wanted.addresses)
        self.failures = 0
        self.refused = 0
        self.best = 0
        self.round: list[TransferError] = []
        # Whether the file was put together from several answers, which might be of several files.
        self.is_pieced = self.part.size > 0

    def run(self) -> dict[str, str]:
        while True:
            if not self.part.is_of(self.wanted):
                self.part.drop()
            self.is_pieced = self.part.size > 0
            try:
                self._attempt()
            except TransferError as setback:
                self._after(setback)
                continue
            found = checksums(self.part.target)
            problem = self._problem(found)
            if problem is None:
                return found
            self.part.drop()
            self.refused += 1
            if not self.is_pieced:
                self.addresses.pop(0)  # the file is wrong there
            if not self.addresses or self.refused > len(self.wanted.addresses):
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
            self._heard,
            self._came,
        )

    def _came(self, done: int, total: int | None) -> None:
        size = self.wanted.size_bytes
        if size is not None and done > size:
            raise TransferError("other_size", f"sends more than the {size} bytes that were stated")
        self.progress(min(1.0, done / total) if total else 0.0)

    def _heard(self, heard: Heard) -> None:
        """Judge, by what the server says, whether it is about to send the file wanted."""
        wanted = self.wanted
        size = wanted.size_bytes
        if None not in (size, heard.size_bytes) and heard.size_bytes != size:
            raise TransferError(
                "other_size", f"offers a file of {heard.size_bytes} bytes, not of {size}"
            )
        said = (heard.size_bytes or size, wanted.sha1, heard.etag, heard.last_modified)
        now = Marks(wanted.name, wanted.form, *said)
        if heard.start and not wanted.sha1 and self.part.marks() != now:
            raise TransferError("changed", "has another file now than when the download began")
        if not heard.start:
            self.part.drop()  # the file comes anew from its first byte
            self.is_pieced = False
        self.part.write(now)

    def _after(self, setback: TransferError) -> None:
        """Turn to the next address or wait; raise when there is nothing left to try."""
        if setback.kind in ("changed", "too_large"):
            self.part.drop()
        gained = self.part.size - self.best
        self.best = max(self.best, self.part.size)
        if gained >= WORTHWHILE_BYTES and setback.kind != "slow":
            self.failures = 0
        self.failures += 1
        address = self.addresses.pop(0)
        asks_too_much = (setback.asked_wait_s or 0.0) > self.patience.max_wait_s
        if not setback.is_final and not asks_too_much:
            self.addresses.append(address)
            self.round.append(setback)
        n_known = len(self.wanted.addresses)
        if not self.addresses or self.failures >= self.patience.tries * n_known:
            raise self._given_up(setback)
        # The other addresses are asked at once; when each has failed, or one says "too many
        # requests", we wait for as long as the most exhausted of them asks.
        if len(self.round) >= len(self.addresses) or setback.status == 429:
            longest = max(self.round, key=lambda one: one.asked_wait_s or 0.0, default=setback)
            self.patience.pause(-(-self.failures // n_known), longest)
            self.round.clear()

    def _problem(self, found: Mapping[str, str]) -> OsslError | None:
        wanted = self.wanted
        size = self.part.target.stat().st_size
        if wanted.size_bytes is not None and size != wanted.size_bytes:
            return OsslError(
                "size_differs",
                f"{wanted.name} has {size} bytes instead of {wanted.size_bytes}.",
                RETRY_HINT,
            )
        for kind, stated in (("sha1", wanted.sha1), ("md5", wanted.md5)):
            if stated is not None and found[kind] != stated:
                return OsslError(
                    "checksum_differs",
                    f"{wanted.name} has the {kind} {found[kind]}; the source states {stated}.",
                    RETRY_HINT,
                )
        if wanted.sha256 is not None and found["sha256"] != wanted.sha256:
            return content_changed(wanted.name, wanted.sha256, found["sha256"])
        return None

    def _given_up(self, setback: TransferError) -> OsslError:
        kept = self.part.size
        marks = self.part.marks()
        whole = marks.size_bytes if marks else None
        done = f"{100 * kept / whole:.0f} %" if whole else f"{kept} bytes"
        if setback.kind == "too_large":
            hint = "Nothing was kept. Raise fetch.max_gb in the recipe, or choose another source."
        elif kept and self.part.is_of(self.wanted):
            hint = f"The part that came ({done}) is kept: run the same command to resume."
        else:
            self.part.drop()
            hint = "Nothing was kept. Run the same command again later, or choose another source."
        n = len(self.wanted.addresses)
        name = self.wanted.name + (f" (on the last of {n} servers asked)" if n > 1 else "")
        return given_up(name, setback, hint)
