"""Shots become a film's frames: cuts, fades, dissolves, grain."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from ossl_builder.demo.canvas import HEIGHT, WIDTH, Image, Picture
from ossl_builder.demo.script import BLACK_FRAMES, FADE_FRAMES, Script, transitions

GRAIN = 0.012
"""Standard deviation of the grain of a black-and-white film, of full scale."""
LUMA = np.array([0.2126, 0.7152, 0.0722], dtype=np.float32)
"""Weights of red, green and blue: ITU-R BT.709."""


def frames(script: Script) -> Iterator[NDArray[np.uint8]]:
    """The film's frames in order, each uint8 [HEIGHT, WIDTH, 3]: red, green, blue."""
    rng = np.random.default_rng(script.seed)
    grain = rng.normal(0, GRAIN, (2 * HEIGHT, 2 * WIDTH, 1)).astype(np.float32)
    starts = (0, *script.boundaries[:-1])
    pictures: dict[int, Picture] = {}
    for frame, mixture in enumerate(mixtures(script)):
        image: Image = np.zeros((HEIGHT, WIDTH, 3), dtype=np.float32)
        for shot, share in mixture:
            if shot not in pictures:
                pictures.pop(shot - 2, None)
                pictures[shot] = script.shots[shot].draw()
            picture = pictures[shot](float((frame - starts[shot]) / script.rate))
            image += np.float32(share) * np.clip(picture, 0, 1)
        if not script.is_colour:
            row, column = rng.integers((HEIGHT, WIDTH))
            grey = (image @ LUMA)[..., None]
            grey += grain[row : row + HEIGHT, column : column + WIDTH] * np.sqrt(grey)
            image = np.repeat(np.clip(grey, 0, 1), 3, axis=2)
        yield (image * 255 + 0.5).astype(np.uint8)


def mixtures(script: Script) -> Iterator[tuple[tuple[int, float], ...]]:
    """For each frame the shots that are seen and their shares; none is black."""
    _, gradual = transitions(script)
    lengths = (b - a for a, b in zip((0, *script.boundaries), script.boundaries, strict=False))
    shots = [shot for shot, length in enumerate(lengths) for _ in range(length)]
    plain: list[tuple[tuple[int, float], ...]] = [((shot, 1.0),) for shot in shots]
    for transition in gradual:
        length = transition.end_frame - transition.start_frame
        before, after = shots[transition.start_frame], shots[transition.end_frame]
        for step, frame in enumerate(range(transition.start_frame, transition.end_frame)):
            if transition.kind == "dissolve":
                share = (step + 1) / (length + 1)
                plain[frame] = ((before, 1 - share), (after, share))
            else:
                from_middle = abs(step - (length - 1) / 2) - (BLACK_FRAMES - 1) / 2
                level = from_middle / (FADE_FRAMES + 1)
                plain[frame] = ((shots[frame], level),) if level > 0 else ()
    yield from plain
