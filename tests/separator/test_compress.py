"""Spleeter's weights in the bundled network: with the full rank, both give the same masks."""

from __future__ import annotations

import pytest

pytest.importorskip("demucs")

import torch
from separator.compress import compress

from ossl_builder.models.spleeter import Spleeter
from ossl_builder.separator.unet import WIDTHS


@pytest.fixture(scope="module")
def spleeter() -> Spleeter:
    """The network with random weights, such that its innermost layers matter for the masks."""
    torch.manual_seed(0)
    network = Spleeter().eval()
    for name, value in network.state_dict().items():
        if value.ndim == 4:
            value.normal_(0, 1.5 / value[0].numel() ** 0.5)
        elif "running" in name:  # statistics that a fixed norm must take over
            value.uniform_(0.5, 2)
    return network


def masks_of(network: torch.nn.Module, channels: int) -> torch.Tensor:
    """Logits for the same magnitudes, the mean over channels: [1, 1, 64, 128]."""
    magnitude = torch.rand(1, 1, 64, 128, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        masks: torch.Tensor = network(magnitude.expand(-1, channels, -1, -1))
    return masks.mean(1, keepdim=True)


def test_with_the_full_rank_the_masks_are_the_mean_of_spleeters(spleeter: Spleeter) -> None:
    compressed = compress(spleeter.state_dict(), rank=WIDTHS[-1]).eval()
    for before, after in zip(spleeter.networks, compressed.networks, strict=True):
        expected = masks_of(before, channels=2)
        assert torch.allclose(masks_of(after, channels=1), expected, atol=2e-4 * expected.std())


def test_a_lower_rank_has_fewer_weights_and_other_masks(spleeter: Spleeter) -> None:
    small = compress(spleeter.state_dict(), rank=8).eval()
    whole = sum(value.numel() for value in spleeter.state_dict().values())
    assert sum(value.numel() for value in small.parameters()) < 0.2 * whole
    expected = masks_of(spleeter.networks[0], channels=2)
    error = (masks_of(small.networks[0], channels=1) - expected).std() / expected.std()
    assert error > 0.05, "the factorised layers contribute nothing, so the test above shows nothing"
