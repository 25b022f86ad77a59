"""Requests: what music is generated for (clips of a corpus, or video files), and the settings."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from pydantic import Field

from ossl_builder import files
from ossl_builder.engine import tables_io
from ossl_builder.engine.cache import UNSHAPING
from ossl_builder.engine.settings import Settings
from ossl_builder.errors import OsslError
from ossl_builder.files import inside
from ossl_builder.tables import CLIPS, LABELS, Clip, Label
from ossl_train.data.codes import WITHOUT_MOOD, PromptsSettings, paper_prompt, prompt_of
from ossl_train.data.source import SplitClip, read_source
from ossl_train.evaluation.eval_set import named_clips


@dataclass(frozen=True)
class GenerationRequest:
    """A video and the words for its music.

    Attributes:
        name: of its files; a clip's id, or a video file's name without its ending.
        video: the video's file.
        video_sha256: its checksum.
        duration_s: length of the video.
        prompt: the words; none at all: MusicGen's "no text".
        dialogue: the dialogue stem, if it is known.
        dialogue_sha256: its checksum.
        error: why no music can be written for it, if that is known; the other facts are empty.
    """

    name: str
    video: Path
    video_sha256: str
    duration_s: float
    prompt: str
    dialogue: Path | None = None
    dialogue_sha256: str | None = None
    error: OsslError | None = None


@dataclass(frozen=True)
class PromptOptions:
    """What the prompt is made of.

    Attributes:
        prompt: the whole of it, if given; empty: no text.
        mood: as in the paper's prompt, if given.
        labels: how a clip's label becomes its prompt, where neither is given.
    """

    prompt: str | None
    mood: str | None
    labels: PromptsSettings

    def given(self) -> str | None:
        """The prompt that was asked for, if any was."""
        if self.prompt is not None:
            return self.prompt
        return None if self.mood is None else paper_prompt(self.mood, None)

    def of(self, label: Label | None) -> str:
        """The prompt of a clip; without words and label it only says what kind of music."""
        given = self.given()
        if given is not None:
            return given
        return prompt_of(label, self.labels) or WITHOUT_MOOD


def split_requests(
    corpus: Path, data: Path | None, split: str, words: PromptOptions
) -> list[GenerationRequest]:
    """All clips of a split, named as `ossl train evaluate` names them.

    Raises:
        OsslError: as `read_source` and `Source.on`.
    """
    try:
        source = read_source(corpus, data, use_labels=words.given() is None)
    except OsslError as error:
        if error.code != "table_missing" or LABELS.name not in error.message:
            raise
        source = read_source(corpus, data, use_labels=False)
    return [
        _of_clip(source.root, name, one, words)
        for name, one in named_clips(source.on(split)).items()
    ]


def clip_requests(
    corpus: Path, data: Path | None, ids: Sequence[str], words: PromptOptions
) -> list[GenerationRequest]:
    """Clips by their ids, whether their films are in a split or not.

    Raises:
        OsslError: `clip_unknown`, `clip_ambiguous`, `table_missing`, `table_version`.
    """
    root = (data or corpus).resolve()
    clips: list[Clip] = tables_io.read_table(root / "manifests", CLIPS)
    labels = _labels(root) if words.given() is None else {}
    chosen = []
    for wanted in dict.fromkeys(ids):
        film_id, _, clip_id = wanted.rpartition("/")
        found = [c for c in clips if c.clip_id == clip_id and film_id in ("", c.film_id)]
        if not found:
            raise OsslError(
                "clip_unknown",
                f"{root} has no clip {wanted!r}; it has, say, "
                f"{', '.join(clip.clip_id for clip in clips[:3]) or 'none'}.",
                "The table manifests/clips.parquet names them all.",
            )
        if len(found) > 1:
            named = ", ".join(f"{clip.film_id}/{clip.clip_id}" for clip in found[:3])
            raise OsslError(
                "clip_ambiguous",
                f"{len(found)} films have a clip {wanted!r}: {named}.",
                "Name it with its film: FILM/CLIP.",
            )
        (clip,) = found
        name = f"{film_id}_{clip_id}" if film_id else clip_id
        label = labels.get((clip.film_id, clip.clip_id))
        chosen.append(_of_clip(root, name, SplitClip(clip, "", label), words))
    return chosen


def file_requests(paths: Sequence[Path], words: PromptOptions) -> list[GenerationRequest]:
    """Video files of any length; one that cannot be used carries its error.

    Raises:
        OsslError: `name_twice`.
    """
    pieces: dict[str, GenerationRequest] = {}
    for path in paths:
        if path.stem in pieces:
            raise OsslError(
                "name_twice",
                f"{pieces[path.stem].video} and {path} would give files of one name.",
                "Generate them one after the other, each with its own --out.",
            )
        try:
            pieces[path.stem] = _of_file(path, words)
        except OsslError as error:
            pieces[path.stem] = GenerationRequest(
                path.stem, path, "", 0.0, words.of(None), error=error
            )
    return list(pieces.values())


def _of_file(path: Path, words: PromptOptions) -> GenerationRequest:
    """A video file.

    Raises:
        OsslError: `file_missing`, and those of `probe`: `file_empty`, `not_media`, `no_video`,
            `video_undecodable`.
    """
    from ossl_builder.media.probe import probe

    if not path.is_file():
        raise OsslError("file_missing", f"There is no file {path}.", "Check its name.")
    frame = probe(path, lambda part: None).video
    return GenerationRequest(
        name=path.stem,
        video=path,
        video_sha256=files.sha256_file(path),
        duration_s=frame.end_s - frame.start_s,
        prompt=words.of(None),
    )


def _of_clip(root: Path, name: str, one: SplitClip, words: PromptOptions) -> GenerationRequest:
    clip = one.clip
    path = inside(root, clip.video_path)
    if not path.is_file():
        raise OsslError(
            "file_missing", f"The clip's video {path} is missing.", "`ossl build` makes it again."
        )
    return GenerationRequest(
        name=name,
        video=path,
        video_sha256=clip.video_sha256,
        duration_s=clip.duration_s,
        prompt=words.of(one.label),
        dialogue=None if clip.dialogue_path is None else inside(root, clip.dialogue_path),
        dialogue_sha256=clip.dialogue_sha256,
    )


def _labels(root: Path) -> dict[tuple[str, str], Label]:
    try:
        rows: list[Label] = tables_io.read_table(root / "manifests", LABELS)
    except OsslError as error:
        if error.code != "table_missing":
            raise
        return {}
    return {(row.film_id, row.clip_id): row for row in rows}


LONGEST_S = 30.0
"""MusicGen was trained on 30 s; beyond that it has not learned to go on."""


class GenerateSettings(Settings):
    """What shapes generated music besides models, video and prompt."""

    alpha: float = Field(
        1.0, ge=0, le=100, description="multiplies the adapter's gates; 0: the base model alone"
    )
    text_guidance: float = Field(3.0, ge=0, le=100, description="weight of the text")
    video_guidance: float = Field(1.0, ge=0, le=100, description="weight of the video")
    temperature: float = Field(1.0, ge=0, le=10, description="0: the most probable token")
    top_k: int = Field(250, ge=0, description="draw among so many tokens; 0: among all")
    window_s: float = Field(LONGEST_S, gt=0, le=LONGEST_S, description="length of a window, s")
    overlap_s: float = Field(
        10.0, ge=0, lt=LONGEST_S, description="of a window with the one before it, s"
    )
    precision: Literal["fp32", "bf16"] = Field("fp32", description="of the language model")
    batch_size: int = Field(
        1, ge=1, le=1024, description="samples drawn at a time", json_schema_extra=UNSHAPING
    )
