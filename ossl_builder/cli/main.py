"""`ossl`: puts the groups together, and turns errors into a sentence and an exit code."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from ossl_builder import __version__
from ossl_builder.cli import (
    build,
    corpus,
    demo,
    doctor,
    export,
    films,
    import_ossl,
    label,
    output,
    report,
    split,
    stats,
    train,
)
from ossl_builder.errors import OsslError
from ossl_builder.files import disk_full

app = typer.Typer(
    name="ossl",
    help="Films in, clips with music out: rebuild the Open Screen Soundtrack Library.",
    epilog="Begin with: ossl demo --out demo-corpus",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)


def _version(wanted: bool) -> None:
    if wanted:
        output.line(f"ossl-builder {__version__}")
        raise typer.Exit


@app.callback()
def root(
    context: typer.Context,
    corpus_folder: Annotated[
        Path, typer.Option("--corpus", "-C", help="The corpus' folder.", show_default="here")
    ] = Path(),
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print it and end.")
    ] = False,
) -> None:
    """Hold what all commands share."""
    context.obj = corpus_folder


corpus.add_commands(app)
films.add_commands(app)
build.add_commands(app)
doctor.add_commands(app)
demo.add_commands(app)
label.add_commands(app)
split.add_commands(app)
stats.add_commands(app)
report.add_commands(app)
import_ossl.add_commands(app)
export.add_commands(app)
train.add_commands(app)


def main() -> None:
    """Run the command line; errors that a person can act upon end with exit code 1."""
    try:
        app()
    except OSError as error:
        full = disk_full(error, Path.cwd())
        if full is None:
            raise
        _end(full)
    except OsslError as error:
        _end(error)


def _end(error: OsslError) -> None:
    output.say(f"ossl: {error.message}")
    if error.hint:
        output.say(f"      {error.hint}")
    sys.exit(1)


if __name__ == "__main__":
    main()
