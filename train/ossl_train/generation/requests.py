"""Requests: what music is generated for (clips of a corpus, or video files), and the settings."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from pydantic import Field

from ossl_builder import files
from ossl_builder.annotations.captions import current_captions
from ossl_builder.engine import tables_io
from ossl_builder.engine.cache import UNSHAPING
from ossl_builder.engine.settings import Settings
from ossl_builder.errors import OsslError
from ossl_builder.files import inside
from ossl_builder.tables import CLIPS, LABELS, Caption, Clip, Label
from ossl_train.data.codes import (
    WITHOUT_MOOD,
    PromptsSettings,
    Texts,
    caption_model,
    paper_prompt,
    prompt_of,
)
from ossl_train.data.events import cuts_of
from ossl_train.data.source import SplitClip, named_clips, read_source


@dataclass(frozen=True)
class GenerationRequest:
    """A video, and the prompt for its music.

    Attributes:
        name: name of the output files: a clip's id, or the video file's name without its suffix.
        video: the video file; None: a clip of an evaluation set without videos.
        video_sha256: its checksum; empty: no video.
        duration_s: length of the video, or of the music to generate without one.
        prompt: the text; empty: MusicGen's "no text".
        dialogue: the dialogue stem, if there is one.
        dialogue_sha256: its checksum.
        cuts_s: cuts of the video in seconds after its first frame; None: unknown, to be found in
            its frames.
        error: why no music can be generated, if that is known; the other facts are empty.
        caption_model: the model that wrote the caption in the prompt; None: no model did.
    """

    name: str
    video: Path | None
    video_sha256: str
    duration_s: float
    prompt: str
    dialogue: Path | None = None
    dialogue_sha256: str | None = None
    cuts_s: tuple[float, ...] | None = None
    error: OsslError | None = None
    caption_model: str | None = None

    @property
    def identity(self) -> str:
        """What makes its music differ from that of other requests with the same prompt and seed."""
        return self.video_sha256 or self.name


@dataclass(frozen=True)
class PromptOptions:
    """How the prompt of a clip is chosen.

    Attributes:
        prompt: the whole prompt, from the user; empty: no text.
        mood: a mood for the prompt of the paper, from the user.
        labels: settings for the prompt from a clip's label, if the user gives neither.
    """

    prompt: str | None
    mood: str | None
    labels: PromptsSettings

    def from_user(self) -> str | None:
        """Return the prompt of the user, if there is one."""
        if self.prompt is not None:
            return self.prompt
        return None if self.mood is None else paper_prompt(self.mood, None)

    def of(self, label: Texts | None, model_caption: Caption | None = None) -> str:
        """Return the user's prompt, else the label's, else one with the kind of music only."""
        by_user = self.from_user()
        if by_user is not None:
            return by_user
        return prompt_of(label, self.labels, model_caption) or WITHOUT_MOOD

    def caption_model(self, split_clip: SplitClip) -> str | None:
        """Return the model that wrote the caption in the prompt of a clip; None: no model did."""
        if self.from_user() is not None:
            return None
        return caption_model(split_clip.label, self.labels, split_clip.model_caption)


def split_requests(
    corpus: Path, data: Path | None, split: str, prompts: PromptOptions
) -> list[GenerationRequest]:
    """Return requests for all clips of a split, named as `ossl train evaluate` names them.

    Raises:
        OsslError: as `read_source` and `Source.on`.
    """
    try:
        by_label = prompts.from_user() is None
        source = read_source(
            corpus,
            data,
            use_labels=by_label,
            model_captions=by_label and prompts.labels.model_captions,
        )
    except OsslError as error:
        if error.code != "table_missing" or LABELS.name not in error.message:
            raise
        source = read_source(corpus, data, use_labels=False)
    named = named_clips(source.on(split))
    requests = [_of_clip(source.root, name, clip, prompts) for name, clip in named.items()]
    return _with_cuts(requests, [split_clip.clip for split_clip in named.values()], source.root)


def clip_requests(
    corpus: Path, data: Path | None, ids: Sequence[str], prompts: PromptOptions
) -> list[GenerationRequest]:
    """Return requests for clips by their ids; their films need not be in a split.

    Raises:
        OsslError: `clip_unknown`, `clip_ambiguous`, `table_missing`, `table_version`.
    """
    root = (data or corpus).resolve()
    clips: list[Clip] = tables_io.read_table(root / "manifests", CLIPS)
    by_label = prompts.from_user() is None
    labels = _labels(root) if by_label else {}
    with_captions = by_label and prompts.labels.model_captions
    captions = current_captions(root / "manifests") if with_captions else {}
    chosen: list[tuple[GenerationRequest, Clip]] = []
    for wanted in dict.fromkeys(ids):
        film_id, _, clip_id = wanted.rpartition("/")
        matches = [c for c in clips if c.clip_id == clip_id and film_id in ("", c.film_id)]
        if not matches:
            raise OsslError(
                "clip_unknown",
                f"{root} has no clip {wanted!r}; it has for example "
                f"{', '.join(clip.clip_id for clip in clips[:3]) or 'none'}.",
                "The table manifests/clips.parquet lists all clips.",
            )
        if len(matches) > 1:
            named = ", ".join(f"{clip.film_id}/{clip.clip_id}" for clip in matches[:3])
            raise OsslError(
                "clip_ambiguous",
                f"{len(matches)} films have a clip {wanted!r}: {named}.",
                "Give film and clip: FILM/CLIP.",
            )
        (clip,) = matches
        name = f"{film_id}_{clip_id}" if film_id else clip_id
        label = labels.get((clip.film_id, clip.clip_id))
        caption = captions.get((clip.film_id, clip.clip_id))
        split_clip = SplitClip(clip, "", label, caption)
        chosen.append((_of_clip(root, name, split_clip, prompts), clip))
    return _with_cuts([request for request, _ in chosen], [clip for _, clip in chosen], root)


def set_requests(root: Path, prompts: PromptOptions, needs_video: bool) -> list[GenerationRequest]:
    """Return requests for all clips of an evaluation set (`ossl import oes`).

    Args:
        root: its folder.
        prompts: how prompts are chosen.
        needs_video: whether an adapter is used: a clip without a video has an error then.

    Raises:
        OsslError: `eval_set_invalid`, `path_outside`, `file_missing`.
    """
    from ossl_builder.imports.eval_set import read_eval_set

    requests = []
    for clip in read_eval_set(root).clips:
        video = None if clip.video is None else inside(root, clip.video)
        if video is not None and not video.is_file():
            raise OsslError("file_missing", f"There is no file {video}.", "Import the set again.")
        error = None
        if video is None and needs_video:
            error = OsslError(
                "no_video",
                f"The clip {clip.clip_id} has no video, which an adapter needs.",
                "Use --alpha 0, or import the set again with its videos.",
            )
        requests.append(
            GenerationRequest(
                name=clip.clip_id,
                video=video,
                video_sha256=clip.video_sha256 or "",
                duration_s=clip.duration_s,
                prompt=prompts.of(clip),
                error=error,
            )
        )
    return requests


def file_requests(paths: Sequence[Path], prompts: PromptOptions) -> list[GenerationRequest]:
    """Return requests for video files of any length; a file that cannot be used has its error.

    Raises:
        OsslError: `name_twice`.
    """
    requests: dict[str, GenerationRequest] = {}
    for path in paths:
        if path.stem in requests:
            raise OsslError(
                "name_twice",
                f"{requests[path.stem].video} and {path} would get output files of the same name.",
                "Run the command once for each, with different --out folders.",
            )
        try:
            requests[path.stem] = _of_file(path, prompts)
        except OsslError as error:
            requests[path.stem] = GenerationRequest(
                path.stem, path, "", 0.0, prompts.of(None), error=error
            )
    return list(requests.values())


def _of_file(path: Path, prompts: PromptOptions) -> GenerationRequest:
    """Return the request for a video file.

    Raises:
        OsslError: `file_missing`, and those of `probe`: `file_empty`, `not_media`, `no_video`,
            `video_undecodable`.
    """
    from ossl_builder.media.probe import probe

    if not path.is_file():
        raise OsslError("file_missing", f"There is no file {path}.", "Check its name.")
    video = probe(path, lambda part: None).video
    return GenerationRequest(
        name=path.stem,
        video=path,
        video_sha256=files.sha256_file(path),
        duration_s=video.end_s - video.start_s,
        prompt=prompts.of(None),
    )


def _of_clip(
    root: Path, name: str, split_clip: SplitClip, prompts: PromptOptions
) -> GenerationRequest:
    clip = split_clip.clip
    path = inside(root, clip.video_path)
    if not path.is_file():
        raise OsslError(
            "file_missing",
            f"The clip's video {path} is missing.",
            "Run `ossl build` to create it again.",
        )
    return GenerationRequest(
        name=name,
        video=path,
        video_sha256=clip.video_sha256,
        duration_s=clip.duration_s,
        prompt=prompts.of(split_clip.label, split_clip.model_caption),
        dialogue=None if clip.dialogue_path is None else inside(root, clip.dialogue_path),
        dialogue_sha256=clip.dialogue_sha256,
        caption_model=prompts.caption_model(split_clip),
    )


def _with_cuts(
    requests: Sequence[GenerationRequest], clips: Sequence[Clip], root: Path
) -> list[GenerationRequest]:
    """Add the cuts of the scenes table, as in training."""
    of_film: dict[str, list[Clip]] = {}
    for clip in clips:
        of_film.setdefault(clip.film_id, []).append(clip)
    cuts = {
        (clip_cuts.clip.film_id, clip_cuts.clip.clip_id): clip_cuts.cuts_s
        for of_clips in cuts_of(of_film, root).values()
        for clip_cuts in of_clips
    }
    return [
        dataclasses.replace(request, cuts_s=cuts[clip.film_id, clip.clip_id])
        for request, clip in zip(requests, clips, strict=True)
    ]


def _labels(root: Path) -> dict[tuple[str, str], Label]:
    try:
        rows: list[Label] = tables_io.read_table(root / "manifests", LABELS)
    except OsslError as error:
        if error.code != "table_missing":
            raise
        return {}
    return {(row.film_id, row.clip_id): row for row in rows}


LONGEST_S = 30.0
"""MusicGen was trained on windows of 30 s and cannot handle longer ones."""


class GenerateSettings(Settings):
    """The settings of a generation, besides models, video and prompt."""

    alpha: float = Field(
        1.0, ge=0, le=100, description="factor on the adapter's gates; 0: the base model alone"
    )
    text_guidance: float = Field(3.0, ge=0, le=100, description="weight of the text")
    video_guidance: float = Field(1.0, ge=0, le=100, description="weight of the video")
    temperature: float = Field(1.0, ge=0, le=10, description="0: the most probable token")
    top_k: int = Field(250, ge=0, description="sample from the k most probable tokens; 0: from all")
    window_s: float = Field(LONGEST_S, gt=0, le=LONGEST_S, description="length of a window, s")
    overlap_s: float = Field(
        10.0, ge=0, lt=LONGEST_S, description="overlap of a window with the one before it, s"
    )
    precision: Literal["fp32", "bf16"] = Field(
        "fp32", description="precision of the language model"
    )
    batch_size: int = Field(
        1, ge=1, le=1024, description="samples generated at a time", json_schema_extra=UNSHAPING
    )
