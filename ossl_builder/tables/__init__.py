"""What flows: one row type per table, its schema, keys and invariants."""

from ossl_builder.tables.clips import CLIPS, Clip
from ossl_builder.tables.cues import CUES, Cue
from ossl_builder.tables.films import FILMS, SOURCES, Film, Source, checked_film_id
from ossl_builder.tables.scenes import SCENES, Scene
from ossl_builder.tables.schema import Span, Table
from ossl_builder.tables.stems import STEMS, Stem

TABLES: tuple[Table, ...] = (FILMS, SCENES, STEMS, CUES, CLIPS)

__all__ = [
    "CLIPS", "CUES", "FILMS", "SCENES", "SOURCES", "STEMS", "TABLES",
    "Clip", "Cue", "Film", "Scene", "Source", "Span", "Stem", "Table", "checked_film_id",
]  # fmt: skip
