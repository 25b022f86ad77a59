"""`ossl export model`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from ossl_builder.cli import output
from ossl_builder.cli.options import AsJson, DryRun, Out
from ossl_train.cli import options

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False, rich_markup_mode=None)


@app.command(epilog="Example: ossl -C corpus export model corpus/train/small --out adapter")
def model(
    context: typer.Context,
    checkpoint: Annotated[
        Path,
        typer.Argument(exists=True, help="Run, one of its checkpoints, or an adapter's file."),
    ],
    out: Out,
    evaluation: Annotated[
        Path | None,
        typer.Option(exists=True, dir_okay=False, help="evaluation.json of `ossl train evaluate`."),
    ] = None,
    listening: Annotated[
        Path | None,
        typer.Option(exists=True, dir_okay=False, help="results.json of `ossl train listen pull`."),
    ] = None,
    data: options.Data = None,
    title: Annotated[
        str, typer.Option(help="The model's name.", show_default="made from the base model's")
    ] = "",
    dry_run: DryRun = False,
    json: AsJson = False,
) -> None:
    """An adapter to be published: weights, configuration, checksums, and a model card.

    The card tells the recipe, the films and their rights, checksums of tables and splits, figures
    where they are given, and that MusicGen's weights are for non-commercial use.
    """
    from ossl_train.model_card.facts import described
    from ossl_train.model_card.folder import check_free, contents, write

    found = described(checkpoint, data or context.obj, evaluation, listening)
    base = found.metadata.get("source", "MusicGen").rpartition("/")[2]
    made = contents(found, title or f"Video adapter for {base}")
    check_free(out)
    if not dry_run:
        write(out, made)
    facts = {
        "out": str(out),
        "written": not dry_run,
        "checkpoint": str(found.adapter),
        "parameters": found.n_parameters,
        "films": None if found.films is None else len(found.films.splits),
        "files": {name: len(content) for name, content in sorted(made.items())},
    }
    if json:
        output.as_json(facts)
        return
    would = "would be written" if dry_run else "written"
    output.say(f"{len(made)} files, {sum(map(len, made.values())) / 1e6:.1f} MB, {would} to {out}.")
    if found.films is None:
        output.say("The films' table is not at hand: the card does not say why they may be used.")
    if found.evaluation is None:
        output.say("Without figures: `ossl train evaluate` measures some, --evaluation adds them.")
    output.say("MusicGen's weights are for non-commercial use (CC-BY-NC 4.0); so is this adapter.")
