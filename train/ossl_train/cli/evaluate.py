"""`ossl train evaluate`: measure generated music."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ossl_builder.cli import output
from ossl_builder.errors import OsslError
from ossl_train.cli import options
from ossl_train.evaluation.settings import CLAP, EvaluationSettings

if TYPE_CHECKING:
    from ossl_builder.engine.cache import ArrayCache
    from ossl_train.evaluation.eval_set import EvalSet
    from ossl_train.evaluation.evaluate import Evaluation

EXAMPLE = "Example: ossl -C corpus train evaluate generated --split test"
NONE = "none"


def evaluate(
    context: typer.Context,
    generated: Annotated[
        Path,
        typer.Argument(help="A folder of generated music: one file per clip, named by its id."),
    ],
    split: options.Split = "test",
    real: Annotated[
        Path | None,
        typer.Option(help="Compare with this folder of audio, not with a split.", metavar="DIR"),
    ] = None,
    video: Annotated[
        Path | None,
        typer.Option(help="With --real: the folder of videos, with the same names.", metavar="DIR"),
    ] = None,
    data: options.Data = None,
    out: Annotated[
        Path | None,
        typer.Option(help="The folder of the report.", metavar="DIR", show_default="in GENERATED"),
    ] = None,
    clap: Annotated[
        str, typer.Option(help="A CLAP on the Hugging Face hub, or its folder. none: no CLAP.")
    ] = CLAP,
    revision: Annotated[
        str | None, typer.Option(help="The revision of the CLAP on the hub.")
    ] = None,
    kl: Annotated[
        bool, typer.Option("--kl", help="Measure the KL divergence as well (needs hear21passt).")
    ] = False,
    video_sync: Annotated[
        bool, typer.Option(help="Compare the music with cuts and motion of the video.")
    ] = True,
    prompts: Annotated[
        str | None,
        typer.Option(
            help="A JSON file {clip: prompt}. none: no prompts.",
            show_default="as recorded beside the music, else from the labels",
            metavar="FILE",
        ),
    ] = None,
    neighbours: Annotated[
        int, typer.Option(min=1, help="The k of precision, recall, density and coverage.")
    ] = 5,
    resamples: Annotated[
        int, typer.Option(min=0, help="The resamples for intervals of means.")
    ] = 1000,
    distance_resamples: Annotated[
        int, typer.Option(min=0, help="The resamples for the interval of the Fréchet distance.")
    ] = 100,
    seed: Annotated[int, typer.Option(min=0, help="The seed of all random numbers.")] = 0,
    device: options.Device = "auto",
    dry_run: options.DryRun = False,
    json: options.AsJson = False,
) -> None:
    """Compare generated music with the films' own music, with its prompt and with its video."""
    from ossl_builder.engine.cache import ArrayCache
    from ossl_train.evaluation.evaluate import evaluate as measure
    from ossl_train.evaluation.report import write_report

    settings = EvaluationSettings(
        clap=None if clap == NONE else clap,
        revision=revision,
        with_kl=kl,
        with_video=video_sync,
        seed=seed,
        resamples=resamples,
        distance_resamples=distance_resamples,
        neighbours=neighbours,
        device=device or "auto",
    )
    eval_set = _eval_set(context.obj, generated, split or "test", real, video, data, prompts)
    folder = out or generated / "evaluation"
    root = data or context.obj
    in_corpus = real is None or (root / "manifests").is_dir()
    cache = ArrayCache((root / "train" if in_corpus else folder) / "measured")
    if dry_run:
        _show_plan(eval_set, settings, cache, json)
        return
    evaluation = measure(eval_set, settings, cache, output.counted)
    written = write_report(folder, evaluation)
    _show(evaluation, json)
    output.say(f"Report: {written[1]}, {written[0]}")


def _eval_set(
    corpus: Path,
    generated: Path,
    split: str,
    real: Path | None,
    video: Path | None,
    data: Path | None,
    prompts: str | None,
) -> EvalSet:
    from dataclasses import replace

    from ossl_train.evaluation.eval_set import folders_eval_set, read_prompts, split_eval_set

    if video is not None and real is None:
        raise OsslError(
            "option_alone",
            "--video works only together with --real.",
            "Remove --video: the clips of a split have their own videos.",
        )
    if real is not None:
        eval_set = folders_eval_set(generated, real, video)
    else:
        eval_set = split_eval_set(generated, corpus, split, data)
    if prompts is None:
        return eval_set
    texts = {} if prompts == NONE else read_prompts(Path(prompts))
    return replace(eval_set, prompts=texts, warnings=())


def _show(evaluation: Evaluation, json: bool) -> None:
    from ossl_train.evaluation.report import HEADER, cells

    if json:
        output.as_json(evaluation.plain())
        return
    output.table(HEADER, [cells(figure) for figure in evaluation.figures])
    for figure in evaluation.figures:
        if figure.value is None:
            output.say(f"{figure.name} is not defined: {figure.why}")
    for sentence in evaluation.warnings:
        output.say(f"Warning: {sentence}")
    for sentence in evaluation.left_out:
        output.say(f"Left out: {sentence.rstrip('.')}.")


def _show_plan(
    eval_set: EvalSet, settings: EvaluationSettings, cache: ArrayCache, json: bool
) -> None:
    """Show what would be measured; no model is loaded."""
    from ossl_train.evaluation.evaluate import plan

    planned = plan(eval_set, settings, cache)
    if json:
        output.as_json(planned)
        return
    rows: list[tuple[Any, ...]] = [
        (row["what"], row["files"], row["kept"], row["model"]) for row in planned["work"]
    ]
    output.table(("what", "files", "already measured", "model"), rows)
    for sentence in planned["left_out"]:
        output.say(f"Left out: {sentence}.")
    for sentence in planned["problems"]:
        output.say(f"The run would fail: {sentence}")
