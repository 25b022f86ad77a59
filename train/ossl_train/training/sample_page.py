"""The page that plays the samples of a run: the film, the base model, and each step."""

from __future__ import annotations

import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ossl_builder import files
from ossl_builder.files import inside
from ossl_builder.tables import Clip
from ossl_train.comparison.page import ComparedClip, Sound, System, write_page
from ossl_train.comparison.systems import film_titles
from ossl_train.data.source import Source
from ossl_train.data.windows import Window
from ossl_train.listening_test.design import BASE, FILM
from ossl_train.training.monitor import read_metrics
from ossl_train.training.run_folder import SAMPLES

INDEX, PAGE, VIDEO = "samples.json", "index.html", "video"
STEP = "step-"


@dataclass(frozen=True)
class SampleWindow:
    """A validation window whose music is generated again and again.

    Attributes:
        index: its number in the dataset.
        window: its position.
        prompt: its prompt.
        clip: the row of its clip.
    """

    index: int
    window: Window
    prompt: str
    clip: Clip

    @property
    def name(self) -> str:
        """The name of its files."""
        return f"{self.window.film_id}_{self.window.clip_id}_{self.window.index}"


def step_folder(step: int) -> str:
    """Return the name of the folder of the samples after a step."""
    return f"{STEP}{step:06d}"


def loudness_of(folder: Path) -> dict[str, float | None]:
    """Return the loudness of each sample of a folder before levelling, in LUFS; None: silent.

    The dictionary is empty if the folder is not complete.
    """
    loudness = files.read_json(folder / INDEX)
    if not isinstance(loudness, dict):
        return {}
    return {
        name: lufs for name, lufs in loudness.items() if lufs is None or isinstance(lufs, float)
    }


def write_sample_page(out: Path, source: Source, windows: Sequence[SampleWindow]) -> None:
    """Write the page of the samples of a run, and the videos that it plays.

    Args:
        out: the folder of the run.
        source: the clips.
        windows: the windows, in the order of the page.

    Raises:
        OsslError: `disk_full`, `path_outside`.
    """
    folder = out / SAMPLES
    names = {FILM: FILM, BASE: BASE}
    names |= {step_folder(step): f"step {step}" for step in _steps(folder)}
    found = {system: loudness for system in names if (loudness := loudness_of(folder / system))}
    measured = {event["step"]: event for event in read_metrics(out) if "validation_loss" in event}
    systems = [System(names[system], _note(system, measured)) for system in found]
    titles = film_titles(source.root)
    clips = []
    for chosen in windows:
        window = chosen.window
        sounds = tuple(
            Sound(names[system], folder / system / f"{chosen.name}.flac", loudness[chosen.name])
            for system, loudness in found.items()
            if chosen.name in loudness
        )
        end_s = window.start_s + window.duration_s
        clips.append(
            ComparedClip(
                name=f"{window.clip_id}, {window.start_s:.4g} to {end_s:.4g} s",
                title=titles.get(window.film_id, window.film_id),
                prompts=(chosen.prompt,),
                video=_copied_video(folder, source.root, chosen),
                start_s=window.start_s,
                sounds=sounds,
            )
        )
    write_page(folder / PAGE, f"Samples of {out.name}", systems, clips, embeds=False)


def _note(system: str, measured: Mapping[int, Mapping[str, Any]]) -> str:
    """Return the validation loss of a step, or the last one before it.

    Args:
        system: the film, the base model, or the folder of a step.
        measured: what was recorded at each validation, by step.
    """
    if system == FILM:
        return ""
    step = 0 if system == BASE else int(system.removeprefix(STEP))
    last = max((other for other in measured if other <= step), default=None)
    if last is None:
        return ""
    # With `fit --init`, alpha is not 0 at the start: that loss is not the base model's.
    if system == BASE and any(measured[last].get("alpha", {}).values()):
        return ""
    when = "" if last == step else f" after step {last}"
    return f"validation loss {measured[last]['validation_loss']:.4f}{when}"


def _copied_video(folder: Path, root: Path, chosen: SampleWindow) -> Path:
    """Copy the video of a clip beside the page, once: the folder can be moved as a whole."""
    window = chosen.window
    copy = inside(folder, f"{VIDEO}/{window.film_id}_{window.clip_id}.mp4")
    if not copy.exists():
        with files.replacing(copy) as temporary:
            shutil.copyfile(inside(root, chosen.clip.video_path), temporary)
    return copy


def _steps(folder: Path) -> list[int]:
    numbers = (path.name.removeprefix(STEP) for path in folder.glob(f"{STEP}*"))
    return sorted(int(number) for number in numbers if number.isdecimal())
