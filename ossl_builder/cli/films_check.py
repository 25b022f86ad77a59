"""`ossl films check`, `search`: what sources say."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from ossl_builder.cli import output
from ossl_builder.cli.films_show import corpus_if_any
from ossl_builder.config import load_recipe
from ossl_builder.corpus import Corpus
from ossl_builder.stages.fetch.stage import FetchSettings

if TYPE_CHECKING:
    from ossl_builder.catalogue.availability import Finding

AsJson = Annotated[bool, typer.Option("--json", help="Print for scripts.")]


def add_commands(group: typer.Typer) -> None:
    """Add the commands that ask the network."""
    group.command(epilog="Example: ossl -C corpus films check")(check)
    group.command(epilog='Example: ossl films search "buster keaton" --rows 10')(search)


def check(
    context: typer.Context,
    film: Annotated[
        list[str] | None,
        typer.Argument(help="Film ids; none: all of the corpus.", metavar="FILM"),
    ] = None,
    json: AsJson = False,
) -> None:
    """Ask the sources whether films are still there.

    Item, file and checksum are asked for; nothing is downloaded. ok; changed: it is there, but
    not what was recorded; alternate: gone, but another source has it; gone; unreachable. Ends
    with 0 if all are ok or have an alternate, 1 if none is, 3 if some are not.
    """
    from ossl_builder.catalogue.availability import exit_code, look_at_each
    from ossl_builder.catalogue.film_index import FilmIndex

    corpus = corpus_if_any(context)
    settings = _settings(corpus)
    shelf = FilmIndex(corpus)
    films = [shelf.known(one) for one in dict.fromkeys(film or sorted(shelf.held))]
    if not films:
        output.say("The corpus has no films yet: name some of the catalogue.")
    findings = list(look_at_each(output.counted(films, "Asking"), corpus, settings))
    if json:
        output.as_json([vars(finding) for finding in findings])
    else:
        output.table(
            ("film_id", "state", "found"), [(f.film_id, f.state, f.found) for f in findings]
        )
    _conclude(findings)
    if code := exit_code(findings):
        raise typer.Exit(code)


def _conclude(findings: list[Finding]) -> None:
    states = [finding.state for finding in findings]
    parts = [f"{states.count(state)} {state}" for state in dict.fromkeys(sorted(states))]
    output.say(f"{len(findings)} films: {', '.join(parts) or 'none'}.")


def search(
    context: typer.Context,
    text: Annotated[str, typer.Argument(help="Words, as in the Internet Archive's own search.")],
    rows: Annotated[int, typer.Option("--rows", min=1, max=500, help="Answers at most.")] = 20,
    json: AsJson = False,
) -> None:
    """Ask the Internet Archive for films; adds none of them.

    What an uploader says of a licence proves nothing: whoever adds a film gives the reason why it
    may be used, with evidence.
    """
    from ossl_builder.catalogue.search import search as search_archive

    corpus = corpus_if_any(context)
    found = search_archive(text, _settings(corpus).site(), rows)
    if json:
        output.as_json([vars(one) for one in found])
        return
    output.table(
        ("identifier", "year", "title", "licence", "GB", "in catalogue"),
        [
            (
                one.identifier,
                one.year,
                one.title,
                one.licence_url,
                None if one.size_bytes is None else f"{one.size_bytes / 1e9:.2f}",
                one.film_id,
            )
            for one in found
        ],
    )
    output.say(
        f"\n{len(found)} items; nothing was added. A licence field holds what an uploader chose, "
        "and proves nothing.\nNext: ossl films add FILM for one of the catalogue, else ossl films "
        "add ia:IDENTIFIER --id … --title … --basis … --evidence …"
    )


def _settings(corpus: Corpus | None) -> FetchSettings:
    return FetchSettings() if corpus is None else load_recipe(corpus.recipe_path).fetch
