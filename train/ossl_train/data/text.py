"""Stage `text`: T5's states of the prompts of a film's clips, each prompt once."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from ossl_builder.engine.files import sha256_json
from ossl_builder.engine.stage import Item, Outcome, Stage
from ossl_builder.tools.packages import versions
from ossl_train.data.codes import load_model
from ossl_train.data.store import StoreWriter
from ossl_train.data.stores import TEXT, TEXT_TABLE, StoredPrompt
from ossl_train.data.work import TextWork
from ossl_train.places import fingerprint, shown_name

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
