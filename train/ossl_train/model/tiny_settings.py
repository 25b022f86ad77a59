"""The sizes of the tiny models, and audiocraft's configuration of them."""

from __future__ import annotations

from typing import Any

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
            "description": {
                "model": "t5",
                "t5": {
                    "name": TEXT,
                    "finetune": False,
                    "word_dropout": 0.3,
                    "normalize_text": False,
                },
            }
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
