"""Codes of pieces, window by window; several pieces and samples are drawn side by side."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from ossl_builder.errors import OsslError
from ossl_train.backbones import Backbone, Sampling
from ossl_train.data.batch import padded
from ossl_train.generation.looking import Look, looks
from ossl_train.generation.model import Models
from ossl_train.generation.pieces import Piece
from ossl_train.generation.settings import GenerateSettings
from ossl_train.generation.spans import Span, seed_of, spans, stretch
from ossl_train.model.adapter import VideoAdapter
from ossl_train.recipe import TrainRecipe


@dataclass(frozen=True)
class Sample:
    """One piece of music to be drawn.

    Attributes:
        piece: for which picture.
        seed: with the picture's checksum it fixes what is drawn.
    """

    piece: Piece
    seed: int


def piece_spans(piece: Piece, backbone_rate: float, settings: GenerateSettings) -> tuple[Span, ...]:
    """The windows of a piece."""
    return spans(piece.duration_s, backbone_rate, settings.window_s, settings.overlap_s)


def n_steps(samples: Sequence[Sample], models: Models, settings: GenerateSettings) -> int:
    """Steps that `draw` takes for these samples side by side."""
    shape = models.backbone.shape
    of = [piece_spans(one.piece, shape.frame_rate, settings) for one in samples]
    longest = max(of, key=len)
    return sum(
        max(found[index].n_frames for found in of if index < len(found))
        - longest[index].n_known
        + shape.n_codebooks
        - 1
        for index in range(len(longest))
    )


def draw(
    samples: Sequence[Sample],
    models: Models,
    recipe: TrainRecipe,
    settings: GenerateSettings,
    progress: Callable[[], None],
) -> list[Tensor]:
    """Codes [K, T] of each sample, T being all frames of its picture.

    Windows go side by side: the first of all, then the second of those that have one, and so on.
    Each goes on from the codes of its overlap with the one before, and sees its own stretch of the
    picture, whose keys and values are computed once.

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
    of = [piece_spans(one.piece, rate, settings) for one in samples]
    seen = _all_looks(samples, of, models, recipe)
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
    shown: Sequence[Look],
    samples: Sequence[Sample],
    here: Sequence[Span],
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
                seed_of(one.seed, one.piece.video_sha256, span.index)
                for one, span in zip(samples, here, strict=True)
            ],
            progress=lambda done, total: progress(),
        ).cpu()


@contextlib.contextmanager
def _watching(adapter: VideoAdapter | None, shown: Sequence[Look], alpha: float) -> Iterator[None]:
    if adapter is None:
        yield
        return
    video, mask = padded([look.video for look in shown])
    times, _ = padded([look.times_s for look in shown])
    heard = [look.dialogue for look in shown if look.dialogue is not None]
    dialogue = padded(heard)[0] if heard else None
    with adapter.watching(video, times, mask, dialogue=dialogue, strength=alpha):
        yield


def _all_looks(
    samples: Sequence[Sample], of: Sequence[Sequence[Span]], models: Models, recipe: TrainRecipe
) -> list[Iterator[Look]]:
    """For each sample its windows' looks; samples of one piece share them."""
    import itertools

    if models.adapter is None or models.encoder is None:
        return []
    rate = models.backbone.shape.frame_rate
    made: dict[Piece, list[Iterator[Look]]] = {}
    found = []
    for sample, windows in zip(samples, of, strict=True):
        piece = sample.piece
        if piece not in made:
            stretches = [stretch(span, rate, piece.duration_s) for span in windows]
            seen = looks(
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
