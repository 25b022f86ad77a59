"""Stage `text`: T5 states of the prompts of a film's clips, each prompt encoded once."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from ossl_builder.engine.stage import Item, Outcome, Stage, versions
from ossl_builder.files import sha256_json
from ossl_builder.tables import Label
from ossl_train.data.codes import load_model
from ossl_train.data.storage import TEXT, TEXT_TABLE, StoredPrompt, StoreWriter
from ossl_train.data.windows import TextWork
from ossl_train.model_paths import fingerprint, shown_name
from ossl_train.recipe import PromptsSettings

# A local folder may hold its T5; of a model on the hub, which names one, the model itself tells.
T5_FILES = ("t5*/**/*", "state_dict.bin", "*.safetensors", "*.bin")


@dataclass(frozen=True)
class Prompted:
    """A clip and its prompt."""

    film_id: str
    clip_id: str
    prompt: str


def text_facts(prompted: Sequence[Prompted]) -> str:
    """Hash of what shapes the states: the prompts."""
    return sha256_json([[one.clip_id, one.prompt] for one in prompted])


def prompt_key(prompt: str) -> str:
    """The name of a prompt's tensor."""
    return hashlib.sha256(prompt.encode()).hexdigest()[:32]


def make_text(item: Item) -> Outcome:
    """Encode the prompts one by one: no prompt's states depend on another's padding.

    Raises:
        OsslError: those of `load_backbone`.
    """
    import torch

    work: TextWork = item.config
    prompted: tuple[Prompted, ...] = item.rows["prompts"]
    backbone = load_model(work.source, work.backbone, work.device)
    lengths: dict[str, int] = {}
    with StoreWriter(item.folder / f"{TEXT}.safetensors") as store:
        for prompt in sorted({one.prompt for one in prompted}):
            with torch.inference_mode():
                text = backbone.encode_text([prompt])
            states = text.states[0][text.mask[0]].float().cpu().numpy()
            store.add(prompt_key(prompt), states)
            lengths[prompt] = len(states)
            item.progress(len(lengths) / len(prompted))
        store.metadata = {
            "encoder": shown_name(work.source),
            "digest": fingerprint(work.source, T5_FILES),
            "width": backbone.shape.text_dim,
            "prompts": {one.clip_id: one.prompt for one in prompted},
        }
    return Outcome(
        tuple(
            StoredPrompt(one.film_id, one.clip_id, one.prompt, lengths[one.prompt])
            for one in prompted
        )
    )


def _tools(work: TextWork) -> dict[str, Any]:
    found = fingerprint(work.source, T5_FILES)
    return {"text encoder": found, **versions("torch", "transformers")}


def _prepare(work: TextWork) -> None:
    load_model(work.source, work.backbone, work.device)


TEXT_STAGE = Stage(
    name=TEXT,
    doc="Encode the prompt of every clip.",
    version=1,
    reads=("prompts",),
    writes=TEXT_TABLE,
    config=TextWork,
    run=make_text,
    folder=TEXT,
    tools=_tools,
    prepare=_prepare,
)


WITHOUT_MOOD = "a film soundtrack."


def prompt(mood: str | None, caption: str | None) -> str:
    """The prompt of the OSSL paper (arXiv 2506.12573): mood, then caption.

    Without a caption it ends after the mood's sentence. Without a mood, which the paper does not
    have, it names the kind of music only, so that no mood is invented.

    Returns:
        For example `a film soundtrack for a tense scene. Low strings, slowly rising.`
    """
    mood, caption = (mood or "").strip(), (caption or "").strip()
    begin = f"a film soundtrack for a {mood} scene." if mood else WITHOUT_MOOD
    return f"{begin} {caption}" if caption else begin


def prompt_of(label: Label | None, settings: PromptsSettings) -> str | None:
    """The prompt of a clip by its label; None: the clip is to be left out."""
    if not settings.use_labels:
        return prompt(None, None)
    mood = label.mood if label else None
    if not (mood or "").strip() and settings.unlabelled == "leave_out":
        return None
    return prompt(mood, label.caption if label and settings.use_captions else None)
