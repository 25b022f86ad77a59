"""The label schema: valid answers, contradictions, and the Label Studio page made from it."""

from pathlib import Path
from xml.etree import ElementTree

import pytest

from ossl_builder.annotations import label_schema, validation
from ossl_builder.annotations.label_config import answers_of, label_config, results_of
from ossl_builder.annotations.label_schema import FILE_NAME
from ossl_builder.annotations.validation import find_contradictions, find_problems
from ossl_builder.errors import OsslError
from ossl_builder.tables.labels import QUADRANTS
from tests.annotations.people import ANSWERS

FOLDER = Path(__file__).parents[2] / "annotations"
MOODS = label_schema.bundled()


def test_the_committed_label_config_is_up_to_date() -> None:
    assert (FOLDER / "label_config.xml").read_text(encoding="utf-8") == label_config(MOODS)


def test_the_page_has_every_question_and_unique_hotkeys() -> None:
    root = ElementTree.fromstring(label_config(MOODS))
    controls = {one.get("name"): one for kind in ("Choices", "TextArea") for one in root.iter(kind)}
    assert set(controls) == {question.name for question in MOODS.questions}
    keys = [choice.get("hotkey") for choice in root.iter("Choice")]
    assert None not in keys  # Label Studio would assign a hotkey itself
    assert len(set(keys)) == len(keys)
    for question in MOODS.questions:
        control = controls[question.name]
        assert (control.get("required") == "true") == question.required
        assert control.get("toName") == "clip"
        recorded = [one.get("alias") or one.get("value") for one in control]
        assert recorded == [one.name for one in question.values]
    shown = [choice.get("value") for choice in root.iter("Choice")]
    assert len(set(shown)) == len(shown)  # the browser would group equal values
    hidden = {
        one.get("name")
        for view in root.iter("View")
        if view.get("visibleWhen")
        for one in view.iter()
        if one.get("toName")
    }
    assert hidden == {one.name for one in MOODS.questions if one.hidden_when}


def test_quadrants_match_the_labels_table_and_have_moods() -> None:
    question = MOODS.question("quadrant")
    assert question is not None
    assert question.answers == QUADRANTS
    assert MOODS.mood("Q1") == "happy, excited"
    assert all(value.mood for value in question.values)


def test_every_error_in_the_answers_is_reported() -> None:
    assert find_problems(MOODS, ANSWERS) == []
    assert find_problems(MOODS, {"music_audible": "none"}) == []
    assert find_problems(MOODS, {"quadrant": "Q2"}, partial=True) == []
    bad = {**ANSWERS, "valence": 55, "quadrant": "Q5", "mood_words": ("epic", "epic"), "tempo": 3}
    del bad["energy"]
    problems = " ".join(find_problems(MOODS, bad))
    for name in ("valence is 55", "'Q5'", "mood_words contains a value twice", "tempo", "energy"):
        assert name in problems
    for wrong in (True, 7.0, "7", 0, None):
        assert find_problems(MOODS, {**ANSWERS, "valence": wrong})


@pytest.mark.parametrize(
    ("changed", "contradicts"),
    [
        ({}, False),
        ({"valence": 3}, True),
        ({"valence": 4}, False),
        ({"energy": 2}, False),  # tension counts as arousal, too
        ({"energy": 2, "tension": 2}, True),
        ({"quadrant": "Q3", "valence": 2, "energy": 8, "tension": 2}, False),
        ({"quadrant": "Q3", "valence": 2, "energy": 8, "tension": 8}, True),
        ({"quadrant": "Q2", "valence": 8, "energy": 8, "tension": 8}, True),
    ],
)
def test_contradictions(changed: dict[str, object], contradicts: bool) -> None:
    assert bool(find_contradictions(MOODS, {**ANSWERS, **changed})) == contradicts


def test_answers_round_trip_through_the_label_studio_format() -> None:
    answers = {**ANSWERS, "mood_words": ("epic", "happy"), "caption": "A march for brass."}
    assert answers_of(MOODS, results_of(MOODS, answers)) == answers
    stars = [{"from_name": "valence", "type": "rating", "value": {"rating": 7}}]
    assert answers_of(MOODS, stars) == {"valence": 7}
    odd = [
        {"from_name": "quadrant", "type": "choices", "value": {"choices": ["Q1", "Q2"]}},
        {"from_name": "genre", "type": "choices", "value": {"choices": ["jazz"]}},
    ]
    assert len(find_problems(MOODS, answers_of(MOODS, odd), partial=True)) == 2


def test_validation_drops_hidden_or_empty_answers_and_masks_addresses() -> None:
    changed_mind = validation.check_answers(
        MOODS, {**ANSWERS, "music_audible": "none", "comment": "  "}
    )
    assert changed_mind.answers == {"music_audible": "none"}
    assert changed_mind.problems == ()
    written = "ask Anna.B+x@mail.example.org (or bö@bücher.example)\nat 5:00"
    received = validation.check_answers(MOODS, {**ANSWERS, "comment": written})
    assert received.answers["comment"] == "ask [address] (or [address]) at 5:00"
    assert received.flags == ("an e-mail address in comment was masked",)
    words = validation.check_answers(MOODS, {**ANSWERS, "mood_words": ["epic", "happy"]})
    assert words.answers["mood_words"] == ("happy", "epic")


def test_a_corpus_may_have_its_own_schema_and_a_broken_file_is_reported(tmp_path: Path) -> None:
    assert label_schema.load(tmp_path) == MOODS
    own = tmp_path / "annotations" / FILE_NAME
    own.parent.mkdir()
    text = (FOLDER / FILE_NAME).read_text()
    own.write_text(text.replace("version: mood-1", "version: mood-2"))
    assert label_schema.load(tmp_path).version == "mood-2"
    for bad in (
        text.replace('key: "1"', 'key: "2"'),
        text.replace("kind: scale", "kind: slider"),
        text.replace("music_audible: none}", "music: none}"),
        text.replace("i o\n", "i\n"),
        text.replace("Q4:", "Q5:"),
        text.replace("high: {value: 9", "high: {value: 7").replace(" i o", "").replace(" k l", ""),
        text.replace("arousal: low}", "arousal: little}"),
        "version: [",
    ):
        own.write_text(bad)
        with pytest.raises(OsslError) as caught:
            label_schema.load(tmp_path)
        assert caught.value.code == "taxonomy_invalid"
