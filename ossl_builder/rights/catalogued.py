"""What the catalogue says of a film, as facts with their evidence."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from ossl_builder.errors import OsslError
from ossl_builder.rights.facts import Evidence, FactName, Facts, Kind, Risk

if TYPE_CHECKING:
    from ossl_builder.catalogue import CatalogueFilm

ITEM = re.compile(r"(?P<about>[a-z ]+): (?P<shows>[^\[\]]+) \[(?P<where>[^\[\]]+)\]")
# What an item of evidence is about, and which fact it bears on.
ABOUT: dict[str, FactName | None] = {
    "published": "year",
    "country": "country",
    "no notice": "notice",
    "not renewed": "renewed",
    "government work": "government_work",
    "licence": "licence",
    "listed": None,
}
# The fact that a basis rests on. In tier B it is guessed or in doubt.
RESTS_ON: dict[str, FactName] = {
    "expired_95y": "year",
    "not_renewed": "renewed",
    "no_notice": "notice",
    "us_government_work": "government_work",
    "licensed": "licence",
}


def facts_of(film: CatalogueFilm) -> Facts:
    """The facts of a film of the catalogue.

    Raises:
        OsslError: `catalogue_broken`, if its evidence or risk is not in the catalogue's form.
    """
    doubtful = RESTS_ON.get(film.pd_basis) if film.tier == "B" else None
    evidence = tuple(_evidence(film, item, doubtful) for item in film.pd_evidence.split("; "))
    risks = tuple(_risk(film, item) for item in film.risk.split("; ") if item)
    shown = {one.fact: one.shows for one in evidence}
    kinds = {risk.kind for risk in risks}
    return Facts(
        year=film.year,
        country=film.country or None,
        notice=False if "notice" in shown else None,
        renewed=False if "renewed" in shown else None,
        government_work=True if "government_work" in shown else None,
        licence=shown.get("licence"),
        is_co_production="co-production" in kinds,
        is_restored="copy" in kinds,
        evidence=evidence,
        risks=risks,
    )


def _evidence(film: CatalogueFilm, item: str, doubtful: FactName | None) -> Evidence:
    found = ITEM.fullmatch(item)
    if found is None or found["about"] not in ABOUT:
        raise _broken(film, "evidence", item)
    fact = ABOUT[found["about"]]
    kind: Kind = "listing" if fact is None else "guess" if fact == doubtful else "statement"
    return Evidence(fact, found["shows"], found["where"], kind)


def _risk(film: CatalogueFilm, item: str) -> Risk:
    kind, colon, text = item.partition(": ")
    if not colon:
        raise _broken(film, "risk", item)
    return Risk(kind, text)


def _broken(film: CatalogueFilm, column: str, item: str) -> OsslError:
    return OsslError(
        "catalogue_broken",
        f"The catalogue's {column} of {film.film_id} cannot be read: {item!r}.",
        "Correct that line of the catalogue, or install ossl-builder again.",
    )
