"""`ossl train compare`: a page on which systems are compared by ear."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ossl_builder.cli import output
from ossl_train.cli import options

if TYPE_CHECKING:
    from ossl_train.comparison.systems import Comparison

EXAMPLE = (
    "Example: ossl -C corpus train compare corpus/train/small/generated/base "
    "corpus/train/small/generated/adapter"
)


def compare(
    context: typer.Context,
    folders: Annotated[
        list[Path],
        typer.Argument(
            help="Folders of generated music: one file per clip, named by its id.",
            metavar="DIR…",
            exists=True,
            file_okay=False,
        ),
    ],
    clips: Annotated[int, typer.Option(min=1, max=100, help="The number of clips.")] = 6,
    split: Annotated[
        str | None,
        typer.Option(help="Only clips of this split.", show_default="all clips"),
    ] = None,
    seed: Annotated[int, typer.Option(min=0, help="The seed of the choice of clips.")] = 0,
    data: options.Data = None,
    out: Annotated[
        Path | None,
        typer.Option("--out", help="The page.", metavar="FILE", show_default="train/compare.html"),
    ] = None,
    dry_run: options.DryRun = False,
    json: options.AsJson = False,
) -> None:
    """Write one page that plays the film's own music and each system's, for the same clips.

    The page has its media in it and needs no network. All versions of a clip are equally loud. The
    keys 1 to 9 switch the system at the same position.
    """
    from ossl_train.comparison.systems import plan_comparison, write_comparison

    root = (data or context.obj).resolve()
    page = out or root / "train" / "compare.html"
    plan = plan_comparison(root, folders, split, clips, seed)
    if not dry_run:
        write_comparison(plan, page, lambda names: output.counted(names, "Clips"))
    if json:
        output.as_json(
            {
                "page": str(page),
                "systems": list(plan.music),
                "clips": list(plan.clips),
                "left_out": list(plan.left_out),
                "written": not dry_run,
            }
        )
    else:
        _show(plan)
    would = "would be " if dry_run else ""
    output.say(f"{len(plan.clips)} clips with {', '.join(plan.music)}. {page} {would}written.")


def _show(plan: Comparison) -> None:
    output.table(
        ("clip", "film", "length, s"),
        [
            (name, plan.titles.get(clip.film_id, clip.film_id), f"{clip.duration_s:.2f}")
            for name, clip in plan.clips.items()
        ],
    )
    for sentence in plan.left_out:
        output.say(f"Left out: {sentence}.")
