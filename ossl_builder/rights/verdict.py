"""Make the verdict on a film's rights, for build, `explain`, the report and every export."""

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

# The verdict word of a claimed basis. Any other basis ("own work") counts as a licence.
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
# A text that names a licence: a URL, or the licence's name.
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
    """Return the facts of a film that a user added with their own basis and evidence.

    Args:
        basis: why the film may be used: one of the catalogue's bases, or free text.
        evidence: the evidence of the basis, as free text.
        year: year of first publication; None: the user gave no year.
    """
    is_unnamed = basis.strip().lower() == LICENSED and not LICENCE_NAMED.search(evidence)
    return Facts(
        year=year,
        evidence=(Evidence(None, evidence, "the user of this corpus", kind="claim"),),
        risks=(LICENCE_UNNAMED,) if is_unnamed else (),
        claimed_basis=basis,
    )


def judge_claim(facts: Facts, basis: str, today: date) -> Verdict:
    """Return the verdict on a claim: accept it unless it contradicts the year of publication."""
    basis = basis.strip()
    word = WORDS.get(basis.lower(), "licensed")
    steps = [
        f'Whoever added the film gave "{basis}" as the reason why it may be used. '
        "This is recorded as their claim. It was not checked."
    ]
    missing: tuple[str, ...] = ()
    contradiction = _contradiction(word, facts.year, today)
    if contradiction:
        steps.append(contradiction)
        word = "unknown"
        missing = ("the right year or another reason, given with `ossl films add`",)
    elif word == "unknown":
        missing = ("a reason why the film may be used, with evidence",)
    else:
        steps.append("Their claim is accepted, and they are responsible for it.")
    free = f"It may be used by the word of whoever added it: {basis}."
    return Verdict(
        word=word,
        sentence="It is not known whether this film may be used." if word == "unknown" else free,
        reasoning=tuple(steps),
        sources=(),
        evidence=facts.evidence,
        lacking=missing,
        holds_from=None,
        changes_on=None,
        risks=risks_of(facts),
        is_claim=True,
    )


def _contradiction(word: Word, year: int | None, today: date) -> str:
    """Return a sentence on how the claim contradicts its own year; empty: it does not."""
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
    """Decide whether a film is free in the United States, with the reasoning.

    A fact counts as unknown if it has no evidence or if its evidence contradicts itself.

    Args:
        facts: the facts of the film, with their evidence.
        today: the day for which to decide; the term of 95 years is counted back from its year.
    """
    if facts.claimed_basis is not None:
        return judge_claim(facts, facts.claimed_basis, today)
    case = Case(facts, today)
    year = case.known("year")
    word = original_work(case, year)
    ends = free_from(year) if year is not None and year < 1978 else None
    altered = facts.is_restored or facts.is_new_version
    if altered and word in FREE and word != "licensed":
        case.add_step(
            "So far this is about the film as first shown. But the copy at hand is, or may be, "
            + ("a newer version of it" if facts.is_new_version else "a restoration of it")
            + ", and what was added to a film has a copyright of its own.",
            NEW_MATERIAL,
        )
        # The film's year does not tell when the term of an addition ends.
        ends = None
        word = "licensed" if is_licensed(case) else "unknown"
        case.lacking.append("a copy made from an old print, without additions")
    if word in FREE and case.rests_on_statements:
        case.add_step("This rests on what others state. This program looked up no record itself.")
    if word == "unknown" and not altered and any(item.kind == "listing" for item in facts.evidence):
        case.add_step(
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
    # Only the year of publication is known, so use the first day that is certainly free.
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
    """Decide whether a film of a corpus may be used.

    Build, explain, report, statistics and every export use this decision. It depends on the day,
    because terms end with a year.

    Args:
        source: the film's row in the corpus.
        today: the day for which to decide.

    Raises:
        OsslError: `catalogue_broken`, `catalogue_missing`.
    """
    return judge(facts_of_source(source), today)


def facts_of_source(source: Source) -> Facts:
    """Return the facts of a film of a corpus.

    A claim is used as recorded. For a film from the catalogue, the installed catalogue is used
    instead of the recorded row, so that evidence and doubts that were found later count.

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
    # Cached, because every command decides for every film of a corpus.
    return {film.film_id: film for film in load_catalogue()}


# The reject reason of films that may not be built.
REASON = "rights_unknown"


def build_refusal(source: Source, today: date) -> str | None:
    """Return why a film may not be built and what to do about it; None: it may be built.

    The result depends on the day, because terms end with a year. So every build decides anew, and
    the result is never recorded.
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
