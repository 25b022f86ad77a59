"""`ossl train evaluate`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ossl_builder.cli import output
from ossl_builder.errors import OsslError
from ossl_train.evaluation.settings import CLAP, Settings

if TYPE_CHECKING:
    from ossl_train.evaluation.cache import ResultCache
    from ossl_train.evaluation.eval_set import EvalSet
    from ossl_train.evaluation.evaluate import Evaluation

EPILOG = "Example: ossl -C corpus train evaluate generated --split test"
NONE = "none"


def evaluate(
    context: typer.Context,
    generated: Annotated[
        Path, typer.Argument(help="Folder of generated music, one file per clip, named by its id.")
    ],
    split: Annotated[str, typer.Option(help="Split of the split whose own music is compared.")] = (
        "test"
    ),
    real: Annotated[
        Path | None, typer.Option(help="Compare with this folder of audio instead.", metavar="DIR")
    ] = None,
    video: Annotated[
        Path | None, typer.Option(help="With --real: the folder of videos, by name.", metavar="DIR")
    ] = None,
    data: Annotated[
        Path | None,
        typer.Option(help="An export of `ossl export parquet` instead of a corpus.", metavar="DIR"),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(help="Where the report goes.", metavar="DIR", show_default="in GENERATED"),
    ] = None,
    clap: Annotated[
        str, typer.Option(help="CLAP on the Hugging Face hub, or its folder; none: without.")
    ] = CLAP,
    revision: Annotated[str | None, typer.Option(help="Revision of it on the hub.")] = None,
    kl: Annotated[
        bool, typer.Option("--kl", help="Measure the KL divergence too (needs hear21passt).")
    ] = False,
    frame: Annotated[
        bool, typer.Option(help="Measure music against cuts and motion of the video.")
    ] = True,
    prompts: Annotated[
        str | None,
        typer.Option(
            help="JSON file {clip: prompt}; none: no prompts.",
            show_default="from the labels",
            metavar="FILE",
        ),
    ] = None,
    neighbours: Annotated[
        int, typer.Option(min=1, help="k of precision, recall, density and coverage.")
    ] = 5,
    resamples: Annotated[int, typer.Option(min=0, help="Of the intervals of means.")] = 1000,
    distance_resamples: Annotated[
        int, typer.Option(min=0, help="Of the Fréchet distance's interval.")
    ] = 100,
    seed: Annotated[int, typer.Option(min=0, help="Of all that is drawn by chance.")] = 0,
    device: Annotated[str, typer.Option(help="auto, cpu or cuda.")] = "auto",
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Say what would be measured, and of how much.")
    ] = False,
    json: Annotated[bool, typer.Option("--json", help="Print for scripts.")] = False,
) -> None:
    """Measure generated music against the films' own, its prompt, and its video."""
    from ossl_train.evaluation import evaluate as evaluation
    from ossl_train.evaluation.cache import ResultCache
    from ossl_train.evaluation.report import write_report

    settings = Settings(
        clap=None if clap == NONE else clap,
        revision=revision,
        with_kl=kl,
        with_video=frame,
        seed=seed,
        resamples=resamples,
        distance_resamples=distance_resamples,
        neighbours=neighbours,
        device=device,
    )
    material = _material(context.obj, generated, split, real, video, data, prompts)
    folder = out or generated / "evaluation"
    root = data or context.obj
    in_corpus = real is None or (root / "manifests").is_dir()
    kept = ResultCache((root / "train" if in_corpus else folder) / "measured")
    if dry_run:
        _show_plan(material, settings, kept, json)
        return
    found = evaluation.evaluate(material, settings, kept, output.counted)
    written = write_report(folder, found)
    _show(found, json)
    output.say(f"Report: {written[1]}, {written[0]}")


def _material(
    corpus: Path,
    generated: Path,
    split: str,
    real: Path | None,
    video: Path | None,
    data: Path | None,
    prompts: str | None,
) -> EvalSet:
    from dataclasses import replace

    from ossl_train.evaluation.eval_set import of_folders, of_split, read_prompts

    if video is not None and real is None:
        raise OsslError(
            "option_alone", "--video goes with --real only.", "A split has its own videos."
        )
    if real is not None:
        material = of_folders(generated, real, video)
    else:
        material = of_split(generated, corpus, split, data)
    if prompts is None:
        return material
    return replace(material, prompts={} if prompts == NONE else read_prompts(Path(prompts)))


def _show(found: Evaluation, json: bool) -> None:
    from ossl_train.evaluation.report import HEADER, cells

    if json:
        output.as_json(found.plain())
        return
    output.table(HEADER, [cells(figure) for figure in found.figures])
    for figure in found.figures:
        if figure.value is None:
            output.say(f"{figure.name} is not defined: {figure.why}")
    for sentence in found.warnings:
        output.say(f"Careful: {sentence}")
    for sentence in found.left_out:
        output.say(f"Left out: {sentence.rstrip('.')}.")


def _show_plan(material: EvalSet, settings: Settings, kept: ResultCache, json: bool) -> None:
    """Say what would be measured; nothing is loaded but the models' names."""
    from ossl_train.evaluation.evaluate import plan

    found = plan(material, settings, kept)
    if json:
        output.as_json(found)
        return
    rows: list[tuple[Any, ...]] = [
        (one["what"], one["files"], one["kept"], one["model"]) for one in found["work"]
    ]
    output.table(("what", "files", "of which known", "model"), rows)
    for sentence in found["left_out"]:
        output.say(f"Left out: {sentence}.")
    for sentence in found["problems"]:
        output.say(f"It would end with: {sentence}")
