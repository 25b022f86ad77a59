"""`ossl films check` and `search`: the film commands that use the network."""

from __future__ import annotations

from typing import Annotated

import typer

from ossl_builder.cli import options, output
from ossl_builder.config import load_recipe
from ossl_builder.corpus import Corpus
from ossl_builder.stages.fetch.stage import FetchSettings


def add_commands(group: typer.Typer) -> None:
    """Add the commands that use the network."""
    group.command(epilog="Example: ossl -C corpus films check")(check)
    group.command(epilog='Example: ossl films search "buster keaton" --rows 10')(search)


def check(
    context: typer.Context, film: options.FilmIds = None, json: options.AsJson = False
) -> None:
    """Ask the sources whether films are still there; nothing is downloaded.

    The item, the file and its checksum are compared with what was recorded. States: ok; changed:
    the file differs; alternate: gone, but another source has it; gone; unreachable. Exit code 0:
    all are ok or have an alternate; 1: none is; 3: some are not.
    """
    from ossl_builder.catalogue.availability import check_sources, exit_code
    from ossl_builder.catalogue.film_index import FilmIndex
    from ossl_builder.cli.films import corpus_if_any

    corpus = corpus_if_any(context.obj)
    index = FilmIndex(corpus)
    films = [index.known(name) for name in dict.fromkeys(film or sorted(index.held))]
    if not films:
        output.say("The corpus has no films yet. Name films of the catalogue.")
    findings = list(check_sources(output.counted(films, "Asking"), corpus, _settings(corpus)))
    output.emit(
        [vars(finding) for finding in findings],
        json,
        lambda entries: output.rows(entries, ("film_id", "state", "detail")),
    )
    states = sorted(finding.state for finding in findings)
    parts = [f"{states.count(state)} {state}" for state in dict.fromkeys(states)]
    output.say(f"{len(findings)} films: {', '.join(parts) or 'none'}.")
    if code := exit_code(findings):
        raise typer.Exit(code)


def search(
    context: typer.Context,
    text: Annotated[str, typer.Argument(help="Words, as in the Internet Archive's own search.")],
    rows: Annotated[int, typer.Option("--rows", min=1, max=500, help="Most results.")] = 20,
    json: options.AsJson = False,
) -> None:
    """Search the Internet Archive for films; nothing is added.

    A licence that an uploader chose proves nothing: to add a film, state the reason why it may be
    used, with evidence.
    """
    from ossl_builder.catalogue.search import search as search_archive
    from ossl_builder.cli.films import corpus_if_any

    candidates = search_archive(text, _settings(corpus_if_any(context.obj)).site(), rows)
    if json:
        output.as_json([vars(candidate) for candidate in candidates])
        return
    output.table(
        ("identifier", "year", "title", "licence", "GB", "in catalogue"),
        [
            (
                candidate.identifier,
                candidate.year,
                candidate.title,
                candidate.licence_url,
                None if candidate.size_bytes is None else f"{candidate.size_bytes / 1e9:.2f}",
                candidate.film_id,
            )
            for candidate in candidates
        ],
    )
    output.say(
        f"\n{len(candidates)} items; nothing was added. A licence that an uploader chose proves "
        "nothing.\nNext: ossl films add FILM for a film of the catalogue, else ossl films add "
        "ia:IDENTIFIER --id … --title … --basis … --evidence …"
    )


def _settings(corpus: Corpus | None) -> FetchSettings:
    return FetchSettings() if corpus is None else load_recipe(corpus.recipe_path).fetch
