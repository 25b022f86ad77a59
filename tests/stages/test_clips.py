"""The clips stage: from rows and files to clips and rejects."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
import soundfile

from ossl_builder.engine.stage import Item, Outcome
from ossl_builder.files import sha256_file
from ossl_builder.stages.clips.stage import CLIPS_STAGE
from ossl_builder.tables import CLIPS, CUES, FILMS, SCENES, STEMS, Cue, Scene, Span, Stem
from tests import films
from tests.rows import film_row

RATE = 44100
QUICK = {"preset": "ultrafast", "min_s": 2.0, "max_s": 60.0}
SOUND_S = 14.5  # the audio ends half a second before the video


@pytest.fixture(scope="module")
def film(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, films.Truth]:
    """A corpus' folder with one film and its stems."""
    corpus = tmp_path_factory.mktemp("corpus")
    home = corpus / "films/film"
    home.mkdir(parents=True)
    truth = films.make_ntsc_film_rate(home / "film.mp4")
    length = round(SOUND_S * RATE)
    music = films.music(SOUND_S, RATE, *truth.music_s)
    dialogue = np.zeros(length)
    dialogue[RATE * 8 : RATE * 12] = np.random.default_rng(0).normal(0, 0.02, RATE * 4)
    clicks = np.zeros(length)
    for click in truth.clicks_s:
        clicks[round(click * RATE) : round(click * RATE) + 44] = 0.8
    stems = {"music": music, "dialogue": dialogue, "mix": music + dialogue + clicks}
    for role, audio in stems.items():
        soundfile.write(home / f"{role}.flac", np.stack([audio, audio], 1), RATE, subtype="PCM_16")
    return corpus, truth


def rows_of(
    truth: films.Truth,
    cues: list[tuple[float, float]],
    damaged: tuple[Span, ...] = (),
    damaged_audio: tuple[Span, ...] = (),
) -> dict[str, tuple[Any, ...]]:
    rows: dict[str, tuple[Any, ...]] = {
        "films": (
            film_row(
                "films/film/film.mp4", duration_s=truth.end_s, n_packets=len(truth.times_s),
                fps=23.976, fps_num=24000, fps_den=1001, width=192, height=108,
                audio_sample_rate=48000, audio_duration_s=SOUND_S,
            ),
        ),
        "scenes": tuple(
            Scene(
                "film", f"film_s{i}", ([*truth.times_s, truth.end_s])[a],
                ([*truth.times_s, truth.end_s])[b], a, b, "cut" if a else "start", False, "x",
                (), () if a else damaged,
            )
            for i, (a, b) in enumerate(pairwise((0, *truth.cuts, len(truth.times_s))))
        ),
        "stems": tuple(
            Stem(
                "film", role, f"films/film/{role}.flac", "0", RATE, 2, round(SOUND_S * RATE),
                round(SOUND_S * RATE) / RATE, -20.0, -1.0, "bundled", damaged_audio,
            )
            for role in ("mix", "music", "dialogue")
        ),
        "cues": tuple(
            Cue("film", f"film_c{i}", start, end, -20.0, -3.0, 0.9, 0.1)
            for i, (start, end) in enumerate(cues)
        ),
    }  # fmt: skip
    for table in (FILMS, SCENES, STEMS, CUES):
        table.validate(rows[table.name])
    return rows


def run(
    make_item: Callable[..., Item],
    film: tuple[Path, films.Truth],
    cues: list[tuple[float, float]],
    settings: dict[str, Any] | None = None,
    **damage: tuple[Span, ...],
) -> tuple[Item, Outcome]:
    corpus, truth = film
    item = make_item(
        CLIPS_STAGE, rows_of(truth, cues, **damage), QUICK | (settings or {}), corpus=corpus
    )
    for left in item.folder.iterdir():
        left.unlink()
    outcome = CLIPS_STAGE.run(item)
    CLIPS.validate(outcome.rows)
    return item, outcome


def test_a_cue_becomes_a_clip_between_cuts(
    make_item: Callable[..., Item], film: tuple[Path, films.Truth]
) -> None:
    corpus, truth = film
    item, outcome = run(make_item, film, [(1.0, 9.0)])
    (clip,) = outcome.rows
    first, after = truth.cuts[0], truth.cuts[2]
    assert not outcome.rejects
    assert (clip.start_s, clip.end_s) == (truth.times_s[first], truth.times_s[after])
    assert clip.n_frames == after - first
    assert clip.fps == pytest.approx(24000 / 1001)
    assert (clip.first_scene_id, clip.last_scene_id) == ("film_s1", "film_s2")
    assert clip.dialogue_share == pytest.approx(2.0 / clip.duration_s, abs=0.05)
    assert -40 < clip.music_lufs < -10
    names = {"mp4", "mix.flac", "music.flac", "dialogue.flac"}
    assert {path.name for path in item.folder.iterdir()} == {f"{clip.clip_id}.{n}" for n in names}
    for path, digest in (
        (clip.video_path, clip.video_sha256),
        (clip.mix_path, clip.mix_sha256),
        (clip.music_path, clip.music_sha256),
        (clip.dialogue_path, clip.dialogue_sha256),
    ):
        assert sha256_file(corpus / path) == digest
    with av.open(str(corpus / clip.video_path)) as file:
        numbers = [films.number_of(f.to_ndarray(format="gray")) for f in file.decode(video=0)]
    assert numbers == list(range(first, after))


def test_clip_audio_is_a_slice_of_the_stems(
    make_item: Callable[..., Item], film: tuple[Path, films.Truth]
) -> None:
    corpus, truth = film
    _, outcome = run(make_item, film, [(2.9, 15.0)], {"snap_s": 0.0})
    (clip,) = outcome.rows
    begin = round(clip.start_s * RATE)
    assert clip.end_s == pytest.approx(truth.end_s)
    assert clip.n_samples == round(clip.duration_s * RATE)
    for role in ("mix", "music", "dialogue"):
        stem, _ = soundfile.read(corpus / f"films/film/{role}.flac", dtype="int16")
        cut, _ = soundfile.read(corpus / getattr(clip, f"{role}_path"), dtype="int16")
        assert len(cut) == clip.n_samples
        heard = len(stem) - begin
        assert np.array_equal(cut[:heard], stem[begin:])
        assert not cut[heard:].any()
        assert len(cut) > heard  # the film's audio ends before its video


def test_clicks_in_the_flac_are_at_the_flashes(
    make_item: Callable[..., Item], film: tuple[Path, films.Truth]
) -> None:
    corpus, truth = film
    _, outcome = run(make_item, film, [(2.9, 12.0)], {"snap_s": 0.0})
    (clip,) = outcome.rows
    cut, rate = soundfile.read(corpus / clip.mix_path)
    flashes = [truth.times_s[number] - clip.start_s for number in truth.flashes]
    assert films.click_times(cut, rate) == pytest.approx(flashes, abs=1e-3)


@pytest.mark.parametrize(
    ("settings", "reason"),
    [
        ({"min_music_lufs": -10.0}, "too_quiet"),
        ({"max_dialogue_share": 0.1}, "too_much_dialogue"),
        ({"min_s": 10.0, "max_s": 60.0}, "too_short"),
    ],
)
def test_unwanted_clips_are_rejected_with_the_reason(
    make_item: Callable[..., Item],
    film: tuple[Path, films.Truth],
    settings: dict[str, Any],
    reason: str,
) -> None:
    item, outcome = run(make_item, film, [(1.0, 9.0)], settings)
    assert not outcome.rows
    assert [reject.reason for reject in outcome.rejects] == [reason]
    assert not list(item.folder.iterdir())


def test_silence_is_rejected_and_damage_too(
    make_item: Callable[..., Item], film: tuple[Path, films.Truth]
) -> None:
    _, outcome = run(
        make_item, film, [(1.6, 5.0), (6.2, 9.0), (10.2, 14.9)],
        {"snap_s": 0.0, "max_silent_share": 0.1},
        damaged=(Span(2.0, 2.5),), damaged_audio=(Span(8.0, 8.1),),
    )  # fmt: skip
    assert not outcome.rows
    reasons = [reject.reason for reject in outcome.rejects]
    assert reasons == ["damaged_video", "damaged_audio", "too_silent"]


def test_a_film_without_cues_has_no_clips(
    make_item: Callable[..., Item], film: tuple[Path, films.Truth]
) -> None:
    _, outcome = run(make_item, film, [])
    assert outcome == Outcome((), ())


def test_two_runs_give_the_same_rows(
    make_item: Callable[..., Item], film: tuple[Path, films.Truth]
) -> None:
    settings = {"max_s": 4.0}
    _, one = run(make_item, film, [(1.0, 9.0)], settings)
    _, two = run(make_item, film, [(1.0, 9.0)], settings)
    assert len(one.rows) > 1
    assert one == two
