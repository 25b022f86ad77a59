"""The catalogue and the corpus side by side: which films exist, and what is recorded of them."""

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
    """A film of the catalogue, or one that only the corpus has.

    Attributes:
        film_id: its id.
        tier: its tier; None: it is not in the catalogue.
        in_corpus: whether the corpus has it; then the columns below are as recorded there.
        verdict: what its evidence amounts to today.
        The others are the catalogue's columns; see `catalogue.CatalogueFilm`.
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
    """All that catalogue and corpus say of a film; at least one of the two has it."""

    film_id: str
    catalogued: CatalogueFilm | None
    recorded: Source | None

    @property
    def title(self) -> str:
        """Its title, as recorded in the corpus if it is there."""
        return self._film.title

    @property
    def year(self) -> int | None:
        """Year of first publication; None: not known."""
        return self._film.year

    @property
    def _film(self) -> CatalogueFilm | Source:
        found = self.recorded or self.catalogued
        assert found is not None
        return found

    def verdict(self, today: date) -> Verdict:
        """Whether it may be used: by what the corpus recorded if it has it, else the catalogue."""
        if self.recorded is not None:
            return verdict_of(self.recorded, today)
        assert self.catalogued is not None
        return judge(facts_of(self.catalogued), today)


class FilmIndex:
    """The catalogue, and the corpus if there is one."""

    def __init__(self, corpus: Corpus | None) -> None:
        self.catalogue = {film.film_id: film for film in load_catalogue()}
        self.corpus = corpus
        self.held = {one: corpus.source(one) for one in corpus.film_ids()} if corpus else {}

    def known(self, film_id: str) -> RecordedFilm:
        """What is known of a film.

        Raises:
            OsslError: `film_unknown`, naming ids that are near.
        """
        catalogued, recorded = self.catalogue.get(film_id), self.held.get(film_id)
        if catalogued is None and recorded is None:
            raise self.unknown(film_id)
        return RecordedFilm(film_id, catalogued, recorded)

    def unknown(self, film_id: str) -> OsslError:
        """The error for an id that neither catalogue nor corpus has."""
        near = near_ids(film_id, [*self.catalogue, *self.held])
        where = "the catalogue" if self.corpus is None else "the catalogue and the corpus"
        return OsslError(
            "film_unknown",
            f"There is no film {film_id!r} in {where}."
            + (f" Is it one of these: {', '.join(near)}?" if near else ""),
            "`ossl films list` shows all; `ossl films search TEXT` asks the Internet Archive.",
        )

    def entries(self, today: date) -> list[FilmEntry]:
        """All films of the catalogue and of the corpus, by id."""
        found = []
        for film_id in sorted({*self.catalogue, *self.held}):
            known = self.known(film_id)
            verdict = known.verdict(today)
            film, source = known.catalogued, known.recorded
            said = source or film
            assert said is not None
            found.append(
                FilmEntry(
                    film_id=film_id,
                    tier=film.tier if film else None,
                    in_corpus=source is not None,
                    verdict=verdict.word,
                    year=known.year,
                    title=known.title,
                    director=film.director if film else "",
                    source=said.source,
                    alternates=alternates_of(said),
                    country=said.country,
                    pd_basis=source.basis if source else film.pd_basis if film else "",
                    pd_evidence=source.evidence if source else film.pd_evidence if film else "",
                    jurisdiction=film.jurisdiction if film else verdict.jurisdiction,
                    risk=film.risk if film else "",
                )
            )
        return found


def alternates_of(film: CatalogueFilm | Source) -> tuple[str, ...]:
    """Further sources of a film."""
    if isinstance(film, CatalogueFilm):
        return film.alternates
    return tuple(one for one in film.alternates.split("; ") if one)


def near_ids(film_id: str, ids: Iterable[str]) -> Sequence[str]:
    """Up to three ids that look like this one, the likeliest first."""
    known = sorted(ids)
    wanted = film_id.lower()
    inside = [one for one in known if len(wanted) > 3 and wanted in one.lower()]
    return list(dict.fromkeys([*inside, *difflib.get_close_matches(wanted, known)]))[:3]


def film_details(corpus: Corpus | None, film_id: str, today: date) -> dict[str, Any]:
    """What catalogue, corpus, file and records say of a film, as plain values.

    Returns:
        `film_id`, `verdict`, `refusal` (why it would not be built, or None), and one object each,
        empty if there is nothing to say: `catalogue`, `corpus` (as recorded), `film` (the row of
        the films table), `stages` (how each ended).

    Raises:
        OsslError: `film_unknown`.
    """
    shelf = FilmIndex(corpus)
    known = shelf.known(film_id)
    verdict = known.verdict(today)
    source = known.recorded
    film: dict[str, Any] = {}
    stages: dict[str, str] = {}
    if corpus is not None and source is not None:
        for stage in STAGES:
            record = records.read(corpus.root, stage.name, film_id)
            if record is None:
                continue
            said = f"{record.n_rows} rows" if record.state == "done" else record.message
            stages[stage.name] = f"{record.state} on {record.finished[:10]}: {said}"
            if stage is FETCH_STAGE and record.state == "done":
                film = FILMS.to_json(records.read_rows(corpus.root, stage, film_id)[0])
                film["verdict"] = verdict.word  # which no record has: it depends on the day
    return {
        "film_id": film_id,
        "verdict": f"{verdict.word}: {verdict.sentence}",
        "refusal": None if source is None else build_refusal(source, today),
        "catalogue": asdict(known.catalogued) if known.catalogued else {},
        "corpus": SOURCES.to_json(source) if source else {},
        "film": film,
        "stages": stages,
    }
