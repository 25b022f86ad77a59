"""`ossl label caption`: captions by a model, apart from the annotators' captions."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Annotated

import typer

from ossl_builder.cli import options, output
from ossl_builder.corpus import open_corpus

if TYPE_CHECKING:
    from ossl_builder.annotations.captions import CaptionWork
    from ossl_builder.engine.cache import Decision
    from ossl_builder.engine.records import Record


def add_commands(group: typer.Typer) -> None:
    """Add `caption`."""
    group.command(
        "caption",
        epilog="Example: ossl -C corpus label caption --model microsoft/git-base-coco --dry-run",
    )(caption)


def caption(
    context: typer.Context,
    model: Annotated[
        str,
        typer.Option(
            help="An image-to-text or image-text-to-text model: its name on the Hugging Face hub, "
            "or a folder.",
            metavar="NAME|FOLDER",
        ),
    ],
    film: options.FilmIds = None,
    revision: Annotated[
        str | None, typer.Option(help="The revision of the model on the hub.")
    ] = None,
    frames: Annotated[
        int, typer.Option(min=1, max=32, help="Frames of each clip, evenly spread.")
    ] = 4,
    max_tokens: Annotated[
        int, typer.Option(min=1, max=200, help="Most tokens of each text of the model.")
    ] = 40,
    instruction: Annotated[
        str | None,
        typer.Option(
            help="For models that take an instruction.", show_default="one short sentence"
        ),
    ] = None,
    device: Annotated[str, typer.Option(help="auto, cpu or cuda.")] = "auto",
    dry_run: options.DryRun = False,
    json: options.AsJson = False,
) -> None:
    """Caption clips with a model, from a few frames of each. Skip what is up to date.

    The captions go into the table captions. They are no annotations: they do not change labels or
    agreement, and a caption of a person is always preferred. They describe the picture, not the
    music. The exit code is 0 if all clips have a caption, 1 if none, 3 if some.
    """
    from ossl_builder.annotations import captions
    from ossl_builder.cli.run_output import Watcher

    corpus = open_corpus(context.obj)
    settings = captions.CaptionSettings(
        model=model,
        revision=revision,
        frames=frames,
        max_tokens=max_tokens,
        instruction=captions.INSTRUCTION if instruction is None else instruction,
        device=device,
    )
    work = captions.work_of(corpus.root, settings, corpus.chosen(film) if film else None)
    if dry_run:
        _show_plan(captions.plan(work), json)
        return
    watcher = Watcher(sorted(work.clips))
    with corpus.locked(), watcher.watching():
        ends = captions.caption_clips(work, watcher.show)
    _show_results(work, ends, json)


def _show_plan(decisions: list[Decision], json: bool) -> None:
    rows = [{"clip_id": d.item_id, "action": d.action, "why": d.why} for d in decisions]
    output.emit(rows, json, lambda rows: output.rows(rows, ("clip_id", "action", "why")))
    n_waiting = sum(decision.action == "run" for decision in decisions)
    output.say(f"{n_waiting} of {len(decisions)} clips would be captioned.")


def _show_results(work: CaptionWork, ends: list[Record], json: bool) -> None:
    from ossl_builder.annotations.captions import current_captions
    from ossl_builder.tables import CAPTIONS

    folder = work.root / "manifests"
    has_table = (folder / f"{CAPTIONS.name}.parquet").exists()
    captions = current_captions(folder) if has_table else {}
    rows = []
    for record in ends:
        clip = work.clips[record.item_id]
        row = captions.get((clip.film_id, clip.clip_id)) if record.state == "done" else None
        rows.append(
            {
                "film_id": clip.film_id,
                "clip_id": clip.clip_id,
                "state": record.state,
                "caption": row.caption if row else None,
                "model": row.model if row else None,
                "revision": row.revision if row else None,
                "digest": row.digest if row else None,
                "code": record.code,
                "message": record.message,
                "hint": record.hint,
            }
        )
    output.emit(rows, json, lambda rows: output.rows(rows, ("clip_id", "state", "caption")))
    states = Counter(record.state for record in ends)
    output.say(
        f"{states['done']} of {len(ends)} clips have a caption by {work.settings.model}; "
        f"{states['rejected']} without words, {states['failed']} failed."
    )
    if states["done"] < len(ends):
        raise typer.Exit(3 if states["done"] else 1)
