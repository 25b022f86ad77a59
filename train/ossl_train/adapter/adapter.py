"""The video adapter of the OSSL paper, attached to a frozen MusicGen by hooks.

In each decoder layer ``text_attention(h) + alpha * video_attention(h)``, where h is the
layer-normed input of the frozen text cross-attention and alpha starts at 0 (Kim et al., ISMIR 2025,
arXiv 2506.12573). With alpha 0 the model is the base model to the bit.

From top to bottom: the configuration, the layers, the positions of video tokens, the videos of one
batch, and the adapter that joins them.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.nn import functional

from ossl_builder.errors import OsslError
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


KeysValues = tuple[Tensor, Tensor]


class VideoAttention(nn.Module):  # type: ignore[misc] # torch has no types here
    """Project video tokens to the language model's width, attend to them, weigh by alpha.

    ``alpha * out(softmax(query(h) key(p)) value(p))`` with ``p = project(video) + positions``.
    """

    def __init__(
        self,
        dim: int,
        n_heads: int,
        video_dim: int,
        alpha_init: float,
        bias: bool = False,
        rank: int = 0,
    ) -> None:
        super().__init__()
        self.n_heads = n_heads
        self.project = _projection(video_dim, dim, bias=True)
        self.query = _projection(dim, dim, bias, rank)
        self.key = _projection(dim, dim, bias, rank)
        self.value = _projection(dim, dim, bias, rank)
        self.out = _projection(dim, dim, bias, rank)
        self.alpha = nn.Parameter(torch.full((1,), alpha_init))

    def keys_values(self, video: Tensor, positions: Tensor | None) -> KeysValues:
        """Keys and values [B, H, Tv, dim / H] of video tokens [B, Tv, video_dim]."""
        tokens = self.project(video)
        if positions is not None:
            tokens = tokens + positions.to(tokens)
        return self._heads(self.key(tokens)), self._heads(self.value(tokens))

    def forward(self, h: Tensor, keys_values: KeysValues, allowed: Tensor | None) -> Tensor:
        """Return the term for the text attention's output [B, T, dim], for queries h [B, T, dim].

        `allowed` is [B, 1, 1, Tv] bool, False for keys that are padding.
        """
        queries = self._heads(self.query(h))
        attended = functional.scaled_dot_product_attention(queries, *keys_values, attn_mask=allowed)
        return self.alpha * self.out(attended.transpose(1, 2).flatten(2))

    def _heads(self, x: Tensor) -> Tensor:
        return x.unflatten(-1, (self.n_heads, -1)).transpose(1, 2)


def _projection(inputs: int, outputs: int, bias: bool, rank: int = 0) -> nn.Module:
    """Return a linear layer; with a rank above 0 as the product of two thin ones."""
    if rank:
        narrow = _projection(inputs, rank, bias=False)
        return nn.Sequential(narrow, _projection(rank, outputs, bias))
    layer = nn.Linear(inputs, outputs, bias=bias)
    nn.init.xavier_uniform_(layer.weight)
    if bias:
        nn.init.zeros_(layer.bias)
    return layer


DIALOGUE_CURVES, EVENT_CURVES, HIDDEN = 2, 3, 64
"""Values per video token: of the dialogue (loudness and energy), of events (cuts, motion, loudness
of the dialogue); width of the hidden layer."""


class CurveFilm(nn.Module):  # type: ignore[misc] # torch has no types here
    """``video * (1 + scale) + shift``, both from curves, and both 0 at the start (FiLM)."""

    def __init__(self, n_curves: int, video_dim: int) -> None:
        super().__init__()
        self.inner = nn.Linear(n_curves, HIDDEN)
        self.outer = nn.Linear(HIDDEN, 2 * video_dim)
        nn.init.zeros_(self.outer.weight)
        nn.init.zeros_(self.outer.bias)

    def forward(self, video: Tensor, curves: Tensor) -> Tensor:
        """Modulated tokens [B, Tv, video_dim] of tokens and their curves [B, Tv, n_curves]."""
        modulation = self.outer(functional.silu(self.inner(curves.to(video))))
        scale, shift = modulation.chunk(2, dim=-1)
        return video * (1 + scale) + shift


MAX_PERIOD = 10_000.0


def sinusoids(steps: Tensor, dim: int) -> Tensor:
    """Return MusicGen's positions [..., dim] of steps [...], which can be fractions."""
    return _waves(steps, dim, spread=dim // 2 - 1)


def positions_of_times(times: Tensor, frame_rate: float, dim: int) -> Tensor:
    """Return positions [..., dim] of times [...] in seconds; zeros where the time is NaN."""
    timeless = times.isnan()
    positions = sinusoids(torch.nan_to_num(times) * frame_rate, dim)
    return positions.masked_fill(timeless[..., None], 0.0)


def reference_fault(steps: Tensor, dim: int) -> Tensor:
    """Return the difference of the reference's positions from MusicGen's own [..., dim].

    The reference code defines a second function of the same name after MusicGen's. Its exponents
    are assumed to be ``i / half``; MusicGen's are ``i / (half - 1)``. This is not read from the
    code but inferred: it is the only usual form that changes positions by the measured 7 % (over 20
    steps at width 64). Compare with the published weights before you rely on it.
    """
    return _waves(steps, dim, spread=dim // 2) - sinusoids(steps, dim)


def _waves(steps: Tensor, dim: int, spread: int) -> Tensor:
    exponents = torch.arange(dim // 2, device=steps.device, dtype=torch.float32) / spread
    phases = steps.float()[..., None] / MAX_PERIOD**exponents
    return torch.cat([phases.cos(), phases.sin()], dim=-1)


@dataclass
class VideoContext:
    """The videos of one batch, ready for every layer.

    Attributes:
        video: [B, Tv, video_dim].
        nulls: [B, n, video_dim], the tokens for "no video", behind those of the video; or None.
        positions: [B, Tv + n, dim] to add to the projected tokens, or None.
        allowed: [B, 1, 1, Tv + n] bool, False for padding, and for either the video or "no video";
            None: no token is padding.
        weights: [B, 1, 1] the weight of each item's video: `strength`, or 0 without video.
        curves: [B, Tv, n_curves] of the dialogue and the events, or None.
        strength: multiplies every alpha.
        guidance: whether the last of several copies has the video.
        caching: cache keys and values for the next forward.
        tokens: the video after modulation by the curves, with `nulls` behind it.
        keys_values: keys and values of each layer, and `null_keys_values` those of "no video".
    """

    video: Tensor
    nulls: Tensor | None
    positions: Tensor | None
    allowed: Tensor | None
    weights: Tensor
    curves: Tensor | None
    strength: float
    guidance: Guidance
    caching: bool
    tokens: Tensor | None = None
    keys_values: dict[int, tuple[Tensor, Tensor]] = field(default_factory=dict)
    null_keys_values: dict[int, tuple[Tensor, Tensor]] = field(default_factory=dict)

    def copies_that_see(self, n_sequences: int, copies: tuple[bool, ...]) -> int:
        """Return the number of stacked copies of the batch, from the first, that have the video."""
        count, remainder = divmod(n_sequences, len(self.video))
        if remainder or count == 0 or (copies and len(copies) != count):
            raise _wrong(
                f"The model runs {n_sequences} sequences, and there are {len(self.video)} videos",
                "Give one video for each item of the batch.",
            )
        if copies:
            return sum(copies)
        return count - 1 if count > 1 and self.guidance == "none" else count


def video_context(
    config: AdapterConfig,
    weight: Tensor,
    null: Tensor | None,
    video: Tensor,
    times: Tensor | None,
    mask: Tensor | None,
    keep: Tensor | None,
    curves: Mapping[str, Tensor | None],
    guidance: Guidance,
    strength: float,
    caching: bool,
) -> VideoContext:
    """Check the arguments of `VideoAdapter.show`; move them to the adapter's device and type.

    Args:
        config: the adapter's.
        weight: one of its weights.
        null: [n, video_dim], its tokens for "no video"; None: without video the base model runs.
        video, times, mask, keep, guidance, strength, caching: see `VideoAdapter.show`.
        curves: `dialogue` and `events` of `VideoAdapter.show`, in the order of the FiLM's inputs.

    Raises:
        OsslError: adapter_input.
    """
    if video.shape[-1] != config.video_dim:
        raise _wrong(
            f"The video tokens are {video.shape[-1]} wide and the adapter needs {config.video_dim}",
            "Use the features that the adapter was trained on: see its configuration.",
        )
    if config.positions == "time" and times is None:
        raise _wrong("The adapter uses time positions, and no times are given", "Pass `times`.")
    used = {name: curve for name, curve in curves.items() if getattr(config, name)}
    for name, curve in used.items():
        if curve is None:
            raise _wrong(f"The adapter uses {name}, and none is given", f"Pass `{name}`.")
    video = video.to(weight.device, weight.dtype)
    has_video = torch.ones(len(video), dtype=torch.bool, device=weight.device)
    has_video = has_video if keep is None else keep.to(weight.device)
    real = torch.ones(video.shape[:2], dtype=torch.bool, device=weight.device)
    if mask is not None:
        real = mask.to(weight.device)
        has_video = has_video & real.any(dim=1)
    positions = None
    if config.positions == "time" and times is not None:
        positions = positions_of_times(times.to(weight.device), config.frame_rate, config.dim)
    nulls = None
    # With `keep`, always: all weights are then part of the loss in every process.
    if null is not None and (keep is not None or not bool(has_video.all())):
        nulls = null.expand(len(video), -1, -1)
        absent = ~has_video[:, None].expand(-1, len(null))
        real = torch.cat([real & has_video[:, None], absent], dim=1)
        if positions is not None:
            positions = functional.pad(positions, (0, 0, 0, len(null)))
        has_video = torch.ones_like(has_video)
    # An item without any token attends to its padding, with weight 0.
    real = real | ~real.any(dim=1, keepdim=True)
    given = [curve.to(weight.device, weight.dtype) for curve in used.values() if curve is not None]
    return VideoContext(
        video=video,
        nulls=nulls,
        positions=positions,
        allowed=None if bool(real.all()) else real[:, None, None, :],
        weights=(has_video.to(weight.dtype) * strength)[:, None, None],
        curves=torch.cat(given, dim=-1) if given else None,
        strength=strength,
        guidance=guidance,
        caching=caching,
    )


def _wrong(message: str, hint: str) -> OsslError:
    """Return the error for input that the adapter cannot use."""
    return OsslError("adapter_input", f"{message}.", hint)


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
        n_curves = config.dialogue * DIALOGUE_CURVES + config.events * EVENT_CURVES
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
            fault = partial(reference_fault, dim=shape.dim)
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
