"""Fetch: a recorded source becomes a film: its file, in the corpus, measured."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from pydantic import Field

from ossl_builder.engine.files import sha256_file
from ossl_builder.engine.freshness import UNSHAPING
from ossl_builder.engine.stage import Item, Outcome, Stage
from ossl_builder.errors import OsslError
from ossl_builder.stages.settings import Settings
from ossl_builder.tables import FILMS, Film, Source

BLOCK = 8 << 20


class FetchSettings(Settings):
    """How films come into the corpus."""

    max_gb: float = Field(
        50.0,
        gt=0,
        description="a larger file is not downloaded (GB)",
        json_schema_extra=UNSHAPING,
    )


def fetch_film(item: Item) -> Outcome:
    """Copy or download a film into the corpus, and measure it.

    Raises:
        OsslError: `source_missing`, `file_empty`, `not_media`, `no_picture`, `truncated`,
            `picture_undecodable`, `download_failed`, `too_large`.
    """
    (source,) = item.rows["sources"]
    local = local_path(source.source)
    kept = _kept(item, source)
    if kept is not None:
        path = kept
    elif local is None:
        from ossl_builder.tools.download import download

        limit = int(item.config.max_gb * 1e9)
        path = download(source.source, item.folder, source.film_id, limit, item.progress)
    else:
        path = _copied(local, item.folder / f"{source.film_id}{local.suffix.lower()}", item)
    for left in item.folder.iterdir():
        if left != path:
            left.unlink()
    return Outcome(rows=(_measured(source, path, item.path(path.name), item.progress),))


def local_path(source: str) -> Path | None:
    """The file that a source names, or None if it is an address of the network."""
    parts = urlsplit(source)
    if parts.scheme == "file":
        return Path(unquote(parts.path))
    return None if "://" in source else Path(source)


def _kept(item: Item, source: Source) -> Path | None:
    """The file that is here already if only something else about the film has changed."""
    for film in item.previous:
        here = item.corpus / film.path
        if film.source == source.source and sha256_file(here) == film.sha256:
            path: Path = item.folder / here.name
            path.unlink(missing_ok=True)
            os.link(here, path)
            return path
    return None


def _copied(source: Path, target: Path, item: Item) -> Path:
    if not source.is_file():
        raise OsslError(
            "source_missing",
            f"There is no file {source}.",
            "Mount its disk, or record where it is now with `ossl films add`.",
        )
    size = source.stat().st_size
    done = 0
    with source.open("rb") as reader, target.open("wb") as writer:
        while block := reader.read(BLOCK):
            writer.write(block)
            done += len(block)
            item.progress(0.5 * done / max(size, 1))
    shutil.copymode(source, target)
    return target


def _measured(source: Source, path: Path, final: str, progress: Callable[[float], None]) -> Film:
    from ossl_builder.tools.probe import probe

    found = probe(path, lambda part: progress(0.5 + 0.5 * part))
    picture, sound = found.picture, found.sound
    if found.is_truncated:
        raise OsslError(
            "truncated",
            f"{path.name} is cut off: {picture.end_s - picture.start_s:.1f} s of picture are there,"
            " and its end is missing.",
            "Fetch or copy the whole file again.",
        )
    duration = picture.end_s - picture.start_s
    return Film(
        film_id=source.film_id,
        title=source.title,
        year=source.year,
        basis=source.basis,
        evidence=source.evidence,
        source=source.source,
        path=final,
        sha256=sha256_file(path),
        size_bytes=path.stat().st_size,
        duration_s=duration,
        n_packets=picture.n_packets,
        fps=picture.n_packets / duration,
        fps_num=picture.rate.numerator,
        fps_den=picture.rate.denominator,
        is_variable_rate=picture.is_variable_rate,
        width=picture.width,
        height=picture.height,
        sar_num=picture.sar.numerator,
        sar_den=picture.sar.denominator,
        is_interlaced=picture.is_interlaced,
        video_codec=picture.codec,
        audio_codec=sound.codec if sound else None,
        audio_sample_rate=sound.sample_rate if sound else None,
        audio_channels=sound.channels if sound else None,
        audio_offset_s=sound.start_s - picture.start_s if sound else None,
        audio_duration_s=sound.end_s - sound.start_s if sound else None,
    )


def _tools(config: Any) -> dict[str, str]:
    return {"av": version("av")}


FETCH_STAGE = Stage(
    name="fetch",
    doc="Copy or download films into the corpus, probe them, hash them.",
    version=1,
    reads=("sources",),
    writes=FILMS,
    config=FetchSettings,
    run=fetch_film,
    folder="source",
    tools=_tools,
    resumes=True,
)
