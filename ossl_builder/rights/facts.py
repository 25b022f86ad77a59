"""The facts of a film that decide its rights, with the evidence of each."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from ossl_builder.errors import OsslError

if TYPE_CHECKING:
    from ossl_builder.tables.catalogue import CatalogueFilm

FactName = Literal[
    "year",
    "country",
    "notice",
    "renewed",
    "government_work",
    "licence",
    "free_at_home_1996",
]
# A record is an entry of a register, a credit or a licence text. A statement gives a reason. A
# listing calls a film free without a reason. A guess was made from the title or similar data. A
# tag was chosen by an uploader. A claim was made by the user.
Kind = Literal["record", "statement", "listing", "guess", "tag", "claim"]
COUNTING: frozenset[Kind] = frozenset({"record", "statement"})


@dataclass(frozen=True)
class Evidence:
    """An item of evidence that shows or denies a fact.

    Attributes:
        fact: the field of `Facts` that the evidence concerns; None: no field in particular.
        shows: what the evidence shows, in words.
        where: where the evidence can be found.
        kind: the kind of evidence; only a record or a statement counts.
        denies: whether the evidence contradicts the value in `Facts`.
    """

    fact: FactName | None
    shows: str
    where: str
    kind: Kind = "statement"
    denies: bool = False


@dataclass(frozen=True)
class Risk:
    """A right or problem that can remain although the film's own copyright does not prevent use.

    Attributes:
        kind: one or two words, such as `score`, `songs`, `restoration`, `story`, `territory`.
        text: a description of the risk.
    """

    kind: str
    text: str


@dataclass(frozen=True)
class Facts:
    """The facts that decide a film's rights in the United States. None: not known.

    A value counts only with evidence. Without a record or a statement that shows it, the value is
    treated as not known.

    Attributes:
        year: year of first publication.
        country: where it was made and first published: ISO 3166 codes joined by ``/``.
        notice: whether it was published with a copyright notice.
        renewed: whether its copyright was renewed.
        government_work: whether the United States government made it.
        licence: the licence under which the holder of the rights permits its use.
        free_at_home_1996: whether it was free in its own country on 1 January 1996.
        is_co_production: whether a company produced, or may have produced, a part of a
            government work. This field and the next two need no evidence: a doubt is enough.
        is_restored: whether the copy is, or may be, a restoration.
        is_new_version: whether the copy is, or may be, a coloured, recut or rescored version.
        evidence: the evidence of these facts.
        risks: the risks of this film in particular.
        claimed_basis: the basis that the user claims; if set, it replaces all other facts.
    """

    year: int | None = None
    country: str | None = None
    notice: bool | None = None
    renewed: bool | None = None
    government_work: bool | None = None
    licence: str | None = None
    free_at_home_1996: bool | None = None
    is_co_production: bool = False
    is_restored: bool = False
    is_new_version: bool = False
    evidence: tuple[Evidence, ...] = ()
    risks: tuple[Risk, ...] = ()
    claimed_basis: str | None = None

    def evidence_of(self, fact: FactName) -> tuple[Evidence, ...]:
        """Return the evidence that concerns one fact."""
        return tuple(item for item in self.evidence if item.fact == fact)


ITEM = re.compile(r"(?P<about>[a-z ]+): (?P<shows>[^\[\]]+) \[(?P<where>[^\[\]]+)\]")
# The subject of an item of evidence, and the fact that the item concerns.
ABOUT: dict[str, FactName | None] = {
    "published": "year",
    "country": "country",
    "no notice": "notice",
    "not renewed": "renewed",
    "government work": "government_work",
    "licence": "licence",
    "listed": None,
}
# The fact that a basis depends on. In tier B this fact is guessed or doubtful.
RESTS_ON: dict[str, FactName] = {
    "expired_95y": "year",
    "not_renewed": "renewed",
    "no_notice": "notice",
    "us_government_work": "government_work",
    "licensed": "licence",
}


def facts_of(film: CatalogueFilm) -> Facts:
    """Return the facts of a film of the catalogue.

    Raises:
        OsslError: `catalogue_broken`, if its evidence or risk is not in the catalogue's format.
    """
    doubtful = RESTS_ON.get(film.pd_basis) if film.tier == "B" else None
    evidence = tuple(_parse_evidence(film, item, doubtful) for item in film.pd_evidence.split("; "))
    risks = tuple(_parse_risk(film, item) for item in film.risk.split("; ") if item)
    shows = {entry.fact: entry.shows for entry in evidence}
    kinds = {risk.kind for risk in risks}
    return Facts(
        year=film.year,
        country=film.country or None,
        notice=False if "notice" in shows else None,
        renewed=False if "renewed" in shows else None,
        government_work=True if "government_work" in shows else None,
        licence=shows.get("licence"),
        is_co_production="co-production" in kinds,
        is_restored="copy" in kinds,
        evidence=evidence,
        risks=risks,
    )


def _parse_evidence(film: CatalogueFilm, item: str, doubtful: FactName | None) -> Evidence:
    match = ITEM.fullmatch(item)
    if match is None or match["about"] not in ABOUT:
        raise _broken(film, "evidence", item)
    fact = ABOUT[match["about"]]
    kind: Kind = "listing" if fact is None else "guess" if fact == doubtful else "statement"
    return Evidence(fact, match["shows"], match["where"], kind)


def _parse_risk(film: CatalogueFilm, item: str) -> Risk:
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
