"""Which tokens enter the loss, on made-up tensors."""

from __future__ import annotations

import torch
from ossl_train.musicgen.losses import counted_tokens, token_losses
from torch.nn import functional


def predicted(n_frames: int, n_codebooks: int = 4) -> torch.Tensor:
    """As MusicGen gives it: codebook k ends k frames early."""
    found = torch.ones(1, n_codebooks, n_frames, dtype=torch.bool)
    for k in range(n_codebooks):
        found[:, k, n_frames - k :] = False
    return found


def test_padding_does_not_change_the_counted_tokens() -> None:
    alone = counted_tokens(torch.ones(1, 6, dtype=torch.bool), predicted(6))
    valid = torch.arange(10)[None] < 6
    padded = counted_tokens(valid, predicted(10))
    assert torch.equal(padded[..., :6], alone)
    assert not padded[..., 6:].any()
    assert alone.sum() == 6 + 5 + 4 + 3
    # The prediction of the last counted token of each codebook is before the padding.
    for k in range(4):
        last = int(padded[0, k].nonzero().max())
        assert last + k <= 5


def test_tokens_that_are_not_counted_change_neither_loss_nor_gradient() -> None:
    torch.manual_seed(0)
    codes = torch.randint(0, 16, (3, 4, 9))
    logits = torch.randn(3, 4, 9, 16)
    counted = torch.rand(3, 4, 9) < 0.6
    wanted = functional.cross_entropy(logits[counted], codes[counted], reduction="sum")
    # audiocraft fills what it does not predict with NaN; padding may hold any code at all.
    spoilt = logits.masked_fill(~counted[..., None], float("nan")).requires_grad_()
    losses = token_losses(spoilt, codes.masked_fill(~counted, -7), counted)
    assert torch.allclose(losses.sum(), wanted)
    assert not losses[~counted].any()
    losses.sum().backward()
    assert spoilt.grad is not None
    assert torch.isfinite(spoilt.grad).all()
    assert not spoilt.grad[~counted].any()
    assert spoilt.grad[counted].any(-1).all()


def test_bf16_logits_are_summed_in_float32() -> None:
    logits = torch.randn(1, 4, 9, 16).bfloat16()
    codes, counted = torch.zeros(1, 4, 9, dtype=torch.int64), torch.ones(1, 4, 9, dtype=torch.bool)
    losses = token_losses(logits, codes, counted)
    assert losses.dtype == torch.float32
    assert torch.equal(losses, token_losses(logits.float(), codes, counted))
