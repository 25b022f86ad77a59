"""`ossl films`: which films the corpus has."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from ossl_builder.cli import show
from ossl_builder.stages.fetch import local_path
from ossl_builder.tables import SOURCES, Source, checked_film_id
from ossl_builder.workspace import open_corpus

group = typer.Typer(
    help="Films of the corpus: list, add, remove.", no_args_is_help=True, rich_markup_mode=None
)


def add_commands(app: typer.Typer) -> None:
    """Add the group `films`."""
    app.add_typer(group, name="films")


@group.command(
    epilog='Example: ossl -C corpus films add dev.mp4 --id dev --title "Dev film" --year 2020 '
    '--basis licensed --evidence "CC-BY 3.0, credits in the film"'
)
def add(
    context: typer.Context,
    source: Annotated[str, typer.Argument(help="A file, or an address yt-dlp can download.")],
    film_id: Annotated[str, typer.Option("--id", help="Letters, digits, hyphens; 64 at most.")],
    title: Annotated[str, typer.Option("--title", help="The film's title.")],
    basis: Annotated[str, typer.Option("--basis", help="Why it may be used, e.g. licensed.")],
    evidence: Annotated[str, typer.Option("--evidence", help="What shows that.")],
    year: Annotated[
        int | None, typer.Option("--year", min=1870, max=2200, help="Year of first publication.")
    ] = None,
) -> None:
    """Record a film and why it may be used. `ossl fetch` then brings it in."""
    corpus = open_corpus(context.obj)
    for name, text in (("--title", title), ("--basis", basis), ("--evidence", evidence)):
        if not text.strip():
            raise typer.BadParameter("must not be empty", param_hint=name)
    local = local_path(source)
    row = Source(
        film_id=checked_film_id(film_id),
        title=title,
        year=year,
        basis=basis,
        evidence=evidence,
        source=source if local is None else str(Path(local).absolute()),
    )
    with corpus.locked():
        corpus.record_source(row)
    show.say(f"Recorded {film_id}. Next: ossl -C {context.obj} build {film_id}")
    if local is not None and not local.exists():
        show.say(f"Note: there is no file {local} now; it must be there when the film is fetched.")


@group.command("list", epilog="Example: ossl -C corpus films list --json")
def list_films(
    context: typer.Context,
    json: Annotated[bool, typer.Option("--json", help="Print for scripts.")] = False,
) -> None:
    """List the films of the corpus."""
    corpus = open_corpus(context.obj)
    sources = [corpus.source(film_id) for film_id in corpus.film_ids()]
    if json:
        show.as_json([SOURCES.to_json(source) for source in sources])
    else:
        show.table(
            ("film_id", "year", "title", "basis", "source"),
            [(s.film_id, s.year, s.title, s.basis, s.source) for s in sources],
        )


@group.command(epilog="Example: ossl -C corpus films remove dev && ossl -C corpus clean")
def remove(
    context: typer.Context,
    film_id: Annotated[list[str], typer.Argument(help="Film ids.", metavar="FILM...")],
) -> None:
    """Take films out of the corpus; their files go with the next `ossl clean`."""
    from ossl_builder.pipeline import refresh_tables

    corpus = open_corpus(context.obj)
    with corpus.locked():
        for one in corpus.chosen(film_id):
            corpus.source_path(one).unlink()
        refresh_tables(corpus)
    show.say(f"Removed {', '.join(film_id)}. Its files are still here; `ossl clean` deletes them.")
