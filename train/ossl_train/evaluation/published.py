"""Figures that others have published: shown only where the protocol is that of the measured ones.

They come from a file of the user. They are never part of a table of measured figures.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

from ossl_builder import parse
from ossl_builder.errors import OsslError
from ossl_train.evaluation.report import Figure, rounded

TITLE = "Published, not reproduced here"
WINDOWS = "all"
"""How this program takes vectors: windows that together cover the whole file."""
MOST_BYTES = 1 << 20
HEADER = ("measure", "system", "published value", "set", "clips", "embedding", "source")
OF_VIDEO = ("onset_at_cuts", "beat_at_cuts", "loudness_follows_motion")


@dataclass(frozen=True)
class PublishedFigure:
    """A figure of a publication.

    Attributes:
        figure: the name that this program gives to the measure, such as `fad`.
        value: the published value.
        system: the system that was measured.
        set: name of the evaluation set.
        n_clips: number of its clips.
        embedding: the model that embeds or tags the music, by its name on the hub or by the
            SHA-256 of its files; `PaSST` for `kl`; empty for figures of the video.
        windows: `all` if the whole of each file was measured, else other words.
        source: where it was published.
    """

    figure: str
    value: float
    system: str
    set: str
    n_clips: int
    embedding: str
    windows: str
    source: str


@dataclass(frozen=True)
class Published:
    """Published figures of the same protocol, and sentences on the others."""

    shown: tuple[PublishedFigure, ...]
    not_shown: tuple[str, ...]

    def plain(self) -> dict[str, Any]:
        """Return plain values."""
        shown = [asdict(one) | {"value": rounded(one.value)} for one in self.shown]
        return {"title": TITLE, "figures": shown, "not_shown": list(self.not_shown)}

    def rows(self) -> list[tuple[str, ...]]:
        """Return the shown figures as cells under `HEADER`."""
        return [
            (one.figure, one.system, f"{one.value:.4g}", one.set, str(one.n_clips),
             one.embedding or "none", one.source)
            for one in self.shown
        ]  # fmt: skip


def read_published(path: Path) -> tuple[PublishedFigure, ...]:
    """Read published figures from a JSON list of objects with the fields of `PublishedFigure`.

    Raises:
        OsslError: `published_invalid`.
    """
    try:
        rows = parse.json_value(parse.regular_bytes(path, MOST_BYTES), is_strict=True)
        if not isinstance(rows, list):
            raise ValueError("it is no list")
        return tuple(map(_figure, rows))
    except (OSError, ValueError) as error:
        names = ", ".join(one.name for one in fields(PublishedFigure))
        raise OsslError(
            "published_invalid",
            f"{path} is not a list of published figures: {parse.cut(str(error))}.",
            f"Give a JSON list of objects with {names}.",
        ) from error


def comparable(
    published: Iterable[PublishedFigure],
    figures: Iterable[Figure],
    facts: Mapping[str, Any],
    n_clips: int,
) -> Published:
    """Choose the published figures with the protocol of the measured ones.

    Args:
        published: all published figures.
        figures: the measured figures.
        facts: the facts of the evaluation.
        n_clips: number of clips that were measured.
    """
    measured = {one.name for one in figures if one.of == "generated" and one.value is not None}
    shown, not_shown = [], []
    for one in published:
        why = _why_not(one, measured, facts, n_clips)
        if why:
            not_shown.append(f"{one.figure} of {one.system} ({one.source}): {why}")
        else:
            shown.append(one)
    return Published(tuple(shown), tuple(not_shown))


def _why_not(
    one: PublishedFigure, measured: set[str], facts: Mapping[str, Any], n_clips: int
) -> str:
    if one.figure not in measured:
        return "this measure was not computed here"
    if one.set != facts.get("set"):
        return f"it is of the set {one.set}, not of {facts.get('set') or 'these files'}"
    if one.n_clips != n_clips:
        return f"it is of {one.n_clips} clips, not of {n_clips}"
    names = _embeddings(one.figure, facts)
    if one.embedding not in names:
        return f"its embedding is {one.embedding or 'none'}, not {names[0] or 'none'}"
    if one.windows != WINDOWS:
        return f"it is of windows {one.windows!r}, not of the whole of each file"
    return ""


def _embeddings(figure: str, facts: Mapping[str, Any]) -> tuple[str, ...]:
    """Return the names of the model that a figure depends on."""
    if figure in OF_VIDEO:
        return ("",)
    model = facts["tagger"] if figure == "kl" else facts["embedding"]
    return model["name"], model["sha256"]


def _figure(row: Any) -> PublishedFigure:
    kinds = {one.name: one.type for one in fields(PublishedFigure)}
    if not isinstance(row, dict) or row.keys() != kinds.keys():
        raise ValueError(f"a figure has the fields {parse.shown(row)}")
    for name, kind in kinds.items():
        value = row[name]
        is_right = (
            isinstance(value, str) and len(value) <= 500 if kind == "str"
            else type(value) is int if kind == "int"
            else type(value) in (int, float) and abs(value) < 1e12
        )  # fmt: skip
        if not is_right:
            raise ValueError(f"{name} is {parse.shown(value)}")
    return PublishedFigure(**row)
