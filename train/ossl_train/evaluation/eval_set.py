"""The files to compare: generated music with a split's own music, or with another folder."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from ossl_builder import parse
from ossl_builder.engine import tables_io
from ossl_builder.errors import OsslError
from ossl_builder.files import check_folders, inside
from ossl_builder.tables import SCENES, Clip, Scene
from ossl_train.data.codes import WITHOUT_MOOD, paper_prompt
from ossl_train.data.source import Source, SplitClip, named_clips, read_source
from ossl_train.evaluation.audio_files import VIDEO, files_in
from ossl_train.generation.provenance import used_prompt
from ossl_train.metrics.intervals import FilmIndices


@dataclass(frozen=True)
class EvalSet:
    """The files to compare, by clip id; each mapping is sorted.

    Attributes:
        generated: generated music.
        real: music to compare it with.
        video: videos that the music was generated for.
        cuts: times of the video's cuts by the scenes table, in seconds; for a clip without an
            entry, cuts are detected in its video.
        prompts: texts that the music was generated from; clips without a text have no entry.
        films: the film of each clip; a clip without an entry counts as a film of its own.
        real_name: `own music` of the clips, or `reference`.
        name: the name of an evaluation set, such as `OES-Pub`; empty: none.
        left_out: sentences about files that are not compared.
        warnings: sentences about prompts that are not known for certain.
    """

    generated: Mapping[str, Path]
    real: Mapping[str, Path]
    video: Mapping[str, Path] = field(default_factory=dict)
    cuts: Mapping[str, tuple[float, ...]] = field(default_factory=dict)
    prompts: Mapping[str, str] = field(default_factory=dict)
    films: Mapping[str, str] = field(default_factory=dict)
    real_name: str = "reference"
    name: str = ""
    left_out: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()

    @property
    def pairs(self) -> list[str]:
        """Clips with generated and real music, sorted."""
        return sorted(self.generated.keys() & self.real.keys())

    @property
    def is_paired(self) -> bool:
        """Whether the same clips have generated and real music."""
        return self.generated.keys() == self.real.keys()

    def film_indices(self, names: Sequence[str]) -> FilmIndices:
        """Return the index of the film of each clip."""
        import numpy as np

        films = [("film", self.films[name]) if name in self.films else ("clip", name)
                 for name in names]  # fmt: skip
        indices = {film: index for index, film in enumerate(dict.fromkeys(films))}
        return np.array([indices[film] for film in films], np.int64)

    @property
    def n_films(self) -> int:
        """Number of films of the generated music."""
        return len(set(self.film_indices(list(self.generated))))


def folders_eval_set(generated: Path, real: Path, video: Path | None = None) -> EvalSet:
    """Compare two folders of audio; files of the same name are pairs.

    Raises:
        OsslError: see `files_in`.
    """
    ours, theirs = files_in(generated), files_in(real)
    videos = files_in(video, VIDEO) if video else {}
    left_out = []
    if video and (without := sorted(ours.keys() - videos.keys())):
        left_out.append(f"{some_of(without)} of {generated.name} have no video in {video.name}")
    prompts, warnings = prompts_of(ours, {})
    return EvalSet(
        generated=ours,
        real=theirs,
        video={clip_id: path for clip_id, path in videos.items() if clip_id in ours},
        prompts=prompts,
        left_out=tuple(left_out),
        warnings=warnings,
    )


def split_eval_set(generated: Path, corpus: Path, split: str, data: Path | None = None) -> EvalSet:
    """Compare with the clips of a split, each with its own music, video, cuts and prompt.

    Args:
        generated: folder with a file for each clip, named by clip id.
        corpus: the corpus' folder.
        split: `train`, `validation` or `test`.
        data: an exported folder, used instead of the corpus.

    Raises:
        OsslError: as `read_source`, and `no_pairs`.
    """
    source = _source(corpus, data)
    clips = named_clips(source.on(split))
    generated_files = files_in(generated)
    shared = sorted(generated_files.keys() & clips.keys())
    if not shared:
        raise OsslError(
            "no_pairs",
            f"No file of {generated} has the name of a clip in the split {split}: the folder has "
            f"{next(iter(generated_files.values())).name}, and the split has {next(iter(clips))}.",
            "Name each file by its clip's id, or choose the split with --split.",
        )
    left_out = []
    if missing := sorted(clips.keys() - generated_files.keys()):
        left_out.append(f"{some_of(missing)} of the split {split} have no generated music")
    if unknown := sorted(generated_files.keys() - clips.keys()):
        left_out.append(
            f"{some_of(unknown)} of {generated.name} are not clips of the split {split}"
        )
    chosen = {name: clips[name] for name in shared}
    rows = {name: split_clip.clip for name, split_clip in chosen.items()}
    generated_files = {name: generated_files[name] for name in shared}
    prompts, warnings = prompts_of(generated_files, _prompts_of_labels(chosen))
    return EvalSet(
        generated=generated_files,
        real={name: inside(source.root, clip.music_path) for name, clip in rows.items()},
        video={name: inside(source.root, clip.video_path) for name, clip in rows.items()},
        cuts=_cuts(source.root, rows),
        prompts=prompts,
        films={name: clip.film_id for name, clip in rows.items()},
        real_name="own music",
        left_out=tuple(left_out),
        warnings=warnings,
    )


def imported_eval_set(generated: Path, folder: Path) -> EvalSet:
    """Compare with the clips of an evaluation set, each with its own music and prompt.

    Args:
        generated: folder with a file for each clip, named by clip id.
        folder: an evaluation set (`ossl import oes`).

    Raises:
        OsslError: `eval_set_invalid`, `path_outside`, `no_pairs`, and those of `files_in`.
    """
    from ossl_builder.imports.eval_set import read_eval_set

    # Measurements are written there, too.
    check_folders(folder, ("measured", "music", "video"), ())
    chosen_set = read_eval_set(folder)
    clips = {clip.clip_id: clip for clip in chosen_set.clips}
    generated_files = files_in(generated)
    shared = sorted(generated_files.keys() & clips.keys())
    if not shared:
        raise OsslError(
            "no_pairs",
            f"No file of {generated} has the name of a clip in {folder}: the folder has "
            f"{next(iter(generated_files.values())).name}, and the set has {next(iter(clips))}.",
            "Name the files by clip id.",
        )
    left_out = []
    if missing := sorted(clips.keys() - generated_files.keys()):
        left_out.append(f"{some_of(missing)} of {chosen_set.name} have no generated music")
    if unknown := sorted(generated_files.keys() - clips.keys()):
        left_out.append(f"{some_of(unknown)} of {generated.name} are not in {chosen_set.name}")
    generated_files = {name: generated_files[name] for name in shared}
    texts = {name: paper_prompt(clips[name].mood, clips[name].caption) for name in shared}
    prompts, warnings = prompts_of(generated_files, texts)
    videos = {name: video for name in shared if (video := clips[name].video) is not None}
    films = {name: film for name in shared if (film := clips[name].film_id) is not None}
    return EvalSet(
        generated=generated_files,
        real={name: inside(folder, clips[name].music) for name in shared},
        video={name: inside(folder, path) for name, path in videos.items()},
        prompts=prompts,
        films=films,
        real_name="own music",
        name=chosen_set.name,
        left_out=tuple(left_out),
        warnings=warnings,
    )


def read_prompts(path: Path) -> dict[str, str]:
    """Read prompts by clip id from a JSON object.

    Raises:
        OsslError: `prompts_invalid`.
    """
    try:
        prompts = parse.json_value(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise OsslError(
            "prompts_invalid",
            f"{path} cannot be read as JSON.",
            "Give a file with an object {clip: prompt}.",
        ) from error
    if not isinstance(prompts, dict) or not all(isinstance(text, str) for text in prompts.values()):
        raise OsslError(
            "prompts_invalid",
            f"{path} is not a JSON object with texts.",
            'Write {"clip id": "prompt", …}.',
        )
    return prompts


def _source(corpus: Path, data: Path | None) -> Source:
    try:
        return read_source(corpus, data)
    except OsslError as error:
        # Labels are needed only for prompts; everything else can be measured without them.
        if error.code != "table_missing" or "labels" not in error.message:
            raise
        return read_source(corpus, data, use_labels=False)


def prompts_of(
    generated: Mapping[str, Path], of_labels: Mapping[str, str]
) -> tuple[dict[str, str], tuple[str, ...]]:
    """Return the prompts that music was generated from, by clip id, and warnings.

    A sample of `ossl train generate` records its prompt. For the music of other programs the
    prompt of the label is assumed. A prompt that names only the kind of music, or nothing, is left
    out: there is nothing to compare the music with.

    Args:
        generated: the music by clip id.
        of_labels: prompts with mood and caption of the labels, by clip id.
    """
    recorded = {name: used_prompt(path) for name, path in generated.items()}
    prompts = {
        name: prompt if (prompt := recorded[name]) is not None else of_labels.get(name, "")
        for name in generated
    }
    prompts = {name: text for name, text in prompts.items() if text not in ("", WITHOUT_MOOD)}
    n_assumed = sum(recorded[name] is None for name in prompts)
    if not n_assumed:
        return prompts, ()
    return prompts, (
        f"{n_assumed} of {len(prompts)} prompts are those of the labels: their files do not record "
        "the prompt that they were generated from.",
    )


def _prompts_of_labels(clips: Mapping[str, SplitClip]) -> dict[str, str]:
    """Return the paper's prompts with mood and caption of the labels."""
    return {
        name: paper_prompt(split_clip.label.mood, split_clip.label.caption)
        for name, split_clip in clips.items()
        if split_clip.label
    }


def _cuts(root: Path, clips: Mapping[str, Clip]) -> dict[str, tuple[float, ...]]:
    try:
        scenes: list[Scene] = tables_io.read_table(root / "manifests", SCENES)
    except OsslError as error:
        if error.code != "table_missing":
            raise
        return {}
    begins: dict[str, list[float]] = {scene.film_id: [] for scene in scenes}
    for scene in scenes:
        if scene.transition_in == "cut":
            begins[scene.film_id].append(scene.start_s)
    cuts = {}
    for name, clip in clips.items():
        if clip.start_s is None or clip.end_s is None or clip.film_id not in begins:
            continue
        cuts[name] = tuple(
            start_s - clip.start_s
            for start_s in begins[clip.film_id]
            if clip.start_s < start_s < clip.end_s
        )
    return cuts


def some_of(names: list[str]) -> str:
    """Return the number of clips, and the names of a few."""
    shown = ", ".join(names[:3])
    return f"{len(names)} clips ({shown}{', …' if len(names) > 3 else ''})"
