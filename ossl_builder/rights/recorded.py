"""What a corpus has recorded of a film, as facts with their evidence."""

from __future__ import annotations

from functools import cache

from ossl_builder.catalogue import CatalogueFilm, load_catalogue
from ossl_builder.rights.catalogued import facts_of
from ossl_builder.rights.claimed import facts_of_claim
from ossl_builder.rights.facts import Evidence, Facts
from ossl_builder.tables import Source


def facts_of_source(source: Source) -> Facts:
    """The facts of a film of a corpus.

    A claim stands for itself. A film taken from the catalogue is judged by what the catalogue of
    this version says of it, doubts included: what was found out since it was added counts.

    Raises:
        OsslError: `catalogue_broken`, `catalogue_missing`.
    """
    if source.is_claim:
        return facts_of_claim(source.basis, source.evidence, source.year)
    film = _catalogue().get(source.film_id)
    if film is not None:
        return facts_of(film)
    where = "the catalogue it was added from; the present one has no such film"
    return Facts(evidence=(Evidence(None, source.evidence, where, kind="claim"),))


@cache
def _catalogue() -> dict[str, CatalogueFilm]:
    # Read once: the gate is asked for every film of a corpus, at every command.
    return {film.film_id: film for film in load_catalogue()}
