"""Quadrants of moods in words, where there is no doubt.

Source: Russell, "A circumplex model of affect", Journal of Personality and Social Psychology 39
(1980), the 28 adjectives of its circular order by their angle from pleasure: 0 to 90 degrees are
Q1, and so on. Those within 12 degrees of a border (astonished, aroused, alarmed, angry, tired,
sleepy, glad, pleased …) belong to two quadrants, and are left out unless our own taxonomy
(annotations/moods.yaml) says where they belong.
"""

from __future__ import annotations

import re

from ossl_builder.labelling import taxonomy
from ossl_builder.tables.labels import QUADRANTS

RUSSELL = {
    "Q1": ("delighted", "excited"),
    "Q2": ("afraid", "annoyed", "distressed", "frustrated"),
    "Q3": ("sad", "gloomy", "depressed", "bored", "droopy"),
    "Q4": ("calm", "relaxed", "satisfied", "at ease", "content", "serene"),
}
BETWEEN = re.compile(r"\s*(?:[,;/&+]|\band\b)\s*")


def words_of_quadrants() -> dict[str, str]:
    """Each word that names a quadrant, in small letters."""
    ours = taxonomy.bundled()
    found = {word: quadrant for quadrant, words in RUSSELL.items() for word in words}
    for quadrant in QUADRANTS:
        found[quadrant.lower()] = quadrant
        found |= dict.fromkeys(_parts(ours.mood(quadrant)), quadrant)
    return found


def quadrant_of(mood: str, words: dict[str, str]) -> str | None:
    """The quadrant that every word of a mood names; None: one is unknown, or they disagree.

    Args:
        mood: as a release has it, say `happy, excited`.
        words: from `words_of_quadrants`.
    """
    named = {words.get(word) for word in _parts(mood)}
    return named.pop() if len(named) == 1 else None


def _parts(mood: str) -> list[str]:
    return [word for word in BETWEEN.split(mood.strip().lower()) if word]
