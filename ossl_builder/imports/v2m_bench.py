"""Read V2M-bench, the evaluation set of VidMuse: videos with their music, named by YouTube ids.

It is shared as a list of ids, so everybody who has its files has fetched them, in folders of their
own choice. This module accepts videos anywhere below the folder. Music is an audio file of the same
name; without one, it is the sound of the video. A list of ids (`*.txt`) shows what is missing.
"""

from __future__ import annotations

from pathlib import Path

from ossl_builder import parse
from ossl_builder.errors import OsslError
from ossl_builder.imports.eval_set import (
    AUDIO,
    MOST_BYTES,
    VIDEO,
    EvalEntry,
    FoundSet,
    changed_names,
)
from ossl_builder.imports.release_format import CLIP, Problem, usable_files, valid_ids

LAYOUT = "v2m-bench"
SHOWN = 3


def read_v2m_bench(folder: Path) -> FoundSet:
    """Read the contents of V2M-bench without opening media files.

    Raises:
        OsslError: `import_no_clips`, `import_unreadable`.
    """
    problems: list[Problem] = []
    videos = _files(folder, VIDEO, problems)
    if not videos:
        raise OsslError(
            "import_no_clips",
            f"No video ({', '.join(VIDEO)}) is in {folder} or below it.",
            "Give the folder with the videos of V2M-bench.",
        )
    music = _files(folder, AUDIO, problems)
    problems += [
        Problem(music[stem], "has no video of the same name")
        for stem in music.keys() - videos.keys()
    ]
    ids = valid_ids({stem: stem for stem in videos}, CLIP)
    entries = [
        EvalEntry(clip_id=ids[stem], music=music.get(stem, video), video=video)
        for stem, video in videos.items()
    ]
    listed = _listed(folder)
    missing = sorted(listed - videos.keys())
    n_own_sound = len(videos.keys() - music.keys())
    notes = []
    if missing:
        shown = ", ".join(missing[:SHOWN]) + ", …" * (len(missing) > SHOWN)
        notes.append(f"{len(missing)} of {len(listed)} clips of the list are not here: {shown}.")
    if n_own_sound:
        notes.append(
            f"The sound of the video is the music of {n_own_sound} clips: it may hold speech and "
            "effects."
        )
    notes += changed_names(ids)
    notes.append("The set has no texts: prompts name only the kind of music.")
    return FoundSet(
        LAYOUT,
        tuple(sorted(entries, key=lambda entry: entry.clip_id)),
        tuple(sorted(problems, key=lambda problem: problem.path)),
        tuple(notes),
    )


def _files(folder: Path, endings: tuple[str, ...], problems: list[Problem]) -> dict[str, str]:
    """Return files by stem; of several with the same stem, that in the uppermost folder."""
    paths = [path for path in folder.rglob("*") if path.suffix.lower() in endings]
    files: dict[str, str] = {}
    usable = usable_files(folder, [path for path in paths if path.name[0] != "."], problems)
    for path, name in sorted(usable, key=lambda pair: (len(pair[0].parts), pair[0])):
        if path.stem in files:
            problems.append(Problem(name, f"has the name of {files[path.stem]}"))
        else:
            files[path.stem] = name
    return files


def _listed(folder: Path) -> set[str]:
    """Return the ids in the lists `*bench*.txt`, one a line."""
    ids: set[str] = set()
    for path in sorted(folder.glob("*bench*.txt")):
        try:
            text = parse.regular_bytes(path, MOST_BYTES).decode("utf-8-sig")
        except (OSError, ValueError) as error:
            raise OsslError(
                "import_unreadable", f"{path} cannot be read: {error}.", "Save it as UTF-8."
            ) from error
        ids.update(line.strip() for line in text.split("\n") if line.strip().isprintable())
    return ids - {""}
