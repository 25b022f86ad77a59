"""Prepare the data of a film's page as plain values for the template and the player."""

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

# The media column for each audio that can be played; the video file contains the mix.
TRACKS = {"mix": "video_path", "music": "music_path", "dialogue": "dialogue_path"}
# The loudness range of the plot; quieter values are drawn at the bottom.
DRAWN_LUFS = (-60.0, -5.0)
# A screen cannot show more points.
POINTS = 900


@dataclass(frozen=True)
class Place:
    """The folders of the report and of the corpus, to make links between them.

    Attributes:
        corpus: the corpus' folder.
        out: the report's folder.
    """

    corpus: Path
    out: Path

    def address(self, path: str) -> str:
        """Return the URL of a file of the corpus, relative to the report's folder."""
        base = Path(os.path.relpath(self.corpus, self.out)).as_posix()
        return quote(str(PurePosixPath(base) / path))


def page_of(film_id: str) -> str:
    """Return the file name of a film's page."""
    return f"film-{film_id}.html"


def film_data(
    film_id: str,
    tables: Mapping[str, list[Row]],
    answers: Sequence[Annotation],
    warned: Iterable[Warned],
    folders: Place,
    verdict: Verdict | None,
) -> dict[str, Any]:
    """Return the data of a film's page without its curves; equal data give an equal page.

    Args:
        film_id: the film.
        tables: its rows, by table.
        answers: its annotations.
        warned: its warnings, without those from curves.
        folders: the folders of corpus and report.
        verdict: today's verdict on the film; None: the corpus has no record of it.
    """
    film = tables["films"][0] if tables["films"] else None
    ordered = sorted(tables["clips"], key=_start_order)
    labels = {row["clip_id"]: row for row in tables["labels"]}
    clips = [_clip_data(clip, labels.get(clip["clip_id"]), answers, folders) for clip in ordered]
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
        "facts": _file_facts(film),
        "rights": _rights_facts(film, verdict),
        "licence_url": _web_url(film["licence_url"] if film else None),
        "scenes": [
            _scene_data(scene, folders) for scene in sorted(tables["scenes"], key=_start_order)
        ],
        "cues": sorted(tables["cues"], key=_start_order),
        "clips": clips,
        "stems": tables["stems"],
        "warned": [vars(warning) for warning in sorted(warned)],
    }


def with_curves(
    data: dict[str, Any], curves: Curves | None, warned: Iterable[Warned]
) -> dict[str, Any]:
    """Return the data of a page with the plots of its curves and the warnings from them."""
    all_warnings = sorted([*(Warned(**warning) for warning in data["warned"]), *warned])
    titles = {kind.name: kind for kind in KINDS}
    of_clip: dict[str, list[dict[str, str]]] = {}
    for warning in all_warnings:
        entry = {"title": titles[warning.kind].title, "sentence": warning.sentence}
        of_clip.setdefault(warning.clip_id, []).append(entry)
    length = data["length_s"]
    return {
        **data,
        "ticks": time_ticks(length) if length else [],
        "drawn": _curve_paths(curves, length) if curves and length else None,
        "clips": [{**clip, "warned": of_clip.get(clip["clip_id"], [])} for clip in data["clips"]],
        "film_warned": of_clip.get("", []),
        "kinds": [
            {"title": kind.title, "why": kind.why, "count": count}
            for kind in KINDS
            if (count := sum(warning.kind == kind.name for warning in all_warnings))
        ],
        "player": _player_data(data),
    }


def _start_order(row: Row) -> tuple[float, str]:
    start = row.get("start_s")
    return (float("inf") if start is None else start, row.get("clip_id", ""))


def _clip_data(
    clip: Row, label: Row | None, answers: Sequence[Annotation], folders: Place
) -> dict[str, Any]:
    urls = {
        audio: folders.address(clip[column])
        for audio, column in TRACKS.items()
        if existing(folders.corpus, clip[column])
    }
    return {
        "clip_id": clip["clip_id"],
        "start_s": clip["start_s"],
        "end_s": clip["end_s"],
        "duration_s": clip["duration_s"],
        "music_lufs": clip["music_lufs"],
        "dialogue_share": clip["dialogue_share"],
        "residuals": [clip["dialogue_residual_music"], clip["music_residual_dialogue"]],
        "files": urls,
        "label": label,
        "further": _further_answers(label),
        "answers": [
            {"annotator": record.annotator, "state": record.state, "source": record.source,
             "answers": {
                 name: _answer_text(answer) for name, answer in sorted(record.answers.items())
             }}
            for record in answers
            if record.clip_id == clip["clip_id"]
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
    """Return the roles of a clip's missing files: `video`, `mix`, `music`, `dialogue`."""
    paths = {name: clip[f"{name}_path"] for name in ("video", "mix", "music", "dialogue")}
    return [name for name, path in paths.items() if path and not existing(corpus, path)]


def _answer_text(answer: object) -> str:
    return ", ".join(answer) if isinstance(answer, tuple) else str(answer)


def _scene_data(scene: Row, folders: Place) -> dict[str, Any]:
    path = scene["thumbnail_path"]
    return {
        "scene_id": scene["scene_id"],
        "start_s": scene["start_s"],
        "end_s": scene["end_s"],
        "begins": scene["transition_in"],
        "thumbnail": folders.address(path) if existing(folders.corpus, path) else None,
    }


def _file_facts(film: Row | None) -> list[tuple[str, str]]:
    """Return name and text of each fact about a film's file; an empty list without a file."""
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


def _rights_facts(film: Row | None, verdict: Verdict | None) -> list[tuple[str, str]]:
    """Return today's verdict on a film's rights and the recorded evidence, as name and text."""
    if film is None:
        return [("Verdict", verdict.sentence)] if verdict else []
    source = film["source"]
    if "://" not in source and not source.startswith("ia:"):
        source = Path(source).name  # local folders are private
    entries = [
        ("Verdict", verdict.sentence if verdict else "Nothing is recorded that permits its use."),
        ("Basis", film["basis"].replace("_", " ")),
        ("Evidence", film["evidence"]),
        (
            "Rests on",
            "the word of who added it" if film["is_claim"] else "the catalogue",
        ),
        ("Country", film["country"]),
        ("Source", source),
        ("File at the source", _chosen_file(film)),
        ("The source says", film["rights_statement"] or ""),
        ("Licence", film["licence_url"] or ""),
    ]
    return [(name, text) for name, text in entries if text]


def _chosen_file(film: Row) -> str:
    return f"{film['chosen_file']} ({film['chosen_why']})" if film["chosen_file"] else ""


def _web_url(address: str | None) -> str | None:
    """Return a URL if it is an HTTP URL and so safe as a link, else None."""
    return address if address and address.startswith(("https://", "http://")) else None


def _curve_paths(curves: Curves, length_s: float) -> dict[str, Any]:
    low, high = DRAWN_LUFS
    paths = {}
    for role, draw in (("music", area_path), ("dialogue", line_path)):
        if role in curves.short:
            values = [value / 10 for value in curves.short[role]]
            paths[role] = draw(values, STEP_S, length_s, (low, high), POINTS)
    return paths


def _player_data(data: Mapping[str, Any]) -> dict[str, Any]:
    """Return the data for the player script."""
    return {
        "length": data["length_s"],
        "scenes": [
            [s["scene_id"], s["start_s"], s["end_s"], s["begins"], s["thumbnail"]]
            for s in data["scenes"]
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
