"""CLAP: audio and text as vectors of one space, through transformers.

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
        folder: which model it is.
        digest: of its files.
        device: where it runs.
        rate: sample rate it listens at, in Hz.
        window: samples it listens to at a time.
        dimension: of its vectors.
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
        """All that a file's vectors depend on, beside the file."""
        return how_of(self.digest)

    def audio(self, path: Path) -> dict[str, Values]:
        """Unit vectors of a file's windows: {"vectors": shape (windows, dimension)}.

        The windows are no longer than what the model listens to at once, so that nothing of its
        input is drawn by chance: longer ones it would crop at random places.

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
                f"{self.folder.source} gives no finite vectors for {path.name}.",
                "See whether the file holds values that are no numbers.",
            )
        return {"vectors": vectors}

    def _sounds(self, batch: Sequence[Any]) -> Values:
        import numpy as np
        import torch

        with _random_state_kept():
            features = self._extractor(
                list(batch), sampling_rate=self.rate, return_tensors="pt", truncation=None
            )
        # The extractor marks one window, drawn by chance, as longer than it is, and the model
        # hears that one in another way than the others.
        is_longer = torch.zeros((len(batch), 1), dtype=torch.bool, device=self.device)
        with torch.inference_mode():
            vectors = self._model.get_audio_features(
                input_features=features["input_features"].to(self.device, torch.float32),
                is_longer=is_longer,
            ).pooler_output
        return np.asarray(vectors.float().cpu().numpy(), np.float64)

    def texts(self, prompts: Sequence[str]) -> Values:
        """Unit vectors of texts, shape (n, dimension); one at a time, so that none is padded."""
        import numpy as np
        import torch

        tokenizer = _tokenizer(self.folder)
        found: dict[str, Values] = {}
        for prompt in prompts:
            if prompt in found:
                continue
            tokens = tokenizer(
                prompt, return_tensors="pt", truncation=True, max_length=TEXT_TOKENS
            ).to(self.device)
            with torch.inference_mode():
                vector = self._model.get_text_features(
                    input_ids=tokens["input_ids"], attention_mask=tokens["attention_mask"]
                ).pooler_output
            found[prompt] = np.asarray(vector[0].float().cpu().numpy(), np.float64)
        return np.stack([found[prompt] for prompt in prompts])


def how_of(digest: str) -> dict[str, Any]:
    """All that a file's vectors depend on, beside the file, by the model's digest."""
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
            "train_not_installed",
            "CLAP needs transformers and PyTorch, which are not installed.",
            "Run `pip install 'ossl-builder[train]'`.",
        ) from error
    try:
        extractor = ClapFeatureExtractor.from_pretrained(folder.path)
        model = ClapModel.from_pretrained(folder.path)
    except UNREADABLE as error:
        raise OsslError(
            "model_invalid",
            f"{folder.source} is no CLAP that can be loaded ({type(error).__name__}).",
            "Give `laion/clap-htsat-fused`, another ClapModel, or the folder of one.",
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
    # Without this the tokenizer warns of a fork that comes later, from av or a data loader.
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    from transformers import AutoTokenizer

    try:
        return AutoTokenizer.from_pretrained(folder.path, trust_remote_code=False)
    except UNREADABLE as error:
        raise OsslError(
            "model_invalid",
            f"{folder.source} has no tokenizer that can be loaded ({type(error).__name__}).",
            "Add its tokenizer's files, or leave prompts out with --prompts none.",
        ) from error


@contextmanager
def _random_state_kept() -> Iterator[None]:
    """The extractor draws from numpy's global generator; give that back as it was."""
    import numpy as np

    state = np.random.get_state()
    try:
        yield
    finally:
        np.random.set_state(state)
