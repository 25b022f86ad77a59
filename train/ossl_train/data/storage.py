"""Stored features, codes and text states: one safetensors file per film and kind."""

from __future__ import annotations

import shutil
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

from ossl_builder import parse
from ossl_builder.errors import OsslError
from ossl_builder.files import json_bytes
from ossl_builder.tables.schema import Table, column

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from torch import Tensor

FORMAT = "1"
STORE_KINDS = {"float16": "F16", "float32": "F32", "int16": "I16"}
# Files stay open, but fewer than the limit of any system.
MAX_OPEN_FILES = 128


class StoreWriter:
    """Writes a store; use it in a `with` statement, which completes the file."""

    def __init__(self, path: Path) -> None:
        """Open a temporary file beside `path` for the tensors."""
        self._path = path
        self._data_path = path.with_name(f".{path.name}.data")
        self._data: BinaryIO = self._data_path.open("wb")
        self._header: dict[str, Any] = {}
        self._end = 0
        self.metadata: dict[str, Any] = {}
        """Plain values by name; set them before the end of the `with` block."""

    def add(self, key: str, array: NDArray[np.generic]) -> None:
        """Append a tensor of float16, float32 or int16."""
        import numpy as np

        contiguous = np.ascontiguousarray(array)
        begin, self._end = self._end, self._end + contiguous.nbytes
        self._header[key] = {
            "dtype": STORE_KINDS[contiguous.dtype.name],
            "shape": list(contiguous.shape),
            "data_offsets": [begin, self._end],
        }
        self._data.write(contiguous.tobytes())

    def __enter__(self) -> StoreWriter:
        return self

    def __exit__(self, kind: object, error: object, trace: object) -> None:
        self._data.close()
        if error is None:
            self._finish()
        self._data_path.unlink()

    def _finish(self) -> None:
        metadata = {"format": FORMAT} | {
            name: json_bytes(value).decode() for name, value in self.metadata.items()
        }
        header = json_bytes({"__metadata__": metadata, **self._header})
        header += b" " * (-len(header) % 8)  # tensors begin at a multiple of eight
        with self._path.open("wb") as store, self._data_path.open("rb") as data:
            store.write(len(header).to_bytes(8, "little") + header)
            shutil.copyfileobj(data, store, 1 << 20)


def read_metadata(path: Path) -> dict[str, Any]:
    """Read the metadata of a store.

    Raises:
        FileNotFoundError: there is no store.
        OsslError: `store_damaged`, `store_version`.
    """
    try:
        with path.open("rb") as file:
            length = int.from_bytes(file.read(8), "little")
            if length > path.stat().st_size:
                raise ValueError("the header is longer than the file")
            header = parse.json_value(file.read(length))
        metadata: Mapping[str, str] = header["__metadata__"]
        ends = [entry["data_offsets"][1] for name, entry in header.items() if name[0] != "_"]
        if 8 + length + max(ends, default=0) != path.stat().st_size:
            raise ValueError("it was cut off")
        version = metadata["format"]
        values = {
            name: parse.json_value(value) for name, value in metadata.items() if name != "format"
        }
    except (KeyError, TypeError, IndexError, ValueError) as error:
        raise _damaged(path) from error
    if version != FORMAT:
        raise OsslError(
            "store_version",
            f"{path} has the format {version!r}; this program reads {FORMAT!r}.",
            f"Delete it and run `ossl train {path.stem}` again.",
        )
    return values


def read_tensor(path: Path, key: str) -> Tensor:
    """Read one tensor, as a view of the file.

    Raises:
        OsslError: `store_damaged`.
    """
    import safetensors

    try:
        tensor: Tensor = _opened(path, path.stat().st_mtime_ns).get_tensor(key)
    except (OSError, safetensors.SafetensorError) as error:
        raise _damaged(path) from error
    return tensor


@lru_cache(maxsize=MAX_OPEN_FILES)
def _opened(path: Path, mtime_ns: int) -> Any:
    from safetensors import safe_open

    return safe_open(path, framework="pt")


def _damaged(path: Path) -> OsslError:
    return OsslError(
        "store_damaged",
        f"{path} is missing or damaged.",
        f"Delete {path.parent} and run `ossl train {path.stem}` again.",
    )


FEATURES, CODES, TEXT = "features", "codes", "text"
KINDS = (FEATURES, CODES, TEXT)
# The command that writes each kind.
COMMANDS = {
    FEATURES: "ossl train features", CODES: "ossl train codes", TEXT: "ossl train codes",
}  # fmt: skip


def store_folder(film_id: str) -> str:
    """Return the folder of a film's stores, relative to the root (`ossl clean` owns `films/`)."""
    return f"train/data/{film_id}"


def store_path(root: Path, film_id: str, kind: str) -> Path:
    """Return the path of a film's store of one kind."""
    return root / store_folder(film_id) / kind / f"{kind}.safetensors"


@dataclass(frozen=True)
class StoredWindow:
    """A window whose features or codes are stored."""

    film_id: str = column("the film")
    clip_id: str = column("the clip")
    index: int = column("number of the window within the clip, from 0")
    start_s: float = column("its start, after the clip's first video frame", "s")
    duration_s: float = column("its length, without padding", "s")
    length: int = column("tokens or frames stored")


@dataclass(frozen=True)
class StoredPrompt:
    """A clip whose prompt's states are stored."""

    film_id: str = column("the film")
    clip_id: str = column("the clip")
    prompt: str = column("the words")
    length: int = column("tokens stored")
    caption_model: str | None = column(
        "the model that wrote the caption in the prompt; empty: a person did, or it has none",
        later=True,
    )


def window_key(clip_id: str, index: int) -> str:
    """Return the name of a window's tensor; its curves end in `/dialogue`, `/events`."""
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
