"""`ossl train listen push` and `pull`: the listening test."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ossl_builder.cli import output
from ossl_builder.cli.label_push import TIMEOUT_S, Address, ClipsUrl, Timeout, Url
from ossl_train.cli import options

if TYPE_CHECKING:
    from ossl_builder.corpus import Corpus
    from ossl_train.listening_test.push import PushReport, TestPlan
    from ossl_train.listening_test.results import Results

Out = Annotated[
    Path | None,
    typer.Option("--out", help="The folder of the test.", show_default="train/listening"),
]

app = typer.Typer(
    name="listen",
    help="Let people compare the film's own music, the base model, the adapter and a control.",
    no_args_is_help=True,
    rich_markup_mode=None,
)


@app.command(epilog="Example: ossl -C corpus train listen push --clips 20 --url http://…:8080")
def push(
    context: typer.Context,
    clips: Annotated[int, typer.Option(min=1, help="The number of clips.")] = 20,
    split: options.Split = "test",
    longest: Annotated[float, typer.Option(min=1, help="The longest clip to use, s.")] = 60.0,
    seed: Annotated[int, typer.Option(min=0, help="The seed of clips, order and music.")] = 0,
    sounds: Annotated[
        Path | None,
        typer.Option(
            exists=True,
            file_okay=False,
            help="Use finished music, SYSTEM/CLIP.wav, and generate none.",
            metavar="DIR",
        ),
    ] = None,
    codec: Annotated[
        bool,
        typer.Option(
            "--codec",
            help="Add the film's own music through EnCodec: the best sound that MusicGen can have.",
        ),
    ] = False,
    recipe: options.RecipeName = "small",
    checkpoint: options.Checkpoint = None,
    text_guidance: options.TextGuidance = 3.0,
    video_guidance: options.VideoGuidance = 1.0,
    overrides: options.Set = None,
    device: options.Device = None,
    data: options.Data = None,
    out: Out = None,
    url: Url = "",
    address: Address = "",
    clips_url: ClipsUrl = "",
    title: Annotated[str, typer.Option(help="The title of a new project.")] = "",
    raters: Annotated[
        int, typer.Option(min=1, help="The number of people who rate each stimulus.")
    ] = 3,
    timeout: Timeout = TIMEOUT_S,
    dry_run: options.DryRun = False,
    json: options.AsJson = False,
) -> None:
    """Create a listening test and send it to Label Studio. The token is LABEL_STUDIO_API_KEY.

    Each stimulus gets exactly one task, even if the command fails and is run again. The folder of
    the test is a corpus of its own: `ossl -C FOLDER label serve` serves it. Its key.json maps each
    stimulus to its system.
    """
    from ossl_builder.corpus import Corpus
    from ossl_builder.label_studio import clip_urls, state, url_key
    from ossl_builder.label_studio.project import ProjectOptions, connected
    from ossl_train.listening_test.music import MusicOptions
    from ossl_train.listening_test.push import (
        TestOptions,
        assemble_test,
        check_server,
        plan_test,
        send_stimuli,
    )

    root = data or context.obj
    folder = _folder(root, out)
    music = MusicOptions(
        root, recipe, overrides or (), checkpoint, device, text_guidance, video_guidance, seed
    )
    chosen = TestOptions(split or "test", clips, longest, seed, sounds, codec)
    planned = plan_test(context.obj, data, chosen, music, folder, dry_run)
    if dry_run:
        _show_plan(planned, folder, json)
        return
    project = ProjectOptions(title or f"OSSL listening {root.resolve().name}"[:50], None, raters)
    with connected(Corpus(folder.resolve()), url, timeout) as server:
        check_server(server, Corpus(folder.resolve()), project)
        folder.mkdir(parents=True, exist_ok=True)
        with Corpus(folder.resolve()).locked():
            test = assemble_test(planned, folder, output.bar, output.say)
            choice = clip_urls.with_url_options(state.load(test.root), address, clips_url, "")
            warning = url_key.renew_key(test.root)
            if warning and choice.address in ("", clip_urls.SERVE):
                output.say(warning)
            addresses = clip_urls.urls_of_state(test, choice)
            state.save(test.root, choice)
            sent = send_stimuli(server, test, addresses, project, output.counted)
    _show_push(sent, server.url, folder, json)


@app.command(epilog="Example: ossl -C corpus train listen pull")
def pull(
    context: typer.Context,
    data: options.Data = None,
    out: Out = None,
    url: Url = "",
    offline: Annotated[
        bool,
        typer.Option("--offline", help="Do not contact the server. Use the ratings pulled before."),
    ] = False,
    resamples: Annotated[
        int, typer.Option(min=0, help="The resamples for the intervals.")
    ] = 10_000,
    seed: Annotated[int, typer.Option(min=0, help="The seed of the resamples.")] = 0,
    timeout: Timeout = TIMEOUT_S,
    json: options.AsJson = False,
) -> None:
    """Pull the raters' answers and compute the results: results.json and results.md.

    Means and differences have 95 % intervals over clips and raters. The report names raters who
    have not finished.
    """
    from ossl_builder.annotations import label_schema, records
    from ossl_train.listening_test import design
    from ossl_train.listening_test.report import write_report
    from ossl_train.listening_test.results import compute_results

    folder = _folder(data or context.obj, out)
    key = design.read_key(folder)
    test = design.create_test_corpus(folder)
    with test.locked():
        if not offline:
            _pull_ratings(test, url, timeout)
        ratings = list(records.read_all(test.root))
        results = compute_results(key, ratings, label_schema.load(test.root), resamples, seed)
        written = write_report(folder, results)
    _show(results, json)
    output.say(f"Report: {written[1]}, {written[0]}")


def _folder(root: Path, out: Path | None) -> Path:
    return out or root / "train" / "listening"


def _pull_ratings(test: Corpus, url: str, timeout: float) -> None:
    """Pull the ratings. On a conflict the server's version is used: nobody edits them here."""
    from ossl_builder.annotations import label_schema
    from ossl_builder.label_studio import project, pull, state

    with project.connected(test, url, timeout) as server:
        test_project = project.project_of(server, test)
        report = pull.pull(
            server,
            test,
            state.load(test.root),
            test_project,
            label_schema.load(test.root),
            side="server",
        )
    output.say(
        f"{report.n_tasks} tasks checked: {report.new} new ratings, {report.changed} changed, "
        f"{report.skipped} skips, {report.withdrawn} withdrawn."
    )
    for rating in report.invalid:
        output.say(f"Rejected: {rating.clip_id} by {rating.annotator}: {rating.why}.")


def _show_plan(planned: TestPlan, folder: Path, json: bool) -> None:
    rows = [
        {
            "clip": name,
            "film": clip.film_id,
            "duration_s": round(clip.duration_s, 3),
            "control": planned.partners.get(name, ""),
        }
        for name, clip in planned.clips.items()
    ]
    jobs = [job for part in planned.parts for job in part.jobs]
    waiting = [job for job in jobs if job.why]
    if json:
        output.as_json(
            {
                "out": str(folder),
                "clips": rows,
                "systems": list(planned.systems),
                "stimuli": len(planned.stimuli),
                "to_generate": len(waiting),
            }
        )
        return
    output.table(
        ("clip", "film", "length, s", "control sees"), [tuple(row.values()) for row in rows]
    )
    length = sum(job.sample.request.duration_s for job in waiting)
    seconds = sum(clip.duration_s for clip in planned.clips.values()) * len(planned.systems)
    output.say(
        f"{len(planned.stimuli)} stimuli: each clip with {', '.join(planned.systems)}. "
        f"{len(waiting)} samples, {length:.0f} s of music, would be generated. A rater listens "
        f"for {seconds / 60:.0f} minutes."
    )


def _show_push(report: PushReport, url: str, folder: Path, json: bool) -> None:
    if json:
        output.as_json({"url": url, "out": str(folder), **vars(report)})
        return
    output.say(
        f"{report.sent} stimuli sent to project {report.project_id} ({report.title}) at {url}; "
        f"{report.present} had a task before."
    )
    if report.copies_removed:
        output.say(f"{report.copies_removed} duplicate tasks without an answer removed.")
    output.say(
        f"Next: run `ossl -C {folder} label serve`, and send raters the address of the project."
    )
    output.say(f"{folder / 'key.json'} maps each stimulus to its system: do not show it to raters.")


def _show(results: Results, json: bool) -> None:
    from ossl_train.listening_test.report import explained, tables

    if json:
        output.as_json(results.plain())
    else:
        rows: list[tuple[Any, ...]]
        for title, header, rows in tables(results):
            if rows:
                output.line(f"\n{title}")
                output.table(header, rows)
        output.line()
        for sentence in explained(results):
            output.say(sentence)
    for sentence in results.warnings:
        output.say(f"Warning: {sentence}")
