"""`ossl build`, and one command per stage."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import date
from json import dumps
from pathlib import Path
from typing import Annotated

import typer

from ossl_builder.cli import output
from ossl_builder.config import Recipe, load_recipe
from ossl_builder.corpus import Corpus, open_corpus
from ossl_builder.engine.cache import Decision
from ossl_builder.engine.schedule import Event, Finished
from ossl_builder.engine.stage import Stage
from ossl_builder.pipeline.build import build as build_films
from ossl_builder.pipeline.derived_tables import End, end_by, end_of
from ossl_builder.pipeline.plan import plan
from ossl_builder.pipeline.stages import STAGES, stages_until
from ossl_builder.stages.fetch.stage import FETCH_STAGE
from ossl_builder.stages.fingerprints.stage import FINGERPRINTS_STAGE
from ossl_builder.stages.stems import STEMS_STAGE

Films = Annotated[
    list[str] | None, typer.Argument(help="Film ids; none: all of the corpus.", metavar="FILM")
]
Workers = Annotated[int, typer.Option("--workers", min=1, help="Films worked on at a time.")]
DryRun = Annotated[
    bool, typer.Option("--dry-run", help="Say for each film and stage whether it would run, why.")
]
Set = Annotated[
    list[str] | None,
    typer.Option("--set", help="Another value for this run: section.key=value; repeatable."),
]
AsJson = Annotated[bool, typer.Option("--json", help="Print for scripts.")]
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
DropLabelled = Annotated[
    bool,
    typer.Option("--drop-labelled", help="Go on where clips that people annotated would be lost."),
]
TrustModel = Annotated[
    bool,
    typer.Option(
        "--trust-model",
        help="Load stems.model whatever it is; it can run code on this machine as you.",
    ),
]
Until = Annotated[str | None, typer.Option("--until", help="Last stage to run.", metavar="STAGE")]


def add_commands(app: typer.Typer) -> None:
    """Add `build` and a command for each stage."""
    app.command("build", epilog="Example: ossl -C corpus build --until scenes --workers 2")(build)
    special: dict[str, Callable[..., None]] = {FETCH_STAGE.name: fetch, STEMS_STAGE.name: stems}
    for stage in STAGES:
        app.command(
            stage.name,
            help=f"{stage.doc} One stage only: `ossl build` runs all.",
            epilog=f"Example: ossl -C corpus {stage.name} dev --dry-run",
        )(special.get(stage.name) or _one_stage(stage))


def build(
    context: typer.Context,
    film: Films = None,
    until: Until = None,
    from_dir: From = None,
    workers: Workers = 1,
    dry_run: DryRun = False,
    overrides: Set = None,
    drop_labelled: DropLabelled = False,
    trust_model: TrustModel = False,
    json: AsJson = False,
) -> None:
    """Bring films up to date, from fetch to fingerprints; what is fresh is left alone.

    Ends with 0 if all went well (a rejected film is no fault), 1 if all films failed, 3 if some
    did.
    """
    names = [stage.name for stage in STAGES]
    if until is not None and until not in names:
        raise typer.BadParameter(f"{until!r} is none of {', '.join(names)}", param_hint="--until")
    overrides = _with_folder(overrides, from_dir)
    _run(
        context.obj,
        film,
        stages_until(until),
        workers,
        dry_run,
        overrides,
        drop_labelled,
        json,
        trust_model,
    )


def fetch(
    context: typer.Context,
    film: Films = None,
    from_dir: From = None,
    workers: Workers = 1,
    dry_run: DryRun = False,
    overrides: Set = None,
    drop_labelled: DropLabelled = False,
    json: AsJson = False,
) -> None:
    """The stage that can take films from a folder."""
    overrides = _with_folder(overrides, from_dir)
    _run(context.obj, film, (FETCH_STAGE,), workers, dry_run, overrides, drop_labelled, json)


def stems(
    context: typer.Context,
    film: Films = None,
    workers: Workers = 1,
    dry_run: DryRun = False,
    overrides: Set = None,
    drop_labelled: DropLabelled = False,
    trust_model: TrustModel = False,
    json: AsJson = False,
) -> None:
    """The stage that loads a model which may be anybody's."""
    _run(
        context.obj,
        film,
        (STEMS_STAGE,),
        workers,
        dry_run,
        overrides,
        drop_labelled,
        json,
        trust_model,
    )


def _with_folder(overrides: Sequence[str] | None, from_dir: Path | None) -> list[str]:
    # A text in JSON is one in YAML, whatever stands in it.
    added = [] if from_dir is None else [f"fetch.from_dir={dumps(str(from_dir.absolute()))}"]
    return [*(overrides or ()), *added]


def _one_stage(stage: Stage):  # type: ignore[no-untyped-def]  # noqa: ANN202 - typer reads it
    def command(
        context: typer.Context,
        film: Films = None,
        workers: Workers = 1,
        dry_run: DryRun = False,
        overrides: Set = None,
        drop_labelled: DropLabelled = False,
        json: AsJson = False,
    ) -> None:
        _run(context.obj, film, (stage,), workers, dry_run, overrides, drop_labelled, json)

    return command


def _run(
    folder: Path,
    films: Sequence[str] | None,
    stages: Sequence[Stage],
    workers: int,
    dry_run: bool,
    overrides: Sequence[str] | None,
    drop_labelled: bool,
    json: bool,
    trust_model: bool = False,
) -> None:
    corpus = open_corpus(folder)
    recipe = load_recipe(corpus.recipe_path, overrides or (), trust_model)
    if corpus.is_imported and stages == (FINGERPRINTS_STAGE,):
        _fingerprint_imported(corpus, recipe, films or (), workers, dry_run, json)
        return
    corpus.check_has_films()
    film_ids = corpus.chosen(films or ())
    if not film_ids:
        output.say("The corpus has no films yet: `ossl films add` adds one.")
    if FETCH_STAGE in stages:
        _say_estimate(corpus, recipe, film_ids)
    if dry_run:
        _show_plan(plan(corpus, recipe, film_ids, stages), json)
        return
    watcher = output.Watcher(film_ids)
    unrecorded: dict[str, End] = {}

    def tell(film_id: str, event: Event) -> None:
        watcher.show(film_id, event)
        if isinstance(event, Finished) and not event.is_recorded:
            unrecorded[film_id] = end_by(event.record)

    with corpus.locked(), watcher.watching():
        build_films(corpus, recipe, film_ids, stages, workers, tell, drop_labelled)
    _conclude(corpus, film_ids, stages, unrecorded, json)


def _fingerprint_imported(
    corpus: Corpus,
    recipe: Recipe,
    films: Sequence[str],
    workers: int,
    dry_run: bool,
    json: bool,
) -> None:
    """The one stage that imported clips can be given."""
    from ossl_builder.imports import fingerprints

    film_ids = corpus.chosen(films)
    if dry_run:
        _show_plan(fingerprints.plan(corpus, recipe, film_ids), json)
        return
    watcher = output.Watcher(film_ids)
    ends: dict[str, End] = {}

    def tell(film_id: str, event: Event) -> None:
        watcher.show(film_id, event)
        if isinstance(event, Finished):
            ends[film_id] = end_by(event.record)

    with corpus.locked(), watcher.watching():
        decisions = fingerprints.plan(corpus, recipe, film_ids)
        fingerprints.build(corpus, recipe, film_ids, workers, tell)
    for decision in decisions:
        ends.setdefault(decision.item_id, End(decision.item_id, "done", FINGERPRINTS_STAGE.name))
    _say_ends(corpus, list(ends.values()), (FINGERPRINTS_STAGE,), json)


def _say_estimate(corpus: Corpus, recipe: Recipe, film_ids: Sequence[str]) -> None:
    """Before a large build: gigabytes, hours, room on the disk."""
    from ossl_builder.catalogue.estimate import estimate

    expected = estimate(corpus, recipe.fetch, film_ids, date.today())
    for sentence in expected.sentences() if expected else ():
        output.say(sentence)


def _show_plan(decisions: list[Decision], json: bool) -> None:
    if json:
        output.as_json([vars(decision) for decision in decisions])
        return
    output.table(
        ("film", "stage", "action", "why"),
        [(d.item_id, d.stage, d.action, d.why) for d in decisions],
    )


def _conclude(
    corpus: Corpus,
    film_ids: Sequence[str],
    stages: Sequence[Stage],
    unrecorded: Mapping[str, End],
    json: bool,
) -> None:
    """Print how the films stand now; end with the exit code that says so."""
    ends = [unrecorded.get(one) or end_of(corpus, one, stages) for one in film_ids]
    _say_ends(corpus, ends, stages, json)


def _say_ends(corpus: Corpus, ends: list[End], stages: Sequence[Stage], json: bool) -> None:
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
