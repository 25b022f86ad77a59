"""`ossl films`: find, add, explain and remove films."""

from __future__ import annotations

from dataclasses import asdict
from datetime import date, datetime
from pathlib import Path
from typing import Annotated, Any

import typer

from ossl_builder.cli import films_check, options, output
from ossl_builder.corpus import RECIPE, Corpus, open_corpus
from ossl_builder.errors import OsslError

LIST_COLUMNS = ("film_id", "tier", "in_corpus", "year", "verdict", "title", "source")


def add_commands(app: typer.Typer) -> None:
    """Add the group `films`."""
    group = typer.Typer(
        help="Find, add, check and explain films and their rights.", no_args_is_help=True
    )
    example = "Example: ossl films"
    group.command("list", epilog=f"{example} list --tier A")(list_films)
    group.command("show", epilog=f"{example} show steamboat-willie-1928")(show)
    group.command("explain", epilog=f"{example} explain steamboat-willie-1928")(explain)
    group.command("add", epilog="Example: ossl -C corpus films add --tier A")(add)
    group.command(
        "remove", epilog="Example: ossl -C corpus films remove dev && ossl -C corpus clean"
    )(remove)
    films_check.add_commands(group)
    app.add_typer(group, name="films")


def corpus_if_any(folder: Path) -> Corpus | None:
    """Open the corpus; None if no folder is named and the present one is not a corpus."""
    if folder.parts or (folder / RECIPE).is_file():
        return open_corpus(folder)
    return None


def list_films(
    context: typer.Context,
    tier: Annotated[str | None, typer.Option("--tier", help="Only this tier: A, B or C.")] = None,
    in_corpus: Annotated[
        bool, typer.Option("--in-corpus", help="Only films of this corpus.")
    ] = False,
    json: options.AsJson = False,
) -> None:
    """List the films of the catalogue and of the corpus.

    Films that only the corpus has are listed as `own`. Tier A: the reason why a film is free is
    known, with evidence. B: no reason is known, or it is doubtful. C: the film was not produced in
    the United States, or the copy is doubtful.
    """
    from ossl_builder.catalogue.film_index import FilmIndex
    from ossl_builder.rights.explain import NO_ADVICE
    from ossl_builder.tables.catalogue import TIERS

    if tier is not None and tier not in TIERS:
        raise typer.BadParameter(f"{tier!r} is none of {', '.join(TIERS)}", param_hint="--tier")
    corpus = open_corpus(context.obj) if in_corpus else corpus_if_any(context.obj)
    entries = [
        entry
        for entry in FilmIndex(corpus).entries(date.today())
        if tier in (None, entry.tier) and (entry.in_corpus or not in_corpus)
    ]
    if json:
        output.as_json([asdict(entry) for entry in entries])
        return
    displayed = [
        asdict(entry) | {"tier": entry.tier or "own", "in_corpus": "yes" if entry.in_corpus else ""}
        for entry in entries
    ]
    output.rows(displayed, LIST_COLUMNS)
    n_recorded = sum(entry.in_corpus for entry in entries)
    where = "no corpus here" if corpus is None else f"{n_recorded} of them in {corpus.root}"
    output.say(f"\n{len(entries)} films; {where}. Why a film is free: ossl films explain FILM")
    output.say(NO_ADVICE)


def show(context: typer.Context, film: options.OneFilm, json: options.AsJson = False) -> None:
    """Show all facts about a film: catalogue, corpus, file, and the result of each stage."""
    from ossl_builder.catalogue.film_index import film_details

    details = film_details(corpus_if_any(context.obj), film, date.today())
    output.emit(details, json, _show_details)


def _show_details(details: dict[str, Any]) -> None:
    for heading, values in details.items():
        if isinstance(values, dict) and values:
            output.line(f"{heading}:")
            width = max(map(len, values))
            for name, value in values.items():
                output.line(f"  {name:<{width}}  {_as_text(value)}".rstrip())
        elif not isinstance(values, dict):
            output.line(f"{heading}: {_as_text(values)}")


def _as_text(value: Any) -> str:
    match value:
        case None:
            return ""
        case bool():
            return "yes" if value else "no"
        case list():
            return "; ".join(map(str, value))
        case _:
            return str(value)


def explain(
    context: typer.Context,
    film: options.OneFilm,
    on: Annotated[
        datetime | None,
        typer.Option("--on", formats=["%Y-%m-%d"], help="Day of the verdict; default: today."),
    ] = None,
    json: options.AsJson = False,
) -> None:
    """Explain why a film may be used, or why that is unknown, with the evidence and the risks."""
    from ossl_builder.catalogue.film_index import FilmIndex
    from ossl_builder.rights import explain as explain_verdict

    recorded_film = FilmIndex(corpus_if_any(context.obj)).known(film)
    verdict = recorded_film.verdict(on.date() if on else date.today())
    if json:
        facts = {
            name: value.isoformat() if isinstance(value, date) else value
            for name, value in asdict(verdict).items()
        }
        output.as_json({"film_id": film, "is_free": verdict.is_free, **facts})
        return
    output.line(explain_verdict(recorded_film, verdict))
    source = recorded_film.recorded
    if source is not None and source.allow_unknown and not verdict.is_free:
        output.say("\nThis corpus builds the film because it was added with --allow-unverified.")


def add(
    context: typer.Context,
    film: Annotated[
        list[str] | None,
        typer.Argument(
            help="Ids of the catalogue, ia:<identifier>, URLs, or files.", metavar="FILM"
        ),
    ] = None,
    tier: Annotated[
        str | None, typer.Option("--tier", help="Also add all films of this tier, A or B.")
    ] = None,
    allow_unverified: options.AllowUnverified = False,
    film_id: Annotated[
        str, typer.Option("--id", help="Id of your own film: letters, digits, hyphens.")
    ] = "",
    title: Annotated[str, typer.Option("--title", help="Title of your own film.")] = "",
    year: Annotated[
        int | None, typer.Option("--year", min=1870, max=2200, help="Year of first publication.")
    ] = None,
    country: Annotated[str, typer.Option("--country", help="Country of production, e.g. US.")] = "",
    basis: Annotated[
        str, typer.Option("--basis", help="Why it may be used, e.g. licensed, expired_95y.")
    ] = "",
    evidence: Annotated[str, typer.Option("--evidence", help="What proves the basis.")] = "",
    sha256: Annotated[
        str | None, typer.Option("--sha256", help="SHA-256 that the file must have.")
    ] = None,
) -> None:
    """Record films and why they may be used; `ossl build` then fetches them.

    A film of the catalogue needs only its id. Any other film needs --id, --title, --basis and
    --evidence, which are recorded as your claim. If one film is wrong, none is added.
    """
    from ossl_builder.catalogue.add import AddRequest, Claim, chosen_sources
    from ossl_builder.catalogue.film_index import FilmIndex

    corpus = open_corpus(context.obj)
    corpus.check_has_films()
    claim = Claim(film_id, title, year, country, basis, evidence)
    request = AddRequest(tuple(film or ()), tier, claim, sha256, allow_unverified)
    with corpus.locked():
        try:
            sources = chosen_sources(FilmIndex(corpus), request, date.today())
        except OsslError as error:
            if error.code == "usage":
                raise typer.BadParameter(error.message) from None
            raise
        corpus.record_source(*sources)
    _conclude_add(context.obj, corpus, [source.film_id for source in sources])


def _conclude_add(folder: Path, corpus: Corpus, film_ids: list[str]) -> None:
    """Print notes on files that are missing and films that may not be built, and the next step."""
    from ossl_builder.rights.verdict import build_refusal
    from ossl_builder.stages.fetch.download_source import local_path

    is_refused = False
    for film_id in film_ids:
        source = corpus.source(film_id)
        local = local_path(source.source)
        if local is not None and not local.exists():
            output.say(f"Note: the file {local} does not exist yet. The build needs it.")
        why = build_refusal(source, date.today())
        if why is not None:
            is_refused = True
            output.say(f"Note: {film_id} will not be built. {why}")
    if not film_ids:
        output.say("The corpus already has all of these films.")
        return
    names = film_ids[0] if len(film_ids) == 1 else f"{len(film_ids)} films"
    hint = "" if is_refused else f" Next: ossl -C {folder} build"
    if hint and len(film_ids) == 1:
        hint += f" {film_ids[0]}"
    output.say(f"Recorded {names}.{hint}")


def remove(
    context: typer.Context,
    film_id: Annotated[list[str], typer.Argument(help="Film ids.", metavar="FILM")],
    drop_labelled: options.DropLabelled = False,
) -> None:
    """Remove films from the corpus; the next `ossl clean` deletes their files."""
    from ossl_builder.annotations import orphans
    from ossl_builder.pipeline.derived_tables import refresh_tables
    from ossl_builder.pipeline.staging import labelled

    corpus = open_corpus(context.obj)
    corpus.check_has_films()
    with corpus.locked():
        chosen = corpus.chosen(film_id)
        for name in () if drop_labelled else chosen:
            lost = labelled(corpus, name)
            if lost:
                raise orphans.film_removed_error(name, lost)
        for name in chosen:
            corpus.source_path(name).unlink()
        refresh_tables(corpus)
    output.say(f"Removed {', '.join(film_id)}. `ossl clean` deletes their files.")
