"""The demo corpus: its recipe, its labels from bundled annotations, and its splits."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from ossl_builder import files
from ossl_builder.config import load_recipe
from ossl_builder.corpus import RECIPE, Corpus, create, open_corpus
from ossl_builder.demo.films import add_films
from ossl_builder.tables import Split

# The keys differ from the defaults for reasons that the comments give to the user.
RECIPE_TEXT = """\
# The recipe of the demo corpus: what differs from the defaults, and why.
version: 1
stems:
  model: bundled    # needs no download
clips:
  # The excerpts are short. Shorter clips give more of them.
  min_s: 6.0
  max_s: 20.0
"""


def open_demo(root: Path) -> Corpus:
    """Open the demo corpus in a folder; create it first if the folder is new or empty.

    Raises:
        OsslError: `folder_not_empty`, `path_outside`.
    """
    if not (root / RECIPE).exists():
        create(root, RECIPE_TEXT)
    corpus = open_corpus(root)
    with corpus.locked():
        add_films(corpus)
    return corpus


def annotations_folder() -> Path:
    """Return the folder with the bundled annotations of the demo clips. They are made up."""
    return files.bundled_folder("annotations")


@dataclass(frozen=True)
class LabelCounts:
    """How many annotations became how many labels; `n_moved`: moved to clips of other times."""

    n_annotations: int
    n_labels: int
    n_moved: int


def label_clips(corpus: Corpus) -> LabelCounts:
    """Copy the bundled annotations into a corpus and derive labels from them.

    A film that has annotations already keeps them. The caller holds the corpus' lock.

    Raises:
        OsslError: `annotations_damaged`, `table_missing`, `recipe_invalid`.
    """
    from ossl_builder.annotations import aggregation, label_schema, records
    from ossl_builder.engine import tables_io
    from ossl_builder.label_studio.transfer import transfer
    from ossl_builder.tables import CLIPS, LABELS

    settings = load_recipe(corpus.recipe_path).labels
    for film_id in corpus.film_ids():
        if not records.path_of(corpus.root, film_id).exists():
            records.upsert(corpus.root, records.read_film(annotations_folder().parent, film_id))
    # On another machine the encoder or decoder may cut a clip one frame earlier or later.
    moves = transfer(corpus.root, (), settings.transfer_overlap)
    annotations = list(records.read_all(corpus.root))
    clips = tables_io.read_table(corpus.root / "manifests", CLIPS)
    labels = aggregation.derive_labels(annotations, clips, label_schema.load(corpus.root), settings)
    tables_io.write_corpus_table(corpus.root, LABELS, labels)
    n_moved = sum(move.outcome == "carried" for move in moves)
    return LabelCounts(len(annotations), len(labels), n_moved)


def split_films(corpus: Corpus) -> tuple[Split, ...]:
    """Assign each film to a split and write the table; the caller holds the corpus' lock.

    Raises:
        OsslError: `table_missing`, `splits_record_damaged`, `recipe_invalid`.
    """
    from ossl_builder.engine.tables_io import write_corpus_table
    from ossl_builder.splits.assign import assign_films, save_record
    from ossl_builder.tables import SPLITS

    assignment = assign_films(corpus.root, load_recipe(corpus.recipe_path).splits)
    save_record(corpus.root, assignment.record)
    write_corpus_table(corpus.root, SPLITS, assignment.rows)
    return assignment.rows


def shortest_test_clip(corpus: Corpus) -> str:
    """Return the id of the shortest clip of the test split.

    Raises:
        OsslError: `table_missing`.
    """
    from ossl_builder.engine.tables_io import read_table
    from ossl_builder.tables import CLIPS, SPLITS, Clip

    splits: list[Split] = read_table(corpus.root / "manifests", SPLITS)
    clips: list[Clip] = read_table(corpus.root / "manifests", CLIPS)
    films = {row.film_id for row in splits if row.split == "test"}
    return min((c.duration_s, c.clip_id) for c in clips if c.film_id in films)[1]
