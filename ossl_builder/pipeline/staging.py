"""Build a film in a staging folder, then move the result into the corpus or delete it."""

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
    """Return the ids of a film's current clips that have annotations."""
    annotated = frozenset(
        annotation.clip_id for annotation in orphans.current_annotations(corpus.root, film_id)
    )
    return annotated & _clip_ids(corpus, film_id) if annotated else frozenset()


def lost(staged: Corpus, film_id: str, annotated: Collection[str]) -> frozenset[str] | None:
    """Return the annotated clips that the staged build did not make.

    None: unknown, because a stage failed.
    """
    stage_records = [records.read(staged.root, stage.name, film_id) for stage in DECIDING]
    if any(record is not None and record.state == "failed" for record in stage_records):
        return None
    if all(record is not None and record.state == "done" for record in stage_records):
        return frozenset(annotated) - _clip_ids(staged, film_id)
    return frozenset(annotated)


@contextlib.contextmanager
def staged(corpus: Corpus, film_id: str) -> Iterator[Corpus]:
    """Yield a corpus that holds a copy of one film; it is removed afterwards."""
    root = corpus.root / FOLDER / film_id
    _remove(root)
    try:
        home = corpus.film_home(film_id)
        _link(corpus.root / home, root / home)
        for stage in STAGES:
            for path_of in (records.head_path, records.body_path):
                path = path_of(corpus.root, stage.name, film_id)
                if path.exists():
                    _link(path, path_of(root, stage.name, film_id))
        yield Corpus(root)
    finally:
        _remove(root)


def swap_in(staged: Corpus, corpus: Corpus, film_id: str) -> None:
    """Replace the film's results by the staged ones, stage by stage.

    If the process is killed in between, the remaining stages are stale: they run again, with the
    same result.
    """
    for stage in STAGES:
        staged_head = records.head_path(staged.root, stage.name, film_id)
        final = records.head_path(corpus.root, stage.name, film_id)
        if staged_head.exists() and not (
            final.exists() and final.read_bytes() == staged_head.read_bytes()
        ):
            _swap_stage(staged, corpus, film_id, stage)


def clear(corpus: Corpus) -> None:
    """Remove the files of killed builds from the staging folder."""
    _remove(corpus.root / FOLDER)


def _swap_stage(staged: Corpus, corpus: Corpus, film_id: str, stage: Stage) -> None:
    final = records.head_path(corpus.root, stage.name, film_id)
    final.parent.mkdir(parents=True, exist_ok=True)
    record = records.read(staged.root, stage.name, film_id)
    # Without a record, a kill from here on cannot leave new files that match the old record.
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
    except OsslError:  # there is no record, or it cannot be read
        return frozenset()
    return frozenset(row.clip_id for row in rows)


def _link(source: Path, target: Path) -> None:
    """Hard-link a file, or all files below a folder except hidden ones (left by a killed run)."""
    if source.is_dir():
        target.mkdir(parents=True)
        for child in source.iterdir():
            if not child.name.startswith("."):
                _link(child, target / child.name)
        return
    target.parent.mkdir(parents=True, exist_ok=True)
    try:
        target.hardlink_to(source)
    except OSError:  # the file system has no hard links
        shutil.copy2(source, target)


def _remove(folder: Path) -> None:
    shutil.rmtree(folder, ignore_errors=True)
