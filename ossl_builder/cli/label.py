"""`ossl label …`: annotate clips in Label Studio, and derive labels from the annotations."""

from __future__ import annotations

import typer

from ossl_builder.cli import (
    label_caption,
    label_import,
    label_pull,
    label_push,
    label_results,
    label_urls,
)


def add_commands(app: typer.Typer) -> None:
    """Add the group `label`."""
    group = typer.Typer(
        name="label",
        help="Annotate the moods of clips: tasks for Label Studio, annotations, agreement, labels.",
        no_args_is_help=True,
    )
    label_push.add_commands(group)
    label_pull.add_commands(group)
    label_results.add_commands(group)
    label_import.add_commands(group)
    label_urls.add_commands(group)
    label_caption.add_commands(group)
    app.add_typer(group)
