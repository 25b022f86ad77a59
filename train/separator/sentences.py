"""Sentences for speech synthesis, made here from word lists, so that their text is free."""

from __future__ import annotations

import numpy as np

NOUNS = (
    "house", "river", "mother", "window", "shadow", "voice", "night", "morning", "captain",
    "letter", "garden", "sister", "doctor", "thunder", "winter", "village", "judge", "father",
    "queen", "ship", "forest", "piano", "stranger", "mountain", "kitchen", "evening", "train",
    "secret", "measure", "jungle", "church", "youth", "breath", "earth", "fish", "cheese", "boy",
    "toy", "bird", "moon", "telephone", "theatre", "uncle", "diamond", "bridge", "soldier",
)  # fmt: skip
ADJECTIVES = (
    "old", "quiet", "beautiful", "frightened", "little", "broken", "golden", "dreadful", "curious",
    "cheerful", "huge", "azure", "young", "honest", "strange", "weary", "foolish", "splendid",
)  # fmt: skip
VERBS = (
    "was seen near", "could not forget", "walked slowly toward", "asked about", "has always loved",
    "will never leave", "stood behind", "ran from", "whispered to", "thought of", "laughed at",
    "had been waiting for", "put the gold beside", "threw a stone over", "must have stolen",
)  # fmt: skip
CRIES = (
    "No!", "Oh, my dear.", "Where are you going?", "Yes, of course.", "Help me, please!",
    "What do you mean?", "I do not know why.", "Listen to me.", "Good morning, sir.", "Wait!",
    "They are coming to get you.", "How much is it?", "Nobody will believe you.", "Thank you.",
)  # fmt: skip


def sentences(rng: np.random.Generator, count: int) -> str:
    """So many sentences of film dialogue, more or less."""

    def pick(words: tuple[str, ...]) -> str:
        return words[int(rng.integers(len(words)))]

    said = []
    for _ in range(count):
        one = f"The {pick(ADJECTIVES)} {pick(NOUNS)} {pick(VERBS)} the {pick(ADJECTIVES)} "
        one += pick(NOUNS)
        if rng.random() < 0.4:
            one += f", and I {pick(VERBS)} his {pick(NOUNS)}"
        said.append(one + pick((".", "?", "!", ".")))
        if rng.random() < 0.4:
            said.append(pick(CRIES))
    return " ".join(said)
