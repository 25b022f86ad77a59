"""Search the Internet Archive for films that are not in the catalogue."""

from __future__ import annotations

from dataclasses import dataclass

from ossl_builder.catalogue.source_address import identifier_of
from ossl_builder.net import archive_org
from ossl_builder.tables.catalogue import load_catalogue


@dataclass(frozen=True)
class Candidate:
    """A search result.

    Attributes:
        identifier: the Archive's identifier of the item.
        title: the title that the uploader wrote.
        year: the year that the uploader wrote; None: no year.
        licence_url: the licence that the uploader chose; empty: none.
        size_bytes: total size of the item's files; None: not stated.
        film_id: the catalogue film that has this item as a source; None: no film has it.
    """

    identifier: str
    title: str
    year: int | None
    licence_url: str
    size_bytes: int | None
    film_id: str | None


def search(text: str, site: archive_org.Site, rows: int) -> list[Candidate]:
    """Search the Archive's films.

    Raises:
        OsslError: the errors of `archive_org.search`.
    """
    film_ids = {
        identifier_of(source): film.film_id
        for film in load_catalogue()
        for source in (film.source, *film.alternates)
    }
    return [
        Candidate(
            identifier=item.identifier,
            title=" ".join(item.title.split()),
            year=item.year,
            licence_url=item.licence_url or "",
            size_bytes=item.size_bytes,
            film_id=film_ids.get(item.identifier),
        )
        for item in archive_org.search(text, site, rows)
    ]
