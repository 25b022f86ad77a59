"""Assign films to splits in the given ratios, in total and in each stratum."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import combinations

from ossl_builder.splits.film_stats import FilmStats

Key = tuple[str, ...]
# A split and the strata of some of its films; and one of these films moving to another split.
Place = tuple[str, tuple[Key, ...]]
Move = tuple[Place, str]
# Each move balances the strata further, so the moves end; more than this are not worth the time.
MAX_MOVES = 100
MIN_GAIN = 1e-6


def choose_splits(
    groups: Sequence[Sequence[FilmStats]],
    assigned: Iterable[tuple[FilmStats, str]],
    ratios: Mapping[str, float],
    seed: int,
) -> dict[str, str]:
    """Choose a split for each group of films.

    Args:
        groups: films that must be in the same split.
        assigned: films that already have a split, with the split.
        ratios: the share of the films for each split.
        seed: decides the order of groups of equal size.

    Returns:
        Film id to split, for the films in `groups`.
    """
    counts: Counter[tuple[str, Key]] = Counter()
    films: Counter[Key] = Counter()
    for stats, split in assigned:
        films.update(_strata_keys(stats))
        counts.update((split, key) for key in _strata_keys(stats))
    for group in groups:
        for stats in group:
            films.update(_strata_keys(stats))
    splits = [split for split, ratio in ratios.items() if ratio > 0]
    chosen: dict[str, str] = {}
    ordered = sorted(groups, key=lambda group: (-len(group), _hash_order(seed, group[0].film_id)))
    for number, group in enumerate(ordered):
        # No split stays empty if there are enough films.
        empty = [split for split in splits if not counts[split, ()]]
        candidates = empty if len(ordered) - number <= len(empty) else splits
        keys = [key for stats in group for key in _strata_keys(stats)]
        missing = {
            split: sum(ratios[split] * films[key] - counts[split, key] for key in keys)
            for split in candidates
        }
        split = max(candidates, key=lambda name: (missing[name], -splits.index(name)))
        counts.update((split, key) for key in keys)
        chosen |= {stats.film_id: split for stats in group}
    single = [group[0] for group in ordered if len(group) == 1]
    _balance(chosen, single, counts, films, ratios)
    return chosen


def _balance(
    chosen: dict[str, str],
    single: Sequence[FilmStats],
    counts: Counter[tuple[str, Key]],
    films: Counter[Key],
    ratios: Mapping[str, float],
) -> None:
    """Move films to other splits, or exchange two, while that balances the strata; in place."""
    places: dict[Place, list[str]] = {}
    for stats in single:
        places.setdefault((chosen[stats.film_id], _strata_keys(stats)), []).append(stats.film_id)
    for _ in range(MAX_MOVES):
        best, best_gain = None, MIN_GAIN
        for moves in _possible_moves([place for place in places if places[place]], counts, ratios):
            gain = _gain(moves, counts, films, ratios)
            if gain > best_gain:
                best, best_gain = moves, gain
        if best is None:
            return
        film_moves = [(places[place].pop(0), place, to) for place, to in best]
        for film, (split, keys), to in film_moves:
            places.setdefault((to, keys), []).append(film)
            chosen[film] = to
            counts.subtract((split, key) for key in keys)
            counts.update((to, key) for key in keys)


def _possible_moves(
    places: Sequence[Place], counts: Counter[tuple[str, Key]], ratios: Mapping[str, float]
) -> Iterator[tuple[Move, ...]]:
    """Yield every move of one film to another split, and every exchange of two, by strata."""
    for place in places:
        if counts[place[0], ()] > 1:
            for split, ratio in ratios.items():
                if ratio > 0 and split != place[0]:
                    yield ((place, split),)
    for first, second in combinations(places, 2):
        if first[0] != second[0] and first[1] != second[1]:
            yield ((first, second[0]), (second, first[0]))


def _gain(
    moves: tuple[Move, ...],
    counts: Counter[tuple[str, Key]],
    films: Counter[Key],
    ratios: Mapping[str, float],
) -> float:
    """Return by how much moves lower the squared errors of the strata's shares of each split."""
    change: Counter[tuple[str, Key]] = Counter()
    for (split, keys), to in moves:
        change.subtract((split, key) for key in keys)
        change.update((to, key) for key in keys)
    total = 0.0
    for (split, key), by in change.items():
        error = counts[split, key] - ratios[split] * films[key]
        # One film is a larger share of a small split than of a large one.
        total += (error**2 - (error + by) ** 2) / ratios[split] ** 2
    return total


def _strata_keys(stats: FilmStats) -> tuple[Key, ...]:
    """Return the strata of a film: all films, its mood, its length, and both together."""
    mood, length = ("mood", str(stats.quadrant)), ("length", stats.length)
    return ((), mood, length, (*mood, *length))


def _hash_order(seed: int, film_id: str) -> str:
    return hashlib.sha256(f"{seed} {film_id}".encode()).hexdigest()


def groups_of(films: Iterable[str], pairs: Iterable[tuple[str, str]]) -> dict[str, str]:
    """Group films that share material, and return for each film the first film id of its group.

    Args:
        films: the films to group.
        pairs: films that share material; pairs with other films are ignored.
    """
    first = {film: film for film in films}
    for film_a, film_b in pairs:
        if film_a in first and film_b in first:
            low, high = sorted((_find_root(first, film_a), _find_root(first, film_b)))
            first[high] = low
    return {film: _find_root(first, film) for film in first}


def _find_root(first: dict[str, str], film: str) -> str:
    while first[film] != film:
        first[film] = first[first[film]]
        film = first[film]
    return film
