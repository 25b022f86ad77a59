"""Join the catalogue and the corpus: all films, with what each of the two records."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from datetime import date
from typing import Any

from ossl_builder.corpus import Corpus
from ossl_builder.engine import records
from ossl_builder.errors import OsslError
from ossl_builder.rights import Verdict, facts_of, judge, verdict_of
from ossl_builder.rights.case import Word
from ossl_builder.rights.verdict import build_refusal
from ossl_builder.stages.fetch.stage import FETCH_STAGE
from ossl_builder.stages.registry import STAGES
from ossl_builder.tables import FILMS, SOURCES, Source
from ossl_builder.tables.catalogue import CatalogueFilm, load_catalogue


@dataclass(frozen=True)
class FilmEntry:
    """A film of the catalogue or of the corpus.

    Attributes:
        film_id: its id.
        tier: its tier; None: it is not in the catalogue.
        in_corpus: whether the corpus has it; if so, the columns below come from the corpus.
        verdict: today's verdict word.
        The other attributes are columns of the catalogue; see `CatalogueFilm`.
    """

    film_id: str
    tier: str | None
    in_corpus: bool
    verdict: Word
    year: int | None
    title: str
    director: str
    source: str
    alternates: tuple[str, ...]
    country: str
    pd_basis: str
    pd_evidence: str
    jurisdiction: str
    risk: str


@dataclass(frozen=True)
class RecordedFilm:
    """A film with its rows in the catalogue and in the corpus; at least one of them exists."""

    film_id: str
    catalogued: CatalogueFilm | None
    recorded: Source | None

    @property
    def title(self) -> str:
        """The title in the corpus, or else in the catalogue."""
        return self._film.title

    @property
    def year(self) -> int | None:
        """The year of first publication; None: not known."""
        return self._film.year

    @property
    def _film(self) -> CatalogueFilm | Source:
        film = self.recorded or self.catalogued
        assert film is not None
        return film

    def verdict(self, today: date) -> Verdict:
        """Decide whether the film may be used, from the corpus' row or else the catalogue's."""
        if self.recorded is not None:
            return verdict_of(self.recorded, today)
        assert self.catalogued is not None
        return judge(facts_of(self.catalogued), today)


class FilmIndex:
    """The films of the catalogue and of a corpus, by id."""

    def __init__(self, corpus: Corpus | None) -> None:
        self.catalogue = {film.film_id: film for film in load_catalogue()}
        self.corpus = corpus
        self.held = (
            {film_id: corpus.source(film_id) for film_id in corpus.film_ids()} if corpus else {}
        )

    def known(self, film_id: str) -> RecordedFilm:
        """Return a film.

        Raises:
            OsslError: `film_unknown`, with similar ids.
        """
        catalogued, recorded = self.catalogue.get(film_id), self.held.get(film_id)
        if catalogued is None and recorded is None:
            raise self.unknown(film_id)
        return RecordedFilm(film_id, catalogued, recorded)

    def unknown(self, film_id: str) -> OsslError:
        """Return the error for an id that neither catalogue nor corpus has."""
        near = near_ids(film_id, [*self.catalogue, *self.held])
        where = "the catalogue" if self.corpus is None else "the catalogue and the corpus"
        return OsslError(
            "film_unknown",
            f"There is no film {film_id!r} in {where}."
            + (f" Is it one of these: {', '.join(near)}?" if near else ""),
            "`ossl films list` shows all; `ossl films search TEXT` asks the Internet Archive.",
        )

    def entries(self, today: date) -> list[FilmEntry]:
        """Return all films of the catalogue and of the corpus, sorted by id."""
        entries = []
        for film_id in sorted({*self.catalogue, *self.held}):
            recorded_film = self.known(film_id)
            verdict = recorded_film.verdict(today)
            film, source = recorded_film.catalogued, recorded_film.recorded
            row = source or film
            assert row is not None
            entries.append(
                FilmEntry(
                    film_id=film_id,
                    tier=film.tier if film else None,
                    in_corpus=source is not None,
                    verdict=verdict.word,
                    year=recorded_film.year,
                    title=recorded_film.title,
                    director=film.director if film else "",
                    source=row.source,
                    alternates=alternates_of(row),
                    country=row.country,
                    pd_basis=source.basis if source else film.pd_basis if film else "",
                    pd_evidence=source.evidence if source else film.pd_evidence if film else "",
                    jurisdiction=film.jurisdiction if film else verdict.jurisdiction,
                    risk=film.risk if film else "",
                )
            )
        return entries


def alternates_of(film: CatalogueFilm | Source) -> tuple[str, ...]:
    """Return the alternate sources of a film."""
    if isinstance(film, CatalogueFilm):
        return film.alternates
    return tuple(address for address in film.alternates.split("; ") if address)


def near_ids(film_id: str, ids: Iterable[str]) -> Sequence[str]:
    """Return up to three similar ids, the most similar first."""
    sorted_ids = sorted(ids)
    lower_id = film_id.lower()
    inside = [
        candidate for candidate in sorted_ids if len(lower_id) > 3 and lower_id in candidate.lower()
    ]
    return list(dict.fromkeys([*inside, *difflib.get_close_matches(lower_id, sorted_ids)]))[:3]


def film_details(corpus: Corpus | None, film_id: str, today: date) -> dict[str, Any]:
    """Return the data of a film from catalogue, corpus and records, as plain values.

    Returns:
        `film_id`, `verdict`, `refusal` (why it may not be built, or None), and these objects, each
        empty if there is no data: `catalogue`, `corpus` (the recorded row), `film` (the row of the
        films table), `stages` (the result of each).

    Raises:
        OsslError: `film_unknown`.
    """
    film_index = FilmIndex(corpus)
    recorded_film = film_index.known(film_id)
    verdict = recorded_film.verdict(today)
    source = recorded_film.recorded
    film: dict[str, Any] = {}
    stages: dict[str, str] = {}
    if corpus is not None and source is not None:
        for stage in STAGES:
            record = records.read(corpus.root, stage.name, film_id)
            if record is None:
                continue
            result = f"{record.n_rows} rows" if record.state == "done" else record.message
            stages[stage.name] = f"{record.state} on {record.finished[:10]}: {result}"
            if stage is FETCH_STAGE and record.state == "done":
                film = FILMS.to_json(records.read_rows(corpus.root, stage, film_id)[0])
                film["verdict"] = verdict.word  # not in the record, because it depends on the day
    return {
        "film_id": film_id,
        "verdict": f"{verdict.word}: {verdict.sentence}",
        "refusal": None if source is None else build_refusal(source, today),
        "catalogue": asdict(recorded_film.catalogued) if recorded_film.catalogued else {},
        "corpus": SOURCES.to_json(source) if source else {},
        "film": film,
        "stages": stages,
    }
