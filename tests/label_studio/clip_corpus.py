"""Corpora of made-up clips: tables only, no media."""

from __future__ import annotations

from pathlib import Path

from ossl_builder.corpus import create
from ossl_builder.engine import tables_io
from ossl_builder.tables import CLIPS
from tests.label_studio.clips import clip_row

CLIPS_PER_FILM = 50
SPACING_S = 20.0


def made_up_corpus(root: Path, n_clips: int) -> list[str]:
    """Make a corpus with `n_clips` clips of 10 s in its table; return their ids, sorted."""
    corpus = create(root)
    films = [f"film-{at // CLIPS_PER_FILM:04d}" for at in range(n_clips)]
    starts = [at % CLIPS_PER_FILM * SPACING_S for at in range(n_clips)]
    clips = [clip_row(film, start, start + 10) for film, start in zip(films, starts, strict=True)]
    with corpus.locked():
        tables_io.write_corpus_table(root, CLIPS, clips)
    return sorted(clip.clip_id for clip in clips)
