"""`ossl init`, `status`, `verify`, `clean`, `settings`: the corpus as a whole."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from ossl_builder.cli import options, output
from ossl_builder.config import all_settings, load_recipe, recipe_named
from ossl_builder.corpus import create, open_corpus

STAGE_COLUMNS = ("stage", "done", "rejected", "failed", "stale", "waiting", "rows")
# Below the table of stages: title, key of the result, columns.
STATUS_LISTS = (
    ("Rejected candidates", "candidates", ("stage", "reason", "count")),
    ("Films rejected", "rejected", ("film_id", "stage", "code", "message")),
    ("Films failed", "failed", ("film_id", "stage", "code", "message", "hint")),
    ("Warnings", "warnings", ("film_id", "stage", "code", "message")),
    ("Stale", "stale", ("film_id", "stage", "why")),
    (
        "Annotated clips that are gone (`ossl label transfer` moves their annotations)",
        "orphans",
        ("film_id", "clip_id", "annotators"),
    ),
)


def add_commands(app: typer.Typer) -> None:
    """Add the commands about the corpus as a whole."""
    app.command(epilog="Example: ossl init corpus --recipe ossl-v2")(init)
    app.command(epilog="Example: ossl -C corpus status")(status)
    app.command(epilog="Example: ossl -C corpus verify")(verify)
    app.command(epilog="Example: ossl -C corpus clean --dry-run")(clean)
    app.command(epilog="Example: ossl settings")(settings)


def init(
    folder: Annotated[Path, typer.Argument(help="A new or empty folder.")],
    recipe: Annotated[
        str | None,
        typer.Option("--recipe", help="Start from this recipe: ossl-v1, ossl-v2, or a YAML file."),
    ] = None,
) -> None:
    """Create a corpus: a folder with a recipe (ossl.yaml) and no films."""
    if recipe is None:
        create(folder)
    else:
        path = recipe_named(recipe)
        load_recipe(path)
        create(folder, path.read_text(encoding="utf-8"))
    output.say(
        f"Created {folder}. Next: ossl -C {folder} films add FILE "
        "--id … --title … --basis … --evidence …"
    )


def status(context: typer.Context, json: options.AsJson = False) -> None:
    """Show for each stage what is done, rejected, failed or stale, and why."""
    from ossl_builder.pipeline.status import status as status_of

    corpus = open_corpus(context.obj)
    result = status_of(corpus, load_recipe(corpus.recipe_path))
    if corpus.is_imported and not json:
        output.say("The clips of this corpus were imported: no stage has work to do.")
    output.emit(result, json, _show_status)


def _show_status(result: dict[str, list[dict[str, Any]]]) -> None:
    output.rows(result["stages"], STAGE_COLUMNS)
    for title, key, columns in STATUS_LISTS:
        if result[key]:
            output.line(f"\n{title}")
            output.rows(result[key], columns)


def verify(context: typer.Context, json: options.AsJson = False) -> None:
    """Hash every file again and compare it with its record. Exit code 1 if one differs."""
    from ossl_builder.pipeline.status import verify as verify_files

    corpus = open_corpus(context.obj)
    problems, n_files = verify_files(corpus)
    if problems or json:
        output.emit(problems, json, lambda entries: output.rows(entries, ("path", "problem")))
    output.say(f"{n_files} files hashed, {len(problems)} problems.")
    if problems:
        output.say(
            "Import again from an undamaged folder: `ossl import` replaces the damaged files."
            if corpus.is_imported
            else "Delete the files listed above: `ossl build` makes them again."
        )
        raise typer.Exit(1)


def clean(
    context: typer.Context, dry_run: options.DryRun = False, json: options.AsJson = False
) -> None:
    """Delete files that no row points to: those of removed films and of killed runs."""
    from ossl_builder.pipeline.status import clean as clean_files

    corpus = open_corpus(context.obj)
    corpus.check_has_films()
    with corpus.locked():
        paths, size = clean_files(corpus, dry_run)
    output.emit(paths, json, output.lines)
    output.say(f"{len(paths)} files, {size / 1e6:.1f} MB{', not deleted' if dry_run else ''}.")


def settings(json: options.AsJson = False) -> None:
    """List every key of a recipe with its default and its meaning."""
    output.emit(
        all_settings(),
        json,
        lambda entries: output.rows(entries, ("key", "default", "description")),
    )
