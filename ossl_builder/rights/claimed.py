"""A user's own film: their word is taken, recorded as theirs, and checked against the calendar."""

from __future__ import annotations

import re
from datetime import date

from ossl_builder.rights.facts import Evidence, Facts, Risk
from ossl_builder.rights.risks import risks_of
from ossl_builder.rights.verdict import Verdict, Word, free_from, spoken

# What a stated basis amounts to; any other basis ("own work") is a permission.
WORDS: dict[str, Word] = {
    "expired_95y": "expired",
    "expired": "expired",
    "not_renewed": "not_renewed",
    "no_notice": "no_notice",
    "us_government_work": "government_work",
    "government_work": "government_work",
    "licensed": "licensed",
    "unstated": "unknown",
    "unknown": "unknown",
}
LICENSED = "licensed"
# What names a licence: its address, or the name that its text has.
LICENCE_NAMED = re.compile(
    r"https?://|\bwww\.|\bCC0\b|\bCC[ -]BY\b|\bCreative Commons\b"
    r"|\b(?!The\b|A\b|An\b|No\b|Its\b)[A-Z][\w.-]* [Ll]icen[cs]e\b"
)
LICENCE_UNNAMED = Risk(
    "licence",
    "The film was added as licensed, and its evidence holds no licence's name or address. Nobody "
    "can look up what the licence permits. Give it with `ossl films add … --evidence`.",
)


def facts_of_claim(basis: str, evidence: str, year: int | None) -> Facts:
    """The facts of a film that a user added with a basis and evidence of their own.

    Args:
        basis: why it may be used: one of the catalogue's bases, or any words.
        evidence: what shows that, in the user's words.
        year: year of first publication, if the user gave it.
    """
    is_unnamed = basis.strip().lower() == LICENSED and not LICENCE_NAMED.search(evidence)
    return Facts(
        year=year,
        evidence=(Evidence(None, evidence, "the user of this corpus", kind="claim"),),
        risks=(LICENCE_UNNAMED,) if is_unnamed else (),
        claimed_basis=basis,
    )


def judge_claim(facts: Facts, basis: str, today: date) -> Verdict:
    """The verdict on a claim: the user's word, unless the calendar contradicts it."""
    basis = basis.strip()
    word = WORDS.get(basis.lower(), "licensed")
    steps = [
        f'Whoever added the film gave "{basis}" as the reason why it may be used. '
        "This is recorded as their claim. It was not checked."
    ]
    lacking: tuple[str, ...] = ()
    impossible = _impossible(word, facts.year, today)
    if impossible:
        steps.append(impossible)
        word = "unknown"
        lacking = ("the right year or another reason, given with `ossl films add`",)
    elif word == "unknown":
        lacking = ("a reason why the film may be used, with evidence",)
    else:
        steps.append("They are taken at their word, and they answer for it.")
    free = f"It may be used by the word of whoever added it: {basis}."
    return Verdict(
        word=word,
        sentence="It is not known whether this film may be used." if word == "unknown" else free,
        reasoning=tuple(steps),
        sources=(),
        evidence=facts.evidence,
        lacking=lacking,
        holds_from=None,
        changes_on=None,
        risks=risks_of(facts),
        is_claim=True,
    )


def _impossible(word: Word, year: int | None, today: date) -> str:
    """A sentence on how the claim contradicts its own year; empty: it does not."""
    if year is None:
        return ""
    if word == "expired" and (year >= 1978 or today < free_from(year)):
        until = "" if year >= 1978 else f" before {spoken(free_from(year))}"
        return f"But the term of a film of {year} does not end{until or ' so early'}."
    if word == "not_renewed" and year >= 1964:
        return f"But a film of {year} needed no renewal."
    if word == "no_notice" and year > 1989:
        return f"But a film of {year} needed no notice."
    return ""
