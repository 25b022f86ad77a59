"""`ossl train` and `ossl export model`: commands of the training package, loaded on use."""

from __future__ import annotations

import typer

PASS_THROUGH = {"allow_extra_args": True, "ignore_unknown_options": True, "help_option_names": []}


def add_commands(app: typer.Typer) -> None:
    """Add `train`."""
    app.command(
        context_settings=PASS_THROUGH, epilog="Example: ossl -C corpus train fit --recipe tiny_cpu"
    )(train)


def add_export(group: typer.Typer) -> None:
    """Add `model` to the group `export`."""
    group.command(
        "model",
        context_settings=PASS_THROUGH,
        epilog="Example: ossl -C corpus export model corpus/train/small --out adapter",
    )(model)


def train(context: typer.Context) -> None:
    """Train a video adapter on a frozen MusicGen, and generate music for videos."""
    from ossl_train.cli import app

    app(args=context.args, prog_name="ossl train", obj=context.obj)


def model(context: typer.Context) -> None:
    """Export an adapter for publication: weights, configuration, checksums, and a model card."""
    from ossl_train.cli.export_model import app

    app(args=context.args, prog_name="ossl export model", obj=context.obj)
