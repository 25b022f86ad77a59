"""The music to be judged: generated for this test, or taken from a folder of finished files."""

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
    """How the music of a test is to be generated.

    Attributes:
        root: the corpus or the export.
        recipe, overrides, checkpoint, device: as `ossl train generate` takes them.
        text_guidance, video_guidance: likewise.
        seed: of all samples.
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
    """What one model makes.

    Attributes:
        systems: whose music that is, each with its jobs.
        chosen: the adapter, and the recipe it was fitted with.
        recipe: that, with folders in place of `tiny`.
        settings: of the generation.
        device: `cpu` or `cuda`.
        facts: what it is all made from.
    """

    systems: Mapping[str, Sequence[SampleJob]]
    chosen: ChosenAdapter
    recipe: TrainRecipe
    settings: GenerateSettings
    device: str
    facts: Mapping[str, Any]

    @property
    def jobs(self) -> list[SampleJob]:
        """All of them."""
        return [job for jobs in self.systems.values() for job in jobs]


def plan_music(
    wanted: MusicOptions,
    pieces: Mapping[str, GenerationRequest],
    partners: Mapping[str, str],
    folder: Path,
    is_dry: bool,
) -> list[ModelJobs]:
    """What is to be generated, by the base model and by the adapter; nothing is loaded.

    Args:
        wanted: see there.
        pieces: of all clips of the split, by name.
        partners: chosen clip to the one whose video its control is made for.
        folder: gets a folder of files for each system.
        is_dry: do not write tiny models either.

    Raises:
        OsslError: see `generation.checkpoints.choose`.
    """
    own = {name: pieces[name] for name in partners}
    strange = {name: _shown(pieces[name], pieces[other]) for name, other in partners.items()}
    found = []
    for alpha, systems in ((0.0, {BASE: own}), (1.0, {ADAPTER: own, CONTROL: strange})):
        chosen = choose_adapter(
            wanted.root, wanted.recipe, wanted.overrides, wanted.checkpoint, alpha
        )
        place = checked_device("auto" if is_dry else wanted.device or chosen.recipe.fit.device)
        recipe = with_models(chosen.recipe, wanted.root, write=not is_dry)
        settings = _settings(wanted, chosen.recipe, alpha, place)
        facts = shared_facts(chosen, recipe, settings)
        jobs = {
            system: plan_samples(list(shown.values()), [wanted.seed], folder / system, False, facts)
            for system, shown in systems.items()
        }
        found.append(ModelJobs(jobs, chosen, recipe, settings, place, facts))
    return found


def generate_music(part: ModelJobs, bar: Callable[[int], Any], say: Callable[[str], None]) -> None:
    """Generate what is not there yet.

    Args:
        part: one of `parts`.
        bar: told how many steps there are, gives a context whose value is called after each.
        say: told what a person should know.

    Raises:
        OsslError: the first piece's that cannot be made; what is finished is kept.
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
            for done in generate(part.jobs, models, part.recipe, part.settings, advance):
                _check(done)
    finally:
        if models is not None and models.adapter is not None:
            models.adapter.detach()


def finished_music(folder: Path, names: Sequence[str]) -> dict[str, dict[str, Path]]:
    """Finished music: for each folder in `folder` a system, and in it a file for each clip.

    Args:
        folder: holds `<system>/<clip>.wav` or `.flac`.
        names: of the chosen clips.

    Raises:
        OsslError: `no_systems`, `file_missing`.
    """
    systems = sorted(path.name for path in folder.iterdir() if path.is_dir() and path.name != FILM)
    if not systems:
        raise OsslError(
            "no_systems",
            f"{folder} has no folder of music.",
            "Put each system's files into a folder of its name: base/<clip>.wav, and so on.",
        )
    found = {system: {name: _one(folder / system, name) for name in names} for system in systems}
    missing = [path for of in found.values() for path in of.values() if not path.is_file()]
    if missing:
        named = ", ".join(str(path.relative_to(folder)) for path in missing)
        raise OsslError(
            "file_missing",
            f"{folder} lacks music for clips that were drawn: {named}.",
            "Put it there, as WAV or FLAC, as long as the clip or longer.",
        )
    return found


def music_checksums(sounds: Mapping[str, Mapping[str, Path]]) -> dict[str, dict[str, str]]:
    """SHA-256 of finished music, by system and clip."""
    return {
        system: {name: files.sha256_file(path) for name, path in of.items()}
        for system, of in sounds.items()
    }


def generated_files(found: Sequence[ModelJobs]) -> Iterator[tuple[str, str, Path]]:
    """System, clip and file of everything that is generated."""
    for part in found:
        for system, jobs in part.systems.items():
            for job in jobs:
                yield system, job.sample.piece.name, job.target.wav


def _settings(
    wanted: MusicOptions, recipe: TrainRecipe, alpha: float, device: str
) -> GenerateSettings:
    window_s = recipe.windows.length_s
    on_gpu = device == "cuda"
    return GenerateSettings(
        alpha=alpha,
        text_guidance=wanted.text_guidance,
        video_guidance=wanted.video_guidance,
        window_s=window_s,
        overlap_s=window_s / 3,
        precision=recipe.fit.precision if on_gpu else "fp32",
        batch_size=8 if on_gpu else 1,
    )


def _shown(piece: GenerationRequest, other: GenerationRequest) -> GenerationRequest:
    """A clip's music as the adapter writes it when it is shown another clip."""
    return dataclasses.replace(
        piece,
        video=other.video,
        video_sha256=other.video_sha256,
        dialogue=other.dialogue,
        dialogue_sha256=other.dialogue_sha256,
    )


def _check(done: SampleResult) -> None:
    if done.state == "failed":
        raise OsslError(
            done.code or "generation_failed",
            f"The music for {done.name} could not be made: {done.message}",
            done.hint or "Choose other clips with another --seed.",
        )


def _one(folder: Path, name: str) -> Path:
    paths = [folder / f"{name}{ending}" for ending in AUDIO_SUFFIXES]
    return next((path for path in paths if path.is_file()), paths[0])
