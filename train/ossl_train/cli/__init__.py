"""`ossl train`: one short file per command; `context.obj` is the corpus' folder (`-C`)."""

from __future__ import annotations

import typer

from ossl_train.cli import evaluate as evaluation
from ossl_train.cli import generate as generation
from ossl_train.cli import listen
from ossl_train.cli.codes import codes
from ossl_train.cli.features import features
from ossl_train.cli.fit import fit

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


app.command(epilog="Example: ossl -C corpus train features --recipe small --dry-run")(features)
app.command(epilog="Example: ossl -C corpus train codes --recipe small --device cuda")(codes)
app.command(epilog="Example: ossl -C corpus train fit --recipe small --dry-run")(fit)
app.command(epilog=evaluation.EPILOG)(evaluation.evaluate)
app.command(epilog=generation.EPILOG)(generation.generate)
app.add_typer(listen.app)
