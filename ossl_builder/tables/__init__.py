"""The tables: one row type per table, with its schema, key and invariants."""

from ossl_builder.tables.captions import CAPTIONS, Caption
from ossl_builder.tables.clips import CLIPS, Clip
from ossl_builder.tables.cues import CUES, Cue
from ossl_builder.tables.films import FILMS, SOURCES, Film, Source, checked_film_id
from ossl_builder.tables.fingerprints import FINGERPRINTS, Fingerprint
from ossl_builder.tables.labels import LABELS, Label
from ossl_builder.tables.scenes import SCENES, Scene
from ossl_builder.tables.schema import Span, Table
from ossl_builder.tables.splits import SPLITS, Split
from ossl_builder.tables.stems import STEMS, Stem

__all__ = [
    "CAPTIONS", "CLIPS", "CUES", "FILMS", "FINGERPRINTS", "LABELS", "SCENES", "SOURCES",
    "SPLITS", "STEMS",
    "Caption", "Clip", "Cue", "Film", "Fingerprint", "Label", "Scene", "Source", "Span", "Split",
    "Stem", "Table", "checked_film_id",
]  # fmt: skip
