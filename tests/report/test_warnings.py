"""Each warning of the report is raised by its cause and by nothing else."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ossl_builder.annotations.agreement import Disagreement
from ossl_builder.media.flac import FlacWriter
from ossl_builder.report import loudness_curves, warnings
from ossl_builder.rights import facts_of_claim, judge
from ossl_builder.splits.leaks import Match, find_leaks
from tests.report.table_rows import clip, label

RATE = 16_000
LENGTH_S = 14


def tone(frequency: float, level: float = 0.1) -> np.ndarray:
    at = np.arange(LENGTH_S * RATE) / RATE
    return (level * np.sin(2 * np.pi * frequency * at)).astype(np.float32)[np.newaxis]


def speech() -> np.ndarray:
    """Words of 0.6 s with pauses of 0.4 s."""
    at = np.arange(LENGTH_S * RATE) / RATE
    return tone(300) * (at % 1 < 0.6)


def stems(folder: Path, sounds: Mapping[str, np.ndarray]) -> list[dict[str, Any]]:
    rows = []
    for role, audio in sounds.items():
        with FlacWriter(folder / f"{role}.flac", RATE, 1) as writer:
            writer.write(audio)
        rows.append({"role": role, "path": f"{role}.flac", "sha256": role, "sample_rate": RATE})
    return rows


def kinds(folder: Path, **sounds: np.ndarray) -> set[str]:
    folder.mkdir()
    found = loudness_curves.curves_of(folder, stems(folder, sounds), folder / "kept.json")
    assert found is not None
    row = vars(clip("film", 1, 13))
    measured = {"a": warnings.measures_of(row, found)}
    return {one.kind for one in warnings.of_measures("film", measured)}


def test_badly_separated_stems_give_warnings(tmp_path: Path) -> None:
    music, dialogue = tone(440), speech()
    good = {"mix": music + dialogue, "music": music, "dialogue": dialogue}
    assert kinds(tmp_path / "good", **good) == set()
    # A good separator leaves at most a fifth of the music's level, 14 dB below it.
    leaking = good | {"dialogue": dialogue + 0.2 * music, "music": 0.8 * music}
    assert kinds(tmp_path / "a_little", **leaking) == set()
    leaking = good | {"dialogue": dialogue + 0.4 * music, "music": 0.6 * music}
    assert kinds(tmp_path / "leaking", **leaking) == {"residual_music"}
    lost = good | {"mix": music + dialogue + tone(1000)}
    assert kinds(tmp_path / "lost", **lost) == {"low_separation"}


def test_loudness_curves_are_cached_and_in_lufs(tmp_path: Path) -> None:
    rows = stems(tmp_path, {"mix": tone(997), "music": tone(997), "dialogue": 0 * tone(997)})
    kept = tmp_path / "kept.json"
    found = loudness_curves.curves_of(tmp_path, rows, kept)
    assert found is not None
    assert len(found.short["music"]) == LENGTH_S
    # BS.1770: a sine at 997 Hz and full scale reads -3.01 LUFS; this one is at -20 dBFS.
    assert found.short["music"][5] == pytest.approx(-230, abs=1)
    assert found.low["music"][5] == pytest.approx(-230, abs=1)
    assert max(found.short["dialogue"]) <= -1000
    stamp = kept.stat().st_mtime_ns
    assert loudness_curves.curves_of(tmp_path, rows, kept) == found
    assert kept.stat().st_mtime_ns == stamp
    rows[1]["sha256"] = "another"
    loudness_curves.curves_of(tmp_path, rows, kept)
    assert kept.stat().st_mtime_ns > stamp
    (tmp_path / "music.flac").unlink()
    assert loudness_curves.curves_of(tmp_path, rows, kept) is None


def test_quiet_music_and_missing_files_give_warnings() -> None:
    def found(missing: list[str], audible: str = "clear", **other: Any) -> set[str]:
        row = clip("film", 0, 10, **other)
        changed_label = dataclasses.replace(label(row, "Q1", 5.0, 5.0), music_audible=audible)
        return {one.kind for one in warnings.of_clip(vars(row), vars(changed_label), missing)}

    assert found([]) == set()
    assert found([], music_lufs=-39.9) == set()
    assert found([], music_lufs=-40.1) == {"quiet_music"}
    assert found([], audible="faint") == {"quiet_music"}
    assert found(["music"], music_lufs=None) == {"media_missing"}


def test_disagreement_or_no_majority_gives_a_warning() -> None:
    disagreed = [Disagreement("film", "a", 0.36, 3), Disagreement("film", "b", 0.34, 2)]
    row = {"film_id": "film", "majority_quadrant": None}
    rows = [
        {**row, "clip_id": "c", "dawid_skene_quadrant": "Q1"},
        {**row, "clip_id": "d", "dawid_skene_quadrant": None},
    ]  # fmt: skip
    assert {one.clip_id for one in warnings.of_answers(disagreed, rows)} == {"a", "c"}


def test_shared_material_gives_a_warning_for_both_films() -> None:
    match = Match("a", "b", "audio", "a_1", "b_2", 12, 1)
    for splits, kind in (([("a", "train"), ("b", "test")], "leak"), ([], "near_duplicate")):
        found = list(warnings.of_matches([match], find_leaks(splits, [match])))
        assert [(one.film_id, one.clip_id, one.kind) for one in found] == [
            ("a", "a_1", kind), ("b", "b_2", kind),
        ]  # fmt: skip


def test_rights_and_damage_give_warnings() -> None:
    nothing: dict[str, list[Any]] = {"scenes": [], "stems": []}
    span = {"start_s": 1.0, "end_s": 2.5}
    damaged = {"scenes": [], "stems": [{"damaged_spans": [span]}, {"damaged_spans": [span]}]}
    free = judge(facts_of_claim("licensed", "CC BY 4.0", 1930), date(2026, 1, 1))
    assert list(warnings.of_film(free, nothing, "a")) == []
    for basis, kind in (("unstated", "rights_unknown"), ("licensed", "licence_unnamed")):
        verdict = judge(facts_of_claim(basis, "a letter", 1930), date(2026, 1, 1))
        assert [one.kind for one in warnings.of_film(verdict, nothing, "a")] == [kind]
    assert [one.kind for one in warnings.of_film(None, nothing, "a")] == ["rights_unknown"]
    (told,) = warnings.of_film(free, damaged, "a")
    assert told.sentence == "1.5 s of audio could not be decoded."
