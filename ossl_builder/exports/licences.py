"""Which licence an export may name for a film, by the film's verdict."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

from ossl_builder.rights.case import PUBLIC_DOMAIN

PUBLIC_DOMAIN_MARK = "https://creativecommons.org/publicdomain/mark/1.0/"
ADDRESS = re.compile(r"https?://[^\s<>\"'\[\]()]+[^\s<>\"'\[\]().,;:]")
# Columns of the films table that the licence of a film is read from.
COLUMNS = ("film_id", "title", "verdict", "evidence", "licence_url")


def licence_of(film: Mapping[str, Any]) -> str | None:
    """The address of a film's licence, or of the Public Domain Mark; None: none can be named.

    Args:
        film: its row of the films table, with today's verdict.
    """
    if film["verdict"] in PUBLIC_DOMAIN:
        return PUBLIC_DOMAIN_MARK
    if film["verdict"] != "licensed":
        return None
    # The evidence first: the verdict rests on it. An uploader can choose any licence.
    address = ADDRESS.search(film["evidence"])
    return address.group() if address else film["licence_url"]


def shared_licence(films: Iterable[Mapping[str, Any]]) -> str | None:
    """The one licence that holds for all films; None: there is no such licence."""
    licences = {licence_of(film) for film in films}
    return licences.pop() if len(licences) == 1 else None


def statement_of(film: Mapping[str, Any]) -> str:
    """What is known of a film's licence: its address, or a sentence."""
    licence = licence_of(film)
    if licence is not None:
        return licence
    if film["verdict"] == "licensed":
        return f"Licensed; no address of the licence is recorded: {film['evidence']}"
    word = (film["verdict"] or "unknown").replace("_", " ")
    return f"None: the film is not shown to be free in the United States (verdict: {word})."
