"""What a corpus has recorded of a film, as facts with their evidence, and the verdict on it."""

from __future__ import annotations

from datetime import date
from functools import cache

from ossl_builder.catalogue import CatalogueFilm, load_catalogue
from ossl_builder.rights.catalogued import facts_of
from ossl_builder.rights.claimed import facts_of_claim
from ossl_builder.rights.facts import Evidence, Facts
from ossl_builder.rights.judge import judge
from ossl_builder.rights.verdict import Verdict
from ossl_builder.tables import Source

# Films of the catalogue come from the Internet Archive; imported clips have another source.
ARCHIVE = "ia:"


def verdict_of(source: Source, today: date) -> Verdict:
    """Conclude whether a film of a corpus may be used.

    The one decision for gate, explain, report, statistics and every export. It depends on the
    day, because terms end with a year.

    Args:
        source: what the corpus recorded of the film.
        today: the day of judgement.

    Raises:
        OsslError: `catalogue_broken`, `catalogue_missing`.
    """
    return judge(facts_of_source(source), today)


def facts_of_source(source: Source) -> Facts:
    """The facts of a film of a corpus.

    A claim stands for itself. A film taken from the catalogue is judged by what the catalogue of
    this version says of it, doubts included: what was found out since it was added counts.

    Raises:
        OsslError: `catalogue_broken`, `catalogue_missing`.
    """
    if source.is_claim:
        return facts_of_claim(source.basis, source.evidence, source.year)
    film = _catalogue().get(source.film_id) if source.source.startswith(ARCHIVE) else None
    if film is not None:
        return facts_of(film)
    where = "the corpus' record of it; the present catalogue has no such film from its source"
    return Facts(evidence=(Evidence(None, source.evidence, where, kind="claim"),))


@cache
def _catalogue() -> dict[str, CatalogueFilm]:
    # Read once: the gate is asked for every film of a corpus, at every command.
    return {film.film_id: film for film in load_catalogue()}
