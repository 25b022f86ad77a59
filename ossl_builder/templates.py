"""Render HTML from Jinja templates; every value is escaped."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from ossl_builder.errors import OsslError

Render = Callable[[str, Mapping[str, Any]], str]


def renderer(folder: Path) -> Render:
    """A function from a template's name in `folder` and its values to its text.

    A value that a template names and that is not given is an error, not an empty place.

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
