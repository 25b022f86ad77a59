"""Sample codes window by window, several requests and seeds side by side."""

from __future__ import annotations

import contextlib
import hashlib
import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from ossl_builder.errors import OsslError
from ossl_train.adapter.adapter import VideoAdapter
from ossl_train.data.dataset import pad
from ossl_train.data.windows import WindowSpan
from ossl_train.generation.models import Models
from ossl_train.generation.requests import GenerateSettings, GenerationRequest
from ossl_train.generation.video_features import WindowFeatures, window_features
from ossl_train.musicgen import Backbone, Sampling
from ossl_train.recipe import TrainRecipe


@dataclass(frozen=True)
class FrameSpan:
    """A window in frames of the music.

    Attributes:
        index: its number, from 0.
        first: the piece's frame that it begins with.
        n_frames: its length.
        n_known: frames at its begin that the window before has written.
    """

    index: int
    first: int
    n_frames: int
    n_known: int

    @property
    def end(self) -> int:
        """The piece's frame after its last."""
        return self.first + self.n_frames


def frame_spans(
    duration_s: float, rate: float, window_s: float, overlap_s: float
) -> tuple[FrameSpan, ...]:
    """Windows that cover a piece; the last one is as long as what remains, and its overlap.

    Args:
        duration_s: of the piece.
        rate: frames per second.
        window_s: length of a window.
        overlap_s: of each window with the one before.

    Raises:
        OsslError: `overlap_too_long`.
    """
    window, overlap = round(window_s * rate), round(overlap_s * rate)
    if overlap >= window:
        raise OsslError(
            "overlap_too_long",
            f"An overlap of {overlap_s:g} s leaves nothing of a window of {window_s:g} s.",
            "Give --overlap less than --window; a third of it is usual.",
        )
    total = n_frames(duration_s, rate)
    found: list[FrameSpan] = []
    while not found or found[-1].end < total:
        first = len(found) * (window - overlap)
        known = overlap if found else 0
        found.append(FrameSpan(len(found), first, min(window, total - first), known))
    return tuple(found)


def n_frames(duration_s: float, rate: float) -> int:
    """Frames that cover a duration."""
    return max(1, math.ceil(duration_s * rate - 1e-6))


def n_samples(duration_s: float, sample_rate: int) -> int:
    """Samples that a video of that length holds: never one that begins after it."""
    return max(1, math.floor(duration_s * sample_rate + 1e-6))


def video_window(span: FrameSpan, rate: float, duration_s: float) -> WindowSpan:
    """Where a window lies in the video, whose end is its own end."""
    start_s = span.first / rate
    return WindowSpan(span.index, start_s, min(span.n_frames / rate, duration_s - start_s))


def window_seed(seed: int, frame: str, index: int) -> int:
    """The seed of one window.

    Pieces with one prompt and one seed would all be one piece by the base model; so the video,
    by its checksum, is part of the seed.
    """
    digest = hashlib.sha256(f"{seed}/{frame}/{index}".encode()).digest()
    return int.from_bytes(digest[:6], "big")


@dataclass(frozen=True)
class GeneratedSample:
    """One piece of music to be drawn.

    Attributes:
        piece: for which video.
        seed: with the video's checksum it fixes what is drawn.
    """

    piece: GenerationRequest
    seed: int


def request_spans(
    piece: GenerationRequest, backbone_rate: float, settings: GenerateSettings
) -> tuple[FrameSpan, ...]:
    """The windows of a piece."""
    return frame_spans(piece.duration_s, backbone_rate, settings.window_s, settings.overlap_s)


def n_steps(samples: Sequence[GeneratedSample], models: Models, settings: GenerateSettings) -> int:
    """Steps that `draw` takes for these samples side by side."""
    shape = models.backbone.shape
    of = [request_spans(one.piece, shape.frame_rate, settings) for one in samples]
    longest = max(of, key=len)
    return sum(
        max(found[index].n_frames for found in of if index < len(found))
        - longest[index].n_known
        + shape.n_codebooks
        - 1
        for index in range(len(longest))
    )


def sample_codes(
    samples: Sequence[GeneratedSample],
    models: Models,
    recipe: TrainRecipe,
    settings: GenerateSettings,
    progress: Callable[[], None],
) -> list[Tensor]:
    """Codes [K, T] of each sample, T being all frames of its video.

    Windows go side by side: the first of all, then the second of those that have one, and so on.
    Each goes on from the codes of its overlap with the one before, and sees its own stretch of the
    video, whose keys and values are computed once.

    Args:
        samples: one or more; alone, a sample does not depend on others to the last bit.
        models: loaded.
        recipe: with folders in place of `tiny`.
        settings: see there.
        progress: called after each step.

    Raises:
        OsslError: `memory_full`, and those of `looks`.
    """
    backbone = models.backbone
    rate = backbone.shape.frame_rate
    of = [request_spans(one.piece, rate, settings) for one in samples]
    seen = _all_features(samples, of, models, recipe)
    codes = [torch.zeros(backbone.shape.n_codebooks, 0, dtype=torch.int64) for _ in samples]
    for index in range(max(map(len, of))):
        active = [number for number, found in enumerate(of) if index < len(found)]
        here = [of[number][index] for number in active]
        shown = [next(seen[number]) for number in active] if models.adapter else []
        with _memory(len(active)):
            drawn = _window(
                backbone, models.adapter, shown,
                [samples[number] for number in active], here,
                [codes[number] for number in active], settings, progress,
            )  # fmt: skip
        for number, span, found in zip(active, here, drawn, strict=True):
            codes[number] = torch.cat([codes[number], found[:, span.n_known : span.n_frames]], 1)
    return codes


def _window(
    backbone: Backbone,
    adapter: VideoAdapter | None,
    shown: Sequence[WindowFeatures],
    samples: Sequence[GeneratedSample],
    here: Sequence[FrameSpan],
    codes: Sequence[Tensor],
    settings: GenerateSettings,
    progress: Callable[[], None],
) -> Tensor:
    """Codes [B, K, frames] of one window of each sample."""
    text = backbone.encode_text([one.piece.prompt for one in samples])
    start = torch.stack([
        known[:, span.first : span.first + span.n_known]
        for known, span in zip(codes, here, strict=True)
    ])  # fmt: skip
    with (
        _watching(adapter, shown, settings.alpha),
        torch.autocast(backbone.device.type, torch.bfloat16, settings.precision == "bf16"),
    ):
        return backbone.generate(
            text,
            max(span.n_frames for span in here),
            Sampling(
                temperature=settings.temperature,
                top_k=settings.top_k,
                text_guidance=settings.text_guidance,
                video_guidance=settings.video_guidance,
            ),
            start=start.to(backbone.device),
            seeds=[
                window_seed(one.seed, one.piece.video_sha256, span.index)
                for one, span in zip(samples, here, strict=True)
            ],
            progress=lambda done, total: progress(),
        ).cpu()


@contextlib.contextmanager
def _watching(
    adapter: VideoAdapter | None, shown: Sequence[WindowFeatures], alpha: float
) -> Iterator[None]:
    if adapter is None:
        yield
        return
    video, mask = pad([look.video for look in shown])
    times, _ = pad([look.times_s for look in shown])
    heard = [look.dialogue for look in shown if look.dialogue is not None]
    dialogue = pad(heard)[0] if heard else None
    with adapter.watching(video, times, mask, dialogue=dialogue, strength=alpha):
        yield


def _all_features(
    samples: Sequence[GeneratedSample],
    of: Sequence[Sequence[FrameSpan]],
    models: Models,
    recipe: TrainRecipe,
) -> list[Iterator[WindowFeatures]]:
    """For each sample its windows' looks; samples of one piece share them."""
    import itertools

    if models.adapter is None or models.encoder is None:
        return []
    rate = models.backbone.shape.frame_rate
    made: dict[GenerationRequest, list[Iterator[WindowFeatures]]] = {}
    found = []
    for sample, windows in zip(samples, of, strict=True):
        piece = sample.piece
        if piece not in made:
            stretches = [video_window(span, rate, piece.duration_s) for span in windows]
            seen = window_features(
                piece, stretches, models.encoder, recipe.features, models.adapter.config.dialogue
            )
            copies = sum(one.piece == piece for one in samples)
            made[piece] = list(itertools.tee(seen, copies))
        found.append(made[piece].pop())
    return found


@contextlib.contextmanager
def _memory(side_by_side: int) -> Iterator[None]:
    """Turn what PyTorch says where memory ends into a sentence."""
    try:
        yield
    except torch.OutOfMemoryError as error:
        raise _full(side_by_side) from error
    except RuntimeError as error:
        # Of the CPU's memory there is no error of its own.
        if "not enough memory" not in str(error) and "can't allocate memory" not in str(error):
            raise
        raise _full(side_by_side) from error


def _full(side_by_side: int) -> OsslError:
    fewer = f"--batch less than {side_by_side}, " if side_by_side > 1 else ""
    return OsslError(
        "memory_full",
        f"The memory ended while {side_by_side} samples were drawn at a time.",
        f"Use {fewer}--precision bf16, a shorter --window, or a smaller model; what is finished "
        "is kept.",
    )
