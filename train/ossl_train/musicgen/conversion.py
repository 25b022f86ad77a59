"""Convert weights and configuration from audiocraft's layout to that of transformers."""

from __future__ import annotations

import re
from math import log2, prod
from typing import Any

from torch import Tensor, nn

from ossl_train.musicgen.codec import Codec
from ossl_train.musicgen.decoders import TransformersModel

PARTS = (
    (r"^emb\.", "model.decoder.embed_tokens."),
    (r"^linears\.", "lm_heads."),
    (r"^out_norm\.", "model.decoder.layer_norm."),
    (r"^transformer\.layers\.", "model.decoder.layers."),
    (r"\.cross_attention\.", ".encoder_attn."),
    (r"\.norm_cross\.", ".encoder_attn_layer_norm."),
    (r"\.norm1\.", ".self_attn_layer_norm."),
    (r"\.norm2\.", ".final_layer_norm."),
    (r"\.linear(\d)\.", r".fc\1."),
)
"""Names of the language model's parts in audiocraft and in transformers, as patterns."""
CODEC_PARTS = (
    (r"^(encoder|decoder)\.model\.", r"\1.layers."),
    (r"\.conv\.conv\.", ".conv."),
    (r"\.convtr\.convtr\.", ".conv."),
    (r"\.weight_g$", ".parametrizations.weight.original0"),
    (r"\.weight_v$", ".parametrizations.weight.original1"),
    (r"^quantizer\.vq\.layers\.(\d+)\._codebook\.", r"quantizer.layers.\1.codebook."),
)


def convert_language_model(
    settings: Any, weights: dict[str, Tensor], projection: nn.Module
) -> TransformersModel:
    """Return a transformers decoder with the weights of an audiocraft `LMModel`.

    Args:
        settings: ``transformer_lm`` of audiocraft's configuration.
        weights: its state, without the text conditioner.
        projection: of the text's states.
    """
    from transformers import MusicgenDecoderConfig, MusicgenForCausalLM

    config = MusicgenDecoderConfig(
        vocab_size=settings.card,
        num_hidden_layers=settings.num_layers,
        ffn_dim=int(settings.hidden_scale * settings.dim),
        num_attention_heads=settings.num_heads,
        hidden_size=settings.dim,
        activation_function=settings.activation,
        num_codebooks=settings.n_q,
        dropout=0.0,
        pad_token_id=settings.card,
        bos_token_id=settings.card,
        is_decoder=True,
        add_cross_attention=True,
    )
    model = MusicgenForCausalLM(config)
    model.load_state_dict(renamed_language_model(weights))
    return TransformersModel(model, projection)


def renamed_language_model(weights: dict[str, Tensor]) -> dict[str, Tensor]:
    """Rename weights to transformers' names; split queries, keys and values."""
    renamed: dict[str, Tensor] = {}
    for name, weight in weights.items():
        name = _renamed(name, PARTS)
        if name.endswith("in_proj_weight"):
            stem = name.removesuffix("in_proj_weight")
            for part, rows in zip("qkv", weight.chunk(3), strict=True):
                renamed[f"{stem}{part}_proj.weight"] = rows
        else:
            renamed[name] = weight
    return renamed


def convert_codec(settings: Any, weights: dict[str, Tensor]) -> Codec:
    """Return a transformers EnCodec with audiocraft's weights (`encodec`, `seanet`, `rvq`)."""
    from transformers import EncodecConfig, EncodecModel

    shape, quantizer = settings.seanet, settings.rvq
    hop = prod(shape.ratios)
    rate = settings.encodec.sample_rate
    config = EncodecConfig(
        # Kilobits per second of all codebooks plus half of one: rounding down gives all of them.
        target_bandwidths=[(quantizer.n_q + 0.5) * rate / hop * log2(quantizer.bins) / 1000],
        sampling_rate=rate,
        audio_channels=shape.channels,
        normalize=settings.encodec.renormalize,
        hidden_size=shape.dimension,
        num_filters=shape.n_filters,
        num_residual_layers=shape.n_residual_layers,
        upsampling_ratios=list(shape.ratios),
        norm_type=shape.norm,
        kernel_size=shape.kernel_size,
        last_kernel_size=shape.last_kernel_size,
        residual_kernel_size=shape.residual_kernel_size,
        dilation_growth_rate=shape.dilation_base,
        use_causal_conv=shape.causal,
        pad_mode=shape.pad_mode,
        compress=shape.compress,
        num_lstm_layers=shape.lstm,
        use_conv_shortcut=not shape.true_skip,
        codebook_size=quantizer.bins,
    )
    model = EncodecModel(config)
    model.load_state_dict({_renamed(name, CODEC_PARTS): weights[name] for name in weights})
    return Codec(model)


def _renamed(name: str, parts: tuple[tuple[str, str], ...]) -> str:
    for pattern, replacement in parts:
        name = re.sub(pattern, replacement, name)
    return name
