"""Warnings that limit what the figures of an evaluation mean."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from ossl_builder.errors import OsslError
from ossl_builder.files import sha256_remembered
from ossl_train.evaluation.audio_files import first_seconds
from ossl_train.evaluation.eval_set import EvalSet
from ossl_train.evaluation.report import Figure
from ossl_train.metrics.intervals import FEW_FILMS

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Values = NDArray[np.float64]

RATE = 8000
LOOKED_AT_S = 4.0
STEP_S = 0.25
ALIKE = 0.9  # share of common power; independent sounds share 1 / files
FEWEST = 4  # files; with fewer, sounds may be alike by chance


def files_shared_start_s(paths: Sequence[Path]) -> float:
    """Return how long all files begin with the same audio, in steps of 0.25 s; 0: not at all."""
    import numpy as np

    length = round(LOOKED_AT_S * RATE)
    rows = []
    for path in paths:
        try:
            start = first_seconds(path, LOOKED_AT_S, RATE)
        except OsslError:
            continue
        rows.append(np.pad(start.astype(np.float64), (0, length - len(start))))
    return shared_start_s(np.stack(rows)) if len(rows) >= FEWEST else 0.0


def shared_start_s(beginnings: Values) -> float:
    """Return the same for audio at `RATE`, shape (files, samples)."""
    import numpy as np

    hop = round(STEP_S * RATE)
    for step in range(beginnings.shape[1] // hop):
        parts = beginnings[:, step * hop : (step + 1) * hop]
        lengths = np.linalg.norm(parts, axis=1)
        if (lengths < 1e-4 * np.sqrt(hop)).any():
            return step * STEP_S  # silence is no shared audio
        common = np.linalg.norm((parts / lengths[:, None]).mean(axis=0)) ** 2
        if common < ALIKE:
            return step * STEP_S
    return beginnings.shape[1] // hop * STEP_S


def n_copies(paths: Sequence[Path]) -> int:
    """Return the number of files with the same bytes as another file."""
    counts = Counter(map(sha256_remembered, paths))
    return sum(count for count in counts.values() if count > 1)


FEW_NEIGHBOURS = 20  # times k
MUCH_BIAS = 0.25
MUCH_ERROR = 0.1  # of the distance


def warnings_of(
    figures: Sequence[Figure], eval_set: EvalSet, dimension: int | None, k: int
) -> Iterator[str]:
    """Yield warnings about figures of too few files, and about unusual files.

    Args:
        figures: all figures.
        eval_set: the files.
        dimension: dimension of the embedding; None: no embedding.
        k: number of neighbours.
    """
    named = {figure.name: figure for figure in figures if figure.of == "generated"}
    if dimension is not None:
        n_clips = min(len(eval_set.generated), len(eval_set.real))
        yield from _of_distance(named.get("fad"), named.get("fad_inf"), n_clips, dimension)
    precision = named.get("precision")
    if precision and precision.value is not None:
        n = min(named[name].n for name in ("precision", "recall"))
        if n < FEW_NEIGHBOURS * k:
            yield (
                f"Precision, recall, density and coverage are of {n} clips: with fewer than "
                f"{FEW_NEIGHBOURS * k} the neighbourhoods of {k} are wide, and all four too high."
            )
    n_films = eval_set.n_films
    if 0 < n_films < FEW_FILMS:
        count = f"{n_films} film{'s' * (n_films > 1)}" if eval_set.films else f"{n_films} files"
        yield f"Intervals are over {count}: with fewer than {FEW_FILMS} they are only a hint."
    if len(eval_set.generated) > 1 and not eval_set.films:
        yield (
            "It is not known which files are of one film: each counts as a film of its own. If "
            "several are of one film, the intervals are too narrow."
        )
    yield from _of_files(eval_set)


def _of_distance(
    fad: Figure | None, far: Figure | None, n_clips: int, dimension: int
) -> Iterator[str]:
    if fad is None or fad.value is None:
        return
    if fad.n <= dimension:
        yield (
            f"The Fréchet distance has {fad.n} windows on a side in {dimension} dimensions: the "
            "covariances are singular, most of its value is the bias of small n, and the "
            "extrapolated value is no more than a hint. Do not compare it with other sets."
        )
        return
    if n_clips <= dimension:
        yield (
            f"The Fréchet distance has {n_clips} clips on a side in {dimension} dimensions, and "
            "windows of one clip are alike: the extrapolated value is still too large."
        )
    if far and far.value is not None and fad.value > 0:
        bias = 1 - max(far.value, 0.0) / fad.value
        if bias > MUCH_BIAS:
            yield (
                f"About {bias:.0%} of the Fréchet distance is the bias of small n: compare the "
                "extrapolated value, or sets of equal n."
            )
    error = dict(far.more).get("fit_error", 0.0) if far else 0.0
    if fad.value > 1e-9 and error > MUCH_ERROR * fad.value:
        yield (
            f"The extrapolated distance has an error of {error / fad.value:.0%} of the distance "
            "from the choice of sub-samples alone: there are too few clips for it."
        )


def of_lengths(n_generated: Mapping[str, int], n_real: Mapping[str, int]) -> Iterator[str]:
    """Yield a warning if generated music is shorter than the music of its clip.

    Args:
        n_generated: windows of each generated file, by clip id.
        n_real: windows of each real file, by clip id.
    """
    pairs = n_generated.keys() & n_real.keys()
    short = sum(n_generated[name] < n_real[name] for name in pairs)
    if short:
        yield (
            f"{short} of {len(pairs)} generated files are shorter than the music of their clip, "
            "all of which they are compared with: generate the clips' full length."
        )


def _of_files(eval_set: EvalSet) -> Iterator[str]:
    paths = list(eval_set.generated.values())
    shared_s = files_shared_start_s(paths)
    if shared_s:
        yield (
            f"All generated files begin with the same audio for {shared_s:g} s, perhaps an "
            "audio prompt. It affects every figure: cut it off and evaluate again."
        )
    copies = n_copies(paths)
    if copies:
        yield f"{copies} of {len(paths)} generated files are copies of one another."
    ours = {path.resolve() for path in eval_set.generated.values()}
    same = len(ours & {path.resolve() for path in eval_set.real.values()})
    if same:
        yield f"{same} files are in both sets: they are compared with themselves."
