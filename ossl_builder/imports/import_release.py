"""Import of a released corpus: look, measure, judge, place, write the tables."""

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
# Containers round the times of frames to this, in seconds.
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
    """A clip that both files of can be used."""

    entry: Entry
    measured: Measured


def read(layout: str, folder: Path) -> Found:
    """See what a released corpus holds; see `read_v1` and `read_v2` for errors."""
    return READERS[layout](folder)


def pair_of(folder: Path, entry: Entry) -> Pair:
    """The files of a clip.

    Raises:
        OsslError: `path_outside`.
    """
    return Pair(entry.clip_id, inside(folder, entry.video), inside(folder, entry.music))


def prepare(out: Path, layout: str, folder: Path) -> Corpus:
    """The corpus that is imported into: made if it is not there, taken if it is of this layout.

    Raises:
        OsslError: `corpus_exists`, `folder_not_empty`.
    """
    there = out / IMPORTED
    if there.is_file():
        if (files.read_json(there) or {}).get("layout") != layout:
            raise _exists(out, f"clips of another layout than {layout}")
    elif (out / RECIPE).exists():
        raise _exists(out, "films of its own")
    elif out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise OsslError("folder_not_empty", f"{out} is not an empty folder.", "Choose another.")
    # This mark first: what is stopped from here on is no corpus of films.
    told = {"version": 1, "layout": layout, "folder": folder.resolve().name}
    files.write_bytes(there, (json.dumps(told, indent=1) + "\n").encode())
    (out / "manifests").mkdir(exist_ok=True)
    if not (out / RECIPE).exists():
        files.write_bytes(out / RECIPE, FIRST_RECIPE.encode())
    return open_corpus(out)


def judge(
    folder: Path, root: Path, entries: Iterable[Entry], tolerance_s: float | None
) -> tuple[list[Usable], list[Problem]]:
    """Which of the clips that were measured can be used, and what is wrong with the others.

    Args:
        folder: where their files lie.
        root: the corpus with what was measured.
        entries: the clips.
        tolerance_s: by how much video and music may differ in length; None: by a frame.
    """
    usable: list[Usable] = []
    problems: list[Problem] = []
    for entry in entries:
        found = recorded(root, pair_of(folder, entry))
        if isinstance(found, Measured):
            difference = _difference(found, tolerance_s)
            if difference:
                problems.append(Problem(entry.music, difference))
            else:
                usable.append(Usable(entry, found))
        elif isinstance(found, Damage):
            path = entry.video if found.which == "video" else entry.music
            problems.append(Problem(path, found.why))
        else:
            problems.append(Problem(entry.video, "has changed while it was measured"))
    return usable, problems


def media(folder: Path, root: Path, usable: Sequence[Usable]) -> list[Medium]:
    """The files to be placed. What stands there and was another file before is taken away."""
    before = _hashes(root)
    found = []
    for one in usable:
        for path, sha256 in (
            (one.entry.video, one.measured.video_sha256),
            (one.entry.music, one.measured.music_sha256),
        ):
            name = rows.media_path(one.entry, path)
            target = inside(root, name)
            if before.get(name, sha256) != sha256:
                target.unlink(missing_ok=True)
            found.append(Medium(inside(folder, path), target, sha256))
    return found


def place(wanted: Sequence[Medium], root: Path, link: bool) -> Iterator[Medium]:
    """Link or copy the files, after a look at the room there is.

    Raises:
        OsslError: `disk_small`, `media_missing`, `media_changed`.
    """
    missing = [one for one in wanted if not one.target.exists()]
    here = os.stat(root).st_dev  # noqa: PTH116 - the number of a disk is nothing pathlib has
    is_linked = link and all(one.source.stat().st_dev == here for one in missing)
    link_or_copy.check_room(root, 0 if is_linked else link_or_copy.size_of(missing))
    yield from link_or_copy.place(wanted, link)


def write(corpus: Corpus, found: Found, folder: Path, usable: Sequence[Usable]) -> list[Clip]:
    """Write sources, tables and the record of splits; the caller holds the corpus' lock.

    Labels and splits of an earlier import are replaced; splits that people have made stay where
    the release says nothing of splits.

    Returns:
        The rows of the clips table.
    """
    root, entries = corpus.root, [one.entry for one in usable]
    here = sorted({entry.film_id for entry in entries})
    sources = [
        rows.source_row(found.films[one], found.layout, folder.resolve().name) for one in here
    ]
    corpus.record_source(*sources)
    words = record_verdicts(corpus)
    films = [rows.film_row(source, words[source.film_id]) for source in sources]
    tables_io.write_corpus_table(root, FILMS, films)
    clips = [rows.clip_row(one.entry, one.measured) for one in usable]
    tables_io.write_corpus_table(root, CLIPS, clips)
    moods = words_of_quadrants()
    labels = [row for one in entries if (row := rows.label_row(one, moods)) is not None]
    if labels or _has(root, LABELS.name):
        tables_io.write_corpus_table(root, LABELS, labels)
    splits = rows.assigned(found, here)
    if splits:
        # The record first: `ossl split` keeps films where it says.
        save_record(root, SplitRecord(splits, SplitsSettings().ratios(), SplitsSettings().seed))
        facts = film_stats(root / "manifests")
        tables_io.write_corpus_table(root, SPLITS, rows.split_rows(facts, splits))
    fingerprints.refresh(corpus)
    return clips


def _difference(found: Measured, tolerance_s: float | None) -> str:
    video, music = found.video, found.music
    allowed = video.fps_den / video.fps_num if tolerance_s is None else tolerance_s
    if abs(video.duration_s - music.duration_s) <= allowed + ROUNDING_S:
        return ""
    return (
        f"lasts {music.duration_s:.3f} s, and its video {video.duration_s:.3f} s: they differ "
        f"by more than {allowed:.3f} s"
    )


def _hashes(root: Path) -> dict[str, str]:
    """Hash by path of the clips that an earlier import has placed."""
    if not _has(root, CLIPS.name):
        return {}
    kinds = ("video", "music")
    names = [f"{kind}_{part}" for kind in kinds for part in ("path", "sha256")]
    table = tables_io.read_arrow(root / "manifests", CLIPS, names).to_pylist()
    return {row[f"{kind}_path"]: row[f"{kind}_sha256"] for row in table for kind in kinds}


def _has(root: Path, table: str) -> bool:
    return (root / "manifests" / f"{table}.parquet").exists()


def _exists(out: Path, what: str) -> OsslError:
    return OsslError(
        "corpus_exists", f"{out} already is a corpus with {what}.", "Choose another --out."
    )
