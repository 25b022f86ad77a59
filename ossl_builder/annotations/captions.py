"""Captions without people: a model describes the video of each clip.

The captions are in a table of their own. They are no annotations: agreement, moods and the labels
table are computed without them. A clip whose video has changed since has no current caption.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import Field

from ossl_builder.annotations.validation import mask_emails
from ossl_builder.engine import records, schedule, tables_io
from ossl_builder.engine.cache import UNSHAPING, Decision
from ossl_builder.engine.executors import inline
from ossl_builder.engine.records import Record
from ossl_builder.engine.schedule import Given, ItemState, Tell
from ossl_builder.engine.settings import Settings
from ossl_builder.engine.stage import Item, Outcome, Stage, versions
from ossl_builder.errors import Rejected
from ossl_builder.files import sha256_json
from ossl_builder.models import captioner, hub
from ossl_builder.tables import CAPTIONS, CLIPS, Caption, Clip
from ossl_builder.tables.captions import MAX_CHARACTERS

INSTRUCTION = "Describe in one short sentence what happens in these frames of a film."
MAX_RAW = 20 * MAX_CHARACTERS
# Control and format characters, and code points without a meaning for everybody.
UNWANTED = ("Cc", "Cf", "Cn", "Co", "Cs")


class CaptionSettings(Settings):
    """How clips are captioned; the digest of the model is an input of each caption."""

    model: str = Field(description="name on the hub, or a folder", json_schema_extra=UNSHAPING)
    revision: str | None = Field(
        None, description="revision on the hub", json_schema_extra=UNSHAPING
    )
    frames: int = Field(4, ge=1, le=32, description="frames of each clip, evenly spread")
    max_tokens: int = Field(40, ge=1, le=200, description="most tokens per text of the model")
    instruction: str = Field(
        INSTRUCTION, max_length=1000, description="for models that take an instruction"
    )
    device: str = Field("auto", description="of the model", json_schema_extra=UNSHAPING)


def clean_caption(texts: Sequence[str]) -> str:
    """Return the texts of a model as one line of plain text; empty: nothing is left.

    Control characters, repeated sentences and e-mail addresses are removed. A long text ends
    after a whole word, at `MAX_CHARACTERS` at most.

    Args:
        texts: what the model wrote; anything is possible.
    """
    sentences: dict[str, str] = {}
    for text in texts:
        plain = unicodedata.normalize("NFC", text[:MAX_RAW])
        kept = "".join(
            " " if char.isspace() else char
            for char in plain
            if char.isspace() or unicodedata.category(char) not in UNWANTED
        )
        words, _ = mask_emails(" ".join(kept.split()))
        if any(char.isalnum() for char in words):
            sentences.setdefault(words.casefold().rstrip(" ."), words)
    joined = " ".join(
        text if text.endswith((".", "!", "?")) else f"{text}." for text in sentences.values()
    )
    if len(joined) <= MAX_CHARACTERS:
        return joined
    whole_words = joined[: MAX_CHARACTERS + 1].rpartition(" ")[0]
    return whole_words or joined[:MAX_CHARACTERS]


def make_caption(item: Item) -> Outcome:
    """Caption one clip.

    Raises:
        OsslError: `no_video`, `video_undecodable`, `not_media`, `file_missing`, `path_outside`,
            and those of `captioner.load`.
        Rejected: `no_caption`.
    """
    from ossl_builder.media.sampled_frames import frames_at

    settings: CaptionSettings = item.config
    clip: Clip = item.rows[CLIPS.name][0]
    # The middles of equal parts of the clip.
    parts = [(index + 0.5) / settings.frames for index in range(settings.frames)]
    shown = frames_at(item.file(clip.video_path), [clip.duration_s * part for part in parts])
    frames = [frame.rgb for frame in shown]
    item.progress(0.5)
    model = captioner.load(settings.model, settings.revision, settings.device)
    text = clean_caption(model.texts(frames, settings.instruction, settings.max_tokens))
    if not text:
        raise Rejected("no_caption", f"The model wrote no words about {clip.clip_id}.")
    found = hub.find_model(settings.model, settings.revision)
    assert found is not None, "the model is loaded"
    caption = Caption(
        film_id=clip.film_id,
        clip_id=clip.clip_id,
        caption=text,
        model=found.path.resolve().name if found.revision is None else found.source,
        revision=found.revision,
        digest=captioner.fingerprint(settings.model, settings.revision),
        n_frames=settings.frames,
        max_tokens=settings.max_tokens,
        instruction=settings.instruction if model.takes_instruction else "",
        video_sha256=clip.video_sha256,
    )
    return Outcome((caption,))


def _tools(settings: CaptionSettings) -> dict[str, str]:
    digest = captioner.fingerprint(settings.model, settings.revision)
    return {"model": digest, **versions("av", "torch", "transformers")}


def _prepare(settings: CaptionSettings) -> None:
    captioner.load(settings.model, settings.revision, settings.device)


CAPTIONS_STAGE = Stage(
    name="captions",
    version=1,
    reads=(CLIPS.name,),
    writes=CAPTIONS,
    config=CaptionSettings,
    run=make_caption,
    tools=_tools,
    prepare=_prepare,
)


@dataclass(frozen=True)
class CaptionWork:
    """The captions stage over clips: the clip is the item, so that a run resumes at a clip.

    Attributes:
        root: the corpus' folder.
        settings: how clips are captioned.
        clips: the clips, by id.
    """

    root: Path
    settings: CaptionSettings
    clips: Mapping[str, Clip]

    @property
    def stages(self) -> tuple[Stage, ...]:
        """The captions stage."""
        return (CAPTIONS_STAGE,)

    def config(self, stage: Stage) -> Any:
        """Return the settings of the stage."""
        return self.settings

    def item(self, clip_id: str, shaping: Mapping[str, dict[str, str]]) -> ItemState:
        """Return a clip with its row as the stage's input."""
        clip = self.clips[clip_id]
        return ItemState(
            root=self.root,
            item_id=clip_id,
            home=f"films/{clip.film_id}",
            shaping=shaping,
            given={CLIPS.name: Given(_seen_hash(clip), lambda: (clip,))},
        )


def work_of(
    root: Path, settings: CaptionSettings, film_ids: Sequence[str] | None = None
) -> CaptionWork:
    """Return the work of `ossl label caption`.

    Args:
        root: the corpus' folder.
        settings: how clips are captioned.
        film_ids: the films whose clips are captioned; None: all.

    Raises:
        OsslError: `table_missing`, `table_version`.
    """
    clips: list[Clip] = tables_io.read_table(root / "manifests", CLIPS)
    chosen = {clip.clip_id: clip for clip in clips if film_ids is None or clip.film_id in film_ids}
    return CaptionWork(root, settings, chosen)


def plan(work: CaptionWork) -> list[Decision]:
    """Decide for each clip whether it would be captioned, with the reason."""
    return list(schedule.plan(work, sorted(work.clips)))


def caption_clips(work: CaptionWork, tell: Tell) -> list[Record]:
    """Caption the clips that are not up to date; write the table at the end, even on error.

    The caller holds the corpus' lock.

    Args:
        work: the result of `work_of`.
        tell: gets clip and event when a clip starts, advances and ends.

    Returns:
        The record of each clip of `work`, sorted by clip.

    Raises:
        OsslError: an error that stops the whole run: `disk_full`, or the model cannot be loaded.
    """
    try:
        schedule.prepare(work, plan(work))
        # The digest of a model decides what is stale. It is known only after the download.
        waiting = [decision.item_id for decision in plan(work) if decision.action == "run"]
        schedule.run(work, waiting, tell, inline)
    finally:
        _refresh_table(work.root)
    ends = [records.read(work.root, CAPTIONS_STAGE.name, clip_id) for clip_id in sorted(work.clips)]
    return [record for record in ends if record is not None]


def current_captions(folder: Path) -> dict[tuple[str, str], Caption]:
    """Return the models' captions of clips that have not changed since, by film and clip.

    Args:
        folder: the tables' folder, of a corpus or an export.

    Raises:
        OsslError: `table_missing`, `table_damaged`, `table_version`.
    """
    captions: list[Caption] = tables_io.read_table(folder, CAPTIONS)
    columns = [*CLIPS.key, "video_sha256"]
    clips = tables_io.read_arrow(folder, CLIPS, columns).to_pylist()
    current = {(clip["film_id"], clip["clip_id"]): clip["video_sha256"] for clip in clips}
    return {
        (row.film_id, row.clip_id): row
        for row in captions
        if current.get((row.film_id, row.clip_id)) == row.video_sha256
    }


def _seen_hash(clip: Clip) -> str:
    """Return the hash of what a caption depends on: the video of the clip."""
    return sha256_json([clip.film_id, clip.clip_id, clip.duration_s, clip.video_sha256])


def _refresh_table(root: Path) -> None:
    """Write the table from the records that were made from the current clips."""
    current: dict[str, Record] = {}
    for clip in tables_io.read_table(root / "manifests", CLIPS):
        record = records.read(root, CAPTIONS_STAGE.name, clip.clip_id)
        if record is None or record.state != "done":
            continue
        if record.inputs.get(f"rows of {CLIPS.name}") == _seen_hash(clip):
            current[clip.clip_id] = record
    if current or (root / "manifests" / f"{CAPTIONS.name}.parquet").exists():
        stages = (CAPTIONS_STAGE,)
        tables_io.write_tables(root, stages, {CAPTIONS_STAGE.name: current})
