"""Tiny random models in the published layouts, written offline, always the same."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from ossl_builder.files import replacing, write_bytes
from ossl_train.pretrained import quiet

MUSICGEN, VIVIT = "musicgen", "vivit"
"""Folders of the tiny models."""
TEXT = "t5"
"""The text encoder's folder, inside the model's own."""
DIM, N_HEADS, N_LAYERS, N_CODEBOOKS, CARDINALITY, TEXT_DIM = 64, 4, 3, 4, 128, 32
SAMPLE_RATE, RATIOS = 32_000, (8, 5, 4, 4)


def language_model_settings() -> dict[str, Any]:
    """The configuration of `state_dict.bin`, with the fields of the published models."""
    return {
        "device": "cpu",
        "dtype": "float32",
        "sample_rate": SAMPLE_RATE,
        "channels": 1,
        "lm_model": "transformer_lm",
        "solver": "musicgen",
        "dataset": {"segment_duration": 30},
        "transformer_lm": {
            "dim": DIM,
            "num_heads": N_HEADS,
            "num_layers": N_LAYERS,
            "hidden_scale": 4,
            "n_q": N_CODEBOOKS,
            "card": CARDINALITY,
            "dropout": 0.0,
            "emb_lr": None,
            "activation": "gelu",
            "norm_first": True,
            "bias_ff": False,
            "bias_attn": False,
            "bias_proj": False,
            "past_context": None,
            "causal": True,
            "custom": False,
            "memory_efficient": True,
            "attention_as_float32": False,
            "layer_scale": None,
            "positional_embedding": "sin",
            "xpos": False,
            "checkpointing": "none",
            "weight_init": "gaussian",
            "depthwise_init": "current",
            "zero_bias_init": True,
            "norm": "layer_norm",
            "cross_attention": True,
            "qk_layer_norm": False,
            "qk_layer_norm_cross": False,
            "attention_dropout": None,
            "kv_repeat": 1,
            "two_step_cfg": False,
        },
        "codebooks_pattern": {
            "modeling": "delay",
            "delay": {"delays": [0, 1, 2, 3], "flatten_first": 0, "empty_initial": 0},
        },
        "classifier_free_guidance": {"training_dropout": 0.3, "inference_coef": 3.0},
        "attribute_dropout": {},
        "fuser": {
            "cross_attention_pos_emb": False,
            "cross_attention_pos_emb_scale": 1,
            "sum": [],
            "prepend": [],
            "cross": ["description"],
            "input_interpolate": [],
        },
        "conditioners": {
            # Published configurations have these beside the conditions.
            "args": {"merge_text_conditions_p": 0.25, "drop_desc_p": 0.5},
            "description": {
                "model": "t5",
                "t5": {
                    "name": TEXT,
                    "finetune": False,
                    "word_dropout": 0.3,
                    "normalize_text": False,
                },
            },
        },
    }


def codec_settings() -> dict[str, Any]:
    """The configuration of `compression_state_dict.bin`."""
    return {
        "device": "cpu",
        "sample_rate": SAMPLE_RATE,
        "channels": 1,
        "compression_model": "encodec",
        "encodec": {
            "autoencoder": "seanet",
            "quantizer": "rvq",
            "sample_rate": SAMPLE_RATE,
            "channels": 1,
            "causal": False,
            "renormalize": False,
        },
        "seanet": {
            "dimension": 16,
            "channels": 1,
            "causal": False,
            "n_filters": 2,
            "n_residual_layers": 1,
            "ratios": list(RATIOS),
            "activation": "ELU",
            "activation_params": {"alpha": 1.0},
            "norm": "weight_norm",
            "norm_params": {},
            "kernel_size": 7,
            "residual_kernel_size": 3,
            "last_kernel_size": 7,
            "dilation_base": 2,
            "pad_mode": "constant",
            "true_skip": True,
            "compress": 2,
            "lstm": 1,
            "disable_norm_outer_blocks": 0,
            "decoder": {
                "trim_right_ratio": 1.0,
                "final_activation": None,
                "final_activation_params": None,
            },
            "encoder": {},
        },
        "rvq": {
            "n_q": N_CODEBOOKS,
            "q_dropout": False,
            "bins": CARDINALITY,
            "decay": 0.99,
            "kmeans_init": True,
            "kmeans_iters": 2,
            "threshold_ema_dead_code": 2,
            "orthogonal_reg_weight": 0.0,
            "orthogonal_reg_active_codes_only": False,
        },
        "no_quant": {},
    }


SEED = 20250
SENSITIVITY = 8.0
"""Factor on the first layer of the tiny codec, which makes it more sensitive."""
LOUDNESS = 0.05
"""RMS of the tiny codec's output, so that it is audible."""
WORDS = (
    "a an the of for and with in on to film soundtrack scene music tense scary sad calm romantic "
    "happy exciting peaceful dark bright slow fast piano strings drums brass synth organ flute"
)


def write_tiny_models(folder: Path) -> None:
    """Write ``musicgen/`` (audiocraft's layout, with ``t5/`` in it) and ``vivit/``.

    The random state of the caller does not change.
    """
    with quiet(), torch.random.fork_rng(devices=[]):
        torch.manual_seed(SEED)
        write_tiny_musicgen(folder / MUSICGEN)
        write_tiny_vivit(folder / VIVIT)


def write_tiny_musicgen(folder: Path) -> None:
    """Write ``state_dict.bin``, ``compression_state_dict.bin`` and ``t5/``."""
    from audiocraft.models.builders import get_compression_model, get_lm_model
    from omegaconf import OmegaConf

    write_tiny_t5(folder / TEXT)
    settings = OmegaConf.create(language_model_settings())
    without_text = OmegaConf.create({**language_model_settings(), "conditioners": {}})
    model = get_lm_model(without_text)
    stem = "condition_provider.conditioners.description.output_proj"
    projection = torch.nn.Linear(TEXT_DIM, DIM)
    weights = model.state_dict()
    weights.update({f"{stem}.{name}": value for name, value in projection.state_dict().items()})
    _save(folder / "state_dict.bin", weights, OmegaConf.to_yaml(settings))
    settings = OmegaConf.create(codec_settings())
    codec = get_compression_model(settings)
    _fit_codec(codec)
    _save(
        folder / "compression_state_dict.bin",
        codec.state_dict(),
        OmegaConf.to_yaml(settings),
    )


def write_tiny_t5(folder: Path) -> None:
    """Write a T5 encoder with a unigram vocabulary of film words and letters."""
    from transformers import T5Config, T5EncoderModel, T5Tokenizer

    pieces = [("<pad>", 0.0), ("</s>", 0.0), ("<unk>", 0.0), ("▁", -3.0)]
    pieces += [(f"▁{word}", -4.0) for word in WORDS.split()]
    pieces += [(letter, -8.0) for letter in "abcdefghijklmnopqrstuvwxyz0123456789.,'-"]
    tokenizer = T5Tokenizer(vocab=pieces, extra_ids=0)
    folder.mkdir(parents=True, exist_ok=True)
    tokenizer.save_pretrained(folder)
    config = T5Config(
        vocab_size=len(tokenizer), d_model=TEXT_DIM, d_kv=8, d_ff=64, num_layers=2, num_heads=4
    )
    T5EncoderModel(config).save_pretrained(folder)


def write_tiny_vivit(folder: Path) -> None:
    """Write a ViViT of 32 frames (16 slots of 2 x 2 patches) with its image processor."""
    from transformers import VivitConfig, VivitModel

    config = VivitConfig(
        image_size=32,
        num_frames=32,
        tubelet_size=[2, 16, 16],
        hidden_size=48,
        num_hidden_layers=2,
        num_attention_heads=4,
        intermediate_size=64,
    )
    VivitModel(config, add_pooling_layer=False).save_pretrained(folder)
    processor = {
        "image_processor_type": "VivitImageProcessor",
        "do_resize": True,
        "size": {"shortest_edge": 36},
        "do_center_crop": True,
        "crop_size": {"height": 32, "width": 32},
        "do_rescale": True,
        "rescale_factor": 1 / 127.5,
        "offset": True,
        "do_normalize": True,
        "image_mean": [0.5, 0.5, 0.5],
        "image_std": [0.5, 0.5, 0.5],
    }
    write_bytes(folder / "preprocessor_config.json", json.dumps(processor, indent=2).encode())


def _save(path: Path, weights: dict[str, Tensor], settings: str) -> None:
    package = {"best_state": weights, "xp.cfg": settings, "version": "1.3.0", "exported": True}
    # A stream, because torch writes the name of a path into the file.
    with replacing(path) as temporary, temporary.open("wb") as stream:
        torch.save(package, stream)


@torch.no_grad()  # type: ignore[untyped-decorator]
def _fit_codec(codec: Any) -> None:
    """Copy code vectors from sounds, so that different sounds get different codes."""
    # Small random convolutions hardly react to sounds of a film's loudness.
    codec.encoder.model[0].conv.conv.weight_g.mul_(SENSITIVITY)
    residual = codec.encoder(_sounds()).transpose(1, 2).flatten(0, 1)
    for layer in codec.quantizer.vq.layers:
        book = layer._codebook
        book.embed.copy_(_spread(residual, CARDINALITY))
        book.embed_avg.copy_(book.embed)
        book.cluster_size.fill_(1.0)
        book.inited.fill_(1.0)
        residual = residual - book.embed[book.quantize(residual)]
    codec.eval()
    decoded = codec.decode(codec.encode(_sounds())[0])
    last = codec.decoder.model[-1].conv.conv
    last.bias.zero_()
    last.weight_g.mul_(LOUDNESS / (decoded - decoded.mean()).square().mean().sqrt())


def _spread(vectors: Tensor, count: int) -> Tensor:
    """Pick `count` of the vectors, each as far as possible from those before it."""
    picked = [0]
    distance = (vectors - vectors[0]).norm(dim=1)
    while len(picked) < count:
        picked.append(int(distance.argmax()))
        distance = distance.minimum((vectors - vectors[picked[-1]]).norm(dim=1))
    return vectors[picked]


def _sounds() -> Tensor:
    """Return chords, noise, beats and near silence [n, 1, 8000]."""
    time = torch.arange(SAMPLE_RATE // 4) / SAMPLE_RATE
    tones = torch.stack(
        [torch.sin(2 * torch.pi * 80 * 2 ** (step / 4) * time) for step in range(24)]
    )
    noise = torch.randn(len(time))
    beat = (torch.sin(2 * torch.pi * 8 * time) > 0).float()
    chords = (tones + tones.roll(1, 0) + tones.roll(5, 0)) / 3
    sounds = [0.3 * tones, 0.1 * chords, 0.2 * tones[:8] * beat]
    sounds += [torch.stack([0.1 * noise, 0.2 * noise * beat, 1e-3 * noise, 0 * noise])]
    return torch.cat(sounds)[:, None]
