"""Evaluation sets of others: one folder with music, videos where there are any, and their texts.

`ossl train generate --eval-set` and `ossl train evaluate --eval-set` read it. It is no corpus: a
clip needs no video, because some sets are shared without. `eval_set.json` lists the clips; it is
written last, so that an interrupted import has no clips.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from ossl_builder import files, parse
from ossl_builder.errors import OsslError, Rejected
from ossl_builder.exports.link_or_copy import Medium
from ossl_builder.files import UNSAFE_NAME, inside
from ossl_builder.imports.release_format import Problem

MANIFEST = "eval_set.json"
VERSION = 1
LONGEST_S = 3600.0
"""A longer file is no clip: a small file can hold days of silence."""
LONGEST_TEXT = 2000
"""A longer mood or caption is not used, in characters."""
MOST_BYTES = 1 << 26
RATE = 48_000
APART_S = 0.5
AUDIO = (".wav", ".flac", ".mp3", ".m4a", ".ogg", ".opus")
VIDEO = (".mp4", ".mkv", ".mov", ".webm", ".avi")


@dataclass(frozen=True)
class EvalEntry:
    """A clip of a set of others, not yet opened; paths are relative to its folder.

    Attributes:
        clip_id: its id in the evaluation set.
        music: its own music; it may be the video, with its sound.
        video: its video; None: the set has none.
        film_id: the film it is from; None: not known.
        mood, caption: the texts of the set; None: it has none.
    """

    clip_id: str
    music: str
    video: str | None = None
    film_id: str | None = None
    mood: str | None = None
    caption: str | None = None


@dataclass(frozen=True)
class FoundSet:
    """The contents of a set of others; no media file has been opened.

    Attributes:
        layout: `oes` or `v2m-bench`.
        entries: the clips, sorted by id.
        problems: missing files and wrong lines.
        notes: sentences about the whole set.
    """

    layout: str
    entries: tuple[EvalEntry, ...]
    problems: tuple[Problem, ...] = ()
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class SetClip:
    """A clip of an evaluation set; paths are relative to its folder.

    Attributes:
        clip_id: its id: generated music has this name.
        film_id: the film it is from; None: not known.
        duration_s: duration of its video, or of its music if it has no video.
        music, music_sha256: its own music.
        video, video_sha256: its video; None: it has none.
        mood, caption: its texts; None: it has none.
    """

    clip_id: str
    film_id: str | None
    duration_s: float
    music: str
    music_sha256: str
    video: str | None
    video_sha256: str | None
    mood: str | None
    caption: str | None


@dataclass(frozen=True)
class EvaluationSet:
    """An evaluation set that was imported.

    Attributes:
        root: its folder.
        name: the name of the set, for example `OES-Pub`.
        clips: sorted by id.
    """

    root: Path
    name: str
    clips: tuple[SetClip, ...]


def measure(folder: Path, entry: EvalEntry, problems: list[Problem]) -> SetClip | None:
    """Decode a clip's music, and measure its video; None, with a problem: it cannot be used.

    A clip whose video cannot be used is kept without it.

    Args:
        folder: the folder of the set of others.
        entry: the clip.
        problems: gets what is wrong.

    Raises:
        OsslError: `path_outside`.
    """
    music = inside(folder, entry.music)
    music_s = _music_s(music)
    if isinstance(music_s, str):
        problems.append(Problem(entry.music, f"has no usable music: {music_s}"))
        return None
    video, video_s = entry.video, music_s
    if video is not None:
        measured = _video_s(inside(folder, video))
        if isinstance(measured, str):
            problems.append(Problem(video, f"is no usable video: {measured}", is_used=True))
            video = None
        else:
            video_s = measured
    if abs(video_s - music_s) > APART_S:
        lengths = f"lasts {music_s:.2f} s, and its video {video_s:.2f} s"
        problems.append(Problem(entry.music, lengths, is_used=True))
    return SetClip(
        clip_id=entry.clip_id,
        film_id=entry.film_id,
        duration_s=round(video_s, 6),
        music=media_path(entry, entry.music),
        music_sha256=files.sha256_file(music),
        video=None if video is None else media_path(entry, video),
        video_sha256=None if video is None else files.sha256_file(inside(folder, video)),
        mood=entry.mood,
        caption=entry.caption,
    )


def _music_s(path: Path) -> float | str:
    """Return the duration of the decodable audio, or why it cannot be used."""
    from ossl_builder.media.audio_reader import FilmAudio

    n_samples = 0
    try:
        audio = FilmAudio(path, RATE, 1)
        for block in audio.blocks():
            n_samples += block.shape[1]
            if n_samples > LONGEST_S * RATE:
                return f"it is longer than {LONGEST_S:.0f} s"
    except (OsslError, Rejected) as error:
        return error.message
    if audio.damaged:
        return f"it is damaged at {audio.damaged[0].start_s:.2f} s"
    return n_samples / RATE if n_samples else "it is empty"


def _video_s(path: Path) -> float | str:
    """Return the duration of a video, or why it cannot be used."""
    from ossl_builder.media.probe import probe

    try:
        video = probe(path, lambda part: None).video
    except OsslError as error:
        return error.message
    duration_s = video.end_s - video.start_s
    return duration_s if duration_s <= LONGEST_S else f"it is longer than {LONGEST_S:.0f} s"


def media_path(entry: EvalEntry, path: str) -> str:
    """Return the path of a clip's file, relative to the evaluation set."""
    kind = "video" if path == entry.video else "music"
    return f"{kind}/{entry.clip_id}{PurePosixPath(path).suffix.lower()}"


def prepare(out: Path, layout: str) -> None:
    """Make the target folder, or accept one of an earlier import of the same layout.

    Raises:
        OsslError: `folder_not_empty`.
    """
    manifest = files.read_json(out / MANIFEST) if out.is_dir() else None
    if isinstance(manifest, dict) and manifest.get("layout") == layout:
        return
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise OsslError("folder_not_empty", f"{out} is not an empty folder.", "Choose another.")
    # Written first, so that an interrupted import is recognised.
    write(out, layout, "", ())


def media(
    folder: Path, out: Path, entries: Iterable[EvalEntry], clips: Sequence[SetClip]
) -> list[Medium]:
    """Return the files to link or copy; delete targets that an earlier import made from others.

    Raises:
        OsslError: `path_outside`.
    """
    of_ids = {entry.clip_id: entry for entry in entries}
    media_files: dict[Path, Medium] = {}
    for clip in clips:
        entry = of_ids[clip.clip_id]
        for source, target, sha256 in (
            (entry.music, clip.music, clip.music_sha256),
            (entry.video, clip.video, clip.video_sha256),
        ):
            if source is None or target is None or sha256 is None:
                continue
            path = inside(out, target)
            if path.is_file() and files.sha256_file(path) != sha256:
                path.unlink()
            media_files[path] = Medium(inside(folder, source), path, sha256)
    return list(media_files.values())


def write(out: Path, layout: str, name: str, clips: Sequence[SetClip]) -> None:
    """Write `eval_set.json`; equal clips give equal bytes."""
    manifest = {
        "version": VERSION,
        "layout": layout,
        "name": name,
        "clips": [asdict(clip) for clip in sorted(clips, key=lambda clip: clip.clip_id)],
    }
    text = json.dumps(manifest, indent=1, ensure_ascii=False, allow_nan=False)
    files.write_bytes(out / MANIFEST, text.encode() + b"\n")


def read_eval_set(root: Path) -> EvaluationSet:
    """Read an evaluation set; its files are not opened.

    Raises:
        OsslError: `eval_set_invalid`, `path_outside`.
    """
    try:
        value = parse.json_value(parse.regular_bytes(root / MANIFEST, MOST_BYTES))
        if not isinstance(value, dict) or value.get("version") != VERSION:
            raise ValueError("its version is not known")
        name, rows = value.get("name"), value.get("clips")
        if not isinstance(name, str) or not isinstance(rows, list):
            raise ValueError("it has no name, or no list of clips")
        if not rows:
            raise ValueError("it has no clips: perhaps its import was interrupted")
        clips = tuple(map(_clip, rows))
        if len({clip.clip_id for clip in clips}) < len(clips):
            raise ValueError("two clips have one id")
    except (OSError, ValueError) as error:
        raise OsslError(
            "eval_set_invalid",
            f"{root / MANIFEST} is not the list of an evaluation set: {parse.cut(str(error))}.",
            "Make the folder with `ossl import oes` or `ossl import v2m-bench`.",
        ) from error
    for clip in clips:
        for path in (clip.music, clip.video):
            if path is not None:
                inside(root, path)
    return EvaluationSet(root, name, tuple(sorted(clips, key=lambda clip: clip.clip_id)))


def _clip(row: Any) -> SetClip:
    if not isinstance(row, dict) or row.keys() != SetClip.__annotations__.keys():
        raise ValueError("a clip has other fields")
    needed = ("clip_id", "music", "music_sha256")
    for field, value in row.items():
        if field == "duration_s":
            if type(value) not in (int, float) or not 0 < value <= LONGEST_S:
                raise ValueError(f"a clip lasts {parse.shown(value)} s")
        elif not isinstance(value, str) and (value is not None or field in needed):
            raise ValueError(f"{field} of a clip is {parse.shown(value)}")
        elif field in ("mood", "caption") and value is not None and len(value) > LONGEST_TEXT:
            raise ValueError(f"{field} of a clip is longer than {LONGEST_TEXT} characters")
    if UNSAFE_NAME.search(row["clip_id"]):
        raise ValueError(f"{parse.shown(row['clip_id'])} is no id of a clip")
    if (row["video"] is None) != (row["video_sha256"] is None):
        raise ValueError("a video has no checksum")
    return SetClip(**row)


def changed_names(ids: Mapping[str, str]) -> list[str]:
    """Return a sentence on names that are no valid ids, or nothing.

    Args:
        ids: the id of each name.
    """
    changed = sorted(name for name, new_id in ids.items() if name != new_id)
    if not changed:
        return []
    return [
        f"{len(changed)} names were changed, for example {changed[0]} to {ids[changed[0]]}: "
        "generated music needs the new names."
    ]


def short_text(text: str, where: str, problems: list[Problem]) -> str | None:
    """Return a mood or caption, or None if it is empty or too long, which is a problem."""
    if len(text) > LONGEST_TEXT:
        reason = f"has a text of {len(text)} characters, which is not used"
        problems.append(Problem(where, reason, is_used=True))
        return None
    return text or None
