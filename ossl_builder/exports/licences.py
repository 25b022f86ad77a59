"""Choose the licence that an export states for a film, from the film's verdict."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

from ossl_builder.rights.case import PUBLIC_DOMAIN

PUBLIC_DOMAIN_MARK = "https://creativecommons.org/publicdomain/mark/1.0/"
ADDRESS = re.compile(r"https?://[^\s<>\"'\[\]()]+[^\s<>\"'\[\]().,;:]")
# Columns of the films table that decide the licence of a film.
COLUMNS = ("film_id", "title", "verdict", "evidence", "licence_url")


def licence_of(film: Mapping[str, Any]) -> str | None:
    """Return the URL of a film's licence or of the Public Domain Mark; None: no URL is known.

    Args:
        film: its row of the films table, with today's verdict.
    """
    if film["verdict"] in PUBLIC_DOMAIN:
        return PUBLIC_DOMAIN_MARK
    if film["verdict"] != "licensed":
        return None
    # Prefer the evidence, because the verdict uses it. An uploader can choose any licence.
    address = ADDRESS.search(film["evidence"])
    return address.group() if address else film["licence_url"]


def shared_licence(films: Iterable[Mapping[str, Any]]) -> str | None:
    """Return the licence shared by all films; None: they do not share one."""
    licences = {licence_of(film) for film in films}
    return licences.pop() if len(licences) == 1 else None


def statement_of(film: Mapping[str, Any]) -> str:
    """Return the URL of a film's licence, or a sentence if no URL is known."""
    licence = licence_of(film)
    if licence is not None:
        return licence
    if film["verdict"] == "licensed":
        return f"Licensed; no address of the licence is recorded: {film['evidence']}"
    verdict = (film["verdict"] or "unknown").replace("_", " ")
    return f"None: the film is not shown to be free in the United States (verdict: {verdict})."
