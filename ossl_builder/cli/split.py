"""`ossl split`: train, validation and test, by film; and whether any split leaks."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ossl_builder.cli import output
from ossl_builder.config import load_recipe
from ossl_builder.corpus import Corpus, open_corpus

if TYPE_CHECKING:
    from ossl_builder.splits.assign import SplitPlan
    from ossl_builder.splits.leaks import Leak

LEAK = 3
WHAT = "Looking for shared material"


def add_commands(app: typer.Typer) -> None:
    """Add `split`."""
    app.command(epilog="Example: ossl -C corpus split --dry-run")(split)


def split(
    context: typer.Context,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Show it, write nothing.")] = False,
    check: Annotated[
        bool, typer.Option("--check", help="Only look whether the split there is leaks.")
    ] = False,
    table: Annotated[
        Path | None,
        typer.Option(
            "--table",
            exists=True,
            dir_okay=False,
            metavar="FILE",
            help="With --check: look at this Parquet or CSV file (film_id, split) instead.",
        ),
    ] = None,
    forget: Annotated[
        list[str] | None,
        typer.Option("--forget", metavar="FILM", help="Divide this film anew; repeatable."),
    ] = None,
    overrides: Annotated[
        list[str] | None,
        typer.Option("--set", help="Another value for this run: section.key=value; repeatable."),
    ] = None,
    json: Annotated[bool, typer.Option("--json", help="Print for scripts.")] = False,
) -> None:
    """Divide the films into train, validation and test; films that share material stay together.

    A film that has a split keeps it. Ends with 3 if the same film, music or video stands on two
    splits.
    """
    corpus = open_corpus(context.obj)
    if check:
        _check(corpus, table, overrides or (), json)
        return
    if table is not None:
        raise typer.BadParameter("is for --check only", param_hint="--table")
    if dry_run:
        found = _divide(corpus, forget or (), overrides or ())
    else:
        with corpus.locked():
            found = _divide(corpus, forget or (), overrides or ())
            _keep(corpus, found)
    _show(found, json)
    if found.leaks:
        output.say("`ossl split --forget FILM` divides one of the two anew.")
        raise typer.Exit(LEAK)


def _divide(corpus: Corpus, forget: Sequence[str], overrides: Sequence[str]) -> SplitPlan:
    from ossl_builder.splits.assign import assign_films
    from ossl_builder.splits.leaks import KINDS

    settings = load_recipe(corpus.recipe_path, overrides).splits
    return assign_films(corpus.root, settings, output.counted(KINDS, WHAT), set(forget))


def _keep(corpus: Corpus, found: SplitPlan) -> None:
    from ossl_builder.engine.tables_io import write_corpus_table
    from ossl_builder.splits.assign import save_record
    from ossl_builder.tables import SPLITS

    # The record first: a table without it would be divided otherwise the next time.
    save_record(corpus.root, found.record)
    write_corpus_table(corpus.root, SPLITS, found.rows)


def _check(corpus: Corpus, table: Path | None, overrides: Sequence[str], json: bool) -> None:
    """Look for leaks in the corpus' own table, or in another."""
    from ossl_builder.splits.leaks import (
        KINDS,
        find_leaks,
        find_matches,
        load_fingerprints,
        read_corpus_splits,
        read_splits,
    )

    splits = read_corpus_splits(corpus.root / "manifests") if table is None else read_splits(table)
    prints = load_fingerprints(corpus.root / "manifests")
    settings = load_recipe(corpus.recipe_path, overrides).splits
    matches = find_matches(prints, settings, output.counted(KINDS, WHAT)) if prints else ()
    leaks = find_leaks(splits, matches)
    if json:
        output.as_json([vars(leak) for leak in leaks])
    else:
        _list_leaks(leaks)
    films = len({film for film, _ in splits})
    output.say(f"{films} films, {len(matches)} matches between films, {len(leaks)} leaks.")
    known = set(prints.films) if prints else set()
    unknown = len({film for film, _ in splits} - known)
    if unknown:
        output.say(f"{unknown} of the films have no fingerprints: only their ids were compared.")
    if leaks:
        raise typer.Exit(LEAK)


def _list_leaks(leaks: Sequence[Leak]) -> None:
    for leak in leaks:
        output.line(f"Leak: {leak.sentence()}")


def _show(found: SplitPlan, json: bool) -> None:
    splits = _splits(found)
    left_out = [row for row in found.rows if row.split is None]
    if json:
        output.as_json(
            {
                "splits": splits,
                "left_out": [{"film_id": row.film_id, "why": row.why} for row in left_out],
                "new": list(found.new),
                "matches": [vars(match) for match in found.matches],
                "leaks": [vars(leak) for leak in found.leaks],
                "notes": list(found.notes),
            }
        )
        return
    header = ("split", "films", "clips", "hours", "moods")
    output.table(
        header, [[split[key] for key in header[:-1]] + [_moods(split)] for split in splits]
    )
    if found.matches:
        output.line("\nShared material")
        output.table(
            ("film", "film", "what", "hashes", "clips"),
            [(m.film_a, m.film_b, m.kind, m.shared, m.n_pairs) for m in found.matches],
        )
    if left_out:
        output.line("\nLeft out")
        output.table(("film", "why"), [(row.film_id, row.why) for row in left_out])
    if found.leaks:
        output.line()
        _list_leaks(found.leaks)
    for note in found.notes:
        output.say(note)
    new = "1 film" if len(found.new) == 1 else f"{len(found.new)} films"
    output.say(
        f"{new} newly assigned, {len(found.rows) - len(found.new) - len(left_out)} as before."
    )


def _splits(found: SplitPlan) -> list[dict[str, Any]]:
    from ossl_builder.tables.splits import SPLIT_NAMES

    shown = []
    for split in SPLIT_NAMES:
        rows = [row for row in found.rows if row.split == split]
        shown.append(
            {
                "split": split,
                "films": len(rows),
                "clips": sum(row.n_clips for row in rows),
                "hours": round(sum(row.duration_s for row in rows) / 3600, 2),
                "moods": dict(sorted(Counter(row.quadrant or "none" for row in rows).items())),
            }
        )
    return shown


def _moods(split: dict[str, Any]) -> str:
    return ", ".join(f"{mood} {count}" for mood, count in split["moods"].items())
