"""A case being argued: the facts that count, the steps so far, and what is lacking."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import date
from typing import Any

from ossl_builder.rights.facts import COUNTING, FactName, Facts, Kind

# What each fact is called in a sentence, and what would show it.
NAMES: dict[FactName, tuple[str, str]] = {
    "year": (
        "the year of first publication",
        "a copyright entry or a dated review that shows when the film was first published",
    ),
    "country": (
        "where the film was made and first published",
        "credits or a film reference that show where it was made and first published",
    ),
    "notice": (
        "whether it was published with a copyright notice",
        "an original print, or a report on one, that shows whether it bears a copyright notice",
    ),
    "renewed": (
        "whether its copyright was renewed",
        "a search of the Copyright Office's renewal records for its 28th year",
    ),
    "government_work": (
        "whether it is a work of the United States government",
        "the credits, or an archive's record, that show whether a federal agency made it",
    ),
    "licence": (
        "a licence",
        "the licence itself, given by the holder of the rights",
    ),
    "free_at_home_1996": (
        "whether it was free in its own country on 1 January 1996",
        "the death years of its authors and the law of its country in 1996",
    ),
}
TOO_WEAK: dict[Kind, str] = {
    "listing": "it is only listed so, without a reason",
    "guess": "it is only a guess or in doubt",
    "tag": "it is only what an uploader chose, and an uploader can choose anything",
}


@dataclass
class Case:
    """The notes taken while a film is judged.

    Attributes:
        facts: what is said of the film.
        today: the day of judgement.
        steps: the reasoning, in order.
        sources: the law it rests on, in order of use.
        lacking: what would settle an open question.
        rests_on_statements: some step rests on what others state, without a record.
    """

    facts: Facts
    today: date
    steps: list[str] = field(default_factory=list)
    sources: list[str] = field(default_factory=list)
    lacking: list[str] = field(default_factory=list)
    rests_on_statements: bool = False

    def say(self, step: str, *sources: str) -> None:
        """Add a step of reasoning and the law behind it."""
        self.steps.append(step)
        self.sources += [source for source in sources if source not in self.sources]

    def lack(self, fact: FactName) -> None:
        """Note that evidence of a fact would settle the matter."""
        _, proof = NAMES[fact]
        if proof not in self.lacking:
            self.lacking.append(proof)

    def known(self, fact: FactName) -> Any:
        """The value of a fact if evidence shows it and none denies it, else None."""
        evidence = self.facts.evidence_of(fact)
        counting = [one.denies for one in evidence if one.kind in COUNTING]
        return getattr(self.facts, fact) if counting and not any(counting) else None

    def need(self, fact: FactName) -> Any:
        """As `known`; where it is not known, say why and note that it is lacking."""
        value = self.known(fact)
        if value is None:
            self.say(self._why_unknown(fact))
            self.lack(fact)
        return value

    def mention_weak(self, fact: FactName) -> None:
        """Say why a fact that would free the film does not count, if anything speaks of it."""
        if self.known(fact) is None and self.facts.evidence_of(fact):
            self.say(self._why_unknown(fact))
            self.lack(fact)

    def according(self, fact: FactName) -> str:
        """The end of a sentence that tells on whose word a known fact rests."""
        evidence = [one for one in self.facts.evidence_of(fact) if one.kind in COUNTING]
        if not any(one.kind == "record" for one in evidence):
            self.rests_on_statements = True
        return ", according to " + " and ".join(one.where for one in evidence) + "."

    def _why_unknown(self, fact: FactName) -> str:
        name, _ = NAMES[fact]
        evidence = self.facts.evidence_of(fact)
        against = [one for one in evidence if one.denies and one.kind in COUNTING]
        in_favour = [one for one in evidence if not one.denies]
        if against and in_favour:
            return (
                f"The evidence contradicts itself on {name}: {in_favour[0].where} says "
                f'"{in_favour[0].shows}", but {against[0].where} says "{against[0].shows}". '
                "So this counts as unknown."
            )
        if against:
            return f'There is evidence on {name}, but it says otherwise: "{against[0].shows}".'
        if in_favour:
            why = TOO_WEAK.get(in_favour[0].kind, "it does not say which way")
            return f"There is no good evidence on {name}: {why}."
        return f"There is no evidence on {name}."
