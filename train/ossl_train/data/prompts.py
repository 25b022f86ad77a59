"""Prompts: what the model is told in words about the music it is to write."""

from __future__ import annotations

from ossl_builder.tables import Label
from ossl_train.recipe import PromptsSettings

WITHOUT_MOOD = "a film soundtrack."


def prompt(mood: str | None, caption: str | None) -> str:
    """The prompt of the OSSL paper (arXiv 2506.12573): mood, then caption.

    Without a caption it ends after the mood's sentence. Without a mood, which the paper does not
    have, it names the kind of music only, so that no mood is invented.

    Returns:
        For example `a film soundtrack for a tense scene. Low strings, slowly rising.`
    """
    mood, caption = (mood or "").strip(), (caption or "").strip()
    begin = f"a film soundtrack for a {mood} scene." if mood else WITHOUT_MOOD
    return f"{begin} {caption}" if caption else begin


def prompt_of(label: Label | None, settings: PromptsSettings) -> str | None:
    """The prompt of a clip by its label; None: the clip is to be left out."""
    if not settings.use_labels:
        return prompt(None, None)
    mood = label.mood if label else None
    if not (mood or "").strip() and settings.unlabelled == "leave_out":
        return None
    return prompt(mood, label.caption if label and settings.use_captions else None)
