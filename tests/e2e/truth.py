"""Scoring against `truth.json` of a shared film: scenes, cues, separation."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

# Frames of 0.1 s, in which cues are compared.
FRAMES_PER_S = 10


@dataclass(frozen=True)
class SceneScore:
    """How scene boundaries agree with the truth.

    Attributes:
        cuts: hard cuts found within one frame, named `cut`.
        fades, dissolves: gradual transitions with a boundary of that kind inside.
        false: boundaries that are none of these.
    """

    cuts: int
    fades: int
    dissolves: int
    false: int


def score_scenes(scenes: Sequence[dict[str, Any]], truth: dict[str, Any]) -> SceneScore:
    """Compare scenes' first frames and kinds with the truth."""
    starts = {s["start_frame"]: s["transition_in"] for s in scenes if s["transition_in"] != "start"}
    used: set[int] = set()

    def find(low: int, high: int, kind: str) -> bool:
        found = [f for f, k in starts.items() if low <= f <= high and k == kind and f not in used]
        used.update(found[:1])
        return bool(found)

    cuts = sum(find(cut - 1, cut + 1, "cut") for cut in truth["cuts"])
    graduals = {"fade_through_black": 0, "dissolve": 0}
    for gradual in truth["gradual"]:
        kind = "dissolve" if gradual["type"] == "dissolve" else "fade"
        graduals[gradual["type"]] += find(gradual["start_frame"], gradual["end_frame"], kind)
    return SceneScore(
        cuts, graduals["fade_through_black"], graduals["dissolve"], len(starts) - len(used)
    )


def activity(spans: Sequence[tuple[float, float]], length_s: float) -> np.ndarray:
    """Spans as one boolean per 0.1 s."""
    frames = np.zeros(round(length_s * FRAMES_PER_S), bool)
    for start_s, end_s in spans:
        frames[round(start_s * FRAMES_PER_S) : round(end_s * FRAMES_PER_S)] = True
    return frames


def cue_f1(found: Sequence[tuple[float, float]], truth: dict[str, Any]) -> float:
    """F1 of music over frames of 0.1 s."""
    here = activity(found, truth["duration_s"])
    there = activity([(c["start"], c["end"]) for c in truth["cues"]], truth["duration_s"])
    return float(2 * (here & there).sum() / (here.sum() + there.sum()))


def music_in_speech_alone(found: Sequence[tuple[float, float]], truth: dict[str, Any]) -> float:
    """Share of the frames with speech and no music that are claimed to be music."""
    here = activity(found, truth["duration_s"])
    music = activity([(c["start"], c["end"]) for c in truth["cues"]], truth["duration_s"])
    speech = activity([(c["start"], c["end"]) for c in truth["speech"]], truth["duration_s"])
    alone = speech & ~music
    return float((here & alone).sum() / alone.sum())


def si_sdr(estimate: np.ndarray, target: np.ndarray) -> float:
    """Scale-invariant signal-to-distortion ratio in dB (Le Roux et al. 2019); 1-D signals."""
    estimate = estimate - estimate.mean()
    target = target - target.mean()
    projected = (estimate @ target) / (target @ target) * target
    return float(10 * np.log10((projected @ projected) / ((estimate - projected) ** 2).sum()))


def load(media: Path) -> dict[str, Any]:
    """The truth of `dev.mp4`."""
    found: dict[str, Any] = json.loads((media / "mixfilm" / "truth.json").read_text())
    return found
