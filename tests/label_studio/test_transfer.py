"""`ossl label transfer`: annotations of dropped clips move to clips that are nearly the same."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable
from pathlib import Path

import pytest

from ossl_builder.annotations import label_schema, records
from ossl_builder.annotations.annotators import AnnotatorRegistry
from ossl_builder.annotations.label_config import results_of
from ossl_builder.annotations.records import Annotation
from ossl_builder.corpus import Corpus, create
from ossl_builder.engine import tables_io
from ossl_builder.errors import OsslError
from ossl_builder.label_studio import state, transfer
from ossl_builder.label_studio.project_api import User
from ossl_builder.label_studio.task_api import ServerAnnotation, Task
from ossl_builder.label_studio.three_way_merge import TaskMerger
from ossl_builder.tables import CLIPS
from ossl_builder.tables.schema import Span
from tests.label_studio.clips import clip_row

ANSWERS = {
    "music_audible": "clear", "speech_over_music": "no", "quadrant": "Q1", "valence": 8,
    "energy": 7, "tension": 3, "confidence": "high",
}  # fmt: skip
JANUARY, MARCH = "2026-01-01T10:00:00Z", "2026-03-01T10:00:00Z"


def make_record(clip_id: str, annotator: str = "a01", **more: object) -> Annotation:
    record = Annotation(
        film_id="film", clip_id=clip_id, annotator=annotator, schema="mood-1", state="answered",
        answers={"quadrant": "Q1", "mood_words": ("epic", "sad"), "valence": 7},
        source="label-studio", updated_at=JANUARY,
    )  # fmt: skip
    return dataclasses.replace(record, **more)  # type: ignore[arg-type]


@pytest.fixture
def corpus(tmp_path: Path) -> Path:
    """Clips of a film at 0 to 20 s, 30 to 50 s and 100 to 120 s."""
    root = create(tmp_path / "corpus").root
    rows = [clip_row("film", start, start + 20.0) for start in (0.0, 30.0, 100.0)]
    tables_io.write_corpus_table(root, CLIPS, rows)
    return root


def sorted_by_key(film: Iterable[Annotation]) -> list[Annotation]:
    return sorted(film, key=lambda one: one.key)


def outcomes(moves: list[transfer.Move]) -> list[tuple[str, str, str | None, str]]:
    return [(move.from_clip, move.annotator, move.to_clip, move.outcome) for move in moves]


def test_the_overlap_is_intersection_over_union() -> None:
    assert transfer.overlap_ratio(Span(0, 20), Span(0, 20)) == 1
    assert transfer.overlap_ratio(Span(0, 20), Span(0, 18)) == 0.9
    assert transfer.overlap_ratio(Span(1, 20), Span(0, 19)) == pytest.approx(18 / 20)
    assert transfer.overlap_ratio(Span(0, 10), Span(20, 30)) == 0
    assert transfer.overlap_ratio(Span(0, 100), Span(40, 50)) == 0.1


def test_only_annotations_with_a_near_clip_are_transferred(corpus: Path) -> None:
    near = make_record("film_0-18000")
    skipped = make_record("film_500-19500", "a02", state="skipped", answers={})
    far = make_record("film_30000-47990")
    standing = make_record("film_100000-120000")
    nowhere = make_record("film_60000-80000")
    other_corpus = make_record("AA_0")
    withdrawn = make_record("film_0-19000", "a03", state="withdrawn")
    before = (near, skipped, far, standing, nowhere, other_corpus, withdrawn)
    records.upsert(corpus, before)
    dry = transfer.transfer(corpus, (), 0.9, is_dry=True)
    assert sorted_by_key(records.read_film(corpus, "film")) == sorted_by_key(before)
    moves = transfer.transfer(corpus, ["film"], 0.9)
    assert moves == dry
    assert outcomes(moves) == [
        ("AA_0", "a01", None, "no_clip"),
        ("film_0-18000", "a01", "film_0-20000", "carried"),
        ("film_30000-47990", "a01", None, "no_clip"),
        ("film_500-19500", "a02", "film_0-20000", "carried"),
        ("film_60000-80000", "a01", None, "no_clip"),
    ]
    assert [move.overlap for move in moves] == [None, 0.9, 0.8995, 0.95, 0.0]
    moved = {"clip_id": "film_0-20000", "source": "carried"}
    assert sorted_by_key(records.read_film(corpus, "film")) == sorted_by_key([
        dataclasses.replace(near, carried_from="film_0-18000", **moved),
        dataclasses.replace(skipped, carried_from="film_500-19500", **moved),
        far, standing, nowhere, other_corpus, withdrawn,
    ])  # fmt: skip
    content = records.path_of(corpus, "film").read_bytes()
    again = transfer.transfer(corpus, (), 0.9)
    assert not [move for move in again if move.outcome == "carried"]
    assert records.path_of(corpus, "film").read_bytes() == content


@pytest.mark.parametrize("status", ["answered", "skipped", "withdrawn"])
def test_an_answer_to_the_new_clip_is_never_replaced(corpus: Path, status: str) -> None:
    own = make_record("film_0-20000", state=status, answers={"quadrant": "Q3"})
    earlier = make_record("film_0-19000", updated_at=MARCH)
    records.upsert(corpus, [own, earlier])
    assert [move.outcome for move in transfer.transfer(corpus, (), 0.9)] == ["answered"]
    assert sorted_by_key(records.read_film(corpus, "film")) == sorted_by_key([own, earlier])


def test_of_two_records_by_one_annotator_the_nearer_then_the_newer_moves(corpus: Path) -> None:
    nearer, further = make_record("film_0-19500"), make_record("film_0-18500", updated_at=MARCH)
    older, newer = (
        make_record("film_30500-50000"),
        make_record("film_30000-49500", updated_at=MARCH),
    )
    others = make_record("film_0-18500", "a02")
    records.upsert(corpus, [nearer, further, older, newer, others])
    moves = {
        (one.from_clip, one.annotator): one.outcome for one in transfer.transfer(corpus, (), 0.9)
    }
    assert moves == {
        ("film_0-19500", "a01"): "carried",
        ("film_0-18500", "a01"): "answered",
        ("film_30500-50000", "a01"): "answered",
        ("film_30000-49500", "a01"): "carried",
        ("film_0-18500", "a02"): "carried",
    }
    assert len(records.read_film(corpus, "film")) == 5


def test_repeated_transfers_do_not_drift(corpus: Path) -> None:
    """Transferred before from 0 to 17 s: the current clip is near, the original one is not."""
    drifted = make_record("film_0-18500", source="carried", carried_from="film_0-17000")
    close = make_record("film_30000-49000", source="carried", carried_from="film_30000-48500")
    records.upsert(corpus, [drifted, close])
    moves = transfer.transfer(corpus, (), 0.9)
    assert [move.outcome for move in moves] == ["no_clip", "carried"]
    found = {one.clip_id: one for one in records.read_film(corpus, "film")}
    assert found["film_30000-50000"].carried_from == "film_30000-48500"


def test_an_edit_after_a_transfer_is_transferred_too(corpus: Path) -> None:
    """The annotator changes the task of the dropped clip: the next pull brings it back."""
    records.upsert(corpus, [make_record("film_0-19000")])
    transfer.transfer(corpus, (), 0.9)
    film = records.read_film(corpus, "film")
    assert transfer.was_transferred(make_record("film_0-19000"), film)
    assert not transfer.was_transferred(make_record("film_0-19000", "a02"), film)
    assert not transfer.was_transferred(make_record("film_0-19001"), film)
    edited = make_record("film_0-19000", updated_at=MARCH, answers={"quadrant": "Q4"})
    assert not transfer.was_transferred(edited, film)
    records.upsert(corpus, [edited])
    assert [move.outcome for move in transfer.transfer(corpus, (), 0.9)] == ["carried"]
    (only,) = records.read_film(corpus, "film")
    assert (only.clip_id, only.updated_at) == ("film_0-20000", MARCH)
    assert only.answers == {"quadrant": "Q4"}


def test_pull_knows_that_a_record_was_transferred(corpus: Path) -> None:
    moving, staying = make_record("film_0-19000"), make_record("film_60000-80000")
    records.upsert(corpus, [moving, staying])
    known = {
        one.clip_id: {"a01": state.LastPulled(state.digest(one), "task")}
        for one in (moving, staying)
    }
    state.save_pulled(corpus, known)
    transfer.transfer(corpus, (), 0.9)
    assert not state.load_pulled(corpus).get("film_0-19000")
    assert state.load_pulled(corpus)["film_60000-80000"] == known["film_60000-80000"]


def test_a_film_without_annotations_is_reported(corpus: Path) -> None:
    with pytest.raises(OsslError, match="'other'"):
        transfer.transfer(corpus, ["other"], 0.9)


def test_a_full_pull_neither_undoes_nor_withdraws_a_transfer(corpus: Path) -> None:
    """The server still has the task of the dropped clip, with its answer."""
    key = AnnotatorRegistry.load(corpus)
    assert key.id_of("one@example.org") == "a01"
    key.save()
    records.upsert(corpus, [make_record("film_0-19000")])
    transfer.transfer(corpus, (), 0.9)
    before = records.read_film(corpus, "film")
    merger = pulled(corpus, "film_0-19000", JANUARY)
    assert (merger.to_write, merger.report.new, merger.report.withdrawn) == ([], 0, 0)
    # Its annotator changed it later: that is a new record, which `transfer` can move.
    (news,) = pulled(corpus, "film_0-19000", MARCH).to_write
    assert (news.clip_id, news.updated_at, news.answers) == ("film_0-19000", MARCH, ANSWERS)
    # The new clip's task has no answer by this annotator: that is not a deletion.
    assert pulled(corpus, "film_0-20000", None).to_write == []
    # The annotator answers the new clip: this answer wins.
    (own,) = pulled(corpus, "film_0-20000", MARCH).to_write
    assert (own.source, own.carried_from) == ("label-studio", None)
    assert records.read_film(corpus, "film") == before


def pulled(corpus: Path, clip_id: str, changed: str | None) -> TaskMerger:
    """Merge a task that the first annotator changed at that time; None: without their answer."""
    schema = label_schema.bundled()
    merger = TaskMerger(
        Corpus(corpus), schema, {1: User("one@example.org", "")}, None,
        AnnotatorRegistry.load(corpus), state.load_pulled(corpus),
    )  # fmt: skip
    answered = ServerAnnotation(1, tuple(results_of(schema, ANSWERS)), False, changed or "", 1)
    data = {"clip_id": clip_id, "film_id": "film", "schema": schema.version}
    merger.merge_task(Task(1, data, changed or MARCH, annotations=(answered,) if changed else ()))
    return merger
