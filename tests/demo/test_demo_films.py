"""The demo films: their files, their credits, and their transitions as marked by hand."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import av
import pytest

from ossl_builder.corpus import create
from ossl_builder.demo.corpus import annotations_folder
from ossl_builder.demo.films import FILMS, FOLDER, DemoFilm, add_films
from ossl_builder.engine.stage import Item
from ossl_builder.stages.scenes.stage import SCENES_STAGE
from tests.stages.test_scenes import row_of_file

MARKED: dict[str, Any] = json.loads((Path(__file__).parent / "transitions.json").read_text())
# Transitions that the scenes stage does not find today. If it improves, shorten these lists.
MISSED_CUTS = {"sintel_trailer_2010.mp4": {406, 411}, "steamboat_willie_1928.mp4": {449}}
MISSED_SPANS = {"sintel_trailer_2010.mp4": {(120, 165), (252, 308)}}


def named(film: DemoFilm) -> str:
    return film.claim.film_id


@pytest.mark.parametrize("film", FILMS, ids=named)
def test_a_film_is_the_file_that_was_pinned_and_has_credits(film: DemoFilm) -> None:
    assert hashlib.sha256(film.path.read_bytes()).hexdigest() == film.sha256
    assert f"`{film.file}`" in (FOLDER / "CREDITS.md").read_text()
    with av.open(str(film.path)) as container:
        assert container.streams.audio
        frames = sum(1 for _ in container.decode(video=0))
    assert frames == MARKED[film.file]["n_frames"]


def test_all_media_of_the_wheel_are_small() -> None:
    assert 4e6 < sum(film.path.stat().st_size for film in FILMS) < 7e6


def test_films_are_recorded_as_by_films_add_and_not_overwritten(tmp_path: Path) -> None:
    corpus = create(tmp_path / "corpus")
    add_films(corpus)
    assert corpus.film_ids() == [film.claim.film_id for film in FILMS]
    for film in FILMS:
        source = corpus.source(film.claim.film_id)
        assert (source.basis, source.evidence) == (film.claim.basis, film.claim.evidence)
        assert (source.licence, source.sha256) == (film.licence, film.sha256)
        assert Path(source.source) == film.path
        assert source.is_claim
    path = corpus.source_path("demo-sintel")
    path.write_text(path.read_text().replace("Sintel (trailer)", "Mine"))
    add_films(corpus)
    assert corpus.source("demo-sintel").title == "Mine"


def test_bundled_annotations_are_marked_as_made_up() -> None:
    for film in FILMS:
        path = annotations_folder() / f"{film.claim.film_id}.jsonl"
        lines = [json.loads(line) for line in path.read_text().splitlines()]
        assert lines
        assert {line["source"] for line in lines} == {"made-up"}
        assert {line["film_id"] for line in lines} == {film.claim.film_id}


@pytest.mark.parametrize("film", FILMS, ids=named)
def test_scenes_begin_at_the_transitions_that_a_person_sees(
    film: DemoFilm, make_item: Callable[..., Item]
) -> None:
    item = make_item(SCENES_STAGE, {"films": ()})
    item.rows["films"] = (row_of_file(film.path, item.corpus),)  # type: ignore[index]
    rows = SCENES_STAGE.run(item).rows
    marks = MARKED[film.file]
    spans = {tuple(mark["span"]): mark["kind"] for mark in marks["gradual"]}
    cuts = {row.start_frame for row in rows if row.transition_in == "cut"}
    gradual: dict[tuple[int, int], str] = {}
    for row in rows[1:]:
        if row.transition_in != "cut":
            (span,) = (one for one in spans if one[0] <= row.start_frame <= one[1])
            assert span not in gradual, f"two boundaries in the transition {span}"
            gradual[span] = row.transition_in
    assert cuts == set(marks["cuts"]) - MISSED_CUTS.get(film.file, set())
    missed = MISSED_SPANS.get(film.file, set())
    assert gradual == {span: kind for span, kind in spans.items() if span not in missed}
