"""Statistics of each film, which should be similar in all splits."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ossl_builder.engine.tables_io import read_arrow
from ossl_builder.errors import OsslError
from ossl_builder.tables import CLIPS, LABELS

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


def encode(column: Any) -> tuple[tuple[str, ...], NDArray[np.int64]]:
    """Return the distinct texts of an Arrow column, sorted, and the index of each row's text."""
    import numpy as np
    import pyarrow as pa
    import pyarrow.compute as pc

    texts = tuple(sorted(pc.unique(column).to_pylist()))
    indices = pc.index_in(column, value_set=pa.array(texts, pa.string()))
    return texts, indices.to_numpy().astype(np.int64)


LENGTHS = ("short", "middle", "long")


@dataclass(frozen=True)
class FilmStats:
    """A film that has clips.

    Attributes:
        film_id: the film.
        n_clips: number of its clips.
        duration_s: their total length, in seconds.
        quadrant: the most frequent quadrant of its labelled clips; None: none is labelled.
        length: `short`, `middle` or `long`: the third of all films that its clips' median length
            is in.
    """

    film_id: str
    n_clips: int
    duration_s: float
    quadrant: str | None
    length: str

    @property
    def stratum(self) -> str:
        """Quadrant and length in words."""
        return f"{self.quadrant or 'unlabelled'}, {self.length}"


def film_stats(manifests: Path) -> tuple[FilmStats, ...]:
    """Return all films of the clips table, sorted by id.

    Raises:
        OsslError: `table_missing`, `table_version`.
    """
    import numpy as np

    clips = read_arrow(manifests, CLIPS, ["film_id", "duration_s"])
    if not len(clips):
        return ()
    films, codes = encode(clips["film_id"])
    duration_s = clips["duration_s"].to_numpy()
    order = np.lexsort((duration_s, codes))
    counts = np.bincount(codes)
    ends = np.cumsum(counts)
    medians = duration_s[order][ends - counts + counts // 2]
    short, long = np.quantile(medians, (1 / 3, 2 / 3))
    thirds = (medians > short).astype(int) + (medians > long)
    total_s = np.bincount(codes, weights=duration_s)
    quadrants = _quadrants(manifests)
    return tuple(
        FilmStats(film, int(n), round(float(seconds), 3), quadrants.get(film), LENGTHS[third])
        for film, n, seconds, third in zip(films, counts, total_s, thirds, strict=True)
    )


def _quadrants(manifests: Path) -> dict[str, str]:
    """Return the most frequent quadrant of each film's labels; the first of a tie."""
    import pyarrow.compute as pc

    try:
        labels = read_arrow(manifests, LABELS, ["film_id", "quadrant"])
    except OsslError as error:
        if error.code != "table_missing":
            raise
        return {}
    chosen = labels.filter(pc.is_valid(labels["quadrant"]))
    counts = chosen.group_by(["film_id", "quadrant"]).aggregate([([], "count_all")])
    ordered = sorted(
        counts.to_pylist(), key=lambda row: (row["film_id"], row["count_all"], row["quadrant"])
    )
    best: dict[str, tuple[int, str]] = {}
    for row in ordered:
        if row["count_all"] > best.get(row["film_id"], (0, ""))[0]:
            best[row["film_id"]] = (row["count_all"], row["quadrant"])
    return {film: quadrant for film, (_, quadrant) in best.items()}
