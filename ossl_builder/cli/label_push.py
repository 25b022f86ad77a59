"""`ossl label push`, `relink`: tasks to the labelling server."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ossl_builder.cli import output
from ossl_builder.corpus import Corpus, open_corpus

if TYPE_CHECKING:
    from ossl_builder.annotations.label_schema import LabelSchema
    from ossl_builder.label_studio.client import Server
    from ossl_builder.label_studio.clip_urls import Addresses
    from ossl_builder.label_studio.overlap import Request
    from ossl_builder.label_studio.project import ProjectOptions
    from ossl_builder.label_studio.push import Plan
    from ossl_builder.label_studio.rows import Project
    from ossl_builder.label_studio.state import State
    from ossl_builder.label_studio.url_check import Probe

Films = Annotated[
    list[str] | None, typer.Argument(help="Film ids; none: all of the corpus.", metavar="FILM")
]
Url = Annotated[str, typer.Option("--url", help="Label Studio's address; later runs remember it.")]
Timeout = Annotated[
    float, typer.Option("--timeout", min=1, help="Seconds after which an answer is given up.")
]
Address = Annotated[
    str,
    typer.Option(
        "--address",
        help="Where browsers find clips: serve (by `ossl label serve`), local-files (by Label "
        "Studio itself), or the address of a store that holds the corpus' files; later runs "
        "remember it; at first serve.",
        metavar="serve|local-files|BASE",
    ),
]
ClipsUrl = Annotated[
    str,
    typer.Option(
        "--clips-url",
        help="Address at which labellers reach `ossl label serve`; later runs remember it.",
    ),
]
DocumentRoot = Annotated[
    Path | None,
    typer.Option(
        "--document-root",
        help="With local-files: Label Studio's, the films folder of the corpus or one in it; later "
        "runs remember it.",
    ),
]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Say what would be done; change nothing.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print for scripts.")]

TIMEOUT_S = 60.0


def add_commands(group: typer.Typer) -> None:
    """Add `push` and `relink`."""
    group.command("push", epilog="Example: ossl label push --url http://127.0.0.1:8080")(push)
    group.command("relink", epilog="Example: ossl label relink --clips-url http://10.0.0.5:8081")(
        relink
    )


def push(
    context: typer.Context,
    film: Films = None,
    url: Url = "",
    address: Address = "",
    clips_url: ClipsUrl = "",
    document_root: DocumentRoot = None,
    title: Annotated[
        str, typer.Option("--title", help="The project's title, if it must be made.")
    ] = "",
    project_id: Annotated[
        int | None, typer.Option("--project", help="Use this project.", metavar="ID")
    ] = None,
    new: Annotated[bool, typer.Option("--new", help="Make a new project.")] = False,
    opinions: Annotated[
        int | None,
        typer.Option("--opinions", min=1, help="People per clip; at first 2, later as it is."),
    ] = None,
    predictions: Annotated[
        bool, typer.Option("--predictions", help="Pre-label clips sent now, by the labels table.")
    ] = False,
    needs_more: Annotated[
        int,
        typer.Option(
            "--needs-more", min=0, help="Ask one more labeller on the N clips disagreed on most."
        ),
    ] = 0,
    timeout: Timeout = TIMEOUT_S,
    dry_run: DryRun = False,
    json: AsJson = False,
) -> None:
    """Send the clips that have no task yet to Label Studio; the token is LABEL_STUDIO_API_KEY.

    Makes the project the first time. However often it is run, and whatever fails on the way, each
    clip has one task.
    """
    from ossl_builder.annotations import label_schema as taxonomies
    from ossl_builder.label_studio import clip_urls
    from ossl_builder.label_studio.project import ProjectOptions, reached

    corpus = open_corpus(context.obj)
    taxonomy = taxonomies.of(corpus.root)
    choice = _choice(corpus, address, clips_url, document_root)
    addresses = clip_urls.addresses(corpus, choice)
    wish = ProjectOptions(title, project_id, opinions, predictions, new)
    with reached(corpus, url, timeout) as server:
        if dry_run:
            done = _foresee(server, corpus, film or [], addresses, wish, taxonomy, needs_more)
        else:
            with corpus.locked():
                _remember(corpus, choice)
                done = _push(server, corpus, film or [], addresses, wish, taxonomy, needs_more)
    if json:
        output.as_json(done)
        return
    _say_push(done, dry_run)


def _foresee(
    server: Server,
    corpus: Corpus,
    films: list[str],
    addresses: Addresses,
    wish: ProjectOptions,
    taxonomy: LabelSchema,
    needs_more: int,
) -> dict[str, Any]:
    from ossl_builder.label_studio import overlap, project
    from ossl_builder.label_studio import push as pushing
    from ossl_builder.label_studio import state as states

    found = project.find(server, corpus, states.load(corpus.root), wish)
    planned = pushing.plan(server, found, corpus, films, addresses, taxonomy, wish.shows_prelabels)
    asked = (
        overlap.plan(server, found, corpus, taxonomy, needs_more)
        if found is not None and needs_more
        else []
    )
    return _told(server, found, planned, planned.copies, asked)


def _push(
    server: Server,
    corpus: Corpus,
    films: list[str],
    addresses: Addresses,
    wish: ProjectOptions,
    taxonomy: LabelSchema,
    needs_more: int,
) -> dict[str, Any]:
    from ossl_builder.label_studio import overlap
    from ossl_builder.label_studio import push as pushing
    from ossl_builder.label_studio import push as sending

    found, state = pushing.begin(server, corpus, wish, taxonomy)
    planned = pushing.plan(server, found, corpus, films, addresses, taxonomy, wish.shows_prelabels)
    is_in_doubt = state.sending > 0
    if planned.missing:
        state = pushing.announce(corpus, state, planned)
    for chunk in output.counted(sending.chunks_of(planned.missing), "sending"):
        is_in_doubt |= sending.ensure(server, found.project_id, chunk)
    pushed = pushing.finish(server, corpus, state, found, planned, is_in_doubt)
    if addresses.kind == "local-files":
        pushing.allow_local_files(server, found, corpus)
    asked = overlap.plan(server, found, corpus, taxonomy, needs_more) if needs_more else []
    for one in output.counted(asked, "asking for one more"):
        overlap.ask(server, one)
    return _told(server, found, planned, pushed.copies_removed, asked)


def _told(
    server: Server,
    found: Project | None,
    planned: Plan,
    copies: int,
    asked: list[Request],
) -> dict[str, Any]:
    from ossl_builder.label_studio.url_check import probe

    tried = probe(planned.address, server.url)
    return {
        "url": server.url,
        "project_id": None if found is None else found.project_id,
        "title": None if found is None else found.title,
        "present": planned.present,
        "sent": len(planned.missing),
        "with_prelabels": sum("predictions" in one for one in planned.missing),
        "copies_removed": copies,
        "labelled_twice": list(planned.labelled_twice),
        "foreign": planned.foreign,
        "needs_more": [vars(one) for one in asked],
        "clips_address": None if tried is None else vars(tried),
    }


def say_probe(tried: Probe | None) -> None:
    """Print until when clips can be had, and what keeps labellers from having them."""
    if tried is None:
        return
    if tried.expires_at is not None:
        output.say(f"Addresses of clips are good until {tried.expires_at}.")
    for sentence in tried.warnings:
        output.say(f"Warning: {sentence}")


def _say_push(done: dict[str, Any], is_dry: bool) -> None:
    where = (
        f"project {done['project_id']} ({done['title']})"
        if done["project_id"] is not None
        else "a project that would be made"
    )
    would = "would be " if is_dry else ""
    output.say(
        f"{done['sent']} clips {would}sent to {where} at {done['url']}; {done['present']} were "
        "there already."
    )
    if done["copies_removed"]:
        output.say(f"{done['copies_removed']} copies that nobody had answered {would}removed.")
    if done["labelled_twice"]:
        output.say(f"Two tasks each, both answered: {', '.join(done['labelled_twice'])}.")
    if done["foreign"]:
        output.say(f"{done['foreign']} tasks show clips that the corpus does not have (any more).")
    if done["clips_address"] is not None:
        from ossl_builder.label_studio.url_check import Probe

        say_probe(Probe(**done["clips_address"]))
    if done["needs_more"]:
        output.table(
            ("clip_id", "disagreement", "answers"),
            [
                (one["clip_id"], f"{one['score']:.3f}", one["n_annotators"])
                for one in done["needs_more"]
            ],
        )
        output.say(f"For these {len(done['needs_more'])} clips one more labeller {would}asked.")


def relink(
    context: typer.Context,
    film: Films = None,
    url: Url = "",
    address: Address = "",
    clips_url: ClipsUrl = "",
    document_root: DocumentRoot = None,
    timeout: Timeout = TIMEOUT_S,
    dry_run: DryRun = False,
    json: AsJson = False,
) -> None:
    """Renew or move the addresses of the clips in tasks that are there already.

    They stay of the kind, and at the place, that were told last. Signed addresses are good for 30
    days from now on again. Answers are not touched.
    """
    from ossl_builder.label_studio import clip_urls, project, refresh_urls
    from ossl_builder.label_studio import push as pushing

    corpus = open_corpus(context.obj)
    choice = _choice(corpus, address, clips_url, document_root)
    addresses = clip_urls.addresses(corpus, choice)
    clips = pushing.clips_of(corpus, film or [])
    with project.reached(corpus, url, timeout) as server:
        found = project.project_of(server, corpus)
        wanted, right = refresh_urls.plan(server, found, clips, addresses)
        if not dry_run:
            with corpus.locked():
                _remember(corpus, choice)
                for one in output.counted(wanted, "relinking"):
                    refresh_urls.relink(server, one)
                if addresses.kind == "local-files":
                    pushing.allow_local_files(server, found, corpus)
    if json:
        output.as_json(
            [{"clip_id": one.clip_id, "before": one.before, "after": one.after} for one in wanted]
        )
        return
    would = "would get" if dry_run else "have"
    output.say(f"{len(wanted)} tasks {would} a new address; {right} had the right one.")


def _choice(corpus: Corpus, address: str, clips_url: str, document_root: Path | None) -> State:
    from ossl_builder.label_studio import clip_urls
    from ossl_builder.label_studio import state as states

    root = "" if document_root is None else str(document_root.absolute())
    choice = clip_urls.chosen(states.load(corpus.root), address, clips_url, root)
    if choice.address in ("", clip_urls.SERVE) and (word := clip_urls.renew(corpus.root)):
        output.say(word)
    return choice


def _remember(corpus: Corpus, choice: State) -> None:
    """Keep how clips are addressed. The corpus is locked: what else is remembered may be newer."""
    from ossl_builder.label_studio import state as states

    now = states.load(corpus.root)
    states.save(
        corpus.root,
        dataclasses.replace(
            now,
            address=choice.address,
            clips_url=choice.clips_url,
            document_root=choice.document_root,
        ),
    )
