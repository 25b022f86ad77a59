"""`ossl label pull`, `status`: pull annotations from Label Studio, and show the progress."""

from __future__ import annotations

import contextlib
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from ossl_builder.cli import options, output
from ossl_builder.cli.label_push import TIMEOUT_S, Timeout, Url, print_url_check
from ossl_builder.corpus import open_corpus

if TYPE_CHECKING:
    from ossl_builder.annotations.records import Annotation
    from ossl_builder.label_studio.three_way_merge import PullReport

CONFLICT = 3  # exit code
SHOWN_CLIPS = 10


def add_commands(group: typer.Typer) -> None:
    """Add `pull` and `status`."""
    group.command("pull", epilog="Example: ossl -C corpus label pull")(pull)
    group.command(
        "status", epilog="Example: ossl -C corpus label status --url http://127.0.0.1:8080"
    )(status)


def pull(
    context: typer.Context,
    url: Url = "",
    full: Annotated[
        bool, typer.Option("--full", help="Read all tasks, not only those that changed.")
    ] = False,
    take: Annotated[
        Literal["server", "local"] | None,
        typer.Option("--take", help="Which version to keep in a conflict. Default: neither."),
    ] = None,
    timeout: Timeout = TIMEOUT_S,
    dry_run: options.DryRun = False,
    json: options.AsJson = False,
) -> None:
    """Update the records with the annotations that changed in Label Studio since the last pull.

    Invalid answers are rejected and listed. A record that changed locally and on the server is a
    conflict: both versions are shown, nothing is overwritten, and the exit code is 3.
    """
    from ossl_builder.annotations import label_schema
    from ossl_builder.label_studio import project, state
    from ossl_builder.label_studio import pull as pull_annotations

    corpus = open_corpus(context.obj)
    schema = label_schema.load(corpus.root)
    with (
        project.connected(corpus, url, timeout) as server,
        contextlib.nullcontext() if dry_run else corpus.locked(),
    ):
        connected_project = project.project_of(server, corpus)
        report = pull_annotations.pull(
            server, corpus, state.load(corpus.root), connected_project, schema, full, take, dry_run
        )
    if json:
        output.as_json(_as_json(report))
    else:
        _print_report(report, dry_run)
    if report.conflicts:
        raise typer.Exit(CONFLICT)


def _as_json(report: PullReport) -> dict[str, Any]:
    return {
        "tasks": report.n_tasks,
        "new": report.new,
        "changed": report.changed,
        "skipped": report.skipped,
        "withdrawn": report.withdrawn,
        "withdrawn_records": [record._asdict() for record in report.withdrawn_records],
        "invalid": [remark._asdict() for remark in report.invalid],
        "flags": [remark._asdict() for remark in report.flags],
        "conflicts": [
            {
                "clip_id": conflict.clip_id,
                "annotator": conflict.annotator,
                "here": conflict.local.to_json(),
                "there": conflict.remote.to_json(),
            }
            for conflict in report.conflicts
        ],
        "gone": report.gone,
        "foreign": report.foreign,
    }


def _print_report(report: PullReport, is_dry: bool) -> None:
    verb = "Would write" if is_dry else "Wrote"
    output.say(
        f"{report.n_tasks} tasks read. {verb} {report.new} new answers, {report.changed} "
        f"changed, {report.skipped} skips, {report.withdrawn} withdrawn."
    )
    if report.withdrawn:
        output.line("\nWithdrawn by their annotators")
        output.table(("clip_id", "annotator"), report.withdrawn_records)
    for title, remarks in (
        ("Invalid answers, rejected", report.invalid),
        ("To review", report.flags),
    ):
        if remarks:
            output.line(f"\n{title}")
            output.table(("clip_id", "annotator", "why"), remarks)
    if report.conflicts:
        output.line("\nConflicts: changed locally and on the server, neither was overwritten")
        output.table(
            ("clip_id", "annotator", "local", "on the server"),
            [
                (
                    conflict.clip_id,
                    conflict.annotator,
                    *_differences(conflict.local, conflict.remote),
                )
                for conflict in report.conflicts
            ],
        )
        output.say("Choose a version: ossl label pull --take server, or --take local.")
    if report.gone:
        more = " …" if len(report.gone) > SHOWN_CLIPS else ""
        output.say(
            f"The server has lost the tasks or answers of {len(report.gone)} clips. Their records "
            f"are kept: {', '.join(report.gone[:SHOWN_CLIPS])}{more}"
        )
    if report.foreign:
        output.say(f"{report.foreign} tasks do not belong to this corpus and were ignored.")


def _differences(local: Annotation, remote: Annotation) -> tuple[str, str]:
    """Return for each version the values that differ, in short."""
    names = sorted({*local.answers, *remote.answers})
    differing = [name for name in names if local.answers.get(name) != remote.answers.get(name)]

    def text(version: Annotation) -> str:
        answers = [f"{name}={version.answers.get(name, '-')}" for name in differing]
        values = [version.state, *answers] if local.state != remote.state else answers
        return ", ".join(values) or version.updated_at

    return text(local), text(remote)


def status(
    context: typer.Context,
    url: Url = "",
    timeout: Timeout = TIMEOUT_S,
    json: options.AsJson = False,
) -> None:
    """Show how many clips are annotated, per film and per annotator.

    The numbers come from the records of the last pull; with --url also from the server.
    """
    from ossl_builder.annotations import label_schema
    from ossl_builder.annotations.orphans import find_orphans
    from ossl_builder.label_studio import clip_urls, progress, project, task_api

    corpus = open_corpus(context.obj)
    schema = label_schema.load(corpus.root)
    connected_project, tasks, url_check = None, None, None
    if url:
        with project.connected(corpus, url, timeout) as server:
            connected_project = project.project_of(server, corpus)
            tasks = list(task_api.list_tasks(server, connected_project.project_id))
        url_check = clip_urls.check_url(clip_urls.first_to_expire(task.url for task in tasks), url)
    films = progress.film_progress(corpus, schema, tasks)
    annotators = progress.annotator_progress(corpus, schema)
    orphans = list(find_orphans(corpus.root, progress.clip_ids(corpus)))
    if json:
        output.as_json(
            {
                "films": [asdict(film) for film in films],
                "annotators": [asdict(annotator) for annotator in annotators],
                "orphans": [asdict(orphan) for orphan in orphans],
                "server": None
                if connected_project is None
                else {
                    "url": url,
                    "project_id": connected_project.project_id,
                    "tasks": connected_project.n_tasks,
                },
                "clips_address": None if url_check is None else asdict(url_check),
            }
        )
        return
    columns = [
        "film_id", "clips", "annotated", "annotations", "other_questions", "skipped", "withdrawn",
    ]  # fmt: skip
    if connected_project is not None:
        columns += ["tasks", "finished", "answers"]
    output.table(columns, [[getattr(film, name) for name in columns] for film in films])
    if annotators:
        output.line()
        output.table(
            ("annotator", "answered", "other questions", "skipped", "withdrawn", "films", "last"),
            [tuple(asdict(annotator).values()) for annotator in annotators],
        )
    n_clips = sum(film.clips for film in films)
    n_annotated = sum(film.annotated for film in films)
    people = "1 person" if len(annotators) == 1 else f"{len(annotators)} people"
    output.say(f"\n{n_annotated} of {n_clips} clips annotated by {people}.")
    print_url_check(url_check)
    if orphans:
        names = ", ".join(orphan.clip_id for orphan in orphans)
        output.say(
            f"Annotated clips that no longer exist: {names}. `ossl label transfer` moves their "
            "annotations to clips that are nearly the same."
        )
