"""Fingerprints of real clips: copies and reused recordings match, and nothing else does."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import soundfile

from ossl_builder.engine.stage import Item
from ossl_builder.engine.tables_io import write_parquet
from ossl_builder.splits.leaks import find_matches, load_fingerprints
from ossl_builder.splits.settings import SplitsSettings
from ossl_builder.stages.fingerprints.landmarks import RATE, at_rate, landmarks
from ossl_builder.stages.fingerprints.minhash import MOMENT_BITS, minhash
from ossl_builder.stages.fingerprints.perceptual_hash import frame_pairs
from ossl_builder.stages.fingerprints.stage import FINGERPRINTS_STAGE
from ossl_builder.tables import FINGERPRINTS, Clip, Fingerprint
from tests.films import ffmpeg

CLIP = Clip(
    clip_id="clip", film_id="film", start_s=None, end_s=None, duration_s=1.0, fps=24.0, fps_num=24,
    fps_den=1, n_frames=24, width=4, height=4, video_path="", video_sha256="0", mix_path=None,
    mix_sha256=None, music_path="", music_sha256="0", dialogue_path=None, dialogue_sha256=None,
    sample_rate=RATE, n_samples=1, cue_id=None, music_lufs=None, dialogue_share=None,
    first_scene_id=None, last_scene_id=None,
)  # fmt: skip

Stretch = tuple[Path, float, float]


def cut(source: Stretch, target: Path, *options: object) -> None:
    """Encode a segment of a file with the options into another file."""
    path, start_s, end_s = source
    ffmpeg("-ss", start_s, "-to", end_s, "-i", path, *options, target)


def make_clip(
    corpus: Path,
    film_id: str,
    music: Stretch,
    frame: Stretch,
    coded: tuple[object, ...] = (),
    shown: tuple[object, ...] = ("-crf", 23),
) -> Clip:
    """A clip of any music and video; its music is encoded with loss."""
    lossy, flac, video = (corpus / f"{film_id}.{kind}" for kind in ("mka", "flac", "mp4"))
    cut(music, lossy, "-vn", *(coded or ("-c:a", "aac", "-b:a", "128k")))
    ffmpeg("-i", lossy, flac)
    cut(frame, video, "-an", "-c:v", "libx264", "-preset", "ultrafast", *shown)
    info = soundfile.info(str(flac))
    return dataclasses.replace(
        CLIP, clip_id=f"{film_id}_0", film_id=film_id, duration_s=info.duration,
        music_path=flac.name, video_path=video.name, sample_rate=info.samplerate,
    )  # fmt: skip


@pytest.fixture(scope="module")
def clips(shared_media: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[Clip]]:
    """Clips of the shared film in many forms, and unrelated clips."""
    corpus = tmp_path_factory.mktemp("fingerprints")
    film = shared_media / "mixfilm/dev.mp4"
    stem = shared_media / "mixfilm/music.flac"
    elsewhere = shared_media / "film"
    popeye = elsewhere / "popeye_sindbad_1936_part1.mkv"
    recording = shared_media / "music/tchaikovsky_sugarplum_macleod.ogg"
    king = shared_media / "music/grieg_mountain_king_czech_nso_musopen.mp3"
    toy = elsewhere / "mdn_toy_crystal.mp4"
    small = ("-vf", "scale=320:180,hue=s=0", "-crf", 32)
    boxed = ("-vf", "crop=616:346,scale=640:360,pad=640:480:0:60", "-crf", 28)
    # As on PAL television: 25 frames a second instead of 24, and a higher pitch.
    fast = ("-vf", "setpts=PTS*24/25", "-r", 25, "-crf", 26)
    higher = ("-af", "asetrate=44100*25/24,aresample=48000", "-c:a", "libopus", "-b:a", "96k")
    quiet = ("-af", "volume=-14dB", "-ac", 1, "-ar", 22050, "-c:a", "libmp3lame", "-b:a", "48k")
    return corpus, [
        make_clip(corpus, "film", (stem, 95, 127), (film, 95, 127)),
        make_clip(corpus, "copy", (stem, 96.03, 125), (film, 96.03, 125), quiet, small),
        make_clip(corpus, "boxed", (king, 60, 80), (film, 97.02, 126), shown=boxed),
        make_clip(corpus, "fast", (stem, 95.4, 127), (film, 95.4, 127), higher, fast),
        # The recording itself, and a mix of it with speech of the same loudness.
        make_clip(corpus, "reused", (recording, 12.4, 42), (toy, 0, 6)),
        make_clip(corpus, "spoken", (film, 95.2, 126), (toy, 6, 12)),
        make_clip(corpus, "other", (stem, 4, 34), (film, 4, 34)),
        make_clip(corpus, "trailer", (elsewhere / "sintel_trailer_480x204.mp4", 10, 40),
                  (elsewhere / "sintel_trailer_480x204.mp4", 10, 40)),
        make_clip(corpus, "cartoon", (recording, 60, 80), (popeye, 4, 16), shown=small),
    ]  # fmt: skip


def run_stage(make_item: Callable[..., Item], corpus: Path, clips: list[Clip]) -> list[Fingerprint]:
    """The stage's rows, film by film."""
    rows: list[Fingerprint] = []
    for clip in clips:
        item = make_item(FINGERPRINTS_STAGE, {"clips": (clip,)}, corpus=corpus)
        rows += FINGERPRINTS_STAGE.run(item).rows
    FINGERPRINTS.validate(rows)
    return sorted(rows, key=lambda row: row.film_id)


def matches(folder: Path, rows: list[Fingerprint], least: float) -> dict[tuple[str, str, str], int]:
    """Pairs of films with shared hashes, as `ossl split` finds them."""
    write_parquet(folder / "fingerprints.parquet", FINGERPRINTS, [tuple(rows)])
    prints = load_fingerprints(folder)
    assert prints is not None
    found = find_matches(prints, SplitsSettings(min_shared=least))
    return {(match.film_a, match.film_b, match.kind): match.shared for match in found}


def test_copies_and_reused_recordings_match_and_nothing_else(
    make_item: Callable[..., Item], clips: tuple[Path, list[Clip]], tmp_path: Path
) -> None:
    corpus, made = clips
    rows = run_stage(make_item, corpus, made)
    found = matches(tmp_path, rows, SplitsSettings().min_shared)
    music = {"copy", "fast", "film", "reused", "spoken"}
    frame = {"boxed", "copy", "fast", "film"}
    for film in music - {"film"}:
        assert (*sorted(("film", film)), "audio") in found
    # Films are split by groups: a copy does not have to match every other copy.
    pairs = [{one, other} for one, other, kind in found if kind == "video"]
    group = {"film"}
    for _ in frame:
        group |= set().union(*(pair for pair in pairs if pair & group))
    assert group == frame
    assert ("reused", "spoken", "audio") in found
    # The margin: unrelated films have no matches even with a lower threshold.
    for one, other, kind in matches(tmp_path, rows, 2.0):
        assert {one, other} <= (music if kind == "audio" else frame), (one, other, kind)


def test_the_same_clip_has_the_same_fingerprint_and_long_clips_more_hashes(
    make_item: Callable[..., Item], clips: tuple[Path, list[Clip]]
) -> None:
    corpus, made = clips
    one, two = (run_stage(make_item, corpus, [made[0]])[0] for _ in range(2))
    assert one == two
    assert len(one.audio_hashes) == round(2.0 * made[0].duration_s)
    assert 32 <= len(one.video_hashes) <= round(1.5 * made[0].duration_s)


def test_synthetic_music_matches_only_its_noisy_copy() -> None:
    """Without the shared media: composed pieces."""
    pytest.importorskip("mido")
    from tests.films.pieces import played

    rate = 44_100
    sounds = [np.tile(played(seed, 10.0, rate), (2, 1)) for seed in (1, 2, 3)]
    noise = np.random.default_rng(0).normal(0, 0.1, sounds[0].shape) * sounds[0].std()
    sounds.append((0.2 * (sounds[0] + noise)[:, 15_000:]).astype(np.float32))
    kept = [minhash(*landmarks(at_rate(audio, rate)), 200) for audio in sounds]
    whats = [{value >> MOMENT_BITS for value in hashes} for hashes in kept]
    shared = [len(whats[0] & others) for others in whats[1:]]
    assert shared[-1] > 20
    assert max(shared[:-1]) <= 2


def test_silence_and_flat_frames_have_no_hashes() -> None:
    for audio in (np.zeros(RATE * 5, np.float32), np.zeros(10, np.float32)):
        assert minhash(*landmarks(audio), 100) == ()
    times = np.arange(50) / 10
    black, grey = (np.full((50, 36, 64), level, np.uint8) for level in (3, 120))
    noisy = np.random.default_rng(0).integers(118, 123, (50, 36, 64)).astype(np.uint8)
    for luma in (black, grey, noisy, black[:0]):
        assert not len(frame_pairs(times[: len(luma)], luma)[0])
