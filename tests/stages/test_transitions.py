"""Cuts, fades and dissolves on frames whose truth is known because they are made here."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from ossl_builder.stages.scenes.cut_check import CutChecker, is_cut
from ossl_builder.stages.scenes.dissolves import Dissolve, DissolveFinder, blend_error
from ossl_builder.stages.scenes.similarity import part_that_stays
from ossl_builder.stages.scenes.transitions import (
    Boundary,
    Fade,
    FrameStats,
    find_fades,
    name_transitions,
)

FPS = 24


def panned(seed: int, n: int, speed: float, cells: int = 9) -> np.ndarray:
    """A random texture that moves by `speed` pixels per frame: (n, 18, 32) brightness."""
    rng = np.random.default_rng(seed)
    wide = 32 + int(n * abs(speed)) + 2
    coarse = rng.uniform(30, 225, (cells // 2 + 2, max(2, wide * cells // 32))).astype(np.float32)
    wall = cv2.resize(coarse, (wide * 4, 72), interpolation=cv2.INTER_CUBIC)
    views = (wall[:, round(4 * k * speed) :][:, :128] for k in range(n))
    return np.stack([cv2.resize(view, (32, 18), interpolation=cv2.INTER_AREA) for view in views])


def dissolved(length: int, seeds: tuple[int, int], speed: float, noise: float) -> np.ndarray:
    """40 frames, a dissolve of `length`, 40 frames; both sides go on moving in it."""
    n = 40 + length
    before, after = (panned(seed, n, speed) for seed in seeds)
    x = (np.arange(length) / length)[:, None, None]
    blend = (1 - x) * before[40:] + x * after[:length]
    film = np.concatenate([before[:40], blend, after[length:]])
    rng = np.random.default_rng(seeds[0])
    return np.clip(np.rint(film + rng.normal(0, noise, film.shape)), 0, 255).astype(np.float32)


def twice(frame: np.ndarray) -> np.ndarray:
    """The same frame with twice as many pixels each way."""
    return cv2.resize(frame.astype(np.uint8), (64, 36), interpolation=cv2.INTER_LINEAR)


def found(film: np.ndarray, fps: float = FPS, tolerance: float = 0.285) -> list[Dissolve]:
    finder = DissolveFinder(tolerance)
    for number, frame in enumerate(film):
        finder.feed(number, number / fps, frame, twice(frame))
    return finder.finish()


@pytest.mark.parametrize(
    ("length", "speed"),
    [(12, 0.0), (24, 0.0), (72, 0.0), (12, 0.1), (24, 0.1), (36, 0.1), (50, 0.1), (72, 0.05)],
)
def test_dissolves_between_moving_frames_are_found(length, speed):
    hits = 0
    for seed in range(10):
        film = dissolved(length, (seed, 100 + seed), speed, noise=2)
        hits += [40 <= (d.start + d.end) / 2 <= 40 + length for d in found(film)] == [True]
    assert hits >= 8


def test_a_dissolve_is_found_at_any_position_in_the_searched_blocks():
    film = dissolved(24, (1, 2), 0.1, noise=1)
    for lead in range(60, 260, 25):
        still = np.repeat(film[:1], lead, axis=0)
        (dissolve,) = found(np.concatenate([still, film]))
        assert lead + 40 <= (dissolve.start + dissolve.end) / 2 <= lead + 64


def test_dissolve_at_twice_the_rate_keeps_the_numbers_of_its_frames():
    film = np.repeat(dissolved(24, (1, 2), 0.1, noise=1), 2, axis=0)
    (dissolve,) = found(film, fps=2 * FPS)
    assert 80 <= (dissolve.start + dissolve.end) / 2 <= 128


@pytest.mark.parametrize("speed", [0.1, 0.3, 0.6, 1.0, 2.0])
def test_pans_are_not_dissolves(speed):
    for seed in range(10):
        assert found(panned(seed, 200, speed)) == []


def test_cuts_flashes_and_passing_objects_are_not_dissolves():
    a, b = panned(1, 60, 0.1), panned(2, 60, 0.1)
    assert found(np.concatenate([a, b])) == []
    flash = np.concatenate([a, b])
    flash[30:33] = 250
    assert found(flash) == []
    passing = panned(3, 120, 0.0)
    for k in range(20):
        passing[50 + k, 3:16, max(0, 2 * k - 8) : 2 * k] = 20
    assert found(passing) == []


def test_blend_error_of_a_still_blend_is_small_and_of_a_fade_infinite():
    a, b = panned(1, 1, 0)[0].astype(np.float64), panned(2, 1, 0)[0].astype(np.float64)
    x = np.linspace(0, 1, 25)[:, None, None]
    assert blend_error((1 - x) * a + x * b) < 0.2
    assert blend_error((1 - x) * a) == np.inf
    assert blend_error(np.repeat(a[None], 25, axis=0)) == np.inf


def colour(film: np.ndarray) -> np.ndarray:
    return np.stack([film, np.full_like(film, 128), np.full_like(film, 128)], axis=-1)


def test_a_flash_is_not_a_cut():
    a, b = colour(panned(1, 20, 0.2)), colour(panned(2, 20, 0.2))
    assert is_cut(a[:7], b[:7])
    flash = a.copy()
    flash[7:10, ..., 0] = 250
    assert not is_cut(flash[:7], flash[7:14])
    assert not is_cut(flash[3:10], flash[10:17])


def test_animation_in_steps_is_not_a_cut():
    steps = colour(np.repeat(panned(1, 8, 0.25), 4, axis=0))
    assert 3 < np.abs(steps[12] - steps[11])[..., 0].mean() < 15
    assert not is_cut(steps[5:12], steps[12:19])


def test_a_cut_near_a_flash_is_a_cut_and_the_flash_is_not():
    a, b = colour(panned(1, 20, 0.1)), colour(panned(2, 20, 0.1))
    for flashed in (slice(1, 4), slice(5, 7)):
        before = a[:8].copy()
        before[flashed, ..., 0] = 250
        assert is_cut(before, b[:8])
    moving = colour(panned(3, 30, 0.4))
    moving[8:13, ..., 0] = 250
    assert not is_cut(moving[:8], moving[8:16])
    assert not is_cut(moving[5:13], moving[13:21])


def wall(seed: int) -> np.ndarray:
    coarse = np.random.default_rng(seed).uniform(30, 225, (12, 20)).astype(np.float32)
    return cv2.resize(coarse, (80, 44), interpolation=cv2.INTER_CUBIC).clip(0, 255).astype(np.uint8)


def test_part_of_a_frame_that_stays():
    frame = wall(1)[4:40, 4:68]
    moved = wall(1)[2:38, 6:70]
    assert part_that_stays(frame, moved) == part_that_stays(frame, frame) == 1
    covered = frame.copy()
    covered[:, :24] = 20
    assert 0.5 < part_that_stays(frame, covered) < 0.7
    assert part_that_stays(frame, wall(2)[4:40, 4:68]) < 0.2
    assert part_that_stays(frame * 0, frame * 0) == 0  # black frames give no information


def test_a_title_that_fades_over_one_shot_is_not_a_dissolve():
    film = np.repeat(panned(1, 1, 0), 120, axis=0)
    title = film[0].copy()
    title[4:14:2, 3:29] = 255
    for k in range(120):
        film[k] += (title - film[k]) * np.clip((k - 50) / 24, 0, 1)
    assert found(film) == []


def test_checker_reports_true_cuts_only_and_in_order():
    a, b, c = (colour(panned(seed, 30, 0.1)) for seed in (1, 2, 3))
    film = np.concatenate([a, b, c])
    film[70:72, ..., 0] = 250
    checker = CutChecker(0.3)
    for number, frame in enumerate(film):
        checker.feed(number, number / FPS, frame, twice(frame[..., 0]))
        if number - 2 in (30, 60, 70, 72):
            checker.report(number - 2)
    assert checker.finish() == [30, 60]


def light(contrast: list[float], fps: float = FPS) -> FrameStats:
    values = np.array(contrast, float)
    return FrameStats(np.arange(len(values)) / fps, values < 3, values)


RAMP = [60 * (1 - k / 12) for k in range(12)]


def test_fades_are_distinguished_from_cuts_to_black():
    scene, black = [60.0] * 48, [0.0] * 12
    through = light(scene + RAMP + black + RAMP[::-1] + scene)
    (fade,) = find_fades(through, [66], [])
    assert 46 <= fade.start <= 50
    assert fade.boundary == 66
    assert 81 <= fade.end <= 86
    out = light(scene + RAMP + black + scene)
    assert [f.boundary for f in find_fades(out, [66], [72])] == [72]
    into = light(scene + black + RAMP[::-1] + scene)
    assert [f.boundary for f in find_fades(into, [54], [48])] == [48]
    hard = light(scene + black + scene)
    assert find_fades(hard, [54], [48, 60]) == []
    mixed = light([*scene, 30.0, *black, 30.0, *scene])
    assert find_fades(mixed, [54], [48, 61]) == []


def test_black_at_either_end_of_the_film_is_not_a_transition():
    scene, black = [60.0] * 48, [0.0] * 12
    film = light(black + RAMP[::-1] + scene + RAMP + black)
    assert find_fades(film, [6], []) == []


def test_a_dark_scene_that_gets_darker_is_not_a_fade():
    assert find_fades(light([8.0] * 48 + [2.9] * 10 + [8.0] * 48), [53], []) == []


def test_naming_merges_overlapping_transitions():
    film = light([60.0] * 240)
    fade = Fade(start=100, end=130, boundary=115)
    kinds = name_transitions(
        film,
        10.0,
        cuts=[50, 52, 101, 200, 238],
        fades=[fade],
        dissolves=[
            Dissolve(20, 40, 0.1),
            Dissolve(120, 150, 0.1),
            Dissolve(190, 210, 0.1),
            Dissolve(212, 230, 0.1),
        ],
        damaged=[(9.0, 9.5)],
        min_scene_s=0.3,
    )
    assert kinds == [
        Boundary(30, "dissolve"),
        Boundary(50, "cut"),
        Boundary(115, "fade"),
        Boundary(200, "cut"),
    ]


def test_a_cut_replaces_a_dissolve_right_before_it():
    film = light([60.0] * 100)
    kinds = name_transitions(film, 4.2, [50], [], [Dissolve(40, 49, 0.1)], [], 0.3)
    assert kinds == [Boundary(50, "cut")]
