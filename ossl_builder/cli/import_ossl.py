"""`ossl import`: read released corpora into the tables of a new corpus, and evaluation sets."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ossl_builder.cli import import_eval_set, options, output
from ossl_builder.cli.import_result import conclude, show_problems

if TYPE_CHECKING:
    from ossl_builder.imports.import_release import Usable
    from ossl_builder.imports.release_format import Found, Problem

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
        help="Import released corpora (OSSL v1 and v2) and evaluation sets (OES, V2M-bench).",
        no_args_is_help=True,
    )
    app.add_typer(group)
    group.command("ossl-v1", epilog="Example: ossl import ossl-v1 OpenScreenSoundLibrary --out v1")(
        ossl_v1
    )
    group.command("ossl-v2", epilog="Example: ossl import ossl-v2 OSSL-v2 --out v2 --workers 8")(
        ossl_v2
    )
    import_eval_set.add_commands(group)


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

    release = import_release.read(layout, folder)
    if dry_run:
        result = _summary(release, release.problems, out) | {"written": False}
        result["clips"] = len(release.entries)
        conclude(result, json, _print_result)
        return
    corpus = import_release.prepare(out, layout, folder)
    with corpus.locked():
        _measure(release, folder, corpus.root, workers)
        usable, damaged = import_release.judge(folder, corpus.root, release.entries, tolerance_s)
        problems = (*release.problems, *damaged)
        result = _summary(release, problems, out) | {"written": bool(usable)}
        if usable:
            media = import_release.media(folder, corpus.root, usable)
            with output.bar(len(media), "Media") as advance:
                for _ in import_release.place(media, corpus.root, link):
                    advance()
            import_release.write(corpus, release, folder, usable)
            result |= _statistics(release, usable)
    conclude(result, json, _print_result)


def _measure(release: Found, folder: Path, root: Path, workers: int) -> None:
    from ossl_builder.imports import import_release
    from ossl_builder.imports.measure import measure, unmeasured

    pairs = [import_release.pair_of(folder, entry) for entry in release.entries]
    pending = unmeasured(root, pairs)
    if len(pending) < len(pairs):
        output.say(f"{len(pairs) - len(pending)} of {len(pairs)} clips were measured before.")
    with output.bar(len(pending), "Measuring") as advance:
        measure(root, pending, workers, lambda clip_id: advance())


def _summary(release: Found, problems: Sequence[Problem], out: Path) -> dict[str, Any]:
    from ossl_builder.imports import rows

    return {
        "layout": release.layout,
        "out": str(out),
        "films": len({entry.film_id for entry in release.entries}),
        "clips": 0,
        "problems": [vars(problem) for problem in problems],
        "leaks": [vars(leak) for leak in rows.leaks_of(release.entries)],
        "notes": [*release.notes, *_mood_notes(release)],
    }


def _mood_notes(release: Found) -> list[str]:
    from ossl_builder.imports import rows
    from ossl_builder.imports.rows import words_of_quadrants

    unplaced = rows.unplaced_moods(release, words_of_quadrants())
    if not unplaced:
        return []
    named = ", ".join(repr(mood) for mood in unplaced[:NAMED]) + (", …" * (len(unplaced) > NAMED))
    return [f"Moods that name no quadrant for certain, kept as words only: {named}."]


def _statistics(release: Found, usable: Sequence[Usable]) -> dict[str, Any]:
    from ossl_builder.imports import rows

    entries = [clip.entry for clip in usable]
    films = {entry.film_id for entry in entries}
    splits = Counter(assignment.split for assignment in rows.assigned(release, films).values())
    return {
        "films": len(films),
        "clips": len(entries),
        "hours": round(sum(clip.measured.music.duration_s for clip in usable) / 3600, 4),
        "moods": sum(entry.mood is not None for entry in entries),
        "captions": sum(entry.caption is not None for entry in entries),
        "films_by_split": dict(sorted(splits.items())),
    }


def _print_result(result: dict[str, Any]) -> None:
    from ossl_builder.splits.leaks import Leak

    show_problems(result)
    for leak in result["leaks"]:
        output.line(f"Leak: {Leak(**leak).sentence()} See `why` in the table splits.")
    for note in result["notes"]:
        output.say(note)
    count = f"{result['clips']} clips of {result['films']} films"
    if not result["written"]:
        output.say(f"{count} have both their files. Nothing was decoded or written.")
        return
    splits = ", ".join(f"{films} in {split}" for split, films in result["films_by_split"].items())
    output.say(
        f"{count}, {result['hours']:.2f} h; {result['moods']} moods, {result['captions']} "
        f"captions; films: {splits or 'in no split yet'}."
    )
    output.say(f"Missing, damaged or contradictory: {len(result['problems'])}.")
    output.say(
        "Nothing is known of the films' rights: find out before you share anything. "
        "`ossl export` asks for --allow-unverified."
    )
    output.say(
        f"Next: ossl -C {result['out']} fingerprints, which `ossl -C {result['out']} split "
        "--check` needs to find material that films in two splits share."
    )
