"""Prompts: the wording of the paper, and prompts with missing values."""

import pytest
from ossl_train.data.codes import PromptsSettings, paper_prompt, prompt_of

from tests.train.labelled_corpus import LABEL


@pytest.mark.parametrize(
    ("mood", "caption", "words"),
    [
        ("tense", "Low strings.", "a film soundtrack for a tense scene. Low strings."),
        ("tense", None, "a film soundtrack for a tense scene."),
        ("tense", " ", "a film soundtrack for a tense scene."),
        (None, "Low strings.", "a film soundtrack. Low strings."),
        (None, None, "a film soundtrack."),
    ],
)
def test_the_paper_s_prompt(mood: str | None, caption: str | None, words: str) -> None:
    assert paper_prompt(mood, caption) == words


def test_clips_without_a_mood_are_kept_or_left_out() -> None:
    assert prompt_of(None, PromptsSettings()) == "a film soundtrack."
    assert prompt_of(None, PromptsSettings(unlabelled="leave_out")) is None
    assert prompt_of(LABEL, PromptsSettings(unlabelled="leave_out")) is not None
    assert prompt_of(LABEL, PromptsSettings(use_labels=False)) == "a film soundtrack."
