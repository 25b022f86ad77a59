"""A corpus of made-up films, one per rights verdict, with minimal media for all exports."""

from __future__ import annotations

import dataclasses
import hashlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

from ossl_builder.corpus import create
from ossl_builder.engine import tables_io
from ossl_builder.rights import Evidence, Facts, verdict
from ossl_builder.tables import CLIPS, FILMS, Clip, Source
from tests.report.table_rows import clip
from tests.rows import film_row

BY = "https://creativecommons.org/licenses/by/4.0/"
RATE = 8_000
LENGTH_S = 2.0
# Film id to (basis, year, evidence) of the user's claim, and the resulting verdict.
CLAIMS: dict[str, tuple[str, int | None, str, str]] = {
    "expired": ("expired_95y", 1925, "Published in 1925", "expired"),
    "not-renewed": ("not_renewed", 1950, "No renewal", "not_renewed"),
    "no-notice": ("no_notice", 1960, "A print without notice", "no_notice"),
    "government-work": ("us_government_work", 1945, "Credits", "government_work"),
    "licensed": ("licensed", 2001, f"CC BY 4.0, {BY}", "licensed"),
    "licence-unnamed": ("licensed", 2001, "He said so", "licensed"),
    "unknown": ("unknown", 1950, "Nothing", "unknown"),
    "unstated": ("unstated", 1950, "On a list", "unknown"),
    "refuted": ("expired_95y", 1990, "It is old", "unknown"),
}
SHOWN = (Evidence("year", "1950", "a register"),)
# Verdicts that no claim can give: facts with their evidence.
SHOWN_NOT_FREE: dict[str, tuple[Facts, str]] = {
    "protected": (
        Facts(
            year=1950, country="US", renewed=True,
            evidence=(
                *SHOWN, Evidence("country", "US", "credits"),
                Evidence("renewed", "R 123", "a register"),
            ),
        ),
        "protected",
    ),
    "restored-uraa": (
        Facts(
            year=1950, country="FR", free_at_home_1996=False,
            evidence=(
                *SHOWN, Evidence("country", "FR", "credits"),
                Evidence("free_at_home_1996", "the author died in 1970", "a register"),
            ),
        ),
        "restored_uraa",
    ),
}  # fmt: skip
WORDS = {name: claim[3] for name, claim in CLAIMS.items()} | {
    name: word for name, (_, word) in SHOWN_NOT_FREE.items()
}
FREE = ("expired", "not-renewed", "no-notice", "government-work", "licensed", "licence-unnamed")


def patch_facts(monkeypatch: pytest.MonkeyPatch) -> None:
    """Give the films of `SHOWN_NOT_FREE` their facts, as a future catalogue may."""
    facts_of_source = verdict.facts_of_source

    def of(source: Source) -> Facts:
        known = SHOWN_NOT_FREE.get(source.film_id)
        return known[0] if known else facts_of_source(source)

    monkeypatch.setattr(verdict, "facts_of_source", of)


def source(name: str, allow_unknown: bool = True) -> Source:
    basis, year, evidence, _ = CLAIMS.get(name, ("expired_95y", 1950, "A register", ""))
    return Source(
        film_id=name, title=f"Film {name}", year=year, basis=basis, evidence=evidence,
        source="/films/a.mp4", alternates="", country="", licence="", sha256=None, is_claim=True,
        allow_unknown=allow_unknown,
    )  # fmt: skip


def rights_corpus(root: Path, *names: str) -> Path:
    """Make a corpus of these films with one clip each. Its films table has no verdicts yet."""
    corpus = create(root)
    sources = [source(name) for name in sorted(names)]
    corpus.record_source(*sources)
    films = [
        dataclasses.replace(
            film_row(f"films/{one.film_id}/source/{one.film_id}.mp4"), film_id=one.film_id,
            title=one.title, year=one.year, basis=one.basis, evidence=one.evidence,
        )
        for one in sources
    ]  # fmt: skip
    tables_io.write_corpus_table(root, FILMS, films)
    tables_io.write_corpus_table(root, CLIPS, [write_clip(root, one.film_id) for one in sources])
    return root


def write_clip(root: Path, film_id: str, **other: Any) -> Clip:
    """Write the files of a clip: audio that can be decoded, and a video file that cannot."""
    row = clip(film_id, 0.0, LENGTH_S, sample_rate=RATE, n_samples=round(LENGTH_S * RATE))
    rng = np.random.default_rng(list(film_id.encode()))
    audio = rng.uniform(-0.1, 0.1, (round(LENGTH_S * RATE), 2))
    paths = {role: getattr(row, f"{role}_path") for role in ("video", "mix", "music")}
    (root / paths["video"]).parent.mkdir(parents=True, exist_ok=True)
    for role in ("mix", "music"):
        soundfile.write(root / paths[role], audio, RATE)
    (root / paths["video"]).write_bytes(f"the frame of {film_id}".encode())
    hashes = {
        f"{role}_sha256": hashlib.sha256((root / path).read_bytes()).hexdigest()
        for role, path in paths.items()
    }
    return dataclasses.replace(row, **hashes, **other)
