"""`ossl train generate`: generate music for clips or for any video file."""

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
    from ossl_train.generation.generate import SampleJob, SampleResult
    from ossl_train.generation.models import ChosenAdapter
    from ossl_train.generation.requests import GenerateSettings, GenerationRequest, PromptOptions
    from ossl_train.recipe import TrainRecipe

EXAMPLE = "Example: ossl -C corpus train generate --split test --recipe small --samples 2"
GPU_BATCH = 8
"""Samples generated at a time on a GPU, without --batch."""


@dataclass(frozen=True)
class Videos:
    """The videos that music is generated for; exactly one of the four is set.

    Attributes:
        clips: clip ids.
        split: a split: all of its clips.
        files: video files.
        eval_set: the folder of an evaluation set: all of its clips.
    """

    clips: Sequence[str]
    split: str | None
    files: Sequence[Path]
    eval_set: Path | None = None


def generate(
    context: typer.Context,
    clip: Annotated[
        list[str] | None, typer.Option("--clip", help="A clip's id. Can be repeated.", metavar="ID")
    ] = None,
    split: options.Split = None,
    video: Annotated[
        list[Path] | None,
        typer.Option("--video", help="Any video file. Can be repeated.", metavar="FILE"),
    ] = None,
    eval_set: options.EvalSet = None,
    prompt: Annotated[
        str | None,
        typer.Option(help='The whole prompt. "" means no text.', show_default="from the label"),
    ] = None,
    mood: Annotated[
        str | None, typer.Option(help="A mood for the prompt that adapters are trained with.")
    ] = None,
    recipe: options.RecipeName = "small",
    checkpoint: options.Checkpoint = None,
    alpha: Annotated[
        float, typer.Option(min=0, help="A factor on the adapter's gates. 0 is the base model.")
    ] = 1.0,
    samples: Annotated[int, typer.Option(min=1, help="The number of samples for each video.")] = 1,
    seed: Annotated[
        int, typer.Option(min=0, help="The seed of the first sample. The next ones count up.")
    ] = 0,
    text_guidance: options.TextGuidance = 3.0,
    video_guidance: options.VideoGuidance = 1.0,
    temperature: Annotated[
        float, typer.Option(min=0, help="The temperature. 0 takes the most probable token.")
    ] = 1.0,
    top_k: Annotated[
        int, typer.Option(min=0, help="Sample from the k most probable tokens. 0 means all.")
    ] = 250,
    window: Annotated[
        float | None,
        typer.Option(
            min=0.1, max=30, help="The length of a window, s.", show_default="the recipe's"
        ),
    ] = None,
    overlap: Annotated[
        float | None,
        typer.Option(
            min=0, max=30, help="The overlap of windows, s.", show_default="a third of it"
        ),
    ] = None,
    batch: Annotated[
        int | None,
        typer.Option(min=1, help="The number of samples at a time.", show_default="1; on a GPU 8"),
    ] = None,
    precision: Annotated[
        str | None,
        typer.Option(
            help="The precision: fp32 or bf16.", show_default="fp32; on a GPU the recipe's"
        ),
    ] = None,
    data: options.Data = None,
    out: Annotated[
        Path | None,
        typer.Option("--out", help="The output folder.", show_default="train/RECIPE/generated/…"),
    ] = None,
    mux: Annotated[bool, typer.Option(help="Write the video with the music as well.")] = True,
    overrides: options.Set = None,
    device: options.Device = None,
    dry_run: options.DryRun = False,
    json: options.AsJson = False,
) -> None:
    """Generate music for clips or for any video file: a WAV, and the video with it.

    A JSON file beside each WAV records what it was made from. Samples that are up to date are
    skipped. The exit code is 0 if all samples are done, 1 if all failed, 3 if some failed.
    """
    from ossl_train.generation.generate import plan_samples
    from ossl_train.generation.models import choose_adapter
    from ossl_train.generation.requests import PromptOptions
    from ossl_train.generation.sample_files import shared_facts
    from ossl_train.pretrained import with_models

    videos = _checked(Videos(clip or (), split, video or (), eval_set), prompt, mood)
    root = data or context.obj
    chosen = choose_adapter(root, recipe, overrides or (), checkpoint, alpha)
    on_gpu = _device(device or chosen.recipe.fit.device, dry_run) == "cuda"
    settings = _settings(
        alpha=alpha,
        text_guidance=text_guidance,
        video_guidance=video_guidance,
        temperature=temperature,
        top_k=top_k,
        window_s=chosen.recipe.windows.length_s if window is None else window,
        overlap_s=overlap,
        precision=precision or (chosen.recipe.fit.precision if on_gpu else "fp32"),
        batch_size=batch or (GPU_BATCH if on_gpu else 1),
    )
    prompts = PromptOptions(prompt, mood, chosen.recipe.prompts)
    requests = _requests(context.obj, data, videos, prompts, chosen.adapter is not None)
    local_recipe = with_models(chosen.recipe, root, write=not dry_run)
    folder = out or chosen.folder / "generated" / _folder_name(alpha)
    seeds = range(seed, seed + samples)
    jobs = plan_samples(requests, seeds, folder, mux, shared_facts(chosen, local_recipe, settings))
    if dry_run:
        _show_plan(jobs, chosen, json)
        return
    results = _run(jobs, chosen, local_recipe, settings, "cuda" if on_gpu else "cpu")
    _show_results(results, chosen, folder, json)


def _checked(videos: Videos, prompt: str | None, mood: str | None) -> Videos:
    chosen = (videos.clips, videos.files, videos.split is not None, videos.eval_set is not None)
    if sum(map(bool, chosen)) != 1:
        raise OsslError(
            "nothing_chosen",
            "No video is chosen, or more than one kind.",
            f"Give one of --clip, --split, --video and --eval-set. {EXAMPLE}",
        )
    if prompt is not None and mood is not None:
        raise OsslError(
            "prompt_twice", "--prompt and --mood are both given.", "Give only one of them."
        )
    return videos


def _device(device: str, dry_run: bool) -> str:
    from ossl_train.pretrained import checked_device

    if device not in ("auto", "cpu", "cuda"):
        raise OsslError("device_unknown", f"{device!r} is not a device.", "Use auto, cpu or cuda.")
    return checked_device("auto" if dry_run else device)


def _settings(overlap_s: float | None, **options: Any) -> GenerateSettings:
    from ossl_builder.config import validated
    from ossl_train.generation.requests import GenerateSettings

    overlap = options["window_s"] / 3 if overlap_s is None else overlap_s
    hint = "`ossl train generate --help` lists the values of each option."
    return validated(GenerateSettings, {**options, "overlap_s": overlap}, "the options", hint)


def _requests(
    corpus: Path,
    data: Path | None,
    videos: Videos,
    prompts: PromptOptions,
    needs_video: bool,
) -> list[GenerationRequest]:
    from ossl_train.generation import requests

    if videos.files:
        return requests.file_requests(videos.files, prompts)
    if videos.eval_set is not None:
        return requests.set_requests(videos.eval_set, prompts, needs_video)
    if videos.split is not None:
        return requests.split_requests(corpus, data, videos.split, prompts)
    return requests.clip_requests(corpus, data, videos.clips, prompts)


def _folder_name(alpha: float) -> str:
    return {0.0: "base", 1.0: "adapter"}.get(alpha, f"alpha-{alpha:g}")


def _run(
    jobs: Sequence[SampleJob],
    chosen: ChosenAdapter,
    recipe: TrainRecipe,
    settings: GenerateSettings,
    device: str,
) -> list[SampleResult]:
    from ossl_train.generation.generate import batch_jobs, generate, total_steps
    from ossl_train.generation.models import load_models

    models, steps = None, 0
    if batch_jobs(jobs, settings.batch_size):
        models = load_models(recipe, chosen.adapter, device, settings.precision)
        steps = total_steps(jobs, models, settings)
        for note in models.notes:
            output.say(note)
        without = sorted(
            {job.sample.request.name for job in jobs if job.sample.request.dialogue is None}
        )
        if models.adapter is not None and models.adapter.config.dialogue and without:
            output.say(f"No dialogue stem is known for {', '.join(without[:3])}: silence is used.")
    results = []
    with output.bar(steps, "Steps") as advance:
        for result in generate(jobs, models, recipe, settings, advance):
            results.append(result)
            for note in result.notes:
                output.say(f"{result.name}: {note}")
            if result.state == "failed":
                output.say(f"{result.name}: {result.code}: {result.message} {result.hint}".rstrip())
    return results


def _show_results(
    results: Sequence[SampleResult], chosen: ChosenAdapter, folder: Path, json: bool
) -> None:
    if json:
        output.as_json([vars(result) for result in results])
    else:
        output.table(
            ("name", "seed", "state", "length", "listen"),
            [
                (
                    result.name,
                    result.seed,
                    result.state,
                    "" if result.duration_s is None else f"{result.duration_s:.2f} s",
                    result.video or result.wav,
                )
                for result in results
            ],
        )
    n_failed = sum(result.state == "failed" for result in results)
    n_made = sum(result.state == "made" for result in results)
    by = "the base model" if chosen.adapter is None else str(chosen.adapter)
    output.say(
        f"{n_made} generated by {by}, {len(results) - n_made - n_failed} up to date, "
        f"{n_failed} failed."
    )
    if n_made:
        output.say("MusicGen's weights are for non-commercial use (CC-BY-NC 4.0).")
    if n_failed:
        raise typer.Exit(1 if n_failed == len(results) else 3)


def _show_plan(jobs: Sequence[SampleJob], chosen: ChosenAdapter, json: bool) -> None:
    rows = [
        {
            "name": job.sample.request.name,
            "seed": job.sample.seed,
            "duration_s": round(job.sample.request.duration_s, 3),
            "prompt": job.sample.request.prompt,
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
    waiting = sum(job.sample.request.duration_s for job in jobs if job.why)
    by = "the base model" if chosen.adapter is None else str(chosen.adapter)
    output.say(f"{waiting:.1f} s of music would be generated by {by}.")
