"""Make the weights that the training of the bundled separator starts from, out of Spleeter's.

    python -m separator.compress --output start.safetensors

The vocals become the dialogue, and the accompaniment the music. The two channels of the audio
become one, batch normalisation becomes a fixed scale and shift, and the three largest layers of
each U-Net are factorised by a singular value decomposition. Two fifths of the weights are left, and
`fit` has to make up for the rest. Spleeter's weights are fetched if they are not in the cache.
"""

from __future__ import annotations

import argparse
import logging
from collections.abc import Mapping
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from ossl_builder.models import spleeter_weights
from ossl_builder.separator.model import RANK, FilmUNet
from ossl_builder.separator.unet import DEPTH, NORM_EPSILON, WIDE

log = logging.getLogger("compress")


def compress(spleeter: Mapping[str, Tensor], rank: int = RANK) -> FilmUNet:
    """Return the bundled network with what fits into it of the state of a `Spleeter`."""
    state = {}
    n_networks = len({name.split(".")[1] for name in spleeter})
    for number in range(n_networks):
        prefix = f"networks.{number}."
        network = {
            name.removeprefix(prefix): value.float()
            for name, value in spleeter.items()
            if name.startswith(prefix)
        }
        state |= {prefix + name: value for name, value in _network(network, rank).items()}
    model: FilmUNet = FilmUNet(rank=rank)
    model.load_state_dict(state)
    return model


def _network(before: Mapping[str, Tensor], rank: int) -> dict[str, Tensor]:
    """The state of one U-Net of the bundled network."""
    after = {
        # The mean of both channels' masks, for the same spectrum in both channels.
        "mask.weight": before["mask.weight"].mean(0, keepdim=True),
        "mask.bias": before["mask.bias"].mean(0, keepdim=True),
    }
    for layer in range(DEPTH):
        for kind in ("down_norm", "up_norm") if layer < DEPTH - 1 else ("up_norm",):
            after |= _affine(before, f"{kind}.{layer}")
        down, up = before[f"down.{layer}.weight"], before[f"up.{layer}.weight"]
        if layer == 0:
            down = down.sum(1, keepdim=True)
        if layer == DEPTH - 1:  # weight is [outputs, inputs, 5, 5]
            left, right = _factors(down, rank)
            after[f"down.{layer}.0.weight"] = right.unflatten(1, down.shape[1:])
            after[f"down.{layer}.1.weight"] = left[:, :, None, None]
            after[f"down.{layer}.1.bias"] = before[f"down.{layer}.bias"]
        else:
            after[f"down.{layer}.weight"] = down
            after[f"down.{layer}.bias"] = before[f"down.{layer}.bias"]
        if up.shape[1] >= WIDE:  # weight is [inputs, outputs, 5, 5]
            left, right = _factors(up, rank)
            after[f"up.{layer}.0.weight"] = left.T[:, :, None, None]
            after[f"up.{layer}.1.weight"] = right.unflatten(1, up.shape[1:])
            after[f"up.{layer}.1.bias"] = before[f"up.{layer}.bias"]
        else:
            after[f"up.{layer}.weight"] = up
            after[f"up.{layer}.bias"] = before[f"up.{layer}.bias"]
    return after


def _affine(state: Mapping[str, Tensor], name: str) -> dict[str, Tensor]:
    """What a batch normalisation does once its statistics are fixed."""
    scale = state[f"{name}.weight"] / (state[f"{name}.running_var"] + NORM_EPSILON).sqrt()
    shift = state[f"{name}.bias"] - state[f"{name}.running_mean"] * scale
    return {f"{name}.scale": scale[:, None, None], f"{name}.shift": shift[:, None, None]}


def _factors(weight: Tensor, rank: int) -> tuple[Tensor, Tensor]:
    """Two matrices of this rank, whose product is nearest to the weight [n, …] as a matrix."""
    left, values, right = torch.linalg.svd(weight.flatten(1), full_matrices=False)
    root = values[:rank].sqrt()
    share = float(values[:rank].square().sum() / values.square().sum())
    log.info("a layer of %s keeps %.0f %% of its energy", list(weight.shape), 100 * share)
    return left[:, :rank] * root, root[:, None] * right[:rank]


def main() -> None:
    """Run from the command line."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--output", type=Path, required=True, help="the .safetensors file to write")
    parser.add_argument("--rank", type=int, default=RANK, help="of the factorised layers")
    options = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    model = compress(load_file(spleeter_weights.weights_file()), options.rank)
    state = {name: value.contiguous() for name, value in model.state_dict().items()}
    save_file(state, options.output)


if __name__ == "__main__":
    main()
