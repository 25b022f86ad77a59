"""`ossl demo`: everything, on films the program makes itself, without a network."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from ossl_builder import files
from ossl_builder.cli import output
from ossl_builder.config import load_recipe
from ossl_builder.corpus import RECIPE, Corpus, create, open_corpus
from ossl_builder.pipeline.build import build
from ossl_builder.pipeline.derived_tables import end_of
from ossl_builder.stages.registry import STAGES
from ossl_builder.tables import Source

RECIPE_TEXT = """\
# The recipe of the demo corpus: the bundled separator needs no download.
version: 1
stems:
  model: bundled
"""


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
    """Make three small films, build a corpus of them, train on it, and say where to look.

    What is there is left alone. The adapter is fitted on a random model of toy size: it shows that
    everything runs, not what such a model can do.
    """
    corpus = open_corpus(out) if (out / RECIPE).exists() else _create(out)
    with corpus.locked():
        _make_films(corpus)
        recipe = load_recipe(corpus.recipe_path)
        film_ids = corpus.film_ids()
        watcher = output.Watcher(film_ids)
        output.say(
            f"Building {len(film_ids)} films: fetch, scenes, stems, cues, clips, fingerprints."
        )
        with watcher.watching():
            build(corpus, recipe, film_ids, STAGES, workers, watcher.show)
    _conclude(out, corpus, film_ids)
    if training:
        from ossl_builder.cli.demo_training import end_with_music

        end_with_music(out, corpus)


def _create(out: Path) -> Corpus:
    corpus = create(out)
    files.write_bytes(corpus.recipe_path, RECIPE_TEXT.encode())
    return open_corpus(out)


def _make_films(corpus: Corpus) -> None:
    from ossl_builder.demo.make import make_films

    folder = corpus.root / "demo-films"
    if len(corpus.film_ids()) == 3:
        return
    output.say("Making three films of 40 to 50 s with ffmpeg and numpy.")
    for film in make_films(folder, lambda part: None):
        corpus.record_source(
            Source(
                film_id=film.film_id,
                title=film.title,
                year=film.year,
                basis=film.basis,
                evidence=film.evidence,
                source=str(film.path),
                alternates="",
                country="",
                licence="",
                sha256=None,
                is_claim=True,
                allow_unknown=False,
            )
        )


def _conclude(out: Path, corpus: Corpus, film_ids: list[str]) -> None:
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
        ("clip", "length", "music", "dialogue", "look and listen"),
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
    output.line(f"\nThe films' truth:  {out}/demo-films/*.truth.json")
    output.line(f"What was done:     ossl -C {out} status")
    ends = [end_of(corpus, film_id, STAGES) for film_id in film_ids]
    failed = sum(end.state == "failed" for end in ends)
    if failed:
        raise typer.Exit(1 if failed == len(film_ids) else 3)
