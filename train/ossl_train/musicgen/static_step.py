"""Decode step by step with buffers of fixed size, so that a GPU can replay a step as one graph.

A step of MusicGen medium starts about 3,000 small kernels, and their start takes longer than their
work (measured on an H100: 48 to 86 ms a frame). Recorded once as a CUDA graph, all of them start
together. A graph always reads and writes the same memory. So keys and values are in buffers of the
final length, and the number of the step is a tensor.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

log = logging.getLogger(__name__)

WARM_UP = 3
"""Steps before a graph is recorded: libraries allocate memory in the first ones."""
AGREEMENT = 1e-3
"""Largest difference of the logits of a graph and of its step, relative to the largest logit."""


class StaticDecoder:
    """The steps of a `MusicgenForCausalLM` over buffers of fixed size; hooks of its layers run.

    Args:
        model: the model.
        projected: [B, T, dim] states of the text, projected.
        allowed: [B, 1, 1, T] bool, False for padding of the text; None: no padding.
        n_steps: the most steps of a sequence.
        extra_positions: from steps [S] to [S, dim], added to the model's own positions.
    """

    def __init__(
        self,
        model: Any,
        projected: Tensor,
        allowed: Tensor | None,
        n_steps: int,
        extra_positions: Callable[[Tensor], Tensor] | None,
    ) -> None:
        from transformers import DynamicCache, EncoderDecoderCache, StaticCache

        config = model.config
        self._model = model
        self._projected = projected
        self._text_mask = None if allowed is None else _additive(allowed, projected.dtype)
        self._cache = EncoderDecoderCache(
            StaticCache(config=config, max_cache_len=n_steps), DynamicCache(config=config)
        )
        self._steps = torch.arange(n_steps, device=projected.device)
        self._extra_positions = extra_positions
        decoder = model.model.decoder
        if n_steps > decoder.embed_positions.weights.shape[0]:
            decoder.embed_positions.make_weights(n_steps, decoder.embed_positions.embedding_dim)
        self._n_done = 0

    def __call__(self, sequence: Tensor) -> Tensor:
        """Return logits [B, K, cardinality] of the step after a sequence's next part [B, K, S]."""
        n_new = sequence.shape[-1]
        now = self._steps[self._n_done : self._n_done + n_new]
        self._n_done += n_new
        return self.run(sequence, now)

    def run(self, sequence: Tensor, now: Tensor) -> Tensor:
        """Return the logits after steps `now` [S]; nothing depends on a value that the CPU reads.

        The cache must hold the steps before `now[0]`.
        """
        decoder = self._model.model.decoder
        hidden = sum(
            decoder.embed_tokens[codebook](sequence[:, codebook])
            for codebook in range(sequence.shape[1])
        )
        hidden = hidden + decoder.embed_positions.weights.index_select(0, now).to(hidden)
        if self._extra_positions is not None:
            hidden = hidden + self._extra_positions(now).to(hidden)
        mask = _additive((self._steps <= now[:, None])[None, None], hidden.dtype)
        for layer in decoder.layers:
            hidden = layer(
                hidden,
                attention_mask=mask,
                encoder_hidden_states=self._projected,
                encoder_attention_mask=self._text_mask,
                past_key_values=self._cache,
                use_cache=True,
            )
        last = decoder.layer_norm(hidden[:, -1:])
        return torch.cat([head(last) for head in self._model.lm_heads], dim=1)

    def go_back(self, n_done: int) -> None:
        """Forget all steps but the first `n_done`."""
        self._n_done = n_done
        for layer in self._cache.self_attention_cache.layers:
            layer.cumulative_length.fill_(n_done)

    def count_step(self) -> None:
        """Note that a step was run by a graph, which has counted it on the GPU."""
        self._n_done += 1

    @property
    def n_done(self) -> int:
        """Number of steps in the cache."""
        return self._n_done


class GraphedDecoder:
    """Replays the single steps of a `StaticDecoder` as a CUDA graph, if that gives its logits."""

    def __init__(self, decoder: StaticDecoder) -> None:
        self._decoder = decoder
        self._graph: torch.cuda.CUDAGraph | None = None
        self._tried = False
        self._sequence = self._now = self._logits = torch.empty(0)

    def __call__(self, sequence: Tensor) -> Tensor:
        """Return logits [B, K, cardinality] of the step after a sequence's next part [B, K, S]."""
        decoder = self._decoder
        if sequence.shape[-1] > 1 or decoder.n_done < WARM_UP:
            return decoder(sequence)
        if not self._tried:
            self._tried = True
            return self._record(sequence)
        if self._graph is None:
            return decoder(sequence)
        self._sequence.copy_(sequence)
        self._now.fill_(decoder.n_done)
        self._graph.replay()
        decoder.count_step()
        return self._logits.clone()

    def _record(self, sequence: Tensor) -> Tensor:
        """Run a step, record it, and compare the recording's logits with its own."""
        decoder = self._decoder
        before = decoder.n_done
        expected = decoder(sequence)
        self._sequence = sequence.clone()
        self._now = torch.full((1,), before, device=sequence.device)
        try:
            # The recorded step writes what the step has written: its place in the cache is equal.
            decoder.go_back(before)
            torch.cuda.synchronize()
            graph = torch.cuda.CUDAGraph()
            with torch.cuda.graph(graph):
                self._logits = decoder.run(self._sequence, self._now)
            decoder.go_back(before)
            graph.replay()
            decoder.go_back(before + 1)
            scale = expected.abs().max().clamp(min=1e-6)
            difference = float((self._logits - expected).abs().max() / scale)
        except RuntimeError as error:
            log.warning("Steps are not replayed as a CUDA graph: %s", error)
            decoder.go_back(before + 1)
            return expected
        if difference > AGREEMENT:
            log.warning("Steps are not replayed as a CUDA graph: logits differ by %.2g", difference)
            return expected
        self._graph = graph
        return expected


def _additive(allowed: Tensor, dtype: torch.dtype) -> Tensor:
    """Return a mask to add to attention scores: 0, or the least number where not allowed."""
    return torch.zeros_like(allowed, dtype=dtype).masked_fill(~allowed, torch.finfo(dtype).min)
