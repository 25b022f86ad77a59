"""ViViT (Arnab et al. 2021, "ViViT: a video vision transformer"), frozen, through transformers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ossl_builder import parse
from ossl_builder.errors import OsslError
from ossl_train.evaluation.model_folder import UNREADABLE, model_folder
from ossl_train.model_paths import NOT_HERE, checked_device, fingerprint

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from torch import Tensor

FILES = ("config.json", "preprocessor_config.json")
WEIGHTS = ("*.safetensors", "*.bin")


@dataclass(frozen=True)
class Encoder:
    """A loaded ViViT.

    Attributes:
        model, processor: of transformers.
        device: where the model is.
        n_frames: frames per window (32).
        n_slots: time slots its tokens stand for (16: two frames each).
        per_slot: tokens of each slot (196: 14 by 14).
        width: of a token (768).
    """

    model: Any
    processor: Any
    device: str
    n_frames: int
    n_slots: int
    per_slot: int
    width: int

    def prepared(self, frames: Sequence[NDArray[np.uint8]]) -> Tensor:
        """Frames [height, width, 3] as the model wants them: [n_frames, 3, side, side]."""
        pixels: Tensor = self.processor(list(frames), return_tensors="pt")["pixel_values"][0]
        return pixels

    def states(self, pixels: Tensor, precision: str) -> Tensor:
        """The last hidden states of windows: [B, 1 + n_slots * per_slot, width], float32, CPU.

        Args:
            pixels: [B, n_frames, 3, side, side], of `prepared`.
            precision: `fp32` or `bf16`.
        """
        import torch

        kind = torch.device(self.device).type
        with (
            torch.inference_mode(),
            torch.autocast(kind, torch.bfloat16, enabled=precision == "bf16"),
        ):
            found = self.model(pixel_values=pixels.to(self.device)).last_hidden_state
        states: Tensor = found.float().cpu()
        return states


def digest(source: str, revision: str) -> str:
    """Which ViViT it is: hashes of weights and configuration, found without a network.

    Returns:
        `places.NOT_HERE` where it is not complete on this machine.
    """
    parts = [fingerprint(source, names, revision) for names in (WEIGHTS, *((f,) for f in FILES))]
    return NOT_HERE if NOT_HERE in parts else "+".join(part[:16] for part in parts)


def shape(source: str, revision: str) -> tuple[int, int, int, int]:
    """Frames per window, time slots, tokens per slot and width, by its configuration.

    Raises:
        OsslError: `model_missing`, `model_unavailable`, `model_invalid`.
    """
    path = model_folder(source, revision).path
    try:
        said = parse.json_value((path / "config.json").read_text())
        steps, height, width = said["tubelet_size"]
        side, n_frames = said["image_size"], said["num_frames"]
        per_slot = (side // height) * (side // width)
        return n_frames, n_frames // steps, per_slot, said["hidden_size"]
    except (KeyError, TypeError, ValueError, ZeroDivisionError) as error:
        raise _invalid(source, error) from error


def load_encoder(source: str, revision: str, device: str) -> Encoder:
    """Load a ViViT; the last one is kept for the next call.

    Args:
        source: its name on the hub, or a folder in transformers' layout.
        revision: branch, tag or commit on the hub.
        device: `auto`, `cpu` or `cuda`.

    Raises:
        OsslError: `model_missing`, `model_unavailable`, `model_invalid`, `no_gpu`,
            `train_not_installed`.
    """
    place = checked_device(device)
    return _load(source, model_folder(source, revision).path, revision, place)


@lru_cache(maxsize=1)
def _load(source: str, path: Path, revision: str, device: str) -> Encoder:
    from transformers import VivitImageProcessor, VivitModel
    from transformers.utils import logging

    logging.disable_progress_bar()
    sizes = shape(source, revision)
    try:
        processor = VivitImageProcessor.from_pretrained(path)
        model = VivitModel.from_pretrained(path, add_pooling_layer=False)
    except UNREADABLE as error:
        raise _invalid(source, error) from error
    return Encoder(model.to(device).eval(), processor, device, *sizes)


def _invalid(source: str, error: Exception) -> OsslError:
    return OsslError(
        "model_invalid",
        f"{source!r} is no ViViT that can be loaded ({type(error).__name__}: {error}).",
        "Give features.encoder the name of a ViViT on the hub, or a folder that save_pretrained "
        "of transformers wrote, with its preprocessor_config.json.",
    )
