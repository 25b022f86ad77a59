"""Pictures of made things: a house in the snow, a big wheel, a clockwork, an iris of colours."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ossl_builder.demo.canvas import (
    HEIGHT,
    WIDTH,
    Field,
    Image,
    Picture,
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


def snowfall(seed: int, air: Sequence[str], snow: str, lamp: str) -> Picture:
    """Snow that falls on a house with lit windows, between firs."""
    rng = np.random.default_rng(seed)
    x, y = grid()
    ground = sky(air)
    firs = 0.7 + 0.015 * noise(rng, (WIDTH,), 1.7)
    for trunk in rng.uniform(-0.85, 0.85, 22):
        tall = rng.uniform(0.12, 0.34)
        away = np.abs(x[0] - trunk) / (0.3 * tall)
        firs = np.minimum(firs, 0.72 - tall * np.clip(1 - away - 0.1 * (away * 6 % 1), 0, 1))
    silhouette(firs.astype(np.float32), ("1c2a33", "31434c"), 0).over(ground, 0)
    _house(ground, lamp)
    drifts = (0.76 + 0.018 * noise(rng, (WIDTH,), 2.0)).astype(np.float32)
    silhouette(drifts, (snow, air[-1]), 0).over(ground, 0)
    ground += (0.3 * np.exp(-np.hypot((x - 0.2) * 0.8, y - 0.68) / 0.16))[..., None] * ink(lamp)
    flakes = rng.uniform(0, 1, (330, 3)).astype(np.float32)
    smoke = noise(rng, (HEIGHT, WIDTH), 1.5)

    def picture(time_s: float) -> Image:
        image = ground.copy()
        rise = 0.345 - y
        plume = np.exp(-(((x - 0.315 - 0.35 * rise * np.sin(0.5 * time_s + 2)) / 0.03) ** 2))
        plume = plume * np.clip(rise * 12, 0, 1) * np.clip(1 - 3 * rise, 0, 1)
        paint(image, 0.3 * plume * (1 + 0.4 * np.roll(smoke, round(-25 * time_s), 0)), ink(snow))
        for size, speed in ((0.8, 24), (1.3, 42), (2.1, 66)):
            mine = flakes[np.abs(flakes[:, 2] * 3 - size * 1.2) < 0.75]
            sway = 9 * size * np.sin(0.9 * time_s + 20 * mine[:, 2])
            across = (mine[:, 0] * WIDTH * 1.1 + sway + 0.35 * speed * time_s) % (WIDTH * 1.1)
            height = (mine[:, 1] * HEIGHT * 1.1 + speed * time_s) % (HEIGHT * 1.1)
            sparks(image, across, height, 0.55 * ink(snow), size)
        return image

    return picture


def _house(image: Image, lamp: str) -> None:
    x, y = grid()
    right_of = x - 0.2
    walls = np.minimum(0.2 - np.abs(right_of), np.minimum(y - 0.5, 0.82 - y))
    roof = np.minimum(0.26 - np.abs(right_of) - 1.35 * (0.54 - y).clip(0), 0.54 - y)
    chimney = np.minimum(0.025 - np.abs(right_of - 0.115), np.minimum(y - 0.345, 0.5 - y))
    paint(image, soft(chimney), ink("3a2a28"))
    paint(image, soft(walls), ink("5a4038"))
    paint(image, soft(roof), ink("d8e0e8"))
    for at in (-0.11, 0.11):
        pane = np.minimum(0.045 - np.abs(right_of - at), 0.05 - np.abs(y - 0.62))
        bars = np.minimum(np.abs(right_of - at), np.abs(y - 0.62)) - 0.006
        paint(image, soft(pane) * soft(bars), ink(lamp))
    paint(image, soft(np.minimum(0.035 - np.abs(right_of), y - 0.6)), ink("2c1d1a"))


def wheel(seed: int, air: Sequence[str], frame: str, lamps: Sequence[str], speed: float) -> Picture:
    """A big wheel, turning; `speed` is in turns per second."""
    rng = np.random.default_rng(seed)
    x, y = grid()
    hub = (0.08, 0.47)
    right_of, below = x - hub[0], y - hub[1]
    away, around = np.hypot(right_of, below), np.arctan2(below, right_of)
    radius, cabins = 0.37, 14
    ground = sky(air)
    line = 0.9 + 0.02 * noise(rng, (WIDTH,), 1.2)
    silhouette(line.astype(np.float32), ("2a2233", "120e18"), 0).over(ground, 0)
    legs = np.minimum(0.011 - np.abs(np.abs(right_of) - 0.42 * below), 0.5 - below)
    rims = 0.006 - np.minimum(np.abs(away - radius), np.abs(away - 0.86 * radius))
    fixed = soft(np.maximum(rims, np.maximum(np.minimum(legs, below), 0.03 - away)))

    def picture(time_s: float) -> Image:
        image = ground.copy()
        turn = 2 * np.pi * speed * time_s
        between = (around - turn) * cabins / (2 * np.pi)
        spokes = np.abs((between + 0.5) % 1 - 0.5) * 2 * np.pi / cabins * away
        spokes = np.minimum(0.004 - spokes, radius - away)
        paint(image, np.maximum(fixed, 0.85 * soft(spokes)), ink(frame))
        angles = turn + np.arange(5 * cabins) * 2 * np.pi / (5 * cabins)
        colours = np.stack([ink(lamps[number % len(lamps)]) for number in range(5 * cabins)])
        blink = 0.75 + 0.25 * np.sin(5 * time_s + np.arange(5 * cabins) * 1.3)[:, None]
        _ring(image, hub, radius, angles, 0.8 * blink * colours, 1.3)
        for angle, colour in zip(angles[::5], colours[::5], strict=True):
            _cabin(image, hub[0] + radius * np.cos(angle), hub[1] + radius * np.sin(angle), colour)
        return image

    return picture


def _ring(
    image: Image,
    hub: tuple[float, float],
    radius: float,
    angles: Field,
    colours: Field,
    size: float,
) -> None:
    across = WIDTH / 2 + HEIGHT * (hub[0] + radius * np.cos(angles))
    height = HEIGHT * (hub[1] + radius * np.sin(angles))
    sparks(image, across, height, colours, size)


def _cabin(image: Image, at: float, height: float, colour: Image) -> None:
    """A cabin hangs from the rim whatever the wheel does."""
    x, y = grid()
    top = int(np.clip(height * HEIGHT - 2, 0, HEIGHT))
    left = int(np.clip((at - 0.05) * HEIGHT + WIDTH / 2, 0, WIDTH))
    part = image[top : top + 22, left : left + 24]
    right_of, below = np.abs(x[:, left : left + 24] - at), y[top : top + 22] - height
    body = np.minimum(
        0.032 - right_of - 0.15 * (below - 0.06).clip(0), 0.024 - np.abs(below - 0.055)
    )
    paint(part, soft(body), 0.85 * colour)
    paint(part, soft(np.minimum(0.022 - right_of, 0.009 - np.abs(below - 0.048))), ink("f4ecd8"))


def clockwork(seed: int, wall: Sequence[str], face: str, brass: str) -> Picture:
    """The face of a tower clock before its turning wheels."""
    rng = np.random.default_rng(seed)
    x, y = grid()
    ground = sky(wall) + 0.02 * noise(rng, (HEIGHT, WIDTH), 0.8)[..., None]
    gears = [
        (-0.68, 0.22, 0.3, 20, 0.35),
        (-0.62, 0.86, 0.38, 26, -0.27),
        (0.72, 0.75, 0.33, 22, 0.32),
    ]
    polar = [
        (np.hypot(x - at, y - height), np.arctan2(y - height, x - at)) for at, height, *_ in gears
    ]
    shine = 1 + 0.12 * noise(rng, (HEIGHT, WIDTH), 1.0)[..., None]
    centre = (0.12, 0.5)
    right_of, below = x - centre[0], y - centre[1]
    away = np.hypot(right_of, below)
    dial = _dial(right_of, below, face)
    inside = soft(0.385 - away)
    rim = soft(0.022 - np.abs(away - 0.39))

    def picture(time_s: float) -> Image:
        image = ground.copy()
        for (_, _, radius, teeth, speed), (out, angle) in zip(gears, polar, strict=True):
            turned = angle - speed * time_s
            edge = radius + 0.014 * np.clip(3 * np.sin(teeth * turned), -1, 1)
            spokes = 0.7 * out * (np.abs(np.sin(2.5 * turned)) - 0.3)
            holes = np.minimum(0.055 - np.abs(out - 0.58 * radius), spokes)
            cover = soft(edge - out) * (1 - soft(np.maximum(holes, 0.06 - out)))
            paint(image, cover, shine * ink(brass) * (1.1 - 0.5 * out / radius)[..., None])
        paint(image, inside, dial)
        paint(image, rim, 0.7 * ink(brass))
        for turns, length, width in ((0.021, 0.22, 0.013), (0.25, 0.31, 0.008)):
            angle = 2 * np.pi * (turns * time_s + 0.71)
            along = right_of * np.sin(angle) - below * np.cos(angle)
            aside = np.abs(right_of * np.cos(angle) + below * np.sin(angle))
            hand = np.minimum(
                width * (1.2 - along / length) - aside, np.minimum(length - along, along + 0.06)
            )
            paint(image, soft(hand), ink("16120f"))
        paint(image, soft(0.022 - away), ink("16120f"))
        return image

    return picture


def _dial(right_of: Field, below: Field, face: str) -> Image:
    away, around = np.hypot(right_of, below), np.arctan2(below, right_of)
    dial = (ink(face) * (1.04 - 0.6 * away**2)[..., None]).astype(np.float32)
    for marks, inner, width in ((60, 0.345, 0.003), (12, 0.3, 0.009)):
        step = 2 * np.pi / marks
        aside = np.abs((around + step / 2) % step - step / 2) * away
        mark = np.minimum(width - aside, np.minimum(away - inner, 0.362 - away))
        paint(dial, soft(mark), ink("16120f"))
    return dial


def iris(seed: int, colours: Sequence[str], petals: int, speed: float) -> Picture:
    """A pattern of petals that breathes around a dark pupil."""
    rng = np.random.default_rng(seed)
    x, y = grid()
    away, around = np.hypot(x, y - 0.5), np.arctan2(y - 0.5, x)
    table = ramp((*colours, colours[0]), np.linspace(0, 1, 512, dtype=np.float32))
    grain = 0.12 * noise(rng, (HEIGHT, WIDTH), 1.2)
    vignette = (1.08 - 0.45 * away**2)[..., None]

    def picture(time_s: float) -> Image:
        turn = speed * time_s
        leaf = np.sin(petals * around + 5 * np.sin(4.2 * away - 0.8 * turn) + 0.6 * turn)
        counter = np.sin(petals * around - 3 * np.sin(5 * away + 0.5 * turn) - 0.9 * turn)
        ring = np.sin(13 * away - 1.6 * turn + grain)
        value = 0.5 + 0.17 * leaf + 0.13 * counter + 0.2 * ring
        image: Image = table[np.clip(value * 511, 0, 511).astype(np.intp)] * vignette
        pupil = 0.1 + 0.02 * np.sin(0.9 * time_s)
        paint(image, soft((pupil - away) * 0.4), ink("08060a"))
        image += (0.7 * np.exp(-np.hypot(x + 0.04, y - 0.46) / 0.025))[..., None]
        return image

    return picture
