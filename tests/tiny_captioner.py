"""Tiny captioning models of random weights in a folder, as `save_pretrained` writes them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import torch
from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import (
    BlipConfig,
    BlipForConditionalGeneration,
    BlipImageProcessor,
    BlipProcessor,
    CLIPVisionConfig,
    GPT2Config,
    LlamaConfig,
    LlavaConfig,
    LlavaForConditionalGeneration,
    LlavaProcessor,
    PreTrainedTokenizerFast,
    VisionEncoderDecoderConfig,
    VisionEncoderDecoderModel,
    ViTConfig,
    ViTImageProcessor,
)

SPECIAL = ("<pad>", "<s>", "</s>", "<image>")
WORDS = ("a", "man", "dog", "rides", "house", "tree", "sea", "red", "Describe", "frames")
SIZE = {"height": 32, "width": 32}
TEMPLATE = (
    "{% for message in messages %}{% for part in message['content'] %}"
    "{% if part['type'] == 'image' %}<image> {% else %}{{ part['text'] }} {% endif %}"
    "{% endfor %}{% endfor %}"
)


def tokenizer(words: Sequence[str]) -> PreTrainedTokenizerFast:
    numbers = {word: number for number, word in enumerate((*SPECIAL, *words))}
    plain = Tokenizer(models.WordLevel(numbers, unk_token="<pad>"))
    plain.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    return PreTrainedTokenizerFast(
        tokenizer_object=plain, pad_token="<pad>", bos_token="<s>", eos_token="</s>",
        additional_special_tokens=["<image>"],
    )  # fmt: skip


def write_vit_gpt2(folder: Path, words: Sequence[str] = WORDS, seed: int = 0) -> Path:
    """A ViT with a GPT-2, without a processor; its words depend strongly on the picture."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        encoder = ViTConfig(
            hidden_size=16, num_hidden_layers=1, num_attention_heads=2, intermediate_size=16,
            image_size=32, patch_size=16, initializer_range=1.0,
        )  # fmt: skip
        decoder = GPT2Config(
            vocab_size=len(SPECIAL) + len(words), n_positions=64, n_embd=16, n_layer=1, n_head=2,
            bos_token_id=1, eos_token_id=2, pad_token_id=0, initializer_range=1.0,
        )  # fmt: skip
        config = VisionEncoderDecoderConfig.from_encoder_decoder_configs(encoder, decoder)
        config.decoder_start_token_id, config.pad_token_id, config.eos_token_id = 1, 0, 2
        model = VisionEncoderDecoderModel(config)
        model.generation_config.decoder_start_token_id = 1
        # Sampling in the file of a model must not make captions random.
        model.generation_config.do_sample = True
        model.save_pretrained(folder)
    tokenizer(words).save_pretrained(folder)
    ViTImageProcessor(size=SIZE).save_pretrained(folder)
    return folder


def write_blip(folder: Path) -> Path:
    """A BLIP with its processor."""
    small = {
        "hidden_size": 16, "intermediate_size": 16, "num_hidden_layers": 1,
        "num_attention_heads": 2, "initializer_range": 1.0,
    }  # fmt: skip
    text = {
        **small, "vocab_size": len(SPECIAL) + len(WORDS), "encoder_hidden_size": 16,
        "max_position_embeddings": 64, "bos_token_id": 1, "eos_token_id": 2, "pad_token_id": 0,
        "sep_token_id": 2,
    }  # fmt: skip
    with torch.random.fork_rng():
        torch.manual_seed(1)
        config = BlipConfig(
            text_config=text,
            vision_config={**small, "image_size": 32, "patch_size": 16},
            projection_dim=16,
        )
        BlipForConditionalGeneration(config).save_pretrained(folder)
    BlipProcessor(BlipImageProcessor(size=SIZE), tokenizer(WORDS)).save_pretrained(folder)
    return folder


def write_llava(folder: Path) -> Path:
    """A LLaVA, which takes several images and an instruction."""
    with torch.random.fork_rng():
        torch.manual_seed(2)
        vision = CLIPVisionConfig(
            hidden_size=16, intermediate_size=16, num_hidden_layers=2, num_attention_heads=2,
            image_size=32, patch_size=16, projection_dim=16,
        )  # fmt: skip
        text = LlamaConfig(
            vocab_size=len(SPECIAL) + len(WORDS), hidden_size=16, intermediate_size=16,
            num_hidden_layers=1, num_attention_heads=2, num_key_value_heads=2,
            max_position_embeddings=256, bos_token_id=1, eos_token_id=2, pad_token_id=0,
        )  # fmt: skip
        config = LlavaConfig(vision_config=vision, text_config=text, image_token_index=3)
        LlavaForConditionalGeneration(config).save_pretrained(folder)
    LlavaProcessor(
        ViTImageProcessor(size=SIZE), tokenizer(WORDS), patch_size=16,
        vision_feature_select_strategy="default", num_additional_image_tokens=1,
        chat_template=TEMPLATE,
    ).save_pretrained(folder)  # fmt: skip
    return folder
