"""One film's page: what is told of it, as plain values for the template and the player."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any
from urllib.parse import quote

from ossl_builder.annotations.records import Annotation
from ossl_builder.files import existing
from ossl_builder.report.charts import area_path, line_path, time_ticks
from ossl_builder.report.data import Row
from ossl_builder.report.loudness_curves import STEP_S, Curves
from ossl_builder.report.warnings import KINDS, Warned
from ossl_builder.rights import Verdict
from ossl_builder.tables import LABELS

# What plays for each audio that can be chosen; the frame comes with the mix.
TRACKS = {"mix": "video_path", "music": "music_path", "dialogue": "dialogue_path"}
# Loudness from here to there is drawn; what is quieter lies on the ground.
DRAWN_LUFS = (-60.0, -5.0)
# More points than a screen has are not seen.
POINTS = 900


@dataclass(frozen=True)
class Place:
    """Where a report lies, and so how its pages name the corpus' files.

    Attributes:
        corpus: the corpus' folder.
        out: the report's folder.
    """

    corpus: Path
    out: Path

    def address(self, path: str) -> str:
        """A file of the corpus, relative to the report's folder."""
        base = Path(os.path.relpath(self.corpus, self.out)).as_posix()
        return quote(str(PurePosixPath(base) / path))


def page_of(film_id: str) -> str:
    """The name of a film's page."""
    return f"film-{film_id}.html"


def film_data(
    film_id: str,
    tables: Mapping[str, list[Row]],
    answers: Sequence[Annotation],
    warned: Iterable[Warned],
    place: Place,
    verdict: Verdict | None,
) -> dict[str, Any]:
    """Everything on a film's page but its curves; equal data make an equal page.

    Args:
        film_id: the film.
        tables: its rows, by table.
        answers: its annotations.
        warned: its warnings, those from curves not among them.
        place: where the report lies.
        verdict: today's verdict on the film; None: the corpus has no record of it.
    """
    film = tables["films"][0] if tables["films"] else None
    ordered = sorted(tables["clips"], key=_order)
    labels = {row["clip_id"]: row for row in tables["labels"]}
    clips = [_clip(clip, labels.get(clip["clip_id"]), answers, place) for clip in ordered]
    ends = [row["end_s"] for name in ("scenes", "cues", "clips") for row in tables[name]]
    ends += [row["duration_s"] for row in tables["stems"]]
    length = film["duration_s"] if film else None
    length = length or max((end for end in ends if end), default=None)
    has_times = bool(
        tables["scenes"] or tables["cues"] or any(c["start_s"] is not None for c in clips)
    )
    return {
        "film_id": film_id,
        "title": film["title"] if film else film_id,
        "year": film["year"] if film else None,
        "length_s": length,
        "has_timeline": bool(length) and has_times,
        "split": tables["splits"][0] if tables["splits"] else None,
        "facts": _facts(film),
        "rights": _rights(film, verdict),
        "licence_url": _web(film["licence_url"] if film else None),
        "scenes": [_scene(scene, place) for scene in sorted(tables["scenes"], key=_order)],
        "cues": sorted(tables["cues"], key=_order),
        "clips": clips,
        "stems": tables["stems"],
        "warned": [vars(one) for one in sorted(warned)],
    }


def with_curves(
    data: dict[str, Any], curves: Curves | None, warned: Iterable[Warned]
) -> dict[str, Any]:
    """The data of a page with what its curves show: drawings, and the warnings from them."""
    told = sorted([*(Warned(**one) for one in data["warned"]), *warned])
    titles = {kind.name: kind for kind in KINDS}
    of_clip: dict[str, list[dict[str, str]]] = {}
    for one in told:
        entry = {"title": titles[one.kind].title, "sentence": one.sentence}
        of_clip.setdefault(one.clip_id, []).append(entry)
    length = data["length_s"]
    return {
        **data,
        "ticks": time_ticks(length) if length else [],
        "drawn": _drawn(curves, length) if curves and length else None,
        "clips": [{**clip, "warned": of_clip.get(clip["clip_id"], [])} for clip in data["clips"]],
        "film_warned": of_clip.get("", []),
        "kinds": [
            {"title": kind.title, "why": kind.why, "count": count}
            for kind in KINDS
            if (count := sum(one.kind == kind.name for one in told))
        ],
        "player": _player(data),
    }


def _order(row: Row) -> tuple[float, str]:
    start = row.get("start_s")
    return (float("inf") if start is None else start, row.get("clip_id", ""))


def _clip(
    clip: Row, label: Row | None, answers: Sequence[Annotation], place: Place
) -> dict[str, Any]:
    there = {
        audio: place.address(clip[column])
        for audio, column in TRACKS.items()
        if existing(place.corpus, clip[column])
    }
    return {
        "clip_id": clip["clip_id"],
        "start_s": clip["start_s"],
        "end_s": clip["end_s"],
        "duration_s": clip["duration_s"],
        "music_lufs": clip["music_lufs"],
        "dialogue_share": clip["dialogue_share"],
        "files": there,
        "label": label,
        "further": _further_answers(label),
        "answers": [
            {"annotator": one.annotator, "state": one.state, "source": one.source,
             "answers": {name: _said(answer) for name, answer in sorted(one.answers.items())}}
            for one in answers
            if one.clip_id == clip["clip_id"]
        ],
    }  # fmt: skip


def _further_answers(label: Row | None) -> dict[str, str]:
    """Return the combined answers to questions that only this corpus' label schema has."""
    fixed = {column.name for column in LABELS.columns}
    values = {name: value for name, value in (label or {}).items() if name not in fixed}
    return {
        name: f"{value:.1f}" if isinstance(value, float) else str(value)
        for name, value in values.items()
        if value is not None
    }


def missing_files(clip: Row, corpus: Path) -> list[str]:
    """What of a clip's files is not there: `video`, `mix`, `music`, `dialogue`."""
    paths = {name: clip[f"{name}_path"] for name in ("video", "mix", "music", "dialogue")}
    return [name for name, path in paths.items() if path and not existing(corpus, path)]


def _said(answer: object) -> str:
    return ", ".join(answer) if isinstance(answer, tuple) else str(answer)


def _scene(scene: Row, place: Place) -> dict[str, Any]:
    path = scene["thumbnail_path"]
    return {
        "scene_id": scene["scene_id"],
        "start_s": scene["start_s"],
        "end_s": scene["end_s"],
        "begins": scene["transition_in"],
        "thumbnail": place.address(path) if existing(place.corpus, path) else None,
    }


def _facts(film: Row | None) -> list[tuple[str, str]]:
    """What a film's file is, in words; nothing of a film that is not here."""
    if film is None or film["path"] is None:
        return []
    audio = "none"
    if film["audio_codec"]:
        channels = {1: "mono", 2: "stereo"}.get(film["audio_channels"])
        channels = channels or f"{film['audio_channels']} channels"
        audio = f"{film['audio_codec']}, {film['audio_sample_rate']} Hz, {channels}"
    size = f"{film['width']} × {film['height']}, {film['fps']:.5g} frames a second"
    return [
        ("Video", f"{size}, {film['video_codec']}"),
        ("Audio", audio),
        ("File", f"{film['size_bytes'] / 1e6:.1f} MB, SHA-256 {film['sha256'][:16]}…"),
    ]


def _rights(film: Row | None, verdict: Verdict | None) -> list[tuple[str, str]]:
    """The verdict on a film's rights today, and the evidence as recorded."""
    if film is None:
        return [("Verdict", verdict.sentence)] if verdict else []
    source = film["source"]
    if "://" not in source and not source.startswith("ia:"):
        source = Path(source).name  # where it lay is nobody else's business
    told = [
        ("Verdict", verdict.sentence if verdict else "Nothing is recorded that permits its use."),
        ("Basis", film["basis"].replace("_", " ")),
        ("Evidence", film["evidence"]),
        (
            "Rests on",
            "the word of who added it" if film["is_claim"] else "the catalogue",
        ),
        ("Country", film["country"]),
        ("Source", source),
        ("File at the source", _chosen(film)),
        ("The source says", film["rights_statement"] or ""),
        ("Licence", film["licence_url"] or ""),
    ]
    return [(name, text) for name, text in told if text]


def _chosen(film: Row) -> str:
    return f"{film['chosen_file']} ({film['chosen_why']})" if film["chosen_file"] else ""


def _web(address: str | None) -> str | None:
    """An address that may be followed: of the web, not a script."""
    return address if address and address.startswith(("https://", "http://")) else None


def _drawn(curves: Curves, length_s: float) -> dict[str, Any]:
    low, high = DRAWN_LUFS
    paths = {}
    for role, draw in (("music", area_path), ("dialogue", line_path)):
        if role in curves.short:
            values = [value / 10 for value in curves.short[role]]
            paths[role] = draw(values, STEP_S, length_s, (low, high), POINTS)
    return paths


def _player(data: Mapping[str, Any]) -> dict[str, Any]:
    """What the player reads."""
    return {
        "length": data["length_s"],
        "scenes": [
            [one["scene_id"], one["start_s"], one["end_s"], one["begins"], one["thumbnail"]]
            for one in data["scenes"]
        ],
        "cues": [[cue["cue_id"], cue["start_s"], cue["end_s"]] for cue in data["cues"]],
        "clips": [
            {"id": clip["clip_id"], "start": clip["start_s"], "end": clip["end_s"],
             "length": clip["duration_s"], "files": clip["files"],
             "mood": (clip["label"] or {}).get("mood"),
             "quadrant": (clip["label"] or {}).get("quadrant")}
            for clip in data["clips"]
        ],
    }  # fmt: skip
