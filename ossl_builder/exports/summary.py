"""Compute the statistics of a corpus, for `ossl stats` and the report."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ossl_builder.engine import tables_io
from ossl_builder.tables import CLIPS, CUES, FILMS, LABELS, SCENES, SPLITS, Table
from ossl_builder.tables.labels import QUADRANTS
from ossl_builder.tables.splits import SPLIT_NAMES

if TYPE_CHECKING:
    import pandas as pd

RESIDUALS = ("dialogue_residual_music", "music_residual_dialogue")
QUANTILES = {"least": 0.0, "quarter": 0.25, "median": 0.5, "three_quarters": 0.75, "most": 1.0}


def summary(folder: Path, verdicts: Mapping[str, str]) -> dict[str, Any]:
    """Return counts, hours and distributions of the tables in a folder; skip missing tables.

    Only the needed columns are read: a million clips take a few hundred megabytes.

    Args:
        folder: the tables' folder.
        verdicts: today's verdict word of each film; a film without one counts as unknown.

    Returns:
        One object for each of `films`, `scenes`, `cues`, `clips`, `labels`, `splits`; hours in
        h, lengths in s, loudness in LUFS.

    Raises:
        OsslError: `table_version`.
    """
    parts: dict[str, Any] = {}
    films = _frame(folder, FILMS, ["film_id", "year", "basis", "is_claim", "duration_s"])
    if films is not None:
        parts["films"] = _films(films, verdicts)
    scenes = _frame(folder, SCENES, ["transition_in", "start_s", "end_s"])
    if scenes is not None:
        parts["scenes"] = {
            "count": len(scenes),
            "length_s": _quantiles(scenes["end_s"] - scenes["start_s"]),
            "by_transition": _counts(scenes["transition_in"]),
        }
    cues = _frame(folder, CUES, ["start_s", "end_s", "music_lufs"])
    if cues is not None:
        lengths = cues["end_s"] - cues["start_s"]
        parts["cues"] = {
            "count": len(cues),
            "hours": _hours(lengths),
            "length_s": _quantiles(lengths),
            "music_lufs": _quantiles(cues["music_lufs"]),
        }
    clips = _frame(
        folder, CLIPS, ["film_id", "duration_s", "music_lufs", "dialogue_share", *RESIDUALS]
    )
    if clips is not None:
        parts["clips"] = _clips(clips)
    labels = _frame(folder, LABELS, ["quadrant", "n_annotators", "caption_source", "rule"])
    if labels is not None:
        parts["labels"] = _labels(labels)
    splits = _frame(folder, SPLITS, ["split", "n_clips", "duration_s"])
    if splits is not None:
        parts["splits"] = _splits(splits)
    return parts


def _films(films: pd.DataFrame, verdicts: Mapping[str, str]) -> dict[str, Any]:
    decades = films["year"].dropna().astype(int) // 10 * 10
    return {
        "count": len(films),
        # Films of an imported corpus have no duration, because only their clips were imported.
        "hours": _hours(films["duration_s"]) if films["duration_s"].notna().any() else None,
        "length_s": _quantiles(films["duration_s"]),
        "by_decade": _counts(decades),
        "year_unknown": int(films["year"].isna().sum()),
        "by_verdict": _counts(
            films["film_id"].map(lambda film_id: verdicts.get(film_id, "unknown"))
        ),
        "by_basis": _counts(films["basis"]),
        "claimed_by_user": int(films["is_claim"].sum()),
    }


def _clips(clips: pd.DataFrame) -> dict[str, Any]:
    return {
        "count": len(clips),
        "hours": _hours(clips["duration_s"]),
        "length_s": _quantiles(clips["duration_s"]),
        "films": int(clips["film_id"].nunique()),
        "music_lufs": _quantiles(clips["music_lufs"]),
        "music_silent": int(clips["music_lufs"].isna().sum()),
        "dialogue_share": _quantiles(clips["dialogue_share"]),
        **{name: _quantiles(clips[name]) for name in RESIDUALS},
    }


def _labels(labels: pd.DataFrame) -> dict[str, Any]:
    counts = _counts(labels["quadrant"])
    return {
        "count": len(labels),
        "by_quadrant": {quadrant: counts.get(quadrant, 0) for quadrant in QUADRANTS},
        "undecided": int(labels["quadrant"].isna().sum()),
        "by_annotators": _counts(labels["n_annotators"]),
        "by_rule": _counts(labels["rule"]),
        "captions": int((labels["caption_source"] != "none").sum()),
    }


def _splits(table: pd.DataFrame) -> dict[str, Any]:
    splits = {
        split: {
            "films": len(part),
            "clips": int(part["n_clips"].sum()),
            "hours": _hours(part["duration_s"]),
        }
        for split in SPLIT_NAMES
        for part in [table[table["split"] == split]]
    }
    return {**splits, "left_out": int(table["split"].isna().sum())}


def _frame(folder: Path, table: Table, columns: list[str]) -> pd.DataFrame | None:
    if not (folder / f"{table.name}.parquet").exists():
        return None
    frame: pd.DataFrame = tables_io.read_arrow(folder, table, columns).to_pandas()
    return frame


def _hours(seconds: pd.Series) -> float:
    return round(float(seconds.sum()) / 3600, 4)


def _quantiles(values: pd.Series) -> dict[str, float] | None:
    """Return minimum, quartiles and maximum, without missing values; None: no values."""
    values = values.dropna()
    if values.empty:
        return None
    return {name: round(float(values.quantile(part)), 3) for name, part in QUANTILES.items()}


def _counts(values: pd.Series) -> dict[str, int]:
    counted = values.dropna().value_counts().sort_index()
    return {str(value): int(count) for value, count in counted.items()}
