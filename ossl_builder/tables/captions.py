"""The captions table: what a model wrote about the video of a clip. No person has checked it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from ossl_builder.tables.schema import Table, column

MAX_CHARACTERS = 300


@dataclass(frozen=True)
class Caption:
    """The caption of one clip by a model, with everything that it was made from."""

    film_id: str = column("the film")
    clip_id: str = column("the clip")
    caption: str = column("what the frames of the clip show, by `model`; not checked by a person")
    model: str = column("the model: its name on the hub, or the name of its folder")
    revision: str | None = column("commit of the model on the hub; empty: a local folder")
    digest: str = column("SHA-256 over the names and bytes of the model's files")
    n_frames: int = column("frames that the model got, evenly spread over the clip", "frames")
    max_tokens: int = column("most tokens that the model could write", "tokens")
    instruction: str = column("instruction to a model that takes one; empty: it takes none")
    video_sha256: str = column("SHA-256 of the clip's video; if it differs, the caption is stale")


def _check(rows: Sequence[Caption]) -> Iterable[str]:
    for row in rows:
        if not 0 < len(row.caption) <= MAX_CHARACTERS or not row.caption.isprintable():
            yield f"the caption of clip {row.clip_id} is empty, too long, or no plain text"
        if row.n_frames < 1 or row.max_tokens < 1:
            yield f"the caption of clip {row.clip_id} is made from nothing"


CAPTIONS = Table(
    name="captions",
    doc="One row per clip that a model has captioned (`ossl label caption`).",
    row=Caption,
    version=1,
    key=("film_id", "clip_id"),
    check=_check,
)
