"""Load a MusicGen from the hub or from a folder, in either layout."""

from __future__ import annotations

import re
import zipfile
from pathlib import Path
from pickle import UnpicklingError
from typing import Any

import torch
from torch import Tensor, nn

from ossl_builder import parse
from ossl_builder.errors import OsslError
from ossl_builder.models import hub
from ossl_train.musicgen.codec import AudiocraftCodec, TextEncoder
from ossl_train.musicgen.codec import Codec as TransformersCodec
from ossl_train.musicgen.conversion import convert_codec, convert_language_model
from ossl_train.musicgen.decoders import AudiocraftModel, TransformersModel
from ossl_train.musicgen.model import Backbone, Codec, LanguageModel, unsupported
from ossl_train.musicgen.types import Shape
from ossl_train.pretrained import ALIASES, full_name, quiet

KINDS = ("audiocraft", "transformers")
LANGUAGE_MODEL, CODEC = "state_dict.bin", "compression_state_dict.bin"
"""audiocraft's two files; transformers' layout has a ``config.json``."""
TEXT = "condition_provider.conditioners.description.output_proj."
DELAYS = [0, 1, 2, 3]
HUB_ID = re.compile(r"\w[\w.-]*(/\w[\w.-]*)?", re.ASCII)


def load_backbone(
    source: str,
    kind: str = "transformers",
    device: str = "cpu",
    dtype: torch.dtype = torch.float32,
) -> Backbone:
    """Load a frozen MusicGen.

    Args:
        source: ``small``, ``medium``, ``large``, a hub id, or a folder. A folder in audiocraft's
            layout (``state_dict.bin``) serves both kinds; one in transformers' layout
            (``config.json``) serves ``transformers``.
        kind: ``audiocraft`` or ``transformers``.
        device: device of the model.
        dtype: type of the language model's weights; text encoder and codec stay in float32.

    Raises:
        OsslError: `model_missing`, `model_damaged`, `model_kind`, `model_unsupported`.
    """
    if kind not in KINDS:
        raise OsslError(
            "model_kind", f"There is no backbone {kind!r}.", f"Use {' or '.join(KINDS)}."
        )
    location = _located(source)
    in_folder = isinstance(location, Path)
    try:
        with quiet():
            if kind == "transformers" and not _has(location, LANGUAGE_MODEL):
                parts = _from_transformers(str(location), source)
            elif in_folder and not _has(location, LANGUAGE_MODEL):
                raise OsslError(
                    "model_kind",
                    f"{source} has a MusicGen in transformers' layout.",
                    "Use `--set model.backbone=transformers`, or give a folder with "
                    f"{LANGUAGE_MODEL} and {CODEC}.",
                )
            else:
                parts = _from_audiocraft(location, source, kind)
    except (AttributeError, EOFError, KeyError, RuntimeError, TypeError, UnpicklingError) as error:
        raise OsslError(
            "model_damaged",
            f"{source} cannot be read as a MusicGen ({_first_line(error)}).",
            "Download or write the model again.",
        ) from error
    except (OSError, ValueError) as error:
        raise _missing(source, error) from error
    language_model, text_encoder, codec, shape = parts
    return Backbone(kind, source, shape, language_model, text_encoder, codec, dtype).to(device)


Parts = tuple[LanguageModel, TextEncoder, Codec, Shape]


def _located(source: str) -> Path | str:
    """Return the folder, or the hub id."""
    if full_name(source) != source:
        return full_name(source)
    path = Path(source).expanduser()
    if path.is_dir():
        return path
    # A hub id is OWNER/NAME; anything else must be a folder.
    if source.count("/") == 1 and not source.startswith((".", "/", "~")):
        return source
    raise _missing(source, None)


def _has(location: Path | str, name: str) -> bool:
    return isinstance(location, Path) and (location / name).is_file()


def _missing(source: str, error: Exception | None) -> OsslError:
    why = "" if error is None else f" ({_first_line(error)})"
    return OsslError(
        "model_missing",
        f"MusicGen {source} is not on this machine and cannot be downloaded{why}.",
        "Give a folder with the model. Or, with a network, run the command again, or download "
        f"it once with `hf download {ALIASES.get(source, ALIASES['small'])}`, after which it works "
        "offline.",
    )


def _first_line(error: Exception) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0][:200]


def _from_audiocraft(location: Path | str, source: str, kind: str) -> Parts:
    package = _package(location, LANGUAGE_MODEL)
    settings = _settings(package)
    weights: dict[str, Tensor] = dict(package["best_state"])
    size = settings.transformer_lm
    if size.n_q == 2 * len(DELAYS):
        raise unsupported(source, "is a stereo model")
    if size.n_q != len(DELAYS) or list(settings.codebooks_pattern.delay.delays) != DELAYS:
        raise unsupported(source, "does not delay four codebooks by 0, 1, 2 and 3 frames")
    # `args` are options of all conditions, and are no condition.
    if set(settings.conditioners) - {"args"} != {"description"}:
        raise unsupported(source, "has other conditions than a text")
    projection = nn.Linear(weights[f"{TEXT}weight"].shape[1], size.dim)
    projection.load_state_dict({key: weights.pop(TEXT + key) for key in ("weight", "bias")})
    text_encoder = _text_encoder(location, settings.conditioners.description.t5.name)
    language_model: LanguageModel
    if kind == "transformers":
        language_model = convert_language_model(size, weights, projection)
    else:
        language_model = _audiocraft_model(settings, weights, projection)
    codec = _audiocraft_codec(location, kind)
    shape = Shape(
        dim=size.dim,
        n_heads=size.num_heads,
        n_layers=size.num_layers,
        n_codebooks=size.n_q,
        cardinality=size.card,
        frame_rate=codec.frame_rate,
        sample_rate=codec.sample_rate,
        text_dim=text_encoder.width,
    )
    return language_model, text_encoder, codec, shape


def _package(location: Path | str, name: str) -> dict[str, Any]:
    path = location / name if isinstance(location, Path) else hub.download_file(location, name)
    # Mapped from the file, weights are shared by all processes. Old files are no archives.
    package: dict[str, Any] = torch.load(
        path, map_location="cpu", weights_only=True, mmap=zipfile.is_zipfile(path)
    )
    return package


def _settings(package: dict[str, Any]) -> Any:
    """Return audiocraft's settings in a package. They are plain values, without class names."""
    from omegaconf import OmegaConf

    return OmegaConf.create(parse.yaml_value(package["xp.cfg"]))


def _audiocraft_model(
    settings: Any, weights: dict[str, Tensor], projection: nn.Module
) -> AudiocraftModel:
    from audiocraft.models.builders import get_lm_model

    # The text encoder is loaded separately, and the caller sets the precision.
    settings.conditioners, settings.device, settings.dtype = {}, "cpu", "float32"
    model = get_lm_model(settings)
    model.load_state_dict(weights)
    return AudiocraftModel(model, projection)


def _audiocraft_codec(location: Path | str, kind: str) -> Codec:
    package = _package(location, CODEC)
    if "pretrained" in package:
        from transformers import EncodecModel

        return TransformersCodec(
            EncodecModel.from_pretrained(_beside(location, package["pretrained"]))
        )
    settings = _settings(package)
    if kind == "transformers":
        return convert_codec(settings, package["best_state"])
    from audiocraft.models.builders import get_compression_model

    settings.device = "cpu"
    model = get_compression_model(settings)
    model.load_state_dict(package["best_state"])
    return AudiocraftCodec(model)


def _beside(location: Path | str, name: str) -> str:
    """Return the location of a model that another model names: a folder inside it, or a hub id.

    Raises:
        ValueError: it is a path.
    """
    if not HUB_ID.fullmatch(name):
        raise ValueError(f"it names the model {parse.shown(name)}")
    inside = location / name if isinstance(location, Path) else None
    return str(inside) if inside is not None and inside.is_dir() else name


def _text_encoder(location: Path | str, name: str) -> TextEncoder:
    from transformers import T5EncoderModel, T5Tokenizer

    t5 = _beside(location, name)
    return TextEncoder(T5Tokenizer.from_pretrained(t5), T5EncoderModel.from_pretrained(t5))


def _from_transformers(location: str, source: str) -> Parts:
    from transformers import AutoTokenizer, MusicgenForConditionalGeneration

    model = MusicgenForConditionalGeneration.from_pretrained(location, dtype=torch.float32)
    size = model.config.decoder
    if size.num_codebooks != len(DELAYS) or size.audio_channels != 1:
        raise unsupported(source, "is not a mono model with four codebooks")
    codec = TransformersCodec(model.audio_encoder)
    text_encoder = TextEncoder(
        AutoTokenizer.from_pretrained(location, trust_remote_code=False), model.text_encoder
    )
    projection = getattr(model, "enc_to_dec_proj", nn.Identity())
    shape = Shape(
        dim=size.hidden_size,
        n_heads=size.num_attention_heads,
        n_layers=size.num_hidden_layers,
        n_codebooks=size.num_codebooks,
        cardinality=size.vocab_size,
        frame_rate=codec.frame_rate,
        sample_rate=codec.sample_rate,
        text_dim=text_encoder.width,
    )
    return TransformersModel(model.decoder, projection), text_encoder, codec, shape
