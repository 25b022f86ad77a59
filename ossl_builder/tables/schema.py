"""The table type: a row type that defines the Arrow schema, checks and documentation."""

from __future__ import annotations

import dataclasses
import math
import re
import types
import typing
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

from ossl_builder.errors import OsslError
from ossl_builder.files import UNSAFE_NAME, UNSAFE_PATH

if TYPE_CHECKING:
    import pyarrow as pa


@dataclass(frozen=True)
class Span:
    """A half-open interval [start_s, end_s) of film time, in seconds."""

    start_s: float
    end_s: float


NAMES = ("film_id", "clip_id")

# The two kinds of list that a column may hold.
SPANS: Any = tuple[Span, ...]
INTS: Any = tuple[int, ...]


def column(doc: str, unit: str = "", *, descriptive: bool = False, later: bool = False) -> Any:
    """Declare a column of a row type.

    Args:
        doc: description of the column's values.
        unit: the unit; empty: none.
        descriptive: no later stage's result depends on the column. A corrected title does not
            make a film's scenes stale.
        later: the column was added after rows had been written; in them it is empty. It must be
            nullable and come after all other columns.
    """
    metadata = {"doc": doc, "unit": unit, "descriptive": descriptive}
    default: Any = None if later else dataclasses.MISSING
    return dataclasses.field(default=default, metadata=metadata)


def question_column(doc: str, unit: str) -> Any:
    """Declare a nullable column for a question of a corpus' label schema.

    Its description and unit are stored in the file, because no row type of the program has them.
    """
    metadata = {"doc": doc, "unit": unit, "descriptive": False, "is_stored": True}
    return dataclasses.field(default=None, metadata=metadata)


@dataclass(frozen=True)
class Table:
    """A table that a stage writes and later stages read.

    Attributes:
        name: file stem of the Parquet table and key of `Item.rows`.
        doc: one sentence that describes the rows.
        row: frozen dataclass whose fields are made by `column`; allowed types are str, int,
            float, bool, each of them ``| None``, ``tuple[Span, ...]`` and ``tuple[int, ...]``.
        version: schema version, raised when a column changes its meaning, name or type.
        key: names of the columns that are unique together; rows are sorted by them.
        check: yields one sentence per broken invariant of the rows of one film.
    """

    name: str
    doc: str
    row: type[Any]
    version: int
    key: tuple[str, ...]
    check: Callable[[Sequence[Any]], Iterable[str]] = lambda rows: ()

    @property
    def columns(self) -> tuple[dataclasses.Field[Any], ...]:
        """The columns, in order; their `metadata` contains `doc`, `unit` and `descriptive`."""
        return dataclasses.fields(self.row)

    def types(self) -> dict[str, tuple[Any, bool]]:
        """Return plain type and nullability of each column, by name."""
        return self._types

    @cached_property
    def _types(self) -> dict[str, tuple[Any, bool]]:
        # Cached: resolving annotations is slow, and every row that is read needs them.
        return _types(self.row)

    @cached_property
    def confined(self) -> Mapping[str, re.Pattern[str]]:
        """Columns that paths are built from, each with the pattern that no value may match."""
        names = [field.name for field in self.columns]
        paths = {name: UNSAFE_PATH for name in names if name.split("_")[-1] == "path"}
        return paths | {name: UNSAFE_NAME for name in names if name in NAMES}

    def misplaced(self, rows: Iterable[Any]) -> Iterable[str]:
        """Yield the values from which a path would lead out of the corpus."""
        for row in rows:
            for name, unsafe in self.confined.items():
                value = getattr(row, name)
                if isinstance(value, str) and unsafe.search(value):
                    yield value

    def arrow_schema(self) -> pa.Schema:
        """Return the Arrow schema, with the table's name and version in its metadata."""
        import pyarrow as pa

        kinds = {
            str: pa.string(),
            int: pa.int64(),
            float: pa.float64(),
            bool: pa.bool_(),
            SPANS: pa.list_(pa.struct([("start_s", pa.float64()), ("end_s", pa.float64())])),
            INTS: pa.list_(pa.int64()),
        }
        stored = {
            field.name: {f"ossl.{key}": field.metadata[key] for key in ("doc", "unit")}
            for field in self.columns
            if field.metadata.get("is_stored")
        }
        fields = [
            pa.field(name, kinds[kind], nullable=nullable, metadata=stored.get(name))
            for name, (kind, nullable) in self.types().items()
        ]
        return pa.schema(
            fields, metadata={"ossl.table": self.name, "ossl.schema_version": str(self.version)}
        )

    def validate(self, rows: Sequence[Any]) -> None:
        """Check types, keys and invariants of one film's rows.

        Raises:
            OsslError: `invariant_broken`, with the table's name and the first problem.
        """
        for problem in self._problems(rows):
            raise OsslError(
                "invariant_broken",
                f"Table {self.name}: {problem}.",
                "This is a bug: nothing was written. Please report it.",
            )

    def _problems(self, rows: Sequence[Any]) -> Iterable[str]:
        kinds = self.types()
        keys: set[tuple[Any, ...]] = set()
        for row in rows:
            for name, (kind, nullable) in kinds.items():
                yield from _value_problems(name, getattr(row, name), kind, nullable)
            key = tuple(getattr(row, name) for name in self.key)
            if key in keys:
                yield f"the key {key} occurs twice"
            keys.add(key)
        for value in self.misplaced(rows):
            yield f"the path {value!r} leads out of the corpus"
        yield from self.check(rows)

    def to_json(self, row: Any) -> dict[str, Any]:
        """Return a row as plain values."""
        return dataclasses.asdict(row)

    def content(self, row: Any) -> dict[str, Any]:
        """Return a row as plain values, without its descriptive columns."""
        descriptive = {field.name for field in self.columns if field.metadata["descriptive"]}
        values = self.to_json(row)
        return {name: value for name, value in values.items() if name not in descriptive}

    def from_json(self, value: dict[str, Any]) -> Any:
        """Return a row from plain values, the inverse of `to_json`; ignore unknown columns."""
        kinds = self.types()
        return self.row(
            **{
                name: _from_json(item, kinds[name][0])
                for name, item in value.items()
                if name in kinds
            }
        )


def _from_json(value: Any, kind: Any) -> Any:
    if kind == SPANS:
        return tuple(Span(**span) for span in value)
    return tuple(value) if kind == INTS else value


def _value_problems(name: str, value: Any, kind: Any, nullable: bool) -> Iterable[str]:
    if value is None:
        if not nullable:
            yield f"column {name} is empty"
    elif type(value) is not (typing.get_origin(kind) or kind):
        yield f"column {name} holds {value!r}, which is no {kind.__name__}"
    elif kind is float and not math.isfinite(value):
        yield f"column {name} holds {value!r}, which is not finite"


def _types(row: type[Any]) -> dict[str, tuple[Any, bool]]:
    columns: dict[str, tuple[Any, bool]] = {}
    for name, hint in typing.get_type_hints(row).items():
        nullable = False
        if typing.get_origin(hint) in (typing.Union, types.UnionType):
            nullable = True
            (hint,) = (part for part in typing.get_args(hint) if part is not type(None))
        columns[name] = (hint, nullable)
    return columns
