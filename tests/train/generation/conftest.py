"""Fixtures for the tests of generation: runs of the tiny models."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from click.testing import Result
from ossl_train.adapter.adapter import adapter_for
from ossl_train.adapter.adapter_file import save_adapter
from ossl_train.generation.models import Models, load_models
from ossl_train.generation.requests import (
    GenerateSettings,
    GenerationRequest,
    PromptOptions,
    clip_requests,
)
from ossl_train.generation.sampling import GeneratedSample, sample_codes
from ossl_train.musicgen import load_backbone
from ossl_train.recipe import TrainRecipe
from typer.testing import CliRunner

from ossl_builder import files
from ossl_builder.cli.main import app
from ossl_builder.errors import OsslError
from tests.films.long_clips import ClipSpec, corpus_of
from tests.train.labelled_corpus import assign_splits, recipe_for

THIRTY = "windows.length_s=30.0"
LENGTHS = (75, 30, 7)
ONE = ("--text-guidance", 1)
"""One copy of the batch instead of two: half the time."""
Generate = Callable[..., list[dict[str, Any]]]


@pytest.fixture(autouse=True)
def _alone(one_thread: None) -> None:
    """Use one thread: more do not speed up small steps, and change the order of sums."""


@pytest.fixture(scope="module")
def root(tiny_models: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Clips of 75, 30 and 7 s, and a run whose adapter has open gates."""
    made = [ClipSpec(f"film{seconds}", seconds) for seconds in LENGTHS]
    folder = corpus_of(tmp_path_factory.mktemp("generate") / "corpus", made, tiny_models)
    assign_splits(folder, {"film75": "train", "film30": "train", "film7": "test"})
    write_run(folder, "tiny_cpu", alpha=0.6)
    return folder


def write_run(root: Path, name: str, alpha: float) -> Path:
    """Write the folder of a run, like `ossl train fit`."""
    import yaml

    recipe = recipe_for(root, THIRTY)
    backbone = load_backbone(recipe.model.source)
    torch.manual_seed(3)
    adapter = adapter_for(backbone, video_dim=48, alpha_init=alpha, positions="time")
    run = root / "train" / name
    metadata = {"digest": backbone.digest, "encoder": "vivit", "pooling": "time_slots"}
    save_adapter(run / "best/adapter.safetensors", adapter, metadata)
    adapter.detach()
    text = yaml.safe_dump({"name": name, **recipe.model_dump(exclude={"name"})})
    files.write_bytes(run / "recipe.yaml", text.encode())
    return run


NO_CURVES = {"with_dialogue": False, "with_events": False}


@pytest.fixture
def generate(root: Path) -> Generate:
    """Run `ossl train generate` in this process; return its JSON output."""

    def run(*arguments: object, code: int = 0) -> list[dict[str, Any]]:
        found = command(root, *arguments, "--json")
        assert found.exit_code == code, found.output
        return json.loads(found.stdout)

    return run


def command(root: Path, *arguments: object) -> Result:
    given = ("-C", root, "train", "generate", "--recipe", "tiny_cpu", *arguments)
    found = CliRunner().invoke(app, [str(one) for one in given])
    if isinstance(found.exception, OsslError):
        raise found.exception
    return found


@dataclasses.dataclass
class Seen:
    """Inputs and outputs of each window of the 75-s clip."""

    codes: list[torch.Tensor]
    starts: list[int]
    videos: list[torch.Tensor]
    whole: torch.Tensor
    projections: int


def piece_of(root: Path, clip_id: str, prompt: str | None = None) -> GenerationRequest:
    return clip_requests(
        root, None, [clip_id], PromptOptions(prompt, None, recipe_for(root).prompts)
    )[0]


@pytest.fixture(scope="module")
def models(root: Path) -> Iterator[Models]:
    found = models_of(root)
    yield found
    assert found.adapter is not None
    found.adapter.detach()


def models_of(root: Path) -> Models:
    path = root / "train/tiny_cpu/best/adapter.safetensors"
    return load_models(recipe_for(root, THIRTY), path, "cpu", "fp32")


@pytest.fixture(scope="module")
def seen(root: Path, models: Models) -> Seen:
    backbone, adapter = models.backbone, models.adapter
    assert adapter is not None
    torch.set_num_threads(1)
    found = Seen([], [], [], torch.zeros(0), 0)
    real = backbone.generate

    def recorded(*given: Any, **named: Any) -> torch.Tensor:
        codes = real(*given, **named)
        found.codes.append(codes[0])
        found.starts.append(named["start"].shape[-1])
        found.videos.append(adapter._context.video[0])
        return codes

    adapter.projections = 0
    backbone.generate = recorded
    try:
        sample = GeneratedSample(piece_of(root, "clip0"), seed=1)
        settings = GenerateSettings(window_s=30, overlap_s=10, text_guidance=1)
        (found.whole,) = sample_codes(
            [sample], models, recipe_for(root, THIRTY), settings, lambda: None
        )
    finally:
        backbone.generate = real
    found.projections = adapter.projections
    return found


def codes_of(root: Path, models: Models, **settings: Any) -> torch.Tensor:
    recipe: TrainRecipe = recipe_for(root, THIRTY)
    sample = GeneratedSample(piece_of(root, "clip2", "a sad piano"), seed=2)
    chosen = GenerateSettings(**{"window_s": 3, "overlap_s": 1, **settings})
    (codes,) = sample_codes([sample], models, recipe, chosen, lambda: None)
    return codes
