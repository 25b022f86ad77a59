"""The training loss of MusicGen: which tokens count, and the cross-entropy of each."""

from __future__ import annotations

from torch import Tensor
from torch.nn import functional


def counted_tokens(valid_frames: Tensor, predicted: Tensor) -> Tensor:
    """Select the tokens that enter the loss.

    MusicGen delays codebook k by k frames: its token of frame t is predicted from codebook 0's
    frames up to t + k - 1. No prediction may depend on padding. So codebook k ends k frames before
    the end of the clip, as it does in a full window. The loss of a clip then does not depend on the
    padding.

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
    """Return the cross-entropy of each token, zero where it does not count.

    Args:
        logits: `[B, K, T, cardinality]`, any precision, aligned with `codes`.
        codes: `[B, K, T]` int64; any value where `counted` is False.
        counted: `[B, K, T]` bool.

    Returns:
        `[B, K, T]` float32, nats.
    """
    # Logits that do not count may be NaN (audiocraft fills with it); 0 * NaN is NaN, in gradients.
    finite = logits.masked_fill(~counted[..., None], 0.0).float()
    losses = functional.cross_entropy(
        finite.flatten(0, 2), codes.masked_fill(~counted, 0).flatten(), reduction="none"
    )
    return losses.view(codes.shape).masked_fill(~counted, 0.0)
