"""Stage `features`: tokens of every window of a film's clips, by a frozen video encoder."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any, Literal

from pydantic import Field

from ossl_builder.engine.cache import UNSHAPING
from ossl_builder.engine.settings import Settings
from ossl_builder.engine.stage import Item, Outcome, Reject, Stage, versions
from ossl_builder.errors import OsslError
from ossl_builder.files import sha256_json
from ossl_builder.models.hub import NOT_HERE
from ossl_builder.tables import Clip
from ossl_train.data.events import ClipCuts
from ossl_train.data.storage import FEATURES, FEATURES_TABLE, StoredWindow, StoreWriter, window_key
from ossl_train.data.video_encoder import (
    VideoEncoder,
    encoder_digest,
    encoder_shape,
    load_encoder,
)
from ossl_train.data.window_loader import WindowInput, window_inputs
from ossl_train.data.windows import WindowsSettings, window_spans
from ossl_train.pretrained import shown_name

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from torch import Tensor


class FeaturesSettings(Settings):
    """Section `features` of a training recipe: how the video is encoded."""

    encoder: str = Field(
        "google/vivit-b-16x2-kinetics400",
        description="ViViT, VideoMAE, CLIP, SigLIP, DINOv2 or EfficientNet by its name on the hub, "
        "a local folder, or `tiny`",
    )
    revision: str = Field("main", description="revision on the hub")
    frames: int = Field(
        32,
        ge=2,
        le=1024,
        description="frames per window of encoders of single images (CLIP, SigLIP, DINOv2, "
        "EfficientNet); video encoders have their own number",
        json_schema_extra=UNSHAPING,
    )
    pooling: Literal["all", "time_slots"] = Field(
        "time_slots",
        description="all: every token; time_slots: the class token and each slot's mean",
    )
    events: bool = Field(
        False, description="also store curves of cuts, motion and dialogue, for model.events"
    )
    precision: Literal["fp32", "bf16"] = Field("fp32", description="precision of the encoder")
    batch_size: int = Field(
        4, ge=1, le=256, description="windows encoded at a time", json_schema_extra=UNSHAPING
    )
    workers: int = Field(
        0, ge=0, le=256, description="clips decoded at a time; 0: the number of CPUs",
        json_schema_extra=UNSHAPING,
    )  # fmt: skip
    device: Literal["auto", "cpu", "cuda"] = Field(
        "auto", description="device of the encoder", json_schema_extra=UNSHAPING
    )


class FeaturesStageSettings(FeaturesSettings, WindowsSettings):
    """The recipe's sections `features` and `windows`; the digest of the encoder is an input."""

    encoder: str = Field("", description="the encoder", json_schema_extra=UNSHAPING)
    revision: str = Field("main", description="revision on the hub", json_schema_extra=UNSHAPING)


def features_input_hash(clips: Sequence[ClipCuts]) -> str:
    """Return the hash of what a film's features depend on: its clips, not their music."""
    facts = []
    for row in clips:
        clip = row.clip
        facts.append([clip.clip_id, clip.duration_s, clip.video_sha256, clip.dialogue_sha256])
        if row.cuts_s is not None:
            facts[-1].append(row.cuts_s)
    return sha256_json(facts)


def make_features(item: Item) -> Outcome:
    """Encode every window of a film's clips.

    Raises:
        OsslError: `video_undecodable`, `no_video`, `not_media`, `audio_unreadable`,
            `features_not_finite`, and those of `load_encoder`.
    """
    settings: FeaturesStageSettings = item.config
    rows_of_clips: tuple[ClipCuts, ...] = item.rows["clips"]
    clips = [row.clip for row in rows_of_clips]
    encoder = load_encoder(settings.encoder, settings.revision, settings.frames, settings.device)
    total = sum(len(window_spans(clip, settings)) for clip in clips)
    inputs = window_inputs(
        item.corpus, rows_of_clips, settings, encoder, settings.workers, settings.events
    )
    rows: list[StoredWindow] = []
    stored: dict[str, Any] = {}
    with StoreWriter(item.folder / f"{FEATURES}.safetensors") as store:
        while batch := list(itertools.islice(inputs, settings.batch_size)):
            for window_input, tokens in zip(batch, _tokens(encoder, batch, settings), strict=True):
                clip, window = window_input.clip, window_input.window
                key = window_key(clip.clip_id, window.index)
                store.add(key, tokens)
                if window_input.dialogue is not None:
                    store.add(f"{key}/dialogue", window_input.dialogue)
                if window_input.events is not None:
                    store.add(f"{key}/events", window_input.events)
                stored[key] = {
                    "start_s": window.start_s,
                    "duration_s": window.duration_s,
                    "sample_s": [round(time, 6) for time in window_input.times_s],
                }
                rows.append(
                    StoredWindow(
                        clip.film_id, clip.clip_id, window.index, window.start_s,
                        window.duration_s, len(tokens),
                    )
                )  # fmt: skip
            item.progress(len(rows) / total)
        store.metadata = {
            "encoder": shown_name(settings.encoder),
            "revision": settings.revision,
            "digest": encoder_digest(settings.encoder, settings.revision),
            "pooling": settings.pooling,
            "precision": settings.precision,
            "events": settings.events,
            "length_s": settings.length_s,
            "shortest_s": settings.shortest_s,
            "hop_s": settings.step_s(),
            "frames_per_window": encoder.shape.n_frames,
            "rate": encoder.shape.n_frames / settings.length_s,
            "slots": encoder.shape.n_slots,
            "per_slot": encoder.shape.per_slot,
            "width": encoder.shape.width,
            "clips": {clip.clip_id: clip.video_sha256 for clip in clips},
            "dialogue": {clip.clip_id: clip.dialogue_sha256 for clip in clips},
            "windows": stored,
        }
    return Outcome(tuple(rows), tuple(_too_short(clips, settings)))


def _too_short(clips: Sequence[Clip], settings: WindowsSettings) -> Iterator[Reject]:
    for clip in clips:
        if not window_spans(clip, settings):
            message = f"{clip.clip_id} has {clip.duration_s:.2f} s, less than windows.shortest_s."
            yield Reject("too_short", message)


def _tokens(
    encoder: VideoEncoder, batch: Sequence[WindowInput], settings: FeaturesSettings
) -> NDArray[np.float16]:
    """Return the tokens [B, tokens, width] to store.

    Raises:
        OsslError: `features_not_finite`.
    """
    import numpy as np
    import torch

    pixels = torch.stack([window_input.pixels for window_input in batch])
    states = encoder.states(pixels, settings.precision)
    tokens: NDArray[np.float16] = (
        pool_tokens(states, settings.pooling, encoder.shape.n_slots).half().numpy()
    )
    for window_input, values in zip(batch, tokens, strict=True):
        if not np.isfinite(values).all():
            raise OsslError(
                "features_not_finite",
                f"The encoder gives values that are not finite for {window_input.clip.clip_id} at "
                f"{window_input.window.start_s:.0f} s.",
                "Use `--set features.precision=fp32`, or another features.encoder.",
            )
    return tokens


def pool_tokens(states: Tensor, pooling: str, n_slots: int) -> Tensor:
    """Reduce the encoder's states [B, 1 + n_slots * per_slot, width] to the tokens to use.

    Returns:
        With `all`, every state; else [B, 1 + n_slots, width]: the class token and the mean of
        each time slot.
    """
    import torch

    if pooling == "all":
        return states
    batch, _, width = states.shape
    slots = states[:, 1:].reshape(batch, n_slots, -1, width).mean(dim=2)
    return torch.cat([states[:, :1], slots], dim=1)


def _tools(settings: FeaturesStageSettings) -> dict[str, str]:
    digest = encoder_digest(settings.encoder, settings.revision)
    tools = {"encoder": digest, **versions("av", "torch", "transformers")}
    if digest != NOT_HERE:
        shape = encoder_shape(settings.encoder, settings.revision, settings.frames)
        tools["frames"] = str(shape.n_frames)
    return tools


def _prepare(settings: FeaturesStageSettings) -> None:
    load_encoder(settings.encoder, settings.revision, settings.frames, settings.device)


FEATURES_STAGE = Stage(
    name=FEATURES,
    version=1,
    reads=("clips",),
    writes=FEATURES_TABLE,
    config=FeaturesStageSettings,
    run=make_features,
    folder=FEATURES,
    tools=_tools,
    prepare=_prepare,
)
