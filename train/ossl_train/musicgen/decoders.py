"""MusicGen's decoder, as audiocraft 1.3 and as transformers build it."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from ossl_train.musicgen.sampling import Step
from ossl_train.musicgen.static_step import GraphedDecoder, StaticDecoder
from ossl_train.musicgen.types import TextStates


@dataclass
class _Reading:
    """State that the cross-attentions share during a forward."""

    allowed: Tensor | None = None
    caches: bool = False
    keys_values: dict[int, tuple[Tensor, Tensor]] = field(default_factory=dict)


class AudiocraftModel:
    """An `LMModel` without its text encoder, and the projection of the text's states.

    audiocraft attends to the padding of a shorter text, and projects the text's keys and values
    again at every step. Here each cross-attention gets a mask of the text, so that items of a
    batch are independent, and projects keys and values once. audiocraft computes positions in the
    type of the weights; bfloat16 has no whole numbers like 257, so distant frames would share a
    position. Here positions are computed in float32. For texts of one length and weights in float32
    the result is exactly that of audiocraft.
    """

    def __init__(self, module: Any, projection: nn.Module) -> None:
        self._model = module
        self._projection = projection
        self.module = nn.ModuleList([module, projection])
        self._reading = _Reading()
        for index, attention in enumerate(self.cross_attentions()):
            attention.forward = partial(_attend, self, index, attention)
        if module.transformer.positional_embedding == "sin":
            module.transformer.positional_embedding = "sin, added by a hook"
            self.add_positions(partial(_sinusoids, module.transformer))

    def layers(self) -> list[nn.Module]:
        """Return the decoder's layers."""
        return list(self._model.transformer.layers)

    def cross_attentions(self) -> list[nn.Module]:
        """Return the text cross-attention of each layer; its first argument is the query."""
        return [layer.cross_attention for layer in self._model.transformer.layers]

    def forward(self, sequence: Tensor, text: TextStates) -> Tensor:
        """Return logits [B, K, S, cardinality] of the steps after those of a sequence [B, K, S]."""
        self._reading = _Reading(text.attended())
        return self._run(sequence, self._project(text))

    @contextlib.contextmanager
    def streaming(self, text: TextStates, n_steps: int) -> Iterator[Step]:
        """Yield a step function that caches the keys and values of earlier steps."""
        self._reading = _Reading(text.attended(), caches=True)
        projected = self._project(text)
        try:
            with self._model.streaming():
                yield lambda sequence: self._run(sequence, projected)[:, :, -1]
        finally:
            self._reading = _Reading()

    def add_positions(self, extra: Callable[[Tensor], Tensor]) -> Callable[[], None]:
        """Add `extra` (from steps [S] to [S, dim]) to every input; return the undo function."""

        def hook(transformer: Any, inputs: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
            x, *other_inputs = inputs
            offsets = transformer._streaming_state.get("offsets")
            first = 0 if offsets is None else int(offsets[0])
            steps = torch.arange(first, first + x.shape[1], device=x.device)
            return (x + extra(steps).to(x.dtype), *other_inputs)

        handle = self._model.transformer.register_forward_pre_hook(hook)
        return lambda: handle.remove()

    def named_codes(self) -> list[Tensor]:
        """Return the code embeddings and the heads, codebook by codebook."""
        return [layer.weight for layer in (*self._model.emb, *self._model.linears)]

    def _project(self, text: TextStates) -> Tensor:
        weight = next(self._projection.parameters())
        projected = self._projection(text.states.to(weight))
        return projected * text.mask[..., None].to(projected)

    def _run(self, sequence: Tensor, projected: Tensor) -> Tensor:
        tensors = {"description": (projected, None)}
        return self._model(sequence, conditions=[], condition_tensors=tensors)


def _sinusoids(transformer: Any, steps: Tensor) -> Tensor:
    """Return audiocraft's embedding of steps [S] as [S, dim] float32."""
    from audiocraft.modules.transformer import create_sin_embedding

    dim = transformer.layers[0].self_attn.embed_dim
    embedding = create_sin_embedding(steps[None, :, None], dim, transformer.max_period)
    scaled: Tensor = transformer.positional_scale * embedding[0]
    return scaled


def _attend(
    model: AudiocraftModel, index: int, module: Any, query: Tensor, key: Tensor, *_: Any, **__: Any
) -> tuple[Tensor, None]:
    reading, dim = model._reading, module.embed_dim
    cached = reading.keys_values.get(index)
    if cached is None:
        keys = functional.linear(key, module.in_proj_weight[dim : 2 * dim])
        values = functional.linear(key, module.in_proj_weight[2 * dim :])
        cached = (_heads(keys, module.num_heads), _heads(values, module.num_heads))
        if reading.caches:
            reading.keys_values[index] = cached
    queries = _heads(functional.linear(query, module.in_proj_weight[:dim]), module.num_heads)
    attended = functional.scaled_dot_product_attention(queries, *cached, attn_mask=reading.allowed)
    return module.out_proj(attended.transpose(1, 2).flatten(2)), None


def _heads(x: Tensor, n_heads: int) -> Tensor:
    return x.unflatten(-1, (n_heads, -1)).transpose(1, 2)


class TransformersModel:
    """A `MusicgenForCausalLM`, and the projection of the text's states to its width."""

    def __init__(self, module: Any, projection: nn.Module) -> None:
        self._model = module
        self._projection = projection
        self.module = nn.ModuleList([module, projection])
        self._extra_positions: list[Callable[[Tensor], Tensor]] = []

    def layers(self) -> list[nn.Module]:
        """Return the decoder's layers."""
        return list(self._model.model.decoder.layers)

    def cross_attentions(self) -> list[nn.Module]:
        """Return the text cross-attention of each layer; its first argument is the query."""
        return [layer.encoder_attn for layer in self._model.model.decoder.layers]

    def forward(self, sequence: Tensor, text: TextStates) -> Tensor:
        """Return logits [B, K, S, cardinality] of the steps after those of a sequence [B, K, S]."""
        return self._run(sequence, self._project(text), _allowed(text), None)

    @contextlib.contextmanager
    def streaming(self, text: TextStates, n_steps: int) -> Iterator[Step]:
        """Yield a step function that caches the keys and values of earlier steps."""
        from transformers import DynamicCache, EncoderDecoderCache

        if text.states.device.type == "cuda":
            yield GraphedDecoder(self.static_decoder(text, n_steps))
            return
        config = self._model.config
        memory = EncoderDecoderCache(DynamicCache(config=config), DynamicCache(config=config))
        projected, allowed = self._project(text), _allowed(text)
        yield lambda sequence: self._run(sequence, projected, allowed, memory)[:, :, -1]

    def static_decoder(self, text: TextStates, n_steps: int) -> StaticDecoder:
        """Return a step function whose buffers have a fixed size, for at most `n_steps` steps."""
        extra = None
        if self._extra_positions:
            extra = self._sum_of_extra_positions
        return StaticDecoder(self._model, self._project(text), text.attended(), n_steps, extra)

    def _sum_of_extra_positions(self, steps: Tensor) -> Tensor:
        return torch.stack([extra(steps) for extra in self._extra_positions]).sum(dim=0)

    def add_positions(self, extra: Callable[[Tensor], Tensor]) -> Callable[[], None]:
        """Add `extra` (from steps [S] to [S, dim]) to every input; return the undo function."""

        def hook(_: Any, inputs: tuple[Any, ...], output: Tensor) -> Tensor:
            sequence, first = inputs
            steps = torch.arange(first, first + sequence.shape[-1], device=output.device)
            return output + extra(steps).to(output.dtype)

        handle = self._model.model.decoder.embed_positions.register_forward_hook(hook)
        self._extra_positions.append(extra)

        def undo() -> None:
            handle.remove()
            self._extra_positions.remove(extra)

        return undo

    def named_codes(self) -> list[Tensor]:
        """Return the code embeddings and the heads, codebook by codebook."""
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
