"""`ossl split`: assign films to train, validation and test, and find leaks between splits."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ossl_builder.cli import options, output
from ossl_builder.config import load_recipe
from ossl_builder.corpus import Corpus, open_corpus

if TYPE_CHECKING:
    from ossl_builder.splits.assign import SplitPlan
    from ossl_builder.splits.leaks import Leak

LEAK = 3  # exit code
PROGRESS = "Looking for shared material"


def add_commands(app: typer.Typer) -> None:
    """Add `split`."""
    app.command(epilog="Example: ossl -C corpus split --dry-run")(split)


def split(
    context: typer.Context,
    dry_run: options.DryRun = False,
    check: Annotated[
        bool, typer.Option("--check", help="Only look for leaks between the existing splits.")
    ] = False,
    table: Annotated[
        Path | None,
        typer.Option(
            "--table",
            exists=True,
            dir_okay=False,
            metavar="FILE",
            help="With --check: read the splits from this Parquet or CSV file with the columns "
            "film_id and split.",
        ),
    ] = None,
    forget: Annotated[
        list[str] | None,
        typer.Option("--forget", metavar="FILM", help="Assign this film anew. Can be repeated."),
    ] = None,
    overrides: options.Set = None,
    json: options.AsJson = False,
) -> None:
    """Assign films to train, validation and test. Films that share material get the same split.

    A film that has a split keeps it. The exit code is 3 if the same film, music or video is in two
    splits.
    """
    corpus = open_corpus(context.obj)
    if check:
        _check(corpus, table, overrides or (), json)
        return
    if table is not None:
        raise typer.BadParameter("can only be used with --check", param_hint="--table")
    if dry_run:
        plan = _plan(corpus, forget or (), overrides or ())
    else:
        with corpus.locked():
            plan = _plan(corpus, forget or (), overrides or ())
            _save(corpus, plan)
    _print_plan(plan, json)
    if plan.leaks:
        output.say("Assign one of the two films anew: ossl split --forget FILM")
        raise typer.Exit(LEAK)


def _plan(corpus: Corpus, forget: Sequence[str], overrides: Sequence[str]) -> SplitPlan:
    from ossl_builder.splits.assign import assign_films
    from ossl_builder.splits.leaks import KINDS

    settings = load_recipe(corpus.recipe_path, overrides).splits
    return assign_films(corpus.root, settings, output.counted(KINDS, PROGRESS), set(forget))


def _save(corpus: Corpus, plan: SplitPlan) -> None:
    from ossl_builder.engine.tables_io import write_corpus_table
    from ossl_builder.splits.assign import save_record
    from ossl_builder.tables import SPLITS

    # The record first: without it, the next run would assign the films of the table differently.
    save_record(corpus.root, plan.record)
    write_corpus_table(corpus.root, SPLITS, plan.rows)


def _check(corpus: Corpus, table: Path | None, overrides: Sequence[str], json: bool) -> None:
    """Look for leaks in the corpus' own table of splits, or in another table."""
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
    matches = find_matches(prints, settings, output.counted(KINDS, PROGRESS)) if prints else ()
    leaks = find_leaks(splits, matches)
    if json:
        output.as_json([vars(leak) for leak in leaks])
    else:
        _print_leaks(leaks)
    films = len({film for film, _ in splits})
    output.say(f"{films} films, {len(matches)} matches between films, {len(leaks)} leaks.")
    with_fingerprints = set(prints.films) if prints else set()
    n_without = len({film for film, _ in splits} - with_fingerprints)
    if n_without:
        output.say(f"{n_without} of the films have no fingerprints: only their ids were compared.")
    if leaks:
        raise typer.Exit(LEAK)


def _print_leaks(leaks: Sequence[Leak]) -> None:
    for leak in leaks:
        output.line(f"Leak: {leak.sentence()}")


def _print_plan(plan: SplitPlan, json: bool) -> None:
    splits = _splits(plan)
    left_out = [row for row in plan.rows if row.split is None]
    if json:
        output.as_json(
            {
                "splits": splits,
                "left_out": [{"film_id": row.film_id, "why": row.why} for row in left_out],
                "new": list(plan.new),
                "matches": [vars(match) for match in plan.matches],
                "leaks": [vars(leak) for leak in plan.leaks],
                "notes": list(plan.notes),
            }
        )
        return
    header = ("split", "films", "clips", "hours", "moods")
    output.table(
        header, [[split[key] for key in header[:-1]] + [_moods(split)] for split in splits]
    )
    if plan.matches:
        output.line("\nShared material")
        output.table(
            ("film", "film", "material", "hashes", "clips"),
            [(m.film_a, m.film_b, m.kind, m.shared, m.n_pairs) for m in plan.matches],
        )
    if left_out:
        output.line("\nLeft out")
        output.table(("film", "why"), [(row.film_id, row.why) for row in left_out])
    if plan.leaks:
        output.line()
        _print_leaks(plan.leaks)
    for note in plan.notes:
        output.say(note)
    films = "1 film" if len(plan.new) == 1 else f"{len(plan.new)} films"
    output.say(
        f"{films} newly assigned, {len(plan.rows) - len(plan.new) - len(left_out)} unchanged."
    )


def _splits(plan: SplitPlan) -> list[dict[str, Any]]:
    from ossl_builder.tables.splits import SPLIT_NAMES

    summaries = []
    for split in SPLIT_NAMES:
        rows = [row for row in plan.rows if row.split == split]
        summaries.append(
            {
                "split": split,
                "films": len(rows),
                "clips": sum(row.n_clips for row in rows),
                "hours": round(sum(row.duration_s for row in rows) / 3600, 2),
                "moods": dict(sorted(Counter(row.quadrant or "none" for row in rows).items())),
            }
        )
    return summaries


def _moods(split: dict[str, Any]) -> str:
    return ", ".join(f"{mood} {count}" for mood, count in split["moods"].items())
