"""Options that several commands have, each declared once."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

AsJson = Annotated[bool, typer.Option("--json", help="Print the result as JSON.")]
DryRun = Annotated[
    bool, typer.Option("--dry-run", help="Show what would be done, and change nothing.")
]
FilmIds = Annotated[
    list[str] | None,
    typer.Argument(help="Film ids; without any, all films of the corpus.", metavar="FILM"),
]
OneFilm = Annotated[str, typer.Argument(help="Id of the film.", metavar="FILM")]
Workers = Annotated[
    int, typer.Option("--workers", min=1, help="Number of films or clips processed in parallel.")
]
Set = Annotated[
    list[str] | None,
    typer.Option("--set", help="Override a setting for this run: section.key=value. Repeatable."),
]
TrustModel = Annotated[
    bool,
    typer.Option(
        "--trust-model",
        help="Load stems.model even if it can run code on this machine as you.",
    ),
]
DropLabelled = Annotated[
    bool,
    typer.Option("--drop-labelled", help="Continue even if annotated clips would be lost."),
]
Out = Annotated[Path, typer.Option("--out", help="Folder to write.", metavar="DIR")]
Splits = Annotated[
    list[str] | None,
    typer.Option(
        "--split",
        help="Export this split only: train, validation or test. Repeatable. Default: all three.",
        metavar="SPLIT",
    ),
]
Link = Annotated[
    bool,
    typer.Option("--link/--copy", help="Hard-link the media files, or copy and check each one."),
]
AllowUnverified = Annotated[
    bool,
    typer.Option(
        "--allow-unverified",
        help="Include films that are not shown to be free. You are responsible for them.",
    ),
]
Title = Annotated[str, typer.Option("--title", help="Name of the dataset.")]
