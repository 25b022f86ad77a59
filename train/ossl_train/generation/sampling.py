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
        first: its first frame within the music.
        n_frames: its length.
        n_known: frames at its start that the window before has generated.
    """

    index: int
    first: int
    n_frames: int
    n_known: int

    @property
    def end(self) -> int:
        """The frame after its last."""
        return self.first + self.n_frames


def frame_spans(
    duration_s: float, rate: float, window_s: float, overlap_s: float
) -> tuple[FrameSpan, ...]:
    """Divide the music into overlapping windows; the last one is as long as what remains.

    Args:
        duration_s: length of the music.
        rate: frames per second.
        window_s: length of a window.
        overlap_s: overlap of each window with the one before.

    Raises:
        OsslError: `overlap_too_long`.
    """
    window, overlap = round(window_s * rate), round(overlap_s * rate)
    if overlap >= window:
        raise OsslError(
            "overlap_too_long",
            f"An overlap of {overlap_s:g} s is not shorter than a window of {window_s:g} s.",
            "Set --overlap to less than --window; a third of it is usual.",
        )
    total = n_frames(duration_s, rate)
    spans: list[FrameSpan] = []
    while not spans or spans[-1].end < total:
        first = len(spans) * (window - overlap)
        n_known = overlap if spans else 0
        spans.append(FrameSpan(len(spans), first, min(window, total - first), n_known))
    return tuple(spans)


def n_frames(duration_s: float, rate: float) -> int:
    """Return the number of frames that cover a duration."""
    return max(1, math.ceil(duration_s * rate - 1e-6))


def n_samples(duration_s: float, sample_rate: int) -> int:
    """Return the number of samples of a video: none starts after its end."""
    return max(1, math.floor(duration_s * sample_rate + 1e-6))


def video_window(span: FrameSpan, rate: float, duration_s: float) -> WindowSpan:
    """Return the position of a window in the video; it ends at the video's end at the latest."""
    start_s = span.first / rate
    return WindowSpan(span.index, start_s, min(span.n_frames / rate, duration_s - start_s))


def window_seed(seed: int, identity: str, index: int) -> int:
    """Return the seed of one window.

    The base model would generate the same music for all videos with the same prompt and seed. So
    the checksum of the video is part of the seed, or the name of a clip without a video.
    """
    digest = hashlib.sha256(f"{seed}/{identity}/{index}".encode()).digest()
    return int.from_bytes(digest[:6], "big")


@dataclass(frozen=True)
class GeneratedSample:
    """One sample to generate.

    Attributes:
        request: the video and its prompt.
        seed: fixes the sample, together with the video's checksum.
    """

    request: GenerationRequest
    seed: int


def request_spans(
    request: GenerationRequest, backbone_rate: float, settings: GenerateSettings
) -> tuple[FrameSpan, ...]:
    """Return the windows of a request."""
    return frame_spans(request.duration_s, backbone_rate, settings.window_s, settings.overlap_s)


def n_steps(samples: Sequence[GeneratedSample], models: Models, settings: GenerateSettings) -> int:
    """Return the number of steps of `sample_codes` for these samples."""
    shape = models.backbone.shape
    spans_of_samples = [
        request_spans(sample.request, shape.frame_rate, settings) for sample in samples
    ]
    longest = max(spans_of_samples, key=len)
    return sum(
        max(spans[index].n_frames for spans in spans_of_samples if index < len(spans))
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
    """Generate the codes [K, T] of each sample, T being all frames of its video.

    Samples are processed in parallel, window by window. Each window continues the codes of its
    overlap with the window before, and is conditioned on its own segment of the video. Keys and
    values of the video are computed once per window.

    Args:
        samples: one or more. In a batch, rounding can change the last bit of a sample.
        models: the loaded models.
        recipe: the recipe, with folders in place of the name `tiny`.
        settings: settings of the generation.
        progress: called after each step.

    Raises:
        OsslError: `memory_full`, and those of `window_features`.
    """
    backbone = models.backbone
    rate = backbone.shape.frame_rate
    spans_of_samples = [request_spans(sample.request, rate, settings) for sample in samples]
    features = _all_features(samples, spans_of_samples, models, recipe)
    codes = [torch.zeros(backbone.shape.n_codebooks, 0, dtype=torch.int64) for _ in samples]
    for index in range(max(map(len, spans_of_samples))):
        active = [number for number, spans in enumerate(spans_of_samples) if index < len(spans)]
        current = [spans_of_samples[number][index] for number in active]
        videos = [next(features[number]) for number in active] if models.adapter else []
        with _memory_errors(len(active)):
            generated = _window(
                backbone, models.adapter, videos,
                [samples[number] for number in active], current,
                [codes[number] for number in active], settings, progress,
            )  # fmt: skip
        for number, span, window in zip(active, current, generated, strict=True):
            codes[number] = torch.cat([codes[number], window[:, span.n_known : span.n_frames]], 1)
    return codes


def _window(
    backbone: Backbone,
    adapter: VideoAdapter | None,
    videos: Sequence[WindowFeatures],
    samples: Sequence[GeneratedSample],
    current: Sequence[FrameSpan],
    codes: Sequence[Tensor],
    settings: GenerateSettings,
    progress: Callable[[], None],
) -> Tensor:
    """Generate the codes [B, K, frames] of one window of each sample."""
    text = backbone.encode_text([sample.request.prompt for sample in samples])
    start = torch.stack([
        before[:, span.first : span.first + span.n_known]
        for before, span in zip(codes, current, strict=True)
    ])  # fmt: skip
    with (
        _conditioning(adapter, videos, settings.alpha),
        torch.autocast(backbone.device.type, torch.bfloat16, settings.precision == "bf16"),
    ):
        return backbone.generate(
            text,
            max(span.n_frames for span in current),
            Sampling(
                temperature=settings.temperature,
                top_k=settings.top_k,
                text_guidance=settings.text_guidance,
                video_guidance=settings.video_guidance,
            ),
            start=start.to(backbone.device),
            seeds=[
                window_seed(sample.seed, sample.request.identity, span.index)
                for sample, span in zip(samples, current, strict=True)
            ],
            progress=lambda done, total: progress(),
        ).cpu()


@contextlib.contextmanager
def _conditioning(
    adapter: VideoAdapter | None, videos: Sequence[WindowFeatures], alpha: float
) -> Iterator[None]:
    if adapter is None:
        yield
        return
    video, mask = pad([window.video for window in videos])
    times, _ = pad([window.times_s for window in videos])
    dialogue, events = (
        pad(curves)[0] if curves else None
        for curves in (
            [window.dialogue for window in videos if window.dialogue is not None],
            [window.events for window in videos if window.events is not None],
        )
    )
    with adapter.show(video, times, mask, dialogue=dialogue, events=events, strength=alpha):
        yield


def _all_features(
    samples: Sequence[GeneratedSample],
    spans_of_samples: Sequence[Sequence[FrameSpan]],
    models: Models,
    recipe: TrainRecipe,
) -> list[Iterator[WindowFeatures]]:
    """Return the window features of each sample; samples of one request share them."""
    import itertools

    if models.adapter is None or models.encoder is None:
        return []
    rate = models.backbone.shape.frame_rate
    features_of_requests: dict[GenerationRequest, list[Iterator[WindowFeatures]]] = {}
    of_samples = []
    for sample, spans in zip(samples, spans_of_samples, strict=True):
        request = sample.request
        if request not in features_of_requests:
            segments = [video_window(span, rate, request.duration_s) for span in spans]
            features = window_features(
                request, segments, models.encoder, recipe.features, models.adapter.config
            )
            n_copies = sum(other.request == request for other in samples)
            features_of_requests[request] = list(itertools.tee(features, n_copies))
        of_samples.append(features_of_requests[request].pop())
    return of_samples


@contextlib.contextmanager
def _memory_errors(n_samples: int) -> Iterator[None]:
    """Raise `memory_full` if PyTorch runs out of memory."""
    try:
        yield
    except torch.OutOfMemoryError as error:
        raise _full(n_samples) from error
    except RuntimeError as error:
        # PyTorch has no error class for the memory of the CPU.
        if "not enough memory" not in str(error) and "can't allocate memory" not in str(error):
            raise
        raise _full(n_samples) from error


def _full(n_samples: int) -> OsslError:
    fewer = f"a --batch of less than {n_samples}, " if n_samples > 1 else ""
    return OsslError(
        "memory_full",
        f"Not enough memory to generate {n_samples} samples at a time.",
        f"Use {fewer}--precision bf16, a shorter --window, or a smaller model. Finished "
        "samples remain.",
    )
