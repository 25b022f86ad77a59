"""Groups: films that share material, directly or by way of others."""

from __future__ import annotations

from collections.abc import Iterable


def groups_of(films: Iterable[str], pairs: Iterable[tuple[str, str]]) -> dict[str, str]:
    """For each film, the first film by id of those it is connected with; or itself.

    Args:
        films: the films to group.
        pairs: films that share material; pairs with another film are passed over.
    """
    first = {film: film for film in films}
    for one, other in pairs:
        if one in first and other in first:
            low, high = sorted((_root(first, one), _root(first, other)))
            first[high] = low
    return {film: _root(first, film) for film in first}


def _root(first: dict[str, str], film: str) -> str:
    while first[film] != film:
        first[film] = first[first[film]]
        film = first[film]
    return film
