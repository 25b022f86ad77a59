"""Render HTML and Markdown from Jinja templates."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import jinja2
import yaml

Render = Callable[[str, Mapping[str, Any]], str]


def html_renderer(*folders: Path) -> Render:
    """Return a function that renders an HTML template, by its name in one of `folders`.

    All values are escaped. A variable that has no value is an error, not an empty string.
    """
    return _render_with(_environment(folders, is_html=True))


def markdown_renderer(folder: Path) -> Render:
    """Return a function that renders a Markdown template, by its name in `folder`, with values.

    The templates have three filters: `cell` (text for one table cell), `table` (rows as a table;
    the headings are its arguments) and `yaml`. A variable that has no value is an error.
    """
    environment = _environment((folder,), is_html=False)
    environment.filters.update(
        cell=markdown_cell,
        table=lambda rows, *header: markdown_table(header, rows),
        yaml=lambda value: yaml.safe_dump(value, sort_keys=False, allow_unicode=True),
    )
    return _render_with(environment)


def _environment(folders: Sequence[Path], *, is_html: bool) -> jinja2.Environment:
    return jinja2.Environment(
        loader=jinja2.FileSystemLoader(folders, encoding="utf-8"),
        autoescape=is_html,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )


def _render_with(environment: jinja2.Environment) -> Render:
    def render(name: str, values: Mapping[str, Any]) -> str:
        return environment.get_template(name).render(values)

    return render


def markdown_table(header: Sequence[str], rows: Iterable[Sequence[Any]]) -> str:
    """Return a Markdown table."""
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join(f"| {' | '.join(map(markdown_cell, line))} |" for line in lines)


def markdown_cell(value: Any) -> str:
    """Return text for one table cell: line breaks become blanks, bars are escaped."""
    return " ".join(str(value).split()).replace("|", "\\|")
