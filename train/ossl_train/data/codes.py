"""Stages `codes` and `text`: EnCodec codes of the music, and T5 states of the prompts."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Literal, Protocol

from pydantic import Field

from ossl_builder.engine.cache import UNSHAPING
from ossl_builder.engine.settings import Settings
from ossl_builder.engine.stage import Item, Outcome, Reject, Stage, versions
from ossl_builder.files import sha256_json
from ossl_builder.media.loudness import dbfs
from ossl_builder.models.hub import fingerprint
from ossl_builder.tables import Caption, Clip
from ossl_train.data.storage import (
    CODES,
    CODES_TABLE,
    TEXT,
    TEXT_TABLE,
    StoredPrompt,
    StoredWindow,
    StoreWriter,
    window_key,
)
from ossl_train.data.window_loader import window_audio
from ossl_train.data.windows import WindowsSettings, window_spans
from ossl_train.pretrained import checked_device, full_name, shown_name

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from ossl_train.musicgen.model import Backbone

# Audiocraft has the codec in a file of its own, transformers in the model's file.
CODEC_FILES = ("compression_state_dict.bin", "*.safetensors", "*.bin")
# A local folder may hold its T5; a model on the hub only names one.
T5_FILES = ("t5*/**/*", "state_dict.bin", "*.safetensors", "*.bin")
WITHOUT_MOOD = "a film soundtrack."


class CodesSettings(Settings):
    """Section `codes` of a training recipe: how the music is encoded."""

    silent_dbfs: float = Field(
        -72.0, ge=-200, le=0,
        description="a window whose music never peaks above this is silent and left out, dBFS",
    )  # fmt: skip
    device: Literal["auto", "cpu", "cuda"] = Field(
        "auto", description="device of EnCodec", json_schema_extra=UNSHAPING
    )


class PromptsSettings(Settings):
    """Section `prompts` of a training recipe: the text that the model gets."""

    use_labels: bool = Field(
        True, description="take mood and caption from the labels table; false: one prompt for all"
    )
    use_captions: bool = Field(True, description="add the caption, if there is one, to the mood")
    model_captions: bool = Field(
        False,
        description="where no person wrote a caption, add that of a model (`ossl label caption`)",
    )
    unlabelled: Literal["keep", "leave_out"] = Field(
        "keep", description="clips without a mood: keep them with a prompt that names none"
    )
    device: Literal["auto", "cpu", "cuda"] = Field(
        "auto", description="device of T5", json_schema_extra=UNSHAPING
    )

    def tables(self) -> dict[str, bool]:
        """Return the arguments of `read_source`: which tables the prompts need."""
        return {"use_labels": self.use_labels, "model_captions": self.model_captions}


class _MusicGenSettings(Settings):
    """The MusicGen whose codec and text encoder are used; the hashes of its files are an input."""

    source: str = Field("", description="MusicGen", json_schema_extra=UNSHAPING)
    backbone: str = Field("transformers", description="of MusicGen", json_schema_extra=UNSHAPING)


class CodesStageSettings(CodesSettings, WindowsSettings, _MusicGenSettings):
    """The recipe's sections `codes` and `windows`, and the MusicGen."""


class TextStageSettings(_MusicGenSettings):
    """The MusicGen and the device of T5; the prompts are the stage's input rows."""

    device: Literal["auto", "cpu", "cuda"] = Field(
        "auto", description="device of T5", json_schema_extra=UNSHAPING
    )


def cached_backbone(source: str, backbone: str, device: str) -> Backbone:
    """Load a MusicGen for its codec and text encoder; the last one stays loaded.

    Raises:
        OsslError: `no_gpu`, `not_installed`, and those of `load_backbone`.
    """
    return _load_backbone(source, backbone, checked_device(device))


@lru_cache(maxsize=1)
def _load_backbone(source: str, backbone: str, device: str) -> Backbone:
    from ossl_train.musicgen import load_backbone

    return load_backbone(source, backbone, device)


def codes_input_hash(clips: Sequence[Clip]) -> str:
    """Return the hash of what the codes of a film depend on: the music of its clips."""
    return sha256_json([[c.clip_id, c.duration_s, c.music_sha256] for c in clips])


def make_codes(item: Item) -> Outcome:
    """Encode the music of every window that is not silent.

    Each window is encoded by itself, as the model gets it in training. The loudness is that of
    the film. Nothing is padded: the codes end where the audio ends.

    Raises:
        OsslError: `audio_unreadable`, and those of `load_backbone`.
    """
    settings: CodesStageSettings = item.config
    clips: tuple[Clip, ...] = item.rows["clips"]
    backbone = cached_backbone(settings.source, settings.backbone, settings.device)
    total = sum(len(window_spans(clip, settings)) for clip in clips)
    rows: list[StoredWindow] = []
    silent: dict[str, Reject] = {}
    stored: dict[str, Any] = {}
    with StoreWriter(item.folder / f"{CODES}.safetensors") as store:
        for clip in clips:
            spans = window_spans(clip, settings)
            waves = window_audio(item.file(clip.music_path), spans, backbone.shape.sample_rate)
            for window, wave in zip(spans, waves, strict=True):
                key, peak = window_key(clip.clip_id, window.index), dbfs(float(abs(wave).max()))
                if peak is None or peak <= settings.silent_dbfs:
                    message = (
                        f"The music of {clip.clip_id} never peaks above {settings.silent_dbfs} "
                        "dBFS in this window."
                    )
                    silent[key] = Reject("silent", message, window.start_s, window.end_s)
                    continue
                codes = encode_music(backbone, wave)
                store.add(key, codes)
                stored[key] = {
                    "start_s": window.start_s, "duration_s": window.duration_s,
                    "peak_dbfs": round(peak, 2),
                }  # fmt: skip
                rows.append(
                    StoredWindow(
                        clip.film_id, clip.clip_id, window.index, window.start_s,
                        window.duration_s, codes.shape[1],
                    )
                )  # fmt: skip
                item.progress((len(rows) + len(silent)) / total)
        store.metadata = {
            "encoder": shown_name(settings.source),
            "digest": backbone.codec_digest,
            "rate": backbone.shape.frame_rate,
            "sample_rate": backbone.shape.sample_rate,
            "codebooks": backbone.shape.n_codebooks,
            "cardinality": backbone.shape.cardinality,
            "length_s": settings.length_s,
            "shortest_s": settings.shortest_s,
            "hop_s": settings.step_s(),
            "silent_dbfs": settings.silent_dbfs,
            "clips": {clip.clip_id: clip.music_sha256 for clip in clips},
            "windows": stored,
            "silent": list(silent),
        }
    return Outcome(tuple(rows), tuple(silent.values()))


def encode_music(backbone: Backbone, wave: NDArray[np.float32]) -> NDArray[np.int16]:
    """Return the codes [K, T] of mono audio [samples] at the model's rate, full scale 1."""
    import torch

    audio = torch.from_numpy(wave)[None, None]
    with torch.inference_mode():
        codes = backbone.encode_audio(audio)
    as_int16: NDArray[np.int16] = codes[0].cpu().to(torch.int16).numpy()
    return as_int16


def _codes_tools(settings: CodesStageSettings) -> dict[str, str]:
    codec = fingerprint(full_name(settings.source), CODEC_FILES)
    return {"codec": codec, **versions("av", "torch")}


def _prepare(settings: CodesStageSettings | TextStageSettings) -> None:
    cached_backbone(settings.source, settings.backbone, settings.device)


CODES_STAGE = Stage(
    name=CODES,
    version=1,
    reads=("clips",),
    writes=CODES_TABLE,
    config=CodesStageSettings,
    run=make_codes,
    folder=CODES,
    tools=_codes_tools,
    prepare=_prepare,
)


@dataclass(frozen=True)
class ClipPrompt:
    """A clip and its prompt; `caption_model`: the model that wrote the caption in it, or None."""

    film_id: str
    clip_id: str
    prompt: str
    caption_model: str | None = None


def paper_prompt(mood: str | None, caption: str | None) -> str:
    """Return the prompt of the OSSL paper (arXiv 2506.12573): mood, then caption.

    Without a caption it ends after the mood's sentence. The paper has no clips without a mood.
    Here the prompt of such a clip names only the kind of music, so that no mood is invented.

    Returns:
        For example `a film soundtrack for a tense scene. Low strings, slowly rising.`
    """
    mood, caption = (mood or "").strip(), (caption or "").strip()
    begin = f"a film soundtrack for a {mood} scene." if mood else WITHOUT_MOOD
    return f"{begin} {caption}" if caption else begin


class Texts(Protocol):
    """What a prompt is made of: the label of a clip, or a clip of an evaluation set."""

    @property
    def mood(self) -> str | None:
        """Its mood."""

    @property
    def caption(self) -> str | None:
        """Its caption."""


def prompt_of(
    label: Texts | None, settings: PromptsSettings, model_caption: Caption | None = None
) -> str | None:
    """Return the prompt of a clip by its label; None: leave the clip out.

    Args:
        label: its label, or none.
        settings: section `prompts` of the recipe.
        model_caption: what a model wrote about it, or none; a person's caption is preferred.
    """
    if not settings.use_labels:
        return paper_prompt(None, None)
    mood = label.mood if label else None
    if not (mood or "").strip() and settings.unlabelled == "leave_out":
        return None
    if caption_model(label, settings, model_caption) and model_caption:
        return paper_prompt(mood, model_caption.caption)
    return paper_prompt(mood, label.caption if label and settings.use_captions else None)


def caption_model(
    label: Texts | None, settings: PromptsSettings, model_caption: Caption | None
) -> str | None:
    """Return the name of the model whose caption is in the prompt of a clip; None: no model's.

    The arguments are those of `prompt_of`.
    """
    by_person = label.caption if label else None
    allowed = settings.use_labels and settings.use_captions and settings.model_captions
    if model_caption is None or not allowed or (by_person or "").strip():
        return None
    return model_caption.model


def text_input_hash(prompts: Sequence[ClipPrompt]) -> str:
    """Return the hash of what the text states of a film depend on: the prompts."""
    return sha256_json(
        [
            [one.clip_id, one.prompt, *([one.caption_model] if one.caption_model else [])]
            for one in prompts
        ]
    )


def prompt_key(prompt: str) -> str:
    """Return the name of a prompt's tensor."""
    return hashlib.sha256(prompt.encode()).hexdigest()[:32]


def make_text(item: Item) -> Outcome:
    """Encode each prompt once, one at a time, so that padding does not change the states.

    Raises:
        OsslError: those of `load_backbone`.
    """
    import torch

    settings: TextStageSettings = item.config
    prompts: tuple[ClipPrompt, ...] = item.rows["prompts"]
    backbone = cached_backbone(settings.source, settings.backbone, settings.device)
    lengths: dict[str, int] = {}
    with StoreWriter(item.folder / f"{TEXT}.safetensors") as store:
        for prompt in sorted({clip_prompt.prompt for clip_prompt in prompts}):
            with torch.inference_mode():
                text = backbone.encode_text([prompt])
            states = text.states[0][text.mask[0]].float().cpu().numpy()
            store.add(prompt_key(prompt), states)
            lengths[prompt] = len(states)
            item.progress(len(lengths) / len(prompts))
        store.metadata = {
            "encoder": shown_name(settings.source),
            "digest": fingerprint(full_name(settings.source), T5_FILES),
            "width": backbone.shape.text_dim,
            "prompts": {clip_prompt.clip_id: clip_prompt.prompt for clip_prompt in prompts},
        }
    return Outcome(
        tuple(
            StoredPrompt(
                clip_prompt.film_id,
                clip_prompt.clip_id,
                clip_prompt.prompt,
                lengths[clip_prompt.prompt],
                clip_prompt.caption_model,
            )
            for clip_prompt in prompts
        )
    )


def _text_tools(settings: TextStageSettings) -> dict[str, Any]:
    digest = fingerprint(full_name(settings.source), T5_FILES)
    return {"text encoder": digest, **versions("torch", "transformers")}


TEXT_STAGE = Stage(
    name=TEXT,
    version=1,
    reads=("prompts",),
    writes=TEXT_TABLE,
    config=TextStageSettings,
    run=make_text,
    folder=TEXT,
    tools=_text_tools,
    prepare=_prepare,
)
