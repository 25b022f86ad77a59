"""Pictures of the night: a city, stars that fly by, a lighthouse, fireworks, rain on a street."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ossl_builder.demo.canvas import (
    HEIGHT,
    WIDTH,
    Image,
    Layer,
    Picture,
    clouds,
    disc,
    grid,
    ink,
    noise,
    paint,
    silhouette,
    sky,
    soft,
    sparks,
)


def skyline(
    seed: int,
    air: Sequence[str],
    walls: tuple[str, str],
    lamp: str,
    moon: tuple[float, float, str],
    lit: float = 0.4,
) -> Picture:
    """A city with lit windows; the camera pans along it, and cars drive below.

    Args:
        seed: which city.
        air: colours of the sky, from the top to the horizon.
        walls: colours of the far and of the near houses.
        lamp: colour of the windows.
        moon: x and y in picture heights, and colour.
        lit: share of windows behind which there is light.
    """
    rng = np.random.default_rng(seed)
    ground = sky(air, 0.8)
    disc(ground, moon[0], moon[1], 0.05, ink(moon[2]), 0.3)
    drift = clouds(rng, air[-1], 0.35, 8)
    layers = [
        _houses(rng, walls[0], lamp, 0.3 * lit, (0.25, 0.6), 3, 9),
        _houses(rng, walls[1], lamp, lit, (0.42, 0.8), 5, 26),
    ]
    cars = rng.uniform(0, 1, (14, 3)).astype(np.float32)
    direction = np.where(cars[:, 2] > 0.5, 1, -1)
    colours = np.where(direction[:, None] > 0, ink("fff0c0"), ink("ff5040"))

    def picture(time_s: float) -> Image:
        image = ground.copy()
        drift.over(image, time_s)
        for layer in layers:
            layer.over(image, time_s)
        image[-int(0.075 * HEIGHT) :] = 0.6 * ink(walls[1])
        across = (cars[:, 0] * WIDTH + direction * (50 + 60 * cars[:, 1]) * time_s) % WIDTH
        sparks(image, across, HEIGHT * (0.957 + 0.012 * direction), 0.9 * colours, 1.8)
        return image

    return picture


def _houses(
    rng: np.random.Generator,
    wall: str,
    lamp: str,
    lit: float,
    tops: tuple[float, float],
    cell: int,
    speed: float,
) -> Layer:
    """A row of houses; `cell` is the size of a window with its wall, in pixels."""
    length = 3 * WIDTH // 2 // cell * cell
    line = np.ones(length, dtype=np.float32)
    shade = np.ones((HEIGHT, length, 3), dtype=np.float32)
    column = 0
    while column < length:
        end = min(length, column + cell * int(rng.integers(5, 13)))
        line[column:end] = round(rng.uniform(*tops) * HEIGHT / cell) * cell / HEIGHT
        if rng.random() < 0.3:
            middle = (column + end) // 2
            line[middle : middle + 2] -= 0.06
        shade[:, column:end] = ink(wall) * rng.uniform(0.75, 1.25)
        column = end
    rows, columns = np.arange(HEIGHT)[:, None], np.arange(length)[None, :]
    panes = (rows % cell > cell // 3) & (columns % cell > cell // 3)
    bright = rng.random((HEIGHT // cell + 1, length // cell)) < lit
    glow = bright * rng.uniform(0.45, 1.05, bright.shape)
    light = np.repeat(np.repeat(glow, cell, axis=0)[:HEIGHT], cell, axis=1)
    light = light * panes * (rows > line[None, :] * HEIGHT + 2)
    shade += light[..., None].astype(np.float32) * (ink(lamp) - shade)
    return silhouette(line, shade, speed)


def starfield(seed: int, space: str, haze: Sequence[str], count: int = 320) -> Picture:
    """A flight through stars, with clouds of gas far behind them."""
    rng = np.random.default_rng(seed)
    ground = np.tile(ink(space), (HEIGHT, WIDTH, 1))
    for colour in haze:
        gas = np.clip(0.5 * noise(rng, (HEIGHT, WIDTH), 1.9) + 0.2, 0, 1.2)
        ground += (0.6 * gas)[..., None] * ink(colour)
    place = rng.uniform(-1, 1, (count, 2)) * [WIDTH, HEIGHT]
    depth = rng.uniform(0, 1, count)
    warmth = rng.uniform(0.75, 1, (count, 3)).astype(np.float32)

    def picture(time_s: float) -> Image:
        image = ground.copy()
        turn = 0.08 * time_s
        for blur in range(3):
            away = 0.08 + (depth - 0.16 * (time_s - 0.012 * blur)) % 1
            x, y = 0.32 * place.T / away
            # Stars come into being far away and dim, not at once.
            light = np.clip(0.14 / away, 0, 1.1) * np.clip(6 * (1.08 - away), 0, 1)
            across = WIDTH / 2 + np.cos(turn) * x - np.sin(turn) * y
            height = HEIGHT / 2 + np.sin(turn) * x + np.cos(turn) * y
            sparks(image, across, height, light[:, None] * warmth, 0.95)
        return image

    return picture


def lighthouse(seed: int, air: Sequence[str], rock: str, beam: str) -> Picture:
    """A lighthouse whose beam sweeps through drifting fog."""
    rng = np.random.default_rng(seed)
    x, y = grid()
    ground = sky(air)
    lamp = (0.3, 0.27)
    right_of, below = x - lamp[0], y - lamp[1]
    coast = 0.83 + 0.03 * noise(rng, (WIDTH,), 1.6) - 0.12 * np.exp(-((right_of[0] / 0.22) ** 2))
    cliff = silhouette(coast.astype(np.float32), (rock, "05060a"), 0)
    side = 0.028 + 0.045 * below
    tower = np.minimum(np.minimum(side - np.abs(right_of), below - 0.02), 0.62 - below)
    stripe = soft(np.sin(below * 28) * 0.03)[..., None]
    colour = stripe * ink("c8c4bc") + (1 - stripe) * ink("6a2018")
    colour = colour * (0.75 - 8 * right_of.clip(-0.06, 0.06))[..., None]
    cabin = np.minimum(0.028 - np.abs(right_of), 0.028 - np.abs(below))
    roof = np.minimum(0.04 + below + 0.02 - np.abs(right_of), -0.028 - below)
    fog = clouds(rng, air[-1], 0.62, 14)
    mist = noise(rng, (HEIGHT, WIDTH), 1.4)
    reach = np.abs(right_of)
    flare = np.exp(-np.hypot(right_of, below) / 0.09)

    def picture(time_s: float) -> Image:
        image = ground.copy()
        fog.over(image, time_s)
        turn = 0.55 * time_s - 0.9
        # The lamp stands above the fog, so a beam that comes nearer also comes down.
        aside = below - 0.22 * np.sin(turn) * np.sign(right_of) * reach
        spread = np.exp(-((aside / (0.012 + 0.11 * reach)) ** 2)) / (1 + 1.1 * reach)
        towards = np.where(right_of > 0, np.cos(turn), -np.cos(turn)).clip(0, 1)
        light = spread * towards * (0.85 + 0.12 * np.roll(mist, round(-30 * time_s), axis=1))
        light += flare * (0.35 + 0.3 * max(0.0, np.sin(turn)) ** 4)
        image += 0.6 * light[..., None] * ink(beam)
        paint(image, soft(tower), colour)
        cliff.over(image, time_s)
        paint(image, soft(cabin), ink(beam))
        paint(image, soft(roof), ink("0a0a0c"))
        return image

    return picture


def fireworks(seed: int, air: Sequence[str], walls: str, colours: Sequence[str]) -> Picture:
    """Fireworks above the roofs of a town, a new one about every half second."""
    rng = np.random.default_rng(seed)
    ground = sky(air)
    town = _houses(rng, walls, "ffd890", 0.25, (0.78, 0.88), 4, 5)
    count = 40
    starts = -2.5 + 0.5 * np.arange(count) + rng.uniform(0, 0.25, count)
    centres = rng.uniform([0.1, 0.15], [0.9, 0.5], (count, 2)) * [WIDTH, HEIGHT]
    size = rng.uniform(85, 150, count)
    angles = rng.uniform(0, 2 * np.pi, (count, 110))
    speeds = np.sqrt(rng.uniform(0.25, 1, (count, 110)))

    def picture(time_s: float) -> Image:
        image = ground.copy()
        for burst in range(count):
            age = time_s - starts[burst]
            if not 0 < age < 2.2:
                continue
            light = min(1.0, age / 0.25) * np.exp(-1.4 * age) * (1 - age / 2.2)
            for trail, dim in ((0.0, 1.0), (0.05, 0.5), (0.1, 0.25)):
                far = size[burst] * speeds[burst] * (1 - np.exp(-1.8 * max(0.0, age - trail)))
                x = centres[burst, 0] + far * np.cos(angles[burst])
                y = centres[burst, 1] + far * np.sin(angles[burst]) + 14 * age**2
                colour = 2.2 * dim * light * ink(colours[burst % len(colours)])
                sparks(image, x, y, colour, 1.4)
        town.over(image, time_s)
        return image

    return picture


def rain(seed: int, street: Sequence[str], lamps: Sequence[str]) -> Picture:
    """Lamps out of focus behind a window, and rain that runs down before them."""
    rng = np.random.default_rng(seed)
    ground = sky(street)
    far = _lamps(rng, lamps, 34, (0.025, 0.05), 6)
    near = _lamps(rng, lamps, 12, (0.07, 0.12), 19)
    fall = np.zeros((2 * HEIGHT, WIDTH), dtype=np.float32)
    for _ in range(120):
        row, column = rng.integers((2 * HEIGHT, WIDTH))
        length = int(rng.integers(12, 52))
        rows = (row + np.arange(length)) % len(fall)
        fall[rows, column] += np.linspace(0, 0.45, length, dtype=np.float32)

    def picture(time_s: float) -> Image:
        image = ground.copy()
        far.over(image, time_s)
        near.over(image, time_s)
        streaks = np.roll(fall, round(300 * time_s), axis=0)[:HEIGHT]
        image += streaks[..., None] * (0.35 + 0.5 * image)
        return image

    return picture


def _lamps(
    rng: np.random.Generator,
    colours: Sequence[str],
    count: int,
    radii: tuple[float, float],
    speed: float,
) -> Layer:
    length = 3 * WIDTH // 2
    _, y = grid()
    x = np.arange(length, dtype=np.float32)[None, :] / HEIGHT
    strip = np.zeros((HEIGHT, length, 4), dtype=np.float32)
    for number in range(count):
        radius = rng.uniform(*radii)
        centre = rng.uniform([radius, 0.12], [length / HEIGHT - radius, 0.8])
        away = np.hypot(x - centre[0], y - centre[1])
        edge = soft((radius - away) * 0.4) * (0.6 + 0.4 * np.exp(-(((away - radius) / 0.01) ** 2)))
        cover = edge[..., None] * np.float32(rng.uniform(0.35, 0.8))
        strip[..., :3] += cover * (ink(colours[number % len(colours)]) - strip[..., :3])
        strip[..., 3:] += cover * (1 - strip[..., 3:])
    return Layer(strip, 0, speed)
