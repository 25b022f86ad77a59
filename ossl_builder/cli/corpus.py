"""`ossl init`, `status`, `verify`, `clean`, `settings`: the corpus as a whole."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from ossl_builder.cli import output
from ossl_builder.config import all_settings, load_recipe, recipe_named
from ossl_builder.corpus import create, open_corpus
from ossl_builder.pipeline import status as upkeep

AsJson = Annotated[bool, typer.Option("--json", help="Print for scripts.")]


def add_commands(app: typer.Typer) -> None:
    """Add the commands about the corpus as a whole."""
    app.command(epilog="Example: ossl init corpus --recipe ossl-v2")(init)
    app.command(epilog="Example: ossl -C corpus status")(status)
    app.command(epilog="Example: ossl -C corpus verify")(verify)
    app.command(epilog="Example: ossl -C corpus clean --dry-run")(clean)
    app.command(epilog="Example: ossl settings")(settings)


def init(
    folder: Annotated[Path, typer.Argument(help="A folder that is new or empty.")],
    recipe: Annotated[
        str | None,
        typer.Option(
            "--recipe", help="Begin with this recipe: ossl-v1, ossl-v2, or a file's path."
        ),
    ] = None,
) -> None:
    """Make a corpus: a folder with a recipe (ossl.yaml) and no films."""
    if recipe is None:
        create(folder)
    else:
        path = recipe_named(recipe)
        load_recipe(path)
        create(folder, path.read_text(encoding="utf-8"))
    output.say(
        f"Made {folder}. Next: ossl -C {folder} films add FILE "
        "--id … --title … --basis … --evidence …"
    )


def status(context: typer.Context, json: AsJson = False) -> None:
    """Show what is done, rejected, failed, stale, and why."""
    corpus = open_corpus(context.obj)
    found = upkeep.status(corpus, load_recipe(corpus.recipe_path))
    if json:
        output.as_json(found)
        return
    if corpus.is_imported:
        output.say("The clips of this corpus were imported: its stages have nothing to do.")
    output.table(
        ("stage", "done", "rejected", "failed", "stale", "waiting", "rows"),
        [
            tuple(stage[key] for key in
                  ("stage", "done", "rejected", "failed", "stale", "waiting", "rows"))
            for stage in found["stages"]
        ],
    )  # fmt: skip
    _list("Rejected candidates", found["candidates"], ("stage", "reason", "count"))
    _list("Films rejected", found["rejected"], ("film_id", "stage", "code", "message"))
    _list("Films failed", found["failed"], ("film_id", "stage", "code", "message", "hint"))
    _list("Warnings", found["warnings"], ("film_id", "stage", "code", "message"))
    _list("Stale", found["stale"], ("film_id", "stage", "why"))
    for orphan in found["orphans"]:
        orphan["annotators"] = " ".join(orphan["annotators"])
    _list(
        "Annotated clips that are gone (`ossl label transfer` moves annotations)",
        found["orphans"],
        ("film_id", "clip_id", "annotators"),
    )


def _list(title: str, entries: list[dict[str, Any]], keys: tuple[str, ...]) -> None:
    if entries:
        output.line(f"\n{title}")
        output.table(keys, [tuple(entry[key] for key in keys) for entry in entries])


def verify(context: typer.Context, json: AsJson = False) -> None:
    """Hash every file again and compare; ends with 1 if one differs."""
    corpus = open_corpus(context.obj)
    problems, n_files = upkeep.verify(corpus)
    if json:
        output.as_json(problems)
    elif problems:
        output.table(("path", "problem"), [(entry["path"], entry["problem"]) for entry in problems])
    output.say(f"{n_files} files hashed, {len(problems)} problems.")
    if problems:
        output.say(
            "`ossl import` again, with a folder that is whole, puts other files in their place."
            if corpus.is_imported
            else "Delete the files named: `ossl build` makes them again (and fetches films again)."
        )
        raise typer.Exit(1)


def clean(
    context: typer.Context,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="List, delete nothing.")] = False,
    json: AsJson = False,
) -> None:
    """Delete files that no row points to: of films removed, and what killed runs left."""
    corpus = open_corpus(context.obj)
    corpus.check_has_films()
    with corpus.locked():
        paths, size = upkeep.clean(corpus, dry_run)
    if json:
        output.as_json(paths)
    else:
        for path in paths:
            output.line(path)
    output.say(f"{len(paths)} files, {size / 1e6:.1f} MB{', not deleted' if dry_run else ''}.")


def settings(json: AsJson = False) -> None:
    """List every key of a recipe with its default and meaning."""
    entries = all_settings()
    if json:
        output.as_json(entries)
    else:
        output.table(
            ("key", "default", "meaning"),
            [(entry["key"], entry["default"], entry["description"]) for entry in entries],
        )
