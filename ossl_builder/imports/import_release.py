"""Import a released corpus: select usable clips, link or copy their files, write the tables."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from ossl_builder import files
from ossl_builder.corpus import IMPORTED, RECIPE, Corpus, open_corpus
from ossl_builder.engine import tables_io
from ossl_builder.errors import OsslError
from ossl_builder.exports import link_or_copy
from ossl_builder.exports.link_or_copy import Medium
from ossl_builder.files import inside
from ossl_builder.imports import fingerprints, rows
from ossl_builder.imports.measure import Damage, Measured, Pair, recorded
from ossl_builder.imports.ossl_v1 import LAYOUT as V1
from ossl_builder.imports.ossl_v1 import read_v1
from ossl_builder.imports.ossl_v2 import LAYOUT as V2
from ossl_builder.imports.ossl_v2 import read_v2
from ossl_builder.imports.release_format import Entry, Found, Problem
from ossl_builder.imports.rows import words_of_quadrants
from ossl_builder.pipeline.derived_tables import record_verdicts
from ossl_builder.splits.assign import SplitRecord, save_record
from ossl_builder.splits.film_stats import film_stats
from ossl_builder.splits.settings import SplitsSettings
from ossl_builder.tables import CLIPS, FILMS, LABELS, SPLITS, Clip

READERS = {V1: read_v1, V2: read_v2}
# Containers round the timestamps of frames to this precision, in seconds.
ROUNDING_S = 0.002
FIRST_RECIPE = """\
# The clips of this corpus were imported: imported.json says from where. Its films are not here, so
# nothing can be built from them. These sections count; `ossl settings` lists their keys:
#
# fingerprints:
# labels:
# splits:

version: 1
"""


@dataclass(frozen=True)
class Usable:
    """A clip whose two files can be used."""

    entry: Entry
    measured: Measured


def read(layout: str, folder: Path) -> Found:
    """Read the contents of a released corpus; see `read_v1` and `read_v2` for errors."""
    return READERS[layout](folder)


def pair_of(folder: Path, entry: Entry) -> Pair:
    """Return the files of a clip.

    Raises:
        OsslError: `path_outside`.
    """
    return Pair(entry.clip_id, inside(folder, entry.video), inside(folder, entry.music))


def prepare(out: Path, layout: str, folder: Path) -> Corpus:
    """Return the target corpus; create it, or reuse one that was imported from this layout.

    Raises:
        OsslError: `corpus_exists`, `folder_not_empty`.
    """
    state_path = out / IMPORTED
    if state_path.is_file():
        if (files.read_json(state_path) or {}).get("layout") != layout:
            raise _corpus_exists(out, f"clips of another layout than {layout}")
    elif (out / RECIPE).exists():
        raise _corpus_exists(out, "films of its own")
    elif out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise OsslError("folder_not_empty", f"{out} is not an empty folder.", "Choose another.")
    # Written first, so that an interrupted import is still recognised as an import.
    state = {"version": 1, "layout": layout, "folder": folder.resolve().name}
    files.write_bytes(state_path, (json.dumps(state, indent=1) + "\n").encode())
    (out / "manifests").mkdir(exist_ok=True)
    if not (out / RECIPE).exists():
        files.write_bytes(out / RECIPE, FIRST_RECIPE.encode())
    return open_corpus(out)


def judge(
    folder: Path, root: Path, entries: Iterable[Entry], tolerance_s: float | None
) -> tuple[list[Usable], list[Problem]]:
    """Return the measured clips that can be used, and the problems of the others.

    Args:
        folder: the folder of the release.
        root: the corpus, which has the measurements.
        entries: the clips.
        tolerance_s: the largest difference in s between video and music; None: one frame.
    """
    usable: list[Usable] = []
    problems: list[Problem] = []
    for entry in entries:
        result = recorded(root, pair_of(folder, entry))
        if isinstance(result, Measured):
            difference = _difference(result, tolerance_s)
            if difference:
                problems.append(Problem(entry.music, difference))
            else:
                usable.append(Usable(entry, result))
        elif isinstance(result, Damage):
            path = entry.video if result.which == "video" else entry.music
            problems.append(Problem(path, result.why))
        else:
            problems.append(Problem(entry.video, "has changed while it was measured"))
    return usable, problems


def media(folder: Path, root: Path, usable: Sequence[Usable]) -> list[Medium]:
    """Return the files to link or copy; delete targets that an earlier import made from others."""
    before = _hashes_by_path(root)
    media_files = []
    for clip in usable:
        for path, sha256 in (
            (clip.entry.video, clip.measured.video_sha256),
            (clip.entry.music, clip.measured.music_sha256),
        ):
            name = rows.media_path(clip.entry, path)
            target = inside(root, name)
            if before.get(name, sha256) != sha256:
                target.unlink(missing_ok=True)
            media_files.append(Medium(inside(folder, path), target, sha256))
    return media_files


def place(media_files: Sequence[Medium], root: Path, link: bool) -> Iterator[Medium]:
    """Link or copy the files, after a check of the free disk space.

    Raises:
        OsslError: `disk_small`, `media_missing`, `media_changed`.
    """
    missing = [medium for medium in media_files if not medium.target.exists()]
    device = os.stat(root).st_dev  # noqa: PTH116 - pathlib has no device number
    is_linked = link and all(medium.source.stat().st_dev == device for medium in missing)
    link_or_copy.check_room(root, 0 if is_linked else link_or_copy.size_of(missing))
    yield from link_or_copy.place(media_files, link)


def write(corpus: Corpus, release: Found, folder: Path, usable: Sequence[Usable]) -> list[Clip]:
    """Write sources, tables and the record of splits; the caller must hold the corpus' lock.

    Labels and splits of an earlier import are replaced. If the release has no splits, splits that
    the user made do not change.

    Returns:
        The rows of the clips table.
    """
    root, entries = corpus.root, [clip.entry for clip in usable]
    film_ids = sorted({entry.film_id for entry in entries})
    sources = [
        rows.source_row(release.films[film_id], release.layout, folder.resolve().name)
        for film_id in film_ids
    ]
    corpus.record_source(*sources)
    verdicts = record_verdicts(corpus)
    films = [rows.film_row(source, verdicts[source.film_id]) for source in sources]
    tables_io.write_corpus_table(root, FILMS, films)
    clips = [rows.clip_row(clip.entry, clip.measured) for clip in usable]
    tables_io.write_corpus_table(root, CLIPS, clips)
    moods = words_of_quadrants()
    labels = [row for entry in entries if (row := rows.label_row(entry, moods)) is not None]
    if labels or _has_table(root, LABELS.name):
        tables_io.write_corpus_table(root, LABELS, labels)
    splits = rows.assigned(release, film_ids)
    if splits:
        # The record first, because `ossl split` keeps the splits of the record.
        save_record(root, SplitRecord(splits, SplitsSettings().ratios(), SplitsSettings().seed))
        facts = film_stats(root / "manifests")
        tables_io.write_corpus_table(root, SPLITS, rows.split_rows(facts, splits))
    fingerprints.refresh(corpus)
    return clips


def _difference(measured: Measured, tolerance_s: float | None) -> str:
    video, music = measured.video, measured.music
    allowed = video.fps_den / video.fps_num if tolerance_s is None else tolerance_s
    if abs(video.duration_s - music.duration_s) <= allowed + ROUNDING_S:
        return ""
    return (
        f"lasts {music.duration_s:.3f} s, and its video {video.duration_s:.3f} s: they differ "
        f"by more than {allowed:.3f} s"
    )


def _hashes_by_path(root: Path) -> dict[str, str]:
    """Return the hashes, by path, of the clip files of an earlier import."""
    if not _has_table(root, CLIPS.name):
        return {}
    kinds = ("video", "music")
    names = [f"{kind}_{part}" for kind in kinds for part in ("path", "sha256")]
    table = tables_io.read_arrow(root / "manifests", CLIPS, names).to_pylist()
    return {row[f"{kind}_path"]: row[f"{kind}_sha256"] for row in table for kind in kinds}


def _has_table(root: Path, table: str) -> bool:
    return (root / "manifests" / f"{table}.parquet").exists()


def _corpus_exists(out: Path, contents: str) -> OsslError:
    return OsslError(
        "corpus_exists", f"{out} already is a corpus with {contents}.", "Choose another --out."
    )
