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
from ossl_builder.pipeline.stages import STAGES, stages_until
from ossl_builder.stages.clips.stage import CLIPS_STAGE

FOLDER = ".trial"
# The stages on which it depends which clips a film has.
DECIDING = stages_until(CLIPS_STAGE.name)


def labelled(corpus: Corpus, film_id: str) -> frozenset[str]:
    """Ids of the clips that a film was last given and that people annotated."""
    annotated = frozenset(one.clip_id for one in orphans.current_annotations(corpus.root, film_id))
    return annotated & _clip_ids(corpus, film_id) if annotated else frozenset()


def lost(trial: Corpus, film_id: str, wanted: Collection[str]) -> frozenset[str] | None:
    """Clips that a trial has not made again; None: a stage failed, so that nobody can tell."""
    ended = [records.read(trial.root, stage.name, film_id) for stage in DECIDING]
    if any(record is not None and record.state == "failed" for record in ended):
        return None
    if all(record is not None and record.state == "done" for record in ended):
        return frozenset(wanted) - _clip_ids(trial, film_id)
    return frozenset(wanted)


@contextlib.contextmanager
def beside(corpus: Corpus, film_id: str) -> Iterator[Corpus]:
    """A corpus of one film, as it stands; it is gone afterwards."""
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


def put_in_place(trial: Corpus, corpus: Corpus, film_id: str) -> None:
    """Let what came of a trial stand, stage by stage.

    A kill in between leaves stages that are stale: they run again, and come to the same.
    """
    for stage in STAGES:
        ours = records.head_path(trial.root, stage.name, film_id)
        final = records.head_path(corpus.root, stage.name, film_id)
        if ours.exists() and not (final.exists() and final.read_bytes() == ours.read_bytes()):
            _put_stage(trial, corpus, film_id, stage)


def clear(corpus: Corpus) -> None:
    """Remove what killed trials left."""
    _remove(corpus.root / FOLDER)


def _put_stage(trial: Corpus, corpus: Corpus, film_id: str, stage: Stage) -> None:
    final = records.head_path(corpus.root, stage.name, film_id)
    final.parent.mkdir(parents=True, exist_ok=True)
    record = records.read(trial.root, stage.name, film_id)
    # The order of the engine: from here on nobody takes earlier files for those of this run.
    final.unlink(missing_ok=True)
    if record is not None and record.state == "done":
        if stage.folder:
            home = corpus.film_home(film_id)
            files.swap_folder(trial.root / home / stage.folder, corpus.root / home / stage.folder)
        records.body_path(trial.root, stage.name, film_id).replace(
            records.body_path(corpus.root, stage.name, film_id)
        )
    records.head_path(trial.root, stage.name, film_id).replace(final)


def _clip_ids(corpus: Corpus, film_id: str) -> frozenset[str]:
    try:
        rows = records.read_rows(corpus.root, CLIPS_STAGE, film_id)
    except OsslError:  # it never had any, or nobody can say which
        return frozenset()
    return frozenset(row.clip_id for row in rows)


def _link(source: Path, target: Path) -> None:
    """Link a file, or all files below a folder but those that a killed run left unfinished."""
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
