"""Explain a verdict as plain text for readers who are not lawyers."""

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
    """A film of the catalogue or of a corpus: id, title, year."""

    @property
    def film_id(self) -> str:
        """The film's id."""

    @property
    def title(self) -> str:
        """The film's title."""

    @property
    def year(self) -> int | None:
        """The year of first publication; None: not known."""


def explain(film: Titled, verdict: Verdict) -> str:
    """Return the verdict as plain text: paragraphs, numbered reasoning, evidence; no final newline.

    Lines are not wrapped; the terminal wraps them.
    """
    year = "year unknown" if film.year is None else str(film.year)
    parts = [
        f"{film.title} ({year}), {film.film_id}",
        f"{verdict.sentence}\nVerdict: {verdict.word.replace('_', ' ')}."
        f" Jurisdiction: {verdict.jurisdiction}.",
        _section("Why", verdict.reasoning, numbered=True),
        _section("Evidence", [_evidence_line(item) for item in verdict.evidence]),
        _section("What would settle it", [f"{_capital(item)}." for item in verdict.lacking]),
        _section("Law", verdict.sources),
        _section("Risks that remain", _risk_lines(verdict.risks)),
        NO_ADVICE,
    ]
    return "\n\n".join(part for part in parts if part)


def _evidence_line(evidence: Evidence) -> str:
    about = "Claim" if evidence.kind == "claim" else LABELS[evidence.fact]
    against = ", against it" if evidence.denies else ""
    weak = (
        ""
        if evidence.kind in COUNTING or evidence.kind == "claim"
        else " This alone does not count."
    )
    return f"{about}{against}: {evidence.shows}. From: {evidence.where}.{weak}"


def _risk_lines(risks: tuple[Risk, ...]) -> list[str]:
    """Return one line per kind of risk, in the order in which the kinds first appear."""
    texts: dict[str, list[str]] = {}
    for risk in risks:
        texts.setdefault(risk.kind, []).append(_capital(risk.text.removesuffix(".")) + ".")
    return [f"{_capital(kind)}: {' '.join(lines)}" for kind, lines in texts.items()]


def _section(heading: str, lines: list[str] | tuple[str, ...], *, numbered: bool = False) -> str:
    """Return a heading with its lines; an empty string if there are no lines."""
    marks = (f"{number}." if numbered else "-" for number in range(1, len(lines) + 1))
    body = "".join(f"\n{mark} {line}" for mark, line in zip(marks, lines, strict=True))
    return f"{heading}:{body}" if body else ""


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]
