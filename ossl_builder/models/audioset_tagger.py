"""Tag audio with AudioSet classes: by the AST classifier of transformers, or by YAMNet."""

from __future__ import annotations

import csv
import hashlib
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from ossl_builder.engine import stage
from ossl_builder.engine.settings import HERE, Origin
from ossl_builder.errors import OsslError
from ossl_builder.files import sha256_remembered
from ossl_builder.models import hub, yamnet

CLASSES = 527
FILE = Path(__file__).with_name("audioset_classes.csv")


@lru_cache(maxsize=1)
def names() -> tuple[str, ...]:
    """Return the names of the classes, by index."""
    return tuple(row["name"] for row in _rows())


@lru_cache(maxsize=1)
def is_music() -> tuple[bool, ...]:
    """Return for each class index whether the class is music."""
    return tuple(row["is_music"] == "1" for row in _rows())


def _rows() -> list[dict[str, str]]:
    with FILE.open(encoding="utf-8", newline="") as lines:
        return list(csv.DictReader(lines))


if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Audio = NDArray[np.float32]
    Probabilities = NDArray[np.float64]

SETTING = "cues.tagger_model"
FILES = ("config.json", "preprocessor_config.json", "model.safetensors")
# Classes that are compared to verify that a model has AudioSet's classes in AudioSet's order.
KNOWN = (0, 137, 526)
# Hop of the model's spectrogram.
FRAME_S = 0.01


@dataclass(frozen=True)
class Tagger:
    """A loaded tagger.

    Attributes:
        model: the module of transformers, in evaluation mode.
        extractor: the feature extractor, which computes the model's input from audio.
        rate: sample rate of the audio, in Hz.
        longest_s: maximum length of a window, in seconds.
        device: `cpu` or `cuda`.
        is_music: for each class, whether it is music.
    """

    model: Any
    extractor: Any
    rate: int
    longest_s: float
    device: str
    is_music: tuple[bool, ...]

    def probabilities(self, windows: Audio) -> Probabilities:
        """Return the probability of each class in each window, [windows, 527].

        Args:
            windows: mono audio at `rate`, [windows, samples].
        """
        import numpy as np
        import torch

        features = self.extractor(list(windows), sampling_rate=self.rate, return_tensors="pt")
        with torch.inference_mode():
            logits = self.model(features["input_values"].to(self.device)).logits
        return np.asarray(torch.sigmoid(logits.double()).cpu().numpy(), np.float64)


class AudioTagger(Protocol):
    """What a tagger of either kind offers; see `Tagger`."""

    @property
    def rate(self) -> int:
        """Sample rate of the audio, in Hz."""

    @property
    def longest_s(self) -> float:
        """Maximum length of a window, in seconds."""

    @property
    def is_music(self) -> tuple[bool, ...]:
        """For each class, whether it is music."""

    def probabilities(self, windows: Audio) -> Probabilities:
        """Return the probability of each class in each window, [windows, classes]."""


def versions(name: str) -> dict[str, str]:
    """Return the versions of the installed packages that the tags depend on."""
    if name == yamnet.NAME:
        return yamnet.versions()
    # Without torchaudio, transformers computes the features differently.
    return stage.versions("torch", "torchaudio", "transformers")


def fingerprint(name: str, origin: Origin = HERE) -> str | None:
    """Return the SHA-256 over a model's files; None if they are not on this machine. No network."""
    if name == yamnet.NAME:
        return yamnet.fingerprint()
    folder = _find(name, origin)
    if folder is None:
        return None
    files = [folder / file for file in FILES]
    hashes = [sha256_remembered(file) for file in files]
    return hashlib.sha256(repr(hashes).encode()).hexdigest()


def load(name: str, device: str, origin: Origin = HERE) -> AudioTagger:
    """Load a tagger; download it from the hub if necessary. The last tagger is cached in memory.

    Args:
        name: `yamnet`, a name on the hub, or the path of a folder that begins with `/`, `./` or
            `~`.
        device: `cpu`, `cuda`, or `auto`: CUDA if there is a GPU.
        origin: origin of the recipe that contains the name.

    Raises:
        OsslError: `not_installed`, `no_gpu`, `model_unavailable`, `model_missing`,
            `model_invalid`, `path_outside`.
    """
    if name == yamnet.NAME:
        return yamnet.load()
    try:
        import torch  # noqa: F401
        import transformers  # noqa: F401
    except ImportError as error:
        raise OsslError(
            "not_installed",
            "The tagger needs PyTorch and transformers, which are not installed.",
            "Run `pip install 'ossl-builder[train]'`, or use `--set cues.tagger_model=yamnet`.",
        ) from error
    chosen = hub.choose_device(device, "cues.tagger_device")
    folder = _find(name, origin) or _download(name, origin)
    return _load(folder, fingerprint(name, origin), chosen)


@lru_cache(maxsize=1)
def _load(folder: Path, digest: str | None, device: str) -> Tagger:
    """Load the model in a folder; `digest` is part of the cache key: changed files are reloaded."""
    from safetensors import SafetensorError
    from transformers import ASTFeatureExtractor, ASTForAudioClassification
    from transformers.utils import logging

    logging.disable_progress_bar()
    try:
        # transformers types these methods as plain functions.
        model: Any = ASTForAudioClassification.from_pretrained(
            folder, local_files_only=True, use_safetensors=True
        )
        extractor: Any = ASTFeatureExtractor.from_pretrained(folder, local_files_only=True)
    except (OSError, KeyError, TypeError, ValueError, RuntimeError, SafetensorError) as error:
        raise _invalid(folder, f"{type(error).__name__}: {error}") from error
    finally:
        logging.enable_progress_bar()
    labels = model.config.id2label
    if len(labels) != CLASSES:
        raise _invalid(folder, f"it has {len(labels)} classes, not {CLASSES}")
    for index in KNOWN:
        if labels[index] != names()[index]:
            raise _invalid(
                folder, f"its class {index} is {labels[index]!r}, not {names()[index]!r}"
            )
    rate, longest_s = int(extractor.sampling_rate), extractor.max_length * FRAME_S
    return Tagger(model.to(device).eval(), extractor, rate, longest_s, device, is_music())


def _invalid(folder: Path, why: str) -> OsslError:
    return OsslError(
        "model_invalid",
        f"The model in {folder} is not an AST classifier of the AudioSet classes ({why}).",
        "Set cues.tagger_model to MIT/ast-finetuned-audioset-10-10-0.4593, or to a folder with "
        f"{', '.join(FILES)}.",
    )


def _find(name: str, origin: Origin) -> Path | None:
    """Return the folder of a model; None if it is not on this machine. No network."""
    folder = hub.local_path(name, SETTING, origin)
    if folder is None:
        cached = hub.cached_files(name, FILES)
        return None if cached is None else cached[0].parent
    return folder if all((folder / file).is_file() for file in FILES) else None


def _download(name: str, origin: Origin) -> Path:
    """Download the files of a model into the hub's cache."""
    folder = hub.local_path(name, SETTING, origin)
    if folder is not None:
        raise OsslError(
            "model_missing",
            f"There is no tagger in {folder}.",
            f"{SETTING} needs a folder with {', '.join(FILES)}.",
        )
    try:
        paths = [hub.download_file(name, file) for file in FILES]
    except (OSError, ValueError) as error:  # all errors of the hub are one of these
        raise hub.unavailable(
            f"The tagger {name!r}",
            error,
            "Download it on a machine with a network (`hf download` writes it into a folder), and "
            f"set {SETTING} to that folder: a path that begins with `/`, `./` or `~`.",
        ) from error
    return paths[0].parent
