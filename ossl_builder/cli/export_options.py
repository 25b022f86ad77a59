"""What all exports share on the command line: options, placing media, the closing lines."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from ossl_builder.cli import output
from ossl_builder.corpus import open_corpus

Out = Annotated[Path, typer.Option("--out", help="Folder to write.", metavar="DIR")]
Splits = Annotated[
    list[str] | None,
    typer.Option(
        "--split",
        help="Only this split: train, validation or test; repeatable. Without it: all of them.",
        metavar="SPLIT",
    ),
]
Link = Annotated[
    bool, typer.Option("--link/--copy", help="Share the media files, or copy and check each.")
]
AllowUnverified = Annotated[
    bool,
    typer.Option(
        "--allow-unverified",
        help="Also films that are not shown to be free: you answer for them.",
    ),
]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Say what would be written, and its size.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print for scripts.")]

Title = Annotated[str, typer.Option("--title", help="The dataset's name.")]


def selected(folder: Path, split: Splits, allow_unverified: bool) -> Any:
    """Choose what is exported; name the films in no split and those not shown to be free."""
    from ossl_builder.exports.selection import select

    selection = select(open_corpus(folder), split or (), allow_unverified)
    say_left_out(selection.left_out)
    if selection.unverified:
        names = selection.unverified_names()
        output.say(f"Not shown to be free, exported by --allow-unverified: {names}.")
    return selection


def place_media(media: Sequence[Any], out: Path, *, link: bool, dry_run: bool) -> int:
    """Put media into place with a bar, after a look at the room there is; bytes together."""
    from ossl_builder.exports import link_or_copy

    size = link_or_copy.size_of(media)
    if not dry_run:
        say_size(len(media), size)
        link_or_copy.check_room(out, 0 if link else size)
        with output.bar(len(media), "media") as advance:
            for _ in link_or_copy.place(media, link):
                advance()
    return size


def say_size(files: int, size: int) -> None:
    """Before anything is written: how much it will be."""
    output.say(f"{files} media files, {size / 1e6:,.1f} MB.")


def say_left_out(films: Sequence[str]) -> None:
    """Name the films that are in no split."""
    if films:
        output.say(f"Left out, being in no split: {', '.join(films)}. `ossl split` says why.")


def report(out: Path, facts: dict[str, Any], dry_run: bool, json: bool) -> None:
    """Say what was written, or would be."""
    facts = {"out": str(out), "written": not dry_run, **facts}
    if json:
        output.as_json(facts)
        return
    would = "would be written" if dry_run else "written"
    output.say(f"{facts['files']} media files, {facts['bytes'] / 1e6:.1f} MB, {would} to {out}.")
    for name, count in facts.get("rows", {}).items():
        output.say(f"  {name:<32} {count:>9} rows")
