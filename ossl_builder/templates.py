"""Render HTML from Jinja templates; all values are escaped."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from ossl_builder.errors import OsslError

Render = Callable[[str, Mapping[str, Any]], str]


def renderer(folder: Path) -> Render:
    """Return a function that renders a template, by its name in `folder`, with values.

    A variable of the template that has no value is an error, not an empty string.

    Raises:
        OsslError: `not_installed`.
    """
    try:
        import jinja2
    except ImportError as error:
        raise OsslError(
            "not_installed", "Jinja is not installed.", "pip install 'ossl-builder[export]'"
        ) from error
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(folder, encoding="utf-8"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )

    def render(name: str, values: Mapping[str, Any]) -> str:
        return environment.get_template(name).render(values)

    return render
