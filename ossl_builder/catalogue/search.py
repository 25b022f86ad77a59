"""Search the Internet Archive for films that are not in the catalogue."""

from __future__ import annotations

from dataclasses import dataclass

from ossl_builder.catalogue.source_address import identifier_of
from ossl_builder.net import archive_org
from ossl_builder.tables.catalogue import load_catalogue


@dataclass(frozen=True)
class Candidate:
    """An item that a search found.

    Attributes:
        identifier: the Archive's.
        title: as its uploader wrote it.
        year: as its uploader wrote it; None: not told.
        licence_url: what its uploader chose; empty: nothing.
        size_bytes: of all its files together; None: not told.
        film_id: the film of the catalogue it is a source of; None: of none.
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
        OsslError: what `archive.search` raises.
    """
    known = {
        identifier_of(source): film.film_id
        for film in load_catalogue()
        for source in (film.source, *film.alternates)
    }
    return [
        Candidate(
            identifier=one.identifier,
            title=" ".join(one.title.split()),
            year=one.year,
            licence_url=one.licence_url or "",
            size_bytes=one.size_bytes,
            film_id=known.get(one.identifier),
        )
        for one in archive_org.search(text, site, rows)
    ]
