"""Films with problems from public bug reports, from the file to the clip.

Their ground truth is that of the test films: cuts at 36, 144 and 240 (24 frames a second; 38, 150
and 250 at 25), music from 1.0 to 13.55 s, three flashes with clicks.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

from tests import films
from tests.e2e.awkward import decoded
from tests.e2e.corpora import Ossl, add_film, rows, status

AT_24, AT_25 = (36, 144, 240), (38, 150, 250)


@dataclass(frozen=True)
class Expected:
    """Expected values of a film.

    Attributes:
        cuts: frames at which scenes begin.
        n_frames: of the film.
        clip: frames of the clip, and its size as shown; None: no clip.
        click_ms: delay of a click after its flash.
        cue_s: when the music begins.
        damage_s: of the audio.
    """

    cuts: tuple[int, ...] = AT_24
    n_frames: int = 360
    clip: tuple[int, int, int] | None = (324, 192, 108)
    click_ms: float = 0.0
    cue_s: float = 1.0
    damage_s: tuple[float, float] | None = None


CLIP_25 = (337, 192, 108)
EXPECTED = {
    "base_truth.mp4": Expected(),
    "timecode_track.mov": Expected(),
    "sound_first_bframes.mp4": Expected(),
    "two_cells_restart.vob": Expected(AT_25, 375, CLIP_25),
    "jump_one_hour.ts": Expected(AT_25, 375, CLIP_25),
    "latin1_title.avi": Expected(AT_25, 375, CLIP_25, click_ms=-17.0, cue_s=0.96),
    "commentary_first.mkv": Expected(),
    # 10 ms of the 12.5 s of its cue are damaged: the clip is rejected, and the reject is counted.
    "nan_10ms.mkv": Expected(clip=None, damage_s=(5.0, 5.01)),
    "rotated90.mp4": Expected(clip=(324, 108, 192)),
    "h264_bframes.avi": Expected(AT_25, 375, CLIP_25, click_ms=-57.0, cue_s=0.92),
    "unflagged_thumbnail_first.mp4": Expected(),
    "hdr_pq.mp4": Expected(),
    "progressive_second_then_interlaced.ts": Expected(
        (61, 173, 273), 398, (337, 192, 144), click_ms=10.0, cue_s=0.97
    ),
}


def id_of(name: str) -> str:
    return name.partition(".")[0].replace("_", "-")


@dataclass(frozen=True)
class Built:
    corpus: Path
    status: dict[str, Any]

    def of(self, table: str, name: str) -> list[dict[str, Any]]:
        return [row for row in rows(self.corpus, table) if row["film_id"] == id_of(name)]


@pytest.fixture(scope="module")
def built(ossl: Ossl, shared_media: Path, tmp_path_factory: pytest.TempPathFactory) -> Built:
    folder = shared_media / "reported"
    if not folder.is_dir():
        pytest.skip("the shared media have no folder `reported`")
    corpus = tmp_path_factory.mktemp("reported") / "corpus"
    ossl("init", corpus)
    for name in (*EXPECTED, "truncated.avi"):
        add_film(ossl, corpus, folder / name, id_of(name))
    # Settings go into the recipe, because `status` is called without --set.
    (corpus / "ossl.yaml").write_text("stems:\n  model: bundled\n", encoding="utf-8")
    ossl("-C", corpus, "build", "--workers", 2, code=3)
    return Built(corpus, status(ossl, corpus))


@pytest.mark.parametrize("name", EXPECTED)
def test_film_and_scenes_are_complete(built: Built, name: str) -> None:
    right = EXPECTED[name]
    (film,) = built.of("films", name)
    scenes = built.of("scenes", name)
    assert tuple(scene["start_frame"] for scene in scenes[1:]) == right.cuts
    assert scenes[-1]["end_frame"] == right.n_frames
    seconds = 14.97 if name.startswith("progressive") else 15.0
    assert scenes[-1]["end_s"] == pytest.approx(seconds, abs=0.002)
    assert film["duration_s"] == pytest.approx(seconds, abs=0.002)
    assert film["streams_why"]
    assert not any(scene["damaged_spans"] for scene in scenes)


@pytest.mark.parametrize("name", EXPECTED)
def test_music_is_found_at_the_right_time(built: Built, name: str) -> None:
    right = EXPECTED[name]
    (cue,) = built.of("cues", name)
    assert cue["start_s"] == pytest.approx(right.cue_s, abs=0.06)
    (mix,) = (stem for stem in built.of("stems", name) if stem["role"] == "mix")
    damage = [(span["start_s"], span["end_s"]) for span in mix["damaged_spans"]]
    expected = [right.damage_s] if right.damage_s else []
    assert len(damage) == len(expected)
    for found, true in zip(damage, expected, strict=True):
        assert found == pytest.approx(true, abs=0.003)


@pytest.mark.parametrize("name", EXPECTED)
def test_the_clip_is_exact(built: Built, name: str) -> None:
    right = EXPECTED[name]
    clips = built.of("clips", name)
    if right.clip is None:
        assert clips == []
        reasons = {each["reason"] for each in built.status["candidates"]}
        assert "damaged_audio" in reasons
        return
    (clip,) = clips
    assert (clip["n_frames"], clip["width"], clip["height"]) == right.clip
    frames, times, _, _ = decoded(built.corpus / clip["video_path"])
    assert len(frames) == clip["n_frames"]
    step = 1 / (24 if right.n_frames == 360 else 25)
    assert all(abs(b - a - step) < 0.0015 for a, b in pairwise(times))
    if name == "rotated90.mp4":
        # The clip is upright: turn it back to read the numbers.
        frames = [np.rot90(frame, -1) for frame in frames]
    numbers = [films.number_of(frame) for frame in frames]
    assert numbers == list(range(numbers[0], numbers[0] + len(numbers)))
    flashes = [
        time for time, frame in zip(times, frames, strict=True) if films.flash_of(frame) > 128
    ]
    mix, rate = soundfile.read(built.corpus / clip["mix_path"])
    clicks = films.click_times(mix, rate)
    assert len(clicks) == len(flashes) == 3
    for click, flash in zip(clicks, flashes, strict=True):
        assert 1000 * (click - flash) == pytest.approx(right.click_ms, abs=2.0)


def test_the_right_streams_are_selected(built: Built) -> None:
    (film,) = built.of("films", "commentary_first.mkv")
    assert (film["audio_stream"], film["audio_channels"]) == (2, 2)
    assert "comment" in film["streams_other"]
    (film,) = built.of("films", "unflagged_thumbnail_first.mp4")
    assert (film["video_stream"], film["n_packets"]) == (1, 360)
    assert "mjpeg" in film["streams_other"]


def test_hdr_becomes_bt709(built: Built) -> None:
    import av

    (clip,) = built.of("clips", "hdr_pq.mp4")
    (plain,) = built.of("clips", "base_truth.mp4")
    with av.open(str(built.corpus / clip["video_path"])) as film:
        frame = next(film.decode(video=0))
        assert (frame.color_trc, frame.color_primaries, frame.colorspace) == (1, 1, 1)
    means = [
        sum(float(image.mean()) for image in decoded(built.corpus / each["video_path"])[0])
        / each["n_frames"]
        for each in (clip, plain)
    ]
    assert means[0] == pytest.approx(means[1], abs=8)


def test_clips_have_no_combing_artefacts(built: Built) -> None:
    (clip,) = built.of("clips", "progressive_second_then_interlaced.ts")
    frames, *_ = decoded(built.corpus / clip["video_path"])
    for frame in frames:
        rows_of = frame[60:100].astype(float)
        one = abs(rows_of[1:-1] - rows_of[:-2]).mean()
        two = abs(rows_of[2:] - rows_of[:-2]).mean()
        assert one < two + 1.5


def test_corrections_and_damage_give_warnings(built: Built) -> None:
    warnings = {
        (entry["film_id"], entry["stage"]): entry["message"] for entry in built.status["warnings"]
    }
    for name in ("two_cells_restart.vob", "jump_one_hour.ts"):
        assert "corrected" in warnings[id_of(name), "fetch"]
    assert "0.01 s of the audio" in warnings[id_of("nan_10ms.mkv"), "stems"]
    assert "398" in warnings[id_of("progressive_second_then_interlaced.ts"), "scenes"]
    assert not any(film_id == "base-truth" for film_id, _ in warnings)


def test_a_truncated_film_is_not_built(built: Built) -> None:
    (failed,) = built.status["failed"]
    assert (failed["film_id"], failed["code"]) == ("truncated", "truncated")
    assert built.of("films", "truncated.avi") == []
