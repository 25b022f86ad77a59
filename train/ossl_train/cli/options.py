"""Options that several commands have."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

RecipeName = Annotated[
    str, typer.Option("--recipe", help="Name of a recipe, or a YAML file.", metavar="NAME|FILE")
]
Set = Annotated[
    list[str] | None,
    typer.Option("--set", help="Another value for this run: section.key=value; repeatable."),
]
Data = Annotated[
    Path | None,
    typer.Option(
        "--data",
        exists=True,
        file_okay=False,
        help="A folder that `ossl export parquet` wrote, instead of the corpus.",
        metavar="DIR",
    ),
]
On = Annotated[
    str | None, typer.Option("--device", help="auto, cpu or cuda, instead of the recipe's.")
]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Say what would run, and why.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print for scripts.")]
