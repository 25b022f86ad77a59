"""Pictures of the open country: hills, the sea, balloons in the sky."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ossl_builder.demo.canvas import (
    HEIGHT,
    WIDTH,
    Image,
    Picture,
    clouds,
    disc,
    grid,
    ink,
    noise,
    paint,
    ramp,
    silhouette,
    sky,
    soft,
    sparks,
)


def hills(
    seed: int,
    air: Sequence[str],
    far: str,
    near: str,
    sun: tuple[float, float, str],
    cloud: str,
    speed: float = 22,
) -> Picture:
    """Rolling hills under drifting clouds; the camera travels past them.

    Args:
        seed: which hills.
        air: colours of the sky, from the top to the horizon.
        far: colour of the furthest hills; `near`: of the nearest.
        near: see `far`.
        sun: x and y in picture heights, and colour.
        cloud: colour of the clouds.
        speed: of the nearest hills, in pixels per second.
    """
    rng = np.random.default_rng(seed)
    ground = sky(air, 0.7)
    disc(ground, sun[0], sun[1], 0.06, ink(sun[2]), 0.45)
    drift = clouds(rng, cloud, 0.45, 7)
    layers = []
    for depth in np.linspace(0, 1, 4):
        line = noise(rng, (3 * WIDTH // 2,), 1.9) * (0.028 + 0.022 * depth) + 0.5 + 0.3 * depth
        if depth > 0.6:
            line -= firs(rng, len(line), int(26 * depth), 0.05 * depth)
        tone = (1 - depth) * ink(far) + depth * ink(near)
        texture = noise(rng, (HEIGHT, len(line)), 1.1)[..., None] * (0.01 + 0.025 * depth)
        _, y = grid()
        lit = 1.12 - 0.9 * np.clip(y - line[None, :], 0, 0.5)[..., None]
        layers.append(silhouette(line, (tone * lit + texture).astype(np.float32), speed * depth**2))

    def picture(time_s: float) -> Image:
        image = ground.copy()
        drift.over(image, time_s)
        for layer in layers:
            layer.over(image, time_s + 3)
        return image

    return picture


def firs(rng: np.random.Generator, length: int, count: int, height: float) -> Image:
    """How far firs stand above the ground line; [length], in picture heights, repeating."""
    columns = np.arange(length)
    tops = np.zeros(length)
    for trunk in rng.uniform(0, length, count):
        tall = height * rng.uniform(0.5, 1.3)
        away = np.abs((columns - trunk + length / 2) % length - length / 2) / (tall * HEIGHT * 0.32)
        # Teeth along the slope make a triangle a fir.
        tops = np.maximum(tops, tall * np.clip(1 - away - 0.12 * (away * 5 % 1), 0, 1))
    return tops.astype(np.float32)


def sea(
    seed: int,
    air: Sequence[str],
    water: Sequence[str],
    moon: tuple[float, float, str],
    swell: float,
    stars: int = 0,
) -> Picture:
    """Waves that run towards the shore under a moon or sun, which glitters on them; a small boat.

    Args:
        seed: which stars.
        air: colours of the sky, from the top to the horizon.
        water: colours of the sea, from the horizon to the shore.
        moon: x and y in picture heights, and colour.
        swell: height of the waves; 1 is a fresh breeze.
        stars: how many.
    """
    rng = np.random.default_rng(seed)
    horizon = 0.5
    ground = sky(air, horizon)
    where = rng.uniform(0, 1, (stars, 2)) * [WIDTH, horizon * HEIGHT - 8]
    sparks(ground, where[:, 0], where[:, 1], rng.uniform(0.1, 0.7, (stars, 1)) * np.ones(3), 0.7)
    disc(ground, moon[0], moon[1], 0.055, ink(moon[2]), 0.35)
    drift = clouds(rng, air[-1], 0.33, 9)
    x, y = grid()
    top = int(horizon * HEIGHT)
    near = y[top:] - horizon + 0.012
    away = 1 / near
    base = ramp(water, np.repeat(near / (1 - horizon), WIDTH, axis=1))
    glitter = np.exp(-(((x - moon[0]) / (0.05 + 0.35 * near)) ** 2)) * np.minimum(1, 1.4 - 2 * near)
    across = x * away

    def picture(time_s: float) -> Image:
        image = ground.copy()
        drift.over(image, time_s)
        wave = np.sin(1.9 * away + 1.7 * time_s + 0.7 * np.sin(0.9 * across + 0.5 * time_s))
        ripple = np.sin(3.1 * across + 4.3 * away + 2.6 * time_s)
        ripple *= np.sin(5.3 * across - 3.7 * away - 1.9 * time_s)
        shade = swell * (0.055 * wave + 0.06 * ripple) * np.minimum(1, 6 * near)
        light = glitter * np.clip(2.2 * (0.4 * wave + 0.7 * ripple) - 0.5, 0, 0.75)
        image[top:] = base + shade[..., None] + light[..., None] * ink(moon[2])
        _boat(image, -0.45 + 0.05 * time_s, 0.56 + 0.008 * swell * np.sin(1.3 * time_s))
        return image

    return picture


def _boat(image: Image, at: float, water: float) -> None:
    x, y = grid()
    x, up = x - at, water - y
    tilt = x - 0.08 * up
    hull = np.minimum(np.minimum(up + 0.006, 0.02 - up), 0.05 + 0.6 * up - np.abs(x))
    sails = np.minimum(np.minimum(up - 0.026, 0.004 + tilt), 0.035 * (1 - up / 0.13) - tilt)
    paint(image, soft(np.maximum(hull, sails)), ink("11131a"))


def balloons(
    seed: int, air: Sequence[str], cloud: str, colours: Sequence[tuple[str, str]]
) -> Picture:
    """Hot-air balloons that rise among clouds; each has two colours of stripes."""
    rng = np.random.default_rng(seed)
    ground = sky(air)
    behind, before = clouds(rng, cloud, 0.5, 8), clouds(rng, cloud, 0.36, 26)
    places = np.linspace(-0.62, 0.66, len(colours)) + rng.normal(0, 0.04, len(colours))
    sizes = rng.permutation(np.linspace(0.07, 0.17, len(colours)))
    heights = rng.uniform(0.35, 0.8, len(colours))

    def picture(time_s: float) -> Image:
        image = ground.copy()
        behind.over(image, time_s)
        for number in np.argsort(sizes):
            at = places[number] + 0.02 * np.sin(0.7 * time_s + 2 * number)
            height = heights[number] - 0.32 * sizes[number] * time_s
            _balloon(image, at, height, sizes[number], colours[number])
        before.over(image, time_s)
        return image

    return picture


def _balloon(image: Image, at: float, height: float, size: float, pair: tuple[str, str]) -> None:
    x, y = grid()
    # Only the rows and columns that it can touch are worth painting.
    top, bottom = (
        int(np.clip(edge * HEIGHT, 0, HEIGHT)) for edge in (height - size, height + 2 * size)
    )
    left, right = (
        int(np.clip(edge * HEIGHT + WIDTH / 2, 0, WIDTH))
        for edge in (at - size - 0.01, at + size + 0.01)
    )
    part = image[top:bottom, left:right]
    right_of, below = x[:, left:right] - at, y[top:bottom] - height
    girth = np.sqrt(np.maximum(size**2 - np.minimum(below, 0) ** 2, 1e-6))
    girth = np.where(below > 0, size * np.cos(np.clip(below / (1.35 * size), 0, 1.35)), girth)
    around = np.arcsin(np.clip(right_of / girth, -1, 1))
    stripes = soft(np.sin(5 * around) * 0.03)[..., None]
    shade = (1.02 - 0.33 * (right_of / girth).clip(-1, 1) - 0.15 * below / size)[..., None]
    body = soft(np.minimum(girth - np.abs(right_of), 1.28 * size - below))
    paint(part, body, shade * (stripes * ink(pair[0]) + (1 - stripes) * ink(pair[1])))
    basket = np.minimum(0.15 * size - np.abs(right_of), 0.13 * size - np.abs(below - 1.68 * size))
    ropes = np.minimum(
        0.006 - np.abs(np.abs(right_of) - 0.14 * size), 0.2 * size - np.abs(below - 1.45 * size)
    )
    paint(part, soft(np.maximum(basket, ropes)), ink("4a3320"))
