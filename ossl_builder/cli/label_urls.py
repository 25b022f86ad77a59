"""`ossl label serve`, `relink`: give annotators' browsers access to the clips."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from typing import Annotated

import typer

from ossl_builder.cli import options, output
from ossl_builder.cli.label_push import (
    TIMEOUT_S,
    Address,
    ClipsUrl,
    DocumentRoot,
    Timeout,
    Url,
    choose_urls,
    save_url_options,
)
from ossl_builder.corpus import open_corpus
from ossl_builder.label_studio.clip_urls import DEFAULT_BASE, DEFAULT_PORT

LOOPBACK = ("127.0.0.1", "::1", "localhost")


def add_commands(group: typer.Typer) -> None:
    """Add `serve` and `relink`."""
    group.command("serve", epilog="Example: ossl -C corpus label serve --port 8081")(serve)
    group.command("relink", epilog="Example: ossl label relink --clips-url http://10.0.0.5:8081")(
        relink
    )


def serve(
    context: typer.Context,
    host: Annotated[
        str,
        typer.Option("--host", help="Address of this machine to listen at; 0.0.0.0 means all."),
    ] = "127.0.0.1",
    port: Annotated[
        int,
        typer.Option("--port", min=0, max=65_535, help="Port to listen at; 0 means any free port."),
    ] = DEFAULT_PORT,
    public_url: Annotated[
        str,
        typer.Option(
            "--public-url", help="URL at which browsers reach this server, if it differs."
        ),
    ] = "",
) -> None:
    """Serve the clips to annotators' browsers, until Ctrl-C.

    Only the MP4 files of clips are served, and only at signed URLs. `push` and `relink` write
    these URLs into the tasks; they are valid for 30 days. Nothing can be changed. Without --host
    only this machine can connect.
    """
    from ossl_builder.label_studio import serve as server
    from ossl_builder.label_studio import url_key
    from ossl_builder.label_studio.clip_urls import checked_base

    corpus = open_corpus(context.obj)
    if message := url_key.renew_key(corpus.root):
        output.say(message)
    clips = server.ServedClips(corpus.root)
    base = checked_base(public_url) if public_url else ""
    with server.listen(host, port) as listener:
        base = base or _base_url(host, listener.getsockname()[1])
        with suppress(KeyboardInterrupt):
            _print_start(context.obj, corpus.root, len(clips), host, base)
            server.serve(listener, server.ROUTE, clips.find)
    output.say("Stopped. The clip URLs stay valid: they work again when you serve again.")


def _print_start(folder: Path, root: Path, n_clips: int, host: str, base: str) -> None:
    count = "1 clip" if n_clips == 1 else f"{n_clips} clips"
    output.say(f"Serving {count} of {root} at {base} (stop with Ctrl-C).")
    if host not in LOOPBACK:
        output.say(
            "Warning: every machine that reaches this one can connect. Only signed URLs are "
            f"answered. Annotators' browsers must be able to reach {base}."
        )
    if not n_clips:
        output.say(f"There are no clips yet: ossl -C {folder} build")
    clips_url = "" if base == DEFAULT_BASE else f" --clips-url {base}"
    output.say(
        "Next, in another terminal: "
        f"ossl -C {folder} label push --url http://127.0.0.1:8080{clips_url}"
    )


def _base_url(host: str, port: int) -> str:
    import socket

    name = socket.gethostname() if host in ("0.0.0.0", "::", "") else host
    return f"http://[{name}]:{port}" if ":" in name else f"http://{name}:{port}"


def relink(
    context: typer.Context,
    film: options.FilmIds = None,
    url: Url = "",
    address: Address = "",
    clips_url: ClipsUrl = "",
    document_root: DocumentRoot = None,
    timeout: Timeout = TIMEOUT_S,
    dry_run: options.DryRun = False,
    json: options.AsJson = False,
) -> None:
    """Renew or change the clip URLs in existing tasks.

    Without options the kind of URL stays as it was chosen last. Signed URLs become valid for
    another 30 days. Answers do not change.
    """
    from ossl_builder.label_studio import clip_urls, project, task_updates

    corpus = open_corpus(context.obj)
    url_options = choose_urls(corpus, address, clips_url, document_root)
    urls = clip_urls.urls_of_state(corpus, url_options)
    clips = clip_urls.clips_of(corpus, film or [])
    with project.connected(corpus, url, timeout) as server:
        connected_project = project.project_of(server, corpus)
        changes, n_right = task_updates.plan_url_changes(server, connected_project, clips, urls)
        if not dry_run:
            with corpus.locked():
                save_url_options(corpus, url_options)
                for change in output.counted(changes, "relinking"):
                    task_updates.change_url(server, change)
                if urls.kind == "local-files":
                    clip_urls.allow_local_files(server, connected_project, corpus)
    if json:
        output.as_json(
            [
                {"clip_id": change.clip_id, "before": change.before, "after": change.after}
                for change in changes
            ]
        )
        return
    would = "would get" if dry_run else "have"
    output.say(f"{len(changes)} tasks {would} a new URL; {n_right} had the right URL.")
