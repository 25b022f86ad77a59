"""Apply the rules of United States copyright law to a film as it was first published."""

from __future__ import annotations

from datetime import date

from ossl_builder.rights.case import (
    AUTOMATIC_RENEWAL,
    FREE,
    GOVERNMENT,
    LICENCE,
    NOTICE_1909,
    OMITTED_NOTICE,
    RENEWAL_1909,
    TERM,
    TERM_1978,
    TERM_YEARS,
    URAA,
    Case,
    Word,
    free_from,
    spoken,
)
from ossl_builder.rights.facts import Facts, Risk

RESTORATION_DAY = date(1996, 1, 1)


def original_work(case: Case, year: int | None) -> Word:
    """Return the verdict word for a film as first published.

    Args:
        case: the case; steps, sources and missing evidence are added to it.
        year: the year of first publication; None: no evidence shows it.
    """
    if year is not None and year < case.today.year - TERM_YEARS:
        last = date(free_from(year).year - 1, 12, 31)
        case.add_step(
            f"The film was published in {year}. The longest term such a film can have in the "
            f"United States is 95 years, to the end of the last of them. It ended on "
            f"{spoken(last)}, whatever became of notice and renewal.",
            TERM,
        )
        return "expired"
    if year is not None:
        _add_term_step(case, year)
    if is_licensed(case):
        return "licensed"
    if _is_government_work(case):
        return "government_work"
    if year is None:
        case.require("year")
        return "unknown"
    if year >= 1978:
        return _judge_from_1978(case, year)
    return _judge_foreign(case, year) or _judge_formalities(case, year)


def _add_term_step(case: Case, year: int) -> None:
    if year >= 1978:
        case.add_step(
            f"The film was published in {year}. From 1978 on a film is protected from the day it "
            "is made, without renewal, for at least 70 years.",
            TERM_1978,
        )
    else:
        case.add_step(
            f"The film was published in {year}. Its longest term, 95 years, runs until the end of "
            f"{year + TERM_YEARS}, so it is free before that only for another reason.",
            TERM,
        )


def is_licensed(case: Case) -> bool:
    """Return whether a licence permits the use, and add the step of the reasoning."""
    licence = case.known("licence")
    if not licence:
        case.mention_weak("licence")
        return False
    case.add_step(
        f"The holder of the rights permits its use by a licence: {licence}"
        + case.according("licence")
        + " The conditions of the licence go with every clip.",
        LICENCE,
    )
    return True


def _is_government_work(case: Case) -> bool:
    if not case.known("government_work"):
        case.mention_weak("government_work")
        return False
    case.add_step(
        "The United States government made the film"
        + case.according("government_work")
        + " Works of that government have no copyright in the United States.",
        GOVERNMENT,
    )
    if not case.facts.is_co_production:
        return True
    case.add_step("But a company had, or may have had, a part in it, and that may be protected.")
    case.lacking.append("the credits or the contract that show who made which part")
    return False


def _judge_foreign(case: Case, year: int) -> Word | None:
    """Return the verdict word if the film's origin decides it, else None."""
    country = case.require("country")
    if country is None:
        case.add_step(
            "That matters: many films from abroad that had become free were protected again "
            f"from {spoken(RESTORATION_DAY)}. The next steps are for the case that it is American.",
            URAA,
        )
        verdict_word = _judge_formalities(case, year)
        return "unknown" if verdict_word in FREE else verdict_word
    if country == "US":
        case.add_step("It is an American film" + case.according("country"))
        return None
    case.add_step(
        f"The film was made abroad, or partly so ({country}). On {spoken(RESTORATION_DAY)} foreign "
        "films that were free here for want of a notice or a renewal became protected again, "
        "unless they were free in their own country on that day.",
        URAA,
    )
    free_at_home = case.require("free_at_home_1996")
    if free_at_home is None:
        case.add_step("Until that is shown, treat the film as restored.")
        return "unknown"
    if not free_at_home:
        case.add_step(
            "It was still protected in its own country then. So it is protected here as well, "
            f"until the end of {year + TERM_YEARS}."
        )
        return "restored_uraa"
    case.add_step("It was free in its own country then, so the rules for American films decide.")
    return None


def _judge_formalities(case: Case, year: int) -> Word:
    """Return the verdict word for an American film from before 1978 that is not expired."""
    if year >= 1964:
        case.add_step(
            "The copyright of films from 1964 to 1977 was renewed by itself. "
            "Such a film is free only if it was published without a copyright notice.",
            AUTOMATIC_RENEWAL,
            NOTICE_1909,
        )
        notice, renewed = case.require("notice"), None
    else:
        case.add_step(
            f"A film published from {case.today.year - TERM_YEARS} to 1963 is free if it was "
            "published without a copyright notice, or if its copyright was not renewed in its "
            "28th year.",
            NOTICE_1909,
            RENEWAL_1909,
        )
        notice, renewed = case.known("notice"), case.known("renewed")
    if notice is False and renewed:
        case.add_step(
            "The evidence contradicts itself: it says that there was no copyright notice, and so "
            "no copyright, and also that a copyright was renewed."
        )
        case.add_missing("notice")
        return "unknown"
    if notice is False:
        case.add_step(
            "It was published without a copyright notice"
            + case.according("notice")
            + " So it never had a copyright here."
        )
        return "no_notice"
    if year >= 1964:
        if notice:
            case.add_step(
                "It was published with a copyright notice"
                + case.according("notice")
                + " So it is protected."
            )
            return "protected"
        return "unknown"
    if renewed is False:
        case.add_step(
            "Its copyright was not renewed"
            + case.according("renewed")
            + f" So it ended after 28 years, at the latest with the year {year + 28}."
        )
        return "not_renewed"
    if renewed:
        case.add_step(
            "Its copyright was renewed"
            + case.according("renewed")
            + " So it is protected for the longest term."
        )
        return "protected"
    case.require("renewed")
    if notice is None:
        case.require("notice")
    return "unknown"


def _judge_from_1978(case: Case, year: int) -> Word:
    if year <= 1989 and case.known("notice") is False:
        case.add_step(
            "It is shown to have been published without a copyright notice. Until 28 February "
            "1989 that could cost a film its copyright, but it could be cured within five years.",
            OMITTED_NOTICE,
        )
        case.lacking.append(
            "a search of the Copyright Office's records for a registration within five years"
        )
    case.require("licence")
    return "unknown"


GENERAL = (
    Risk(
        "score",
        "The music can be protected apart from the film, if it was published or registered on "
        "its own.",
    ),
    Risk(
        "songs", "Songs heard in the film have rights of their own, in words, tune and recording."
    ),
    Risk(
        "restoration",
        "A copy that was restored, coloured, cut or scored anew is protected in what was added. "
        "Prefer a copy of an old print.",
    ),
    Risk(
        "story",
        "The novel, play or characters behind the film can be protected longer than the film "
        "(Russell v. Price, 9th Cir. 1979; Stewart v. Abend, US Supreme Court 1990), "
        "and names of characters can be trademarks.",
    ),
    Risk(
        "territory",
        "This applies to the United States only. Elsewhere other terms apply, often 70 years after "
        "the death of the last author.",
    ),
)


def risks_of(facts: Facts) -> tuple[Risk, ...]:
    """Return the risks of this film in particular, then the risks of every film."""
    special = list(facts.risks)
    if facts.government_work:
        special.append(
            Risk(
                "co-production",
                "A company may have produced a part of a government film, and the film may contain "
                "material of others. Read the credits.",
            )
        )
    return (*special, *GENERAL)
