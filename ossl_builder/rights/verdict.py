"""What is concluded of a film's rights, and the law it rests on."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from typing import Literal

from ossl_builder.rights.facts import Evidence, Risk

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

# Nobody has the copyright, so that no licence is needed.
PUBLIC_DOMAIN: frozenset[Word] = FREE - {"licensed"}

# The longest term of a film published before 1978, counted from the year after publication.
TERM_YEARS = 95

# Where to read on: pointers, not an interpretation. The sections of the Act of 1909 are numbered
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
    """A conclusion about one film under United States law. No legal advice.

    Attributes:
        word: the conclusion. `protected` stands where evidence shows that the film is not free,
            which would be untruly called unknown.
        sentence: the conclusion for a person.
        reasoning: how it was reached, one or a few plain sentences per step.
        sources: the law it rests on.
        evidence: what shows the facts, and what was found wanting.
        lacking: what would settle it; empty unless the word is `unknown`.
        holds_from: a day on which the film was surely free already; None: not free, or by licence.
        changes_on: the day on which the film becomes free at the latest, because its longest term
            has ended the day before; None: it is free, or that day is not known.
        risks: what may be protected apart from the film.
        is_claim: it rests on the user's word alone.
        jurisdiction: whose law.
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
        """Whether the film may be used, as far as this verdict goes."""
        return self.word in FREE


def spoken(day: date) -> str:
    """A date for reading aloud: ``1 January 2027``, in English whatever the locale."""
    months = (
        "January", "February", "March", "April", "May", "June", "July",
        "August", "September", "October", "November", "December",
    )  # fmt: skip
    return f"{day.day} {months[day.month - 1]} {day.year}"


def free_from(year: int) -> date:
    """The first day after the longest term of a film published in `year`, before 1978.

    95 years from publication, to the end of the calendar year (17 U.S.C. 304 and 305).
    """
    return date(year + TERM_YEARS + 1, 1, 1)
