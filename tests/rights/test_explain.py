"""The text that explains a verdict, and claims of users."""

from dataclasses import dataclass
from datetime import date

import pytest

from ossl_builder.rights import Evidence, Facts, explain, facts_of, facts_of_claim, judge
from ossl_builder.tables.catalogue import load_catalogue

TODAY = date(2026, 11, 22)
NO_ADVICE = "This is no legal advice."


@dataclass(frozen=True)
class Film:
    film_id: str = "a-film"
    title: str = "A Film"
    year: int | None = None


def first_sections(text: str) -> str:
    """The text without law and general risks, which are the same for many films."""
    return text[: text.index("\n\nLaw:")]


def test_an_expired_film() -> None:
    facts = Facts(year=1930, evidence=(Evidence("year", "opened on 2 May", "Variety", "record"),))
    text = explain(Film(year=1930), judge(facts, TODAY))
    assert first_sections(text) == (
        """\
A Film (1930), a-film

Free in the United States: its term has ended, and it has been free since 1 January 2026.
Verdict: expired. Jurisdiction: US.

Why:
1. The film was published in 1930. The longest term such a film can have in the United States is \
95 years, to the end of the last of them. It ended on 31 December 2025, whatever became of notice \
and renewal.

Evidence:
- Year of publication: opened on 2 May. From: Variety."""
    )


def test_a_film_without_sufficient_evidence() -> None:
    evidence = (
        Evidence("year", "1931", "a film reference"),
        Evidence(None, "public domain, no reason given", "a list", "listing"),
    )
    text = explain(Film(year=1931), judge(Facts(year=1931, evidence=evidence), TODAY))
    assert first_sections(text) == (
        """\
A Film (1931), a-film

It is not known whether this film is free in the United States. If it is protected, then only \
for a time: protected until 31 December 2026; expired from 1 January 2027.
Verdict: unknown. Jurisdiction: US.

Why:
1. The film was published in 1931. Its longest term, 95 years, runs until the end of 2026, so it \
is free before that only for another reason.
2. There is no evidence on where the film was made and first published.
3. That matters: many films from abroad that had become free were protected again from 1 January \
1996. The next steps are for the case that it is American.
4. A film published from 1931 to 1963 is free if it was published without a copyright notice, or \
if its copyright was not renewed in its 28th year.
5. There is no evidence on whether its copyright was renewed.
6. There is no evidence on whether it was published with a copyright notice.
7. Lists call the film public domain without giving a reason. That is a hint, and no evidence.

Evidence:
- Year of publication: 1931. From: a film reference.
- Public-domain lists: public domain, no reason given. From: a list. This alone does not count.

What would settle it:
- Credits or a film reference that show where it was made and first published.
- A search of the Copyright Office's renewal records for its 28th year.
- An original print, or a report on one, that shows whether it bears a copyright notice."""
    )


def test_every_film_of_the_catalogue_can_be_explained() -> None:
    for film in load_catalogue():
        text = explain(film, judge(facts_of(film), TODAY))
        assert text.startswith(f"{film.title} ({film.year}), {film.film_id}\n")
        assert text.count(NO_ADVICE) == 1
        assert ("What would settle it:" in text) == ("Verdict: unknown." in text)
        for kind in ("Score", "Songs", "Restoration", "Territory"):
            assert text.count(f"\n- {kind}: ") == 1, "one line per kind of risk"
        assert not any(bad in text for bad in (";.", "..", "None", "  ", "[", "\n\n\n"))
        # The text contains the values of the catalogue.
        for item in film.risk.split("; "):
            assert item.partition(": ")[2].lower() in text.lower()


@pytest.mark.parametrize("basis", ["licensed", "expired_95y", "not_renewed", "own work", "Other"])
@pytest.mark.parametrize("year", [None, 1930])
def test_a_claim_is_accepted_and_marked_as_a_claim(basis: str, year: int | None) -> None:
    verdict = judge(facts_of_claim(basis, "a letter of 2020", year), TODAY)
    assert verdict.is_free
    assert verdict.is_claim
    text = explain(Film(year=year), verdict)
    assert f'gave "{basis}"' in text
    assert "recorded as their claim" in text
    assert "- Claim: a letter of 2020. From: the user of this corpus." in text
    assert NO_ADVICE in text


@pytest.mark.parametrize(
    ("basis", "year", "objection"),
    [
        ("expired_95y", 1931, "does not end before 1 January 2027"),
        ("expired_95y", 1999, "so early"),
        ("not_renewed", 1964, "needed no renewal"),
        ("no_notice", 1990, "needed no notice"),
    ],
)
def test_a_claim_that_contradicts_the_year_is_not_accepted(
    basis: str, year: int, objection: str
) -> None:
    verdict = judge(facts_of_claim(basis, "I think so", year), TODAY)
    assert verdict.word == "unknown"
    assert verdict.is_claim
    assert objection in " ".join(verdict.reasoning)
    assert verdict.lacking


def test_a_claim_of_expiry_holds_from_the_next_year() -> None:
    facts = facts_of_claim("expired_95y", "opened in May", 1931)
    assert judge(facts, date(2026, 12, 31)).word == "unknown"
    assert judge(facts, date(2027, 1, 1)).word == "expired"


def test_without_a_claim_the_verdict_is_unknown() -> None:
    verdict = judge(facts_of_claim("unknown", "none", 1950), TODAY)
    assert verdict.word == "unknown"
    assert verdict.lacking == ("a reason why the film may be used, with evidence",)
