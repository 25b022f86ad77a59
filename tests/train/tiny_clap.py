"""A tiny CLAP of random weights in a folder, as `save_pretrained` writes one; offline."""

from __future__ import annotations

from pathlib import Path

import torch
from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import ClapConfig, ClapFeatureExtractor, ClapModel, PreTrainedTokenizerFast

RATE, WINDOW_S, DIMENSION = 8000, 2, 16
WORDS = ("<s>", "<pad>", "</s>", "<unk>", "a", "film", "soundtrack", "for", "tense", "calm")


def write_tiny_clap(folder: Path) -> Path:
    """Write it; its input is 2 s at 8 kHz, with fused features as in `laion/clap-htsat-fused`."""
    audio = {
        "spec_size": 64, "num_mel_bins": 16, "hidden_size": 16, "patch_embeds_hidden_size": 8,
        "depths": [1, 1], "num_attention_heads": [1, 2], "window_size": 4, "patch_size": 4,
        "patch_stride": [4, 4], "enable_fusion": True, "num_hidden_layers": 2, "num_classes": 4,
        "projection_dim": DIMENSION, "aff_block_r": 2,
    }  # fmt: skip
    text = {
        "vocab_size": len(WORDS), "hidden_size": 16, "num_hidden_layers": 1,
        "num_attention_heads": 2, "intermediate_size": 16, "max_position_embeddings": 64,
        "projection_dim": DIMENSION,
    }  # fmt: skip
    with torch.random.fork_rng():
        torch.manual_seed(0)
        config = ClapConfig(audio_config=audio, text_config=text, projection_dim=DIMENSION)
        ClapModel(config).save_pretrained(folder)
    ClapFeatureExtractor(
        feature_size=16, sampling_rate=RATE, hop_length=160, max_length_s=WINDOW_S,
        fft_window_size=512, frequency_max=4000,
    ).save_pretrained(folder)  # fmt: skip
    words = {word: number for number, word in enumerate(WORDS)}
    tokenizer = Tokenizer(models.WordLevel(words, unk_token="<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, pad_token="<pad>", unk_token="<unk>"
    ).save_pretrained(folder)
    return folder
