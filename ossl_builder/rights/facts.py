"""What is known of a film that bears on its rights, and what shows it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

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
