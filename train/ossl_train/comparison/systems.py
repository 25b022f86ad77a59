"""Compare folders of generated music: the clips that all of them have, on one page."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from ossl_builder import files, parse
from ossl_builder.engine import tables_io
from ossl_builder.errors import OsslError
from ossl_builder.files import inside, leads_inside
from ossl_builder.tables import CLIPS, FILMS, Clip, Film
from ossl_train.comparison.page import ComparedClip, Sound, System, check_size, write_page
from ossl_train.data.source import clip_names, draw_evenly, read_source
from ossl_train.evaluation.audio_files import files_in, system_names
from ossl_train.generation.provenance import read_provenance
from ossl_train.generation.sample_files import OutputFiles
from ossl_train.listening_test.design import FILM, random_numbers
from ossl_train.listening_test.stimuli import equal_gains, read_audio, write_audio

LONGEST_PROMPT = 500
"""Characters of a prompt that the page shows."""


@dataclass(frozen=True)
class Comparison:
    """The plan of a page.

    Attributes:
        root: the corpus or the export.
        systems: folder of each system, by the name on the page.
        clips: the chosen clips, by the name of their files.
        titles: titles of the films, by id.
        music: music of each system by system and clip; `film` is the clips' own.
        left_out: sentences about files that are not on the page.
    """

    root: Path
    systems: Mapping[str, Path]
    clips: Mapping[str, Clip]
    titles: Mapping[str, str]
    music: Mapping[str, Mapping[str, Path]]
    left_out: tuple[str, ...]


def plan_comparison(
    root: Path, folders: Sequence[Path], split: str | None, count: int, seed: int
) -> Comparison:
    """Choose clips for which all folders have music, as evenly over the films as possible.

    Args:
        root: the corpus or the export.
        folders: folders that `ossl train generate` writes: a file for each clip, named by its id.
        split: only clips of this split; None: all clips.
        count: number of clips.
        seed: seed of the choice.

    Raises:
        OsslError: `name_twice`, `no_pairs`, `path_outside`, `file_missing`, `page_too_large`, and
            those of `files_in` and `read_source`.
    """
    # The film's own music has the name `film` on the page.
    systems = dict(zip(system_names(folders, taken=(FILM,)), folders, strict=True))
    found = {name: _music_files(folder) for name, folder in systems.items()}
    clips = _clips(root, split)
    in_all = [name for name in clips if all(name in music for music in found.values())]
    if not in_all:
        raise OsslError(
            "no_pairs",
            f"No clip of {root} has a file in each of {', '.join(map(str, folders))}.",
            "Generate music for the same clips with each system, into folders of their own.",
        )
    film_of = {name: clips[name].film_id for name in in_all}
    drawn = sorted(draw_evenly(film_of, count, random_numbers(seed, "compare")))
    chosen = {name: clips[name] for name in drawn}
    # Known before the music is read, which takes longer.
    check_size(_video(root, clip) for clip in chosen.values())
    own = {name: inside(root, clip.music_path) for name, clip in chosen.items()}
    return Comparison(
        root=root,
        systems=systems,
        clips=chosen,
        titles=film_titles(root),
        music={FILM: own, **found},
        left_out=tuple(_left_out(found, set(in_all))),
    )


def film_titles(root: Path) -> dict[str, str]:
    """Return the titles of the films of a corpus by id; an export can be without them."""
    try:
        films: list[Film] = tables_io.read_table(root / "manifests", FILMS)
    except OsslError as error:
        if error.code != "table_missing":
            raise
        return {}
    return {film.film_id: film.title for film in films if film.title}


def write_comparison(
    plan: Comparison, page: Path, counted: Callable[[Sequence[str]], Iterable[str]]
) -> None:
    """Write the page, with all media in it.

    Args:
        plan: see `plan_comparison`.
        page: the page; it is replaced atomically.
        counted: yields the clips one by one, and can show progress.

    Raises:
        OsslError: `audio_unreadable`, `page_too_large`, `disk_full`, `write_failed`.
    """
    page.parent.mkdir(parents=True, exist_ok=True)
    with (
        files.explained_full_disk(page.parent),
        tempfile.TemporaryDirectory(prefix=f".{page.name}.", dir=page.parent) as folder,
    ):
        clips = [
            _compared(plan, name, Path(folder) / str(number))
            for number, name in enumerate(counted(list(plan.clips)))
        ]
        systems = [System(name) for name in plan.music]
        write_page(page, "Systems by ear", systems, clips, embeds=True)


def _compared(plan: Comparison, name: str, folder: Path) -> ComparedClip:
    """Write the music of one clip, all systems equally loud."""
    clip = plan.clips[name]
    music = {system: paths[name] for system, paths in plan.music.items()}
    audio = [read_audio(path, clip.duration_s) for path in music.values()]
    sounds: list[Sound] = []
    for system, sound, gain_db in zip(music, audio, equal_gains(audio), strict=True):
        file = folder / f"{len(sounds)}.flac"
        write_audio(file, sound.audio, gain_db)
        sounds.append(Sound(system, file, sound.lufs))
    title = plan.titles.get(clip.film_id, clip.film_id)
    video = _video(plan.root, clip)
    return ComparedClip(name, title, _prompts(plan, name), video, 0.0, tuple(sounds))


def _video(root: Path, clip: Clip) -> Path:
    video = inside(root, clip.video_path)
    if not video.is_file():
        raise OsslError(
            "file_missing", f"There is no file {video}.", "Run `ossl build` to create it again."
        )
    return video


def _prompts(plan: Comparison, name: str) -> tuple[str, ...]:
    """Return the prompt of a clip, or the prompts of the systems if they differ."""
    prompts = {}
    for system, folder in plan.systems.items():
        path = plan.music[system][name]
        target = OutputFiles(path, with_video=False)
        note = read_provenance(target.note) if leads_inside(folder, target.note) else None
        prompt = None if note is None else note["made_from"].get("prompt")
        if isinstance(prompt, str):
            prompts[system] = parse.cut(prompt, LONGEST_PROMPT) or "no text"
    if len(set(prompts.values())) == 1:
        return (next(iter(prompts.values())),)
    return tuple(f"{system}: {prompt}" for system, prompt in prompts.items())


def _music_files(folder: Path) -> dict[str, Path]:
    return {name: inside(folder, path.name) for name, path in files_in(folder).items()}


def _clips(root: Path, split: str | None) -> dict[str, Clip]:
    """Return clips by the names that `ossl train generate` gives their music."""
    clips: list[Clip]
    if split is None:
        clips = tables_io.read_table(root / "manifests", CLIPS)
    else:
        clips = [row.clip for row in read_source(root, use_labels=False).on(split)]
    return dict(zip(clip_names(clips), clips, strict=True))


def _left_out(found: Mapping[str, Mapping[str, Path]], in_all: set[str]) -> list[str]:
    return [
        f"Of {system}, files without a clip that all systems have: {len(others)} ({others[0]}"
        f"{', …' if len(others) > 1 else ''})"
        for system, music in found.items()
        if (others := sorted(music.keys() - in_all))
    ]
