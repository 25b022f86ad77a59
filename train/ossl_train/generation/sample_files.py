"""The files of a generated sample: the WAV, and the JSON that records what it was made from."""

from __future__ import annotations

import errno
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ossl_builder import __version__, files
from ossl_builder.engine.cache import UNSHAPING, changed_inputs
from ossl_builder.errors import OsslError
from ossl_builder.files import replacing
from ossl_builder.models.hub import fingerprint
from ossl_train.data.video_encoder import encoder_digest
from ossl_train.generation.models import ChosenAdapter
from ossl_train.generation.provenance import FORMAT, read_provenance
from ossl_train.generation.requests import GenerateSettings
from ossl_train.generation.sampling import GeneratedSample
from ossl_train.pretrained import full_name, shown_name
from ossl_train.recipe import TrainRecipe

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from torch import Tensor

    from ossl_train.musicgen import Backbone

    Mono = NDArray[np.float32]

PART_S, CONTEXT_S = 60.0, 2.0
"""Codes are decoded in parts, each with some context on both sides."""
CEILING = 10 ** (-0.1 / 20)
"""Highest sample that is written: 0.1 dB below full scale, because of rounding to 16 bits."""
REACH_S = 0.005
"""Time before and after a peak in which the gain is lowered."""


@dataclass(frozen=True)
class PeakLimiting:
    """How the peaks of audio were limited.

    Attributes:
        peak: highest sample before, full scale 1.
        seconds: time in which the gain was lowered by more than 0.1 dB.
        lowest_gain_db: lowest gain; 0: the audio is unchanged.
    """

    peak: float
    seconds: float
    lowest_gain_db: float


def decode(backbone: Backbone, codes: Tensor) -> Mono:
    """Decode codes [K, T] to audio [samples], part by part, at the loudness of the model."""
    import torch

    rate = backbone.shape.frame_rate
    part, context = round(PART_S * rate), round(CONTEXT_S * rate)
    hop = round(backbone.shape.sample_rate / rate)
    n_frames, parts = codes.shape[1], []
    for first in range(0, n_frames, part):
        begin, end = max(0, first - context), min(n_frames, first + part + context)
        with torch.inference_mode():
            audio = backbone.decode_audio(codes[None, :, begin:end].to(backbone.device))[0, 0]
        last = min(n_frames, first + part)
        parts.append(audio[(first - begin) * hop : (last - begin) * hop].float().cpu())
    decoded: Mono = torch.cat(parts).numpy()
    return decoded


def limit_peaks(audio: Mono, rate: int) -> tuple[Mono, PeakLimiting]:
    """Lower peaks above `CEILING`; return audio without such peaks unchanged.

    The gain changes only within 5 ms of a peak: elsewhere the loudness is that of the model.

    Args:
        audio: [samples], full scale 1.
        rate: samples per second.
    """
    import numpy as np
    from scipy.ndimage import minimum_filter1d, uniform_filter1d

    peak = float(np.abs(audio).max(initial=0.0))
    if peak <= CEILING:
        return audio, PeakLimiting(peak, 0.0, 0.0)
    needed = np.minimum(1.0, CEILING / np.maximum(np.abs(audio), CEILING).astype(np.float64))
    reach = 2 * round(REACH_S * rate) + 1
    # If every value of a segment is low enough, so is their mean.
    gain = uniform_filter1d(minimum_filter1d(needed, reach), reach)
    lowered = np.clip(audio * gain, -CEILING, CEILING).astype(np.float32)
    audible = float((gain < 10 ** (-0.1 / 20)).sum() / rate)
    return lowered, PeakLimiting(
        peak, round(audible, 3), round(20 * float(np.log10(gain.min())), 2)
    )


def write_wav(path: Path, audio: Mono, rate: int) -> None:
    """Write one channel [samples] as 16-bit WAV; equal audio gives equal bytes.

    Raises:
        OsslError: `write_failed`. A full disk raises `OSError`.
    """
    import soundfile

    try:
        with replacing(path) as temporary:
            soundfile.write(str(temporary), audio, rate, subtype="PCM_16", format="WAV")
            with temporary.open("rb+") as file:
                # libsndfile does not report a full disk: complete files have this length.
                if file.seek(0, 2) < 2 * len(audio):
                    raise OSError(errno.ENOSPC, "full")
    except soundfile.LibsndfileError as error:
        raise OsslError(
            "write_failed",
            f"{path} could not be written: {str(error).rstrip('.')}.",
            "Free disk space, and run the same command again.",
        ) from error


MODEL_FILES = ("**/*.bin", "**/*.safetensors")


@dataclass(frozen=True)
class OutputFiles:
    """The output files of a sample.

    Attributes:
        wav: the music.
        with_video: whether to write the video with the music as well.
    """

    wav: Path
    with_video: bool

    @property
    def note(self) -> Path:
        """The file that records the inputs."""
        return self.wav.with_suffix(".json")

    @property
    def video(self) -> Path | None:
        """The video with the music."""
        return self.wav.with_suffix(".mp4") if self.with_video else None


def shared_facts(
    chosen: ChosenAdapter, recipe: TrainRecipe, settings: GenerateSettings
) -> dict[str, Any]:
    """Return the inputs that all samples of a generation share; no model is loaded.

    Args:
        chosen: the adapter.
        recipe: the recipe, with folders in place of the name `tiny`.
        settings: settings of the generation.
    """
    facts: dict[str, Any] = {
        "program": f"ossl-builder {__version__}",
        "model": {
            "source": shown_name(recipe.model.source),
            "backbone": recipe.model.backbone,
            "sha256": fingerprint(full_name(recipe.model.source), MODEL_FILES),
        },
        "settings": {
            key: getattr(settings, key)
            for key, field in GenerateSettings.model_fields.items()
            if field.json_schema_extra != UNSHAPING
        },
        "adapter": None,
        "with_dialogue": chosen.adapter is not None
        and (recipe.model.dialogue or recipe.model.events),
        "with_events": chosen.adapter is not None and recipe.model.events,
    }
    if chosen.adapter is not None:
        features = recipe.features
        facts["adapter"] = {
            "file": chosen.adapter.name,
            "sha256": files.sha256_file(chosen.adapter),
        }
        facts["features"] = {
            "encoder": shown_name(features.encoder),
            "digest": encoder_digest(features.encoder, features.revision),
            "pooling": features.pooling,
            "precision": features.precision,
        }
    return facts


def sample_facts(sample: GeneratedSample, shared: Mapping[str, Any]) -> dict[str, Any]:
    """Return all inputs of one sample."""
    request = sample.request
    knows_cuts = shared["with_events"] and request.cuts_s is not None
    of_sample = {
        "video": {"sha256": request.video_sha256, "duration_s": request.duration_s},
        "dialogue_sha256": request.dialogue_sha256 if shared["with_dialogue"] else None,
        "cuts_s": list(request.cuts_s or ()) if knows_cuts else None,
        "prompt": request.prompt,
        "seed": sample.seed,
    }
    if request.caption_model is not None:
        of_sample["caption_model"] = request.caption_model
    return {**shared, **of_sample}


def reason_to_make(target: OutputFiles, facts: Mapping[str, Any]) -> str:
    """Return why a sample must be generated; empty: it is up to date; or `VIDEO_ONLY`."""
    note = read_provenance(target.note)
    if note is None or not target.wav.is_file():
        return "not generated yet"
    changed = changed_inputs(note.get("made_from", {}), facts)
    if changed:
        return f"changed: {', '.join(changed)}"
    if note["made"]["wav_sha256"] != files.sha256_file(target.wav):
        return "the WAV has changed"
    video = target.video
    if video is not None and (
        note["made"].get("video_sha256") is None
        or not video.is_file()
        or note["made"]["video_sha256"] != files.sha256_file(video)
    ):
        return VIDEO_ONLY
    return ""


VIDEO_ONLY = "the video is missing"


def write_provenance(
    target: OutputFiles, facts: Mapping[str, Any], made: Mapping[str, Any]
) -> None:
    """Write the provenance file of a sample, after the files that it describes."""
    video = target.video if target.video is not None and target.video.is_file() else None
    provenance = {
        "format": FORMAT,
        "made_from": dict(facts),
        "made": {
            **made,
            "wav": target.wav.name,
            "wav_sha256": files.sha256_file(target.wav),
            "video": None if video is None else video.name,
            "video_sha256": None if video is None else files.sha256_file(video),
        },
    }
    text = json.dumps(provenance, indent=1, ensure_ascii=False, sort_keys=True)
    files.write_bytes(target.note, text.encode() + b"\n")
