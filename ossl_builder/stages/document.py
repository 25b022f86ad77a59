"""Update the documentation of the tables: `python -m ossl_builder.stages.document README.md`.

The text of a section is written by hand. Its list of columns is generated from the row type. A
table without a section gets a new one.
"""

from __future__ import annotations

import sys
from pathlib import Path

from ossl_builder.stages.registry import TABLES
from ossl_builder.tables import Table
from ossl_builder.tables.schema import INTS, SPANS

HEADER = "| column | type | unit | meaning |\n|---|---|---|---|\n"


def documented(text: str, tables: tuple[Table, ...] = TABLES) -> str:
    """Return the Markdown text with the current columns of each table.

    Args:
        text: Markdown with one section `## <table>` per table, which contains a list of columns.
        tables: the tables.
    """
    for table in tables:
        heading = f"## {table.name}\n"
        if heading not in text:
            keys = ", ".join(f"`{name}`" for name in table.key)
            introduction = f"{table.doc} Key: {keys}."
            text = f"{text.rstrip()}\n\n{heading}\n{introduction}\n\n{HEADER}"
        before, _, section = text.partition(heading)
        section, next_heading, after = section.partition("\n## ")
        lines = section.split("\n")
        head = lines.index(HEADER.split("\n")[1])
        end = next(
            (at for at in range(head + 1, len(lines)) if not lines[at].startswith("|")), len(lines)
        )
        lines[head + 1 : end] = _column_lines(table)
        text = before + heading + "\n".join(lines) + next_heading + after
    return text


def _column_lines(table: Table) -> list[str]:
    lines = []
    for column in table.columns:
        kind, is_nullable = table.types()[column.name]
        type_text = {SPANS: "list of spans", INTS: "list of ints"}.get(kind)
        type_text = type_text or kind.__name__ + (", or empty" * is_nullable)
        unit, doc = column.metadata["unit"], column.metadata["doc"]
        lines.append(f"| `{column.name}` | {type_text} | {unit} | {doc} |")
    return lines


if __name__ == "__main__":
    path = Path(sys.argv[1])
    path.write_text(documented(path.read_text(encoding="utf-8")), encoding="utf-8")
