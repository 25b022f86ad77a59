"""`ossl label …`: moods from people."""

from __future__ import annotations

import typer

from ossl_builder.cli import (
    label_import,
    label_pull,
    label_push,
    label_results,
    label_serve,
    label_transfer,
)


def add_commands(app: typer.Typer) -> None:
    """Add the group `label`."""
    group = typer.Typer(
        name="label",
        help="Moods from people: tasks to Label Studio, answers back, agreement, labels.",
        no_args_is_help=True,
    )
    label_push.add_commands(group)
    label_pull.add_commands(group)
    label_results.add_commands(group)
    label_import.add_commands(group)
    label_serve.add_commands(group)
    label_transfer.add_commands(group)
    app.add_typer(group)
