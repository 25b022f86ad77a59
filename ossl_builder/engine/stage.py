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
        reason: stable, lower-case, with underscores (``too_short``); counted by `ossl status`.
        message: one sentence with the figures that decided.
        start_s: where the candidate begins, in seconds of the item; None: not a stretch of time.
        end_s: where it ends.
    """

    reason: str
    message: str
    start_s: float | None = None
    end_s: float | None = None


@dataclass(frozen=True)
class Notice:
    """Something about an item that was repaired or is doubtful.

    Attributes:
        code: stable, lower-case, with underscores (``lengths_differ``).
        message: one sentence with the figures.
    """

    code: str
    message: str


@dataclass(frozen=True)
class Outcome:
    """What a stage made of an item.

    Attributes:
        rows: of the stage's table.
        rejects: candidates that it left out.
        warnings: what was repaired or is doubtful; `ossl status` and the report show them.
    """

    rows: tuple[Any, ...]
    rejects: tuple[Reject, ...] = ()
    warnings: tuple[Notice, ...] = ()


@dataclass(frozen=True)
class Item:
    """What a stage is given.

    Attributes:
        item_id: which item.
        corpus: the corpus' folder; paths in rows are relative to it.
        folder: where to write files. It becomes `corpus/home` when the stage has returned.
        home: final place of `folder`, relative to the corpus, with forward slashes.
        rows: for each table named in the stage's `reads`, this item's rows.
        previous: the rows it had when it was last done, if it was and its files are still there.
        config: the stage's own configuration.
        progress: call with the part done, 0 to 1; cheap enough to call often.
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
        """The file of the corpus that a path in a row means.

        Raises:
            OsslError: `path_outside`.
        """
        return files.inside(self.corpus, path)

    def path(self, name: str) -> str:
        """The path, relative to the corpus, that the file `folder / name` will have."""
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
        doc: one sentence.
        version: raised when the same input would give other rows or files.
        reads: names of the tables whose rows of the item it is given.
        writes: the table it makes; `writes.validate` is called before anything is kept.
        config: frozen pydantic model of its own configuration, with all defaults.
        run: handles one item; writes files into `item.folder`; returns rows and rejects, or
            raises `Rejected` (nothing to be had) or `OsslError` (failed).
        folder: name of the item's sub-folder that holds its files; empty: it makes none.
        tools: versions of the tools and hashes of the models that shape its result; must be
            quick and must not use the network.
        prepare: fetches what `tools` can only then tell (a model from a hub), and raises
            `OsslError` early if a tool is missing. Called once before items are run.
        resumes: whether what a killed run left in `item.folder` is offered to the next one.
    """

    name: str
    doc: str
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
    """Version of each package; `not installed` where it is not."""
    found = {}
    for name in names:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            found[name] = "not installed"
    return found
