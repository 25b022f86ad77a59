"""Small AST models with AudioSet's classes, saved as the hub has them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from ossl_builder.models import audioset_tagger

RATE = 16_000
LONGEST_S = 2.56
MUSIC, SPEECH = 137, 0


def untrained() -> tuple[Any, Any]:
    """A tiny AST and its extractor, the same ones each time."""
    import torch
    from transformers import ASTConfig, ASTFeatureExtractor, ASTForAudioClassification

    torch.manual_seed(0)
    torch.set_num_threads(1)
    names = dict(enumerate(audioset_tagger.names()))
    config = ASTConfig(
        hidden_size=32, num_hidden_layers=1, num_attention_heads=2, intermediate_size=32,
        max_length=256, frequency_stride=16, time_stride=16, initializer_range=0.2,
        num_labels=len(names), id2label=names, label2id={name: i for i, name in names.items()},
    )  # fmt: skip
    return ASTForAudioClassification(config).eval(), ASTFeatureExtractor(max_length=256)


def save(folder: Path, model: Any, extractor: Any) -> Path:
    model.save_pretrained(folder)
    extractor.save_pretrained(folder)
    return folder


def constant(folder: Path, music: float, other: float) -> Path:
    """A model that gives these sums for the musical and the other classes, for any input."""
    import torch

    model, extractor = untrained()
    is_music = np.array(audioset_tagger.is_music())
    shares = np.where(is_music, music / is_music.sum(), other / (~is_music).sum())
    model.classifier.dense.weight.data.zero_()
    model.classifier.dense.bias.data = torch.tensor(
        np.log(shares / (1 - shares)), dtype=torch.float
    )
    return save(folder, model, extractor)


def trained(folder: Path, music: np.ndarray, other: np.ndarray) -> Path:
    """A model that separates two kinds of windows [windows, samples]: its last layer is fitted."""
    import torch

    model, extractor = untrained()
    windows = [*music, *other]
    heard = extractor(windows, sampling_rate=RATE, return_tensors="pt")["input_values"]
    with torch.inference_mode():
        seen = model.audio_spectrogram_transformer(heard).pooler_output
        seen = model.classifier.layernorm(seen).double().numpy()
    wanted = np.array([4.0] * len(music) + [-12.0] * len(other))
    known = np.column_stack((seen, np.ones(len(seen))))
    fit = np.linalg.solve(known.T @ known + 1e-3 * np.eye(known.shape[1]), known.T @ wanted)
    dense = model.classifier.dense
    dense.weight.data.zero_()
    dense.bias.data.fill_(-14.0)
    dense.weight.data[MUSIC] = torch.tensor(fit[:-1])
    dense.weight.data[SPEECH] = -dense.weight.data[MUSIC]
    dense.bias.data[MUSIC] = fit[-1]
    dense.bias.data[SPEECH] = -8.0 - fit[-1]
    return save(folder, model, extractor)
