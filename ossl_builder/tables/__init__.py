"""What flows: one row type per table, its schema, keys and invariants."""

from ossl_builder.tables.clips import CLIPS, Clip
from ossl_builder.tables.cues import CUES, Cue
from ossl_builder.tables.films import FILMS, SOURCES, Film, Source, checked_film_id
from ossl_builder.tables.fingerprints import FINGERPRINTS, Fingerprint
from ossl_builder.tables.labels import LABELS, Label
from ossl_builder.tables.scenes import SCENES, Scene
from ossl_builder.tables.schema import Span, Table
from ossl_builder.tables.splits import SPLITS, Split
from ossl_builder.tables.stems import STEMS, Stem

# Those that stages make film by film, in the order of the pipeline, and those made from all films.
STAGE_TABLES: tuple[Table, ...] = (FILMS, SCENES, STEMS, CUES, CLIPS, FINGERPRINTS)
CORPUS_TABLES: tuple[Table, ...] = (LABELS, SPLITS)
TABLES: tuple[Table, ...] = (*STAGE_TABLES, *CORPUS_TABLES)

__all__ = [
    "CLIPS", "CORPUS_TABLES", "CUES", "FILMS", "FINGERPRINTS", "LABELS", "SCENES", "SOURCES",
    "SPLITS", "STAGE_TABLES", "STEMS", "TABLES",
    "Clip", "Cue", "Film", "Fingerprint", "Label", "Scene", "Source", "Span", "Split", "Stem",
    "Table", "checked_film_id",
]  # fmt: skip
