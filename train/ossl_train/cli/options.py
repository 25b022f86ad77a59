"""The options that several commands share, each declared once."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from ossl_builder.cli.options import AsJson, DryRun, Set

__all__ = [
    "AsJson", "Checkpoint", "Clap", "ClapRevision", "Data", "Device", "DryRun", "EvalSet", "Kl",
    "RecipeName", "Set", "Split", "TextGuidance", "VideoGuidance",
]  # fmt: skip

RecipeName = Annotated[
    str,
    typer.Option("--recipe", help="The name of a recipe, or a YAML file.", metavar="NAME|FILE"),
]
Data = Annotated[
    Path | None,
    typer.Option(
        "--data",
        exists=True,
        file_okay=False,
        help="Read this folder, written by `ossl export parquet`, instead of the corpus.",
        metavar="DIR",
    ),
]
EvalSet = Annotated[
    Path | None,
    typer.Option(
        "--eval-set",
        exists=True,
        file_okay=False,
        help="Use this evaluation set, written by `ossl import oes` or `ossl import v2m-bench`.",
        metavar="SET",
    ),
]
Split = Annotated[str | None, typer.Option("--split", help="The split: train, validation or test.")]
Device = Annotated[
    str | None,
    typer.Option("--device", help="auto, cpu or cuda.", show_default="the recipe's"),
]
Checkpoint = Annotated[
    Path | None,
    typer.Option(
        exists=True,
        help="An adapter file, a checkpoint, or the folder of a run.",
        show_default="best of train/RECIPE",
        metavar="DIR|FILE",
    ),
]
Clap = Annotated[
    str,
    typer.Option("--clap", help="A CLAP on the Hugging Face hub, or its folder. none: no CLAP."),
]
ClapRevision = Annotated[
    str | None, typer.Option("--revision", help="The revision of the CLAP on the hub.")
]
Kl = Annotated[
    bool, typer.Option("--kl", help="Measure the KL divergence as well (needs hear21passt).")
]
TextGuidance = Annotated[float, typer.Option(min=0, help="The weight of the text.")]
VideoGuidance = Annotated[
    float, typer.Option(min=0, help="The weight of the video. Above 1 it is stronger.")
]
