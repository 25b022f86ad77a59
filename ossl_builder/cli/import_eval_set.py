"""`ossl import oes` and `ossl import v2m-bench`: make evaluation sets of those of others."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ossl_builder.cli import options, output
from ossl_builder.cli.import_result import conclude, show_problems

if TYPE_CHECKING:
    from ossl_builder.imports.eval_set import FoundSet
    from ossl_builder.imports.release_format import Problem

Folder = Annotated[
    Path,
    typer.Argument(help="The folder of the set.", exists=True, file_okay=False, metavar="DIR"),
]
Out = Annotated[
    Path, typer.Option("--out", help="The folder of the evaluation set to write.", metavar="SET")
]
Name = Annotated[
    str | None,
    typer.Option(
        "--name", help="The name of the set, for example OES-Pub.", show_default="that of DIR"
    ),
]


def add_commands(group: typer.Typer) -> None:
    """Add the commands to the group `import`."""
    group.command("oes", epilog="Example: ossl import oes OES-Pub --out oes-pub")(oes)
    group.command(
        "v2m-bench", epilog="Example: ossl import v2m-bench V2M-bench --out v2m --dry-run"
    )(v2m_bench)


def oes(
    folder: Folder,
    out: Out,
    name: Name = None,
    link: options.Link = True,
    dry_run: options.DryRun = False,
    json: options.AsJson = False,
) -> None:
    """Import OES, an evaluation set of OSSL v1: meta.csv and 0_music.wav, videos if present.

    Features (0.pt) are pickles and are not read. Exit code 3: something is missing or damaged; 1:
    no clip can be used.
    """
    from ossl_builder.imports.oes import read_oes

    _import(read_oes(folder), folder, out, name, link, dry_run, json)


def v2m_bench(
    folder: Folder,
    out: Out,
    name: Name = None,
    link: options.Link = True,
    dry_run: options.DryRun = False,
    json: options.AsJson = False,
) -> None:
    """Import V2M-bench: videos, with their sound or with audio files of the same names.

    Exit code 3: something is missing or damaged; 1: no clip can be used.
    """
    from ossl_builder.imports.v2m_bench import read_v2m_bench

    _import(read_v2m_bench(folder), folder, out, name, link, dry_run, json)


def _import(
    found: FoundSet,
    folder: Path,
    out: Path,
    name: str | None,
    link: bool,
    dry_run: bool,
    json: bool,
) -> None:
    from ossl_builder.imports import eval_set
    from ossl_builder.imports.import_release import place

    problems = list(found.problems)
    if dry_run:
        result = _summary(found, out, problems, len(found.entries), written=False)
        conclude(result, json, _print_result)
        return
    eval_set.prepare(out, found.layout)
    clips = [
        clip
        for entry in output.counted(found.entries, "Measuring")
        if (clip := eval_set.measure(folder, entry, problems)) is not None
    ]
    if clips:
        media = eval_set.media(folder, out, found.entries, clips)
        with output.bar(len(media), "Media") as advance:
            for _ in place(media, out, link):
                advance()
        eval_set.write(out, found.layout, name or folder.resolve().name, clips)
    result = _summary(found, out, problems, len(clips), written=bool(clips))
    if clips:
        result |= {
            "videos": sum(clip.video is not None for clip in clips),
            "texts": sum(clip.mood is not None or clip.caption is not None for clip in clips),
            "hours": round(sum(clip.duration_s for clip in clips) / 3600, 4),
        }
    conclude(result, json, _print_result)


def _summary(
    found: FoundSet, out: Path, problems: list[Problem], n_clips: int, *, written: bool
) -> dict[str, Any]:
    return {
        "layout": found.layout,
        "out": str(out),
        "clips": n_clips,
        "problems": [vars(problem) for problem in problems],
        "notes": list(found.notes),
        "written": written,
    }


def _print_result(result: dict[str, Any]) -> None:
    show_problems(result)
    for note in result["notes"]:
        output.say(note)
    if not result["written"]:
        output.say(f"{result['clips']} clips have music. Nothing was decoded or written.")
        return
    output.say(
        f"{result['clips']} clips, {result['hours']:.2f} h: {result['videos']} with video, "
        f"{result['texts']} with a mood or caption."
    )
    output.say("Nothing is known of the rights to this music and these videos.")
    output.say(
        f"Next: ossl train generate --eval-set {result['out']}, then ossl train evaluate "
        f"GENERATED --eval-set {result['out']}"
    )
