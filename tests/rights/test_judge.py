"""The verdict on a film, by year, origin, formality and evidence."""

from dataclasses import replace
from datetime import date
from typing import Any

import pytest

from ossl_builder.rights import Evidence, Facts, Verdict, judge
from ossl_builder.rights.facts import FactName, Kind

TODAY = date(2026, 11, 22)
FLAGS = {"is_co_production", "is_restored", "is_new_version"}


def film(kind: Kind = "record", **values: Any) -> Facts:
    """Facts with one piece of evidence for each value."""
    shown = [name for name in values if name not in FLAGS]
    evidence = tuple(Evidence(name, f"{name} shown", "a register", kind) for name in shown)  # type: ignore[arg-type]
    return Facts(**values, evidence=evidence)


def explanation(verdict: Verdict) -> str:
    return " ".join(verdict.reasoning)


@pytest.mark.parametrize(
    ("facts", "word", "holds_from", "changes_on"),
    [
        (film(year=1930), "expired", date(2026, 1, 1), None),
        (film(year=1930, country="DE"), "expired", date(2026, 1, 1), None),
        (film(year=1895), "expired", date(1991, 1, 1), None),
        (film(year=1931, country="US"), "unknown", None, date(2027, 1, 1)),
        (
            film(year=1936, country="US", renewed=False),
            "not_renewed", date(1965, 1, 1), None,
        ),
        (film(year=1936, country="US", renewed=True), "protected", None, date(2032, 1, 1)),
        (film(year=1936, country="US", notice=False), "no_notice", date(1937, 1, 1), None),
        (
            film(year=1963, country="US", renewed=False),
            "not_renewed", date(1992, 1, 1), None,
        ),
        (film(year=1964, country="US", renewed=False), "unknown", None, date(2060, 1, 1)),
        (film(year=1964, country="US", notice=False), "no_notice", date(1965, 1, 1), None),
        (film(year=1977, country="US", notice=False), "no_notice", date(1978, 1, 1), None),
        (film(year=1977, country="US", notice=True), "protected", None, date(2073, 1, 1)),
        (film(year=1978, country="US", notice=False), "unknown", None, None),
        (film(year=1990, country="US", notice=False), "unknown", None, None),
        (film(year=2012, licence="CC BY 3.0"), "licensed", None, None),
        (film(licence="CC BY 3.0"), "licensed", None, None),
        (film(year=1943, government_work=True), "government_work", date(1944, 1, 1), None),
        (film(year=1995, government_work=True), "government_work", date(1996, 1, 1), None),
        (film(government_work=True), "government_work", None, None),
        (Facts(), "unknown", None, None),
    ],
)  # fmt: skip
def test_verdict_and_dates(
    facts: Facts, word: str, holds_from: date | None, changes_on: date | None
) -> None:
    verdict = judge(facts, TODAY)
    assert (verdict.word, verdict.holds_from, verdict.changes_on) == (word, holds_from, changes_on)
    assert verdict.is_free == (word not in ("unknown", "protected", "restored_uraa"))
    assert bool(verdict.lacking) == (word == "unknown")
    assert verdict.reasoning
    assert verdict.jurisdiction == "US"
    assert {"score", "songs", "restoration", "story", "territory"} <= {
        risk.kind for risk in verdict.risks
    }
    assert bool(verdict.sources) == (facts != Facts())


def test_a_film_expires_with_the_year() -> None:
    facts = film(year=1931, country="US", renewed=True)
    before, after = judge(facts, date(2026, 12, 31)), judge(facts, date(2027, 1, 1))
    assert (before.word, after.word) == ("protected", "expired")
    assert "protected until 31 December 2026; expired from 1 January 2027" in before.sentence
    assert before.changes_on == after.holds_from == date(2027, 1, 1)
    # The limit is computed from the date, so it moves with the next year.
    assert judge(film(year=1932), date(2028, 1, 1)).word == "expired"


@pytest.mark.parametrize(
    ("at_home", "more", "word"),
    [
        (False, {}, "restored_uraa"),
        (False, {"renewed": False}, "restored_uraa"),
        (True, {"renewed": False}, "not_renewed"),
        (True, {"renewed": True}, "protected"),
        (True, {}, "unknown"),
    ],
)
@pytest.mark.parametrize("country", ["GB", "US/FR"])
def test_foreign_films(at_home: bool, more: dict[str, Any], word: str, country: str) -> None:
    verdict = judge(film(year=1936, country=country, free_at_home_1996=at_home, **more), TODAY)
    assert verdict.word == word
    assert any("104A" in source for source in verdict.sources)
    assert country in explanation(verdict)


def test_a_foreign_film_of_unknown_state_at_home_is_treated_as_restored() -> None:
    verdict = judge(film(year=1935, country="GB", renewed=False), TODAY)
    assert verdict.word == "unknown"
    assert "treat the film as restored" in explanation(verdict)
    assert verdict.changes_on == date(2031, 1, 1)
    assert "law of its country in 1996" in verdict.lacking[0]


def test_an_unrenewed_film_without_its_country_is_unknown() -> None:
    verdict = judge(film(year=1936, renewed=False), TODAY)
    assert verdict.word == "unknown"
    assert len(verdict.lacking) == 1
    assert "where it was made" in verdict.lacking[0]
    assert judge(film(year=1936, renewed=True), TODAY).word == "protected"


@pytest.mark.parametrize(
    "facts",
    [
        film(year=1928),
        film(year=1943, government_work=True),
        film(year=1936, country="US", renewed=False),
        film(year=1962, country="US", notice=False),
        film(year=2012, licence="CC0"),
        film(year=1936, country="GB", free_at_home_1996=False),
        film(year=1936, country="US", renewed=True),
    ],
)
def test_no_verdict_without_evidence(facts: Facts) -> None:
    assert judge(facts, TODAY).word != "unknown"
    bare = judge(replace(facts, evidence=()), TODAY)
    assert bare.word == "unknown"
    assert bare.lacking
    assert "There is no evidence on" in explanation(bare)
    for kind in ("tag", "listing", "guess"):
        weak = replace(facts, evidence=tuple(replace(e, kind=kind) for e in facts.evidence))
        assert judge(weak, TODAY).word == "unknown"


def test_an_uploaders_tag_is_mentioned_but_does_not_count() -> None:
    facts = film(year=2001)
    tag = Evidence("licence", "Public Domain Mark 1.0", "licenceurl of the item", "tag")
    verdict = judge(replace(facts, licence="PDM", evidence=(*facts.evidence, tag)), TODAY)
    assert verdict.word == "unknown"
    assert "an uploader can choose anything" in explanation(verdict)
    assert verdict.lacking == ("the licence itself, given by the holder of the rights",)


@pytest.mark.parametrize("fact", ["year", "country", "renewed"])
def test_contradicting_evidence_gives_no_verdict(fact: FactName) -> None:
    facts = film(year=1936, country="US", renewed=False)
    against = Evidence(fact, "the opposite", "another register", "record", denies=True)
    verdict = judge(replace(facts, evidence=(*facts.evidence, against)), TODAY)
    assert verdict.word == "unknown"
    assert "contradicts itself" in explanation(verdict)
    assert '"the opposite"' in explanation(verdict)
    assert "another register" in explanation(verdict)
    # A tag contradicts nothing.
    tag = replace(against, kind="tag")
    assert judge(replace(facts, evidence=(*facts.evidence, tag)), TODAY).word == "not_renewed"


def test_a_renewal_without_a_notice_is_a_contradiction() -> None:
    verdict = judge(film(year=1950, country="US", notice=False, renewed=True), TODAY)
    assert verdict.word == "unknown"
    assert "contradicts itself" in explanation(verdict)


def test_a_government_co_production_is_unknown() -> None:
    verdict = judge(film(year=1948, government_work=True, is_co_production=True), TODAY)
    assert verdict.word == "unknown"
    assert any("who made which part" in proof for proof in verdict.lacking)
    # But it can be free for another reason.
    other = film(
        year=1948, country="US", government_work=True, is_co_production=True, renewed=False
    )
    assert judge(other, TODAY).word == "not_renewed"
    whole = judge(film(year=1948, government_work=True), TODAY)
    assert "co-production" in {risk.kind for risk in whole.risks}


@pytest.mark.parametrize("flag", ["is_restored", "is_new_version"])
def test_a_newer_version_is_not_free_because_the_film_is(flag: str) -> None:
    verdict = judge(film(year=1930, **{flag: True}), TODAY)
    assert verdict.word == "unknown"
    assert verdict.changes_on is None
    assert any("103(b)" in source for source in verdict.sources)
    for year in (1930, 1950, 2010):
        assert judge(film(year=year, licence="CC0", **{flag: True}), TODAY).word == "licensed"


def test_a_missing_notice_of_the_eighties_may_have_been_cured() -> None:
    verdict = judge(film(year=1985, country="US", notice=False), TODAY)
    assert verdict.word == "unknown"
    assert "cured within five years" in explanation(verdict)
    assert "cured" not in explanation(judge(film(year=1990, country="US", notice=False), TODAY))


def test_a_statement_is_distinguished_from_a_record() -> None:
    values = {"year": 1936, "country": "US", "renewed": False}
    assert "looked up no record" in explanation(judge(film("statement", **values), TODAY))
    assert "looked up no record" not in explanation(judge(film("record", **values), TODAY))
