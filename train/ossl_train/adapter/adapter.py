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
from ossl_train.adapter.layers import CurveFilm, VideoAttention
from ossl_train.adapter.video_context import VideoContext, video_context
from ossl_train.musicgen import Backbone, Guidance


@dataclass(frozen=True)
class AdapterConfig:
    """The configuration of an adapter; saved with its weights.

    Attributes:
        dim: width of the language model.
        n_heads: heads of each video attention.
        n_layers: decoder layers.
        video_dim: width of the video tokens (768 for ViViT-base).
        alpha_init: first value of each layer's gate.
        positions: ``time`` gives each video token the language model's own sinusoidal position of
            the music frame at the token's time; ``none`` is the published form.
        frame_rate: music frames per second, for ``time``.
        dialogue: modulate the video tokens by the dialogue's loudness and energy (OSSL v2).
        events: modulate the video tokens by curves of cuts, motion and the dialogue's loudness.
        rank: rank of the attention's four projections; 0: full rank.
        null_tokens: number of learned tokens for "no video". 0: without video the model is the base
            model.
        bias: biases in the attention's four projections (MusicGen's own have none).
        reference_positions: imitate the position error of the reference code, so that weights that
            were trained with it give the same results.
    """

    dim: int
    n_heads: int
    n_layers: int
    video_dim: int = 768
    alpha_init: float = 0.0
    positions: Literal["none", "time"] = "none"
    frame_rate: float = 50.0
    dialogue: bool = False
    events: bool = False
    rank: int = 0
    null_tokens: int = 0
    bias: bool = False
    reference_positions: bool = False


class VideoAdapter(nn.Module):  # type: ignore[misc] # torch has no types here
    """Trainable video attention for every layer of a frozen MusicGen.

    Attributes:
        projections: number of times that keys and values were computed (per layer).
    """

    def __init__(self, config: AdapterConfig) -> None:
        super().__init__()
        self.config = config
        self.layers = nn.ModuleList(
            VideoAttention(
                config.dim,
                config.n_heads,
                config.video_dim,
                config.alpha_init,
                config.bias,
                config.rank,
            )
            for _ in range(config.n_layers)
        )
        n_curves = config.dialogue * layers.DIALOGUE_CURVES + config.events * layers.EVENT_CURVES
        self.film = CurveFilm(n_curves, config.video_dim) if n_curves else None
        self.null: nn.Parameter | None = None
        if config.null_tokens:
            # As wide apart as the tokens of a video, which end in a layer norm.
            self.null = nn.Parameter(torch.randn(config.null_tokens, config.video_dim))
        self.projections = 0
        self._context: VideoContext | None = None
        self._backbone: Backbone | None = None
        self._undo: list[Callable[[], None]] = []

    def attach(self, backbone: Backbone) -> VideoAdapter:
        """Hook every text cross-attention of a backbone; return the adapter.

        Raises:
            OsslError: `adapter_size`, if the adapter has another size than the model.
        """
        ours = (self.config.n_layers, self.config.dim, self.config.n_heads)
        shape = backbone.shape
        if ours != (shape.n_layers, shape.dim, shape.n_heads):
            raise OsslError(
                "adapter_size",
                f"The adapter is for {ours[0]} layers of width {ours[1]} with {ours[2]} heads; "
                f"{backbone.source} has {shape.n_layers} of {shape.dim} with {shape.n_heads}.",
                "Use the model that the adapter was trained on.",
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
        """Remove the hooks: the backbone is the plain model again."""
        for undo in self._undo:
            undo()
        self._undo = []
        self._backbone = None

    @contextlib.contextmanager
    def show(
        self,
        video: Tensor,
        times: Tensor | None = None,
        mask: Tensor | None = None,
        keep: Tensor | None = None,
        dialogue: Tensor | None = None,
        events: Tensor | None = None,
        guidance: Guidance = "same",
        strength: float = 1.0,
        caching: bool = True,
    ) -> Iterator[VideoAdapter]:
        """Condition every forward of the backbone inside this block on these videos.

        Without gradients, keys and values are computed once per block, so one block is one window.

        Args:
            video: [B, Tv, video_dim].
            times: [B, Tv] seconds since the window's first music frame; NaN for a token of the
                whole window (the class token). Needed with positions ``time``.
            mask: [B, Tv] bool, False for padding.
            keep: [B] bool, False: this item gets no video (condition dropout): the tokens for "no
                video" if the adapter has them, else the base model.
            dialogue: [B, Tv, 2] loudness and energy; needed if the adapter has `dialogue`.
            events: [B, Tv, 3] cuts, motion, loudness of the dialogue, each from 0 to 1; needed if
                the adapter has `events`.
            guidance: whether the last of several copies of the batch gets the video. Needed only
                if the caller stacks copies itself, not for `Backbone.generate`.
            strength: multiplies every alpha; 0 gives the base model.
            caching: False: project the video again at each forward, as the reference code does
                (for measurements).

        Raises:
            OsslError: `adapter_detached`, `adapter_busy`, `adapter_input`.
        """
        if self._backbone is None:
            raise OsslError(
                "adapter_detached",
                "The adapter is not attached to a model.",
                "Call attach(backbone) first.",
            )
        if self._context is not None:
            raise OsslError(
                "adapter_busy",
                "The adapter already shows a video.",
                "Leave the `with` block first.",
            )
        curves = {"dialogue": dialogue, "events": events}
        context = video_context(
            self.config, self.layers[0].alpha, self.null, video, times, mask, keep, curves,
            guidance, strength, caching,
        )  # fmt: skip
        self._backbone.has_video = True
        try:
            with self._shown(context):
                yield self
        finally:
            self._backbone.has_video = False

    def shown_again(self) -> contextlib.AbstractContextManager[None]:
        """Return a block that shows the videos of now, for the forward that a backward repeats."""
        return self._shown(self._context)

    @contextlib.contextmanager
    def _shown(self, context: VideoContext | None) -> Iterator[None]:
        before, self._context = self._context, context
        try:
            yield
        finally:
            self._context = before

    def _add(
        self, index: int, module: Any, args: tuple[Any, ...], kwargs: dict[str, Any], output: Any
    ) -> Any:
        """The hook: add the layer's video attention to the text attention's output."""
        if self._context is None or self._backbone is None:
            return None
        query = args[0] if args else kwargs["hidden_states"]
        text_output = output[0]
        video_output = self._video_output(index, query.to(self.layers[index].alpha.dtype))
        return (text_output + video_output.to(text_output.dtype), *output[1:])

    def _video_output(self, index: int, query: Tensor) -> Tensor:
        context, copies = self._context, self._backbone.copies if self._backbone else ()
        assert context is not None
        batch = len(context.video)
        n_copies = context.copies_that_see(len(query), copies)
        if not n_copies:
            return self._null_output(index, query)
        with_video = query[: n_copies * batch]
        # Copies share keys and values, so they are concatenated along the query's time.
        folded = with_video.unflatten(0, (n_copies, batch)).transpose(0, 1).flatten(1, 2)
        attended = self.layers[index](folded, self._keys_values(index), context.allowed)
        attended = attended * context.weights
        attended = attended.unflatten(1, (n_copies, -1)).transpose(0, 1).flatten(0, 1)
        without_video = query[n_copies * batch :]
        if not len(without_video):
            return attended
        absent = self._null_output(index, without_video)
        return torch.cat([attended, absent.to(attended.dtype)])

    def _null_output(self, index: int, query: Tensor) -> Tensor:
        """Return the term of sequences without video: of the tokens for it, or 0."""
        if self.null is None:
            return torch.zeros_like(query)
        layer, context = self.layers[index], self._context
        assert context is not None
        cached = context.null_keys_values.get(index)
        if cached is None or torch.is_grad_enabled():
            cached = layer.keys_values(self.null[None], None)
            if context.caching and not torch.is_grad_enabled():
                context.null_keys_values[index] = cached
        keys, values = (x.expand(len(query), -1, -1, -1) for x in cached)
        term: Tensor = layer(query, (keys, values), None)
        return term * context.strength

    def _keys_values(self, index: int) -> tuple[Tensor, Tensor]:
        context = self._context
        assert context is not None
        cached = context.keys_values.get(index)
        if cached is not None and not torch.is_grad_enabled():
            return cached
        if index == 0 or context.tokens is None:
            # Computed once per forward, because each backward needs its own graph.
            context.tokens = self._tokens(context)
        self.projections += 1
        keys_values: tuple[Tensor, Tensor]
        keys_values = self.layers[index].keys_values(context.tokens, context.positions)
        if context.caching and not torch.is_grad_enabled():
            context.keys_values[index] = keys_values
        return keys_values

    def _tokens(self, context: VideoContext) -> Tensor:
        tokens = context.video
        if self.film is not None and context.curves is not None:
            tokens = self.film(tokens, context.curves)
        return tokens if context.nulls is None else torch.cat([tokens, context.nulls], dim=1)


def adapter_for(backbone: Backbone, **settings: Any) -> VideoAdapter:
    """Create an adapter of the backbone's sizes, attached to it."""
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
