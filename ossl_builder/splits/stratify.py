"""Distribute films over splits in the wanted shares, in total and in each stratum."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import combinations

from ossl_builder.splits.film_stats import FilmStats

Key = tuple[str, ...]
# Films that are in one split and count alike; and one of them going to another split.
Place = tuple[str, tuple[Key, ...]]
Move = tuple[Place, str]
# Each change evens the strata, so they end; more than this many are never worth their time.
MAX_MOVES = 100
MIN_GAIN = 1e-6


def choose_splits(
    groups: Sequence[Sequence[FilmStats]],
    kept: Iterable[tuple[FilmStats, str]],
    ratios: Mapping[str, float],
    seed: int,
) -> dict[str, str]:
    """Choose a split for each group of films.

    Args:
        groups: films that must stand together.
        kept: films that have a split, with it.
        ratios: the part of the films that each split should have.
        seed: decides the order of groups of one size.

    Returns:
        Film id to split, for the films in `groups`.
    """
    have: Counter[tuple[str, Key]] = Counter()
    films: Counter[Key] = Counter()
    for facts, split in kept:
        films.update(_strata_keys(facts))
        have.update((split, key) for key in _strata_keys(facts))
    for group in groups:
        for facts in group:
            films.update(_strata_keys(facts))
    splits = [split for split, ratio in ratios.items() if ratio > 0]
    chosen: dict[str, str] = {}
    waiting = sorted(groups, key=lambda group: (-len(group), _hash_order(seed, group[0].film_id)))
    for number, group in enumerate(waiting):
        # No split stays empty if there are films for it, however few there are.
        empty = [split for split in splits if not have[split, ()]]
        open_to = empty if len(waiting) - number <= len(empty) else splits
        keys = [key for facts in group for key in _strata_keys(facts)]
        lacking = {
            split: sum(ratios[split] * films[key] - have[split, key] for key in keys)
            for split in open_to
        }
        split = max(open_to, key=lambda each: (lacking[each], -splits.index(each)))
        have.update((split, key) for key in keys)
        chosen |= {facts.film_id: split for facts in group}
    single = [group[0] for group in waiting if len(group) == 1]
    _balance(chosen, single, have, films, ratios)
    return chosen


def _balance(
    chosen: dict[str, str],
    single: Sequence[FilmStats],
    have: Counter[tuple[str, Key]],
    films: Counter[Key],
    ratios: Mapping[str, float],
) -> None:
    """Let films move, or two change places, while that evens the strata; in place."""
    places: dict[Place, list[str]] = {}
    for facts in single:
        places.setdefault((chosen[facts.film_id], _strata_keys(facts)), []).append(facts.film_id)
    for _ in range(MAX_MOVES):
        best, gained = None, MIN_GAIN
        for moves in _possible_moves([place for place in places if places[place]], have, ratios):
            gain = _gain(moves, have, films, ratios)
            if gain > gained:
                best, gained = moves, gain
        if best is None:
            return
        going = [(places[place].pop(0), place, to) for place, to in best]
        for film, (split, keys), to in going:
            places.setdefault((to, keys), []).append(film)
            chosen[film] = to
            have.subtract((split, key) for key in keys)
            have.update((to, key) for key in keys)


def _possible_moves(
    places: Sequence[Place], have: Counter[tuple[str, Key]], ratios: Mapping[str, float]
) -> Iterator[tuple[Move, ...]]:
    """One film of each kind to each other split, and two of each two kinds for each other."""
    for place in places:
        if have[place[0], ()] > 1:
            for split, ratio in ratios.items():
                if ratio > 0 and split != place[0]:
                    yield ((place, split),)
    for one, other in combinations(places, 2):
        if one[0] != other[0] and one[1] != other[1]:
            yield ((one, other[0]), (other, one[0]))


def _gain(
    moves: tuple[Move, ...],
    have: Counter[tuple[str, Key]],
    films: Counter[Key],
    ratios: Mapping[str, float],
) -> float:
    """By how much moves lower the sum of squared errors of the strata's parts of each split."""
    change: Counter[tuple[str, Key]] = Counter()
    for (split, keys), to in moves:
        change.subtract((split, key) for key in keys)
        change.update((to, key) for key in keys)
    total = 0.0
    for (split, key), by in change.items():
        error = have[split, key] - ratios[split] * films[key]
        # One film is more of a small split than of a large one.
        total += (error**2 - (error + by) ** 2) / ratios[split] ** 2
    return total


def _strata_keys(facts: FilmStats) -> tuple[Key, ...]:
    """What a film counts as: a film, one of its mood, one of its length, one of both."""
    mood, length = ("mood", str(facts.quadrant)), ("length", facts.length)
    return ((), mood, length, (*mood, *length))


def _hash_order(seed: int, film_id: str) -> str:
    return hashlib.sha256(f"{seed} {film_id}".encode()).hexdigest()


def groups_of(films: Iterable[str], pairs: Iterable[tuple[str, str]]) -> dict[str, str]:
    """For each film, the first film by id of those it is connected with; or itself.

    Args:
        films: the films to group.
        pairs: films that share material; pairs with another film are passed over.
    """
    first = {film: film for film in films}
    for one, other in pairs:
        if one in first and other in first:
            low, high = sorted((_find_root(first, one), _find_root(first, other)))
            first[high] = low
    return {film: _find_root(first, film) for film in first}


def _find_root(first: dict[str, str], film: str) -> str:
    while first[film] != film:
        first[film] = first[first[film]]
        film = first[film]
    return film
