"""Frozen video encoders: from the frames of a window to tokens, through transformers.

Video encoders (ViViT, VideoMAE) take the number of frames that they were trained with. Image
encoders (CLIP, SigLIP, DINOv2, EfficientNet) see each frame by itself and give one token a frame.
The first token describes the whole window: it is the class token of the encoder. An encoder without
a class token gets the mean of the other tokens.

Arnab et al. 2021, "ViViT: a video vision transformer"; Tong et al. 2022, "VideoMAE"; Radford et al.
2021, "Learning transferable visual models from natural language supervision" (CLIP).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ossl_builder.errors import OsslError
from ossl_builder.models.hub import NOT_HERE, UNREADABLE, fetch_model, fingerprint
from ossl_train.pretrained import checked_device, quiet

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from torch import Tensor

WEIGHT_FILES = ("*.safetensors", "*.bin")
CONFIG_FILES = ("config.json", "preprocessor_config.json")


@dataclass(frozen=True)
class EncoderShape:
    """How an encoder divides a window.

    Attributes:
        n_frames: video frames per window.
        n_slots: time slots per window.
        per_slot: tokens of each slot.
        width: of a token.
    """

    n_frames: int
    n_slots: int
    per_slot: int
    width: int


@dataclass(frozen=True)
class _Kind:
    """How one type of encoder is loaded and called.

    Attributes:
        model: name of its class in transformers.
        options: arguments of `from_pretrained`.
        shape: from its configuration and the wanted number of frames to its shape.
        is_video: whether it takes frames together, [B, frames, 3, size, size].
        has_class: whether its first state is a class token. Of image encoders, the pooled output is
            used.
    """

    model: str
    shape: Callable[[Any, int], EncoderShape]
    is_video: bool = False
    has_class: bool = False
    options: tuple[tuple[str, Any], ...] = ()


def _vivit(config: Any, _: int) -> EncoderShape:
    of_slot, height, width = config.tubelet_size
    per_slot = (config.image_size // height) * (config.image_size // width)
    n_frames = config.num_frames
    return EncoderShape(n_frames, n_frames // of_slot, per_slot, config.hidden_size)


def _videomae(config: Any, _: int) -> EncoderShape:
    per_slot = (config.image_size // config.patch_size) ** 2
    n_frames = config.num_frames
    return EncoderShape(n_frames, n_frames // config.tubelet_size, per_slot, config.hidden_size)


def _images(config: Any, n_frames: int) -> EncoderShape:
    # A whole CLIP or SigLIP has the configuration of its vision tower inside; EfficientNet names
    # its width otherwise.
    vision = getattr(config, "vision_config", config)
    width = vision.hidden_size if hasattr(vision, "hidden_size") else vision.hidden_dim
    return EncoderShape(n_frames, n_frames, 1, int(width))


KINDS = {
    "vivit": _Kind(
        "VivitModel",
        _vivit,
        is_video=True,
        has_class=True,
        options=(("add_pooling_layer", False),),
    ),
    "videomae": _Kind("VideoMAEModel", _videomae, is_video=True),
    "clip": _Kind("CLIPVisionModel", _images),
    "clip_vision_model": _Kind("CLIPVisionModel", _images),
    "siglip": _Kind("SiglipVisionModel", _images),
    "siglip_vision_model": _Kind("SiglipVisionModel", _images),
    "dinov2": _Kind("Dinov2Model", _images),
    "efficientnet": _Kind("EfficientNetModel", _images),
}
"""By `model_type` of the configuration."""


@dataclass(frozen=True)
class VideoEncoder:
    """A loaded encoder.

    Attributes:
        model, processor: objects of transformers.
        device: where the model is.
        shape: how it divides a window.
        kind: how it is called.
    """

    model: Any
    processor: Any
    device: str
    shape: EncoderShape
    kind: _Kind

    def prepared(self, frames: Sequence[NDArray[np.uint8]]) -> Tensor:
        """Return frames [height, width, 3] as the model's input [n_frames, 3, size, size]."""
        pixels: Tensor = self.processor(list(frames), return_tensors="pt")["pixel_values"]
        return pixels[0] if pixels.ndim == 5 else pixels

    def states(self, pixels: Tensor, precision: str) -> Tensor:
        """Return the states of windows.

        Args:
            pixels: [B, n_frames, 3, size, size], of `prepared`.
            precision: `fp32` or `bf16`.

        Returns:
            [B, 1 + n_slots * per_slot, width], float32, on the CPU.
        """
        import torch

        on_device = torch.device(self.device).type
        with (
            torch.inference_mode(),
            torch.autocast(on_device, torch.bfloat16, enabled=precision == "bf16"),
        ):
            states = self._states(pixels.to(self.device)).float()
        if not self.kind.has_class:
            states = torch.cat([states.mean(dim=1, keepdim=True), states], dim=1)
        on_cpu: Tensor = states.cpu()
        return on_cpu

    def _states(self, pixels: Tensor) -> Tensor:
        if self.kind.is_video:
            states: Tensor = self.model(pixel_values=pixels).last_hidden_state
            return states
        pooled: Tensor = self.model(pixel_values=pixels.flatten(0, 1)).pooler_output
        return pooled.flatten(1).unflatten(0, pixels.shape[:2])


def encoder_digest(source: str, revision: str) -> str:
    """Return the hashes of an encoder's weights and configuration, without a network.

    Returns:
        `hub.NOT_HERE` if it is not complete on this machine.
    """
    patterns = (WEIGHT_FILES, *((file,) for file in CONFIG_FILES))
    parts = [fingerprint(source, names, revision) for names in patterns]
    return NOT_HERE if NOT_HERE in parts else "+".join(part[:16] for part in parts)


def encoder_shape(source: str, revision: str, n_frames: int) -> EncoderShape:
    """Read how an encoder divides a window from its configuration.

    Args:
        source, revision: see `load_encoder`.
        n_frames: frames per window of image encoders.

    Raises:
        OsslError: `model_missing`, `model_unavailable`, `model_invalid`.
    """
    return _described(source, fetch_model(source, revision).path, n_frames)[1]


def load_encoder(source: str, revision: str, n_frames: int, device: str) -> VideoEncoder:
    """Load an encoder; the last one stays loaded for the next call.

    Args:
        source: its name on the hub, or a folder in transformers' layout.
        revision: branch, tag or commit on the hub.
        n_frames: frames per window of image encoders; video encoders have their own number.
        device: `auto`, `cpu` or `cuda`.

    Raises:
        OsslError: `model_missing`, `model_unavailable`, `model_invalid`, `no_gpu`,
            `not_installed`.
    """
    chosen = checked_device(device)
    return _load_encoder(source, fetch_model(source, revision).path, n_frames, chosen)


@lru_cache(maxsize=1)
def _load_encoder(source: str, path: Path, n_frames: int, device: str) -> VideoEncoder:
    import transformers

    kind, shape = _described(source, path, n_frames)
    try:
        with quiet():  # transformers tells which image library it uses; the values are equal
            processor = transformers.AutoImageProcessor.from_pretrained(
                path, trust_remote_code=False
            )
            model = getattr(transformers, kind.model).from_pretrained(path, **dict(kind.options))
    except UNREADABLE as error:
        raise _unusable(source, error) from error
    return VideoEncoder(model.to(device).eval(), processor, device, shape, kind)


def _described(source: str, path: Path, n_frames: int) -> tuple[_Kind, EncoderShape]:
    from transformers import AutoConfig

    try:
        config = AutoConfig.from_pretrained(path, trust_remote_code=False)
        kind = KINDS[config.model_type]
        return kind, kind.shape(config, n_frames)
    except (*UNREADABLE, AttributeError, KeyError, TypeError, ZeroDivisionError) as error:
        raise _unusable(source, error) from error


def _unusable(source: str, error: Exception) -> OsslError:
    return OsslError(
        "model_invalid",
        f"{source!r} cannot be loaded as a video encoder ({type(error).__name__}: {error}).",
        "Set features.encoder to the name of a ViViT, VideoMAE, CLIP, SigLIP, DINOv2 or "
        "EfficientNet on the hub, or to a folder that save_pretrained of transformers wrote, with "
        "its preprocessor_config.json.",
    )
