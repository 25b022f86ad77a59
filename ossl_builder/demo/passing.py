"""Pictures of what passes by: the country before the window of a train, the trees of a forest."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ossl_builder.demo.canvas import (
    HEIGHT,
    WIDTH,
    Field,
    Image,
    Layer,
    Picture,
    clouds,
    grid,
    ink,
    noise,
    paint,
    silhouette,
    sky,
    soft,
    sparks,
)
from ossl_builder.demo.landscapes import firs


def railway(seed: int, air: Sequence[str], far: str, near: str, cloud: str) -> Picture:
    """The country as it flies past the window of a train: hills, trees, poles and their wires."""
    rng = np.random.default_rng(seed)
    ground = sky(air, 0.6)
    drift = clouds(rng, cloud, 0.5, 12)
    length = 2 * WIDTH
    tones = np.linspace(0, 1, 3)[:, None] * (ink(near) - ink(far)) + ink(far)
    back = 0.55 + 0.05 * noise(rng, (length,), 1.9)
    middle = 0.66 + 0.012 * noise(rng, (length,), 1.5) - firs(rng, length, 30, 0.12)
    grass = 0.8 + 0.008 * noise(rng, (length,), 1.0)
    layers = [
        _blurred(silhouette(line, np.tile(tone, (HEIGHT, length, 1)), speed))
        for line, tone, speed in zip((back, middle, grass), tones, (26, 110, 320), strict=True)
    ]
    wire = _blurred(_poles(length))
    frame = _window()

    def picture(time_s: float) -> Image:
        image = ground.copy()
        drift.over(image, time_s)
        for layer in (*layers, wire):
            layer.over(image, time_s)
        paint(image, frame, ink("1d1714"))
        return np.roll(image, round(1.2 * np.sin(9 * time_s) * np.sin(2.3 * time_s)), axis=0)

    return picture


def _blurred(layer: Layer) -> Layer:
    """What passes quickly is blurred by the time the shutter stays open, half of 1/24 s."""
    width = max(1, round(layer.speed / 48))
    sums = sum(np.roll(layer.strip, step, axis=1) for step in range(width))
    return Layer(np.asarray(sums / width, dtype=np.float32), layer.top, layer.speed)


def _poles(length: int) -> Layer:
    columns = np.arange(length, dtype=np.float32)
    _, y = grid()
    place = columns % (length / 2) - length / 4
    pole = soft((4 - np.abs(place)) / HEIGHT)
    pole = np.maximum(pole, soft((26 - np.abs(place)) / HEIGHT) * soft(0.008 - np.abs(y - 0.14)))
    sag = 0.14 + 0.1 * (1 - (2 * place / (length / 2)) ** 2)
    wires = [soft(0.003 - np.abs(y - sag - drop)) for drop in (0.0, 0.035)]
    pole = np.roll(pole, length // 4, axis=1)
    cover = np.maximum(pole, 0.8 * np.maximum(*wires))[..., None]
    strip = np.concatenate([cover * ink("15120f"), cover], axis=-1)
    return Layer(strip.astype(np.float32), 0, 470)


def _window() -> Field:
    x, y = grid()
    corner = np.hypot(np.maximum(np.abs(x) - 0.72, 0), np.maximum(np.abs(y - 0.47) - 0.3, 0))
    pane = soft(0.09 - corner) * soft(np.abs(x + 0.28) - 0.018)
    return 1 - pane


def forest(seed: int, light: Sequence[str], trunk: str) -> Picture:
    """Trunks that pass each other, shafts of light between them, and specks that drift in it."""
    rng = np.random.default_rng(seed)
    x, y = grid()
    ground = sky(light)
    leaves = noise(rng, (HEIGHT, WIDTH), 0.9)
    ground += (0.05 * leaves * (1 - y))[..., None]
    paint(ground, soft(y - 0.84 - 0.01 * leaves), 0.45 * ink(light[-1]) + 0.4 * ink(trunk))
    slant = x - 0.55 * y
    shafts = sum(np.exp(-(((slant - at) / 0.05) ** 2)) for at in (-0.75, -0.3, 0.02, 0.4))
    shafts = np.asarray(shafts * (1.05 - y), dtype=np.float32)[..., None] * ink(light[0])
    layers = [
        _trunks(rng, count, width, depth, 0.78 + 0.25 * depth, light, trunk)
        for count, width, depth in ((15, 0.02, 0.25), (8, 0.045, 0.55), (4, 0.1, 1.0))
    ]
    specks = rng.uniform(0, 1, (40, 3)).astype(np.float32)

    def picture(time_s: float) -> Image:
        image = ground.copy()
        for layer in layers[:2]:
            layer.over(image, time_s)
        image += (0.3 + 0.06 * np.sin(0.8 * time_s)) * shafts
        layers[2].over(image, time_s)
        across = (specks[:, 0] * WIDTH + 14 * np.sin(time_s + 6 * specks[:, 2])) % WIDTH
        height = (specks[:, 1] * HEIGHT + (3 + 5 * specks[:, 2]) * time_s) % HEIGHT
        sparks(image, across, height, 0.4 * ink(light[0]), 1.1)
        return image

    return picture


def _trunks(
    rng: np.random.Generator,
    count: int,
    width: float,
    depth: float,
    foot: float,
    light: Sequence[str],
    trunk: str,
) -> Layer:
    length = 2 * WIDTH
    _, y = grid()
    x = np.arange(length, dtype=np.float32)[None, :] / HEIGHT
    cover: Field = np.zeros((HEIGHT, length))
    for place in (np.arange(count) + rng.uniform(0.2, 0.8, count)) / count * length / HEIGHT:
        lean, thick = rng.normal(0, 0.03), width * rng.uniform(0.6, 1.1)
        flare = thick * (0.5 + 0.2 * np.exp((y - foot) / 0.06))
        side = np.abs(x - place - lean * (y - 0.5))
        cover = np.maximum(cover, soft(flare - side) * soft(foot - y + 0.2 * thick))
    bark = np.repeat(noise(rng, (1, length), 0.6), HEIGHT, axis=0) * 0.5
    bark += 0.5 * noise(rng, (HEIGHT, length), 0.8)
    tone = depth * ink(trunk) + (1 - depth) * 0.75 * ink(light[1]) + 0.035 * bark[..., None]
    strip = np.concatenate([tone * cover[..., None], cover[..., None]], axis=-1)
    return Layer(strip.astype(np.float32), 0, 8 + 34 * depth)
