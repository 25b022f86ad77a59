"""`ossl films list`, `show`, `explain`: what is known of films."""

from __future__ import annotations

from dataclasses import asdict
from datetime import date, datetime
from typing import Annotated, Any

import typer

from ossl_builder.cli import output
from ossl_builder.corpus import RECIPE, Corpus, open_corpus

AsJson = Annotated[bool, typer.Option("--json", help="Print for scripts.")]
OneFilm = Annotated[str, typer.Argument(help="A film's id.", metavar="FILM")]


def add_commands(group: typer.Typer) -> None:
    """Add the commands that only look."""
    group.command("list", epilog="Example: ossl films list --tier A")(list_films)
    group.command("show", epilog="Example: ossl films show steamboat-willie-1928")(show_film)
    group.command("explain", epilog="Example: ossl films explain steamboat-willie-1928")(
        explain_film
    )


def corpus_if_any(context: typer.Context) -> Corpus | None:
    """The corpus; None if none is named and the folder we are in is none."""
    if context.obj.parts or (context.obj / RECIPE).is_file():
        return open_corpus(context.obj)
    return None


def list_films(
    context: typer.Context,
    tier: Annotated[str | None, typer.Option("--tier", help="Only this tier: A, B or C.")] = None,
    in_corpus: Annotated[
        bool, typer.Option("--in-corpus", help="Only films that the corpus has.")
    ] = False,
    json: AsJson = False,
) -> None:
    """List the catalogue and what the corpus has.

    Films that only the corpus has stand between them, as `own`.

    Tier A: the reason why a film is free is stated, with evidence. B: no reason is stated, or it
    is doubtful. C: not a production of the United States, or a doubtful copy.
    """
    from ossl_builder.catalogue.film_index import FilmIndex
    from ossl_builder.rights.explain import NO_ADVICE
    from ossl_builder.tables.catalogue import TIERS

    if tier is not None and tier not in TIERS:
        raise typer.BadParameter(f"{tier!r} is none of {', '.join(TIERS)}", param_hint="--tier")
    corpus = open_corpus(context.obj) if in_corpus else corpus_if_any(context)
    entries = [
        entry
        for entry in FilmIndex(corpus).entries(date.today())
        if tier in (None, entry.tier) and (entry.in_corpus or not in_corpus)
    ]
    if json:
        output.as_json([asdict(entry) for entry in entries])
        return
    output.table(
        ("film_id", "tier", "in_corpus", "year", "verdict", "title", "source"),
        [
            (
                entry.film_id,
                entry.tier or "own",
                "yes" if entry.in_corpus else "",
                entry.year,
                entry.verdict,
                entry.title,
                entry.source,
            )
            for entry in entries
        ],
    )
    here = sum(entry.in_corpus for entry in entries)
    where = "there is no corpus here" if corpus is None else f"{here} of them in {corpus.root}"
    output.say(f"\n{len(entries)} films; {where}. Why one is free: ossl films explain FILM")
    output.say(NO_ADVICE)


def show_film(context: typer.Context, film: OneFilm, json: AsJson = False) -> None:
    """Show everything known of a film.

    What catalogue and corpus say, the file, and how its stages ended.
    """
    from ossl_builder.catalogue.film_index import film_details

    found = film_details(corpus_if_any(context), film, date.today())
    if json:
        output.as_json(found)
        return
    for heading, values in found.items():
        if isinstance(values, dict) and values:
            output.line(f"{heading}:")
            width = max(map(len, values))
            for name, value in values.items():
                output.line(f"  {name:<{width}}  {_shown(value)}".rstrip())
        elif not isinstance(values, dict):
            output.line(f"{heading}: {_shown(values)}")


def _shown(value: Any) -> str:
    match value:
        case None:
            return ""
        case bool():
            return "yes" if value else "no"
        case list():
            return "; ".join(map(str, value))
        case _:
            return str(value)


def explain_film(
    context: typer.Context,
    film: OneFilm,
    on: Annotated[
        datetime | None,
        typer.Option("--on", formats=["%Y-%m-%d"], help="Judge as of another day; default: today."),
    ] = None,
    json: AsJson = False,
) -> None:
    """Explain why a film may be used.

    Or why that is not known; on what evidence, and what remains to be watched.
    """
    from ossl_builder.catalogue.film_index import FilmIndex
    from ossl_builder.rights import explain

    known = FilmIndex(corpus_if_any(context)).known(film)
    verdict = known.verdict(on.date() if on else date.today())
    if json:
        said = {
            name: value.isoformat() if isinstance(value, date) else value
            for name, value in asdict(verdict).items()
        }
        output.as_json({"film_id": film, "is_free": verdict.is_free, **said})
        return
    output.line(explain(known, verdict))
    if known.recorded is not None and known.recorded.allow_unknown and not verdict.is_free:
        output.say(
            "\nThis corpus builds it nevertheless, because its user said --allow-unverified."
        )
