"""The video adapter of the OSSL paper, attached to a frozen MusicGen by hooks.

In each decoder layer ``text_attention(h) + alpha * video_attention(h)``, where h is the
layer-normed input of the frozen text cross-attention and alpha starts at 0 (Kim et al., ISMIR 2025,
arXiv 2506.12573). With alpha 0 the model is the base model to the bit.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any, Literal

import torch
from torch import Tensor, nn

from ossl_builder.errors import OsslError
from ossl_train.adapter import layers
from ossl_train.adapter.layers import DialogueFilm, VideoAttention
from ossl_train.adapter.video_context import VideoContext, video_context
from ossl_train.musicgen import Backbone, Guidance


@dataclass(frozen=True)
class AdapterConfig:
    """What an adapter is made of; saved with its weights.

    Attributes:
        dim: width of the language model.
        n_heads: heads of each video attention.
        n_layers: decoder layers.
        video_dim: width of the video tokens (768 for ViViT-base).
        alpha_init: where each layer's weight of the video starts.
        positions: ``time`` gives each video token the language model's own sinusoidal position of
            the music frame at the token's time; ``none`` is the published form.
        frame_rate: music frames per second, for ``time``.
        dialogue: modulate the video tokens by the dialogue's loudness and energy (OSSL v2).
        bias: biases in the attention's four projections (MusicGen's own have none).
        reference_positions: imitate the reference code's position fault, so that weights that were
            fitted with it give what they gave there.
    """

    dim: int
    n_heads: int
    n_layers: int
    video_dim: int = 768
    alpha_init: float = 0.0
    positions: Literal["none", "time"] = "none"
    frame_rate: float = 50.0
    dialogue: bool = False
    bias: bool = False
    reference_positions: bool = False


class VideoAdapter(nn.Module):  # type: ignore[misc] # torch has no types here
    """Trainable video attention for every layer of a frozen MusicGen.

    Attributes:
        projections: how often keys and values were computed (one layer counts one).
    """

    def __init__(self, config: AdapterConfig) -> None:
        super().__init__()
        self.config = config
        self.layers = nn.ModuleList(
            VideoAttention(
                config.dim, config.n_heads, config.video_dim, config.alpha_init, config.bias
            )
            for _ in range(config.n_layers)
        )
        self.film = DialogueFilm(config.video_dim) if config.dialogue else None
        self.projections = 0
        self._showing: VideoContext | None = None
        self._backbone: Backbone | None = None
        self._undo: list[Callable[[], None]] = []

    def attach(self, backbone: Backbone) -> VideoAdapter:
        """Hook every text cross-attention of a backbone; gives itself.

        Raises:
            OsslError: adapter_size, if the adapter was made for another size of model.
        """
        ours = (self.config.n_layers, self.config.dim, self.config.n_heads)
        shape = backbone.shape
        if ours != (shape.n_layers, shape.dim, shape.n_heads):
            raise OsslError(
                "adapter_size",
                f"The adapter is for {ours[0]} layers of width {ours[1]} with {ours[2]} heads; "
                f"{backbone.source} has {shape.n_layers} of {shape.dim} with {shape.n_heads}.",
                "Name the model that the adapter was fitted on.",
            )
        self.detach()
        self._backbone = backbone
        for index, module in enumerate(backbone.cross_attentions()):
            handle = module.register_forward_hook(partial(self._add, index), with_kwargs=True)
            self._undo.append(handle.remove)
        if self.config.reference_positions:
            fault = partial(layers.reference_fault, dim=shape.dim)
            self._undo.append(backbone.language_model.add_positions(fault))
        return self

    def detach(self) -> None:
        """Take the hooks away: the backbone is the plain model again."""
        for undo in self._undo:
            undo()
        self._undo = []
        self._backbone = None

    @contextlib.contextmanager
    def watching(
        self,
        video: Tensor,
        times: Tensor | None = None,
        mask: Tensor | None = None,
        keep: Tensor | None = None,
        dialogue: Tensor | None = None,
        guidance: Guidance = "same",
        strength: float = 1.0,
        caching: bool = True,
    ) -> Iterator[VideoAdapter]:
        """Let every forward of the backbone inside this block see these videos.

        Without gradients, keys and values are computed once per block, so one block is one window.

        Args:
            video: [B, Tv, video_dim].
            times: [B, Tv] seconds since the window's first music frame; NaN for a token that
                belongs to the whole window (the class token). Needed with positions ``time``.
            mask: [B, Tv] bool, False for padding.
            keep: [B] bool, False: this item sees no video (condition dropout).
            dialogue: [B, Tv, 2] loudness and energy; needed if the adapter has `dialogue`.
            guidance: whether the last of several copies of the batch sees the video, where the
                caller stacks copies itself; `Backbone.generate` says so on its own.
            strength: multiplies every alpha; 0 gives the base model.
            caching: False projects the video again at each forward (the reference's way, for
                measurements).

        Raises:
            OsslError: adapter_detached, adapter_input, with what is missing.
        """
        if self._backbone is None:
            raise OsslError(
                "adapter_detached",
                "The adapter is attached to no model.",
                "Call attach(backbone) first.",
            )
        if self._showing is not None:
            raise OsslError("adapter_busy", "The adapter already shows a video.", "Leave it first.")
        weight = self.layers[0].query.weight
        self._showing = video_context(
            self.config, weight, video, times, mask, keep, dialogue, guidance, strength, caching
        )
        self._backbone.watched = True
        try:
            yield self
        finally:
            self._showing = None
            self._backbone.watched = False

    def _add(
        self, index: int, module: Any, args: tuple[Any, ...], kwargs: dict[str, Any], output: Any
    ) -> Any:
        """The hook: add what this layer sees to the text attention's output."""
        if self._showing is None or self._backbone is None:
            return None
        query = args[0] if args else kwargs["hidden_states"]
        text_output = output[0]
        seen = self._seen(index, query.to(self.layers[index].alpha.dtype))
        return (text_output + seen.to(text_output.dtype), *output[1:])

    def _seen(self, index: int, query: Tensor) -> Tensor:
        showing, copies = self._showing, self._backbone.copies if self._backbone else ()
        assert showing is not None
        batch = len(showing.video)
        seeing = showing.copies_that_see(len(query), copies)
        if not seeing:
            return torch.zeros_like(query)
        looking = query[: seeing * batch]
        # Copies share keys and values: they are laid one after another along the query's time.
        folded = looking.unflatten(0, (seeing, batch)).transpose(0, 1).flatten(1, 2)
        seen = self.layers[index](folded, self._keys_values(index), showing.allowed)
        seen = seen * showing.weights
        seen = seen.unflatten(1, (seeing, -1)).transpose(0, 1).flatten(0, 1)
        blind = query[seeing * batch :]
        return torch.cat([seen, torch.zeros_like(blind, dtype=seen.dtype)]) if len(blind) else seen

    def _keys_values(self, index: int) -> tuple[Tensor, Tensor]:
        showing = self._showing
        assert showing is not None
        known = showing.keys_values.get(index)
        if known is not None and not torch.is_grad_enabled():
            return known
        if index == 0 or showing.tokens is None:
            # Once per forward: a second backward needs its own graph.
            showing.tokens = self._tokens(showing)
        self.projections += 1
        found: tuple[Tensor, Tensor]
        found = self.layers[index].keys_values(showing.tokens, showing.positions)
        if showing.caching and not torch.is_grad_enabled():
            showing.keys_values[index] = found
        return found

    def _tokens(self, showing: VideoContext) -> Tensor:
        if self.film is None or showing.dialogue is None:
            return showing.video
        modulated: Tensor = self.film(showing.video, showing.dialogue)
        return modulated


def adapter_for(backbone: Backbone, **settings: Any) -> VideoAdapter:
    """A fresh adapter of the backbone's sizes, attached to it."""
    shape = backbone.shape
    config = AdapterConfig(
        dim=shape.dim,
        n_heads=shape.n_heads,
        n_layers=shape.n_layers,
        frame_rate=shape.frame_rate,
        **settings,
    )
    adapter = VideoAdapter(config)
    adapter.to(backbone.device)
    return adapter.attach(backbone)
