"""Labels from annotations: what counts, what decides, whose caption."""

from __future__ import annotations

import random
from typing import Any

import pytest

from ossl_builder.annotations import label_schema
from ossl_builder.annotations.aggregation import derive_labels
from ossl_builder.annotations.records import Annotation
from ossl_builder.annotations.settings import LabelsSettings
from ossl_builder.tables import LABELS, Label
from tests.annotations.people import clip, said

MOODS = label_schema.bundled()
CLIPS = [clip(number) for number in range(20)]


def merged(people: list[Annotation], **settings: Any) -> list[Label]:
    labels = derive_labels(people, CLIPS, MOODS, LabelsSettings(**settings))
    LABELS.validate(labels)
    return labels


def test_both_rules_stand_side_by_side_and_the_recipe_chooses() -> None:
    # a03 errs wherever the others can be compared; on the last clip she and a04 outvote a01.
    people = [said(n, who) for n in range(15) for who in ("a01", "a02")]
    people += [said(n, who, quadrant="Q3") for n in range(15) for who in ("a03",)]
    people += [said(15, "a01"), said(15, "a02"), said(16, "a01"), said(16, "a03", quadrant="Q2")]
    by_model = {label.clip_id: label for label in merged(people)}
    by_votes = {label.clip_id: label for label in merged(people, rule="majority")}
    tie = clip(16).clip_id
    assert by_votes[tie].quadrant is None
    assert by_votes[tie].mood is None
    assert (by_model[tie].quadrant, by_model[tie].mood) == ("Q1", "happy, excited")
    assert by_model[tie].majority_quadrant is None
    one = by_votes[clip(0).clip_id]
    assert (one.quadrant, one.majority_share, one.confidence) == ("Q1", 0.666667, 0.666667)
    assert one.dawid_skene_quadrant == "Q1"
    assert one.n_annotators == 3


def test_skipped_withdrawn_orphaned_and_others_questions_do_not_count() -> None:
    people = [
        said(0, "a01"),
        said(0, "a02", state="skipped"),
        said(0, "a03", state="withdrawn", quadrant="Q2"),
        said(0, "a04", schema="mood-0", quadrant="Q2"),
        said(1, "a01", state="skipped"),
        said(99, "a01"),
    ]
    (label,) = merged(people)
    assert (label.clip_id, label.quadrant) == (clip(0).clip_id, "Q1")
    assert (label.n_annotators, label.n_skipped) == (1, 1)
    assert merged([]) == []


def test_means_words_and_what_most_say() -> None:
    people = [
        said(0, "a01", valence=7, mood_words=("epic", "happy")),
        said(0, "a02", valence=8, mood_words=("epic",), speech_over_music="most"),
        said(0, "a03", valence=None, speech_over_music="most"),
        said(0, "a04", valence=8, speech_over_music=None),
    ]
    (label,) = merged(people)
    assert label.valence == pytest.approx(23 / 3, abs=1e-6)
    assert label.mood_words == "epic"
    assert label.speech_over_music == "most"


def test_where_most_hear_no_music_there_is_no_mood() -> None:
    silent = dict.fromkeys(said(0, "a").answers) | {"music_audible": "none"}
    people = [said(0, "a01", **silent), said(0, "a02", **silent), said(0, "a03")]
    (label,) = merged(people)
    assert (label.quadrant, label.mood, label.confidence) == (None, None, None)
    assert label.music_audible == "none"
    assert label.majority_quadrant == "Q1"


def test_too_few_people_give_no_quadrant() -> None:
    people = [said(0, "a01"), said(1, "a01"), said(1, "a02")]
    assert [label.quadrant for label in merged(people, min_annotators=2)] == [None, "Q1"]


def test_whose_caption() -> None:
    def caption(*people: Annotation) -> tuple[str | None, str]:
        (label,) = merged([*people, said(0, "a08"), said(0, "a09")])
        return label.caption, label.caption_source

    imported = said(0, "a01", source="import", caption="imported")
    assert caption() == (None, "none")
    assert caption(imported) == ("imported", "import")
    unsure = said(0, "a02", confidence="low", caption="unsure")
    other = said(0, "a03", quadrant="Q3", caption="of another mood")
    sure = said(0, "a10", caption="sure")
    assert caption(imported, other) == ("of another mood", "annotator")
    assert caption(imported, other, unsure) == ("unsure", "annotator")
    assert caption(sure, imported, other, unsure) == ("sure", "annotator")
    assert caption(sure, said(0, "a04", caption="first")) == ("first", "annotator")


def test_an_imported_mood_stands_by_itself_also_when_carried() -> None:
    alone = said(0, "a01", source="import", quadrant="Q4", caption="Strings.")
    carried = said(
        1, "a01", source="carried", carried_from=clip(99).clip_id, quadrant="Q4", caption="Strings."
    )
    origin = said(99, "a01", source="import", quadrant="Q4")
    labels = merged([alone, carried, origin])
    assert len(labels) == 2
    for label in labels:
        assert (label.quadrant, label.rule, label.confidence) == ("Q4", "import", None)
        assert label.caption_source == "import"
    (both,) = merged([alone, said(0, "a02", quadrant="Q4")])
    assert both.rule == "dawid_skene"
    assert both.confidence is not None


def test_the_order_of_annotations_does_not_matter() -> None:
    generator = random.Random(1)
    people = [
        said(n, who, quadrant=f"Q{generator.randint(1, 4)}", valence=generator.randint(1, 9))
        for n in range(20)
        for who in ("a01", "a02", "a03")
    ]
    labels = merged(people)
    generator.shuffle(people)
    assert merged(people) == labels
