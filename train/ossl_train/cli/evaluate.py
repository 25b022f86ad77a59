"""`ossl train evaluate`: measure generated music."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
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
    from ossl_train.evaluation.several_systems import Comparison

EXAMPLE = "Example: ossl -C corpus train evaluate generated --split test"
NONE = "none"


@dataclass(frozen=True)
class Reference:
    """The music to compare with: that of an evaluation set, of a folder, or of a split.

    Attributes:
        corpus: the corpus' folder.
        data: an exported folder, used instead of the corpus.
        split: a split of the corpus.
        real, video: folders of music and of videos; None: not used.
        eval_set: the folder of an evaluation set; None: not used.
    """

    corpus: Path
    data: Path | None
    split: str
    real: Path | None
    video: Path | None
    eval_set: Path | None

    def cache_folder(self, report: Path) -> Path:
        """Return the folder for measurements of files; `report` is that of the report."""
        if self.eval_set is not None:
            return self.eval_set
        root = self.data or self.corpus
        in_corpus = self.real is None or (root / "manifests").is_dir()
        return root / "train" if in_corpus else report


def evaluate(
    context: typer.Context,
    generated: Annotated[
        list[Path],
        typer.Argument(
            help="A folder of generated music: one file per clip, named by its id. Several "
            "folders: compare these systems.",
        ),
    ],
    baseline: Annotated[
        str | None,
        typer.Option(
            help="With several folders: the name of the one that the others are compared with.",
            show_default="the first",
            metavar="NAME",
        ),
    ] = None,
    split: options.Split = "test",
    real: Annotated[
        Path | None,
        typer.Option(help="Compare with this folder of audio, not with a split.", metavar="DIR"),
    ] = None,
    video: Annotated[
        Path | None,
        typer.Option(help="With --real: the folder of videos, with the same names.", metavar="DIR"),
    ] = None,
    eval_set: options.EvalSet = None,
    data: options.Data = None,
    out: Annotated[
        Path | None,
        typer.Option(
            help="The folder of the report.", metavar="DIR", show_default="in the first GENERATED"
        ),
    ] = None,
    clap: options.Clap = CLAP,
    revision: options.ClapRevision = None,
    kl: options.Kl = False,
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
    published: Annotated[
        Path | None,
        typer.Option(
            help="A JSON file of published figures, shown apart where the protocol is equal.",
            metavar="FILE",
        ),
    ] = None,
    dry_run: options.DryRun = False,
    json: options.AsJson = False,
) -> None:
    """Compare generated music with the films' own music, with its prompt and with its video.

    Several folders give one table, with the differences of each system to the first one, over the
    clips that all have.
    """
    from dataclasses import replace

    from ossl_builder.engine.cache import ArrayCache
    from ossl_train.evaluation.audio_files import system_names
    from ossl_train.evaluation.comparison_report import write_comparison
    from ossl_train.evaluation.evaluate import evaluate as measure
    from ossl_train.evaluation.published import comparable, read_published
    from ossl_train.evaluation.report import write_report
    from ossl_train.evaluation.several_systems import compare

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
    if baseline is not None and len(generated) == 1:
        raise OsslError(
            "option_alone",
            "--baseline works only with several folders of generated music.",
            "Name the other folders, or remove --baseline.",
        )
    reference = Reference(context.obj, data, split or "test", real, video, eval_set)
    _check(reference)
    names = system_names(generated)
    eval_sets = {
        name: _eval_set(folder, reference, prompts)
        for name, folder in zip(names, generated, strict=True)
    }
    others = read_published(published) if published else None
    folder = out or generated[0] / "evaluation"
    cache = ArrayCache(reference.cache_folder(folder) / "measured")
    if dry_run:
        _show_plan(list(eval_sets.values()), settings, cache, json)
        return
    if len(eval_sets) == 1:
        evaluation = measure(eval_sets[names[0]], settings, cache, output.counted)
        if others is not None:
            n_clips = evaluation.facts["compared"]["generated"]["n"]
            chosen = comparable(others, evaluation.figures, evaluation.facts, n_clips)
            evaluation = replace(evaluation, published=chosen)
        written = write_report(folder, evaluation)
        _show(evaluation, json)
    else:
        comparison = compare(eval_sets, baseline or names[0], settings, cache, output.counted)
        if others is not None:
            first = comparison.systems[comparison.baseline]
            chosen = comparable(others, first.figures, first.facts, comparison.n_clips)
            comparison = replace(comparison, published=chosen)
        written = write_comparison(folder, comparison)
        _show_comparison(comparison, json)
    output.say(f"Report: {written[1]}, {written[0]}")


def _check(reference: Reference) -> None:
    if reference.video is not None and reference.real is None:
        raise OsslError(
            "option_alone",
            "--video works only together with --real.",
            "Remove --video: the clips of a split have their own videos.",
        )
    if reference.eval_set is not None and (reference.real or reference.data):
        raise OsslError(
            "reference_twice",
            "--eval-set is given together with --real or --data.",
            "Give only one of them: it has the music to compare with.",
        )


def _eval_set(generated: Path, reference: Reference, prompts: str | None) -> EvalSet:
    from dataclasses import replace

    from ossl_train.evaluation.eval_set import (
        folders_eval_set,
        imported_eval_set,
        read_prompts,
        split_eval_set,
    )

    if reference.eval_set is not None:
        chosen = imported_eval_set(generated, reference.eval_set)
    elif reference.real is not None:
        chosen = folders_eval_set(generated, reference.real, reference.video)
    else:
        chosen = split_eval_set(generated, reference.corpus, reference.split, reference.data)
    if prompts is None:
        return chosen
    texts = {} if prompts == NONE else read_prompts(Path(prompts))
    return replace(chosen, prompts=texts, warnings=())


def _show(evaluation: Evaluation, json: bool) -> None:
    from ossl_train.evaluation.report import HEADER, cells

    if json:
        output.as_json(evaluation.plain())
        return
    output.table(HEADER, [cells(figure) for figure in evaluation.figures])
    for figure in evaluation.figures:
        if figure.value is None:
            output.say(f"{figure.name} is not defined: {figure.why}")
    _show_sentences(evaluation)


def _show_comparison(comparison: Comparison, json: bool) -> None:
    from ossl_train.evaluation.comparison_report import header, table_rows, undefined_sentences

    if json:
        output.as_json(comparison.plain())
        return
    output.table(header(comparison), table_rows(comparison))
    output.say(f"{comparison.n_clips} clips of {comparison.n_films} films, which all systems have.")
    for sentence in undefined_sentences(comparison):
        output.say(f"Not defined: {sentence}")
    _show_sentences(comparison)


def _show_sentences(result: Evaluation | Comparison) -> None:
    from ossl_train.evaluation.published import HEADER, TITLE

    if result.published and result.published.shown:
        output.line(f"{TITLE}:")
        output.table(HEADER, result.published.rows())
    for sentence in result.published.not_shown if result.published else ():
        output.say(f"Published figure not shown: {sentence}.")
    for sentence in result.warnings:
        output.say(f"Warning: {sentence}")
    for sentence in result.left_out:
        output.say(f"Left out: {sentence.rstrip('.')}.")


def _show_plan(
    eval_sets: Sequence[EvalSet], settings: EvaluationSettings, cache: ArrayCache, json: bool
) -> None:
    """Show what would be measured; no model is loaded."""
    from ossl_train.evaluation.evaluate import plan

    planned = plan(eval_sets, settings, cache)
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
