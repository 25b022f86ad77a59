"""From a film's facts to a verdict under United States law, with the reasoning in words.

No legal advice.
"""

from __future__ import annotations

from datetime import date

from ossl_builder.rights.case import Case
from ossl_builder.rights.claimed import judge_claim
from ossl_builder.rights.facts import Facts
from ossl_builder.rights.risks import risks_of
from ossl_builder.rights.rules import is_licensed, original_work
from ossl_builder.rights.verdict import (
    FREE,
    NEW_MATERIAL,
    TERM_YEARS,
    Verdict,
    Word,
    free_from,
    spoken,
)


def judge(facts: Facts, today: date) -> Verdict:
    """Conclude whether a film is free in the United States, and say why.

    A fact without evidence counts as unknown, and so does one whose evidence contradicts itself.

    Args:
        facts: what is said of the film, with its evidence.
        today: the day of judgement; the term of 95 years is counted back from its year.
    """
    if facts.claimed_basis is not None:
        return judge_claim(facts, facts.claimed_basis, today)
    case = Case(facts, today)
    year = case.known("year")
    word = original_work(case, year)
    ends = free_from(year) if year is not None and year < 1978 else None
    altered = facts.is_restored or facts.is_new_version
    if altered and word in FREE and word != "licensed":
        case.say(
            "So far this is about the film as first shown. But the copy at hand is, or may be, "
            + ("a newer version of it" if facts.is_new_version else "a restoration of it")
            + ", and what was added to a film has a copyright of its own.",
            NEW_MATERIAL,
        )
        # Nobody knows from the film's year when that of an addition ends.
        ends = None
        word = "licensed" if is_licensed(case) else "unknown"
        case.lacking.append("a copy made from an old print, without additions")
    if word in FREE and case.rests_on_statements:
        case.say("This rests on what others state. This program looked up no record itself.")
    if word == "unknown" and not altered and any(one.kind == "listing" for one in facts.evidence):
        case.say(
            "Lists call the film public domain without giving a reason. That is a hint, "
            "and no evidence."
        )
    return Verdict(
        word=word,
        sentence=_sentence(word, year, ends, facts),
        reasoning=tuple(case.steps),
        sources=tuple(case.sources),
        evidence=facts.evidence,
        lacking=tuple(case.lacking) if word == "unknown" else (),
        holds_from=_holds_from(word, year),
        changes_on=None if word in FREE else ends,
        risks=risks_of(facts),
    )


def _holds_from(word: Word, year: int | None) -> date | None:
    if year is None:
        return None
    # Only the year of publication is known, so these are the first days that are surely free.
    after = {"expired": TERM_YEARS, "not_renewed": 28, "no_notice": 0, "government_work": 0}
    return date(year + after[word] + 1, 1, 1) if word in after else None


def _sentence(word: Word, year: int | None, ends: date | None, facts: Facts) -> str:
    since = _holds_from(word, year)
    day = "" if since is None else spoken(since)
    term = ""
    if ends is not None:
        term = f"protected until {spoken(date(ends.year - 1, 12, 31))}; "
        term += f"expired from {spoken(ends)}"
    match word:
        case "expired":
            return (
                f"Free in the United States: its term has ended, and it has been free since {day}."
            )
        case "not_renewed":
            return (
                "Free in the United States: its copyright was not renewed. "
                f"It has been free since {day} at the latest."
            )
        case "no_notice":
            return "Free in the United States: it was published without a copyright notice."
        case "government_work":
            return "Free in the United States: it is a work of the United States government."
        case "licensed":
            return f"It may be used under a licence: {facts.licence}."
        case "restored_uraa":
            return (
                f"Not free in the United States: its copyright was restored in 1996. It is {term}."
            )
        case "protected":
            return f"Not free in the United States: it is {term}."
        case _:
            return "It is not known whether this film is free in the United States." + (
                f" If it is protected, then only for a time: {term}." if term else ""
            )
