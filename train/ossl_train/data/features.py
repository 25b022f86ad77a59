"""Stage `features`: what ViViT sees in every window of a film's clips."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from ossl_builder.engine.stage import Item, Outcome, Reject, Stage, versions
from ossl_builder.errors import OsslError
from ossl_builder.files import sha256_json
from ossl_builder.tables import Clip
from ossl_train.data import vivit
from ossl_train.data.storage import FEATURES, FEATURES_TABLE, StoredWindow, StoreWriter, key_of
from ossl_train.data.window_loader import WindowInput, window_inputs
from ossl_train.data.windows import FeaturesWork, window_spans
from ossl_train.model_paths import shown_name
from ossl_train.recipe import WindowsSettings

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from torch import Tensor


def features_facts(clips: Sequence[Clip]) -> str:
    """Hash of what of a film's clips shapes its features: not their music."""
    return sha256_json(
        [[c.clip_id, c.duration_s, c.video_sha256, c.dialogue_sha256] for c in clips]
    )


def make_features(item: Item) -> Outcome:
    """Encode every window of a film's clips.

    Raises:
        OsslError: `video_undecodable`, `no_video`, `not_media`, `audio_unreadable`,
            `features_not_finite`, and those of `vivit.load_encoder`.
    """
    work: FeaturesWork = item.config
    clips: tuple[Clip, ...] = item.rows["clips"]
    encoder = vivit.load_encoder(work.encoder, work.revision, work.device)
    total = sum(len(window_spans(clip, work.windows)) for clip in clips)
    frames = window_inputs(item.corpus, clips, work.windows, encoder, work.workers)
    rows: list[StoredWindow] = []
    said: dict[str, Any] = {}
    with StoreWriter(item.folder / f"{FEATURES}.safetensors") as store:
        for seen in _batched(frames, work.batch_size):
            for one, tokens in zip(seen, _tokens(encoder, seen, work), strict=True):
                key = key_of(one.clip.clip_id, one.window.index)
                store.add(key, tokens)
                if one.dialogue is not None:
                    store.add(f"{key}/dialogue", one.dialogue)
                said[key] = {
                    "start_s": one.window.start_s,
                    "duration_s": one.window.duration_s,
                    "sample_s": [round(time, 6) for time in one.times_s],
                }
                rows.append(_row(one, len(tokens)))
            item.progress(len(rows) / total)
        store.metadata = _metadata(work, encoder, clips) | {"windows": said}
    return Outcome(tuple(rows), tuple(_too_short(clips, work.windows)))


def _metadata(work: FeaturesWork, encoder: vivit.Encoder, clips: Sequence[Clip]) -> dict[str, Any]:
    return {
        "encoder": shown_name(work.encoder),
        "revision": work.revision,
        "digest": vivit.digest(work.encoder, work.revision),
        "pooling": work.pooling,
        "precision": work.precision,
        "length_s": work.length_s,
        "shortest_s": work.shortest_s,
        "frames_per_window": encoder.n_frames,
        "rate": encoder.n_frames / work.length_s,
        "slots": encoder.n_slots,
        "per_slot": encoder.per_slot,
        "width": encoder.width,
        "clips": {clip.clip_id: clip.video_sha256 for clip in clips},
        "dialogue": {clip.clip_id: clip.dialogue_sha256 for clip in clips},
    }


def _row(seen: WindowInput, length: int) -> StoredWindow:
    window = seen.window
    return StoredWindow(
        seen.clip.film_id,
        seen.clip.clip_id,
        window.index,
        window.start_s,
        window.duration_s,
        length,
    )


def _too_short(clips: Sequence[Clip], settings: WindowsSettings) -> Iterator[Reject]:
    for clip in clips:
        if not window_spans(clip, settings):
            message = f"{clip.clip_id} has {clip.duration_s:.2f} s, less than a shortest window."
            yield Reject("too_short", message)


def _batched(seen: Iterator[WindowInput], size: int) -> Iterator[list[WindowInput]]:
    held: list[WindowInput] = []
    for one in seen:
        held.append(one)
        if len(held) == size:
            yield held
            held = []
    if held:
        yield held


def _tokens(
    encoder: vivit.Encoder, seen: Sequence[WindowInput], work: FeaturesWork
) -> NDArray[np.float16]:
    """[B, tokens, width], as they are stored.

    Raises:
        OsslError: `features_not_finite`.
    """
    import numpy as np
    import torch

    states = encoder.states(torch.stack([one.pixels for one in seen]), work.precision)
    stored: NDArray[np.float16] = pooled(states, work.pooling, encoder.n_slots).half().numpy()
    for one, tokens in zip(seen, stored, strict=True):
        if not np.isfinite(tokens).all():
            raise OsslError(
                "features_not_finite",
                f"The encoder gives values that are not finite for {one.clip.clip_id} at "
                f"{one.window.start_s:.0f} s.",
                "Use `--set features.precision=fp32`, or another features.encoder.",
            )
    return stored


def pooled(states: Tensor, pooling: str, n_slots: int) -> Tensor:
    """Tokens to be kept of the encoder's states [B, 1 + n_slots * per_slot, width].

    Returns:
        All of them; or [B, 1 + n_slots, width], the class token and the mean of each time slot.
    """
    import torch

    if pooling == "all":
        return states
    batch, _, width = states.shape
    slots = states[:, 1:].reshape(batch, n_slots, -1, width).mean(dim=2)
    return torch.cat([states[:, :1], slots], dim=1)


def _tools(work: FeaturesWork) -> dict[str, str]:
    found = vivit.digest(work.encoder, work.revision)
    return {"encoder": found, **versions("av", "torch", "transformers")}


def _prepare(work: FeaturesWork) -> None:
    vivit.load_encoder(work.encoder, work.revision, work.device)


FEATURES_STAGE = Stage(
    name=FEATURES,
    doc="Encode the video of every window.",
    version=1,
    reads=("clips",),
    writes=FEATURES_TABLE,
    config=FeaturesWork,
    run=make_features,
    folder=FEATURES,
    tools=_tools,
    prepare=_prepare,
)
