"""A frozen MusicGen: the interface for the rest of the package.

MusicGen (Copet et al. 2023, "Simple and controllable music generation") is a causal language model
over EnCodec's codes, 50 frames per second, four codebooks that are delayed by 0, 1, 2 and 3 frames,
with cross-attention to the T5 states of a text.
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
from ossl_train.musicgen.losses import counted_tokens, token_losses
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

    def layers(self) -> list[nn.Module]:
        """Return the decoder's layers."""

    def cross_attentions(self) -> list[nn.Module]:
        """Return the text cross-attention of each layer; its first argument is the query."""

    def forward(self, sequence: Tensor, text: TextStates) -> Tensor:
        """Return logits [B, K, S, cardinality] of the steps after those of a sequence [B, K, S]."""

    def streaming(self, text: TextStates, n_steps: int) -> contextlib.AbstractContextManager[Step]:
        """Yield a step function that caches the keys and values of earlier steps.

        Args:
            text: one prompt per sequence.
            n_steps: the most steps of a sequence.
        """

    def add_positions(self, extra: Callable[[Tensor], Tensor]) -> Callable[[], None]:
        """Add `extra` (from steps [S] to [S, dim]) to every input; return the undo function."""

    def named_codes(self) -> list[Tensor]:
        """Return the code embeddings and the heads, codebook by codebook."""


class Codec(Protocol):
    """Encodes audio to codes and decodes them; see `codec`."""

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
    """A frozen MusicGen in evaluation mode. For equal weights both kinds return the same logits.

    Attributes:
        kind: ``audiocraft`` or ``transformers``.
        source: the name that the user gave.
        shape: its sizes.
        digest: digest of the language model's code embeddings and heads in half precision. It is
            the same in both layouts and at any precision. An adapter belongs to one digest.
        codec_digest: digest of the codec's codebooks. Stored codes belong to one digest.
        has_video: whether an adapter conditions it on a video now; the adapter sets it.
        copies: which of the stacked copies of a batch have the video now; the adapter reads it.
            Empty outside of `generate`.
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
        self.has_video = False
        self.copies: tuple[bool, ...] = ()
        language_model.module.to(dtype).eval().requires_grad_(False)

    @property
    def device(self) -> torch.device:
        """Device of the language model."""
        return next(self.language_model.module.parameters()).device

    @property
    def dtype(self) -> torch.dtype:
        """Type of the language model's weights."""
        return next(self.language_model.module.parameters()).dtype

    def to(self, device: str) -> Backbone:
        """Move all modules to a device; return the backbone."""
        for module in self.modules():
            module.to(device)
        return self

    def modules(self) -> list[nn.Module]:
        """Return language model, text encoder and codec."""
        return [self.language_model.module, self.text_encoder.model, self.codec.module]

    def parameters(self) -> list[nn.Parameter]:
        """Return all parameters; none requires a gradient."""
        return [weight for module in self.modules() for weight in module.parameters()]

    def layers(self) -> list[nn.Module]:
        """Return the decoder's layers."""
        return self.language_model.layers()

    def cross_attentions(self) -> list[nn.Module]:
        """Return the text cross-attention of each layer; its first argument is the query."""
        return self.language_model.cross_attentions()

    def encode_text(self, prompts: Sequence[str]) -> TextStates:
        """Return the T5 states of prompts; an empty prompt is "no text"."""
        text: TextStates = self.text_encoder.encode(prompts)
        return text

    def no_text(self, count: int) -> TextStates:
        """Return the states of `count` empty prompts, one masked token each."""
        states = torch.zeros(count, 1, self.shape.text_dim, device=self.device)
        return TextStates(states, torch.zeros(count, 1, dtype=torch.bool, device=self.device))

    def encode_audio(self, audio: Tensor) -> Tensor:
        """Codes [B, K, T] int64 of audio [B, 1, N] float at `shape.sample_rate`."""
        return self.codec.encode(audio)[:, : self.shape.n_codebooks]

    def decode_audio(self, codes: Tensor) -> Tensor:
        """Decode codes [B, K, T] to audio [B, 1, N] float32."""
        return self.codec.decode(codes)

    def logits(self, codes: Tensor, text: TextStates) -> tuple[Tensor, Tensor]:
        """Predict each code from those before it.

        Returns:
            logits [B, K, T, cardinality] float32, aligned with `codes`; and valid [B, K, T] bool:
            the last k frames of codebook k are outside the delayed sequence; they are zeros.
        """
        n_frames = codes.shape[-1]
        sequence = delayed(codes.to(self.device), self.shape.cardinality)[..., :n_frames]
        return realigned(self.language_model.forward(sequence, text.to(self.device)).float())

    def losses(self, codes: Tensor, valid: Tensor, text: TextStates) -> tuple[Tensor, Tensor]:
        """Return the training loss of windows.

        Training asks for nothing else, so a backbone of another kind can have another loss.

        Args:
            codes: [B, K, T].
            valid: [B, T] bool, False in the padding behind short windows.
            text: one prompt per window.

        Returns:
            [B] the summed loss in nats, and [B] the number of tokens.
        """
        logits, predicted = self.logits(codes, text)
        counted = counted_tokens(valid, predicted)
        losses = token_losses(logits, codes, counted)
        return losses.sum((1, 2)), counted.sum((1, 2))

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
        """Sample codes [B, K, n_frames], frame by frame with cached keys and values.

        Args:
            text: the states of one prompt per item.
            n_frames: number of frames of the result, including those of `start`.
            sampling: see `Sampling`.
            start: codes [B, K, S] with S < n_frames to continue; the result starts with them.
            seeds: one per item, instead of those of `sampling`.
            progress: called with the number of steps done and the total.

        Raises:
            OsslError: `window_too_short`, if all frames are known.
        """
        batch, special = len(text.mask), self.shape.cardinality
        sequence, first = blank_sequence(
            batch, self.shape.n_codebooks, n_frames, start, special, self.device
        )
        generators = generators_for(
            seeds or range(sampling.seed, sampling.seed + batch), self.device
        )
        text = text.to(self.device)
        copies = copies_for(sampling, bool(text.mask.any()), self.has_video)
        with (
            self._copying(copies.seeing),
            self.language_model.streaming(copied_text(text, copies), sequence.shape[-1]) as step,
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
    """Return the SHA-256 of tensors in half precision, in hexadecimal."""
    digest = hashlib.sha256()
    for tensor in tensors:
        digest.update(tensor.detach().to("cpu", torch.float16).contiguous().numpy().tobytes())
    return digest.hexdigest()


def unsupported(source: str, problem: str) -> OsslError:
    """Return the error for a model that is not a mono, text-only MusicGen."""
    return OsslError(
        "model_unsupported",
        f"{source} {problem}.",
        "Use MusicGen small, medium or large, mono and without a melody.",
    )
