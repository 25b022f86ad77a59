"""Check that the sources of films still provide the recorded files."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from ossl_builder.catalogue.film_index import RecordedFilm, alternates_of
from ossl_builder.catalogue.source_address import identifier_of
from ossl_builder.corpus import Corpus
from ossl_builder.engine import records
from ossl_builder.errors import OsslError
from ossl_builder.files import sha256_file
from ossl_builder.net import archive_org, http
from ossl_builder.net.retry import TransferError
from ossl_builder.stages.fetch.download_source import local_path
from ossl_builder.stages.fetch.stage import FETCH_STAGE, FetchSettings
from ossl_builder.tables import Film

GONE = (404, 410)

State = Literal["ok", "changed", "alternate", "gone", "unreachable"]


@dataclass(frozen=True)
class Finding:
    """The result of the check of a film's source.

    Attributes:
        film_id: the film.
        source: the source that was checked.
        state: ok; changed: the file is not the recorded one; alternate: the source is gone, but
            an alternate exists; gone; unreachable: the check got no answer.
        detail: the result as a sentence.
        alternate: the alternate that exists; empty: none was needed or none exists.
    """

    film_id: str
    source: str
    state: State
    detail: str
    alternate: str = ""


@dataclass(frozen=True)
class _Expected:
    """The expected file of a source; None: not known."""

    file: str | None
    sha1: str | None
    sha256: str | None
    size_bytes: int | None


def film_row(corpus: Corpus | None, film_id: str) -> Film | None:
    """Return the film's row from its last fetch; None: it was never fetched."""
    if corpus is None or not records.body_path(corpus.root, FETCH_STAGE.name, film_id).exists():
        return None
    row: Film = records.read_rows(corpus.root, FETCH_STAGE, film_id)[0]
    return row


def check_sources(
    films: Iterable[RecordedFilm], corpus: Corpus | None, settings: FetchSettings
) -> Iterator[Finding]:
    """Check the sources of several films; after an unreachable source, do not retry any more.

    So a missing network is reported within seconds, and a busy server gets few requests.
    """
    for film in films:
        finding = check_source(film, film_row(corpus, film.film_id), settings)
        if finding.state == "unreachable":
            settings = settings.model_copy(update={"tries": 1})
        yield finding


def check_source(
    recorded_film: RecordedFilm, film: Film | None, settings: FetchSettings
) -> Finding:
    """Check item, file and checksum at a film's source without a download.

    Send one request per item of the Internet Archive, and one per alternate if the item is gone.

    Args:
        recorded_film: the film; the row of the corpus is used if there is one.
        film: its row if it was fetched; ignored if it was fetched from another source.
        settings: the Archive's address and the largest permitted file size.
    """
    source_row = recorded_film.recorded or recorded_film.catalogued
    assert source_row is not None
    pinned = recorded_film.recorded.sha256 if recorded_film.recorded else None
    fetched = film if film is not None and film.source == source_row.source else None
    sha1 = fetched.original_sha1 if fetched else None
    expected = _Expected(
        # Without the Archive's checksum, the file may come from a local folder under another name.
        file=fetched.chosen_file
        if fetched and sha1
        else source_row.source.partition("/")[2] or None,
        sha1=sha1,
        sha256=pinned or (fetched.sha256 if fetched else None),
        size_bytes=fetched.size_bytes if fetched else None,
    )
    local = local_path(source_row.source)
    if local is not None:
        state, sentence = _check_file(local, expected)
    elif identifier_of(source_row.source) is not None:
        state, sentence = _check_item(source_row.source, expected, settings)
    else:
        state, sentence = _check_url(source_row.source, expected, settings)
    if state == "gone":
        for alternate in alternates_of(source_row):
            alternate_state, _ = _check_item(alternate, _Expected(None, None, None, None), settings)
            if alternate_state == "ok":
                return Finding(
                    recorded_film.film_id,
                    source_row.source,
                    "alternate",
                    f"{sentence} {alternate} has it.",
                    alternate,
                )
    return Finding(recorded_film.film_id, source_row.source, state, sentence)


def _check_file(path: Path, expected: _Expected) -> tuple[State, str]:
    try:
        size = path.stat().st_size
        if expected.size_bytes not in (None, size):
            return "changed", f"{path} has {size} bytes, not {expected.size_bytes}."
        if expected.sha256 is None:
            return "ok", "The file is there; no checksum of it is known yet."
        digest = sha256_file(path)
    except OSError as error:
        return "gone", f"{path} cannot be read: {error.strerror}."
    if digest != expected.sha256:
        return "changed", f"{path} has the SHA-256 {digest}, not {expected.sha256}."
    return "ok", "The file is there, with the same checksum."


def _check_item(source: str, expected: _Expected, settings: FetchSettings) -> tuple[State, str]:
    identifier = identifier_of(source)
    assert identifier is not None
    try:
        item = archive_org.fetch_item(identifier, settings.site())
    except OsslError as error:
        return "gone" if error.code == "item_missing" else "unreachable", error.message
    if expected.sha1 is None:
        try:
            choice = archive_org.choose_file(item, settings.max_bytes, expected.file)
        except OsslError as error:
            return "gone", error.message
        return "ok", f"The item is there, with {choice.name}."
    sha1 = {file.name: file.sha1 for file in item.files}
    if expected.file not in sha1:
        return "changed", f"The item is there, but its file {expected.file} is gone."
    if sha1[expected.file] != expected.sha1:
        now = sha1[expected.file] or "(none stated)"
        return "changed", f"{expected.file} has the SHA-1 {now}, not {expected.sha1}."
    return "ok", f"{expected.file} is there, with the same checksum."


def _check_url(source: str, expected: _Expected, settings: FetchSettings) -> tuple[State, str]:
    try:
        answer = http.request_headers(source)
    except OsslError as error:
        return "unreachable", error.message
    if answer.status in GONE:
        return "gone", f"The server answers {answer.status}: it has no such address."
    if answer.status >= 400:
        return "unreachable", f"The server answers {answer.status}."
    if answer.content_type == "text/html":
        return _check_page(source, settings)
    if None not in (expected.size_bytes, answer.size_bytes) and (
        answer.size_bytes != expected.size_bytes
    ):
        return "changed", f"It has {answer.size_bytes} bytes, not {expected.size_bytes}."
    return "ok", "It is there" + (", with the same size." if expected.size_bytes else ".")


def _check_page(source: str, settings: FetchSettings) -> tuple[State, str]:
    """Check whether yt-dlp still finds a film at a page."""
    from ossl_builder.net import ytdlp

    try:
        ytdlp.resolve(source, settings.retry_policy(), settings.extractors)
    except TransferError as error:
        return "gone" if error.status in GONE else "unreachable", f"The site {error.predicate}."
    except OsslError as error:
        return "gone", error.message
    return "ok", "The page still leads to a film; whether it is the same, only a fetch shows."


def exit_code(findings: list[Finding]) -> int:
    """Return 1 if no source is available, 3 if some are not, else 0; an alternate is available."""
    bad = sum(finding.state in ("gone", "changed", "unreachable") for finding in findings)
    if not bad:
        return 0
    return 1 if bad == len(findings) else 3
