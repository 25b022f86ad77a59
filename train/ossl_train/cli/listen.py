"""`ossl train listen push`, `pull`: the listening test."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ossl_builder.cli import output
from ossl_builder.cli.label_push import TIMEOUT_S, Address, ClipsUrl, Timeout, Url
from ossl_train.cli import options

if TYPE_CHECKING:
    from ossl_builder.corpus import Corpus
    from ossl_train.listening_test.assemble import Plan
    from ossl_train.listening_test.push import Sent
    from ossl_train.listening_test.results import Results

Out = Annotated[
    Path | None,
    typer.Option("--out", help="The test's folder.", show_default="train/listening"),
]

app = typer.Typer(
    name="listen",
    help="Have people compare the film's own music, the base model, the adapter and a control.",
    no_args_is_help=True,
    rich_markup_mode=None,
)


@app.command(epilog="Example: ossl -C corpus train listen push --clips 20 --url http://…:8080")
def push(
    context: typer.Context,
    clips: Annotated[int, typer.Option(min=1, help="How many clips are drawn.")] = 20,
    split: Annotated[str, typer.Option(help="Whose: train, validation or test.")] = "test",
    longest: Annotated[float, typer.Option(min=1, help="None is longer than this, s.")] = 60.0,
    seed: Annotated[int, typer.Option(min=0, help="Of clips, order and music.")] = 0,
    sounds: Annotated[
        Path | None,
        typer.Option(
            exists=True,
            file_okay=False,
            help="Finished music, SYSTEM/CLIP.wav, instead of generating it.",
            metavar="DIR",
        ),
    ] = None,
    recipe: options.RecipeName = "small",
    checkpoint: Annotated[
        Path | None,
        typer.Option(exists=True, help="As for generate.", metavar="DIR|FILE"),
    ] = None,
    text_guidance: Annotated[float, typer.Option(min=0, help="Weight of the text.")] = 3.0,
    video_guidance: Annotated[float, typer.Option(min=0, help="Weight of the video.")] = 1.0,
    overrides: options.Set = None,
    device: options.On = None,
    data: options.Data = None,
    out: Out = None,
    url: Url = "",
    address: Address = "",
    clips_url: ClipsUrl = "",
    title: Annotated[str, typer.Option(help="The project's title, if it must be made.")] = "",
    raters: Annotated[int, typer.Option(min=1, help="People asked for each stimulus.")] = 3,
    timeout: Timeout = TIMEOUT_S,
    dry_run: options.DryRun = False,
    json: options.AsJson = False,
) -> None:
    """Make a listening test and send it to Label Studio; the token is LABEL_STUDIO_API_KEY.

    However often it is run, and whatever fails on the way, each stimulus has one task. The test's
    folder is a corpus of its own: `ossl -C FOLDER label serve` serves it. Its key.json says which
    is which.
    """
    from ossl_builder.corpus import Corpus
    from ossl_builder.label_studio import clip_urls, url_key
    from ossl_builder.label_studio import state as states
    from ossl_builder.label_studio.project import ProjectOptions, connected
    from ossl_train.listening_test import push as sending
    from ossl_train.listening_test.assemble import Chosen, assemble, plan
    from ossl_train.listening_test.music import Wanted

    root = data or context.obj
    folder = _folder(root, out)
    wanted = Wanted(
        root, recipe, overrides or (), checkpoint, device, text_guidance, video_guidance, seed
    )
    chosen = Chosen(split, clips, longest, seed, sounds)
    planned = plan(context.obj, data, chosen, wanted, folder, dry_run)
    if dry_run:
        _show_plan(planned, folder, json)
        return
    wish = ProjectOptions(title or f"OSSL listening {root.resolve().name}"[:50], None, raters)
    with connected(Corpus(folder.resolve()), url, timeout) as server:
        sending.look(server, Corpus(folder.resolve()), wish)
        folder.mkdir(parents=True, exist_ok=True)
        with Corpus(folder.resolve()).locked():
            test = assemble(planned, folder, output.bar, output.say)
            choice = clip_urls.with_url_options(states.load(test.root), address, clips_url, "")
            word = url_key.renew_key(test.root)
            if word and choice.address in ("", clip_urls.SERVE):
                output.say(word)
            addresses = clip_urls.urls_of_state(test, choice)
            states.save(test.root, choice)
            sent = sending.send(server, test, addresses, wish, output.counted)
    _conclude(sent, server.url, folder, json)


@app.command(epilog="Example: ossl -C corpus train listen pull")
def pull(
    context: typer.Context,
    data: options.Data = None,
    out: Out = None,
    url: Url = "",
    offline: Annotated[
        bool, typer.Option("--offline", help="Ask no server: results of what was pulled.")
    ] = False,
    resamples: Annotated[int, typer.Option(min=0, help="Of the intervals.")] = 10_000,
    seed: Annotated[int, typer.Option(min=0, help="Of the resamples.")] = 0,
    timeout: Timeout = TIMEOUT_S,
    json: options.AsJson = False,
) -> None:
    """Take the raters' answers, and say what they mean: results.json and results.md.

    Means and differences have 95 % intervals over clips and raters; raters who have not finished
    are named.
    """
    from ossl_builder.annotations import label_schema as taxonomies
    from ossl_builder.annotations import records
    from ossl_train.listening_test import test_folder
    from ossl_train.listening_test.report import write_report
    from ossl_train.listening_test.results import results

    folder = _folder(data or context.obj, out)
    key = test_folder.read_key(folder)
    test = test_folder.found(folder)
    with test.locked():
        if not offline:
            _take(test, url, timeout)
        given = list(records.read_all(test.root))
        found = results(key, given, taxonomies.load(test.root), resamples, seed)
        written = write_report(folder, found)
    _show(found, json)
    output.say(f"Report: {written[1]}, {written[0]}")


def _folder(root: Path, out: Path | None) -> Path:
    return out or root / "train" / "listening"


def _take(test: Corpus, url: str, timeout: float) -> None:
    """Bring the records of ratings up to date; the server is right, nobody changes them here."""
    from ossl_builder.annotations import label_schema as taxonomies
    from ossl_builder.label_studio import project as connection
    from ossl_builder.label_studio import pull as pulling
    from ossl_builder.label_studio import state as states

    with connection.connected(test, url, timeout) as server:
        project = connection.project_of(server, test)
        report = pulling.pull(
            server, test, states.load(test.root), project, taxonomies.load(test.root), side="server"
        )
    output.say(
        f"{report.n_tasks} tasks looked at: {report.new} new ratings, {report.changed} changed, "
        f"{report.skipped} skips, {report.withdrawn} withdrawn."
    )
    for one in report.invalid:
        output.say(f"Kept out: {one.clip_id} by {one.annotator}: {one.why}.")


def _show_plan(planned: Plan, folder: Path, json: bool) -> None:
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
    length = sum(job.sample.piece.duration_s for job in waiting)
    heard = sum(clip.duration_s for clip in planned.clips.values()) * len(planned.systems)
    output.say(
        f"{len(planned.stimuli)} stimuli: each clip with {', '.join(planned.systems)}. "
        f"{len(waiting)} pieces, {length:.0f} s of music, are to be generated. A rater listens "
        f"for {heard / 60:.0f} minutes."
    )


def _conclude(sent: Sent, url: str, folder: Path, json: bool) -> None:
    if json:
        output.as_json({"url": url, "out": str(folder), **vars(sent)})
        return
    output.say(
        f"{sent.sent} stimuli sent to project {sent.project_id} ({sent.title}) at {url}; "
        f"{sent.present} were there already."
    )
    if sent.copies_removed:
        output.say(f"{sent.copies_removed} copies that nobody had answered removed.")
    output.say(f"Next: ossl -C {folder} label serve, and give raters the project's address.")
    output.say(f"{folder / 'key.json'} says which is which: keep it from them.")


def _show(found: Results, json: bool) -> None:
    from ossl_train.listening_test.report import explained, tables

    if json:
        output.as_json(found.plain())
    else:
        rows: list[tuple[Any, ...]]
        for title, header, rows in tables(found):
            if rows:
                output.line(f"\n{title}")
                output.table(header, rows)
        output.line()
        for sentence in explained(found):
            output.say(sentence)
    for sentence in found.warnings:
        output.say(f"Careful: {sentence}")
