"""`ossl build`, and one command per stage."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import date
from json import dumps
from pathlib import Path
from typing import Annotated

import typer

from ossl_builder.cli import options, output
from ossl_builder.cli.run_output import Watcher, show_plan
from ossl_builder.config import Recipe, load_recipe
from ossl_builder.corpus import Corpus, open_corpus
from ossl_builder.engine.schedule import Event, Finished
from ossl_builder.engine.stage import Stage
from ossl_builder.pipeline.build import build as build_films
from ossl_builder.pipeline.derived_tables import End, end_by, end_of
from ossl_builder.pipeline.plan import plan
from ossl_builder.stages.fetch.stage import FETCH_STAGE
from ossl_builder.stages.fingerprints.stage import FINGERPRINTS_STAGE
from ossl_builder.stages.registry import ENTRIES, STAGES, stage_named, stages_until
from ossl_builder.stages.stems import STEMS_STAGE

From = Annotated[
    Path | None,
    typer.Option(
        "--from",
        exists=True,
        file_okay=False,
        help="Take films from this folder, by checksum or name, and none from the network.",
        metavar="DIR",
    ),
]
Until = Annotated[str | None, typer.Option("--until", help="Last stage to run.", metavar="STAGE")]


@dataclass(frozen=True)
class Request:
    """The arguments of a build command."""

    film_ids: Sequence[str]
    stages: Sequence[Stage]
    workers: int
    dry_run: bool
    overrides: Sequence[str]
    json: bool
    drop_labelled: bool = False
    trust_model: bool = False


def add_commands(app: typer.Typer) -> None:
    """Add `build` and a command for each stage."""
    app.command("build", epilog="Example: ossl -C corpus build --until scenes --workers 2")(build)
    with_own_options: dict[str, Callable[..., None]] = {"fetch": fetch, "stems": stems}
    for stage in ENTRIES:
        app.command(
            stage.name,
            help=f"{stage.summary}\n\nThis runs one stage; `ossl build` runs all.",
            epilog=f"Example: ossl -C corpus {stage.name} --dry-run",
        )(with_own_options.get(stage.name) or _command_of(stage.name))


def build(
    context: typer.Context,
    film: options.FilmIds = None,
    until: Until = None,
    from_dir: From = None,
    workers: options.Workers = 1,
    dry_run: options.DryRun = False,
    overrides: options.Set = None,
    drop_labelled: options.DropLabelled = False,
    trust_model: options.TrustModel = False,
    json: options.AsJson = False,
) -> None:
    """Run all stages, from fetch to fingerprints, for films that are not up to date.

    The command can be interrupted at any time; run it again to resume. Exit code 0: no film
    failed (a rejected film is not a failure); 1: all films failed; 3: some films failed.
    """
    names = [stage.name for stage in STAGES]
    if until is not None and until not in names:
        raise typer.BadParameter(f"{until!r} is none of {', '.join(names)}", param_hint="--until")
    settings = _with_folder(overrides, from_dir)
    stages = stages_until(until)
    _run(
        context.obj,
        Request(film or (), stages, workers, dry_run, settings, json, drop_labelled, trust_model),
    )


def fetch(
    context: typer.Context,
    film: options.FilmIds = None,
    from_dir: From = None,
    workers: options.Workers = 1,
    dry_run: options.DryRun = False,
    overrides: options.Set = None,
    drop_labelled: options.DropLabelled = False,
    json: options.AsJson = False,
) -> None:
    """Run the fetch stage, which can take films from a folder."""
    settings = _with_folder(overrides, from_dir)
    _run(
        context.obj,
        Request(film or (), (FETCH_STAGE,), workers, dry_run, settings, json, drop_labelled),
    )


def stems(
    context: typer.Context,
    film: options.FilmIds = None,
    workers: options.Workers = 1,
    dry_run: options.DryRun = False,
    overrides: options.Set = None,
    drop_labelled: options.DropLabelled = False,
    trust_model: options.TrustModel = False,
    json: options.AsJson = False,
) -> None:
    """Run the stems stage, which can load a model that the user names."""
    settings = overrides or ()
    _run(
        context.obj,
        Request(
            film or (), (STEMS_STAGE,), workers, dry_run, settings, json, drop_labelled, trust_model
        ),
    )


def _command_of(name: str):  # type: ignore[no-untyped-def]  # noqa: ANN202 - typer reads it
    def command(
        context: typer.Context,
        film: options.FilmIds = None,
        workers: options.Workers = 1,
        dry_run: options.DryRun = False,
        overrides: options.Set = None,
        drop_labelled: options.DropLabelled = False,
        json: options.AsJson = False,
    ) -> None:
        settings = overrides or ()
        _run(
            context.obj,
            Request(
                film or (), (stage_named(name),), workers, dry_run, settings, json, drop_labelled
            ),
        )

    return command


def _with_folder(overrides: Sequence[str] | None, from_dir: Path | None) -> list[str]:
    # A JSON string is a valid YAML string with any characters in the path.
    added = [] if from_dir is None else [f"fetch.from_dir={dumps(str(from_dir.absolute()))}"]
    return [*(overrides or ()), *added]


def _run(folder: Path, request: Request) -> None:
    corpus = open_corpus(folder)
    recipe = load_recipe(corpus.recipe_path, request.overrides, request.trust_model)
    if corpus.is_imported and request.stages == (FINGERPRINTS_STAGE,):
        _fingerprint_imported(corpus, recipe, request)
        return
    corpus.check_has_films()
    film_ids = corpus.chosen(request.film_ids)
    if not film_ids:
        output.say("The corpus has no films yet. Add one with `ossl films add`.")
    if FETCH_STAGE in request.stages:
        _show_estimate(corpus, recipe, film_ids)
    if request.dry_run:
        show_plan(plan(corpus, recipe, film_ids, request.stages), request.json)
        return
    unrecorded: dict[str, End] = {}

    def note(film_id: str, event: Finished) -> None:
        if not event.is_recorded:
            unrecorded[film_id] = end_by(event.record)

    watcher = Watcher(film_ids)
    with corpus.locked(), watcher.watching():
        build_films(
            corpus, recipe, film_ids, request.stages, request.workers,
            _tell(watcher, note), request.drop_labelled,
        )  # fmt: skip
    ends = [
        unrecorded.get(film_id) or end_of(corpus, film_id, request.stages) for film_id in film_ids
    ]
    _conclude(corpus, ends, request.stages, request.json)


def _fingerprint_imported(corpus: Corpus, recipe: Recipe, request: Request) -> None:
    """Run the only stage that works on imported clips."""
    from ossl_builder.imports import fingerprints

    film_ids = corpus.chosen(request.film_ids)
    decisions = fingerprints.plan(corpus, recipe, film_ids)
    if request.dry_run:
        show_plan(decisions, request.json)
        return
    ends = {
        decision.item_id: End(decision.item_id, "done", FINGERPRINTS_STAGE.name)
        for decision in decisions
    }

    def note(film_id: str, event: Finished) -> None:
        ends[film_id] = end_by(event.record)

    watcher = Watcher(film_ids)
    with corpus.locked(), watcher.watching():
        fingerprints.build(corpus, recipe, film_ids, request.workers, _tell(watcher, note))
    _conclude(corpus, list(ends.values()), (FINGERPRINTS_STAGE,), request.json)


def _tell(watcher: Watcher, note: Callable[[str, Finished], None]) -> Callable[[str, Event], None]:
    def tell(film_id: str, event: Event) -> None:
        watcher.show(film_id, event)
        if isinstance(event, Finished):
            note(film_id, event)

    return tell


def _show_estimate(corpus: Corpus, recipe: Recipe, film_ids: Sequence[str]) -> None:
    """Print download size, hours and free disk space before a large build."""
    from ossl_builder.catalogue.estimate import estimate

    expected = estimate(corpus, recipe.fetch, film_ids, date.today())
    for sentence in expected.sentences() if expected else ():
        output.say(sentence)


def _conclude(corpus: Corpus, ends: list[End], stages: Sequence[Stage], json: bool) -> None:
    """Print the number of films in each state; exit with 1 or 3 if films failed."""
    if json:
        output.as_json([vars(end) for end in ends])
    else:
        states = [end.state for end in ends]
        parts = [
            f"{states.count(state)} {state}"
            for state in ("done", "rejected", "failed", "waiting")
            if state in states
        ]
        rows = sum(end.n_rows for end in ends)
        films = "1 film" if len(ends) == 1 else f"{len(ends)} films"
        output.say(f"{films}: {', '.join(parts) or 'none'}. {rows} {stages[-1].writes.name}.")
        output.say(f"Tables: {corpus.root / 'manifests'}. More: ossl -C {corpus.root} status")
    failed = sum(end.state == "failed" for end in ends)
    if failed:
        raise typer.Exit(1 if failed == len(ends) else 3)
