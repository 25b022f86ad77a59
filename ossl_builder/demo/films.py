"""The three demo films: excerpts of real films, their credits, and why they may be used."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import date
from pathlib import Path

from ossl_builder.catalogue.add import AddRequest, Claim, chosen_sources
from ossl_builder.catalogue.film_index import FilmIndex
from ossl_builder.corpus import Corpus

FOLDER = Path(__file__).parent / "films"
CC_BY_3 = "https://creativecommons.org/licenses/by/3.0/"


@dataclass(frozen=True)
class DemoFilm:
    """An excerpt of a real film, with its own audio.

    Attributes:
        file: its name in `FOLDER`.
        sha256: the checksum of that file.
        claim: its id, title and year, and the basis and evidence of its rights.
        licence: the address of its licence; empty: it is in the public domain.
        credit: who must be, or ought to be, named.
    """

    file: str
    sha256: str
    claim: Claim
    licence: str
    credit: str

    @property
    def path(self) -> Path:
        """The file."""
        return FOLDER / self.file


FILMS = (
    DemoFilm(
        file="caminandes_llama_drama_2013.webm",
        sha256="f3f69708077ba0a7648a40cf6c79852281ed948f3202e078aadab75adae9e098",
        claim=Claim(
            film_id="demo-caminandes",
            title="Caminandes: Llama Drama (excerpt)",
            year=2013,
            basis="licensed",
            evidence="Published by the Blender Institute at caminandes.com under CC-BY 3.0, "
            f"{CC_BY_3}",
        ),
        licence=CC_BY_3,
        credit="(c) Blender Institute, caminandes.com, CC-BY 3.0",
    ),
    DemoFilm(
        file="sintel_trailer_2010.mp4",
        sha256="ca4e963c0adf756dcde7cdf98aa3cecaed395e09212a09bf168bb79b60b1c0b4",
        claim=Claim(
            film_id="demo-sintel",
            title="Sintel (trailer)",
            year=2010,
            country="NL",
            basis="licensed",
            evidence="The trailer's own credits name Creative Commons Attribution 3.0 (at 49 s); "
            f"published by the Blender Foundation at durian.blender.org, {CC_BY_3}",
        ),
        licence=CC_BY_3,
        credit="(c) Blender Foundation, durian.blender.org, CC-BY 3.0",
    ),
    DemoFilm(
        file="steamboat_willie_1928.mp4",
        sha256="4891a4fc08aadd2aa7f76de2fb6ce80f8ea4c149330c97b8782153f26479185d",
        claim=Claim(
            film_id="demo-steamboat",
            title="Steamboat Willie (excerpt)",
            year=1928,
            country="US",
            basis="expired_95y",
            evidence="First shown in New York on 18 November 1928. The term of 95 years ended on "
            "31 December 2023",
        ),
        licence="",
        credit="Walt Disney and Ub Iwerks, 1928; public domain in the United States",
    ),
)


def add_films(corpus: Corpus) -> None:
    """Record the demo films in a corpus, as `ossl films add` does; recorded films stay as they are.

    The caller holds the corpus' lock.

    Raises:
        OsslError: `source_damaged`, `catalogue_broken`, `catalogue_missing`.
    """
    recorded = set(corpus.film_ids())
    index = FilmIndex(corpus)
    for film in FILMS:
        if film.claim.film_id in recorded:
            continue
        request = AddRequest((str(film.path),), claim=film.claim, sha256=film.sha256)
        (source,) = chosen_sources(index, request, date.today())
        corpus.record_source(replace(source, licence=film.licence))
