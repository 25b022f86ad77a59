"""Search for shared hashes: the fast search agrees with a brute-force search."""

from __future__ import annotations

from collections import Counter
from itertools import combinations
from math import log2
from pathlib import Path

import numpy as np
import pytest

from ossl_builder.engine.tables_io import write_parquet
from ossl_builder.splits import shared_hashes as shared
from ossl_builder.splits.shared_hashes import shared_hashes
from ossl_builder.stages.fingerprints.minhash import MOMENT_BITS, MOMENTS_PER_S
from ossl_builder.tables import FINGERPRINTS, Fingerprint


def table(path: Path, clips: list[tuple[str, list[int]]]) -> np.ndarray:
    """Write clips' audio hashes; return the number of each one's film."""
    rows = tuple(
        Fingerprint(film, f"{film}_{number}", tuple(sorted(set(hashes))), ())
        for number, (film, hashes) in enumerate(clips)
    )
    write_parquet(path, FINGERPRINTS, [rows])
    films = sorted({film for film, _ in clips})
    return np.array([films.index(film) for film, _ in clips])


def brute_force(
    clips: list[tuple[str, list[int]]], common_films: int
) -> dict[tuple[int, int], tuple[int, float]]:
    """Expected result of `shared_hashes`, computed pair by pair."""
    moments = [
        {value >> MOMENT_BITS: value % (1 << MOMENT_BITS) for value in hashes}
        for _, hashes in clips
    ]
    n_films = Counter(
        what
        for film in {film for film, _ in clips}
        for what in {w for (f, _), m in zip(clips, moments, strict=True) if f == film for w in m}
    )
    found = {}
    for one, other in combinations(range(len(clips)), 2):
        if clips[one][0] == clips[other][0]:
            continue
        by_distance: dict[int, list[float]] = {}
        for what in moments[one].keys() & moments[other].keys():
            if n_films[what] <= common_films:
                away = (moments[one][what] - moments[other][what]) // MOMENTS_PER_S
                by_distance.setdefault(away, []).append(1 / log2(n_films[what]))
        sums = [
            (sum(weights) + sum(by_distance.get(away + 1, [])), len(weights)
             + len(by_distance.get(away + 1, [])))
            for away, weights in by_distance.items()
        ]  # fmt: skip
        if sums:
            score = max(score for score, _ in sums)
            counts = {count for each, count in sums if each > score - 1e-9}
            found[one, other] = (max(counts), score)
    return found


def test_the_result_equals_that_of_brute_force(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shared, "ROWS_AT_ONCE", 7)  # several batches
    rng = np.random.default_rng(5)
    what = rng.integers(0, 2**43, 60)
    clips = []
    for number in range(40):
        chosen = rng.choice(what, rng.integers(0, 20), replace=False)
        start = int(rng.integers(0, 40))
        hashes = [
            int(value) << MOMENT_BITS | (start + int(value) % 200 + int(rng.integers(0, 8)))
            for value in chosen
        ]
        own = [int(value) << MOMENT_BITS for value in rng.integers(0, 2**43, 30)]
        clips.append((f"f{number // 4}", hashes + own))
    films = table(tmp_path / "t.parquet", clips)
    for common_films in (6, 20):
        found = shared_hashes(tmp_path / "t.parquet", "audio_hashes", films, common_films)
        expected = brute_force(clips, common_films)
        assert len(expected) > 100
        pairs = list(zip(found.first.tolist(), found.second.tolist(), strict=True))
        assert set(pairs) == set(expected)
        assert len(pairs) == len(set(pairs))
        for pair, count, score in zip(pairs, found.count, found.score, strict=True):
            assert score == pytest.approx(expected[pair][1])
            assert count <= expected[pair][0]


def test_hashes_equal_in_only_32_bits_are_not_shared(tmp_path: Path) -> None:
    one = [(5 + (1 << 33)) << MOMENT_BITS]
    other = [5 << MOMENT_BITS]
    films = table(tmp_path / "t.parquet", [("a", one), ("b", other)])
    assert not len(shared_hashes(tmp_path / "t.parquet", "audio_hashes", films, 20).first)


def test_tables_without_hashes_or_rows_share_nothing(tmp_path: Path) -> None:
    for clips in ([], [("a", []), ("b", [])]):
        films = table(tmp_path / "t.parquet", clips)
        assert not len(shared_hashes(tmp_path / "t.parquet", "audio_hashes", films, 20).first)


def test_hashes_of_many_films_are_ignored_and_of_some_films_weigh_less(tmp_path: Path) -> None:
    emblem = [value << MOMENT_BITS for value in range(10)]
    cue = [value << MOMENT_BITS for value in range(100, 108)]
    clips = [(f"f{number:02d}", emblem + (cue if number < 4 else [])) for number in range(30)]
    films = table(tmp_path / "t.parquet", clips)
    found = shared_hashes(tmp_path / "t.parquet", "audio_hashes", films, 20)
    pairs = set(zip(found.first.tolist(), found.second.tolist(), strict=True))
    assert pairs == set(combinations(range(4), 2))
    assert set(found.count.tolist()) == {8}
    assert found.score == pytest.approx(8 / log2(4))
