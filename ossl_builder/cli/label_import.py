"""`ossl label import`: import annotations that were made elsewhere."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from ossl_builder.cli import options, output
from ossl_builder.corpus import open_corpus


def add_commands(group: typer.Typer) -> None:
    """Add `import`."""
    group.command(
        "import",
        epilog="Example: ossl -C corpus label import moods.csv --map quadrant=mood --partial",
    )(import_file)


def import_file(
    context: typer.Context,
    file: Annotated[
        Path,
        typer.Argument(
            help="A CSV file, JSON lines, or a Label Studio export.",
            exists=True,
            dir_okay=False,
            metavar="FILE",
        ),
    ],
    columns: Annotated[
        list[str] | None,
        typer.Option(
            "--map",
            help="Read our column OURS from the file's column COLUMN. Can be repeated.",
            metavar="OURS=COLUMN",
        ),
    ] = None,
    people: Annotated[
        list[str] | None,
        typer.Option(
            "--who",
            help="Read NAME in the file as this annotator: an id, an e-mail address or a name. "
            "Can be repeated.",
            metavar="NAME=WHO",
        ),
    ] = None,
    annotator: Annotated[
        str, typer.Option("--annotator", help="The annotator of rows that name none.")
    ] = "",
    partial: Annotated[
        bool, typer.Option("--partial", help="Allow required answers to be missing.")
    ] = False,
    dry_run: options.DryRun = False,
    json: options.AsJson = False,
) -> None:
    """Import annotations that were made elsewhere.

    The file has the columns clip_id; annotator, email or name; updated_at; and one column per
    question. A cell with several choices separates them by `;`. A record that is newer than its
    row is kept. If the file has errors, all are listed and nothing is imported.
    """
    from ossl_builder.annotations import import_annotations, label_schema
    from ossl_builder.engine.tables_io import read_table
    from ossl_builder.tables import CLIPS

    corpus = open_corpus(context.obj)
    options = import_annotations.ImportOptions(
        _pairs(columns, "--map"), _pairs(people, "--who"), annotator, partial
    )
    with corpus.locked():
        plan = import_annotations.plan_import(
            corpus.root,
            read_table(corpus.root / "manifests", CLIPS),
            label_schema.load(corpus.root),
            file,
            options,
        )
        if not dry_run:
            import_annotations.apply_import(corpus.root, plan)
    if json:
        output.as_json(
            {
                "added": plan.added,
                "replaced": plan.replaced,
                "unchanged": plan.unchanged,
                "kept": [{"clip_id": clip, "annotator": who} for clip, who in plan.kept],
                "unknown_clips": list(plan.unknown_clips),
                "flags": list(plan.flags),
                "unused_columns": list(plan.unused_columns),
            }
        )
        return
    output.say(
        f"{'Would add' if dry_run else 'Added'} {plan.added}, replace{'' if dry_run else 'd'} "
        f"{plan.replaced}; unchanged {plan.unchanged}; kept because the record is newer "
        f"{len(plan.kept)}."
    )
    for title, names in (
        ("Clips that the corpus does not have", plan.unknown_clips),
        ("Ignored columns", plan.unused_columns),
        ("To review", plan.flags),
    ):
        if names:
            output.say(f"{title} ({len(names)}):")
            for name in names:
                output.say(f"  {name}")


def _pairs(texts: list[str] | None, option: str) -> dict[str, str]:
    pairs = {}
    for text in texts or ():
        name, equals, value = text.partition("=")
        if not (name and equals and value):
            raise typer.BadParameter(f"{text!r} is not NAME=VALUE", param_hint=option)
        pairs[name.strip()] = value.strip()
    return pairs
