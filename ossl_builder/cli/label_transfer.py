"""`ossl label carry`: annotations of clips that are gone, to clips that are nearly the same."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated

import typer

from ossl_builder.cli import output
from ossl_builder.config import load_recipe
from ossl_builder.corpus import open_corpus


def add_commands(group: typer.Typer) -> None:
    """Add `carry`."""
    group.command("carry", epilog="Example: ossl -C corpus label carry --dry-run")(carry)


def carry(
    context: typer.Context,
    film: Annotated[
        list[str] | None, typer.Argument(help="Film ids; none: all.", metavar="FILM")
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Show, change nothing.")] = False,
    json: Annotated[bool, typer.Option("--json", help="Print for scripts.")] = False,
) -> None:
    """Move annotations of clips that are gone to new clips that are nearly the same.

    To the clip of the same film with which it shares `labels.carry_overlap` (0.9) or more of their
    common time. They are marked as carried. Answers given for the new clip are never replaced.
    """
    from ossl_builder.label_studio import transfer

    corpus = open_corpus(context.obj)
    least = load_recipe(corpus.recipe_path).labels.carry_overlap
    with corpus.locked():
        moves = transfer.transfer(corpus.root, film or (), least, dry_run)
    if json:
        output.as_json([asdict(move) for move in moves])
    elif moves:
        output.table(
            ("film_id", "annotator", "from_clip", "to_clip", "overlap", "outcome"),
            [
                (
                    move.film_id,
                    move.annotator,
                    move.from_clip,
                    move.to_clip,
                    "" if move.overlap is None else f"{move.overlap:.3f}",
                    move.outcome,
                )
                for move in moves
            ],
        )
    carried = sum(move.outcome == "carried" for move in moves)
    left = len(moves) - carried
    said = "would be carried" if dry_run else "carried"
    output.say(f"{carried} {said}, {left} left as they are, of clips that are gone.")
