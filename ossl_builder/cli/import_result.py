"""The end of every command of `ossl import`: its result, its problems, its exit code."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import typer

from ossl_builder.cli import output

SOME = 3


def conclude(result: dict[str, Any], json: bool, show: Callable[[dict[str, Any]], None]) -> None:
    """Print the result, and exit with 1 if no clip can be used, with 3 if something is wrong.

    Args:
        result: `clips`, `problems`, perhaps `leaks`, and what `show` needs.
        json: print it as JSON.
        show: prints it for people.

    Raises:
        typer.Exit: with the exit code, if it is not 0.
    """
    if json:
        output.as_json(result)
    else:
        show(result)
    if not result["clips"]:
        output.say("No clip can be used.")
        raise typer.Exit(1)
    if result["problems"] or result.get("leaks"):
        raise typer.Exit(SOME)


def show_problems(result: dict[str, Any]) -> None:
    """Print a table of what is wrong."""
    if result["problems"]:
        output.table(
            ("path", "what is wrong", "clip"),
            [
                (problem["path"], problem["why"], "taken" if problem["is_used"] else "left out")
                for problem in result["problems"]
            ],
        )
