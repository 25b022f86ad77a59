"""The catalogue: films that anyone may use, with their sources and evidence of rights."""

from __future__ import annotations

import csv
import re
from dataclasses import dataclass
from pathlib import Path

from ossl_builder.errors import OsslError
from ossl_builder.files import bundled_folder
from ossl_builder.tables import checked_film_id

# Reasons why a film may be used, as stated by a source.
BASES = (
    "expired_95y",
    "not_renewed",
    "no_notice",
    "us_government_work",
    "licensed",
    "unstated",
)
# A: the basis is stated, with evidence. B: the basis is not stated, guessed or doubtful.
# C: not a US production, or a doubtful copy.
TIERS = ("A", "B", "C")

COLUMNS = (
    "film_id",
    "title",
    "year",
    "director",
    "source",
    "alternates",
    "country",
    "pd_basis",
    "pd_evidence",
    "jurisdiction",
    "risk",
    "tier",
)
IDENTIFIER = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9_-]|\.(?!\.)){0,99}")
FILE_NAME = re.compile(r"[^\x00-\x1f\x7f\\;]{1,255}")


@dataclass(frozen=True)
class CatalogueFilm:
    """One film of the catalogue.

    Attributes:
        film_id: the film's id, in the catalogue and in a corpus.
        title: its title.
        year: year of first publication.
        director: the director; empty: unknown.
        source: ``ia:<identifier>``, optionally ``/<file name>``.
        alternates: further sources of the same film, in the same form as `source`.
        country: ISO 3166 codes joined by ``/``; empty: unknown.
        pd_basis: why the film is in the public domain or licensed; one of `BASES`.
        pd_evidence: evidence of the basis.
        jurisdiction: the country whose law the basis refers to.
        risk: remaining risks, and the reason for the tier if it is not obvious.
        tier: one of `TIERS`.
    """

    film_id: str
    title: str
    year: int
    director: str
    source: str
    alternates: tuple[str, ...]
    country: str
    pd_basis: str
    pd_evidence: str
    jurisdiction: str
    risk: str
    tier: str


def checked_source(text: str) -> str:
    """Return `text` if it is ``ia:<identifier>`` or ``ia:<identifier>/<file name>``.

    The file name may contain folders of its item, but cannot lead out of the item.

    Raises:
        OsslError: `source_invalid`.
    """
    scheme, _, rest = text.partition(":")
    identifier, slash, name = rest.partition("/")
    parts = name.split("/") if slash else []
    if (
        scheme == "ia"
        and IDENTIFIER.fullmatch(identifier)
        and all(FILE_NAME.fullmatch(part) and part not in (".", "..") for part in parts)
    ):
        return text
    raise OsslError(
        "source_invalid",
        f"{text!r} is not a source of the Internet Archive.",
        "Write ia:<identifier>, or ia:<identifier>/<file name>.",
    )


def load_catalogue() -> tuple[CatalogueFilm, ...]:
    """Return all films of the bundled catalogue, sorted by `film_id`.

    Raises:
        OsslError: `catalogue_missing`; `catalogue_broken`, with the line number.
    """
    return read_catalogue(bundled_folder("manifests") / "films.csv")


def read_catalogue(path: Path) -> tuple[CatalogueFilm, ...]:
    """Return all films of a catalogue file, in file order; raise as `load_catalogue` does."""
    try:
        file = path.open(encoding="utf-8", newline="")
    except OSError as error:
        raise OsslError(
            "catalogue_missing",
            f"The catalogue {path} cannot be read ({error.strerror}).",
            "Install ossl-builder again.",
        ) from None
    with file:
        lines = csv.DictReader(file, strict=True)
        try:
            if tuple(lines.fieldnames or ()) != COLUMNS:
                raise ValueError("its columns are not " + ", ".join(COLUMNS))
            return tuple(_film(line) for line in lines)
        except (OsslError, ValueError, csv.Error) as error:
            raise OsslError(
                "catalogue_broken",
                f"The catalogue {path} is broken at line {lines.line_num}: {error}",
                "Correct that line, or install ossl-builder again.",
            ) from None


def _film(line: dict[str, str]) -> CatalogueFilm:
    # DictReader stores extra cells under the key None, and fills missing cells with None.
    if set(line) != set(COLUMNS) or None in line.values():
        raise ValueError("it has too many cells or too few")
    for name, allowed in (("pd_basis", BASES), ("tier", TIERS)):
        if line[name] not in allowed:
            raise ValueError(f"{name} is {line[name]!r}, not one of {', '.join(allowed)}")
    return CatalogueFilm(
        film_id=checked_film_id(line["film_id"]),
        title=line["title"],
        year=int(line["year"]),
        director=line["director"],
        source=checked_source(line["source"]),
        alternates=tuple(
            checked_source(source) for source in line["alternates"].split("; ") if source
        ),
        country=line["country"],
        pd_basis=line["pd_basis"],
        pd_evidence=line["pd_evidence"],
        jurisdiction=line["jurisdiction"],
        risk=line["risk"],
        tier=line["tier"],
    )
