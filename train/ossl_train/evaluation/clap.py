"""CLAP: embed audio and text in one space, through transformers.

Wu et al., "Large-Scale Contrastive Language-Audio Pretraining with Feature Fusion and
Keyword-to-Caption Augmentation" (ICASSP 2023). The weights of `laion/clap-htsat-fused` are those
the OSSL paper measures with.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ossl_builder.errors import OsslError
from ossl_builder.models.hub import UNREADABLE, ModelFolder
from ossl_train.evaluation.audio_files import covering_windows, mono_blocks

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Values = NDArray[np.float64]

BATCH = 8  # windows at a time
TEXT_TOKENS = 512  # what RoBERTa's positions allow; captions are far shorter
VERSION = 1  # of how windows are cut and given to the model


@dataclass(frozen=True)
class Clap:
    """A loaded CLAP.

    Attributes:
        folder: its files.
        digest: digest of its files.
        device: its device.
        rate: sample rate of its input, in Hz.
        window: samples of its input.
        dimension: dimension of its vectors.
    """

    folder: ModelFolder
    digest: str
    device: str
    rate: int
    window: int
    dimension: int
    _model: Any
    _extractor: Any

    def how(self) -> dict[str, Any]:
        """Return all that the vectors of a file depend on, besides the file."""
        return how_of(self.digest)

    def audio(self, path: Path) -> dict[str, Values]:
        """Return unit vectors of a file's windows: {"vectors": shape (windows, dimension)}.

        Windows are not longer than the model's input: it would crop longer ones at random.

        Raises:
            OsslError: `audio_unreadable`, `embedding_not_finite`.
        """
        import numpy as np

        parts, waiting = [], []
        for window in covering_windows(mono_blocks(path, self.rate), self.window):
            waiting.append(window)
            if len(waiting) == BATCH:
                parts.append(self._sounds(waiting))
                waiting = []
        if waiting:
            parts.append(self._sounds(waiting))
        if not parts:
            raise OsslError("audio_unreadable", f"{path.name} is empty.", "Generate it again.")
        vectors = np.concatenate(parts)
        if not np.isfinite(vectors).all():
            raise OsslError(
                "embedding_not_finite",
                f"{self.folder.source} gives vectors that are not finite for {path.name}.",
                "Check the file for samples that are not finite.",
            )
        return {"vectors": vectors}

    def _sounds(self, batch: Sequence[Any]) -> Values:
        import numpy as np
        import torch

        with _random_state_kept():
            features = self._extractor(
                list(batch), sampling_rate=self.rate, return_tensors="pt", truncation=None
            )
        # The extractor marks a random window as longer than it is, and the model processes that
        # one differently.
        is_longer = torch.zeros((len(batch), 1), dtype=torch.bool, device=self.device)
        with torch.inference_mode():
            vectors = self._model.get_audio_features(
                input_features=features["input_features"].to(self.device, torch.float32),
                is_longer=is_longer,
            ).pooler_output
        return np.asarray(vectors.float().cpu().numpy(), np.float64)

    def texts(self, prompts: Sequence[str]) -> Values:
        """Return unit vectors of texts, shape (n, dimension); one at a time, without padding."""
        import numpy as np
        import torch

        tokenizer = _tokenizer(self.folder)
        vectors: dict[str, Values] = {}
        for prompt in prompts:
            if prompt in vectors:
                continue
            tokens = tokenizer(
                prompt, return_tensors="pt", truncation=True, max_length=TEXT_TOKENS
            ).to(self.device)
            with torch.inference_mode():
                vector = self._model.get_text_features(
                    input_ids=tokens["input_ids"], attention_mask=tokens["attention_mask"]
                ).pooler_output
            vectors[prompt] = np.asarray(vector[0].float().cpu().numpy(), np.float64)
        return np.stack([vectors[prompt] for prompt in prompts])


def how_of(digest: str) -> dict[str, Any]:
    """Return all that the vectors of a file depend on, besides the file, by the model's digest."""
    return {"measure": "clap", "version": VERSION, "model": digest}


def load_clap(folder: ModelFolder, device: str = "cpu") -> Clap:
    """Load a CLAP in float32.

    Args:
        folder: see `hub.fetch_model`.
        device: `cpu`, `cuda`, `cuda:1` ….

    Raises:
        OsslError: `model_invalid`.
    """
    try:
        from transformers import ClapFeatureExtractor, ClapModel
    except ImportError as error:
        raise OsslError(
            "not_installed",
            "CLAP needs transformers and PyTorch, which are not installed.",
            "Run `pip install 'ossl-builder[train]'`.",
        ) from error
    try:
        extractor = ClapFeatureExtractor.from_pretrained(folder.path)
        model = ClapModel.from_pretrained(folder.path)
    except UNREADABLE as error:
        raise OsslError(
            "model_invalid",
            f"{folder.source} cannot be loaded as a CLAP ({type(error).__name__}).",
            "Use `laion/clap-htsat-fused`, another ClapModel, or its folder.",
        ) from error
    return Clap(
        folder=folder,
        digest=folder.digest(),
        device=device,
        rate=int(extractor.sampling_rate),
        window=int(extractor.nb_max_samples),
        dimension=int(model.config.projection_dim),
        _model=model.to(device).eval(),
        _extractor=extractor,
    )


def _tokenizer(folder: ModelFolder) -> Any:
    # Without this the tokenizer warns when av or a data loader forks later.
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    from transformers import AutoTokenizer

    try:
        return AutoTokenizer.from_pretrained(folder.path, trust_remote_code=False)
    except UNREADABLE as error:
        raise OsslError(
            "model_invalid",
            f"{folder.source} has no usable tokenizer ({type(error).__name__}).",
            "Add the files of the tokenizer, or use --prompts none.",
        ) from error


@contextmanager
def _random_state_kept() -> Iterator[None]:
    """Restore numpy's global random state, which the extractor changes."""
    import numpy as np

    state = np.random.get_state()
    try:
        yield
    finally:
        np.random.set_state(state)
