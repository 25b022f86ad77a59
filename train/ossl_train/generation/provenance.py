"""What a piece was made from, in a file beside it: equal facts need not be made again."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ossl_builder import __version__, files, parse
from ossl_builder.engine.cache import UNSHAPING
from ossl_train.data import vivit
from ossl_train.generation.models import Chosen
from ossl_train.generation.requests import GenerateSettings
from ossl_train.generation.sampling import GeneratedSample
from ossl_train.model_paths import fingerprint, shown_name
from ossl_train.recipe import TrainRecipe

FORMAT = 1
MODEL_FILES = ("**/*.bin", "**/*.safetensors")


@dataclass(frozen=True)
class Target:
    """Where a sample's files stand.

    Attributes:
        wav: the music.
        with_video: whether a video with it is wanted.
    """

    wav: Path
    with_video: bool

    @property
    def note(self) -> Path:
        """What says how it was made."""
        return self.wav.with_suffix(".json")

    @property
    def video(self) -> Path | None:
        """The video with the music."""
        return self.wav.with_suffix(".mp4") if self.with_video else None


def shared_facts(chosen: Chosen, recipe: TrainRecipe, settings: GenerateSettings) -> dict[str, Any]:
    """What all samples of a generation are made from; found without loading a model.

    Args:
        chosen: the adapter.
        recipe: with folders in place of `tiny`.
        settings: see there.
    """
    facts: dict[str, Any] = {
        "program": f"ossl-builder {__version__}",
        "model": {
            "source": shown_name(recipe.model.source),
            "backbone": recipe.model.backbone,
            "sha256": fingerprint(recipe.model.source, MODEL_FILES),
        },
        "settings": {
            key: getattr(settings, key)
            for key, field in GenerateSettings.model_fields.items()
            if field.json_schema_extra != UNSHAPING
        },
        "adapter": None,
        "with_dialogue": chosen.adapter is not None and recipe.model.dialogue,
    }
    if chosen.adapter is not None:
        features = recipe.features
        facts["adapter"] = {
            "file": chosen.adapter.name,
            "sha256": files.sha256_file(chosen.adapter),
        }
        facts["features"] = {
            "encoder": shown_name(features.encoder),
            "digest": vivit.digest(features.encoder, features.revision),
            "pooling": features.pooling,
            "precision": features.precision,
        }
    return facts


def facts_of(sample: GeneratedSample, shared: Mapping[str, Any]) -> dict[str, Any]:
    """What one sample is made from."""
    piece = sample.piece
    own = {
        "video": {"sha256": piece.video_sha256, "duration_s": piece.duration_s},
        "dialogue_sha256": piece.dialogue_sha256 if shared["with_dialogue"] else None,
        "prompt": piece.prompt,
        "seed": sample.seed,
    }
    return {**shared, **own}


def read_provenance(target: Target) -> dict[str, Any] | None:
    """What stands beside a sample; None where there is nothing that can be read."""
    try:
        found = parse.json_value(target.note.read_bytes())
    except (OSError, ValueError):
        return None
    return found if isinstance(found, dict) and found.get("format") == FORMAT else None


def lacking(target: Target, facts: Mapping[str, Any]) -> str:
    """Why a sample must be made: empty if it is there, made from the same; `video`: only that."""
    note = read_provenance(target)
    if note is None or not target.wav.is_file():
        return "not made yet"
    before = note.get("made_from", {})
    if before != json.loads(files.json_bytes(facts)):
        changed = sorted(key for key in facts if facts[key] != before.get(key))
        return f"made from other {', '.join(changed) or 'facts'}"
    if note["made"]["wav_sha256"] != files.sha256_file(target.wav):
        return "the WAV was changed"
    video = target.video
    if video is not None and (
        note["made"].get("video_sha256") is None
        or not video.is_file()
        or note["made"]["video_sha256"] != files.sha256_file(video)
    ):
        return VIDEO_ONLY
    return ""


VIDEO_ONLY = "the video is missing"


def write_provenance(target: Target, facts: Mapping[str, Any], made: Mapping[str, Any]) -> None:
    """Write down how a sample was made; written after the files that it vouches for."""
    video = target.video if target.video is not None and target.video.is_file() else None
    found = {
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
    text = json.dumps(found, indent=1, ensure_ascii=False, sort_keys=True)
    files.write_bytes(target.note, text.encode() + b"\n")
