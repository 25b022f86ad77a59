"""The music of a listening test: generated for it, or from a folder of finished files."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ossl_builder import files
from ossl_builder.errors import OsslError
from ossl_train.generation.generate import (
    SampleJob,
    SampleResult,
    batch_jobs,
    generate,
    plan_samples,
    total_steps,
)
from ossl_train.generation.models import ChosenAdapter, Models, choose_adapter, load_models
from ossl_train.generation.requests import GenerateSettings, GenerationRequest
from ossl_train.generation.sample_files import shared_facts
from ossl_train.listening_test.design import ADAPTER, BASE, CONTROL, FILM
from ossl_train.pretrained import checked_device, with_models
from ossl_train.recipe import TrainRecipe

AUDIO_SUFFIXES = (".wav", ".flac")


@dataclass(frozen=True)
class MusicOptions:
    """How to generate the music of a test.

    Attributes:
        root: the corpus or the export.
        recipe, overrides, checkpoint, device: options of `ossl train generate`.
        text_guidance, video_guidance: likewise.
        seed: seed of all samples.
    """

    root: Path
    recipe: str
    overrides: Sequence[str]
    checkpoint: Path | None
    device: str | None
    text_guidance: float
    video_guidance: float
    seed: int


@dataclass(frozen=True)
class ModelJobs:
    """The samples that one model generates.

    Attributes:
        systems: the jobs of each system.
        chosen: the adapter, and the recipe that it was trained with.
        recipe: the same recipe, with folders in place of the name `tiny`.
        settings: of the generation.
        device: `cpu` or `cuda`.
        facts: all inputs of the generation.
    """

    systems: Mapping[str, Sequence[SampleJob]]
    chosen: ChosenAdapter
    recipe: TrainRecipe
    settings: GenerateSettings
    device: str
    facts: Mapping[str, Any]

    @property
    def jobs(self) -> list[SampleJob]:
        """The jobs of all systems."""
        return [job for jobs in self.systems.values() for job in jobs]


def plan_music(
    options: MusicOptions,
    requests: Mapping[str, GenerationRequest],
    partners: Mapping[str, str],
    folder: Path,
    is_dry: bool,
) -> list[ModelJobs]:
    """Plan the samples of the base model and of the adapter; no model is loaded.

    Args:
        options: see `MusicOptions`.
        requests: requests for all clips of the split, by name.
        partners: for each chosen clip, the clip whose video its control gets.
        folder: the output folder; each system gets a folder in it.
        is_dry: write nothing, not even tiny models.

    Raises:
        OsslError: see `choose_adapter`.
    """
    regular = {name: requests[name] for name in partners}
    swapped = {
        name: _with_video_of(requests[name], requests[other]) for name, other in partners.items()
    }
    parts = []
    for alpha, systems in ((0.0, {BASE: regular}), (1.0, {ADAPTER: regular, CONTROL: swapped})):
        chosen = choose_adapter(
            options.root, options.recipe, options.overrides, options.checkpoint, alpha
        )
        device = checked_device("auto" if is_dry else options.device or chosen.recipe.fit.device)
        recipe = with_models(chosen.recipe, options.root, write=not is_dry)
        settings = _settings(options, chosen.recipe, alpha, device)
        facts = shared_facts(chosen, recipe, settings)
        jobs = {
            system: plan_samples(
                list(of_system.values()), [options.seed], folder / system, False, facts
            )
            for system, of_system in systems.items()
        }
        parts.append(ModelJobs(jobs, chosen, recipe, settings, device, facts))
    return parts


def generate_music(part: ModelJobs, bar: Callable[[int], Any], say: Callable[[str], None]) -> None:
    """Generate the samples that are not up to date.

    Args:
        part: an item of `plan_music`.
        bar: called with the number of steps; returns a context whose value is called per step.
        say: gets sentences for the user.

    Raises:
        OsslError: the error of the first sample that fails; finished samples remain.
    """
    models: Models | None = None
    steps = 0
    if batch_jobs(part.jobs, part.settings.batch_size):
        models = load_models(part.recipe, part.chosen.adapter, part.device, part.settings.precision)
        steps = total_steps(part.jobs, models, part.settings)
        for note in models.notes:
            say(note)
    try:
        with bar(steps) as advance:
            for result in generate(part.jobs, models, part.recipe, part.settings, advance):
                _check(result)
    finally:
        if models is not None and models.adapter is not None:
            models.adapter.detach()


def finished_music(folder: Path, names: Sequence[str]) -> dict[str, dict[str, Path]]:
    """Find finished music: each folder in `folder` is a system, with a file for each clip.

    Args:
        folder: holds `<system>/<clip>.wav` or `.flac`.
        names: names of the chosen clips.

    Raises:
        OsslError: `no_systems`, `file_missing`.
    """
    systems = sorted(path.name for path in folder.iterdir() if path.is_dir() and path.name != FILM)
    if not systems:
        raise OsslError(
            "no_systems",
            f"{folder} has no folder with music.",
            "Put the files of each system into a folder with its name, as in base/<clip>.wav.",
        )
    music = {
        system: {name: _audio_file(folder / system, name) for name in names} for system in systems
    }
    missing = [path for paths in music.values() for path in paths.values() if not path.is_file()]
    if missing:
        named = ", ".join(str(path.relative_to(folder)) for path in missing)
        raise OsslError(
            "file_missing",
            f"{folder} has no music for some of the chosen clips: {named}.",
            "Add WAV or FLAC files that are at least as long as the clips.",
        )
    return music


def music_checksums(sounds: Mapping[str, Mapping[str, Path]]) -> dict[str, dict[str, str]]:
    """Return the SHA-256 of finished music, by system and clip."""
    return {
        system: {name: files.sha256_file(path) for name, path in paths.items()}
        for system, paths in sounds.items()
    }


def generated_files(parts: Sequence[ModelJobs]) -> Iterator[tuple[str, str, Path]]:
    """Yield system, clip and file of each generated sample."""
    for part in parts:
        for system, jobs in part.systems.items():
            for job in jobs:
                yield system, job.sample.request.name, job.target.wav


def _settings(
    options: MusicOptions, recipe: TrainRecipe, alpha: float, device: str
) -> GenerateSettings:
    window_s = recipe.windows.length_s
    on_gpu = device == "cuda"
    return GenerateSettings(
        alpha=alpha,
        text_guidance=options.text_guidance,
        video_guidance=options.video_guidance,
        window_s=window_s,
        overlap_s=window_s / 3,
        precision=recipe.fit.precision if on_gpu else "fp32",
        batch_size=8 if on_gpu else 1,
    )


def _with_video_of(request: GenerationRequest, other: GenerationRequest) -> GenerationRequest:
    """Return the request of a clip with the video of another clip."""
    return dataclasses.replace(
        request,
        video=other.video,
        video_sha256=other.video_sha256,
        dialogue=other.dialogue,
        dialogue_sha256=other.dialogue_sha256,
    )


def _check(result: SampleResult) -> None:
    if result.state == "failed":
        raise OsslError(
            result.code or "generation_failed",
            f"The music for {result.name} could not be generated: {result.message}",
            result.hint or "Choose other clips with another --seed.",
        )


def _audio_file(folder: Path, name: str) -> Path:
    paths = [folder / f"{name}{ending}" for ending in AUDIO_SUFFIXES]
    return next((path for path in paths if path.is_file()), paths[0])
