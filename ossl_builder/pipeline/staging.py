"""Build a film in a staging folder first, then swap the result in or drop it."""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import Collection, Iterator
from pathlib import Path

from ossl_builder import files
from ossl_builder.annotations import orphans
from ossl_builder.corpus import Corpus
from ossl_builder.engine import records
from ossl_builder.engine.stage import Stage
from ossl_builder.errors import OsslError
from ossl_builder.stages.clips.stage import CLIPS_STAGE
from ossl_builder.stages.registry import STAGES, stages_until

FOLDER = ".staging"
# The stages that decide which clips a film has.
DECIDING = stages_until(CLIPS_STAGE.name)


def labelled(corpus: Corpus, film_id: str) -> frozenset[str]:
    """Ids of a film's present clips that somebody annotated."""
    annotated = frozenset(one.clip_id for one in orphans.current_annotations(corpus.root, film_id))
    return annotated & _clip_ids(corpus, film_id) if annotated else frozenset()


def lost(staged: Corpus, film_id: str, wanted: Collection[str]) -> frozenset[str] | None:
    """Annotated clips that the staged build did not make; None: unknown, since a stage failed."""
    ended = [records.read(staged.root, stage.name, film_id) for stage in DECIDING]
    if any(record is not None and record.state == "failed" for record in ended):
        return None
    if all(record is not None and record.state == "done" for record in ended):
        return frozenset(wanted) - _clip_ids(staged, film_id)
    return frozenset(wanted)


@contextlib.contextmanager
def staged(corpus: Corpus, film_id: str) -> Iterator[Corpus]:
    """Give a copy of one film as a corpus of its own; it is removed afterwards."""
    root = corpus.root / FOLDER / film_id
    _remove(root)
    try:
        home = corpus.film_home(film_id)
        _link(corpus.root / home, root / home)
        for stage in STAGES:
            for place in (records.head_path, records.body_path):
                path = place(corpus.root, stage.name, film_id)
                if path.exists():
                    _link(path, place(root, stage.name, film_id))
        yield Corpus(root)
    finally:
        _remove(root)


def swap_in(staged: Corpus, corpus: Corpus, film_id: str) -> None:
    """Put the staged results in the place of the film's, stage by stage.

    A kill in between leaves stages that are stale: they run again, with the same result.
    """
    for stage in STAGES:
        ours = records.head_path(staged.root, stage.name, film_id)
        final = records.head_path(corpus.root, stage.name, film_id)
        if ours.exists() and not (final.exists() and final.read_bytes() == ours.read_bytes()):
            _swap_stage(staged, corpus, film_id, stage)


def clear(corpus: Corpus) -> None:
    """Remove what killed builds left in the staging folder."""
    _remove(corpus.root / FOLDER)


def _swap_stage(staged: Corpus, corpus: Corpus, film_id: str, stage: Stage) -> None:
    final = records.head_path(corpus.root, stage.name, film_id)
    final.parent.mkdir(parents=True, exist_ok=True)
    record = records.read(staged.root, stage.name, film_id)
    # As the engine does: without a record, earlier files are never taken for those of this run.
    final.unlink(missing_ok=True)
    if record is not None and record.state == "done":
        if stage.folder:
            home = corpus.film_home(film_id)
            files.swap_folder(staged.root / home / stage.folder, corpus.root / home / stage.folder)
        records.body_path(staged.root, stage.name, film_id).replace(
            records.body_path(corpus.root, stage.name, film_id)
        )
    records.head_path(staged.root, stage.name, film_id).replace(final)


def _clip_ids(corpus: Corpus, film_id: str) -> frozenset[str]:
    try:
        rows = records.read_rows(corpus.root, CLIPS_STAGE, film_id)
    except OsslError:  # it never had any, or the record cannot be read
        return frozenset()
    return frozenset(row.clip_id for row in rows)


def _link(source: Path, target: Path) -> None:
    """Link a file, or all files below a folder except those of a killed run."""
    if source.is_dir():
        target.mkdir(parents=True)
        for child in source.iterdir():
            if not child.name.startswith("."):
                _link(child, target / child.name)
        return
    target.parent.mkdir(parents=True, exist_ok=True)
    try:
        target.hardlink_to(source)
    except OSError:  # a file system without links
        shutil.copy2(source, target)


def _remove(folder: Path) -> None:
    shutil.rmtree(folder, ignore_errors=True)
