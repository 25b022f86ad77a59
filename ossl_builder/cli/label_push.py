"""`ossl label push`: create tasks in Label Studio."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ossl_builder.cli import options, output
from ossl_builder.corpus import Corpus, open_corpus

if TYPE_CHECKING:
    from ossl_builder.label_studio.clip_urls import UrlCheck
    from ossl_builder.label_studio.state import State

Url = Annotated[str, typer.Option("--url", help="URL of Label Studio; later runs remember it.")]
Timeout = Annotated[
    float, typer.Option("--timeout", min=1, help="Longest wait for a response, in seconds.")
]
Address = Annotated[
    str,
    typer.Option(
        "--address",
        help="How browsers reach the clips: serve (by `ossl label serve`, the default), "
        "local-files (by Label Studio itself), or the base URL of a file store that has a copy of "
        "the corpus. Later runs remember it.",
        metavar="serve|local-files|BASE",
    ),
]
ClipsUrl = Annotated[
    str,
    typer.Option(
        "--clips-url",
        help="URL at which annotators reach `ossl label serve`; later runs remember it.",
    ),
]
DocumentRoot = Annotated[
    Path | None,
    typer.Option(
        "--document-root",
        help="With local-files: Label Studio's document root, which is the films folder of the "
        "corpus or a folder in it. Later runs remember it.",
    ),
]
TIMEOUT_S = 60.0


def add_commands(group: typer.Typer) -> None:
    """Add `push`."""
    group.command("push", epilog="Example: ossl label push --url http://127.0.0.1:8080")(push)


def push(
    context: typer.Context,
    film: options.FilmIds = None,
    url: Url = "",
    address: Address = "",
    clips_url: ClipsUrl = "",
    document_root: DocumentRoot = None,
    title: Annotated[str, typer.Option("--title", help="Title of a new project.")] = "",
    project_id: Annotated[
        int | None,
        typer.Option("--project", help="Use this project of the server.", metavar="ID"),
    ] = None,
    new: Annotated[
        bool, typer.Option("--new", help="Create a new project, even if the corpus has one.")
    ] = False,
    annotators: Annotated[
        int | None,
        typer.Option(
            "--annotators", min=1, help="Annotators per clip. A new project has 2 by default."
        ),
    ] = None,
    predictions: Annotated[
        bool,
        typer.Option("--predictions", help="Add predictions from the labels table to new tasks."),
    ] = False,
    needs_more: Annotated[
        int,
        typer.Option(
            "--needs-more",
            min=0,
            help="Ask one more annotator for the N clips with the largest disagreement.",
        ),
    ] = 0,
    timeout: Timeout = TIMEOUT_S,
    dry_run: options.DryRun = False,
    json: options.AsJson = False,
) -> None:
    """Create a task in Label Studio for each clip that has none.

    The first run creates the project. The command can be repeated, also after errors: each clip
    has exactly one task. The environment variable LABEL_STUDIO_API_KEY contains the token.
    """
    from ossl_builder.annotations import label_schema
    from ossl_builder.label_studio import clip_urls, project, state, task_updates
    from ossl_builder.label_studio import push as push_tasks

    corpus = open_corpus(context.obj)
    schema = label_schema.load(corpus.root)
    url_options = choose_urls(corpus, address, clips_url, document_root)
    urls = clip_urls.urls_of_state(corpus, url_options)
    options = project.ProjectOptions(title, project_id, annotators, predictions, new)
    films = film or []
    with project.connected(corpus, url, timeout) as server:
        if dry_run:
            connected_project = project.find_project(
                server, corpus, state.load(corpus.root), options
            )
            plan = push_tasks.plan_push(
                server, connected_project, corpus, films, urls, schema, predictions
            )
            n_deleted, extra = plan.n_duplicates, []
            if connected_project is not None and needs_more:
                extra = task_updates.plan_extra_annotators(
                    server, connected_project, corpus, schema, needs_more
                )
        else:
            with corpus.locked():
                save_url_options(corpus, url_options)
                result = push_tasks.push(
                    server, corpus, films, urls, options, schema, output.counted
                )
                connected_project, plan, n_deleted, extra = (
                    result.project,
                    result.plan,
                    result.n_deleted,
                    [],
                )
                if needs_more:
                    extra = task_updates.plan_extra_annotators(
                        server, connected_project, corpus, schema, needs_more
                    )
                for request in output.counted(extra, "asking for one more annotator"):
                    task_updates.request_extra_annotator(server, request)
        url_check = clip_urls.check_url(plan.url, server.url)
    values: dict[str, Any] = {
        "url": server.url,
        "project_id": None if connected_project is None else connected_project.project_id,
        "title": None if connected_project is None else connected_project.title,
        "present": plan.n_present,
        "sent": len(plan.missing),
        "with_prelabels": sum("predictions" in task for task in plan.missing),
        "copies_removed": n_deleted,
        "labelled_twice": list(plan.labelled_twice),
        "foreign": plan.n_foreign,
        "needs_more": [vars(request) for request in extra],
        "clips_address": None if url_check is None else vars(url_check),
    }
    if json:
        output.as_json(values)
    else:
        _print_push(values, url_check, dry_run)


def _print_push(values: dict[str, Any], url_check: UrlCheck | None, is_dry: bool) -> None:
    where = (
        f"project {values['project_id']} ({values['title']})"
        if values["project_id"] is not None
        else "a new project"
    )
    would = "would be " if is_dry else ""
    output.say(
        f"{values['sent']} clips {would}sent to {where} at {values['url']}; {values['present']} "
        "had a task already."
    )
    if values["copies_removed"]:
        output.say(f"{values['copies_removed']} duplicates without answers {would}deleted.")
    if values["labelled_twice"]:
        clips = ", ".join(values["labelled_twice"])
        output.say(f"Clips with two tasks that both have answers: {clips}.")
    if values["foreign"]:
        output.say(f"{values['foreign']} tasks show clips that the corpus does not have.")
    print_url_check(url_check)
    if values["needs_more"]:
        output.table(
            ("clip_id", "disagreement", "answers"),
            [
                (request["clip_id"], f"{request['score']:.3f}", request["n_annotators"])
                for request in values["needs_more"]
            ],
        )
        n_clips = len(values["needs_more"])
        output.say(f"One more annotator {would}asked for these {n_clips} clips.")


def print_url_check(url_check: UrlCheck | None) -> None:
    """Print until when clip URLs are valid, and why annotators cannot see clips."""
    if url_check is None:
        return
    if url_check.expires_at is not None:
        output.say(f"Clip URLs are valid until {url_check.expires_at}.")
    for warning in url_check.warnings:
        output.say(f"Warning: {warning}")


def choose_urls(corpus: Corpus, address: str, clips_url: str, document_root: Path | None) -> State:
    """Merge the URL options into the state, and replace a signing key that is not secret."""
    from ossl_builder.label_studio import clip_urls, state, url_key

    root = "" if document_root is None else str(document_root.absolute())
    options = clip_urls.with_url_options(state.load(corpus.root), address, clips_url, root)
    if options.address in ("", clip_urls.SERVE) and (message := url_key.renew_key(corpus.root)):
        output.say(message)
    return options


def save_url_options(corpus: Corpus, options: State) -> None:
    """Save the URL options. The caller holds the lock; other fields may have changed since."""
    from ossl_builder.label_studio import state

    state.save(
        corpus.root,
        dataclasses.replace(
            state.load(corpus.root),
            address=options.address,
            clips_url=options.clips_url,
            document_root=options.document_root,
        ),
    )
