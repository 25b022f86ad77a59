"""Report which stages are done and which are stale, verify files, delete unused files."""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Iterator
from typing import Any

from ossl_builder import files
from ossl_builder.annotations import orphans
from ossl_builder.annotations import records as label_records
from ossl_builder.config import Recipe
from ossl_builder.corpus import Corpus
from ossl_builder.engine import records, tables_io
from ossl_builder.engine.records import Record
from ossl_builder.errors import OsslError
from ossl_builder.pipeline.derived_tables import current_records, refresh_tables
from ossl_builder.pipeline.plan import plan
from ossl_builder.rights import verdict
from ossl_builder.stages.clips.stage import CLIPS_STAGE
from ossl_builder.stages.registry import STAGES
from ossl_builder.tables import CLIPS


def status(corpus: Corpus, recipe: Recipe) -> dict[str, list[dict[str, Any]]]:
    """Return counts per stage, rejected candidates by reason, and the films that need attention.

    A film counts once per stage: done, rejected or failed if nothing has changed since; stale if
    something has changed; waiting if the stage has not run. A film that must not be built because
    of its rights is rejected at the first stage. Orphans are annotated clips that no longer exist.
    In an imported corpus all counts are zero.
    """
    films = [] if corpus.is_imported else corpus.film_ids()
    counts = {stage.name: Counter[str]() for stage in STAGES}
    reasons: Counter[tuple[str, str]] = Counter()
    lists: dict[str, list[dict[str, Any]]] = {
        "rejected": [],
        "failed": [],
        "stale": [],
        "warnings": [],
    }
    for decision in plan(corpus, recipe, films, STAGES):
        record = records.read(corpus.root, decision.stage, decision.item_id)
        state = _state(decision.action, record)
        counts[decision.stage][state] += 1
        entry = {"film_id": decision.item_id, "stage": decision.stage}
        if decision.action == "refused":
            lists["rejected"].append(
                entry | {"code": verdict.REASON, "message": decision.why, "hint": ""}
            )
            continue
        if record is not None and state == record.state:
            counts[decision.stage]["rows"] += record.n_rows
            for reason, count in record.rejects.items():
                reasons[decision.stage, reason] += count
            lists["warnings"] += [entry | warning for warning in record.warnings]
        if state in ("rejected", "failed") and record is not None:
            reason_fields = {"code": record.code, "message": record.message, "hint": record.hint}
            lists[state].append(entry | reason_fields)
        elif state == "stale":
            lists["stale"].append(entry | {"why": decision.why})
    stages = [
        {"stage": stage.name}
        | {
            key: counts[stage.name][key]
            for key in ("done", "rejected", "failed", "stale", "waiting", "rows")
        }
        for stage in STAGES
    ]
    candidates = [
        {"stage": stage, "reason": reason, "count": count}
        for (stage, reason), count in sorted(reasons.items())
    ]
    orphan_clips = orphans.find_orphans(corpus.root, _clip_ids(corpus))
    orphan_rows = [dataclasses.asdict(orphan) for orphan in orphan_clips]
    return {"stages": stages, "candidates": candidates, **lists, "orphans": orphan_rows}


def _clip_ids(corpus: Corpus) -> dict[str, set[str]]:
    """Return, by film, the ids of the current clips of the films that have annotations."""
    annotated = label_records.film_ids(corpus.root)
    if not annotated:
        return {}
    if corpus.is_imported:
        clip_ids: dict[str, set[str]] = {}
        for row in tables_io.read_table(corpus.root / "manifests", CLIPS):
            clip_ids.setdefault(row.film_id, set()).add(row.clip_id)
        return clip_ids
    current = current_records(corpus)[CLIPS_STAGE.name]
    return {
        film_id: {row.clip_id for row in records.read_rows(corpus.root, CLIPS_STAGE, film_id)}
        for film_id in annotated
        if film_id in current
    }


def _state(action: str, record: Record | None) -> str:
    if action == "refused":
        return "rejected"
    if record is None or action == "blocked":
        return "waiting"
    if record.state == "failed" or action == "fresh":
        return record.state
    return "stale"


def verify(corpus: Corpus) -> tuple[list[dict[str, str]], int]:
    """Compare every recorded file, every record and every table with its SHA-256.

    In an imported corpus, where records list no files, check the files that the clips table lists.

    Returns:
        Problems, each with `path` and `problem`; and the number of files checked.
    """
    problems = []
    n_files = 0
    for path, size_bytes, sha256 in _expected(corpus):
        n_files += 1
        problem = _problem(corpus, path, size_bytes, sha256)
        if problem:
            problems.append({"path": path, "problem": problem})
    for stage in STAGES:
        for film_id in corpus.film_ids():
            record = records.read(corpus.root, stage.name, film_id)
            if record is not None and record.state == "done":
                n_files += 1
                body = records.body_path(corpus.root, stage.name, film_id)
                if not body.exists() or record.output != records.output_hash(
                    body.read_bytes(), record.files
                ):
                    name = body.relative_to(corpus.root).as_posix()
                    problems.append({"path": name, "problem": "its rows have changed"})
    for name in tables_io.damaged_tables(corpus.root):
        problems.append({"path": name, "problem": "its bytes have changed"})
    return problems, n_files + len(STAGES)


def _expected(corpus: Corpus) -> Iterator[tuple[str, int | None, str]]:
    """Yield path, size in bytes (None: not recorded) and SHA-256 of each expected file."""
    if corpus.is_imported and (corpus.root / "manifests" / f"{CLIPS.name}.parquet").exists():
        for row in tables_io.read_table(corpus.root / "manifests", CLIPS):
            yield row.video_path, None, row.video_sha256
            yield row.music_path, None, row.music_sha256
    for stage in STAGES:
        for film_id in corpus.film_ids():
            record = records.read(corpus.root, stage.name, film_id)
            if record is not None:
                for entry in record.files:
                    yield entry.path, entry.size_bytes, entry.sha256


def _problem(corpus: Corpus, name: str, size_bytes: int | None, sha256: str) -> str:
    try:
        path = files.inside(corpus.root, name)
    except OsslError:
        return "leads out of the corpus"
    if not path.exists():
        return "is gone"
    if size_bytes is not None and path.stat().st_size != size_bytes:
        return f"has {path.stat().st_size} bytes, not {size_bytes}"
    return "" if files.sha256_file(path) == sha256 else "its bytes have changed"


def clean(corpus: Corpus, dry_run: bool) -> tuple[list[str], int]:
    """Delete files that no record lists; the caller must hold the corpus' lock.

    Not for imported corpora: their records list no files.

    Args:
        corpus: the corpus.
        dry_run: delete nothing.

    Returns:
        The paths, relative to the corpus, and their total size in bytes.
    """
    films = set(corpus.film_ids())
    listed = {f"{corpus.film_home(film_id)}/source.json" for film_id in films}
    for stage in STAGES:
        for film_id in films:
            record = records.read(corpus.root, stage.name, film_id)
            if record is not None:
                listed |= {entry.path for entry in record.files}
    candidates = [path for path in sorted((corpus.root / "films").rglob("*")) if path.is_file()]
    for stage in STAGES:
        for path in sorted((corpus.root / "records" / stage.name).glob("*.json")):
            if path.name.split(".")[0] not in films:
                candidates.append(path)
    names = {path.relative_to(corpus.root).as_posix(): path for path in candidates}
    unwanted = {name: path for name, path in names.items() if name not in listed}
    size = sum(path.stat().st_size for path in unwanted.values())
    if not dry_run:
        for path in unwanted.values():
            path.unlink()
        _remove_empty_folders(corpus)
        refresh_tables(corpus)
    return list(unwanted), size


def _remove_empty_folders(corpus: Corpus) -> None:
    for folder in sorted((corpus.root / "films").rglob("*"), reverse=True):
        if folder.is_dir() and not any(folder.iterdir()):
            folder.rmdir()
