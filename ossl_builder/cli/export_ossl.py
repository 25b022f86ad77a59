"""`ossl export ossl-v1` and `ossl-v2`: the layouts of the released corpora."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import typer

from ossl_builder.cli import output
from ossl_builder.cli.export_options import (
    AllowUnverified,
    AsJson,
    DryRun,
    Link,
    Out,
    Splits,
    place_media,
    report,
    selected,
)


def add_commands(group: typer.Typer) -> None:
    """Add `ossl-v1` and `ossl-v2`."""
    group.command("ossl-v1", epilog="Example: ossl -C corpus export ossl-v1 --out v1")(ossl_v1)
    group.command("ossl-v2", epilog="Example: ossl -C corpus export ossl-v2 --out v2")(ossl_v2)


def ossl_v1(
    context: typer.Context,
    out: Out,
    split: Splits = None,
    allow_unverified: AllowUnverified = False,
    link: Link = True,
    dry_run: DryRun = False,
    json: AsJson = False,
) -> None:
    """As OSSL v1 was released: train_meta.csv, valid_meta.csv, <film>_<n>.mp4 and .wav.

    The WAV holds the clip's music. Features (.pt) are made by the published code, as ever.
    """
    from ossl_builder.exports import released

    _export(
        context.obj,
        split,
        allow_unverified,
        out,
        link,
        dry_run,
        json,
        released.v1_places,
        released.write_v1_sheets,
    )


def ossl_v2(
    context: typer.Context,
    out: Out,
    split: Splits = None,
    allow_unverified: AllowUnverified = False,
    link: Link = True,
    dry_run: DryRun = False,
    json: AsJson = False,
) -> None:
    """As OSSL v2 was released: metadata.csv, splits, a folder of video and one of audio per split.

    The release has no validation split; ours, where there is one, stands beside the other two.
    """
    from ossl_builder.exports import released

    _export(
        context.obj,
        split,
        allow_unverified,
        out,
        link,
        dry_run,
        json,
        released.v2_places,
        released.write_v2_sheets,
    )


def _export(
    folder: Path,
    split: Splits,
    allow_unverified: bool,
    out: Path,
    link: bool,
    dry_run: bool,
    json: bool,
    places: Callable[..., Sequence[Any]],
    sheets: Callable[..., dict[str, int]],
) -> None:
    from ossl_builder.exports import link_or_copy, released
    from ossl_builder.exports.link_or_copy import Medium
    from ossl_builder.exports.samples import samples
    from ossl_builder.files import inside

    placed = places(list(samples(selected(folder, split, allow_unverified))))
    frames = [
        Medium(
            one.sample.media["video"],
            inside(out, f"{one.stem}.mp4"),
            one.sample.facts["video_sha256"],
        )
        for one in placed
    ]
    size = place_media(frames, out, link=link, dry_run=dry_run)
    counts = {}
    if not dry_run:
        link_or_copy.check_room(out, sum(released.wave_bytes(one.sample) for one in placed))
        with output.bar(len(placed), "music") as advance:
            for _ in released.write_waves(out, placed):
                advance()
        counts = sheets(out, placed)
    size += sum(released.wave_bytes(one.sample) for one in placed)
    report(out, {"files": 2 * len(placed), "bytes": size, "rows": counts}, dry_run, json)
