"""A stage: a frozen value around one plain function that handles one item."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from ossl_builder import files
from ossl_builder.tables.schema import Table


@dataclass(frozen=True)
class Reject:
    """A candidate that a stage considered and left out.

    Attributes:
        reason: stable code, lower-case, with underscores (``too_short``); `ossl status` counts it.
        message: one sentence with the values that decided.
        start_s: start of the candidate, in seconds of the item; None: it has no position in time.
        end_s: its end, in seconds of the item.
    """

    reason: str
    message: str
    start_s: float | None = None
    end_s: float | None = None


@dataclass(frozen=True)
class Notice:
    """A warning: something about an item was repaired or is doubtful.

    Attributes:
        code: stable code, lower-case, with underscores (``lengths_differ``).
        message: one sentence with the values.
    """

    code: str
    message: str


@dataclass(frozen=True)
class Outcome:
    """The result that a stage returns for one item.

    Attributes:
        rows: rows of the stage's table.
        rejects: candidates that the stage left out.
        warnings: things that were repaired or are doubtful; `ossl status` and the report show them.
    """

    rows: tuple[Any, ...]
    rejects: tuple[Reject, ...] = ()
    warnings: tuple[Notice, ...] = ()


@dataclass(frozen=True)
class Item:
    """The input of a stage's `run`: one item.

    Attributes:
        item_id: the item's id.
        corpus: the corpus' folder; paths in rows are relative to it.
        folder: folder to write files into. The engine renames it to `corpus/home` after the stage
            has returned.
        home: final path of `folder`, relative to the corpus, with forward slashes.
        rows: for each table in the stage's `reads`, this item's rows.
        config: the stage's settings.
        progress: call it with the fraction done, 0 to 1; cheap enough to call often.
        previous: the rows of the last run, if it ended done and its files still exist.
    """

    item_id: str
    corpus: Path
    folder: Path
    home: str
    rows: Mapping[str, tuple[Any, ...]]
    config: Any
    progress: Callable[[float], None]
    previous: tuple[Any, ...] = ()

    def file(self, path: str) -> Path:
        """Return the file of the corpus for a path in a row.

        Raises:
            OsslError: `path_outside`.
        """
        return files.inside(self.corpus, path)

    def path(self, name: str) -> str:
        """Return the final path, relative to the corpus, of the file `folder / name`."""
        return f"{self.home}/{name}"


def _no_tools(config: Any) -> dict[str, str]:
    return {}


def _nothing_to_prepare(config: Any) -> None:
    return None


@dataclass(frozen=True)
class Stage:
    """One step of the pipeline.

    Attributes:
        name: the command, the section of the recipe, the folder of the records.
        version: raised when the same input would give other rows or files.
        reads: names of the tables whose rows of the item it is given.
        writes: its table; the engine calls `writes.validate` before it stores anything.
        config: frozen pydantic model of its own configuration, with all defaults.
        run: processes one item; writes files into `item.folder`; returns rows and rejects, or
            raises `Rejected` (the item is not usable) or `OsslError` (it failed).
        folder: name of the item's sub-folder that holds the stage's files; empty: it writes none.
        tools: returns the versions of the tools and the hashes of the models that the result
            depends on; must be quick and must not use the network.
        prepare: downloads what `tools` needs (a model from a hub), and raises `OsslError` early if
            a tool is missing. Called once before items run.
        resumes: whether the next run gets the files that a killed run left in `item.folder`.
    """

    name: str
    version: int
    reads: tuple[str, ...]
    writes: Table
    config: type[Any]
    run: Callable[[Item], Outcome]
    folder: str = ""
    tools: Callable[[Any], dict[str, str]] = field(default=_no_tools)
    prepare: Callable[[Any], None] = field(default=_nothing_to_prepare)
    resumes: bool = False


def versions(*names: str) -> dict[str, str]:
    """Return the version of each package, or `not installed`."""
    installed = {}
    for name in names:
        try:
            installed[name] = version(name)
        except PackageNotFoundError:
            installed[name] = "not installed"
    return installed
