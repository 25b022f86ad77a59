"""Estimate a build before it starts: gigabytes to fetch, hours, free disk space."""

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

# A build that fetches so many films from the network is a large one.
LARGE = 5
# So many items of the Archive are asked for their size; the others are taken as their mean.
ASKED = 8
# Of the network; stated wherever hours are told.
BYTES_PER_S = 5e6
# So many films of the corpus that are done tell how fast this machine is.
MEASURED = 20


@dataclass(frozen=True)
class Pace:
    """What the stages after the fetch took for films that are done here.

    Attributes:
        n_films: how many were looked at.
        work_s: seconds of work per second of film.
        made_bytes: bytes made per second of film.
    """

    n_films: int
    work_s: float
    made_bytes: float


@dataclass(frozen=True)
class Estimate:
    """What is to be fetched.

    Attributes:
        n_films: films to fetch from the network.
        n_asked: of how many the size is known.
        mean_bytes, mean_s: their mean size and length; None: not known.
        why_unknown: why nobody knows the size, if so.
        pace: what films took here before; None: none is done yet.
        free_bytes: on the corpus' disk.
    """

    n_films: int
    n_asked: int
    mean_bytes: float | None
    mean_s: float | None
    why_unknown: str
    pace: Pace | None
    free_bytes: int

    def sentences(self) -> list[str]:
        """The estimate in words, one sentence each."""
        free = f"{self.free_bytes / 1e9:.0f} GB are free on the disk."
        if self.mean_bytes is None:
            return [f"To fetch: {self.n_films} films of unknown size. {self.why_unknown}", free]
        size = self.mean_bytes * self.n_films
        basis = (
            "as stated"
            if self.n_asked == self.n_films
            else f"from the sizes of {self.n_asked} of them"
        )
        said = [
            f"To fetch: {self.n_films} films, {size / 1e9:.1f} GB ({basis}), "
            f"{size / BYTES_PER_S / 3600:.1f} h if the network gives {BYTES_PER_S / 1e6:.0f} MB/s."
        ]
        if self.mean_s is not None and self.pace is not None:
            seconds = self.mean_s * self.n_films
            made = seconds * self.pace.made_bytes
            size += made
            said.append(
                f"Then {seconds * self.pace.work_s / 3600:.1f} h of work by one worker for "
                f"{seconds / 3600:.1f} h of film, and {made / 1e9:.1f} GB more, as measured on "
                f"{self.pace.n_films} films here."
            )
        else:
            said.append(
                "How long the work after that takes, and its files, shows with the first film."
            )
        said.append(free)
        if size > self.free_bytes:
            said.append(
                f"That is not enough for {size / 1e9:.1f} GB: make room, or name fewer films. A "
                "full disk stops the build; what is finished is kept."
            )
        return said


def estimate(
    corpus: Corpus, settings: FetchSettings, film_ids: Sequence[str], today: date
) -> Estimate | None:
    """Estimate what a build of these films fetches from the network; None: little.

    Asks at most `ASKED` items of the Archive for their size, each once.
    """
    wanted = _to_fetch(corpus, film_ids, today)
    if len(wanted) < LARGE or settings.from_dir is not None:
        return None
    items = [one for one in wanted if identifier_of(one.source) is not None]
    step = max(1, len(items) // ASKED)
    sizes: list[int] = []
    lengths: list[float] = []
    why = "Only a fetch tells."
    for source in items[::step][:ASKED]:
        try:
            choice = _choice(source, settings)
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
        n_films=len(wanted),
        n_asked=len(sizes),
        mean_bytes=sum(sizes) / len(sizes) if sizes else None,
        mean_s=sum(lengths) / len(lengths) if lengths else None,
        why_unknown=why,
        pace=_pace(corpus),
        free_bytes=shutil.disk_usage(corpus.root).free,
    )


def _to_fetch(corpus: Corpus, film_ids: Sequence[str], today: date) -> list[Source]:
    """Films of the network that are not here; the records alone are looked at, for speed."""
    found = []
    for film_id in film_ids:
        record = records.read(corpus.root, FETCH_STAGE.name, film_id)
        if record is not None and record.state == "done":
            continue
        source = corpus.source(film_id)
        if local_path(source.source) is None and build_refusal(source, today) is None:
            found.append(source)
    return found


def _choice(source: Source, settings: FetchSettings) -> archive_org.Choice:
    identifier, name = archive_org.item_of(source.source)
    site = settings.site()
    patience = replace(site.patience, tries=1, timeout_s=min(10.0, site.patience.timeout_s))
    item = archive_org.fetch_item(identifier, replace(site, patience=patience))
    return archive_org.choose_file(item, settings.max_bytes, name)


def _pace(corpus: Corpus) -> Pace | None:
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
