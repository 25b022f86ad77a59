"""The verdict on a film's rights, for the gate, `explain`, the report and every export."""

from __future__ import annotations

import re
from datetime import date
from functools import cache

from ossl_builder.rights.case import (
    FREE,
    NEW_MATERIAL,
    TERM_YEARS,
    Case,
    Verdict,
    Word,
    free_from,
    spoken,
)
from ossl_builder.rights.facts import Evidence, Facts, Risk, facts_of
from ossl_builder.rights.us_law import is_licensed, original_work, risks_of
from ossl_builder.tables import Source
from ossl_builder.tables.catalogue import CatalogueFilm, load_catalogue

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
        steps.append("Their claim is accepted, and they are responsible for it.")
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


# Films of the catalogue come from the Internet Archive; imported clips have another source.
ARCHIVE = "ia:"


def verdict_of(source: Source, today: date) -> Verdict:
    """Conclude whether a film of a corpus may be used.

    The one decision for gate, explain, report, statistics and every export. It depends on the
    day, because terms end with a year.

    Args:
        source: what the corpus recorded of the film.
        today: the day of judgement.

    Raises:
        OsslError: `catalogue_broken`, `catalogue_missing`.
    """
    return judge(facts_of_source(source), today)


def facts_of_source(source: Source) -> Facts:
    """The facts of a film of a corpus.

    A claim stands for itself. A film taken from the catalogue is judged by what the catalogue of
    this version says of it, doubts included: what was found out since it was added counts.

    Raises:
        OsslError: `catalogue_broken`, `catalogue_missing`.
    """
    if source.is_claim:
        return facts_of_claim(source.basis, source.evidence, source.year)
    film = _catalogue().get(source.film_id) if source.source.startswith(ARCHIVE) else None
    if film is not None:
        return facts_of(film)
    where = "the corpus' record of it; the present catalogue has no such film from its source"
    return Facts(evidence=(Evidence(None, source.evidence, where, kind="claim"),))


@cache
def _catalogue() -> dict[str, CatalogueFilm]:
    # Read once: the gate is asked for every film of a corpus, at every command.
    return {film.film_id: film for film in load_catalogue()}


# The reason under which refused films are counted.
REASON = "rights_unknown"


def build_refusal(source: Source, today: date) -> str | None:
    """Why a film is not to be built, and what to do about it; None: it may be built.

    It depends on the day, because terms end with a year. So it is asked at every build, and never
    recorded as a film's result.
    """
    if source.allow_unknown:
        return None
    verdict = verdict_of(source, today)
    if verdict.is_free:
        return None
    return (
        f"{verdict.sentence} Read `ossl films explain {source.film_id}`; to build it nevertheless: "
        f"`ossl films add {source.film_id} --allow-unverified`."
    )
