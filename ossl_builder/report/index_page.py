"""Prepare the data of the index page as plain values for its template."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from ossl_builder.annotations.agreement import Agreement, Disagreement
from ossl_builder.exports.summary import summary
from ossl_builder.report.charts import clock, histogram, mood_plane, shares
from ossl_builder.report.data import Contents
from ossl_builder.report.film_page import page_of
from ossl_builder.report.warnings import KINDS, Warned
from ossl_builder.tables import CLIPS, FILMS, LABELS, SCENES, SPLITS
from ossl_builder.tables.labels import QUADRANTS
from ossl_builder.tables.splits import SPLIT_NAMES

# Films named per kind of warning; the table of films shows the others.
NAMED = 5
MOST_DISAGREED = 10
# Rejected or failed films named; `ossl status` shows all.
MOST_REJECTED = 50


def index_data(
    contents: Contents,
    warned: Iterable[Warned],
    agreed: Sequence[Agreement],
    disagreed: Sequence[Disagreement],
    status: Mapping[str, list[dict[str, Any]]],
    moods: Mapping[str, str],
) -> dict[str, Any]:
    """Return the data of the index page.

    Args:
        contents: the corpus' tables.
        warned: all warnings.
        agreed: agreement per question; only rows over all films are used.
        disagreed: the clips, the largest disagreement first.
        status: the result of `pipeline.status.status`.
        moods: the mood words of each quadrant.
    """
    all_warnings = sorted(warned)
    films = _film_rows(contents, all_warnings)
    names = {film["film_id"]: film["title"] for film in films}
    verdict_words = {film_id: verdict.word for film_id, verdict in contents.verdicts.items()}
    statistics = summary(contents.folder, verdict_words)
    return {
        "glance": _tiles(statistics, len(films)),
        "films": films,
        "warnings": _warning_kinds(all_warnings, names),
        "plots": [plot for plot in _histograms(contents) if plot],
        "moods": _mood_data(contents, statistics, moods),
        "agreed": [vars(agreement) for agreement in agreed if agreement.film_id is None],
        "disagreed": [
            {
                **vars(clip),
                "title": names[clip.film_id],
                "page": page_of(clip.film_id),
            }
            for clip in disagreed[:MOST_DISAGREED]
            if clip.score > 0
        ],
        "splits": _split_data(contents, statistics),
        "rejected": status["rejected"][:MOST_REJECTED],
        "failed": status["failed"][:MOST_REJECTED],
        "n_rejected": len(status["rejected"]),
        "n_failed": len(status["failed"]),
        "candidates": [
            {**candidate, "reason": candidate["reason"].replace("_", " ")}
            for candidate in status["candidates"]
        ],
    }


def _tiles(statistics: Mapping[str, Any], n_films: int) -> list[dict[str, str]]:
    """Return the tiles at the top of the page, with one number each."""
    tiles = [{"says": "films" if n_films != 1 else "film", "figure": f"{n_films:,}"}]
    if "films" in statistics and statistics["films"]["hours"]:
        tiles[0]["more"] = f"{_hours_text(statistics['films']['hours'])} of film"
    if "clips" in statistics:
        clips = statistics["clips"]
        tiles.append({"says": "clips", "figure": f"{clips['count']:,}"})
        if clips["length_s"]:
            tiles[-1]["more"] = f"half of them below {clips['length_s']['median']:.0f} s"
        tiles.append({"says": "of clips", "figure": _hours_text(clips["hours"])})
    if "cues" in statistics:
        tiles[-1]["more"] = f"of {_hours_text(statistics['cues']['hours'])} of music found"
    if "labels" in statistics:
        labels = statistics["labels"]
        decided = labels["count"] - labels["undecided"]
        tiles.append({"says": "clips with a mood", "figure": f"{decided:,}"})
        if labels["undecided"]:
            tiles[-1]["more"] = f"{labels['undecided']:,} undecided"
    decades = list(statistics.get("films", {}).get("by_decade", {}))
    if decades:
        span = f"{decades[0]}s" if len(decades) == 1 else f"{decades[0]}s to {decades[-1]}s"
        tiles.append({"says": "years", "figure": span})
        unknown = statistics["films"]["year_unknown"]
        if unknown:
            tiles[-1]["more"] = f"{unknown:,} unknown"
    return [{"more": "", **tile} for tile in tiles]


def _hours_text(hours: float) -> str:
    if hours >= 1:
        return f"{hours:,.1f} h"
    seconds = round(hours * 3600)
    return f"{seconds // 60} min {seconds % 60} s" if seconds >= 60 else f"{seconds} s"


def _film_rows(contents: Contents, all_warnings: Sequence[Warned]) -> list[dict[str, Any]]:
    """Return one row per film."""
    columns = {
        "films": contents.columns_of(FILMS, ["film_id", "title", "year", "duration_s"]),
        "clips": contents.columns_of(CLIPS, ["film_id", "duration_s"]),
        "labels": contents.columns_of(LABELS, ["film_id", "quadrant"]),
        "splits": contents.columns_of(SPLITS, ["film_id", "split"]),
    }
    film_rows = {row["film_id"]: row for row in columns["films"]}
    splits = {row["film_id"]: row["split"] for row in columns["splits"]}
    clips: Counter[str] = Counter()
    seconds: Counter[str] = Counter()
    for row in columns["clips"]:
        clips[row["film_id"]] += 1
        seconds[row["film_id"]] += row["duration_s"]
    quadrants = Counter((row["film_id"], row["quadrant"]) for row in columns["labels"])
    warnings: dict[str, Counter[str]] = {}
    for warning in all_warnings:
        warnings.setdefault(warning.film_id, Counter())[warning.kind] += 1
    rows = []
    for film_id in contents.film_ids:
        film = film_rows.get(film_id, {})
        counts = {name: quadrants[film_id, name] for name in QUADRANTS}
        rows.append(
            {
                "film_id": film_id,
                "title": film.get("title") or film_id,
                "page": page_of(film_id),
                "year": film.get("year"),
                "length_s": film.get("duration_s"),
                "length": clock(film["duration_s"]) if film.get("duration_s") else "",
                "clips": clips[film_id],
                "clip_s": round(seconds[film_id]),
                "clip_length": clock(seconds[film_id]),
                "moods": shares(counts),
                "split": splits.get(film_id) or "",
                "warnings": sum(warnings.get(film_id, Counter()).values()),
                "kinds": " ".join(sorted(warnings.get(film_id, {}))),
            }
        )
    return rows


def _warning_kinds(
    all_warnings: Sequence[Warned], names: Mapping[str, str]
) -> list[dict[str, Any]]:
    """Return the warnings by kind, with the films that have the most of them."""
    kinds = []
    for kind in KINDS:
        films = Counter(warning.film_id for warning in all_warnings if warning.kind == kind.name)
        if films:
            most = sorted(films.items(), key=lambda entry: (-entry[1], entry[0]))
            kinds.append(
                {
                    "name": kind.name,
                    "title": kind.title,
                    "why": kind.why,
                    "count": sum(films.values()),
                    "n_films": len(films),
                    "films": [
                        {"title": names.get(film, film), "page": page_of(film), "count": count}
                        for film, count in most[:NAMED]
                    ],
                    "more": len(most) - NAMED,
                }
            )
    return kinds


def _histograms(contents: Contents) -> list[Any]:
    clips = contents.columns_of(CLIPS, ["duration_s", "music_lufs"])
    films = contents.columns_of(FILMS, ["year"])
    lufs = [row["music_lufs"] for row in clips if row["music_lufs"] is not None]
    years = [float(row["year"]) for row in films if row["year"] is not None]
    scenes = contents.tables[SCENES.name].table
    shots = [] if scenes is None else _scene_lengths(scenes)
    return [
        histogram("lengths", "Clip lengths", "seconds", [row["duration_s"] for row in clips], 1),
        histogram("loudness", "Loudness of the music", "LUFS, integrated, by clip", lufs, 1),
        histogram("years", "Years of the films", "year of publication", years, 1, True),
        histogram("scenes", "Scene lengths", "seconds, those below 60 s", shots),
    ]


def _scene_lengths(scenes: Any) -> list[float]:
    import pyarrow.compute as pc

    lengths: list[float] = pc.subtract(scenes["end_s"], scenes["start_s"]).to_pylist()
    return [length for length in lengths if length < 60]


def _mood_data(
    contents: Contents, statistics: Mapping[str, Any], moods: Mapping[str, str]
) -> dict[str, Any] | None:
    if "labels" not in statistics:
        return None
    rows = contents.columns_of(LABELS, ["valence", "energy", "tension", "quadrant"])
    points = []
    for row in rows:
        arousal = [row[name] for name in ("energy", "tension") if row[name] is not None]
        if arousal and row["valence"] is not None:
            points.append((row["valence"], sum(arousal) / len(arousal), row["quadrant"]))
    counts = statistics["labels"]["by_quadrant"]
    return {
        "plane": mood_plane(points),
        "quadrants": [{**share, "words": moods.get(share["name"], "")} for share in shares(counts)],
        "counts": [{"name": n, "count": counts[n], "words": moods.get(n, "")} for n in QUADRANTS],
        "undecided": statistics["labels"]["undecided"],
        "count": statistics["labels"]["count"],
    }


def _split_data(contents: Contents, statistics: Mapping[str, Any]) -> dict[str, Any] | None:
    if "splits" not in statistics:
        return None
    split_of = {
        row["film_id"]: row["split"] for row in contents.columns_of(SPLITS, ["film_id", "split"])
    }
    quadrants = Counter(
        (split_of.get(row["film_id"]), row["quadrant"])
        for row in contents.columns_of(LABELS, ["film_id", "quadrant"])
    )
    rows = []
    for split in SPLIT_NAMES:
        counts = {name: quadrants[split, name] for name in QUADRANTS}
        counts_of_split = statistics["splits"][split]
        rows.append(
            {
                "split": split,
                **counts_of_split,
                "hours": _hours_text(counts_of_split["hours"]),
                "moods": shares(counts),
            }
        )
    return {"rows": rows, "left_out": statistics["splits"]["left_out"]}
