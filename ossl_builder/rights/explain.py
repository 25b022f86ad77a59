"""A verdict as a text for a person who is no lawyer."""

from __future__ import annotations

from typing import Protocol

from ossl_builder.rights.case import Verdict
from ossl_builder.rights.facts import COUNTING, Evidence, FactName, Risk

LABELS: dict[FactName | None, str] = {
    "year": "Year of publication",
    "country": "Country",
    "notice": "Copyright notice",
    "renewed": "Renewal",
    "government_work": "Government work",
    "licence": "Licence",
    "free_at_home_1996": "Free at home in 1996",
    None: "Public-domain lists",
}

NO_ADVICE = (
    "This is no legal advice. It repeats what the named sources say and applies general rules "
    "of United States law to it; ask a lawyer before you rely on it."
)


class Titled(Protocol):
    """A film with a name: of the catalogue or of a corpus."""

    @property
    def film_id(self) -> str:
        """Its id."""

    @property
    def title(self) -> str:
        """Its title."""

    @property
    def year(self) -> int | None:
        """Its year of first publication."""


def explain(film: Titled, verdict: Verdict) -> str:
    """The verdict in plain text, without a line end: paragraphs, numbered reasoning, evidence.

    Lines are as long as their sentences; a terminal wraps them.
    """
    year = "year unknown" if film.year is None else str(film.year)
    parts = [
        f"{film.title} ({year}), {film.film_id}",
        f"{verdict.sentence}\nVerdict: {verdict.word.replace('_', ' ')}."
        f" Jurisdiction: {verdict.jurisdiction}.",
        _listed("Why", verdict.reasoning, numbered=True),
        _listed("Evidence", [_told(one) for one in verdict.evidence]),
        _listed("What would settle it", [f"{_capital(one)}." for one in verdict.lacking]),
        _listed("Law", verdict.sources),
        _listed("Risks that remain", _grouped(verdict.risks)),
        NO_ADVICE,
    ]
    return "\n\n".join(part for part in parts if part)


def _told(one: Evidence) -> str:
    about = "Claim" if one.kind == "claim" else LABELS[one.fact]
    against = ", against it" if one.denies else ""
    weak = "" if one.kind in COUNTING or one.kind == "claim" else " This alone does not count."
    return f"{about}{against}: {one.shows}. From: {one.where}.{weak}"


def _grouped(risks: tuple[Risk, ...]) -> list[str]:
    """One line per kind of risk, in the order in which the kinds first appear."""
    texts: dict[str, list[str]] = {}
    for risk in risks:
        texts.setdefault(risk.kind, []).append(_capital(risk.text.removesuffix(".")) + ".")
    return [f"{_capital(kind)}: {' '.join(lines)}" for kind, lines in texts.items()]


def _listed(heading: str, lines: list[str] | tuple[str, ...], *, numbered: bool = False) -> str:
    """A heading with its lines; empty if there are none."""
    marks = (f"{number}." if numbered else "-" for number in range(1, len(lines) + 1))
    body = "".join(f"\n{mark} {line}" for mark, line in zip(marks, lines, strict=True))
    return f"{heading}:{body}" if body else ""


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]
