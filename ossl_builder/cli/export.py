"""`ossl export …`: a corpus in the layouts that others load."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from ossl_builder.cli import show
from ossl_builder.workspace import open_corpus

Out = Annotated[Path, typer.Option("--out", help="Folder to write.", metavar="DIR")]
Sides = Annotated[
    list[str] | None,
    typer.Option(
        "--split",
        help="Only this side: train, validation or test; repeatable. Without it: all of them.",
        metavar="SIDE",
    ),
]
Link = Annotated[
    bool, typer.Option("--link/--copy", help="Share the media files, or copy and check each.")
]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Say what would be written, and its size.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print for scripts.")]


def add_commands(app: typer.Typer) -> None:
    """Add the group `export`."""
    group = typer.Typer(
        name="export",
        help="A corpus in the layouts that others load.",
        no_args_is_help=True,
        rich_markup_mode=None,
    )
    app.add_typer(group)
    group.command(
        "parquet", epilog="Example: ossl -C corpus export parquet --out shared --split train"
    )(parquet)


def parquet(
    context: typer.Context,
    out: Out,
    split: Sides = None,
    link: Link = True,
    tables_only: Annotated[
        bool, typer.Option("--tables-only", help="No media: paths stay relative to the corpus.")
    ] = False,
    dry_run: DryRun = False,
    json: AsJson = False,
) -> None:
    """The tables as they are, and the clips' media at the same relative paths.

    `ossl train … --data DIR` reads it as it reads a corpus. Run again to go on after a stop.
    """
    from ossl_builder.exports import parquet as layout
    from ossl_builder.exports.selection import select

    selection = select(_root(context.obj), split or ())
    say_left_out(selection.left_out)
    media = [] if tables_only else list(layout.media(selection, out))
    size = place_media(media, out, link=link, dry_run=dry_run)
    counts = {} if dry_run else layout.write_tables(selection, out)
    report(out, {"files": len(media), "bytes": size, "rows": counts}, dry_run, json)


def _root(folder: Path) -> Path:
    return open_corpus(folder).root


def place_media(media: Sequence[Any], out: Path, *, link: bool, dry_run: bool) -> int:
    """Put media into place with a bar, after a look at the room there is; bytes together."""
    from ossl_builder.exports import placing

    size = placing.size_of(media)
    if not dry_run:
        placing.check_room(out, 0 if link else size)
        with show.bar(len(media), "media") as advance:
            for _ in placing.place(media, link):
                advance()
    return size


def say_left_out(films: Sequence[str]) -> None:
    """Name the films that stand on no side."""
    if films:
        show.say(f"Left out, standing on no side: {', '.join(films)}. `ossl split` says why.")


def report(out: Path, facts: dict[str, Any], dry_run: bool, json: bool) -> None:
    """Say what was written, or would be."""
    facts = {"out": str(out), "written": not dry_run, **facts}
    if json:
        show.as_json(facts)
        return
    would = "would be written" if dry_run else "written"
    show.say(f"{facts['files']} media files, {facts['bytes'] / 1e6:.1f} MB, {would} to {out}.")
    for name, count in facts.get("rows", {}).items():
        show.say(f"  {name:<10} {count:>9} rows")
