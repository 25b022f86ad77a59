"""The end of `ossl demo`: labels, splits, and an adapter that writes music for a test clip."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

import typer

from ossl_builder import files
from ossl_builder.cli import output
from ossl_builder.config import load_recipe
from ossl_builder.corpus import Corpus
from ossl_builder.errors import OsslError

RECIPE = "tiny_cpu"
NEEDED = ("ossl_train", "torch", "transformers", "safetensors", "audiocraft")
# Enough to see the loss fall, few enough for the demo's three minutes.
QUICK = ("--set", "fit.steps=16", "--set", "fit.validate_every=8", "--set", "fit.warmup_steps=2")


def end_with_music(out: Path, corpus: Corpus) -> None:
    """Label, split, train the tiny adapter, write music, and say where to listen.

    Raises:
        OsslError: see the commands that are called.
    """
    output.line()
    with corpus.locked():
        _label(corpus)
        _split(corpus)
    missing = [name for name in NEEDED if find_spec(name) is None]
    if missing:
        output.say(
            f"The demo ends here: for the adapter, {', '.join(missing)} "
            f"{'is' if len(missing) == 1 else 'are'} not installed (`make setup` installs all)."
        )
        return
    wav = _train(out, corpus)
    output.line(f"\nMusic for a clip that the adapter never saw:  {wav}")
    output.line(f"The frame with it:  {wav.with_suffix('.mp4')}")
    output.line(
        "A toy model makes toy music: this MusicGen is a thousandth of the smallest real one, and "
        "its weights are random.\nWhat you hear is noise that went the whole way. "
        "The recipe `small` does the same with a real one (train/README.md)."
    )


def bundled_annotations() -> Path:
    """The folder with what people said of the demo's clips."""
    return files.bundled_folder("annotations")


def _label(corpus: Corpus) -> None:
    """Bundled annotations, brought to the clips of this machine, become labels."""
    from ossl_builder.annotations import aggregation, label_schema, records
    from ossl_builder.engine import tables_io
    from ossl_builder.label_studio import transfer
    from ossl_builder.tables import CLIPS, LABELS

    settings = load_recipe(corpus.recipe_path).labels
    bundled = bundled_annotations().parent
    for film_id in corpus.film_ids():
        # What somebody has answered since stays.
        if not records.path_of(corpus.root, film_id).exists():
            records.upsert(corpus.root, records.read_film(bundled, film_id))
    # Another encoder or decoder may cut a frame earlier or later.
    moves = transfer.transfer(corpus.root, (), settings.transfer_overlap)
    given = list(records.read_all(corpus.root))
    clips = tables_io.read_table(corpus.root / "manifests", CLIPS)
    labels = aggregation.derive_labels(given, clips, label_schema.load(corpus.root), settings)
    tables_io.write_corpus_table(corpus.root, LABELS, labels)
    carried = sum(move.outcome == "carried" for move in moves)
    output.say(
        f"Labels: {len(given)} bundled annotations of {len(labels)} clips"
        + (f", {carried} carried to clips of other times." if carried else ".")
    )


def _split(corpus: Corpus) -> None:
    """One film in each split."""
    from ossl_builder.engine.tables_io import write_corpus_table
    from ossl_builder.splits.assign import assign_films, save_record
    from ossl_builder.tables import SPLITS

    found = assign_films(corpus.root, load_recipe(corpus.recipe_path).splits)
    save_record(corpus.root, found.record)
    write_corpus_table(corpus.root, SPLITS, found.rows)
    output.say("Splits: " + ", ".join(f"{row.film_id} {row.split}" for row in found.rows) + ".")


def _train(out: Path, corpus: Corpus) -> Path:
    """Features, codes, fit, generate, as a person would call them; gives the WAV."""
    import torch

    # Small steps gain nothing from threads, and lose much where others want the processor.
    torch.set_num_threads(1)
    clip_id = _test_clip(corpus)
    _run(out, corpus, "features", "--recipe", RECIPE)
    _run(out, corpus, "codes", "--recipe", RECIPE)
    try:
        _run(out, corpus, "fit", "--recipe", RECIPE, *QUICK)
    except OsslError as error:
        if error.code != "run_differs":
            raise
        _run(out, corpus, "fit", "--recipe", RECIPE, *QUICK, "--restart")
    _run(out, corpus, "generate", "--recipe", RECIPE, "--clip", clip_id)
    return out / "train" / RECIPE / "generated" / "adapter" / f"{clip_id}.wav"


def _run(out: Path, corpus: Corpus, *arguments: str) -> None:
    from ossl_train.cli import app

    output.say(f"\n$ ossl -C {out} train {' '.join(arguments)}")
    code = app(args=list(arguments), prog_name="ossl train", obj=corpus.root, standalone_mode=False)
    if code:
        raise typer.Exit(code)


def _test_clip(corpus: Corpus) -> str:
    """The shortest clip of the test split."""
    from ossl_builder.engine.tables_io import read_table
    from ossl_builder.tables import CLIPS, SPLITS, Clip, Split

    splits: list[Split] = read_table(corpus.root / "manifests", SPLITS)
    clips: list[Clip] = read_table(corpus.root / "manifests", CLIPS)
    films = {row.film_id for row in splits if row.split == "test"}
    return min((c.duration_s, c.clip_id) for c in clips if c.film_id in films)[1]
