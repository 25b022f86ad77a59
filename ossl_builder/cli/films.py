"""`ossl films`: which films the corpus has; adding and removing them."""

from __future__ import annotations

from datetime import date
from pathlib import Path
from typing import Annotated

import typer

from ossl_builder.cli import films_check, films_show, output
from ossl_builder.corpus import Corpus, open_corpus
from ossl_builder.errors import OsslError

group = typer.Typer(
    help="Films one may use: the catalogue, its evidence, and what the corpus has of it.",
    no_args_is_help=True,
    rich_markup_mode=None,
)

Names = Annotated[
    list[str] | None,
    typer.Argument(
        help="Ids of the catalogue, ia:<identifier>, addresses, or files.", metavar="FILM"
    ),
]


def add_commands(app: typer.Typer) -> None:
    """Add the group `films`."""
    films_show.add_commands(group)
    group.command(epilog="Example: ossl -C corpus films add --tier A")(add)
    group.command(epilog="Example: ossl -C corpus films remove dev && ossl -C corpus clean")(remove)
    films_check.add_commands(group)
    app.add_typer(group, name="films")


def add(
    context: typer.Context,
    film: Names = None,
    tier: Annotated[
        str | None, typer.Option("--tier", help="All films of this tier, A or B, as well.")
    ] = None,
    allow_unverified: Annotated[
        bool,
        typer.Option(
            "--allow-unverified", help="Also films not shown to be free: you answer for them."
        ),
    ] = False,
    film_id: Annotated[
        str, typer.Option("--id", help="For a film of your own: letters, digits, hyphens.")
    ] = "",
    title: Annotated[str, typer.Option("--title", help="Its title.")] = "",
    year: Annotated[
        int | None, typer.Option("--year", min=1870, max=2200, help="Year of first publication.")
    ] = None,
    country: Annotated[str, typer.Option("--country", help="Where it was made, e.g. US.")] = "",
    basis: Annotated[
        str, typer.Option("--basis", help="Why it may be used, e.g. licensed, expired_95y.")
    ] = "",
    evidence: Annotated[str, typer.Option("--evidence", help="What shows that.")] = "",
    sha256: Annotated[
        str | None, typer.Option("--sha256", help="The checksum the file must have.")
    ] = None,
) -> None:
    """Record films and why they may be used.

    `ossl build` then fetches them.
    Films of the catalogue need their ids only. Any other film needs --id, --title, --basis and
    --evidence, which are recorded as your claim. If one film is wrong, none is added.
    """
    from ossl_builder.catalogue.add import AddRequest, Claim, chosen_sources
    from ossl_builder.catalogue.film_index import FilmIndex

    corpus = open_corpus(context.obj)
    corpus.check_has_films()
    claim = Claim(film_id, title, year, country, basis, evidence)
    asked = AddRequest(tuple(film or ()), tier, claim, sha256, allow_unverified)
    with corpus.locked():
        try:
            sources = chosen_sources(FilmIndex(corpus), asked, date.today())
        except OsslError as error:
            if error.code == "usage":
                raise typer.BadParameter(error.message) from None
            raise
        corpus.record_source(*sources)
    _say_added(context.obj, corpus, [source.film_id for source in sources])


def _say_added(folder: Path, corpus: Corpus, film_ids: list[str]) -> None:
    from ossl_builder.rights.verdict import build_refusal
    from ossl_builder.stages.fetch.download_source import local_path

    refused = False
    for film_id in film_ids:
        source = corpus.source(film_id)
        local = local_path(source.source)
        if local is not None and not local.exists():
            output.say(
                f"Note: there is no file {local} now; it must be there when the film is fetched."
            )
        why = build_refusal(source, date.today())
        if why is not None:
            refused = True
            output.say(f"Note: {film_id} will not be built as things stand. {why}")
    if not film_ids:
        output.say("The corpus has all of them already.")
        return
    what = film_ids[0] if len(film_ids) == 1 else f"{len(film_ids)} films"
    hint = "" if refused else f" Next: ossl -C {folder} build"
    if hint and len(film_ids) == 1:
        hint += f" {film_ids[0]}"
    output.say(f"Recorded {what}.{hint}")


def remove(
    context: typer.Context,
    film_id: Annotated[list[str], typer.Argument(help="Film ids.", metavar="FILM")],
    drop_labelled: Annotated[
        bool,
        typer.Option("--drop-labelled", help="Also films with clips that people annotated."),
    ] = False,
) -> None:
    """Take films out of the corpus; their files go with the next `ossl clean`."""
    from ossl_builder.annotations import orphans
    from ossl_builder.pipeline.derived_tables import refresh_tables
    from ossl_builder.pipeline.staging import labelled

    corpus = open_corpus(context.obj)
    corpus.check_has_films()
    with corpus.locked():
        chosen = corpus.chosen(film_id)
        for one in () if drop_labelled else chosen:
            lost = labelled(corpus, one)
            if lost:
                raise orphans.film_removed_error(one, lost)
        for one in chosen:
            corpus.source_path(one).unlink()
        refresh_tables(corpus)
    output.say(
        f"Removed {', '.join(film_id)}. Its files are still here; `ossl clean` deletes them."
    )
