"""`ossl demo`: the whole pipeline on three bundled excerpts of real films, without a network."""

from __future__ import annotations

from datetime import date
from importlib.util import find_spec
from pathlib import Path
from typing import Annotated

import typer

from ossl_builder.cli import output
from ossl_builder.cli.run_output import Watcher
from ossl_builder.config import load_recipe
from ossl_builder.corpus import Corpus
from ossl_builder.errors import OsslError
from ossl_builder.pipeline.build import build
from ossl_builder.pipeline.derived_tables import end_of
from ossl_builder.stages.registry import STAGES

TRAIN_RECIPE = "tiny_cpu"
TRAIN_PACKAGES = ("ossl_train", "torch", "transformers", "safetensors", "audiocraft")


def add_commands(app: typer.Typer) -> None:
    """Add `demo`."""
    app.command(epilog="Example: ossl demo --out demo-corpus")(demo)


def demo(
    out: Annotated[Path, typer.Option("--out", help="Folder of the corpus.")] = Path("demo-corpus"),
    workers: Annotated[int, typer.Option("--workers", min=1, help="Films at a time.")] = 2,
    training: Annotated[
        bool, typer.Option(help="End with labels, splits, a tiny adapter and its music.")
    ] = True,
) -> None:
    """Build a corpus from three bundled film excerpts, train on it, and print where to look.

    The folder becomes the corpus. Run the command again to resume; finished work is kept.
    The adapter is trained on a random model of toy size: it shows that every step runs, and
    nothing of what a real model can do.
    """
    from ossl_builder.demo.corpus import open_demo

    corpus = open_demo(out)
    _print_films(out, corpus)
    with corpus.locked():
        recipe = load_recipe(corpus.recipe_path)
        film_ids = corpus.film_ids()
        watcher = Watcher(film_ids)
        stages = ", ".join(stage.name for stage in STAGES)
        output.say(f"Building {len(film_ids)} films: {stages}.")
        with watcher.watching():
            build(corpus, recipe, film_ids, STAGES, workers, watcher.show)
    _print_results(out, corpus)
    states = [end_of(corpus, film_id, STAGES).state for film_id in film_ids]
    if "failed" in states:
        raise typer.Exit(1 if set(states) == {"failed"} else 3)
    if training:
        label_split_train(out, corpus)


def _print_films(out: Path, corpus: Corpus) -> None:
    """Print what the demo films are and why they may be used."""
    from ossl_builder.demo.films import FILMS
    from ossl_builder.rights import verdict_of

    output.line("The demo films are excerpts of real films, with their own audio:")
    rows = []
    for film in FILMS:
        source = corpus.source(film.claim.film_id)
        verdict = verdict_of(source, date.today())
        rows.append((source.film_id, source.title, source.year, verdict.word, film.credit))
    output.table(("film", "title", "year", "rights", "credit"), rows)
    output.line(f"Why each may be used:  ossl -C {out} films explain {rows[-1][0]}\n")


def _print_results(out: Path, corpus: Corpus) -> None:
    """Print the tables and the clips, with the paths to open."""
    import pyarrow.parquet as pq

    output.line()
    rows = []
    for table in (stage.writes for stage in STAGES):
        path = corpus.root / "manifests" / f"{table.name}.parquet"
        rows.append((table.name, pq.read_metadata(path).num_rows, f"{out}/manifests/{path.name}"))
    output.table(("table", "rows", "file"), rows)
    output.line()
    clips = pq.read_table(corpus.root / "manifests" / "clips.parquet").to_pylist()
    clips.sort(key=lambda clip: (clip["film_id"], clip["start_s"]))
    output.table(
        ("clip", "length", "music", "dialogue", "watch and listen"),
        [
            (
                clip["clip_id"],
                f"{clip['duration_s']:.1f} s",
                f"{clip['music_lufs']:.1f} LUFS",
                f"{clip['dialogue_share']:.0%}",
                f"{out}/{clip['video_path']}",
            )
            for clip in clips
        ],
    )
    output.line(f"\nState of each film:  ossl -C {out} status")
    output.line(f"Pages to browse:     ossl -C {out} report")


def label_split_train(out: Path, corpus: Corpus) -> None:
    """Label the clips, split the films, train a tiny adapter and print where its music is.

    Without the packages for training it stops after the splits.

    Raises:
        OsslError: see `ossl_builder.demo.corpus` and the `ossl train` commands.
    """
    from ossl_builder.demo.corpus import label_clips, shortest_test_clip, split_films

    output.line()
    with corpus.locked():
        counts = label_clips(corpus)
        splits = split_films(corpus)
    output.say(
        f"Labels: {counts.n_annotations} made-up annotations of {counts.n_labels} clips"
        + (f", {counts.n_moved} moved to clips of other times." if counts.n_moved else ".")
    )
    output.say("Splits: " + ", ".join(f"{row.film_id} {row.split}" for row in splits) + ".")
    missing = [name for name in TRAIN_PACKAGES if find_spec(name) is None]
    if missing:
        output.say(
            f"The demo ends before the training, which needs {', '.join(missing)}. "
            "`make setup` installs all packages."
        )
        return
    clip_id = shortest_test_clip(corpus)
    _train(out, corpus, clip_id)
    wav = out / "train" / TRAIN_RECIPE / "generated" / "adapter" / f"{clip_id}.wav"
    output.line(f"\nMusic for a clip that the adapter never saw:  {wav}")
    output.line(f"The same with the video:  {wav.with_suffix('.mp4')}")
    output.line(
        "A toy model makes toy music: this MusicGen has a thousandth of the smallest real one's "
        "weights,\nand they are random. You hear noise that went through every step. "
        "The recipe `small` does the same with a real model (train/README.md)."
    )


def _train(out: Path, corpus: Corpus, clip_id: str) -> None:
    """Run features, codes, fit and generate as a user would."""
    import torch

    # Threads do not speed up small steps, and they slow down other work on the same machine.
    torch.set_num_threads(1)
    _run_train(out, corpus, "features", "--recipe", TRAIN_RECIPE)
    _run_train(out, corpus, "codes", "--recipe", TRAIN_RECIPE)
    try:
        _run_train(out, corpus, "fit", "--recipe", TRAIN_RECIPE)
    except OsslError as error:
        if error.code != "run_differs":
            raise
        _run_train(out, corpus, "fit", "--recipe", TRAIN_RECIPE, "--restart")
    _run_train(out, corpus, "generate", "--recipe", TRAIN_RECIPE, "--clip", clip_id)


def _run_train(out: Path, corpus: Corpus, *arguments: str) -> None:
    from ossl_train.cli import app

    output.say(f"\n$ ossl -C {out} train {' '.join(arguments)}")
    code = app(args=list(arguments), prog_name="ossl train", obj=corpus.root, standalone_mode=False)
    if code:
        raise typer.Exit(code)
