"""Helpers for tests of `ossl train evaluate`: audio files, and settings with few resamples."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import soundfile
from ossl_train.evaluation.settings import EvaluationSettings

from tests.train.tiny_clap import RATE


def settings(clap: Path, **chosen: Any) -> EvaluationSettings:
    few = EvaluationSettings(clap=str(clap), resamples=200, distance_resamples=10, device="cpu")
    return replace(few, **chosen)


def audio(seed: int, seconds: float = 3.0) -> np.ndarray:
    """A chord with noise; each seed gives another chord."""
    drawn = np.random.default_rng(seed)
    time_s = np.arange(round(seconds * RATE)) / RATE
    tones = [np.sin(2 * np.pi * tone * time_s) for tone in drawn.uniform(80, 3000, 4)]
    return 0.1 * sum(tones) + 0.02 * drawn.normal(size=len(time_s))


def folder_of(folder: Path, seeds: Sequence[int], begin: np.ndarray | None = None) -> Path:
    """Write one audio file per seed, named by its index."""
    folder.mkdir()
    for number, seed in enumerate(seeds):
        whole = audio(seed) if begin is None else np.concatenate((begin, audio(seed)))
        soundfile.write(folder / f"clip-{number:02}.wav", whole, RATE)
    return folder
