"""`ossl doctor`: check this machine and what is installed."""

from __future__ import annotations

import typer

from ossl_builder.cli import options, output


def add_commands(app: typer.Typer) -> None:
    """Add `doctor`."""
    app.command(epilog="Example: ossl doctor")(doctor)


def doctor(context: typer.Context, json: options.AsJson = False) -> None:
    """Check ffmpeg, encoders, torch, GPU, models and disk space, and say what to install.

    Exit code 1 if something that the pipeline needs is missing.
    """
    from ossl_builder.pipeline.doctor import all_checks

    checks = list(all_checks(context.obj))
    if json:
        output.as_json([vars(check) for check in checks])
    else:
        output.table(
            ("check", "verdict", "detail"), [(c.name, c.verdict, c.detail) for c in checks]
        )
        for check in checks:
            if check.advice:
                output.line(f"\n{check.name}: {check.advice}")
    if any(check.verdict == "missing" for check in checks):
        raise typer.Exit(1)
