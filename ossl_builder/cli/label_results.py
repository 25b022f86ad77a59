"""`ossl label agreement`, `merge`: what follows from annotations."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ossl_builder.cli import output
from ossl_builder.cli.label_import import AsJson, clips_of
from ossl_builder.config import load_recipe
from ossl_builder.corpus import Corpus, open_corpus
from ossl_builder.errors import OsslError

if TYPE_CHECKING:
    from ossl_builder.annotations.records import Annotation
    from ossl_builder.tables import Label

Films = Annotated[
    list[str] | None, typer.Argument(help="Film ids; none: all of the corpus.", metavar="FILM")
]
Set = Annotated[
    list[str] | None,
    typer.Option("--set", help="Another value for this run: section.key=value; repeatable."),
]
SHOWN_CLIPS = 20


def add_commands(group: typer.Typer) -> None:
    """Add the commands about what annotations say."""
    group.command("agreement", epilog="Example: ossl -C corpus label agreement --json")(agreement)
    group.command("merge", epilog="Example: ossl -C corpus label merge")(merge)


def agreement(
    context: typer.Context, film: Films = None, overrides: Set = None, json: AsJson = False
) -> None:
    """Show how far people agree.

    Krippendorff's alpha per question, in all films and in each, with 95 % intervals; each
    labeller against the others; the clips that people disagree on most.
    """
    from ossl_builder.annotations import agreement as agreeing
    from ossl_builder.annotations import label_schema
    from ossl_builder.annotations.agreement import reliability

    corpus = open_corpus(context.obj)
    settings = load_recipe(corpus.recipe_path, overrides or ()).labels
    questions = label_schema.of(corpus.root)
    given = _annotations(corpus, film)
    agreed = [
        one
        for group in output.counted(agreeing.groups(given, questions), "Films")
        for one in agreeing.agreement_within(group, questions, settings)
    ]
    labellers = reliability(given, questions, settings)
    disagreed = agreeing.most_disagreed(given, questions)
    if json:
        output.as_json(
            {
                "questions": [asdict(one) for one in agreed],
                "labellers": [asdict(one) for one in labellers],
                "disagreed": [asdict(one) for one in disagreed],
            }
        )
        return
    output.table(
        ("film", "question", "level", "alpha", "from", "to", "clips", "people", "not defined"),
        [
            (one.film_id or "all", one.question, one.level, _two(one.alpha), _two(one.low),
             _two(one.high), one.n_clips, one.n_annotators, one.why)
            for one in agreed
        ],
    )  # fmt: skip
    _titled(
        "Labellers, by the quadrant: alpha of all, alpha without this one, part in agreement",
        ("labeller", "answered", "skipped", "with", "without", "agrees", "shared", "not defined"),
        [
            (one.annotator, one.n_answered, one.n_skipped, _two(one.alpha_with),
             _two(one.alpha_without), _two(one.agrees_share), one.n_shared, one.why)
            for one in labellers
        ],
    )  # fmt: skip
    _titled(
        "Clips that people disagree on most (0: agreed, 1: a whole scale apart)",
        ("film", "clip", "score", "people"),
        [
            (one.film_id, one.clip_id, _two(one.score), one.n_annotators)
            for one in disagreed[:SHOWN_CLIPS]
            if one.score > 0
        ],
    )


def merge(
    context: typer.Context,
    overrides: Set = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Say what would be written, write nothing.")
    ] = False,
    json: AsJson = False,
) -> None:
    """Make the labels table from the annotations.

    What most say and what Dawid and Skene's model thinks stand side by side; which of them decides
    stands in the recipe (labels.rule).
    """
    from ossl_builder.annotations import aggregation, label_schema, orphans, records
    from ossl_builder.engine.tables_io import write_corpus_table
    from ossl_builder.tables import LABELS

    corpus = open_corpus(context.obj)
    settings = load_recipe(corpus.recipe_path, overrides or ()).labels
    with corpus.locked():
        questions = label_schema.of(corpus.root)
        clips = clips_of(corpus)
        given = list(records.read_all(corpus.root))
        labels = aggregation.labels_of(given, clips, questions, settings)
        if corpus.is_imported:
            labels = aggregation.beside_imported(labels, _labels_there(corpus))
        n_other = sum(one.schema != questions.version for one in given)
        if not labels and n_other and _labels_there(corpus):
            raise OsslError(
                "labels_would_be_lost",
                f"No answer to the present questions ({questions.version}) would be left in the "
                f"labels table: all {n_other} were given to other versions. The table stays.",
                "Put back the moods.yaml that they were given to, or delete "
                "manifests/labels.parquet and merge again.",
            )
        if not dry_run:
            write_corpus_table(corpus.root, LABELS, labels)
    clip_ids: dict[str, set[str]] = {}
    for clip in clips:
        clip_ids.setdefault(clip.film_id, set()).add(clip.clip_id)
    orphaned = [asdict(one) for one in orphans.orphans(corpus.root, clip_ids)]
    found: dict[str, Any] = {
        "rule": settings.rule,
        "n_clips": len(clips),
        "n_labels": len(labels),
        "n_quadrants": sum(label.quadrant is not None for label in labels),
        "n_captions": sum(label.caption is not None for label in labels),
        "n_skipped": sum(one.state == "skipped" for one in given),
        "n_withdrawn": sum(one.state == "withdrawn" for one in given),
        "n_other_schema": n_other,
        "orphans": orphaned,
    }
    if json:
        output.as_json(found)
        return
    output.say(
        f"{_counted(found['n_labels'], 'label')} of {_counted(len(clips), 'clip')}"
        f"{' (not written)' if dry_run else ''}: {found['n_quadrants']} with a quadrant by "
        f"{settings.rule}, {found['n_captions']} with a caption. Not counted: "
        f"{found['n_skipped']} skipped, {found['n_withdrawn']} withdrawn, "
        f"{found['n_other_schema']} under other questions."
    )
    if orphaned:
        output.say(
            f"{_counted(len(orphaned), 'annotated clip')} that the corpus has no more (`ossl label "
            "carry` moves annotations to clips that overlap): "
            + ", ".join(one["clip_id"] for one in orphaned)
        )


def _labels_there(corpus: Corpus) -> list[Label]:
    from ossl_builder.engine.tables_io import read_table
    from ossl_builder.tables import LABELS

    folder = corpus.root / "manifests"
    return read_table(folder, LABELS) if (folder / f"{LABELS.name}.parquet").exists() else []


def _annotations(corpus: Corpus, film: list[str] | None) -> list[Annotation]:
    """Annotations of the films named, or of all, whose clips there still are."""
    from ossl_builder.annotations import aggregation, records

    film_ids = corpus.chosen(film or ())
    given = [one for one in records.read_all(corpus.root) if not film or one.film_id in film_ids]
    here = aggregation.of_clips(given, clips_of(corpus))
    if len(here) < len(given):
        gone = _counted(len(given) - len(here), "annotation")
        output.say(f"Left out: {gone} of clips that are no more.")
    return here


def _titled(title: str, header: tuple[str, ...], rows: list[tuple[Any, ...]]) -> None:
    if rows:
        output.line(f"\n{title}")
        output.table(header, rows)


def _counted(count: int, what: str) -> str:
    return f"{count} {what}{'' if count == 1 else 's'}"


def _two(value: float | None) -> str:
    return "" if value is None else f"{value:.2f}"
