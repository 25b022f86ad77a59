"""The loss: cross-entropy of EnCodec's tokens, over the frames that hold sound of the clip."""

from __future__ import annotations

from torch import Tensor
from torch.nn import functional


def counted_tokens(valid_frames: Tensor, predicted: Tensor) -> Tensor:
    """Which tokens enter the loss.

    MusicGen delays codebook k by k frames: its token of frame t is predicted from codebook 0's
    frames up to t + k - 1. So that no prediction has seen padding, codebook k ends k frames before
    the clip does, exactly as it ends k frames before a window that is full. A clip's loss is then
    the same whatever it is padded with, and to whatever length.

    Args:
        valid_frames: `[B, T]` bool, False in the padding behind short clips.
        predicted: `[B, K, T]` bool, True where the model gives logits.

    Returns:
        `[B, K, T]` bool.
    """
    counted = predicted.clone()
    n_frames = valid_frames.shape[1]
    for k in range(predicted.shape[1]):
        counted[:, k, : n_frames - k] &= valid_frames[:, k:]
        counted[:, k, n_frames - k :] = False
    return counted


def token_losses(logits: Tensor, codes: Tensor, counted: Tensor) -> Tensor:
    """Cross-entropy of each token, zero where it does not count.

    Args:
        logits: `[B, K, T, cardinality]`, any precision, aligned with `codes`.
        codes: `[B, K, T]` int64; what stands where `counted` is False does not matter.
        counted: `[B, K, T]` bool.

    Returns:
        `[B, K, T]` float32, nats.
    """
    # Uncounted logits may be NaN (audiocraft fills with it), and 0 * NaN is NaN, in gradients too.
    known = logits.masked_fill(~counted[..., None], 0.0).float()
    losses = functional.cross_entropy(
        known.flatten(0, 2), codes.masked_fill(~counted, 0).flatten(), reduction="none"
    )
    return losses.view(codes.shape).masked_fill(~counted, 0.0)
