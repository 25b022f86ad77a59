"""`ossl train generate`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ossl_builder.cli import output
from ossl_builder.errors import OsslError
from ossl_train.cli import options

if TYPE_CHECKING:
    from ossl_train.generation.generate import Done, Job
    from ossl_train.generation.models import Chosen
    from ossl_train.generation.requests import GenerateSettings, GenerationRequest, Words
    from ossl_train.recipe import TrainRecipe

EPILOG = "Example: ossl -C corpus train generate --split test --recipe small --samples 2"
ON_GPU = 8
"""Samples drawn at a time there, unless --batch says otherwise."""


@dataclass(frozen=True)
class Wish:
    """For what music is wanted; exactly one of the three.

    Attributes:
        clips: ids.
        split: all its clips.
        videos: files.
    """

    clips: Sequence[str]
    split: str | None
    videos: Sequence[Path]


def generate(
    context: typer.Context,
    clip: Annotated[
        list[str] | None, typer.Option("--clip", help="A clip's id; repeatable.", metavar="ID")
    ] = None,
    split: Annotated[
        str | None, typer.Option("--split", help="All clips of a split: train, validation, test.")
    ] = None,
    video: Annotated[
        list[Path] | None,
        typer.Option("--video", help="Any video file; repeatable.", metavar="FILE"),
    ] = None,
    prompt: Annotated[
        str | None,
        typer.Option(help='The whole prompt; "": no text.', show_default="from the label"),
    ] = None,
    mood: Annotated[
        str | None, typer.Option(help="A mood, put into the prompt that adapters are fitted with.")
    ] = None,
    recipe: options.RecipeName = "small",
    checkpoint: Annotated[
        Path | None,
        typer.Option(
            exists=True,
            help="Adapter file, checkpoint or run.",
            show_default="best of train/RECIPE",
            metavar="DIR|FILE",
        ),
    ] = None,
    alpha: Annotated[
        float, typer.Option(min=0, help="Multiplies the adapter's gates; 0: the base model.")
    ] = 1.0,
    samples: Annotated[int, typer.Option(min=1, help="Pieces of music for each video.")] = 1,
    seed: Annotated[int, typer.Option(min=0, help="Of the first sample; the next count on.")] = 0,
    text_guidance: Annotated[float, typer.Option(min=0, help="Weight of the text.")] = 3.0,
    video_guidance: Annotated[
        float, typer.Option(min=0, help="Weight of the video; over 1: stronger.")
    ] = 1.0,
    temperature: Annotated[float, typer.Option(min=0, help="0: the most probable token.")] = 1.0,
    top_k: Annotated[int, typer.Option(min=0, help="Draw among so many tokens; 0: all.")] = 250,
    window: Annotated[
        float | None,
        typer.Option(min=0.1, max=30, help="Window, s.", show_default="the recipe's"),
    ] = None,
    overlap: Annotated[
        float | None,
        typer.Option(min=0, max=30, help="Of windows, s.", show_default="a third of it"),
    ] = None,
    batch: Annotated[
        int | None,
        typer.Option(min=1, help="Samples drawn at a time.", show_default="1; on a GPU 8"),
    ] = None,
    precision: Annotated[
        str | None,
        typer.Option(help="fp32 or bf16.", show_default="fp32; on a GPU the recipe's"),
    ] = None,
    data: options.Data = None,
    out: Annotated[
        Path | None,
        typer.Option("--out", help="Folder.", show_default="train/RECIPE/generated/…"),
    ] = None,
    mux: Annotated[bool, typer.Option(help="Write the video with the music, too.")] = True,
    overrides: options.Set = None,
    device: options.On = None,
    dry_run: options.DryRun = False,
    json: options.AsJson = False,
) -> None:
    """Write music for clips or for any video file: WAV, and the video with it.

    Beside each stands a JSON that says what it was made from; what was made from the same is left
    alone. Ends with 0 if all went well, 1 if everything failed, 3 if something did.
    """
    from ossl_train.generation.generate import plan
    from ossl_train.generation.models import choose
    from ossl_train.generation.provenance import shared_facts
    from ossl_train.model_paths import with_models

    wish = _checked_wish(Wish(clip or (), split, video or ()), prompt, mood)
    root = data or context.obj
    chosen = choose(root, recipe, overrides or (), checkpoint, alpha)
    on_gpu = _place(device or chosen.recipe.fit.device, dry_run) == "cuda"
    settings = _settings(
        alpha=alpha,
        text_guidance=text_guidance,
        video_guidance=video_guidance,
        temperature=temperature,
        top_k=top_k,
        window_s=chosen.recipe.windows.length_s if window is None else window,
        overlap_s=overlap,
        precision=precision or (chosen.recipe.fit.precision if on_gpu else "fp32"),
        batch_size=batch or (ON_GPU if on_gpu else 1),
    )
    pieces = _pieces(context.obj, data, wish, _words(prompt, mood, chosen.recipe))
    placed = with_models(chosen.recipe, root, write=not dry_run)
    folder = out or chosen.folder / "generated" / _named(alpha)
    seeds = range(seed, seed + samples)
    jobs = plan(pieces, seeds, folder, mux, shared_facts(chosen, placed, settings))
    if dry_run:
        _show_plan(jobs, chosen, json)
        return
    ended = _run(jobs, chosen, placed, settings, "cuda" if on_gpu else "cpu")
    _conclude(ended, chosen, folder, json)


def _checked_wish(wish: Wish, prompt: str | None, mood: str | None) -> Wish:
    if sum((bool(wish.clips), wish.split is not None, bool(wish.videos))) != 1:
        raise OsslError(
            "nothing_chosen",
            "Say for what music is wanted: one of --clip, --split and --video.",
            EPILOG,
        )
    if prompt is not None and mood is not None:
        raise OsslError(
            "prompt_twice", "--prompt is the whole prompt, and --mood makes one.", "Give one."
        )
    return wish


def _place(device: str, dry_run: bool) -> str:
    from ossl_train.model_paths import checked_device

    if device not in ("auto", "cpu", "cuda"):
        raise OsslError("device_unknown", f"{device!r} is no device.", "Use auto, cpu or cuda.")
    return checked_device("auto" if dry_run else device)


def _settings(overlap_s: float | None, **given: Any) -> GenerateSettings:
    from ossl_builder.config import validated
    from ossl_train.generation.requests import GenerateSettings

    overlap = given["window_s"] / 3 if overlap_s is None else overlap_s
    hint = "`ossl train generate --help` says what each option takes."
    return validated(GenerateSettings, {**given, "overlap_s": overlap}, "the options", hint)


def _words(prompt: str | None, mood: str | None, recipe: TrainRecipe) -> Words:
    from ossl_train.generation.requests import Words

    return Words(prompt, mood, recipe.prompts)


def _pieces(corpus: Path, data: Path | None, wish: Wish, words: Words) -> list[GenerationRequest]:
    from ossl_train.generation import requests

    if wish.videos:
        return requests.of_files(wish.videos, words)
    if wish.split is not None:
        return requests.of_split(corpus, data, wish.split, words)
    return requests.of_clips(corpus, data, wish.clips, words)


def _named(alpha: float) -> str:
    return {0.0: "base", 1.0: "adapter"}.get(alpha, f"alpha-{alpha:g}")


def _run(
    jobs: Sequence[Job],
    chosen: Chosen,
    recipe: TrainRecipe,
    settings: GenerateSettings,
    device: str,
) -> list[Done]:
    from ossl_train.generation.generate import batched, generate, total_steps
    from ossl_train.generation.models import load_models

    models, steps = None, 0
    if batched(jobs, settings.batch_size):
        models = load_models(recipe, chosen.adapter, device, settings.precision)
        steps = total_steps(jobs, models, settings)
        for note in models.notes:
            output.say(note)
        deaf = sorted({job.sample.piece.name for job in jobs if job.sample.piece.dialogue is None})
        if models.adapter is not None and models.adapter.config.dialogue and deaf:
            output.say(f"No dialogue is known of {', '.join(deaf[:3])}: taken as silence.")
    ended = []
    with output.bar(steps, "Steps") as advance:
        for done in generate(jobs, models, recipe, settings, advance):
            ended.append(done)
            for note in done.notes:
                output.say(f"{done.name}: {note}")
            if done.state == "failed":
                output.say(f"{done.name}: {done.code}: {done.message} {done.hint}".rstrip())
    return ended


def _conclude(ended: Sequence[Done], chosen: Chosen, folder: Path, json: bool) -> None:
    if json:
        output.as_json([vars(done) for done in ended])
    else:
        output.table(
            ("name", "seed", "state", "length", "listen"),
            [
                (
                    done.name,
                    done.seed,
                    done.state,
                    "" if done.duration_s is None else f"{done.duration_s:.2f} s",
                    done.video or done.wav,
                )
                for done in ended
            ],
        )
    failed = sum(done.state == "failed" for done in ended)
    made = sum(done.state == "made" for done in ended)
    by = "the base model" if chosen.adapter is None else str(chosen.adapter)
    output.say(f"{made} made by {by}, {len(ended) - made - failed} as before, {failed} failed.")
    if made:
        output.say("MusicGen's weights are for non-commercial use (CC-BY-NC 4.0).")
    if failed:
        raise typer.Exit(1 if failed == len(ended) else 3)


def _show_plan(jobs: Sequence[Job], chosen: Chosen, json: bool) -> None:
    rows = [
        {
            "name": job.sample.piece.name,
            "seed": job.sample.seed,
            "duration_s": round(job.sample.piece.duration_s, 3),
            "prompt": job.sample.piece.prompt,
            "action": "refused" if job.error else "run" if job.why else "fresh",
            "why": job.error.message if job.error else job.why,
            "wav": str(job.target.wav),
        }
        for job in jobs
    ]
    if json:
        output.as_json(rows)
        return
    output.table(
        ("name", "seed", "length, s", "prompt", "action", "why"),
        [[row[key] for key in list(rows[0])[:-1]] for row in rows],
    )
    waiting = sum(job.sample.piece.duration_s for job in jobs if job.why)
    by = "the base model" if chosen.adapter is None else str(chosen.adapter)
    output.say(f"{waiting:.1f} s of music to be made by {by}.")
