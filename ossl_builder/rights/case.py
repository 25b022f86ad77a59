"""The verdict on a film, and the case: the working state from which a verdict is made."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import date
from typing import Any, Literal

from ossl_builder.rights.facts import COUNTING, Evidence, FactName, Facts, Kind, Risk

Word = Literal[
    "expired",
    "not_renewed",
    "no_notice",
    "government_work",
    "licensed",
    "restored_uraa",
    "protected",
    "unknown",
]
FREE: frozenset[Word] = frozenset(
    {"expired", "not_renewed", "no_notice", "government_work", "licensed"}
)

# Verdicts under which nobody has the copyright, so that no licence is needed.
PUBLIC_DOMAIN: frozenset[Word] = FREE - {"licensed"}

# The longest term in years of a film published before 1978, from the year after publication.
TERM_YEARS = 95

# References to the law, without an interpretation. The sections of the Act of 1909 are numbered
# as codified in 1947.
TERM = "17 U.S.C. 304 and 305 (terms of works published before 1978; they run to the year's end)"
NOTICE_1909 = "Copyright Act of 1909, s. 10 (notice on publication)"
RENEWAL_1909 = "Copyright Act of 1909, s. 24 (28 years, and renewal)"
AUTOMATIC_RENEWAL = "17 U.S.C. 304(a) and Public Law 102-307 of 1992 (renewal made automatic)"
TERM_1978 = "17 U.S.C. 302 (terms of works from 1978 on)"
OMITTED_NOTICE = "17 U.S.C. 405 (a missing notice, 1978 to 28 February 1989, and its cure)"
GOVERNMENT = "17 U.S.C. 105 and 101; Copyright Act of 1909, s. 8 (works of the US government)"
URAA = "17 U.S.C. 104A; Uruguay Round Agreements Act, s. 514 (restoration of foreign works)"
LICENCE = "17 U.S.C. 106 (what the holder of the rights may permit)"
NEW_MATERIAL = "17 U.S.C. 103(b) (what is added to an older work is protected on its own)"


@dataclass(frozen=True)
class Verdict:
    """A conclusion about one film under United States law. This is no legal advice.

    Attributes:
        word: the conclusion. `protected` means that evidence shows that the film is not free;
            `unknown` means that the evidence does not suffice.
        sentence: the conclusion as a sentence for the user.
        reasoning: the steps of the reasoning, one or a few sentences each.
        sources: the law that the conclusion uses.
        evidence: the evidence of the facts, including evidence that does not count.
        lacking: the evidence that would decide an open question; empty unless `word` is `unknown`.
        holds_from: a day on which the film was certainly free; None: not free, or by licence.
        changes_on: the latest day on which the film becomes free, which is the day after the end
            of its longest term; None: the film is free, or the day is not known.
        risks: rights of others that may exist apart from the film's copyright.
        is_claim: whether the conclusion uses only the user's claim.
        jurisdiction: the country whose law is applied.
    """

    word: Word
    sentence: str
    reasoning: tuple[str, ...]
    sources: tuple[str, ...]
    evidence: tuple[Evidence, ...]
    lacking: tuple[str, ...]
    holds_from: date | None
    changes_on: date | None
    risks: tuple[Risk, ...]
    is_claim: bool = False
    jurisdiction: str = "US"

    @property
    def is_free(self) -> bool:
        """Return whether the film may be used according to this verdict."""
        return self.word in FREE


def spoken(day: date) -> str:
    """Return a date in words, such as ``1 January 2027``, in English in every locale."""
    months = (
        "January", "February", "March", "April", "May", "June", "July",
        "August", "September", "October", "November", "December",
    )  # fmt: skip
    return f"{day.day} {months[day.month - 1]} {day.year}"


def free_from(year: int) -> date:
    """Return the first day after the longest term of a film published in `year`, before 1978.

    The term is 95 years from publication, to the end of the calendar year (17 U.S.C. 304 and 305).
    """
    return date(year + TERM_YEARS + 1, 1, 1)


# Each fact as a noun phrase for a sentence, and the evidence that would show it.
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
    """The working state while the verdict on a film is made.

    Attributes:
        facts: the facts of the film.
        today: the day for which the verdict is made.
        steps: the steps of the reasoning, in order.
        sources: the law that the steps use, in order of use.
        lacking: the evidence that would decide an open question.
        rests_on_statements: whether a step uses a statement that no record confirms.
    """

    facts: Facts
    today: date
    steps: list[str] = field(default_factory=list)
    sources: list[str] = field(default_factory=list)
    lacking: list[str] = field(default_factory=list)
    rests_on_statements: bool = False

    def add_step(self, step: str, *sources: str) -> None:
        """Add a step of the reasoning and the law that it uses."""
        self.steps.append(step)
        self.sources += [source for source in sources if source not in self.sources]

    def add_missing(self, fact: FactName) -> None:
        """Add the evidence that would show a fact to the missing evidence, once."""
        _, proof = NAMES[fact]
        if proof not in self.lacking:
            self.lacking.append(proof)

    def known(self, fact: FactName) -> Any:
        """Return the value of a fact if evidence shows it and no evidence denies it, else None."""
        evidence = self.facts.evidence_of(fact)
        denials = [item.denies for item in evidence if item.kind in COUNTING]
        return getattr(self.facts, fact) if denials and not any(denials) else None

    def require(self, fact: FactName) -> Any:
        """Return the value as `known` does; if it is None, add the reason and what is missing."""
        value = self.known(fact)
        if value is None:
            self.add_step(self._why_unknown(fact))
            self.add_missing(fact)
        return value

    def mention_weak(self, fact: FactName) -> None:
        """Add the reason why a fact is unknown although there is evidence of it."""
        if self.known(fact) is None and self.facts.evidence_of(fact):
            self.add_step(self._why_unknown(fact))
            self.add_missing(fact)

    def according(self, fact: FactName) -> str:
        """Return the end of a sentence that names the sources of a known fact."""
        evidence = [item for item in self.facts.evidence_of(fact) if item.kind in COUNTING]
        if not any(item.kind == "record" for item in evidence):
            self.rests_on_statements = True
        return ", according to " + " and ".join(item.where for item in evidence) + "."

    def _why_unknown(self, fact: FactName) -> str:
        name, _ = NAMES[fact]
        evidence = self.facts.evidence_of(fact)
        against = [item for item in evidence if item.denies and item.kind in COUNTING]
        in_favour = [item for item in evidence if not item.denies]
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
