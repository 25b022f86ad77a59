"""Selection of clip spans from cues and scene boundaries, as plain numbers."""

from __future__ import annotations

import random
from itertools import pairwise

import pytest
from pydantic import ValidationError

from ossl_builder.engine.stage import Reject
from ossl_builder.stages.clips.selection import (
    Candidate,
    ClipsSettings,
    StemStats,
    candidates,
    content_problem,
)
from ossl_builder.tables import Cue, Scene, Span

SETTINGS = ClipsSettings()


def cue(start_s: float, end_s: float, number: int = 0) -> Cue:
    return Cue("f", f"f_c{number}", start_s, end_s, -20.0, -3.0, 0.9, 0.1)


def scenes(
    *boundaries: float, black: tuple[Span, ...] = (), damaged: tuple[Span, ...] = ()
) -> list[Scene]:
    """Scenes between the boundaries; black and damaged spans belong to the first one."""
    return [
        Scene(
            "f", f"f_s{i}", a, b, round(a * 25), round(b * 25), "cut" if i else "start", False, "x",
            () if i else black, () if i else damaged,
        )
        for i, (a, b) in enumerate(pairwise(boundaries))
    ]  # fmt: skip


def select(
    cues: list[Cue],
    film: list[Scene],
    settings: ClipsSettings = SETTINGS,
    damaged_audio: tuple[Span, ...] = (),
) -> tuple[list[tuple[float, float]], list[str]]:
    """Spans of the clips, and reasons of the rejects; the film has 25 frames a second."""
    times = [number / 25 for number in range(round(film[-1].end_s * 25))]
    found = list(candidates(cues, film, damaged_audio, times, settings))
    kept = [(c.span.start_s, c.span.end_s) for c in found if isinstance(c, Candidate)]
    return kept, [r.reason for r in found if isinstance(r, Reject)]


def test_edges_go_to_the_nearest_boundary_within_reach() -> None:
    film = scenes(0, 9.0, 20.5, 60)
    assert select([cue(10.2, 22.0)], film) == ([(9.0, 20.5)], [])
    assert select([cue(11.2, 22.6)], film) == ([(11.2, 22.6)], [])


def test_an_edge_without_a_boundary_goes_to_the_nearest_frame() -> None:
    assert select([cue(20.013, 40.033)], scenes(0, 60)) == ([(20.0, 40.04)], [])


def test_snapping_that_would_make_a_clip_too_short_is_not_done() -> None:
    # Both edges would move inwards, to 9 s; one alone may.
    assert select([cue(10.0, 20.4)], scenes(0, 11.0, 20.0, 60)) == ([(10.0, 20.0)], [])
    assert select([cue(10.0, 20.0)], scenes(0, 11.0, 19.0, 60)) == ([(10.0, 20.0)], [])


def test_two_cues_may_share_a_boundary() -> None:
    film = scenes(0, 20.0, 60)
    spans, _ = select([cue(5, 19.0), cue(20.5, 40, 1)], film)
    assert spans == [(5, 20.0), (20.0, 40)]


def test_snapping_does_not_reach_over_damage() -> None:
    film = scenes(0, 9.0, 60, damaged=(Span(9.5, 9.8),))
    assert select([cue(10.0, 30)], film) == ([(10.0, 30)], [])
    assert select([cue(10.0, 30)], scenes(0, 9.0, 60), damaged_audio=(Span(9.5, 9.8),)) == (
        [(10.0, 30)], [],
    )  # fmt: skip


def test_clips_that_touch_damage_are_rejected_and_the_rest_is_kept() -> None:
    film = scenes(0, 100, damaged=(Span(20, 21),))
    cues = [cue(5, 30), cue(40, 60, 1), cue(70, 90, 2)]
    spans, reasons = select(cues, film, damaged_audio=(Span(75, 75.5),))
    assert spans == [(40, 60)]
    assert reasons == ["damaged_video", "damaged_audio"]


def test_a_clip_may_end_where_damage_begins() -> None:
    assert select([cue(5, 20)], scenes(0, 100, damaged=(Span(20, 21),)))[0] == [(5, 20)]


def test_a_too_short_clip_is_rejected_with_its_length() -> None:
    (reject,) = candidates(
        [cue(10, 19)], scenes(0, 60), (), [n / 25 for n in range(1500)], SETTINGS
    )
    assert isinstance(reject, Reject)
    assert (reject.reason, reject.start_s, reject.end_s) == ("too_short", 10, 19)
    assert "9.00 s, less than 10 s" in reject.message


def test_cues_are_trimmed_to_the_frame() -> None:
    assert select([cue(30, 65), cue(66, 90, 1)], scenes(0, 60)) == ([(30, 60)], ["no_video"])


def test_long_cues_are_split_at_boundaries_into_near_equal_parts() -> None:
    film = scenes(0, 20, 130, 170, 290, 390, 420)
    assert select([cue(0, 400)], film)[0] == [(0, 130), (130, 290), (290, 400)]


def test_long_cues_without_boundaries_are_split_equally() -> None:
    spans, reasons = select([cue(0, 400)], scenes(0, 420))
    assert [end - start for start, end in spans] == pytest.approx([400 / 3] * 3, abs=0.05)
    assert not reasons


def test_parts_keep_to_the_limits_even_when_frames_do_not_fall_on_them() -> None:
    spans, _ = select([cue(0.0, 360.02)], scenes(0, 420), ClipsSettings(snap_s=0))
    assert all(10 <= end - start <= 180 for start, end in spans)
    assert spans[0][0] == 0
    assert spans[-1][1] == pytest.approx(360.02, abs=0.03)


def test_black_frames_are_counted() -> None:
    film = scenes(0, 100, black=(Span(10, 18), Span(25, 40)))
    assert select([cue(10, 30), cue(50, 70, 1)], film) == ([(50, 70)], ["too_black"])


@pytest.mark.parametrize("seed", range(60))
def test_clips_of_random_cues_are_ordered_within_limits_and_on_frames(seed: int) -> None:
    chance = random.Random(seed)
    end_s = 600.0
    cuts = sorted({round(chance.uniform(1, end_s - 1) * 25) / 25 for _ in range(150)})
    edges = sorted(chance.uniform(0, end_s + 20) for _ in range(chance.choice((4, 20, 60))))
    cues = [cue(a, b, i) for i, (a, b) in enumerate(zip(edges[::2], edges[1::2], strict=True))]
    damage = Span(at := chance.uniform(0, end_s), at + 1)
    settings = ClipsSettings(min_s=4, max_s=30, snap_s=chance.choice((0.0, 1.0, 5.0)))
    film = scenes(0, *cuts, end_s, damaged=(damage,))
    spans, reasons = select(cues, film, settings)
    assert spans or reasons
    for start, end in spans:
        assert 4 <= end - start <= 30
        assert start * 25 == pytest.approx(round(start * 25))
        assert end <= damage.start_s or start >= damage.end_s
        # No clip starts before its cue by more than a snap and a frame.
        assert any(c.start_s - settings.snap_s - 0.03 <= start < c.end_s for c in cues)
    for before, after in pairwise(spans):
        assert before[1] <= after[0]


def test_limits_of_loudness_dialogue_and_silence() -> None:
    candidate = Candidate(Span(0, 20), "f_c0")
    settings = ClipsSettings(max_dialogue_share=0.5)

    def reason(music_lufs: float | None, dialogue: float | None, silent: float) -> str:
        problem = content_problem(candidate, StemStats(music_lufs, dialogue, silent), settings)
        return problem.reason if problem else ""

    assert reason(-20.0, 0.5, 0.0) == ""
    assert reason(-20.0, None, 0.0) == ""
    assert reason(-51.0, 0.0, 0.0) == "too_quiet"
    assert reason(None, 0.0, 0.0) == "too_quiet"
    assert reason(-20.0, 0.6, 0.0) == "too_much_dialogue"
    assert reason(-20.0, 0.0, 0.6) == "too_silent"


@pytest.mark.parametrize(
    ("in_dialogue", "in_music", "share", "reason"),
    [
        (-12.0, -20.0, 0.3, ""),
        (-8.0, -20.0, 0.3, "dialogue_not_clean"),
        (-8.0, -20.0, 0.0, ""),  # without dialogue, its stem has only music that was left
        (None, -20.0, None, ""),
        (-12.0, -14.0, 0.3, "music_not_clean"),
        (-12.0, -14.0, 0.0, "music_not_clean"),
    ],
)
def test_limits_of_what_is_left_in_the_wrong_stem(
    in_dialogue: float | None, in_music: float, share: float | None, reason: str
) -> None:
    candidate = Candidate(Span(0, 20), "f_c0")
    stats = StemStats(-20.0, share, 0.0, in_dialogue, in_music)
    limits = ClipsSettings(
        max_dialogue_residual_music_db=-10.0, max_music_residual_dialogue_db=-15.0
    )
    problem = content_problem(candidate, stats, limits)
    assert (problem.reason if problem else "") == reason
    assert content_problem(candidate, stats, ClipsSettings()) is None, "no limit by default"


def test_settings_that_cannot_be_met_are_refused() -> None:
    with pytest.raises(ValidationError, match="twice min_s"):
        ClipsSettings(min_s=10, max_s=15)
