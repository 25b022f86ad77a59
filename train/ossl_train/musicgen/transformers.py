"""MusicGen's decoder as transformers builds it."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch import Tensor, nn

from ossl_train.musicgen.sampling import Step
from ossl_train.musicgen.types import TextStates


class TransformersModel:
    """A `MusicgenForCausalLM`, and the projection of the text's states to its width."""

    def __init__(self, module: Any, projection: nn.Module) -> None:
        self._model = module
        self._projection = projection
        self.module = nn.ModuleList([module, projection])

    def cross_attentions(self) -> list[nn.Module]:
        """The text cross-attention of each decoder layer, whose first argument is the query."""
        return [layer.encoder_attn for layer in self._model.model.decoder.layers]

    def forward(self, sequence: Tensor, text: TextStates) -> Tensor:
        """Logits [B, K, S, cardinality] of the steps after those of a sequence [B, K, S]."""
        return self._run(sequence, self._project(text), _allowed(text), None)

    @contextlib.contextmanager
    def streaming(self, text: TextStates) -> Iterator[Step]:
        """A step that remembers the keys and values of the steps before it."""
        from transformers import DynamicCache, EncoderDecoderCache

        config = self._model.config
        memory = EncoderDecoderCache(DynamicCache(config=config), DynamicCache(config=config))
        projected, allowed = self._project(text), _allowed(text)
        yield lambda sequence: self._run(sequence, projected, allowed, memory)[:, :, -1]

    def add_positions(self, extra: Callable[[Tensor], Tensor]) -> Callable[[], None]:
        """Add `extra` (from steps [S] to [S, dim]) to every input; gives the way to undo it."""

        def hook(_: Any, inputs: tuple[Any, ...], output: Tensor) -> Tensor:
            sequence, first = inputs
            steps = torch.arange(first, first + sequence.shape[-1], device=output.device)
            return output + extra(steps).to(output.dtype)

        handle = self._model.model.decoder.embed_positions.register_forward_hook(hook)
        return lambda: handle.remove()

    def named_codes(self) -> list[Tensor]:
        """The code embeddings and the heads, codebook by codebook."""
        embeddings = self._model.model.decoder.embed_tokens
        return [layer.weight for layer in (*embeddings, *self._model.lm_heads)]

    def _project(self, text: TextStates) -> Tensor:
        weight = next(self._model.parameters())
        projected = self._projection(text.states.to(weight))
        return projected * text.mask[..., None].to(projected)

    def _run(
        self, sequence: Tensor, projected: Tensor, allowed: Tensor | None, memory: Any
    ) -> Tensor:
        logits = self._model(
            input_ids=sequence.flatten(0, 1),
            encoder_hidden_states=projected,
            encoder_attention_mask=allowed,
            past_key_values=memory,
            use_cache=memory is not None,
        ).logits
        return logits.unflatten(0, sequence.shape[:2])


def _allowed(text: TextStates) -> Tensor | None:
    allowed = text.attended()
    return None if allowed is None else allowed[:, 0, 0].long()
