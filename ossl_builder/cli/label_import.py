"""`ossl label import`: annotations of people who labelled elsewhere."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ossl_builder.cli import output
from ossl_builder.corpus import Corpus, open_corpus

if TYPE_CHECKING:
    from ossl_builder.annotations.import_annotations import Plan
    from ossl_builder.tables import Clip

AsJson = Annotated[bool, typer.Option("--json", help="Print for scripts.")]
Map = Annotated[
    list[str] | None,
    typer.Option(
        "--map", help="A column that is called otherwise in the file; repeatable.",
        metavar="OURS=COLUMN",
    ),
]  # fmt: skip
Who = Annotated[
    list[str] | None,
    typer.Option(
        "--who", help="Who a name in the file is: an id, an e-mail address, a name; repeatable.",
        metavar="NAME=WHO",
    ),
]  # fmt: skip


def add_commands(group: typer.Typer) -> None:
    """Add `import`."""
    group.command(
        "import",
        epilog="Example: ossl -C corpus label import moods.csv --map quadrant=mood --partial",
    )(import_file)


def clips_of(corpus: Corpus) -> list[Clip]:
    """The corpus' clips."""
    from ossl_builder.engine.tables_io import read_table
    from ossl_builder.tables import CLIPS

    return read_table(corpus.root / "manifests", CLIPS)


def import_file(
    context: typer.Context,
    file: Annotated[
        Path,
        typer.Argument(
            help="CSV, JSON lines or a Label Studio export.",
            exists=True,
            dir_okay=False,
            metavar="FILE",
        ),
    ],
    columns: Map = None,
    people: Who = None,
    annotator: Annotated[
        str, typer.Option("--annotator", help="Who rows are from that do not say so.")
    ] = "",
    partial: Annotated[
        bool, typer.Option("--partial", help="Let required answers be missing.")
    ] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Say what would be imported, write nothing.")
    ] = False,
    json: AsJson = False,
) -> None:
    """Take in annotations of people who labelled elsewhere.

    The file's columns: clip_id; annotator, email or name; updated_at; and the questions' names.
    Several choices stand in one cell, with `;` between them. A record that is newer here stays. A
    file with faults is not imported; all of them are named.
    """
    from ossl_builder.annotations import import_annotations, label_schema

    corpus = open_corpus(context.obj)
    options = import_annotations.Options(
        _pairs(columns, "--map"), _pairs(people, "--who"), annotator, partial
    )
    with corpus.locked():
        planned = import_annotations.plan(
            corpus.root, clips_of(corpus), label_schema.of(corpus.root), file, options
        )
        if not dry_run:
            import_annotations.carry_out(corpus.root, planned)
    if json:
        output.as_json(_as_values(planned))
        return
    output.say(
        f"{'Would add' if dry_run else 'Added'} {planned.added}, replace{'' if dry_run else 'd'} "
        f"{planned.replaced}; unchanged {planned.unchanged}; kept because they are newer here "
        f"{len(planned.kept)}."
    )
    for title, names in (
        ("Clips that the corpus has not", planned.unknown_clips),
        ("Columns left out", planned.unused_columns),
        ("To be looked at", planned.flags),
    ):
        if names:
            output.say(f"{title} ({len(names)}):")
            for name in names:
                output.say(f"  {name}")


def _as_values(planned: Plan) -> dict[str, Any]:
    return {
        "added": planned.added,
        "replaced": planned.replaced,
        "unchanged": planned.unchanged,
        "kept": [{"clip_id": clip, "annotator": who} for clip, who in planned.kept],
        "unknown_clips": list(planned.unknown_clips),
        "flags": list(planned.flags),
        "unused_columns": list(planned.unused_columns),
    }


def _pairs(texts: list[str] | None, option: str) -> dict[str, str]:
    found = {}
    for text in texts or ():
        name, equals, value = text.partition("=")
        if not (name and equals and value):
            raise typer.BadParameter(f"{text!r} is not NAME=VALUE", param_hint=option)
        found[name.strip()] = value.strip()
    return found
