"""`ossl import`: read released corpora into the tables of a new corpus."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ossl_builder.cli import options, output

if TYPE_CHECKING:
    from ossl_builder.imports.import_release import Usable
    from ossl_builder.imports.release_format import Found, Problem

SOME = 3
NAMED = 8

Folder = Annotated[
    Path, typer.Argument(help="The released corpus.", exists=True, file_okay=False, metavar="DIR")
]
Out = Annotated[
    Path,
    typer.Option(
        "--out", help="The corpus to create, or one of an earlier import.", metavar="CORPUS"
    ),
]
Tolerance = Annotated[
    float | None,
    typer.Option(
        "--tolerance",
        min=0,
        help="Largest difference in seconds between the lengths of a clip's video and music.",
        show_default="one frame",
    ),
]


def add_commands(app: typer.Typer) -> None:
    """Add the group `import`."""
    group = typer.Typer(
        name="import",
        help="Import released corpora (OSSL v1 and v2).",
        no_args_is_help=True,
    )
    app.add_typer(group)
    group.command("ossl-v1", epilog="Example: ossl import ossl-v1 OpenScreenSoundLibrary --out v1")(
        ossl_v1
    )
    group.command("ossl-v2", epilog="Example: ossl import ossl-v2 OSSL-v2 --out v2 --workers 8")(
        ossl_v2
    )


def ossl_v1(
    folder: Folder,
    out: Out,
    link: options.Link = True,
    workers: options.Workers = 1,
    tolerance: Tolerance = None,
    dry_run: options.DryRun = False,
    json: options.AsJson = False,
) -> None:
    """Import OSSL v1: train_meta.csv, valid_meta.csv or updated_meta.csv, and AA_0.mp4, AA_0.wav.

    Exit code 3: something is missing, damaged or in two splits; 1: no clip can be used.
    """
    _import("ossl-v1", folder, out, link, workers, tolerance, dry_run, json)


def ossl_v2(
    folder: Folder,
    out: Out,
    link: options.Link = True,
    workers: options.Workers = 1,
    tolerance: Tolerance = None,
    dry_run: options.DryRun = False,
    json: options.AsJson = False,
) -> None:
    """Import OSSL v2: metadata.csv, splits, and {train,test}/{video,audio}/<movie>/<clip>.

    Exit code 3: something is missing, damaged or in two splits; 1: no clip can be used.
    """
    _import("ossl-v2", folder, out, link, workers, tolerance, dry_run, json)


def _import(
    layout: str,
    folder: Path,
    out: Path,
    link: bool,
    workers: int,
    tolerance_s: float | None,
    dry_run: bool,
    json: bool,
) -> None:
    from ossl_builder.imports import import_release

    found = import_release.read(layout, folder)
    if dry_run:
        told = _told(found, found.problems, out) | {"written": False}
        told["clips"] = len(found.entries)
        _end(told, json)
        return
    corpus = import_release.prepare(out, layout, folder)
    with corpus.locked():
        _measure(found, folder, corpus.root, workers)
        usable, damaged = import_release.judge(folder, corpus.root, found.entries, tolerance_s)
        problems = (*found.problems, *damaged)
        told = _told(found, problems, out) | {"written": bool(usable)}
        if usable:
            media = import_release.media(folder, corpus.root, usable)
            with output.bar(len(media), "Media") as advance:
                for _ in import_release.place(media, corpus.root, link):
                    advance()
            import_release.write(corpus, found, folder, usable)
            told |= _figures(found, usable)
    _end(told, json)


def _measure(found: Found, folder: Path, root: Path, workers: int) -> None:
    from ossl_builder.imports import import_release
    from ossl_builder.imports.measure import measure, unmeasured

    pairs = [import_release.pair_of(folder, entry) for entry in found.entries]
    unknown = unmeasured(root, pairs)
    if len(unknown) < len(pairs):
        output.say(f"{len(pairs) - len(unknown)} of {len(pairs)} clips were measured before.")
    with output.bar(len(unknown), "Measuring") as advance:
        measure(root, unknown, workers, lambda clip_id: advance())


def _told(found: Found, problems: Sequence[Problem], out: Path) -> dict[str, Any]:
    from ossl_builder.imports import rows

    return {
        "layout": found.layout,
        "out": str(out),
        "films": len({entry.film_id for entry in found.entries}),
        "clips": 0,
        "problems": [vars(one) for one in problems],
        "leaks": [vars(leak) for leak in rows.leaks_of(found.entries)],
        "notes": [*found.notes, *_mood_notes(found)],
    }


def _mood_notes(found: Found) -> list[str]:
    from ossl_builder.imports import rows
    from ossl_builder.imports.rows import words_of_quadrants

    unplaced = rows.unplaced_moods(found, words_of_quadrants())
    if not unplaced:
        return []
    named = ", ".join(repr(mood) for mood in unplaced[:NAMED]) + (", …" * (len(unplaced) > NAMED))
    return [f"Moods that name no quadrant for certain, kept as words only: {named}."]


def _figures(found: Found, usable: Sequence[Usable]) -> dict[str, Any]:
    from ossl_builder.imports import rows

    entries = [one.entry for one in usable]
    films = {entry.film_id for entry in entries}
    splits = Counter(one.split for one in rows.assigned(found, films).values())
    return {
        "films": len(films),
        "clips": len(entries),
        "hours": round(sum(one.measured.music.duration_s for one in usable) / 3600, 4),
        "moods": sum(entry.mood is not None for entry in entries),
        "captions": sum(entry.caption is not None for entry in entries),
        "films_by_split": dict(sorted(splits.items())),
    }


def _end(told: dict[str, Any], json: bool) -> None:
    """Say how it went; exit with the code that says so."""
    if json:
        output.as_json(told)
    else:
        _show(told)
    if not told["clips"]:
        output.say("No clip can be used.")
        raise typer.Exit(1)
    if told["problems"] or told["leaks"]:
        raise typer.Exit(SOME)


def _show(told: dict[str, Any]) -> None:
    from ossl_builder.splits.leaks import Leak

    if told["problems"]:
        output.table(
            ("path", "what is wrong", "clip"),
            [
                (one["path"], one["why"], "taken" if one["is_used"] else "left out")
                for one in told["problems"]
            ],
        )
    for leak in told["leaks"]:
        output.line(f"Leak: {Leak(**leak).sentence()} It is put on one, see `why` in the splits.")
    for note in told["notes"]:
        output.say(note)
    count = f"{told['clips']} clips of {told['films']} films"
    if not told["written"]:
        output.say(f"{count} have both their files. Nothing was decoded or written.")
        return
    splits = ", ".join(f"{films} in {split}" for split, films in told["films_by_split"].items())
    output.say(
        f"{count}, {told['hours']:.2f} h; {told['moods']} moods, {told['captions']} captions; "
        f"films: {splits or 'in no split yet'}."
    )
    output.say(f"Missing, damaged or contradictory: {len(told['problems'])}.")
    output.say(
        "Nothing is known of the films' rights: find out before you share anything. "
        "`ossl export` asks for --allow-unverified."
    )
    output.say(
        f"Next: ossl -C {told['out']} fingerprints, which `ossl -C {told['out']} split --check` "
        "needs to find material that films in two splits share."
    )
