"""Aggregation of annotations into labels: which annotations count, the vote, the caption."""

from __future__ import annotations

import random
from typing import Any

import pytest

from ossl_builder.annotations import label_schema
from ossl_builder.annotations.aggregation import derive_labels
from ossl_builder.annotations.records import Annotation
from ossl_builder.annotations.settings import LabelsSettings
from ossl_builder.tables import LABELS, Label
from tests.annotations.people import annotation, clip

MOODS = label_schema.bundled()
CLIPS = [clip(number) for number in range(20)]


def merged(people: list[Annotation], **settings: Any) -> list[Label]:
    labels = derive_labels(people, CLIPS, MOODS, LabelsSettings(**settings))
    LABELS.validate(labels)
    return labels


def test_labels_have_both_rules_and_the_recipe_selects_one() -> None:
    # a03 is wrong on all clips with three annotators. On the last clip, a01 and a03 disagree.
    people = [annotation(n, who) for n in range(15) for who in ("a01", "a02")]
    people += [annotation(n, who, quadrant="Q3") for n in range(15) for who in ("a03",)]
    people += [
        annotation(15, "a01"),
        annotation(15, "a02"),
        annotation(16, "a01"),
        annotation(16, "a03", quadrant="Q2"),
    ]
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
        annotation(0, "a01"),
        annotation(0, "a02", state="skipped"),
        annotation(0, "a03", state="withdrawn", quadrant="Q2"),
        annotation(0, "a04", schema="mood-0", quadrant="Q2"),
        annotation(1, "a01", state="skipped"),
        annotation(99, "a01"),
    ]
    (label,) = merged(people)
    assert (label.clip_id, label.quadrant) == (clip(0).clip_id, "Q1")
    assert (label.n_annotators, label.n_skipped) == (1, 1)
    assert merged([]) == []


def test_means_mood_words_and_majority_answers() -> None:
    people = [
        annotation(0, "a01", valence=7, mood_words=("epic", "happy")),
        annotation(0, "a02", valence=8, mood_words=("epic",), speech_over_music="most"),
        annotation(0, "a03", valence=None, speech_over_music="most"),
        annotation(0, "a04", valence=8, speech_over_music=None),
    ]
    (label,) = merged(people)
    assert label.valence == pytest.approx(23 / 3, abs=1e-6)
    assert label.mood_words == "epic"
    assert label.speech_over_music == "most"


def test_no_mood_if_the_majority_hears_no_music() -> None:
    silent = dict.fromkeys(annotation(0, "a").answers) | {"music_audible": "none"}
    people = [annotation(0, "a01", **silent), annotation(0, "a02", **silent), annotation(0, "a03")]
    (label,) = merged(people)
    assert (label.quadrant, label.mood, label.confidence) == (None, None, None)
    assert label.music_audible == "none"
    assert label.majority_quadrant == "Q1"


def test_too_few_people_give_no_quadrant() -> None:
    people = [annotation(0, "a01"), annotation(1, "a01"), annotation(1, "a02")]
    assert [label.quadrant for label in merged(people, min_annotators=2)] == [None, "Q1"]


def test_caption_priority() -> None:
    def caption(*people: Annotation) -> tuple[str | None, str]:
        (label,) = merged([*people, annotation(0, "a08"), annotation(0, "a09")])
        return label.caption, label.caption_source

    imported = annotation(0, "a01", source="import", caption="imported")
    assert caption() == (None, "none")
    assert caption(imported) == ("imported", "import")
    unsure = annotation(0, "a02", confidence="low", caption="unsure")
    other = annotation(0, "a03", quadrant="Q3", caption="of another mood")
    sure = annotation(0, "a10", caption="sure")
    assert caption(imported, other) == ("of another mood", "annotator")
    assert caption(imported, other, unsure) == ("unsure", "annotator")
    assert caption(sure, imported, other, unsure) == ("sure", "annotator")
    assert caption(sure, annotation(0, "a04", caption="first")) == ("first", "annotator")


def test_a_single_imported_mood_is_kept_also_after_a_transfer() -> None:
    alone = annotation(0, "a01", source="import", quadrant="Q4", caption="Strings.")
    carried = annotation(
        1, "a01", source="carried", carried_from=clip(99).clip_id, quadrant="Q4", caption="Strings."
    )
    origin = annotation(99, "a01", source="import", quadrant="Q4")
    labels = merged([alone, carried, origin])
    assert len(labels) == 2
    for label in labels:
        assert (label.quadrant, label.rule, label.confidence) == ("Q4", "import", None)
        assert label.caption_source == "import"
    (both,) = merged([alone, annotation(0, "a02", quadrant="Q4")])
    assert both.rule == "dawid_skene"
    assert both.confidence is not None


def test_the_order_of_annotations_does_not_matter() -> None:
    generator = random.Random(1)
    people = [
        annotation(n, who, quadrant=f"Q{generator.randint(1, 4)}", valence=generator.randint(1, 9))
        for n in range(20)
        for who in ("a01", "a02", "a03")
    ]
    labels = merged(people)
    generator.shuffle(people)
    assert merged(people) == labels
