"""`ossl train`: one short file per command group; `context.obj` is the corpus' folder (`-C`)."""

from __future__ import annotations

import typer

from ossl_train.cli import compare, encode, evaluate, fit, generate, listen, reproduce, settings

app = typer.Typer(
    name="train",
    help="Train a video adapter on a frozen MusicGen, and generate music for videos.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)


@app.callback()
def root() -> None:
    """Group the commands."""


app.command(epilog=encode.FEATURES_EXAMPLE)(encode.features)
app.command(epilog=encode.CODES_EXAMPLE)(encode.codes)
app.command(epilog=fit.EXAMPLE)(fit.fit)
app.command(epilog=evaluate.EXAMPLE)(evaluate.evaluate)
app.command(epilog=generate.EXAMPLE)(generate.generate)
app.command(epilog=compare.EXAMPLE)(compare.compare)
app.command(epilog=reproduce.EXAMPLE)(reproduce.reproduce)
app.command(epilog=settings.EXAMPLE)(settings.settings)
app.add_typer(listen.app)
