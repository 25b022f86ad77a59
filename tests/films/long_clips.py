"""A corpus of clips of any length, made in a second: few small frames, simple audio."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import av
import numpy as np

from ossl_builder.engine.tables_io import write_corpus_table
from ossl_builder.media.flac import FlacWriter
from ossl_builder.tables import CLIPS, Clip
from tests.train.labelled_corpus import assign_splits, copied, put_labels

FPS, RATE = 5, 32_000


@dataclass(frozen=True)
class ClipSpec:
    """A clip to be made: its film, length in seconds, and how loud its music is (0: silent)."""

    film_id: str
    seconds: int
    gain: float = 0.5
    has_dialogue: bool = True


def corpus_of(root: Path, made: Sequence[ClipSpec], models: Path) -> Path:
    """Write clips, and tables with every film in the train split."""
    copied(models, root / "train/models")
    (root / "train/models/written").touch()
    (root / "manifests").mkdir()
    clips = [_clip(root, one, number) for number, one in enumerate(made)]
    write_corpus_table(root, CLIPS, clips)
    assign_splits(root, {one.film_id: "train" for one in made})
    put_labels(root)
    return root


def music(seconds: int) -> np.ndarray:
    """Two voices whose notes change every second, the same at every call; peak 1."""
    rng = np.random.default_rng(3)
    time_s = np.arange(RATE) / RATE
    notes = rng.uniform(100, 2000, (seconds, 2))
    voices = np.sin(2 * np.pi * notes[:, :, None] * time_s).sum(axis=1).reshape(-1)
    return (voices / np.abs(voices).max()).astype(np.float32)


def _clip(root: Path, made: ClipSpec, number: int) -> Clip:
    name = f"clip{number}"
    video, sounds = root / f"{name}.mp4", {}
    for role in ("music", "dialogue"):
        sounds[role] = f"{name}.{role}.flac"
        with FlacWriter(root / sounds[role], RATE, 1) as flac:
            flac.write(made.gain * music(made.seconds)[None])
    _film(video, made.seconds * FPS)
    return Clip(
        clip_id=name, film_id=made.film_id, start_s=None, end_s=None,
        duration_s=float(made.seconds), fps=float(FPS), fps_num=FPS, fps_den=1,
        n_frames=made.seconds * FPS, width=64, height=48, video_path=video.name,
        video_sha256=f"{number:064d}", mix_path=None, mix_sha256=None,
        music_path=sounds["music"], music_sha256=f"{number:064d}",
        dialogue_path=sounds["dialogue"] if made.has_dialogue else None,
        dialogue_sha256=f"{number:064d}" if made.has_dialogue else None,
        sample_rate=RATE, n_samples=made.seconds * RATE, cue_id=None, music_lufs=None,
        dialogue_share=None, first_scene_id=None, last_scene_id=None,
    )  # fmt: skip


def _film(path: Path, n_frames: int) -> None:
    rng = np.random.default_rng(4)
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=FPS)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        for _ in range(n_frames):
            frame = np.full((48, 64, 3), rng.integers(0, 255, 3), np.uint8)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(frame, format="rgb24")))
        container.mux(stream.encode())
