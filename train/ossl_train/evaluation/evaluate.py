"""Evaluate generated music: every figure, with what it was measured of."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from ossl_builder import __version__, files
from ossl_builder.errors import OsslError
from ossl_builder.models.hub import choose_device, fetch_model, find_model
from ossl_train.evaluation import passt
from ossl_train.evaluation.cache import ResultCache, file_digest
from ossl_train.evaluation.clap import how_of
from ossl_train.evaluation.curves import MUSIC, VIDEO
from ossl_train.evaluation.eval_set import EvalSet
from ossl_train.evaluation.report import Figure
from ossl_train.evaluation.settings import (
    EvaluationSettings,
    WithProgress,
    without_progress,
)

VERSION = 1
"""Of the report's layout."""


@dataclass(frozen=True)
class Evaluation:
    """What was found.

    Attributes:
        figures: in the order of the report.
        warnings: sentences that belong beside the figures.
        left_out: sentences on what was not measured.
        facts: of what and how was measured: plain values.
    """

    figures: tuple[Figure, ...]
    warnings: tuple[str, ...]
    left_out: tuple[str, ...]
    facts: Mapping[str, Any]

    def figure(self, name: str, of: str = "generated") -> Figure:
        """The figure of that name; KeyError if it was not measured."""
        for figure in self.figures:
            if (figure.name, figure.of) == (name, of):
                return figure
        raise KeyError(name)

    def plain(self) -> dict[str, Any]:
        """All of it as plain values; equal input and seeds give equal values."""
        return {
            "version": VERSION,
            **self.facts,
            "figures": [figure.plain() for figure in self.figures],
            "warnings": list(self.warnings),
            "left_out": list(self.left_out),
        }


def evaluate(
    material: EvalSet,
    settings: EvaluationSettings,
    kept: ResultCache,
    counted: WithProgress = without_progress,
) -> Evaluation:
    """Measure everything that the settings ask for.

    Models are loaded before the first file is read, so that one that cannot be had ends the run
    at once.

    Args:
        material: what is compared.
        settings: models, seeds, resamples.
        kept: where measurements of single files are kept.
        counted: shows progress.

    Raises:
        OsslError: `model_missing`, `model_unavailable`, `model_invalid`, `passt_not_installed`,
            `nothing_to_compare`, `no_gpu`, `embedding_not_finite`, `measures_none`.
    """
    from ossl_builder.errors import OsslError
    from ossl_train.evaluation.audio_figures import kl_figure
    from ossl_train.evaluation.video_figures import video_figures
    from ossl_train.evaluation.warnings import warnings_of

    clap, passt = _models(settings)
    with_video = settings.with_video and bool(material.video)
    if clap is None and passt is None and not with_video:
        raise OsslError(
            "measures_none",
            "There is nothing to measure: no CLAP, no KL, and no video.",
            "Name a CLAP with --clap, the folder of videos with --video, or ask for --kl.",
        )
    figures: list[Figure] = []
    warnings: list[str] = []
    left_out = list(material.left_out)
    read = material
    if clap is not None:
        read, found, said, warnings = _by_clap(material, clap, settings, kept, counted)
        figures += found
        left_out += said
    if passt is not None:
        figures.append(kl_figure(read, passt, kept, settings, counted))
    if with_video:
        found, said = video_figures(read, kept, settings, counted)
        figures += found
        left_out += said
    dimension = clap.dimension if clap else None
    return Evaluation(
        tuple(figures),
        (*warnings_of(figures, read, dimension, settings.neighbours), *warnings),
        tuple(dict.fromkeys(left_out)),
        _facts(material, settings, clap, passt),
    )


def _models(settings: EvaluationSettings) -> tuple[Any, Any]:
    """CLAP and PaSST, as far as they are asked for."""
    clap = passt = None
    if settings.with_kl:
        from ossl_train.evaluation.passt import load_passt

        passt = load_passt(choose_device(settings.device))
    if settings.clap is not None:
        from ossl_train.evaluation.clap import load_clap

        folder = fetch_model(settings.clap, settings.revision)
        clap = load_clap(folder, choose_device(settings.device))
    return clap, passt


def _by_clap(
    material: EvalSet,
    clap: Any,
    settings: EvaluationSettings,
    kept: ResultCache,
    counted: WithProgress,
) -> tuple[EvalSet, list[Figure], list[str], list[str]]:
    """What could be read, its figures, sentences on what could not, and warnings."""
    from ossl_train.evaluation.audio_figures import clap_figures, vectors_of, without_unreadable
    from ossl_train.evaluation.warnings import of_lengths

    generated, ours = vectors_of(material.generated, clap, kept, counted, "generated music")
    real, theirs = vectors_of(material.real, clap, kept, counted, material.real_name)
    read = without_unreadable(material, generated, real)
    generated = {name: generated[name] for name in read.generated}
    real = {name: real[name] for name in read.real}
    found = list(clap_figures(read, generated, real, clap, settings, counted))
    lengths = [{name: len(rows) for name, rows in side.items()} for side in (generated, real)]
    return read, found, ours + theirs, list(of_lengths(*lengths))


def _facts(
    material: EvalSet, settings: EvaluationSettings, clap: Any, passt: Any
) -> dict[str, Any]:
    chosen = asdict(settings)
    # How fast, and where models lie on this machine, is no part of the result.
    for name in ("device", "clap", "revision"):
        del chosen[name]
    return {
        "compared": {
            "generated": _side(material.generated),
            material.real_name: _side(material.real),
            "n_pairs": len(material.pairs),
            "n_prompts": len(material.prompts.keys() & material.generated.keys()),
            "n_videos": len(material.video),
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


def _side(found: Mapping[str, Path]) -> dict[str, Any]:
    hashes = [[name, file_digest(path)] for name, path in sorted(found.items()) if path.exists()]
    return {"n": len(found), "sha256": files.sha256_json(hashes)}


def _versions(names: Iterable[str]) -> dict[str, str]:
    found = {}
    for name in names:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            found[name] = "not installed"
    return found


def plan(material: EvalSet, settings: EvaluationSettings, kept: ResultCache) -> dict[str, Any]:
    """The work, by kind, with how many files' results are kept already.

    Returns:
        `work`: what, files, kept (None where that cannot be known), model; `left_out` and
        `problems`: sentences.
    """
    work: list[dict[str, Any]] = []
    problems: list[str] = []
    sides = [*material.generated.values(), *material.real.values()]
    if settings.clap is not None:
        how = None
        try:
            folder = find_model(settings.clap, settings.revision)
            how = None if folder is None else how_of(folder.digest())
            if folder is None:
                problems.append(
                    f"{settings.clap} is not on this machine: it would be downloaded first, or, "
                    "without a network, the run would end there."
                )
        except OsslError as error:
            problems.append(f"{error.message} {error.hint}")
        work.append(_work("CLAP vectors", sides, how, kept, settings.clap))
    if settings.with_kl:
        if not passt.is_installed():
            problems.append(f"{passt.NOT_INSTALLED} {passt.INSTALL}")
        pairs = [
            side[name] for name in material.pairs for side in (material.generated, material.real)
        ]
        work.append(_work("PaSST tags", pairs, None, kept, "PaSST"))
    if settings.with_video and material.video:
        music = [*material.generated.values(), *(material.real[name] for name in material.pairs)]
        work.append(_work("music curves", music, MUSIC, kept, ""))
        work.append(_work("video curves", material.video.values(), VIDEO, kept, ""))
    return {"work": work, "left_out": list(material.left_out), "problems": problems}


def _work(
    what: str, paths: Iterable[Path], how: Mapping[str, Any] | None, kept: ResultCache, model: str
) -> dict[str, Any]:
    there = [path for path in paths if path.is_file()]
    known = None if how is None else sum(kept.has(path, how) for path in there)
    return {"what": what, "files": len(there), "kept": known, "model": model}
