"""`ossl label pull`, `status`: answers from the labelling server, and how far it all is."""

from __future__ import annotations

import contextlib
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from ossl_builder.cli import output
from ossl_builder.cli.label_push import TIMEOUT_S, AsJson, DryRun, Timeout, Url, say_probe
from ossl_builder.corpus import open_corpus

if TYPE_CHECKING:
    from ossl_builder.annotations.records import Annotation
    from ossl_builder.label_studio.three_way_merge import PullReport

CONFLICT = 3  # exit code


def add_commands(group: typer.Typer) -> None:
    """Add `pull` and `status`."""
    group.command("pull", epilog="Example: ossl -C corpus label pull")(pull)
    group.command("status", epilog="Example: ossl -C corpus label status --url …")(status)


def pull(
    context: typer.Context,
    url: Url = "",
    full: Annotated[
        bool, typer.Option("--full", help="Look at all tasks, not only at what changed.")
    ] = False,
    take: Annotated[
        Literal["server", "local"] | None,
        typer.Option("--take", help="In a conflict, which side is right; else neither."),
    ] = None,
    timeout: Timeout = TIMEOUT_S,
    dry_run: DryRun = False,
    json: AsJson = False,
) -> None:
    """Take what labellers answered, changed and deleted since the last time into the records.

    Invalid answers are kept out and listed. A record that changed here and on the server is a
    conflict: both are shown, nothing is overwritten, and the command ends with 3.
    """
    from ossl_builder.annotations import label_schema as taxonomies
    from ossl_builder.label_studio import project as connection
    from ossl_builder.label_studio import pull as pulling
    from ossl_builder.label_studio import state as states

    corpus = open_corpus(context.obj)
    taxonomy = taxonomies.of(corpus.root)
    with (
        connection.reached(corpus, url, timeout) as server,
        contextlib.nullcontext() if dry_run else corpus.locked(),
    ):
        found = connection.project_of(server, corpus)
        report = pulling.pull(
            server, corpus, states.load(corpus.root), found, taxonomy, full, take, dry_run
        )
    if json:
        output.as_json(_as_plain(report))
    else:
        _say(report, dry_run)
    if report.conflicts:
        raise typer.Exit(CONFLICT)


def _as_plain(report: PullReport) -> dict[str, Any]:
    return {
        "tasks": report.n_tasks,
        "new": report.new,
        "changed": report.changed,
        "skipped": report.skipped,
        "withdrawn": report.withdrawn,
        "withdrawn_records": [record._asdict() for record in report.withdrawn_records],
        "invalid": [one._asdict() for one in report.invalid],
        "flags": [one._asdict() for one in report.flags],
        "conflicts": [
            {
                "clip_id": one.clip_id,
                "annotator": one.annotator,
                "here": one.here.to_json(),
                "there": one.there.to_json(),
            }
            for one in report.conflicts
        ],
        "gone": report.gone,
        "foreign": report.foreign,
    }


def _say(report: PullReport, is_dry: bool) -> None:
    would = "Would write" if is_dry else "Wrote"
    output.say(
        f"{report.n_tasks} tasks looked at. {would} {report.new} new answers, {report.changed} "
        f"changed, {report.skipped} skips, {report.withdrawn} withdrawn."
    )
    if report.withdrawn:
        output.line("\nWithdrawn by their annotators")
        output.table(("clip_id", "annotator"), report.withdrawn_records)
    for title, remarks in (
        ("Invalid, kept out", report.invalid),
        ("To be looked at", report.flags),
    ):
        if remarks:
            output.line(f"\n{title}")
            output.table(("clip_id", "annotator", "why"), remarks)
    if report.conflicts:
        output.line("\nChanged here and on the server; neither was overwritten")
        output.table(
            ("clip_id", "annotator", "here", "on the server"),
            [
                (one.clip_id, one.annotator, *_differences(one.here, one.there))
                for one in report.conflicts
            ],
        )
        output.say("Take one side: ossl label pull --take server, or --take local.")
    if report.gone:
        output.say(
            f"The server has lost the tasks or answers of {len(report.gone)} clips; their records "
            f"are kept: {', '.join(report.gone[:10])}{' …' if len(report.gone) > 10 else ''}"
        )
    if report.foreign:
        output.say(f"{report.foreign} tasks are not of this corpus; they were left out.")


def _differences(here: Annotation, there: Annotation) -> tuple[str, str]:
    """What the one says and the other does not, each in short."""
    names = sorted({*here.answers, *there.answers})
    differing = [name for name in names if here.answers.get(name) != there.answers.get(name)]

    def said(one: Annotation) -> str:
        answers = [f"{name}={one.answers.get(name, '-')}" for name in differing]
        return ", ".join([one.state, *answers] if here.state != there.state else answers) or (
            one.updated_at
        )

    return said(here), said(there)


def status(context: typer.Context, url: Url = "", timeout: Timeout = TIMEOUT_S,
           json: AsJson = False) -> None:  # fmt: skip
    """Show how far the labelling is, per film and per labeller.

    By the records; with --url also by the server.
    """
    from ossl_builder.annotations import label_schema as taxonomies
    from ossl_builder.annotations.orphans import orphans
    from ossl_builder.label_studio import progress, url_check
    from ossl_builder.label_studio import project as connection

    corpus = open_corpus(context.obj)
    taxonomy = taxonomies.of(corpus.root)
    project, tasks, clips_address = None, None, None
    if url:
        with connection.reached(corpus, url, timeout) as server:
            project = connection.project_of(server, corpus)
            tasks = connection.tasks_of(server, project)
        first = url_check.first_to_expire(task.address for task in tasks)
        clips_address = url_check.probe(first, url)
    films = progress.of_films(corpus, taxonomy, tasks)
    annotators = progress.of_annotators(corpus, taxonomy)
    gone = list(orphans(corpus.root, progress.clip_ids(corpus)))
    if json:
        output.as_json(
            {
                "films": [asdict(one) for one in films],
                "annotators": [asdict(one) for one in annotators],
                "orphans": [asdict(one) for one in gone],
                "server": None
                if project is None
                else {"url": url, "project_id": project.project_id, "tasks": project.n_tasks},
                "clips_address": None if clips_address is None else asdict(clips_address),
            }
        )
        return
    _show_films([asdict(one) for one in films], with_server=project is not None)
    if annotators:
        output.line()
        output.table(
            ("annotator", "answered", "other questions", "skipped", "withdrawn", "films", "last"),
            [tuple(asdict(one).values()) for one in annotators],
        )
    clips = sum(one.clips for one in films)
    annotated = sum(one.annotated for one in films)
    people = "1 person" if len(annotators) == 1 else f"{len(annotators)} people"
    output.say(f"\n{annotated} of {clips} clips annotated by {people}.")
    say_probe(clips_address)
    if gone:
        named = ", ".join(one.clip_id for one in gone)
        output.say(f"Annotated, but gone: {named}. `ossl label carry` moves annotations.")


def _show_films(films: list[dict[str, Any]], with_server: bool) -> None:
    here = (
        "film_id", "clips", "annotated", "annotations", "other_questions", "skipped", "withdrawn",
    )  # fmt: skip
    columns = (*here, "tasks", "finished", "answers") if with_server else here
    output.table(columns, [tuple(one[name] for name in columns) for one in films])
