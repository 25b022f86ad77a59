"""Evaluate generated music: compute every figure, with the facts for the report."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ossl_builder import __version__, files
from ossl_builder.engine.cache import ArrayCache
from ossl_builder.errors import OsslError
from ossl_builder.files import sha256_remembered
from ossl_builder.models.hub import choose_device, fetch_model, find_model
from ossl_train.evaluation import passt
from ossl_train.evaluation.clap import how_of
from ossl_train.evaluation.curves import MUSIC, VIDEO
from ossl_train.evaluation.eval_set import EvalSet
from ossl_train.evaluation.report import Figure
from ossl_train.evaluation.settings import (
    EvaluationSettings,
    WithProgress,
    without_progress,
)

if TYPE_CHECKING:
    from ossl_train.evaluation.clap import Clap
    from ossl_train.evaluation.passt import Passt
    from ossl_train.evaluation.published import Published

VERSION = 1
"""Version of the report's layout."""


@dataclass(frozen=True)
class Evaluation:
    """The result of an evaluation.

    Attributes:
        figures: in the order of the report.
        warnings: sentences that limit what the figures mean.
        left_out: sentences about files that were not measured.
        facts: files, models and settings, as plain values.
        published: figures of others, if they were given.
    """

    figures: tuple[Figure, ...]
    warnings: tuple[str, ...]
    left_out: tuple[str, ...]
    facts: Mapping[str, Any]
    published: Published | None = None

    def figure(self, name: str, of: str = "generated") -> Figure:
        """Return the figure of a name; KeyError if it was not measured."""
        for figure in self.figures:
            if (figure.name, figure.of) == (name, of):
                return figure
        raise KeyError(name)

    def plain(self) -> dict[str, Any]:
        """Return plain values; equal input and seeds give equal values."""
        return {
            "version": VERSION,
            **self.facts,
            "figures": [figure.plain() for figure in self.figures],
            "warnings": list(self.warnings),
            "left_out": list(self.left_out),
            **({} if self.published is None else {"published": self.published.plain()}),
        }


@dataclass(frozen=True)
class Models:
    """The loaded models; None: the settings do not ask for it."""

    clap: Clap | None
    passt: Passt | None


def evaluate(
    eval_set: EvalSet,
    settings: EvaluationSettings,
    cache: ArrayCache,
    progress: WithProgress = without_progress,
    models: Models | None = None,
) -> Evaluation:
    """Compute all figures that the settings ask for.

    Models are loaded before the first file is read, so that a missing model stops the run at once.

    Args:
        eval_set: the files to compare.
        settings: models, seeds, resamples.
        cache: measurements of single files.
        progress: shows progress.
        models: result of `load_models`; None: load them.

    Raises:
        OsslError: `model_missing`, `model_unavailable`, `model_invalid`, `not_installed`,
            `nothing_to_compare`, `no_gpu`, `embedding_not_finite`, `measures_none`.
    """
    from ossl_train.evaluation.audio_figures import kl_figure
    from ossl_train.evaluation.video_figures import video_figures
    from ossl_train.evaluation.warnings import warnings_of

    models = models or load_models(settings)
    clap, passt = models.clap, models.passt
    with_video = settings.with_video and bool(eval_set.video)
    if clap is None and passt is None and not with_video:
        raise OsslError(
            "measures_none",
            "Nothing is left to measure: no CLAP, no KL and no video is chosen.",
            "Set a CLAP with --clap, a folder of videos with --video, or add --kl.",
        )
    figures: list[Figure] = []
    warnings: list[str] = []
    left_out = list(eval_set.left_out)
    readable = eval_set
    if clap is not None:
        readable, new_figures, unreadable, warnings = _by_clap(
            eval_set, clap, settings, cache, progress
        )
        figures += new_figures
        left_out += unreadable
    if passt is not None:
        figures.append(kl_figure(readable, passt, cache, settings, progress))
    if with_video:
        new_figures, unreadable = video_figures(readable, cache, settings, progress)
        figures += new_figures
        left_out += unreadable
    dimension = clap.dimension if clap else None
    return Evaluation(
        tuple(figures),
        (
            *warnings_of(figures, readable, dimension, settings.neighbours),
            *warnings,
            *(eval_set.warnings if clap else ()),
        ),
        tuple(dict.fromkeys(left_out)),
        _facts(eval_set, settings, clap, passt),
    )


def load_models(settings: EvaluationSettings) -> Models:
    """Load CLAP and PaSST, if the settings ask for them.

    Raises:
        OsslError: `model_missing`, `model_unavailable`, `model_invalid`, `not_installed`, `no_gpu`.
    """
    clap = passt = None
    if settings.with_kl:
        from ossl_train.evaluation.passt import load_passt

        passt = load_passt(choose_device(settings.device))
    if settings.clap is not None:
        from ossl_train.evaluation.clap import load_clap

        folder = fetch_model(settings.clap, settings.revision)
        clap = load_clap(folder, choose_device(settings.device))
    return Models(clap, passt)


def _by_clap(
    eval_set: EvalSet,
    clap: Any,
    settings: EvaluationSettings,
    cache: ArrayCache,
    progress: WithProgress,
) -> tuple[EvalSet, list[Figure], list[str], list[str]]:
    """Return the readable files, their figures, sentences on unreadable files, and warnings."""
    from ossl_train.evaluation.audio_figures import clap_figures, vectors_of, without_unreadable
    from ossl_train.evaluation.warnings import of_lengths

    generated, ours = vectors_of(eval_set.generated, clap, cache, progress, "generated music")
    real, theirs = vectors_of(eval_set.real, clap, cache, progress, eval_set.real_name)
    readable = without_unreadable(eval_set, generated, real)
    generated = {name: generated[name] for name in readable.generated}
    real = {name: real[name] for name in readable.real}
    figures = list(clap_figures(readable, generated, real, clap, settings, progress))
    lengths = [{name: len(rows) for name, rows in side.items()} for side in (generated, real)]
    return readable, figures, ours + theirs, list(of_lengths(*lengths))


def _facts(
    eval_set: EvalSet, settings: EvaluationSettings, clap: Any, passt: Any
) -> dict[str, Any]:
    chosen = asdict(settings)
    # Device and folders of this machine are not part of the result.
    for name in ("device", "clap", "revision"):
        del chosen[name]
    return {
        **({"set": eval_set.name} if eval_set.name else {}),
        "compared": {
            "generated": _side(eval_set.generated),
            eval_set.real_name: _side(eval_set.real),
            "n_pairs": len(eval_set.pairs),
            "n_prompts": len(eval_set.prompts.keys() & eval_set.generated.keys()),
            "n_videos": len(eval_set.video),
        },
        "settings": chosen,
        "embedding": None if clap is None else _embedding(clap),
        "tagger": None if passt is None else {"name": "PaSST", "sha256": passt.digest},
        "software": {"ossl-builder": __version__, **_versions(("librosa", "numpy", "torch"))},
    }


def _embedding(clap: Any) -> dict[str, Any]:
    source = clap.folder.source
    return {
        "name": source if clap.folder.revision else Path(source).name,
        "revision": clap.folder.revision,
        "sha256": clap.digest,
        "dimension": clap.dimension,
        "sample_rate": clap.rate,
        "window_s": clap.window / clap.rate,
    }


def _side(paths: Mapping[str, Path]) -> dict[str, Any]:
    hashes = [
        [name, sha256_remembered(path)] for name, path in sorted(paths.items()) if path.exists()
    ]
    return {"n": len(paths), "sha256": files.sha256_json(hashes)}


def _versions(names: Iterable[str]) -> dict[str, str]:
    versions = {}
    for name in names:
        try:
            versions[name] = version(name)
        except PackageNotFoundError:
            versions[name] = "not installed"
    return versions


def plan(
    eval_sets: Sequence[EvalSet], settings: EvaluationSettings, cache: ArrayCache
) -> dict[str, Any]:
    """Return what would be measured, and how much of it is in the cache.

    A file that several sets have, such as a clip's own music, counts once.

    Returns:
        `work`: for each measurement `what`, `files`, `kept` (number of files in the cache; None:
        unknown) and `model`; `left_out` and `problems`: sentences.
    """
    work: list[dict[str, Any]] = []
    problems: list[str] = []
    sides = [
        path for one in eval_sets for side in (one.generated, one.real) for path in side.values()
    ]
    if settings.clap is not None:
        how = None
        try:
            folder = find_model(settings.clap, settings.revision)
            how = None if folder is None else how_of(folder.digest())
            if folder is None:
                problems.append(
                    f"{settings.clap} is not on this machine: it would be downloaded first. "
                    "Without a network the run would fail."
                )
        except OsslError as error:
            problems.append(f"{error.message} {error.hint}")
        work.append(_work("CLAP vectors", sides, how, cache, settings.clap))
    if settings.with_kl:
        if not passt.is_installed():
            problems.append(f"{passt.NOT_INSTALLED} {passt.INSTALL}")
        pairs = [
            side[name]
            for one in eval_sets
            for name in one.pairs
            for side in (one.generated, one.real)
        ]
        work.append(_work("PaSST tags", pairs, None, cache, "PaSST"))
    videos = [path for one in eval_sets for path in one.video.values()]
    if settings.with_video and videos:
        music = [
            path
            for one in eval_sets
            for path in (*one.generated.values(), *(one.real[name] for name in one.pairs))
        ]
        work.append(_work("music curves", music, MUSIC, cache, ""))
        work.append(_work("video curves", videos, VIDEO, cache, ""))
    left_out = dict.fromkeys(sentence for one in eval_sets for sentence in one.left_out)
    return {"work": work, "left_out": list(left_out), "problems": problems}


def _work(
    measurement: str,
    paths: Iterable[Path],
    how: Mapping[str, Any] | None,
    cache: ArrayCache,
    model: str,
) -> dict[str, Any]:
    existing = [path for path in dict.fromkeys(paths) if path.is_file()]
    n_cached = None if how is None else sum(cache.has(path, how) for path in existing)
    return {"what": measurement, "files": len(existing), "kept": n_cached, "model": model}
