"""`ossl report`: web pages that show a corpus to its curator."""

from __future__ import annotations

from contextlib import nullcontext
from pathlib import Path
from typing import Annotated

import typer

from ossl_builder.cli import options, output
from ossl_builder.config import load_recipe
from ossl_builder.corpus import open_corpus


def add_commands(app: typer.Typer) -> None:
    """Add `report`."""
    app.command(
        epilog="Example: ossl -C corpus report --compare-stems bundled --compare-stems spleeter"
    )(report)


def report(
    context: typer.Context,
    out: Annotated[
        Path | None,
        typer.Option("--out", help="Folder to write.", metavar="DIR", show_default="CORPUS/report"),
    ] = None,
    title: Annotated[
        str | None,
        typer.Option("--title", help="Title of the pages.", show_default="name of the folder"),
    ] = None,
    compare_stems: Annotated[
        list[str] | None,
        typer.Option(
            "--compare-stems",
            help="Also write stems.html, which plays excerpts as separated by this model (a value "
            "of stems.model); give it once for each model.",
            metavar="MODEL",
        ),
    ] = None,
    excerpts: Annotated[
        int, typer.Option("--excerpts", help="Number of excerpts to compare.", min=1, max=50)
    ] = 6,
    dry_run: options.DryRun = False,
    json: options.AsJson = False,
) -> None:
    """Write web pages that show the corpus: an index, and one page per film.

    The pages open in any browser without a network; clips play from the corpus. Run the command
    again after a change: only the pages of changed films are written.
    """
    from ossl_builder.report import stem_comparison
    from ossl_builder.report.render import write

    corpus = open_corpus(context.obj)
    recipe = load_recipe(corpus.recipe_path)
    folder = corpus.root / "report" if out is None else out
    compared = None
    with nullcontext() if dry_run else corpus.locked():
        if compare_stems:
            compared = stem_comparison.compare(
                corpus, list(dict.fromkeys(compare_stems)), folder, excerpts, dry_run,
                lambda chosen: output.counted(chosen, "Excerpts"),
            )  # fmt: skip
        written = write(
            corpus, recipe, folder, title or corpus.root.name, dry_run,
            lambda films: output.counted(films, "Films"),
        )  # fmt: skip
    if json:
        comparison = {**vars(compared), "page": str(compared.page)} if compared else None
        output.as_json(
            {**vars(written), "out": str(folder), "written": not dry_run, "stems": comparison}
        )
        return
    would = "would be written" if dry_run else "written"
    output.say(
        f"{len(written.pages)} film pages {would}, {written.kept} up to date, "
        f"{len(written.removed)} removed; {written.warnings} warnings."
    )
    if compared:
        output.say(
            f"{len(compared.excerpts)} excerpts compared: {compared.separated} separated"
            f"{' (would be)' if dry_run else ''}, {compared.kept} up to date. Open {compared.page}"
        )
    output.say(f"Open {folder / 'index.html'}")
