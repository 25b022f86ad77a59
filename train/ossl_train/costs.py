"""Estimate the costs of a recipe from the shapes of its models: work, memory, disk, hours.

`python -m ossl_train.costs` prints the tables of train/README.md; a test checks that they are
there. Operations agree within a few percent with PyTorch's counter. Activations for the backward
pass were counted on small models with PyTorch's hooks for saved tensors.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from ossl_train.pretrained import full_name
from ossl_train.recipe import TrainRecipe, load_train_recipe

CODEBOOKS, CARDINALITY, FRAME_RATE = 4, 2048, 50.0
VIDEO_DIM, ALL_TOKENS, FEW_TOKENS = 768, 3137, 17
"""Of ViViT-B 16x2 with 32 frames of 224 x 224: all tokens, or pooled by time."""
TEXT_BYTES = 74_000
"""T5 states of a long prompt; one per clip."""
STORED_PER_FRAME, STORED_PER_TOKEN = 17.2, 3.0
"""Activations stored for the backward pass, per layer, in units of the model's width."""
SUSTAINED = 400e12
"""Assumed operations per second in bf16 of an H200, two fifths of its peak. Not measured."""
CORPORA = (("OSSL v1", 36.5), ("OSSL v2", 246.4))


@dataclass(frozen=True)
class Size:
    """A published MusicGen."""

    name: str
    dim: int
    layers: int

    @property
    def frozen(self) -> int:
        """Parameters of the language model."""
        # Attention, cross-attention and feed-forward layers; embeddings and heads of four books.
        per_layer = 16 * self.dim**2
        return self.layers * per_layer + CODEBOOKS * (2 * CARDINALITY + 1) * self.dim

    @property
    def trained(self) -> int:
        """Parameters of the adapter."""
        return self.layers * (VIDEO_DIM * self.dim + 4 * self.dim**2)


SIZES = {
    "small": Size("small", 1024, 24),
    "medium": Size("medium", 1536, 48),
    "large": Size("large", 2048, 48),
}


def operations(size: Size, n_tokens: int, window_s: float = 30.0) -> float:
    """Return the floating-point operations of one training step on one window.

    A frozen layer costs a forward pass and the gradient of its input, a trained one also that of
    its weights. Causal attention counts half of all pairs.
    """
    frames, dim, layers = window_s * FRAME_RATE, size.dim, size.layers
    frozen = 4 * size.frozen * frames
    self_attention = 3 * 0.5 * 4 * frames**2 * dim * layers
    queries = 6 * 2 * dim**2 * frames * layers
    tokens = (4 * VIDEO_DIM * dim + 6 * 2 * dim**2) * n_tokens * layers
    to_video = 3 * 4 * frames * n_tokens * dim * layers
    return frozen + self_attention + queries + tokens + to_video


def memory(size: Size, n_tokens: int, batch: int, precision: str, window_s: float = 30.0) -> float:
    """Return the bytes of a training step: weights, gradients, AdamW's averages, activations."""
    bytes_each = 2 if precision == "bf16" else 4
    frames, wide = window_s * FRAME_RATE, size.dim * size.layers
    activations = frames * (STORED_PER_FRAME * wide + CODEBOOKS * CARDINALITY)
    activations += n_tokens * (STORED_PER_TOKEN * wide + VIDEO_DIM)
    return bytes_each * size.frozen + 16 * size.trained + batch * bytes_each * activations


def stored(n_tokens: int, window_s: float = 30.0) -> int:
    """Return the bytes on disk of one window: float16 features, 16-bit codes, the prompt."""
    return 2 * VIDEO_DIM * n_tokens + 2 * round(CODEBOOKS * window_s * FRAME_RATE) + TEXT_BYTES


def model_rows() -> Iterator[Sequence[str]]:
    """Yield a row for each MusicGen and number of video tokens."""
    for size in SIZES.values():
        for n_tokens in (FEW_TOKENS, ALL_TOKENS):
            work = operations(size, n_tokens)
            yield (
                size.name,
                f"{size.frozen / 1e6:.0f} M",
                f"{size.trained / 1e6:.0f} M",
                str(n_tokens),
                f"{work / 1e12:.1f}",
                f"{work / SUSTAINED * 1e3:.0f} ms",
                *(_gigabytes(memory(size, n_tokens, n, "bf16")) for n in (1, 4, 8)),
                _gigabytes(memory(size, n_tokens, 4, "fp32")),
            )


def recipe_rows(names: Iterable[str] = ("small", "paper_medium")) -> Iterator[Sequence[str]]:
    """Yield a row for each recipe: its complete run."""
    for name in names:
        recipe = load_train_recipe(name)
        size, n_tokens = size_of(recipe), tokens_of(recipe)
        assert size is not None, f"{name} trains a published MusicGen"
        fit = recipe.fit
        windows = fit.steps * fit.batch_size * fit.accumulation
        hours = windows * operations(size, n_tokens) / SUSTAINED / 3600
        needed = memory(size, n_tokens, fit.batch_size, fit.precision)
        yield (
            name,
            f"{fit.batch_size} x {fit.accumulation}",
            fit.precision,
            f"{fit.steps}",
            f"{windows:,}",
            _gigabytes(needed),
            f"{hours * 60:.0f} min" + ("" if fit.precision == "bf16" else " in bf16"),
            # `best` has the weights, `last` also two averages, twice while it is replaced.
            _gigabytes(7 * 4 * size.trained),
        )


def disk_rows() -> Iterator[Sequence[str]]:
    """Yield a row for each corpus: disk space of features, codes and prompts."""
    for name, hours in CORPORA:
        windows = round(hours * 3600 / 30)
        few, every = (windows * stored(n) for n in (FEW_TOKENS, ALL_TOKENS))
        yield name, f"{hours:g}", f"{windows:,}", _gigabytes(few), _gigabytes(every)


def size_of(recipe: TrainRecipe) -> Size | None:
    """Return the published MusicGen of a recipe, by any of its names; None: another model."""
    source = full_name(recipe.model.source)
    return next((size for size in SIZES.values() if full_name(size.name) == source), None)


def tokens_of(recipe: TrainRecipe) -> int:
    """Return the number of video tokens of a window."""
    return ALL_TOKENS if recipe.features.pooling == "all" else FEW_TOKENS


def tables() -> str:
    """Return the tables of train/README.md."""
    return "\n\n".join(
        "\n".join(f"| {' | '.join(row)} |" for row in (header, ["---"] * len(header), *rows))
        for header, rows in (
            (
                ("MusicGen", "frozen", "adapter", "video tokens", "TFLOP a window",
                 "at 400 TFLOP/s", "memory, batch 1", "4", "8", "4 in fp32"),
                model_rows(),
            ),
            (
                ("recipe", "batch x accumulation", "precision", "steps", "windows", "memory",
                 "one GPU at 400 TFLOP/s", "disk for checkpoints"),
                recipe_rows(),
            ),
            (
                ("corpus", "hours", "windows", "stored, 17 tokens", "stored, 3137 tokens"),
                disk_rows(),
            ),
        )
    )  # fmt: skip


def _gigabytes(size: float) -> str:
    return f"{size / 1e9:.1f} GB"


if __name__ == "__main__":
    sys.stdout.write(f"{tables()}\n")
