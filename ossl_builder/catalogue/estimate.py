"""Estimate a build before it starts: download size, hours, free disk space."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import date

from ossl_builder.catalogue.availability import film_row
from ossl_builder.catalogue.source_address import identifier_of
from ossl_builder.corpus import Corpus
from ossl_builder.engine import records
from ossl_builder.errors import OsslError
from ossl_builder.net import archive_org
from ossl_builder.rights.verdict import build_refusal
from ossl_builder.stages.fetch.download_source import local_path
from ossl_builder.stages.fetch.stage import FETCH_STAGE, FetchSettings
from ossl_builder.stages.registry import STAGES
from ossl_builder.tables import Source

# A build that downloads at least this many films is estimated.
LARGE = 5
# The number of Archive items whose size is requested; their mean is used for the other items.
ASKED = 8
# The assumed network speed; printed with every estimate of hours.
BYTES_PER_S = 5e6
# The number of finished films from which the speed of this machine is measured.
MEASURED = 20


@dataclass(frozen=True)
class Pace:
    """The cost of the stages after the fetch, from the finished films of the corpus.

    Attributes:
        n_films: the number of films measured.
        work_s: seconds of work per second of film.
        made_bytes: bytes written per second of film.
    """

    n_films: int
    work_s: float
    made_bytes: float


@dataclass(frozen=True)
class Estimate:
    """The estimated cost of a build.

    Attributes:
        n_films: the number of films to download.
        n_asked: the number of films whose size is known.
        mean_bytes, mean_s: their mean size and duration; None: not known.
        why_unknown: why the size is not known.
        pace: the cost of the films finished so far; None: no film is finished yet.
        free_bytes: free space on the corpus' disk.
    """

    n_films: int
    n_asked: int
    mean_bytes: float | None
    mean_s: float | None
    why_unknown: str
    pace: Pace | None
    free_bytes: int

    def sentences(self) -> list[str]:
        """Return the estimate as sentences."""
        free = f"{self.free_bytes / 1e9:.0f} GB are free on the disk."
        if self.mean_bytes is None:
            return [f"To fetch: {self.n_films} films of unknown size. {self.why_unknown}", free]
        size = self.mean_bytes * self.n_films
        basis = (
            "as stated"
            if self.n_asked == self.n_films
            else f"from the sizes of {self.n_asked} of them"
        )
        sentences = [
            f"To fetch: {self.n_films} films, {size / 1e9:.1f} GB ({basis}), "
            f"{size / BYTES_PER_S / 3600:.1f} h if the network gives {BYTES_PER_S / 1e6:.0f} MB/s."
        ]
        if self.mean_s is not None and self.pace is not None:
            seconds = self.mean_s * self.n_films
            made_bytes = seconds * self.pace.made_bytes
            size += made_bytes
            sentences.append(
                f"Then {seconds * self.pace.work_s / 3600:.1f} h of work by one worker for "
                f"{seconds / 3600:.1f} h of film, and {made_bytes / 1e9:.1f} GB more, as measured "
                f"on {self.pace.n_films} films here."
            )
        else:
            sentences.append(
                "Time and size of the stages after that are known after the first film."
            )
        sentences.append(free)
        if size > self.free_bytes:
            sentences.append(
                f"That is not enough for {size / 1e9:.1f} GB: make room, or name fewer films. A "
                "full disk stops the build; what is finished is kept."
            )
        return sentences


def estimate(
    corpus: Corpus, settings: FetchSettings, film_ids: Sequence[str], today: date
) -> Estimate | None:
    """Estimate the downloads of a build of these films; None: fewer than `LARGE` films.

    Request the size of at most `ASKED` items of the Archive, without a retry.
    """
    to_fetch = _sources_to_fetch(corpus, film_ids, today)
    if len(to_fetch) < LARGE or settings.from_dir is not None:
        return None
    items = [source for source in to_fetch if identifier_of(source.source) is not None]
    step = max(1, len(items) // ASKED)
    sizes: list[int] = []
    lengths: list[float] = []
    why = "Only a fetch tells."
    for source in items[::step][:ASKED]:
        try:
            choice = _choose_file(source, settings)
        except OsslError as error:
            why = error.message
            if error.code == "archive_unreachable":
                break
            continue
        if choice.size_bytes is not None:
            sizes.append(choice.size_bytes)
        if choice.length_s is not None:
            lengths.append(choice.length_s)
    return Estimate(
        n_films=len(to_fetch),
        n_asked=len(sizes),
        mean_bytes=sum(sizes) / len(sizes) if sizes else None,
        mean_s=sum(lengths) / len(lengths) if lengths else None,
        why_unknown=why,
        pace=_measure_pace(corpus),
        free_bytes=shutil.disk_usage(corpus.root).free,
    )


def _sources_to_fetch(corpus: Corpus, film_ids: Sequence[str], today: date) -> list[Source]:
    """Return the films still to download; only the records are read, because that is fast."""
    sources = []
    for film_id in film_ids:
        record = records.read(corpus.root, FETCH_STAGE.name, film_id)
        if record is not None and record.state == "done":
            continue
        source = corpus.source(film_id)
        if local_path(source.source) is None and build_refusal(source, today) is None:
            sources.append(source)
    return sources


def _choose_file(source: Source, settings: FetchSettings) -> archive_org.Choice:
    identifier, name = archive_org.item_of(source.source)
    site = settings.site()
    retry_policy = replace(
        site.retry_policy, tries=1, timeout_s=min(10.0, site.retry_policy.timeout_s)
    )
    item = archive_org.fetch_item(identifier, replace(site, retry_policy=retry_policy))
    return archive_org.choose_file(item, settings.max_bytes, name)


def _measure_pace(corpus: Corpus) -> Pace | None:
    film_s = work_s = made_bytes = 0.0
    n_films = 0
    for film_id in corpus.film_ids():
        ended = [records.read(corpus.root, stage.name, film_id) for stage in STAGES]
        done = [record for record in ended if record is not None and record.state == "done"]
        film = film_row(corpus, film_id)
        if film is None or len(done) < len(STAGES):
            continue
        film_s += film.file().duration_s
        work_s += sum(record.seconds for record in done[1:])
        made_bytes += sum(entry.size_bytes for record in done[1:] for entry in record.files)
        n_films += 1
        if n_films == MEASURED:
            break
    return Pace(n_films, work_s / film_s, made_bytes / film_s) if n_films else None
