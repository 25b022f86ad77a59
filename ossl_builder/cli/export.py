"""`ossl export …`: a corpus in the formats that others load."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from ossl_builder.cli import options, output, train
from ossl_builder.corpus import open_corpus


def add_commands(app: typer.Typer) -> None:
    """Add the group `export`."""
    group = typer.Typer(
        name="export", help="Export a corpus in the formats that others load.", no_args_is_help=True
    )
    app.add_typer(group)
    for name, command, example in (
        ("parquet", parquet, "--out shared --split train"),
        ("hf", hf, "--out hub --title 'My corpus'"),
        ("webdataset", webdataset, "--out tars"),
        ("croissant", croissant, "--out shared"),
        ("ossl-v1", ossl_v1, "--out v1"),
        ("ossl-v2", ossl_v2, "--out v2"),
        ("csv", csv, "--out sheets"),
    ):
        epilog = f"Example: ossl -C corpus export {name} {example}"
        group.command(name, epilog=epilog)(command)
    train.add_export(group)


def parquet(
    context: typer.Context,
    out: options.Out,
    split: options.Splits = None,
    allow_unverified: options.AllowUnverified = False,
    link: options.Link = True,
    tables_only: Annotated[
        bool, typer.Option("--tables-only", help="No media; paths stay relative to the corpus.")
    ] = False,
    dry_run: options.DryRun = False,
    json: options.AsJson = False,
) -> None:
    """Export the tables as they are, and the clips' media at the same relative paths.

    `ossl train … --data DIR` reads the folder as it reads a corpus. The command can be interrupted
    at any time; run it again to resume.
    """
    from ossl_builder.exports import parquet as layout

    selection = _select(context.obj, split, allow_unverified)
    media = [] if tables_only else list(layout.media(selection, out))
    size = _place_media(media, out, link=link, dry_run=dry_run)
    counts = {} if dry_run else layout.write_tables(selection, out)
    _report(out, {"files": len(media), "bytes": size, "rows": counts}, dry_run, json)


def csv(
    context: typer.Context,
    out: options.Out,
    split: options.Splits = None,
    allow_unverified: options.AllowUnverified = False,
    dry_run: options.DryRun = False,
    json: options.AsJson = False,
) -> None:
    """Export each table as CSV, and dataset.csv with one row per clip and all its facts."""
    from ossl_builder.exports import csv_files
    from ossl_builder.exports.samples import samples

    selection = _select(context.obj, split, allow_unverified)
    counts = {}
    if not dry_run:
        counts = csv_files.write_tables(selection, out)
        counts["dataset"] = csv_files.write_sheet(out, selection, samples(selection))
    _report(out, {"files": 0, "bytes": 0, "rows": counts}, dry_run, json)


def croissant(
    context: typer.Context,
    out: options.Out,
    split: options.Splits = None,
    allow_unverified: options.AllowUnverified = False,
    link: options.Link = True,
    title: options.Title = "ossl",
    dry_run: options.DryRun = False,
    json: options.AsJson = False,
) -> None:
    """Export as `parquet` does, with a Croissant description in croissant.json."""
    from ossl_builder.exports import croissant as description
    from ossl_builder.exports import parquet as layout

    selection = _select(context.obj, split, allow_unverified)
    media = list(layout.media(selection, out))
    size = _place_media(media, out, link=link, dry_run=dry_run)
    counts = {}
    if not dry_run:
        counts = layout.write_tables(selection, out)
        about = f"Film music with its video: {counts['clips']} clips of {counts['films']} films."
        description.write(out, title, about, media)
    _report(out, {"files": len(media), "bytes": size, "rows": counts}, dry_run, json)


def hf(
    context: typer.Context,
    out: options.Out,
    split: options.Splits = None,
    allow_unverified: options.AllowUnverified = False,
    title: options.Title = "OSSL",
    dry_run: options.DryRun = False,
    json: options.AsJson = False,
) -> None:
    """Export Parquet shards with embedded media and a dataset card, for Hugging Face `datasets`."""
    from ossl_builder.exports import card, huggingface, shards

    planned, selection = _write_shards(
        context.obj, split, allow_unverified, out, huggingface, dry_run
    )
    if not dry_run:
        card.write(out, title, selection, planned)
        shards.write_checksums(out, ["README.md"])
    _report_shards(out, planned, dry_run, json)


def webdataset(
    context: typer.Context,
    out: options.Out,
    split: options.Splits = None,
    allow_unverified: options.AllowUnverified = False,
    dry_run: options.DryRun = False,
    json: options.AsJson = False,
) -> None:
    """Export tar shards with one sample per clip, and index.json."""
    from ossl_builder.exports import shards
    from ossl_builder.exports import webdataset as layout

    planned, _ = _write_shards(context.obj, split, allow_unverified, out, layout, dry_run)
    if not dry_run:
        layout.write_index(out, planned)
        shards.write_checksums(out, [layout.INDEX])
    _report_shards(out, planned, dry_run, json)


def ossl_v1(
    context: typer.Context,
    out: options.Out,
    split: options.Splits = None,
    allow_unverified: options.AllowUnverified = False,
    link: options.Link = True,
    dry_run: options.DryRun = False,
    json: options.AsJson = False,
) -> None:
    """Export in the layout of OSSL v1: train_meta.csv, valid_meta.csv, <film>_<n>.mp4 and .wav.

    The WAV has the clip's music. The published code computes the features (.pt).
    """
    from ossl_builder.exports import released

    chosen = _select(context.obj, split, allow_unverified)
    _export_released(chosen, out, link, dry_run, json, released.v1_places, released.write_v1_sheets)


def ossl_v2(
    context: typer.Context,
    out: options.Out,
    split: options.Splits = None,
    allow_unverified: options.AllowUnverified = False,
    link: options.Link = True,
    dry_run: options.DryRun = False,
    json: options.AsJson = False,
) -> None:
    """Export in the layout of OSSL v2: metadata.csv, splits, and folders of video and audio.

    The release has no validation split; if this corpus has one, it is a third folder.
    """
    from ossl_builder.exports import released

    chosen = _select(context.obj, split, allow_unverified)
    _export_released(chosen, out, link, dry_run, json, released.v2_places, released.write_v2_sheets)


def _select(folder: Path, split: options.Splits, allow_unverified: bool) -> Any:
    """Choose the films; name those in no split and those not shown to be free."""
    from ossl_builder.exports.selection import select

    selection = select(open_corpus(folder), split or (), allow_unverified)
    if selection.left_out:
        names = ", ".join(selection.left_out)
        output.say(f"Not exported, because in no split: {names}. `ossl split` gives the reasons.")
    if selection.unverified:
        names = selection.unverified_names()
        output.say(f"Not shown to be free, exported because of --allow-unverified: {names}.")
    return selection


def _place_media(media: Sequence[Any], out: Path, *, link: bool, dry_run: bool) -> int:
    """Link or copy media, after a check of the free disk space; return their bytes."""
    from ossl_builder.exports import link_or_copy

    size = link_or_copy.size_of(media)
    if not dry_run:
        output.say(f"{len(media)} media files, {size / 1e6:,.1f} MB.")
        link_or_copy.check_room(out, 0 if link else size)
        with output.bar(len(media), "media") as advance:
            for _ in link_or_copy.place(media, link):
                advance()
    return size


def _write_shards(
    folder: Path,
    split: options.Splits,
    allow_unverified: bool,
    out: Path,
    layout: Any,
    dry_run: bool,
) -> tuple[Any, Any]:
    """Plan the shards of a layout and write those that are missing."""
    from ossl_builder.exports import link_or_copy, shards
    from ossl_builder.exports.samples import samples

    selection = _select(folder, split, allow_unverified)
    planned = shards.plan(
        list(samples(selection)), layout.MAX_BYTES, layout.shard_name, layout.VERSION
    )
    if not dry_run:
        missing = [shard for shard in planned if not (out / shard.name).exists()]
        waiting = [sample for shard in missing for sample in shard.samples]
        size = sum(sample.size_bytes() for sample in waiting)
        n_files = sum(len(sample.media) for sample in waiting)
        output.say(f"{n_files} media files, {size / 1e6:,.1f} MB.")
        link_or_copy.check_room(out, size)
        with output.bar(len(planned), "shards") as advance:
            for _ in shards.write_all(out, planned, layout.write):
                advance()
    return planned, selection


def _export_released(
    selection: Any,
    out: Path,
    link: bool,
    dry_run: bool,
    json: bool,
    assign_paths: Callable[..., Sequence[Any]],
    write_sheets: Callable[..., dict[str, int]],
) -> None:
    from ossl_builder.exports import link_or_copy, released
    from ossl_builder.exports.link_or_copy import Medium
    from ossl_builder.exports.samples import samples
    from ossl_builder.files import inside

    placed = assign_paths(list(samples(selection)))
    videos = [
        Medium(
            clip.sample.media["video"],
            inside(out, f"{clip.stem}.mp4"),
            clip.sample.facts["video_sha256"],
        )
        for clip in placed
    ]
    size = _place_media(videos, out, link=link, dry_run=dry_run)
    wave_size = sum(released.wave_bytes(clip.sample) for clip in placed)
    counts = {}
    if not dry_run:
        link_or_copy.check_room(out, wave_size)
        with output.bar(len(placed), "music") as advance:
            for _ in released.write_waves(out, placed):
                advance()
        counts = write_sheets(out, placed)
    facts = {"files": 2 * len(placed), "bytes": size + wave_size, "rows": counts}
    _report(out, facts, dry_run, json)


def _report_shards(out: Path, planned: Sequence[Any], dry_run: bool, json: bool) -> None:
    samples = [sample for shard in planned for sample in shard.samples]
    facts = {
        "files": sum(len(sample.media) for sample in samples),
        "bytes": sum(sample.size_bytes() for sample in samples),
        "rows": {shard.name: len(shard.samples) for shard in planned},
    }
    _report(out, facts, dry_run, json)


def _report(out: Path, facts: dict[str, Any], dry_run: bool, json: bool) -> None:
    """Print what was written, or would be."""
    facts = {"out": str(out), "written": not dry_run, **facts}
    if json:
        output.as_json(facts)
        return
    would = "would be written" if dry_run else "written"
    output.say(f"{facts['files']} media files, {facts['bytes'] / 1e6:.1f} MB, {would} to {out}.")
    for name, count in facts.get("rows", {}).items():
        output.say(f"  {name:<32} {count:>9} rows")
