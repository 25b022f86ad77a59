"""The index: the corpus at a glance, as plain values for its template."""

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

# Films named with a warning; the table of films finds the others.
NAMED = 5
MOST_DISAGREED = 10
# Rejected or failed films named; `ossl status` names all.
MOST_REJECTED = 50


def index_data(
    contents: Contents,
    warned: Iterable[Warned],
    agreed: Sequence[Agreement],
    disagreed: Sequence[Disagreement],
    status: Mapping[str, list[dict[str, Any]]],
    moods: Mapping[str, str],
) -> dict[str, Any]:
    """Everything on the index page.

    Args:
        contents: the corpus' tables.
        warned: all warnings.
        agreed: agreement over all films, a question each.
        disagreed: clips, most disagreed on first.
        status: as of `upkeep.status`.
        moods: quadrant to its words.
    """
    told = sorted(warned)
    films = _films(contents, told)
    names = {film["film_id"]: film["title"] for film in films}
    words = {film_id: verdict.word for film_id, verdict in contents.verdicts.items()}
    found = summary(contents.folder, words)
    return {
        "glance": _glance(found, len(films)),
        "films": films,
        "warnings": _warnings(told, names),
        "plots": [plot for plot in _plots(contents) if plot],
        "moods": _moods(contents, found, moods),
        "agreed": [vars(one) for one in agreed if one.film_id is None],
        "disagreed": [
            {
                **vars(one),
                "title": names[one.film_id],
                "page": page_of(one.film_id),
            }
            for one in disagreed[:MOST_DISAGREED]
            if one.score > 0
        ],
        "splits": _splits(contents, found),
        "rejected": status["rejected"][:MOST_REJECTED],
        "failed": status["failed"][:MOST_REJECTED],
        "n_rejected": len(status["rejected"]),
        "n_failed": len(status["failed"]),
        "candidates": [
            {**one, "reason": one["reason"].replace("_", " ")} for one in status["candidates"]
        ],
    }


def _glance(found: Mapping[str, Any], n_films: int) -> list[dict[str, str]]:
    """The figures on top."""
    tiles = [{"says": "films" if n_films != 1 else "film", "figure": f"{n_films:,}"}]
    if "films" in found and found["films"]["hours"]:
        tiles[0]["more"] = f"{_hours(found['films']['hours'])} of film"
    if "clips" in found:
        clips = found["clips"]
        tiles.append({"says": "clips", "figure": f"{clips['count']:,}"})
        if clips["length_s"]:
            tiles[-1]["more"] = f"half of them below {clips['length_s']['median']:.0f} s"
        tiles.append({"says": "of clips", "figure": _hours(clips["hours"])})
    if "cues" in found:
        tiles[-1]["more"] = f"of {_hours(found['cues']['hours'])} of music found"
    if "labels" in found:
        labels = found["labels"]
        decided = labels["count"] - labels["undecided"]
        tiles.append({"says": "clips with a mood", "figure": f"{decided:,}"})
        if labels["undecided"]:
            tiles[-1]["more"] = f"{labels['undecided']:,} undecided"
    decades = list(found.get("films", {}).get("by_decade", {}))
    if decades:
        span = f"{decades[0]}s" if len(decades) == 1 else f"{decades[0]}s to {decades[-1]}s"
        tiles.append({"says": "years", "figure": span})
        unknown = found["films"]["year_unknown"]
        if unknown:
            tiles[-1]["more"] = f"{unknown:,} unknown"
    return [{"more": "", **tile} for tile in tiles]


def _hours(hours: float) -> str:
    if hours >= 1:
        return f"{hours:,.1f} h"
    seconds = round(hours * 3600)
    return f"{seconds // 60} min {seconds % 60} s" if seconds >= 60 else f"{seconds} s"


def _films(contents: Contents, told: Sequence[Warned]) -> list[dict[str, Any]]:
    """A row per film."""
    columns = {
        "films": contents.columns_of(FILMS, ["film_id", "title", "year", "duration_s"]),
        "clips": contents.columns_of(CLIPS, ["film_id", "duration_s"]),
        "labels": contents.columns_of(LABELS, ["film_id", "quadrant"]),
        "splits": contents.columns_of(SPLITS, ["film_id", "split"]),
    }
    known = {row["film_id"]: row for row in columns["films"]}
    splits = {row["film_id"]: row["split"] for row in columns["splits"]}
    clips: Counter[str] = Counter()
    seconds: Counter[str] = Counter()
    for row in columns["clips"]:
        clips[row["film_id"]] += 1
        seconds[row["film_id"]] += row["duration_s"]
    quadrants = Counter((row["film_id"], row["quadrant"]) for row in columns["labels"])
    warnings: dict[str, Counter[str]] = {}
    for one in told:
        warnings.setdefault(one.film_id, Counter())[one.kind] += 1
    rows = []
    for film_id in contents.film_ids:
        film = known.get(film_id, {})
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


def _warnings(told: Sequence[Warned], names: Mapping[str, str]) -> list[dict[str, Any]]:
    """The warnings by kind, with the films that have most of them."""
    found = []
    for kind in KINDS:
        films = Counter(one.film_id for one in told if one.kind == kind.name)
        if films:
            most = sorted(films.items(), key=lambda entry: (-entry[1], entry[0]))
            found.append(
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
    return found


def _plots(contents: Contents) -> list[Any]:
    clips = contents.columns_of(CLIPS, ["duration_s", "music_lufs"])
    films = contents.columns_of(FILMS, ["year"])
    lufs = [row["music_lufs"] for row in clips if row["music_lufs"] is not None]
    years = [float(row["year"]) for row in films if row["year"] is not None]
    scenes = contents.tables[SCENES.name].table
    shots = [] if scenes is None else _lengths(scenes)
    return [
        histogram("lengths", "Clip lengths", "seconds", [row["duration_s"] for row in clips], 1),
        histogram("loudness", "Loudness of the music", "LUFS, integrated, by clip", lufs, 1),
        histogram("years", "Years of the films", "year of publication", years, 1, True),
        histogram("scenes", "Scene lengths", "seconds, those below 60 s", shots),
    ]


def _lengths(scenes: Any) -> list[float]:
    import pyarrow.compute as pc

    found: list[float] = pc.subtract(scenes["end_s"], scenes["start_s"]).to_pylist()
    return [length for length in found if length < 60]


def _moods(
    contents: Contents, found: Mapping[str, Any], moods: Mapping[str, str]
) -> dict[str, Any] | None:
    if "labels" not in found:
        return None
    rows = contents.columns_of(LABELS, ["valence", "energy", "tension", "quadrant"])
    points = []
    for row in rows:
        arousal = [row[name] for name in ("energy", "tension") if row[name] is not None]
        if arousal and row["valence"] is not None:
            points.append((row["valence"], sum(arousal) / len(arousal), row["quadrant"]))
    counts = found["labels"]["by_quadrant"]
    return {
        "plane": mood_plane(points),
        "quadrants": [{**one, "words": moods.get(one["name"], "")} for one in shares(counts)],
        "counts": [{"name": n, "count": counts[n], "words": moods.get(n, "")} for n in QUADRANTS],
        "undecided": found["labels"]["undecided"],
        "count": found["labels"]["count"],
    }


def _splits(contents: Contents, found: Mapping[str, Any]) -> dict[str, Any] | None:
    if "splits" not in found:
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
        figure = found["splits"][split]
        rows.append(
            {"split": split, **figure, "hours": _hours(figure["hours"]), "moods": shares(counts)}
        )
    return {"rows": rows, "left_out": found["splits"]["left_out"]}
