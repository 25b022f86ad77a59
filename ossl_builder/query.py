"""Run SQL over a corpus' tables with DuckDB, which may read these files and no others."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ossl_builder.errors import OsslError

# DuckDB writes no temporary files and downloads no extensions.
CONFIG: dict[str, str | bool | int | float | list[str]] = {
    "temp_directory": "",
    "autoinstall_known_extensions": False,
    "autoload_known_extensions": False,
}


@dataclass(frozen=True)
class Result:
    """The result of a query.

    Attributes:
        columns: names of the columns.
        rows: the rows.
        unreadable: the reason for each table whose file could not be read, by table.
    """

    columns: tuple[str, ...]
    rows: Iterable[tuple[Any, ...]]
    unreadable: Mapping[str, str]


def run_query(tables: Mapping[str, Path], question: str) -> Result:
    """Run one SELECT.

    Args:
        tables: the Parquet file of each table, by the table's name in the query.
        question: one SELECT in DuckDB's SQL.

    Raises:
        OsslError: `not_installed`; `query_refused`: it is not one SELECT, or it reads other files;
            `query_invalid`, with DuckDB's message.
    """
    try:
        import duckdb
    except ModuleNotFoundError as error:
        raise OsslError(
            "not_installed",
            "Queries need DuckDB, which is not installed.",
            'Install it with `pip install "ossl-builder[export]"`.',
        ) from error
    connection = duckdb.connect(config=CONFIG)
    unreadable: dict[str, str] = {}
    for name, path in tables.items():
        view = f"CREATE VIEW {_identifier(name)} AS SELECT * FROM read_parquet({_quoted(path)})"
        try:
            connection.execute(view)
        except duckdb.Error as error:
            unreadable[name] = _first_line(error)
    allowed = ", ".join(_quoted(path) for name, path in tables.items() if name not in unreadable)
    # From here on DuckDB opens only these files, and the query cannot change that.
    connection.execute(f"SET allowed_paths = [{allowed}]")
    connection.execute("SET enable_external_access = false")
    connection.execute("SET lock_configuration = true")
    readable = [name for name in tables if name not in unreadable]
    try:
        statements = connection.extract_statements(question)
        if [statement.type for statement in statements] != [duckdb.StatementType.SELECT]:
            raise OsslError(
                "query_refused",
                "Only one SELECT is allowed: a query can change nothing.",
                'For example: ossl query "SELECT film_id, count(*) FROM clips GROUP BY film_id".',
            )
        answer = connection.execute(statements[0])
        columns = tuple(entry[0] for entry in answer.description)
        return Result(columns, answer.fetchall(), unreadable)
    except duckdb.PermissionException as error:
        raise OsslError(
            "query_refused", _first_line(error), _tables_hint(readable, unreadable)
        ) from error
    except duckdb.Error as error:
        raise OsslError(
            "query_invalid", _first_line(error), _tables_hint(readable, unreadable)
        ) from error


def _quoted(path: Path) -> str:
    return "'" + str(path).replace("'", "''") + "'"


def _first_line(error: Exception) -> str:
    return str(error).strip().splitlines()[0].rstrip(".") + "."


def _identifier(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def _tables_hint(tables: Iterable[str], unreadable: Mapping[str, str]) -> str:
    listing = f"Tables here: {', '.join(tables)}; manifests/README.md describes their columns."
    return listing + "".join(f" {name} cannot be read: {why}" for name, why in unreadable.items())
