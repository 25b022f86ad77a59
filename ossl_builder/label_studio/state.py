"""State of a corpus' labelling project: which project, and what was pulled from it.

Two files in the annotations folder, ignored by git: each machine that pulls has its own. Without
them nothing is lost: the project is found by its title, and everything is pulled again.
"""

from __future__ import annotations

import dataclasses
import json
import secrets
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from ossl_builder import files, parse
from ossl_builder.annotations import annotators, records
from ossl_builder.annotations.records import Annotation
from ossl_builder.errors import OsslError

FILE_NAME = "label-studio.json"
PULLED_FILE_NAME = "label-studio-pulled.json"
FORMAT = 1
DIGEST_LENGTH = 16


@dataclass(frozen=True)
class State:
    """State of a corpus' labelling project.

    Attributes:
        corpus_id: random, created once; the project's description contains it, so that two
            corpora with the same title are not mixed.
        url: the server's URL at the last request.
        project_id: the project; None: none yet.
        title: its title.
        n_sending: tasks that a push is sending; not 0 after a crash: the server may still create
            them.
        cursor: all changes up to this time are pulled, ISO 8601 in UTC by the server's clock;
            empty: nothing is pulled yet.
        pending: ids of tasks to pull again whatever the cursor: their answers were invalid, or in
            conflict.
        n_tasks: number of tasks when all were last listed.
        address: how browsers reach the clips, as for `--address`; empty: not chosen yet.
        clips_url: the URL at which annotators reach `ossl label serve`; empty: this machine.
        document_root: Label Studio's document root, for local files; empty: the films folder.
        format: version of this file.
    """

    corpus_id: str
    url: str = ""
    project_id: int | None = None
    title: str = ""
    n_sending: int = 0
    cursor: str = ""
    pending: tuple[int, ...] = ()
    n_tasks: int = 0
    address: str = ""
    clips_url: str = ""
    document_root: str = ""
    format: int = FORMAT


def load(corpus: Path) -> State:
    """Read the state; a new one with a new corpus id if there is no file.

    Raises:
        OsslError: `label_state_damaged`.
    """
    path = corpus / records.FOLDER / FILE_NAME
    data = _read(path)
    if data is None:
        return State(corpus_id=secrets.token_hex(8))
    try:
        state = State(**{**data, "pending": tuple(data["pending"])})
        if state.cursor:
            datetime.fromisoformat(state.cursor)
    except (TypeError, KeyError, ValueError) as error:
        raise _damaged_error(path) from error
    if state.format != FORMAT:
        raise _damaged_error(path)
    return state


def save(corpus: Path, state: State) -> None:
    """Write the state. The caller holds the corpus' lock."""
    folder = corpus / records.FOLDER
    annotators.keep_out_of_git(folder)
    text = json.dumps(dataclasses.asdict(state), indent=1, ensure_ascii=False)
    files.write_bytes(folder / FILE_NAME, text.encode() + b"\n")


@dataclass(frozen=True)
class LastPulled:
    """The last pulled version of a record.

    Attributes:
        digest: of its content.
        task: the `identity` of the task that it belongs to.
    """

    digest: str
    task: str


# Clip id to annotator id.
Pulled = dict[str, dict[str, LastPulled]]


def digest(record: Annotation) -> str:
    """Return a short hash of a record's content."""
    return files.sha256_json(record.to_json())[:DIGEST_LENGTH]


def load_pulled(corpus: Path) -> Pulled:
    """Read the last pulled version of every record.

    Raises:
        OsslError: `label_state_damaged`.
    """
    path = corpus / records.FOLDER / PULLED_FILE_NAME
    try:
        return {
            clip_id: {annotator: LastPulled(*entry) for annotator, entry in by_annotator.items()}
            for clip_id, by_annotator in (_read(path) or {}).items()
        }
    except (TypeError, AttributeError) as error:
        raise _damaged_error(path) from error


def save_pulled(corpus: Path, pulled: Pulled) -> None:
    """Write the last pulled version of every record. The caller holds the corpus' lock."""
    data = {
        clip_id: {annotator: [last.digest, last.task] for annotator, last in by_annotator.items()}
        for clip_id, by_annotator in pulled.items()
    }
    files.write_bytes(corpus / records.FOLDER / PULLED_FILE_NAME, files.json_bytes(data))


def _read(path: Path) -> dict[str, Any] | None:
    try:
        data = parse.json_value(path.read_bytes())
    except FileNotFoundError:
        return None
    except ValueError as error:
        raise _damaged_error(path) from error
    if not isinstance(data, dict):
        raise _damaged_error(path)
    return data


def _damaged_error(path: Path) -> OsslError:
    return OsslError(
        "label_state_damaged",
        f"{path} cannot be read.",
        "Delete the file. `ossl label push --project ID` finds the project again, and the next "
        "pull reads all annotations again.",
    )
