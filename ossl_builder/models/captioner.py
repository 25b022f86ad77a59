"""Describe frames of a video with words, by a captioning model of transformers.

Two kinds of model: those that take one image and no text (BLIP, GIT, ViT with GPT-2) write a
sentence for each frame; those with a chat template (LLaVA, SmolVLM, Qwen-VL) get all frames
together, with an instruction.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ossl_builder.errors import OsslError
from ossl_builder.files import sha256_json
from ossl_builder.models import hub

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Rgb = NDArray[np.uint8]

# What the captions depend on: the weights, then everything that describes model and tokenizer.
WEIGHTS = "*.safetensors"
DESCRIPTIONS = ("config.json", "*.json", "*.txt", "*.jinja")
# Of these types, only the tokenizer and the image processor are stored, with no processor.
WITHOUT_PROCESSOR = ("vision-encoder-decoder",)


@dataclass(frozen=True)
class Captioner:
    """A loaded model.

    Attributes:
        model: the module of transformers, in evaluation mode.
        images: converts frames to the model's input.
        tokenizer: converts tokens to text.
        chat: the processor of a model that takes an instruction; None: it takes images only.
    """

    model: Any
    images: Any
    tokenizer: Any
    chat: Any | None

    @property
    def takes_instruction(self) -> bool:
        """Whether the model gets an instruction and all frames together."""
        return self.chat is not None

    def texts(self, frames: Sequence[Rgb], instruction: str, max_tokens: int) -> list[str]:
        """Return what the model writes, as it is: one text per frame, or one for all frames.

        Equal frames and files give equal texts on the same machine: nothing is drawn at random.

        Args:
            frames: RGB frames, [height, width, 3] each.
            instruction: used only by a model that takes one.
            max_tokens: most tokens of each text.
        """
        import torch

        with torch.inference_mode():
            if self.chat is None:
                inputs, skipped = self.images(list(frames), return_tensors="pt"), 0
            else:
                inputs = self._conversation(frames, instruction)
                skipped = 0 if self._has_decoder() else inputs["input_ids"].shape[1]
            tokens = self.model.generate(
                **inputs.to(self.model.device, self.model.dtype),
                max_new_tokens=max_tokens,
                do_sample=False,
                num_beams=1,
            )
        texts: list[str] = self.tokenizer.batch_decode(
            tokens[:, skipped:], skip_special_tokens=True
        )
        return texts

    def _has_decoder(self) -> bool:
        return bool(getattr(self.model.config, "is_encoder_decoder", False))

    def _conversation(self, frames: Sequence[Rgb], instruction: str) -> Any:
        from PIL import Image

        assert self.chat is not None
        content = [{"type": "image", "image": Image.fromarray(frame)} for frame in frames]
        return self.chat.apply_chat_template(
            [{"role": "user", "content": [*content, {"type": "text", "text": instruction}]}],
            add_generation_prompt=True,
            tokenize=True,
            return_dict=True,
            return_tensors="pt",
        )


def fingerprint(source: str, revision: str | None) -> str:
    """Return the SHA-256 over the files that captions depend on. No network.

    Returns:
        `hub.NOT_HERE` if weights or configuration are not on this machine.
    """
    weights = hub.fingerprint(source, (WEIGHTS,), revision)
    parts = [hub.fingerprint(source, (pattern,), revision) for pattern in DESCRIPTIONS]
    if hub.NOT_HERE in (weights, parts[0]):
        return hub.NOT_HERE
    return sha256_json([weights, *parts])


def load(source: str, revision: str | None, device: str) -> Captioner:
    """Load a model; download it from the hub if necessary. The last one stays loaded.

    Only weights in safetensors files are read, and no code of the model's repository runs.

    Args:
        source: a name on the hub, or a folder that save_pretrained of transformers wrote.
        revision: branch, tag or commit on the hub; None: its main branch.
        device: `auto`, `cpu` or `cuda`.

    Raises:
        OsslError: `not_installed`, `no_gpu`, `model_missing`, `model_unavailable`,
            `model_invalid`.
    """
    try:
        import torch  # noqa: F401
        import transformers  # noqa: F401
    except ImportError as error:
        raise OsslError(
            "not_installed",
            "Captions need PyTorch and transformers, which are not installed.",
            "Run `pip install 'ossl-builder[train]'`.",
        ) from error
    chosen = hub.choose_device(device)
    folder = hub.fetch_model(source, revision)
    if not any(folder.path.glob(WEIGHTS)):
        raise _invalid(source, "it has no weights in the safetensors format")
    return _load(source, folder.path, fingerprint(source, revision), chosen)


@lru_cache(maxsize=1)
def _load(source: str, folder: Path, digest: str, device: str) -> Captioner:
    """Load the model in a folder; `digest` is part of the cache key: changed files are reloaded."""
    import transformers
    from safetensors import SafetensorError
    from transformers.utils import logging

    where: dict[str, Any] = {"local_files_only": True, "trust_remote_code": False}
    verbosity = logging.get_verbosity()
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    try:
        model, loaded = transformers.AutoModelForImageTextToText.from_pretrained(
            folder,
            use_safetensors=True,
            output_loading_info=True,
            dtype="float32" if device == "cpu" else "auto",
            **where,
        )
        if model.config.model_type in WITHOUT_PROCESSOR:
            chat = None
            images = transformers.AutoImageProcessor.from_pretrained(folder, **where)
            tokenizer = transformers.AutoTokenizer.from_pretrained(folder, **where)
        else:
            chat = transformers.AutoProcessor.from_pretrained(folder, **where)
            images, tokenizer = chat.image_processor, chat.tokenizer
    except (*hub.UNREADABLE, ImportError, SafetensorError) as error:
        raise _invalid(source, f"{type(error).__name__}: {error}") from error
    finally:
        logging.set_verbosity(verbosity)
        logging.enable_progress_bar()
    absent = [*loaded["missing_keys"], *loaded["mismatched_keys"]]
    if absent:
        raise _invalid(source, f"weights are missing, for example {absent[0]}")
    with_chat = chat if getattr(chat, "chat_template", None) else None
    return Captioner(model.to(device).eval(), images, tokenizer, with_chat)


def _invalid(source: str, why: str) -> OsslError:
    return OsslError(
        "model_invalid",
        f"{source!r} cannot be used as a captioning model ({' '.join(why.split())[:300]}).",
        "Give an image-to-text or image-text-to-text model of transformers, with weights in the "
        "safetensors format.",
    )
