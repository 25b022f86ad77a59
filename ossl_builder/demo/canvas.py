"""What pictures are painted with: colours, noise, strips that scroll past each other, sparks.

An image is float32 [HEIGHT, WIDTH, 3], gamma-coded red, green, blue; 0 is black and 1 full, and
what goes beyond is clipped in the film. A picture is a function from seconds to an image.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

WIDTH = 384
HEIGHT = 216

Image = NDArray[np.float32]
Field = NDArray[np.floating[Any]]
"""Coordinates, distances, coverage: one value for each pixel, or what broadcasts to that."""
Picture = Callable[[float], Image]


def grid() -> tuple[Image, Image]:
    """Centres of all pixels in picture heights: x [1, WIDTH] from the middle, y [HEIGHT, 1]."""
    x = (np.arange(WIDTH) + 0.5 - WIDTH / 2) / HEIGHT
    y = (np.arange(HEIGHT) + 0.5) / HEIGHT
    return x[None, :].astype(np.float32), y[:, None].astype(np.float32)


def ink(code: str) -> Image:
    """The colour `rrggbb` as float32 [3]."""
    return np.array([int(code[at : at + 2], 16) / 255 for at in (0, 2, 4)], dtype=np.float32)


def ramp(stops: Sequence[str], at: Field) -> Image:
    """Colours between evenly spaced stops: `at` [...], 0 to 1, becomes [..., 3]."""
    colours = np.stack([ink(stop) for stop in stops])
    places = np.linspace(0, 1, len(stops))
    channels = [np.interp(at, places, colours[:, channel]) for channel in range(3)]
    return np.stack(channels, axis=-1).astype(np.float32)


def sky(stops: Sequence[str], horizon: float = 1.0) -> Image:
    """An image whose colours run from its top to the horizon, in picture heights."""
    _, y = grid()
    return np.repeat(ramp(stops, np.minimum(y / horizon, 1)), WIDTH, axis=1)


def soft(distance: Field) -> Field:
    """How much of a pixel an edge covers: 1 where `distance`, in picture heights, is inside."""
    return np.asarray(np.clip(distance * HEIGHT + 0.5, 0, 1))


def paint(image: Image, cover: Field, colour: Field) -> None:
    """Lay a colour over an image, in place, where `cover` [rows, columns] says so."""
    image += cover[..., None] * (colour - image)


def disc(image: Image, x: float, y: float, radius: float, colour: Image, halo: float) -> None:
    """Paint a sun or moon, in place, with a halo of that strength."""
    across, down = grid()
    distance = np.hypot(across - x, down - y)
    image += (halo * np.exp(-distance / (2.2 * radius)))[..., None] * colour
    paint(image, soft(radius - distance), colour)


def noise(rng: np.random.Generator, shape: tuple[int, ...], roughness: float) -> Field:
    """Noise whose amplitude falls as frequency ** -roughness; it tiles; mean 0, deviation 1."""
    spectrum = np.fft.fftn(rng.standard_normal(shape))
    square = np.zeros(shape)
    for axis, length in enumerate(shape):
        cycles = np.fft.fftfreq(length) * max(shape)
        square += (cycles**2).reshape([-1 if other == axis else 1 for other in range(len(shape))])
    square.flat[0] = np.inf
    field = np.fft.ifftn(spectrum * square ** (-roughness / 2)).real
    return np.asarray(field / field.std(), dtype=np.float32)


@dataclass(frozen=True)
class Layer:
    """A strip that scrolls past the camera and repeats itself.

    Attributes:
        strip: float32 [HEIGHT - top, length, 4]: colour times coverage, and coverage.
        top: the image's row where it begins.
        speed: pixels per second to the left.
    """

    strip: Image
    top: int
    speed: float

    def over(self, image: Image, time_s: float) -> None:
        """Lay the strip over an image, in place, as it stands at that time."""
        offset = self.speed * time_s
        first = int(np.floor(offset))
        columns = np.arange(first, first + WIDTH + 1)
        wide = np.take(self.strip, columns, axis=1, mode="wrap")
        # Between two pixels: slow pans must not move in steps of a pixel.
        window = wide[:, 1:] - wide[:, :-1]
        window *= np.float32(offset - first)
        window += wide[:, :-1]
        below = image[self.top :]
        below *= 1 - window[..., 3:]
        below += window[..., :3]


def silhouette(top_line: Field, colours: Field | Sequence[str], speed: float) -> Layer:
    """A layer that is opaque below a line.

    Args:
        top_line: [length], in picture heights from the top.
        colours: [HEIGHT, length, 3], or the stops of a ramp that begins at the line.
        speed: pixels per second to the left.
    """
    _, y = grid()
    below = y - top_line[None, :]
    if not isinstance(colours, np.ndarray):
        colours = ramp(colours, np.clip(below / 0.35, 0, 1))
    cover = soft(below)[..., None]
    top = max(0, int(top_line.min() * HEIGHT) - 1)
    strip = np.concatenate([colours * cover, cover], axis=-1)
    return Layer(strip[top:].astype(np.float32), top, speed)


def clouds(rng: np.random.Generator, colour: str, amount: float, speed: float) -> Layer:
    """Drifting clouds in the upper two thirds; `amount` runs from 0, none, to 1, overcast."""
    _, y = grid()
    field = noise(rng, (HEIGHT, 3 * WIDTH // 2), 1.75)
    cover = np.clip(0.55 * (field - 1.6 + 2.4 * amount), 0, 0.9) * np.clip(1.6 - 2.4 * y, 0, 1)
    shade = np.clip(0.9 + 0.07 * np.roll(field, 3, axis=0), 0.7, 1.05)[..., None] * ink(colour)
    strip = np.concatenate([shade * cover[..., None], cover[..., None]], axis=-1)
    return Layer(strip.astype(np.float32), 0, speed)


def sparks(image: Image, x: Field, y: Field, colours: Field, radius: float) -> None:
    """Add round lights to an image, in place.

    Args:
        image: as above.
        x: [n], pixels from the left; lights outside the image are left out.
        y: [n], pixels from the top.
        colours: [n, 3] or [3], brightness included.
        radius: where a light has fallen to 1/e, in pixels.
    """
    reach = np.arange(-int(np.ceil(2 * radius)), int(np.ceil(2 * radius)) + 1)
    columns = np.floor(x).astype(int)[:, None] + reach
    rows = np.floor(y).astype(int)[:, None] + reach
    across = np.exp(-(((columns + 0.5 - x[:, None]) / radius) ** 2))
    down = np.exp(-(((rows + 0.5 - y[:, None]) / radius) ** 2))
    across[(columns < 0) | (columns >= WIDTH)] = 0
    down[(rows < 0) | (rows >= HEIGHT)] = 0
    light = down[:, :, None] * across[:, None, :]
    light = light[..., None] * np.broadcast_to(colours, (len(x), 3))[:, None, None, :]
    where = (rows.clip(0, HEIGHT - 1)[:, :, None], columns.clip(0, WIDTH - 1)[:, None, :])
    np.add.at(image, where, light.astype(np.float32))
