"""The film's own music through the model's codec: the best sound that the model can have."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ossl_builder.engine.cache import MadeFiles
from ossl_builder.errors import OsslError
from ossl_builder.files import explained_full_disk, inside, sha256_json
from ossl_builder.models.hub import fingerprint
from ossl_builder.tables import Clip
from ossl_train.data.codes import CODEC_FILES, encode_music
from ossl_train.generation.models import choose_adapter
from ossl_train.generation.sample_files import CONTEXT_S, PART_S, decode, limit_peaks, write_wav
from ossl_train.listening_test.design import CODEC
from ossl_train.listening_test.music import MusicOptions
from ossl_train.listening_test.stimuli import RATE, read_audio
from ossl_train.musicgen import Backbone, load_backbone
from ossl_train.pretrained import checked_device, full_name, shown_name, with_models
from ossl_train.recipe import TrainRecipe

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Mono = NDArray[np.float32]

STATE = ".codec.json"


@dataclass(frozen=True)
class CodecMusic:
    """The plan of this music.

    Attributes:
        folder: its files, one WAV for each clip.
        recipe: names the model, with a folder in place of the name `tiny`.
        device: `cpu` or `cuda`.
        facts: the codec, by content.
    """

    folder: Path
    recipe: TrainRecipe
    device: str
    facts: Mapping[str, Any]

    def file(self, name: str) -> Path:
        """Return the file of a clip."""
        return inside(self.folder, f"{name}.wav")


def plan_codec_music(options: MusicOptions, folder: Path, is_dry: bool) -> CodecMusic:
    """Plan the music; no model is loaded.

    Args:
        options: see `MusicOptions`.
        folder: the output folder.
        is_dry: write nothing, not even tiny models.

    Raises:
        OsslError: see `choose_adapter`.
    """
    chosen = choose_adapter(
        options.root, options.recipe, options.overrides, options.checkpoint, alpha=0.0
    )
    recipe = with_models(chosen.recipe, options.root, write=not is_dry)
    source = recipe.model.source
    facts = {
        "source": shown_name(source),
        "sha256": fingerprint(full_name(source), CODEC_FILES),
    }
    device = checked_device("auto" if is_dry else options.device or chosen.recipe.fit.device)
    return CodecMusic(folder / CODEC, recipe, device, facts)


def write_codec_music(
    plan: CodecMusic, root: Path, clips: Mapping[str, Clip], advance: Callable[[], None]
) -> None:
    """Write the files that are not up to date.

    Args:
        plan: see `plan_codec_music`.
        root: the folder that paths of `clips` are relative to.
        clips: clips by name.
        advance: called after each clip.

    Raises:
        OsslError: `audio_unreadable`, `file_missing`, `disk_full`, `write_failed`,
            `model_unsupported`, and those of `load_backbone`.
    """
    backbone: Backbone | None = None
    made = MadeFiles(plan.folder, plan.folder / STATE)
    for name, clip in clips.items():
        target = plan.file(name)
        digest = sha256_json([dict(plan.facts), clip.music_sha256, clip.duration_s])
        if not made.is_fresh(target.name, digest):
            backbone = backbone or _loaded(plan)
            music = read_audio(inside(root, clip.music_path), clip.duration_s).audio
            with explained_full_disk(plan.folder.parent):
                write_wav(target, limit_peaks(through_codec(backbone, music), RATE)[0], RATE)
                made.add(target.name, digest)
                made.save()
        advance()


def through_codec(backbone: Backbone, audio: Mono) -> Mono:
    """Encode audio [samples] at the rate of the model to codes, and decode them again.

    Long audio is encoded in parts, each with some context on both sides.
    """
    import numpy as np
    import torch

    hop = round(backbone.shape.sample_rate / backbone.shape.frame_rate)
    frame_rate = backbone.shape.frame_rate
    part, context = (round(length_s * frame_rate) * hop for length_s in (PART_S, CONTEXT_S))
    codes = []
    for first in range(0, len(audio), part):
        begin, last = max(0, first - context), min(len(audio), first + part)
        encoded = encode_music(backbone, audio[begin : last + context])
        skipped = (first - begin) // hop
        codes.append(encoded[:, skipped : skipped + -(-(last - first) // hop)])
    decoded = decode(backbone, torch.from_numpy(np.concatenate(codes, axis=1)).long())
    return decoded[: len(audio)]


def _loaded(plan: CodecMusic) -> Backbone:
    model = plan.recipe.model
    backbone = load_backbone(model.source, model.backbone, plan.device)
    if backbone.shape.sample_rate != RATE:
        raise OsslError(
            "model_unsupported",
            f"{shown_name(model.source)} has audio of {backbone.shape.sample_rate} Hz; the test "
            f"has {RATE} Hz.",
            "Use MusicGen small, medium or large, or leave out --codec.",
        )
    return backbone
