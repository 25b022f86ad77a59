"""`ossl label agreement`, `merge`, `transfer`: compare annotations and derive labels from them."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import typer

from ossl_builder.cli import options, output
from ossl_builder.config import load_recipe
from ossl_builder.corpus import Corpus, open_corpus

if TYPE_CHECKING:
    from ossl_builder.annotations.records import Annotation

SHOWN_CLIPS = 20


def add_commands(group: typer.Typer) -> None:
    """Add `agreement`, `merge` and `transfer`."""
    group.command("agreement", epilog="Example: ossl -C corpus label agreement --json")(agreement)
    group.command("merge", epilog="Example: ossl -C corpus label merge")(merge)
    group.command("transfer", epilog="Example: ossl -C corpus label transfer --dry-run")(transfer)


def agreement(
    context: typer.Context,
    film: options.FilmIds = None,
    overrides: options.Set = None,
    json: options.AsJson = False,
) -> None:
    """Show how well the annotators agree.

    Shows Krippendorff's alpha per question, in all films and in each film, with 95 % intervals;
    each annotator compared with the others; and the clips with the largest disagreement.
    """
    from ossl_builder.annotations import agreement as results
    from ossl_builder.annotations import label_schema

    corpus = open_corpus(context.obj)
    settings = load_recipe(corpus.recipe_path, overrides or ()).labels
    schema = label_schema.load(corpus.root)
    annotations = _annotations(corpus, film)
    questions = [
        question
        for group in output.counted(results.film_groups(annotations, schema), "Films")
        for question in results.group_agreement(group, schema, settings)
    ]
    annotators = results.reliability(annotations, schema, settings)
    disagreements = results.most_disagreed(annotations, schema)
    if json:
        output.as_json(
            {
                "questions": [asdict(question) for question in questions],
                "labellers": [asdict(annotator) for annotator in annotators],
                "disagreed": [asdict(clip) for clip in disagreements],
            }
        )
        return
    output.table(
        ("film", "question", "level", "alpha", "from", "to", "clips", "annotators", "not defined"),
        [
            (row.film_id or "all", row.question, row.level, _decimal(row.alpha),
             _decimal(row.low), _decimal(row.high), row.n_clips, row.n_annotators, row.why)
            for row in questions
        ],
    )  # fmt: skip
    _print_table(
        "Annotators, by the quadrant: alpha of all, alpha without this one, share of agreement",
        ("annotator", "answered", "skipped", "with", "without", "agrees", "shared", "not defined"),
        [
            (row.annotator, row.n_answered, row.n_skipped, _decimal(row.alpha_with),
             _decimal(row.alpha_without), _decimal(row.agrees_share), row.n_shared, row.why)
            for row in annotators
        ],
    )  # fmt: skip
    _print_table(
        "Clips with the largest disagreement (0: all agree, 1: a whole scale apart)",
        ("film", "clip", "score", "annotators"),
        [
            (clip.film_id, clip.clip_id, _decimal(clip.score), clip.n_annotators)
            for clip in disagreements[:SHOWN_CLIPS]
            if clip.score > 0
        ],
    )


def _annotations(corpus: Corpus, film: list[str] | None) -> list[Annotation]:
    """Return the annotations of the given films, or of all, whose clips still exist."""
    from ossl_builder.annotations import aggregation, records
    from ossl_builder.engine.tables_io import read_table
    from ossl_builder.tables import CLIPS

    film_ids = corpus.chosen(film or ())
    annotations = [
        annotation
        for annotation in records.read_all(corpus.root)
        if not film or annotation.film_id in film_ids
    ]
    existing = aggregation.with_existing_clip(
        annotations, read_table(corpus.root / "manifests", CLIPS)
    )
    if len(existing) < len(annotations):
        count = _count(len(annotations) - len(existing), "annotation")
        output.say(f"Left out: {count} of clips that no longer exist.")
    return existing


def merge(
    context: typer.Context,
    overrides: options.Set = None,
    dry_run: options.DryRun = False,
    json: options.AsJson = False,
) -> None:
    """Derive the labels table from the annotations.

    The table has both the majority vote and the most probable quadrant of Dawid and Skene's
    model. The setting labels.rule decides which of them becomes the quadrant.
    """
    from ossl_builder.annotations import aggregation, label_schema

    corpus = open_corpus(context.obj)
    settings = load_recipe(corpus.recipe_path, overrides or ()).labels
    with corpus.locked():
        report = aggregation.update_labels(
            corpus.root, label_schema.load(corpus.root), settings, corpus.is_imported, dry_run
        )
    n_quadrants = sum(label.quadrant is not None for label in report.labels)
    n_captions = sum(label.caption is not None for label in report.labels)
    if json:
        output.as_json(
            {
                "rule": settings.rule,
                "n_clips": report.n_clips,
                "n_labels": len(report.labels),
                "n_quadrants": n_quadrants,
                "n_captions": n_captions,
                "n_skipped": report.n_skipped,
                "n_withdrawn": report.n_withdrawn,
                "n_other_schema": report.n_other_schema,
                "orphans": [asdict(orphan) for orphan in report.orphans],
            }
        )
        return
    output.say(
        f"{_count(len(report.labels), 'label')} of {_count(report.n_clips, 'clip')}"
        f"{' (not written)' if dry_run else ''}: {n_quadrants} with a quadrant by "
        f"{settings.rule}, {n_captions} with a caption. Not counted: {report.n_skipped} skipped, "
        f"{report.n_withdrawn} withdrawn, {report.n_other_schema} for other schema versions."
    )
    if report.orphans:
        names = ", ".join(orphan.clip_id for orphan in report.orphans)
        output.say(
            f"{_count(len(report.orphans), 'annotated clip')} no longer in the corpus: {names}. "
            "`ossl label transfer` moves annotations to clips that are nearly the same."
        )


def transfer(
    context: typer.Context,
    film: options.FilmIds = None,
    dry_run: options.DryRun = False,
    json: options.AsJson = False,
) -> None:
    """Transfer annotations of deleted clips to new clips that are nearly the same.

    The new clip must belong to the same film, and overlap the deleted one by
    `labels.transfer_overlap` (0.9) or more: intersection over union in film time. The records get
    the source `carried`. Answers to the new clip are never replaced.
    """
    from ossl_builder.label_studio import transfer as annotations

    corpus = open_corpus(context.obj)
    min_overlap = load_recipe(corpus.recipe_path).labels.transfer_overlap
    with corpus.locked():
        moves = annotations.transfer(corpus.root, film or (), min_overlap, dry_run)
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
    n_transferred = sum(move.outcome == "carried" for move in moves)
    output.say(
        f"{_count(n_transferred, 'annotation')} of deleted clips "
        f"{'would be ' if dry_run else ''}transferred, {len(moves) - n_transferred} unchanged."
    )


def _print_table(title: str, header: tuple[str, ...], rows: list[tuple[Any, ...]]) -> None:
    if rows:
        output.line(f"\n{title}")
        output.table(header, rows)


def _count(count: int, noun: str) -> str:
    return f"{count} {noun}{'' if count == 1 else 's'}"


def _decimal(value: float | None) -> str:
    return "" if value is None else f"{value:.2f}"
