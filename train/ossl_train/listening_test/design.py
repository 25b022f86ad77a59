"""Which clips are heard, whose video the control sees, and in which order all of it comes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ossl_builder.errors import OsslError
from ossl_train.data.source import SplitClip

if TYPE_CHECKING:
    import numpy as np

FILM, BASE, ADAPTER, CONTROL = "film", "base", "adapter", "control"
"""The film's own music; the base model; the adapter; the adapter on another clip's video."""
GENERATED = (BASE, ADAPTER, CONTROL)


@dataclass(frozen=True)
class Stimulus:
    """One thing to be heard and judged.

    Attributes:
        clip_id: by which raters and server know it: its place in the test, `001`.
        name: of the clip whose video it has.
        system: whose music it has.
    """

    clip_id: str
    name: str
    system: str


def choose(
    clips: Mapping[str, SplitClip], count: int, longest_s: float, seed: int
) -> tuple[str, ...]:
    """Draw clips, as evenly from the films as they allow; sorted names.

    Args:
        clips: by name.
        count: how many.
        longest_s: longer ones are not taken: nobody rates four versions of three minutes.
        seed: draws.

    Raises:
        OsslError: `clips_too_few`.
    """
    by_film: dict[str, list[str]] = {}
    for name, one in sorted(clips.items()):
        # A film's own music that is silent cannot be made as loud as the others.
        if one.clip.duration_s <= longest_s and one.clip.music_lufs is not None:
            by_film.setdefault(one.clip.film_id, []).append(name)
    n_fit = sum(map(len, by_film.values()))
    if n_fit < count or len(clips) < 2:
        raise OsslError(
            "clips_too_few",
            f"{n_fit} of {len(clips)} clips with music in this split last {longest_s:g} s or less; "
            f"{count} are asked for, and the control needs a second clip.",
            "Ask for fewer with --clips, for longer ones with --longest, or for another --split.",
        )
    rng = _rng(seed, "clips")
    films = [[names[at] for at in rng.permutation(len(names))] for names in by_film.values()]
    films = [films[at] for at in rng.permutation(len(films))]
    drawn: list[str] = []
    while len(drawn) < count:
        drawn += [names.pop() for names in films if names][: count - len(drawn)]
    return tuple(sorted(drawn))


def partners(names: Sequence[str], clips: Mapping[str, SplitClip], seed: int) -> dict[str, str]:
    """For each chosen clip another, whose video its control is made for.

    Taken from another film and at least as long where there is one; else from the same film; else
    the longest there is, whose last video then stands.
    """
    rng = _rng(seed, "partners")
    found = {}
    for name in names:
        own = clips[name].clip
        others = [one for one in sorted(clips) if one != name]
        long = [one for one in others if clips[one].clip.duration_s >= own.duration_s]
        elsewhere = [one for one in long if clips[one].clip.film_id != own.film_id]
        longest = [max(others, key=lambda one: clips[one].clip.duration_s)]
        fitting = elsewhere or long or longest
        found[name] = fitting[int(rng.integers(len(fitting)))]
    return found


def ordered(names: Sequence[str], systems: Sequence[str], seed: int) -> tuple[Stimulus, ...]:
    """All of them in the order in which they are heard: clip by clip, drawn by chance.

    Within clips the orders come in Latin squares (Williams 1949): each system stands as often
    in each place, and with an even number of systems each follows each other as often.
    """
    rng = _rng(seed, "order")
    rows: list[list[str]] = []
    found: list[Stimulus] = []
    for at in rng.permutation(len(names)):
        rows = rows or _square(systems, rng)
        for system in rows.pop():
            found.append(Stimulus(f"{len(found) + 1:03d}", names[at], system))
    return tuple(found)


def _square(systems: Sequence[str], rng: np.random.Generator) -> list[list[str]]:
    count = len(systems)
    shuffled = [systems[at] for at in rng.permutation(count)]
    # 0, 1, n-1, 2, n-2, …: all steps between neighbours differ.
    first = [0, *((at + 1) // 2 if at % 2 else count - at // 2 for at in range(1, count))]
    rows = [[shuffled[(place + shift) % count] for place in first] for shift in range(count)]
    return [rows[at] for at in rng.permutation(count)]


def _rng(seed: int, what: str) -> np.random.Generator:
    from zlib import crc32

    import numpy as np

    return np.random.default_rng([seed, crc32(what.encode())])
