"""Facts on a film that decide its rights, each with its evidence."""

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
# A record is an entry of a register, a credit, a licence text; a statement is somebody saying so
# with a reason. A listing calls a film free without a reason; a guess goes by its title or the
# like; a tag is what an uploader chose; a claim is the user's own.
Kind = Literal["record", "statement", "listing", "guess", "tag", "claim"]
COUNTING: frozenset[Kind] = frozenset({"record", "statement"})


@dataclass(frozen=True)
class Evidence:
    """Something that shows, or denies, a fact.

    Attributes:
        fact: the field of `Facts` it bears on; None: on none in particular.
        shows: what it shows, in words.
        where: where it is to be found.
        kind: what it is; only a record or a statement counts.
        denies: it speaks against the value that `Facts` has.
    """

    fact: FactName | None
    shows: str
    where: str
    kind: Kind = "statement"
    denies: bool = False


@dataclass(frozen=True)
class Risk:
    """What may be protected or go wrong apart from the film's own copyright.

    Attributes:
        kind: one or two words, such as `score`, `songs`, `restoration`, `story`, `territory`.
        text: what it is, in words.
    """

    kind: str
    text: str


@dataclass(frozen=True)
class Facts:
    """What bears on a film's rights in the United States. None: not known.

    A value counts only with evidence: without a record or a statement that shows it, it is
    treated as not known.

    Attributes:
        year: year of first publication.
        country: where it was made and first published: ISO 3166 codes joined by ``/``.
        notice: whether it was published with a copyright notice.
        renewed: whether its copyright was renewed.
        government_work: whether the United States government made it.
        licence: the licence under which the holder of the rights permits its use.
        free_at_home_1996: whether it was free in its own country on 1 January 1996.
        is_co_production: a company had, or may have had, a part in a government work. For this
            and the next two a doubt is enough: they need no evidence.
        is_restored: the copy at hand is, or may be, a restoration.
        is_new_version: the copy is, or may be, coloured, cut or scored anew.
        evidence: what shows these facts.
        risks: risks of this film in particular.
        claimed_basis: why its user says it may be used; then their word stands for all facts.
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
        """The evidence that bears on one fact."""
        return tuple(one for one in self.evidence if one.fact == fact)


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
