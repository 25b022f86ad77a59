"""`ossl label serve`: the corpus' clips to labellers' browsers."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from typing import Annotated

import typer

from ossl_builder.cli import output
from ossl_builder.corpus import open_corpus
from ossl_builder.label_studio.clip_urls import DEFAULT_PORT

LOOPBACK = ("127.0.0.1", "::1", "localhost")


def add_commands(group: typer.Typer) -> None:
    """Add `serve`."""
    group.command("serve", epilog="Example: ossl -C corpus label serve --port 8081")(serve)


def serve(
    context: typer.Context,
    host: Annotated[
        str, typer.Option("--host", help="Address of this machine to answer at; 0.0.0.0: all.")
    ] = "127.0.0.1",
    port: Annotated[
        int, typer.Option("--port", min=0, max=65_535, help="Port to answer at; 0: any.")
    ] = DEFAULT_PORT,
    public_url: Annotated[
        str,
        typer.Option(
            "--public-url", help="Address that labellers' browsers reach this at, if another."
        ),
    ] = "",
) -> None:
    """Serve the clips to labellers' browsers, until Ctrl-C.

    Only the clips' MP4 files, only to signed addresses (`push` and `relink` write them into the
    tasks; good for 30 days), nothing can be changed. Without --host only this machine is answered.
    """
    from ossl_builder.label_studio import clip_urls
    from ossl_builder.label_studio import serve as serving
    from ossl_builder.label_studio.clip_urls import checked_base
    from ossl_builder.label_studio.serve import ROUTE, ServedClips

    corpus = open_corpus(context.obj)
    if word := clip_urls.renew(corpus.root):
        output.say(word)
    clips = ServedClips(corpus.root)
    base = checked_base(public_url) if public_url else ""
    with serving.listen(host, port) as taken:
        base = base or _address(host, taken.getsockname()[1])
        with suppress(KeyboardInterrupt):
            _introduce(context.obj, corpus.root, len(clips), host, base)
            serving.serve(taken, ROUTE, clips.find)
    output.say("Stopped. Addresses stay good: serve again, and they work.")


def _introduce(folder: Path, root: Path, n_clips: int, host: str, base: str) -> None:
    count = "1 clip" if n_clips == 1 else f"{n_clips} clips"
    output.say(f"Serving {count} of {root} at {base} (Ctrl-C stops).")
    if host not in LOOPBACK:
        output.say(
            "Warning: every machine that reaches this one may ask for clips. Only signed "
            f"addresses are answered; labellers' browsers must reach {base}."
        )
    if not n_clips:
        output.say(f"There are no clips yet: ossl -C {folder} build")
    output.say(f"Next, elsewhere: {_push(folder, base)}")


def _address(host: str, port: int) -> str:
    import socket

    shown = socket.gethostname() if host in ("0.0.0.0", "::", "") else host
    return f"http://[{shown}]:{port}" if ":" in shown else f"http://{shown}:{port}"


def _push(folder: Path, base: str) -> str:
    from ossl_builder.label_studio.clip_urls import DEFAULT_BASE

    moved = "" if base == DEFAULT_BASE else f" --clips-url {base}"
    return f"ossl -C {folder} label push --url http://127.0.0.1:8080{moved}"
