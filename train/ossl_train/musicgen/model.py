"""What the rest of the package knows of a frozen MusicGen.

MusicGen (Copet et al. 2023, "Simple and controllable music generation") is a causal language model
over EnCodec's codes, 50 frames per second, four codebooks that are delayed by 0, 1, 2 and 3 frames,
and that listens to a T5 text through cross-attention.
"""

from __future__ import annotations

import contextlib
import hashlib
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Protocol

import torch
from torch import Tensor, nn

from ossl_builder.errors import OsslError
from ossl_train.musicgen.codec import TextEncoder
from ossl_train.musicgen.sampling import (
    Progress,
    Step,
    blank_sequence,
    copied_text,
    copies_for,
    fill,
    generators_for,
)
from ossl_train.musicgen.types import Sampling, Shape, TextStates, delayed, realigned, undelayed


class LanguageModel(Protocol):
    """MusicGen's decoder as one package builds it.

    Attributes:
        module: all of its weights.
    """

    module: nn.Module

    def cross_attentions(self) -> list[nn.Module]:
        """The text cross-attention of each decoder layer, whose first argument is the query."""

    def forward(self, sequence: Tensor, text: TextStates) -> Tensor:
        """Logits [B, K, S, cardinality] of the steps after those of a sequence [B, K, S]."""

    def streaming(self, text: TextStates) -> contextlib.AbstractContextManager[Step]:
        """A step that remembers the keys and values of the steps before it."""

    def add_positions(self, extra: Callable[[Tensor], Tensor]) -> Callable[[], None]:
        """Add `extra` (from steps [S] to [S, dim]) to every input; gives the way to undo it."""

    def named_codes(self) -> list[Tensor]:
        """The code embeddings and the heads, codebook by codebook."""


class Codec(Protocol):
    """Audio to codes and back; see `codec`."""

    module: Any
    sample_rate: int
    frame_rate: float

    def encode(self, audio: Tensor) -> Tensor:
        """Codes [B, K, T] of audio [B, 1, N]."""

    def decode(self, codes: Tensor) -> Tensor:
        """Audio [B, 1, N] of codes [B, K, T]."""

    def codebooks(self) -> list[Tensor]:
        """Each codebook's vectors [cardinality, width]."""


class Backbone:
    """A frozen MusicGen in evaluation mode; both kinds give the same logits for the same weights.

    Attributes:
        kind: ``audiocraft`` or ``transformers``.
        source: what it was loaded from, as it was named.
        shape: its sizes.
        digest: of the language model's code embeddings and heads in half precision, so the same in
            either layout and at any precision: an adapter belongs to it.
        codec_digest: of the codec's codebooks: codes belong to it.
        watched: whether an adapter shows it a video at present; the adapter sets it.
        copies: which of the stacked copies of a batch see the video at present; the adapter reads
            it. Empty outside of `generate`.
    """

    def __init__(
        self,
        kind: str,
        source: str,
        shape: Shape,
        language_model: LanguageModel,
        text_encoder: TextEncoder,
        codec: Codec,
        dtype: torch.dtype,
    ) -> None:
        self.kind = kind
        self.source = source
        self.shape = shape
        self.language_model = language_model
        self.text_encoder = text_encoder
        self.codec = codec
        self.digest = digest_of(language_model.named_codes())
        self.codec_digest = digest_of(codec.codebooks())
        self.watched = False
        self.copies: tuple[bool, ...] = ()
        language_model.module.to(dtype).eval().requires_grad_(False)

    @property
    def device(self) -> torch.device:
        """Where the language model is."""
        return next(self.language_model.module.parameters()).device

    @property
    def dtype(self) -> torch.dtype:
        """Of the language model's weights."""
        return next(self.language_model.module.parameters()).dtype

    def to(self, device: str) -> Backbone:
        """Move all of it; gives itself."""
        for module in self.modules():
            module.to(device)
        return self

    def modules(self) -> list[nn.Module]:
        """Language model, text encoder and codec."""
        return [self.language_model.module, self.text_encoder.model, self.codec.module]

    def parameters(self) -> list[nn.Parameter]:
        """Every parameter; none asks for a gradient."""
        return [weight for module in self.modules() for weight in module.parameters()]

    def cross_attentions(self) -> list[nn.Module]:
        """The text cross-attention of each decoder layer, whose first argument is the query."""
        return self.language_model.cross_attentions()

    def encode_text(self, prompts: Sequence[str]) -> TextStates:
        """T5's states of prompts; an empty prompt is "no text"."""
        text: TextStates = self.text_encoder.encode(prompts)
        return text

    def no_text(self, count: int) -> TextStates:
        """The states of `count` empty prompts, one masked token each."""
        states = torch.zeros(count, 1, self.shape.text_dim, device=self.device)
        return TextStates(states, torch.zeros(count, 1, dtype=torch.bool, device=self.device))

    def encode_audio(self, audio: Tensor) -> Tensor:
        """Codes [B, K, T] int64 of audio [B, 1, N] float at `shape.sample_rate`."""
        return self.codec.encode(audio)[:, : self.shape.n_codebooks]

    def decode_audio(self, codes: Tensor) -> Tensor:
        """Audio [B, 1, N] float32 of codes [B, K, T]."""
        return self.codec.decode(codes)

    def logits(self, codes: Tensor, text: TextStates) -> tuple[Tensor, Tensor]:
        """Predict each code from those before it.

        Returns:
            logits [B, K, T, cardinality] float32, aligned with `codes`; and valid [B, K, T] bool:
            the last k frames of codebook k lie beyond the delayed sequence and hold zeros.
        """
        n_frames = codes.shape[-1]
        sequence = delayed(codes.to(self.device), self.shape.cardinality)[..., :n_frames]
        return realigned(self.language_model.forward(sequence, text.to(self.device)).float())

    @torch.no_grad()  # type: ignore[untyped-decorator]
    def generate(
        self,
        text: TextStates,
        n_frames: int,
        sampling: Sampling,
        start: Tensor | None = None,
        seeds: Sequence[int] | None = None,
        progress: Progress | None = None,
    ) -> Tensor:
        """Draw codes [B, K, n_frames], frame by frame with cached keys and values.

        Args:
            text: one state per item.
            n_frames: length, with `start`.
            sampling: see `Sampling`.
            start: codes [B, K, S] with S < n_frames to go on from; they begin the result.
            seeds: one per item, instead of those that `sampling` gives.
            progress: called with steps done and steps in all.

        Raises:
            OsslError: window_too_short, where there is nothing to draw.
        """
        batch, special = len(text.mask), self.shape.cardinality
        sequence, first = blank_sequence(
            batch, self.shape.n_codebooks, n_frames, start, special, self.device
        )
        generators = generators_for(
            seeds or range(sampling.seed, sampling.seed + batch), self.device
        )
        text = text.to(self.device)
        copies = copies_for(sampling, bool(text.mask.any()), self.watched)
        with (
            self._copying(copies.seeing),
            self.language_model.streaming(copied_text(text, copies)) as step,
        ):
            fill(step, copies, sequence, first, sampling, generators, progress)
        return undelayed(sequence)

    @contextlib.contextmanager
    def _copying(self, seeing: tuple[bool, ...]) -> Iterator[None]:
        self.copies = seeing
        try:
            yield
        finally:
            self.copies = ()


def digest_of(tensors: Sequence[Tensor]) -> str:
    """SHA-256 of tensors in half precision, in hexadecimal."""
    digest = hashlib.sha256()
    for tensor in tensors:
        digest.update(tensor.detach().to("cpu", torch.float16).contiguous().numpy().tobytes())
    return digest.hexdigest()


def unsupported(source: str, what: str) -> OsslError:
    """The error for a model that is no mono, text-only MusicGen."""
    return OsslError(
        "model_unsupported",
        f"{source} {what}.",
        "Use MusicGen small, medium or large, mono and without a melody.",
    )
