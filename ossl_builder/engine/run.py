"""Run one stage on one item and record whether it is done, rejected or failed."""

from __future__ import annotations

import dataclasses
import shutil
import time
import traceback
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from ossl_builder import __version__, files
from ossl_builder.engine import cache, records
from ossl_builder.engine.records import FileEntry, Record
from ossl_builder.engine.stage import Item, Outcome, Stage
from ossl_builder.errors import OsslError, Rejected

# After these errors the next item would fail in the same way, so the whole run stops.
FATAL = frozenset({"disk_full"})


def run_item(
    stage: Stage,
    item_id: str,
    corpus: Path,
    item_home: str,
    config: Any,
    rows: Mapping[str, tuple[Any, ...]],
    inputs: dict[str, str],
    progress: Callable[[float], None],
) -> Record:
    """Run a stage on an item and write its record.

    Args:
        stage: the stage.
        item_id: the item.
        corpus: the corpus' folder.
        item_home: the item's folder, relative to the corpus; it contains the stage's folder.
        config: the stage's settings.
        rows: for each table that the stage reads, the item's rows.
        inputs: the result of `cache.inputs_of`, stored in the record.
        progress: receives the fraction done, 0 to 1.

    Raises:
        OsslError: an error that stops the whole run (`disk_full`).
    """
    started = datetime.now(UTC)
    clock = time.monotonic()
    final = corpus / item_home / stage.folder
    partial = corpus / item_home / f".{stage.folder}{files.TEMPORARY}"
    before = records.read(corpus, stage.name, item_id)
    item = Item(
        item_id=item_id,
        corpus=corpus,
        folder=partial,
        home=f"{item_home}/{stage.folder}",
        rows=rows,
        config=config,
        progress=progress,
        previous=_previous_rows(stage, corpus, item_id, before),
    )
    # If the stage does not finish, only a stage that can resume needs the files that it wrote.
    result: dict[str, Any] = {"state": "failed"}
    try:
        if partial.is_symlink():  # writing into it would follow it
            partial.unlink()
        if not stage.resumes:
            shutil.rmtree(partial, ignore_errors=True)
        if stage.folder:
            partial.mkdir(parents=True, exist_ok=True)
        result = _store(stage, item, final, stage.run(item))
    except Rejected as rejected:
        result = {"state": "rejected", "code": rejected.reason, "message": rejected.message}
    except OsslError as error:
        if error.code in FATAL:
            raise
        result = {
            "state": "failed", "code": error.code, "message": error.message, "hint": error.hint,
        }  # fmt: skip
    except Exception as error:  # only here: one film must not end a run of a week
        full = files.disk_full(error, corpus) if isinstance(error, OSError) else None
        if full:
            raise full from error
        result = {
            "state": "failed",
            "code": "unexpected",
            "message": f"{type(error).__name__}: {error}",
            "hint": f"The traceback is in records/{stage.name}/{item_id}.json.",
            "detail": traceback.format_exc(),
        }
    finally:
        if not (stage.resumes and result["state"] == "failed"):
            shutil.rmtree(partial, ignore_errors=True)
    if result["state"] == "failed" and before is not None and final.exists():
        # The files of the earlier run still exist. The record lists them, so that `clean` does not
        # delete them before new files replace them.
        result["file_lines"] = before.file_lines
    record = Record(
        stage=stage.name,
        item_id=item_id,
        inputs=inputs,
        started=started.isoformat(timespec="seconds"),
        finished=datetime.now(UTC).isoformat(timespec="seconds"),
        seconds=round(time.monotonic() - clock, 3),
        builder=__version__,
        **result,
    )
    records.write(corpus, record)
    return record


def _store(stage: Stage, item: Item, final: Path, outcome: Outcome) -> dict[str, Any]:
    """Check the rows, move the files to their final folder, write rows and rejects.

    Returns:
        The fields of the record.
    """
    table = stage.writes
    rows = tuple(
        sorted(outcome.rows, key=lambda row: tuple(getattr(row, name) for name in table.key))
    )
    table.validate(rows)
    entries = tuple(_file_entries(item)) if stage.folder else ()
    # Without a record, a killed run cannot leave new files that match an old record.
    records.head_path(item.corpus, stage.name, item.item_id).unlink(missing_ok=True)
    if stage.folder:
        files.swap_folder(item.folder, final)
    body = records.body_bytes(stage, rows, outcome.rejects)
    files.write_bytes(records.body_path(item.corpus, stage.name, item.item_id), body)
    return {
        "state": "done",
        "output": records.output_hash(body, entries),
        "content": files.sha256_json([table.content(row) for row in rows]),
        "n_rows": len(rows),
        "rejects": dict(sorted(Counter(reject.reason for reject in outcome.rejects).items())),
        "warnings": [dataclasses.asdict(notice) for notice in outcome.warnings],
        "file_lines": records.file_lines(entries),
    }


def _file_entries(item: Item) -> Iterator[FileEntry]:
    for path in sorted(item.folder.rglob("*")):
        if path.is_file():
            name = path.relative_to(item.folder).as_posix()
            yield FileEntry(item.path(name), path.stat().st_size, files.sha256_file(path))


def _previous_rows(
    stage: Stage, corpus: Path, item_id: str, before: Record | None
) -> tuple[Any, ...]:
    if before is None or before.state != "done" or cache.missing_file(corpus, before):
        return ()
    try:
        return records.read_rows(corpus, stage, item_id)
    except OsslError:  # rows that cannot be read count as no rows
        return ()
