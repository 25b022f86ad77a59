"""`ossl train`: one short file per command; `context.obj` is the corpus' folder (`-C`)."""

from __future__ import annotations

import typer

app = typer.Typer(
    name="train",
    help="Fit a video adapter on a frozen MusicGen, and write music for a scene.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)


@app.callback()
def root() -> None:
    """Hold the commands together."""
