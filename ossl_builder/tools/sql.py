"""SQL over a corpus' tables, by DuckDB, which may read these files and nothing else."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ossl_builder.errors import OsslError


@dataclass(frozen=True)
class Result:
    """What a question gave: the columns' names, and the rows."""

    columns: tuple[str, ...]
    rows: Iterable[tuple[Any, ...]]


def ask(tables: Mapping[str, Path], question: str) -> Result:
    """Answer one SELECT.

    Args:
        tables: Parquet file of each table, by the name it has in the question.
        question: one SELECT in DuckDB's SQL.

    Raises:
        OsslError: `duckdb_missing`; `query_refused`: it is not one SELECT, or reaches for other
            files; `query_invalid`, with what DuckDB says of it.
    """
    try:
        import duckdb
    except ModuleNotFoundError as error:
        raise OsslError(
            "duckdb_missing",
            "Queries need DuckDB, which is not installed.",
            'Install it with `pip install "ossl-builder[export]"`.',
        ) from error
    connection = duckdb.connect()
    for name, path in tables.items():
        connection.execute(f"CREATE VIEW {name} AS SELECT * FROM read_parquet({_quoted(path)})")
    allowed = ", ".join(map(_quoted, tables.values()))
    # From here on it opens these files only, and no question can change that.
    connection.execute(f"SET allowed_paths = [{allowed}]")
    connection.execute("SET enable_external_access = false")
    connection.execute("SET lock_configuration = true")
    try:
        statements = connection.extract_statements(question)
        if [statement.type for statement in statements] != [duckdb.StatementType.SELECT]:
            raise OsslError(
                "query_refused",
                "Only one SELECT is answered: nothing can be changed.",
                'For example: ossl query "SELECT film_id, count(*) FROM clips GROUP BY film_id".',
            )
        answer = connection.execute(statements[0])
        columns = tuple(entry[0] for entry in answer.description)
        return Result(columns, answer.fetchall())
    except duckdb.PermissionException as error:
        raise OsslError("query_refused", _first_line(error), _names(tables)) from error
    except duckdb.Error as error:
        raise OsslError("query_invalid", _first_line(error), _names(tables)) from error


def _quoted(path: Path) -> str:
    return "'" + str(path).replace("'", "''") + "'"


def _first_line(error: Exception) -> str:
    return str(error).strip().splitlines()[0].rstrip(".") + "."


def _names(tables: Mapping[str, Path]) -> str:
    return f"Tables here: {', '.join(tables)}; manifests/README.md describes their columns."
