"""`ossl export model`: write the folder of an adapter for publication."""

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
        typer.Argument(exists=True, help="A run, one of its checkpoints, or an adapter file."),
    ],
    out: Out,
    evaluation: Annotated[
        Path | None,
        typer.Option(
            exists=True, dir_okay=False, help="The evaluation.json of `ossl train evaluate`."
        ),
    ] = None,
    listening: Annotated[
        Path | None,
        typer.Option(
            exists=True, dir_okay=False, help="The results.json of `ossl train listen pull`."
        ),
    ] = None,
    data: options.Data = None,
    title: Annotated[
        str, typer.Option(help="The title of the model.", show_default="made from the base model's")
    ] = "",
    dry_run: DryRun = False,
    json: AsJson = False,
) -> None:
    """Export an adapter for publication: weights, configuration, checksums, and a model card.

    The card lists the recipe, the films and their rights, checksums of tables and splits, and
    figures if they are given. It states that MusicGen's weights are for non-commercial use.
    """
    from ossl_train.model_card.card import check_folder_free, folder_contents, write_folder
    from ossl_train.model_card.facts import gather_facts

    facts = gather_facts(checkpoint, data or context.obj, evaluation, listening)
    base = facts.metadata.get("source", "MusicGen").rpartition("/")[2]
    contents = folder_contents(facts, title or f"Video adapter for {base}")
    check_folder_free(out)
    if not dry_run:
        write_folder(out, contents)
    shown = {
        "out": str(out),
        "written": not dry_run,
        "checkpoint": str(facts.adapter),
        "parameters": facts.n_parameters,
        "films": None if facts.films is None else len(facts.films.splits),
        "files": {name: len(content) for name, content in sorted(contents.items())},
    }
    if json:
        output.as_json(shown)
        return
    would = "would be written" if dry_run else "written"
    output.say(
        f"{len(contents)} files, {sum(map(len, contents.values())) / 1e6:.1f} MB, {would} to {out}."
    )
    if facts.films is None:
        output.say("The table of the films is missing: the card cannot list their rights.")
    if facts.evaluation is None:
        output.say(
            "The card has no figures. Measure them with `ossl train evaluate`, then add them "
            "with --evaluation."
        )
    output.say("MusicGen's weights are for non-commercial use (CC-BY-NC 4.0); so is this adapter.")
