"""What is remembered of the labelling server: which project, how far it was pulled.

Two files beside the annotations, which git ignores: each machine that pulls has its own. Without
them nothing is lost: the project is found by its title, and everything is pulled once more.
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

FILE = "label-studio.json"
PULLED = "label-studio-pulled.json"
FORMAT = 1
DIGEST_LENGTH = 16


@dataclass(frozen=True)
class State:
    """How a corpus stands with its server.

    Attributes:
        corpus_id: made up once; the project's description carries it, so that two corpora of the
            same title are not mixed.
        url: the server's address when it was last asked.
        project_id: the project; None: none yet.
        title: its title.
        sending: clips of the chunk that was being sent; not 0 after a crash: then it may arrive
            still.
        mark: every change of the server up to here has been pulled, ISO 8601 in UTC by the
            server's clock; empty: nothing yet.
        waiting: tasks to look at again at the next pull, whatever the mark: their answers were
            invalid, or in conflict.
        known: how many tasks the server had when all were last listed.
        address: how clips are addressed, as `--address` takes it; empty: never told.
        clips_url: the address at which labellers reach `ossl label serve`; empty: this machine.
        document_root: Label Studio's document root, for local files; empty: the films folder.
    """

    corpus_id: str
    url: str = ""
    project_id: int | None = None
    title: str = ""
    sending: int = 0
    mark: str = ""
    waiting: tuple[int, ...] = ()
    known: int = 0
    address: str = ""
    clips_url: str = ""
    document_root: str = ""
    format: int = FORMAT


def load(corpus: Path) -> State:
    """What is remembered; a new corpus id if nothing is.

    Raises:
        OsslError: `label_state_damaged`.
    """
    path = corpus / records.FOLDER / FILE
    data = _read(path)
    if data is None:
        return State(corpus_id=secrets.token_hex(8))
    try:
        state = State(**{**data, "waiting": tuple(data["waiting"])})
        if state.mark:
            datetime.fromisoformat(state.mark)
    except (TypeError, KeyError, ValueError) as error:
        raise _damaged(path) from error
    if state.format != FORMAT:
        raise _damaged(path)
    return state


def save(corpus: Path, state: State) -> None:
    """Remember it. The caller holds the corpus' lock."""
    folder = corpus / records.FOLDER
    annotators.keep_out_of_git(folder)
    text = json.dumps(dataclasses.asdict(state), indent=1, ensure_ascii=False)
    files.write_bytes(folder / FILE, text.encode() + b"\n")


@dataclass(frozen=True)
class LastPulled:
    """A record as it was last pulled.

    Attributes:
        digest: of its content.
        task: the identity of the task that it was given in.
    """

    digest: str
    task: str


# Clip to annotator.
Pulled = dict[str, dict[str, LastPulled]]


def digest(record: Annotation) -> str:
    """A record's content in short: equal for equal records."""
    return files.sha256_json(record.to_json())[:DIGEST_LENGTH]


def load_pulled(corpus: Path) -> Pulled:
    """Every record as it was last pulled.

    Raises:
        OsslError: `label_state_damaged`.
    """
    path = corpus / records.FOLDER / PULLED
    try:
        return {
            clip_id: {annotator: LastPulled(*entry) for annotator, entry in given.items()}
            for clip_id, given in (_read(path) or {}).items()
        }
    except (TypeError, AttributeError) as error:
        raise _damaged(path) from error


def save_pulled(corpus: Path, pulled: Pulled) -> None:
    """Remember them. The caller holds the corpus' lock."""
    data = {
        clip_id: {annotator: [one.digest, one.task] for annotator, one in given.items()}
        for clip_id, given in pulled.items()
    }
    files.write_bytes(corpus / records.FOLDER / PULLED, files.json_bytes(data))


def _read(path: Path) -> dict[str, Any] | None:
    try:
        data = parse.json_value(path.read_bytes())
    except FileNotFoundError:
        return None
    except ValueError as error:
        raise _damaged(path) from error
    if not isinstance(data, dict):
        raise _damaged(path)
    return data


def _damaged(path: Path) -> OsslError:
    return OsslError(
        "label_state_damaged",
        f"{path} cannot be read.",
        "Delete it: `ossl label push --project ID` finds the project again, and the next pull "
        "takes everything once more.",
    )
