"""`ossl export …`: a corpus in the layouts that others load."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from ossl_builder.cli import export_ossl, output, train
from ossl_builder.cli.export_options import (
    AllowUnverified,
    AsJson,
    DryRun,
    Link,
    Out,
    Splits,
    Title,
    place_media,
    report,
    say_size,
    selected,
)


def add_commands(app: typer.Typer) -> None:
    """Add the group `export`."""
    group = typer.Typer(
        name="export",
        help="A corpus in the layouts that others load.",
        no_args_is_help=True,
        rich_markup_mode=None,
    )
    app.add_typer(group)
    group.command(
        "parquet", epilog="Example: ossl -C corpus export parquet --out shared --split train"
    )(parquet)
    group.command("hf", epilog="Example: ossl -C corpus export hf --out hub --title 'My corpus'")(
        hf
    )
    group.command("webdataset", epilog="Example: ossl -C corpus export webdataset --out tars")(
        webdataset
    )
    group.command("croissant", epilog="Example: ossl -C corpus export croissant --out shared")(
        croissant
    )
    export_ossl.add_commands(group)
    group.command("csv", epilog="Example: ossl -C corpus export csv --out sheets")(csv)
    train.add_export(group)


def parquet(
    context: typer.Context,
    out: Out,
    split: Splits = None,
    allow_unverified: AllowUnverified = False,
    link: Link = True,
    tables_only: Annotated[
        bool, typer.Option("--tables-only", help="No media: paths stay relative to the corpus.")
    ] = False,
    dry_run: DryRun = False,
    json: AsJson = False,
) -> None:
    """The tables as they are, and the clips' media at the same relative paths.

    `ossl train … --data DIR` reads it as it reads a corpus. Run again to go on after a stop.
    """
    from ossl_builder.exports import parquet as layout

    selection = selected(context.obj, split, allow_unverified)
    media = [] if tables_only else list(layout.media(selection, out))
    size = place_media(media, out, link=link, dry_run=dry_run)
    counts = {} if dry_run else layout.write_tables(selection, out)
    report(out, {"files": len(media), "bytes": size, "rows": counts}, dry_run, json)


def csv(
    context: typer.Context,
    out: Out,
    split: Splits = None,
    allow_unverified: AllowUnverified = False,
    dry_run: DryRun = False,
    json: AsJson = False,
) -> None:
    """Each table as CSV, and dataset.csv: one row per clip with everything known of it."""
    from ossl_builder.exports import csv_files
    from ossl_builder.exports.samples import samples

    selection = selected(context.obj, split, allow_unverified)
    counts = {}
    if not dry_run:
        counts = csv_files.write_tables(selection, out)
        counts["dataset"] = csv_files.write_sheet(out, selection, samples(selection))
    report(out, {"files": 0, "bytes": 0, "rows": counts}, dry_run, json)


def croissant(
    context: typer.Context,
    out: Out,
    split: Splits = None,
    allow_unverified: AllowUnverified = False,
    link: Link = True,
    title: Title = "ossl",
    dry_run: DryRun = False,
    json: AsJson = False,
) -> None:
    """The plain export, described by croissant.json with the SHA-256 of every file."""
    from ossl_builder.exports import croissant as described
    from ossl_builder.exports import parquet as layout

    selection = selected(context.obj, split, allow_unverified)
    media = list(layout.media(selection, out))
    size = place_media(media, out, link=link, dry_run=dry_run)
    counts = {}
    if not dry_run:
        counts = layout.write_tables(selection, out)
        about = f"Film music with its video: {counts['clips']} clips of {counts['films']} films."
        described.write(out, title, about, media)
    report(out, {"files": len(media), "bytes": size, "rows": counts}, dry_run, json)


def hf(
    context: typer.Context,
    out: Out,
    split: Splits = None,
    allow_unverified: AllowUnverified = False,
    title: Title = "OSSL",
    dry_run: DryRun = False,
    json: AsJson = False,
) -> None:
    """Parquet shards with the media in them, and a dataset card: `datasets` loads it in a line."""
    from ossl_builder.exports import card, huggingface
    from ossl_builder.exports import shards as sharding

    shards, selection = _sharded(context.obj, split, allow_unverified, out, huggingface, dry_run)
    if not dry_run:
        card.write(out, title, selection, shards)
        sharding.write_checksums(out, ["README.md"])
    _report_shards(out, shards, dry_run, json)


def webdataset(
    context: typer.Context,
    out: Out,
    split: Splits = None,
    allow_unverified: AllowUnverified = False,
    dry_run: DryRun = False,
    json: AsJson = False,
) -> None:
    """Tar shards, one sample per clip, and index.json."""
    from ossl_builder.exports import shards as sharding
    from ossl_builder.exports import webdataset as layout

    shards, _ = _sharded(context.obj, split, allow_unverified, out, layout, dry_run)
    if not dry_run:
        layout.write_index(out, shards)
        sharding.write_checksums(out, [layout.INDEX])
    _report_shards(out, shards, dry_run, json)


def _sharded(
    folder: Path, split: Splits, allow_unverified: bool, out: Path, layout: Any, dry_run: bool
) -> tuple[Any, Any]:
    """Plan the shards of a layout and write those that are not there yet."""
    from ossl_builder.exports import link_or_copy
    from ossl_builder.exports import shards as sharding
    from ossl_builder.exports.samples import samples

    selection = selected(folder, split, allow_unverified)
    shards = sharding.plan(
        list(samples(selection)), layout.MAX_BYTES, layout.shard_name, layout.VERSION
    )
    if not dry_run:
        missing = [shard for shard in shards if not (out / shard.name).exists()]
        to_come = [one for shard in missing for one in shard.samples]
        size = sum(one.size_bytes() for one in to_come)
        say_size(sum(len(one.media) for one in to_come), size)
        link_or_copy.check_room(out, size)
        with output.bar(len(shards), "shards") as advance:
            for _ in sharding.write_all(out, shards, layout.write):
                advance()
    return shards, selection


def _report_shards(out: Path, shards: Sequence[Any], dry_run: bool, json: bool) -> None:
    samples = [sample for shard in shards for sample in shard.samples]
    size = sum(sample.size_bytes() for sample in samples)
    media = sum(len(sample.media) for sample in samples)
    rows = {shard.name: len(shard.samples) for shard in shards}
    report(out, {"files": media, "bytes": size, "rows": rows}, dry_run, json)
