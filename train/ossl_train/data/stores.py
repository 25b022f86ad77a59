"""Which stores there are, where they lie, and the rows that say what is in them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from ossl_builder.tables.schema import Table, column

FEATURES, CODES, TEXT = "features", "codes", "text"
KINDS = (FEATURES, CODES, TEXT)
# The command that makes each.
MAKERS = {
    FEATURES: "ossl train features", CODES: "ossl train codes", TEXT: "ossl train codes",
}  # fmt: skip


def home(film_id: str) -> str:
    """Where a film's stores lie, relative to the root; `films/` is for `ossl clean`."""
    return f"train/data/{film_id}"


def store_path(root: Path, film_id: str, kind: str) -> Path:
    """A film's store of one kind."""
    return root / home(film_id) / kind / f"{kind}.safetensors"


@dataclass(frozen=True)
class StoredWindow:
    """A window whose features or codes are stored."""

    film_id: str = column("the film")
    clip_id: str = column("the clip")
    index: int = column("number of the window within the clip, from 0")
    start_s: float = column("where it begins, after the clip's first picture", "s")
    duration_s: float = column("its length, without padding", "s")
    length: int = column("tokens or frames stored")


@dataclass(frozen=True)
class StoredPrompt:
    """A clip whose prompt's states are stored."""

    film_id: str = column("the film")
    clip_id: str = column("the clip")
    prompt: str = column("the words")
    length: int = column("tokens stored")


def key_of(clip_id: str, index: int) -> str:
    """The name of a window's tensor; its dialogue's ends in `/dialogue`."""
    return f"{clip_id}/{index}"


def _check_windows(rows: Sequence[StoredWindow]) -> Iterable[str]:
    for row in rows:
        if row.index < 0 or row.start_s < 0 or row.duration_s <= 0 or row.length <= 0:
            yield f"window {row.index} of clip {row.clip_id} is empty"


def _check_prompts(rows: Sequence[StoredPrompt]) -> Iterable[str]:
    for row in rows:
        if not row.prompt or row.length <= 0:
            yield f"the prompt of clip {row.clip_id} is empty"


def _windows(name: str, doc: str) -> Table:
    key = ("film_id", "clip_id", "index")
    return Table(name, doc, StoredWindow, 1, key, _check_windows)


FEATURES_TABLE = _windows(FEATURES, "One row per window whose features are stored.")
CODES_TABLE = _windows(CODES, "One row per window whose codes are stored.")
TEXT_TABLE = Table(
    name=TEXT,
    doc="One row per clip whose prompt's states are stored.",
    row=StoredPrompt,
    version=1,
    key=("film_id", "clip_id"),
    check=_check_prompts,
)
