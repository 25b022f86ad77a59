"""`ossl train reproduce`: repeat the experiment of a paper with one command."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from ossl_builder.cli import output
from ossl_train.cli import options
from ossl_train.evaluation.settings import CLAP

EXAMPLE = "Example: ossl train reproduce ossl-v1 --data ossl-v1-export --dry-run"


def reproduce(
    context: typer.Context,
    paper: Annotated[Literal["ossl-v1"], typer.Argument(help="The paper.", metavar="PAPER")],
    data: options.Data = None,
    out: Annotated[
        Path | None,
        typer.Option(
            "--out",
            help="The folder of the results.",
            show_default="train/PAPER-RECIPE",
            metavar="DIR",
        ),
    ] = None,
    recipe: options.RecipeName = "paper_medium",
    overrides: options.Set = None,
    split: Annotated[str, typer.Option(help="The split to generate and to evaluate.")] = "test",
    clap: options.Clap = CLAP,
    revision: options.ClapRevision = None,
    kl: options.Kl = False,
    clips: Annotated[int, typer.Option(min=1, max=100, help="Clips on the page to listen to.")] = 6,
    device: options.Device = None,
    dry_run: options.DryRun = False,
    json: options.AsJson = False,
) -> None:
    """Run features, codes, fit, generate, evaluate and compare with the settings of a paper.

    Writes reproduction.md and reproduction.json: base against adapter, settings, versions, and
    every known departure from the paper. Run the same command to resume. `ossl-v1` is arXiv
    2506.12573. --recipe tiny_cpu tries all steps without a GPU; its music is noise.
    """
    from ossl_train.recipe import load_train_recipe
    from ossl_train.reproduction.report import reproduction_facts, write_reproduction
    from ossl_train.reproduction.steps import Options, plain, plan_steps, run_steps

    root = (data or context.obj).resolve()
    name = load_train_recipe(recipe, overrides or ()).name
    chosen = Options(
        corpus=context.obj,
        data=data,
        out=out or root / "train" / f"{paper}-{name}",
        recipe=recipe,
        overrides=tuple(overrides or ()),
        split=split,
        clap=clap,
        revision=revision,
        with_kl=kl,
        clips=clips,
        device=device,
    )
    if dry_run:
        output.emit(
            plain(plan_steps(chosen), chosen),
            json,
            lambda rows: output.rows(rows, ("step", "exists", "cost", "command")),
        )
        output.say(f"OUT is {chosen.out}. Nothing was run.")
        return

    def run(arguments: Sequence[str]) -> int:
        return _run(arguments, context.obj)

    run_steps(chosen, run, output.say)
    facts = reproduction_facts(chosen)
    written = write_reproduction(chosen.out, facts)
    output.emit(facts, json, _show)
    output.say(f"Report: {written[1]}, {written[0]}")


def _run(arguments: Sequence[str], corpus: Path) -> int:
    """Run a command of `ossl train`; standard output is for the result of this command."""
    from ossl_train.cli import app

    with contextlib.redirect_stdout(sys.stderr):
        code = app(args=list(arguments), prog_name="ossl train", obj=corpus, standalone_mode=False)
    return code or 0


def _show(facts: dict[str, Any]) -> None:
    from ossl_train.reproduction.report import HEADER, table_rows

    output.table(HEADER, table_rows(facts))
    output.line(f"\n{len(facts['departures'])} departures from the paper and its code:")
    output.rows(facts["departures"], ("kind", "topic", "published", "here"))
