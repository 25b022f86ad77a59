"""Assign every film to a split, and record the reason for each."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ossl_builder import files, parse
from ossl_builder.errors import OsslError
from ossl_builder.splits.film_stats import FilmStats, film_stats
from ossl_builder.splits.leaks import (
    KIND_WORDS,
    KINDS,
    Leak,
    Match,
    find_leaks,
    find_matches,
    load_fingerprints,
)
from ossl_builder.splits.settings import SplitsSettings
from ossl_builder.splits.stratify import choose_splits, groups_of
from ossl_builder.tables.splits import SPLIT_NAMES, Split

VERSION = 2


@dataclass(frozen=True)
class FilmAssignment:
    """Where a film was put, and why, in one sentence."""

    split: str
    why: str


@dataclass(frozen=True)
class SplitRecord:
    """All films ever assigned, and the ratios and the seed of the last time."""

    films: Mapping[str, FilmAssignment] = field(default_factory=dict)
    ratios: Mapping[str, float] = field(default_factory=dict)
    seed: int = 0


def record_path(root: Path) -> Path:
    """Where a corpus keeps it."""
    return root / "records" / "splits.json"


def load_record(root: Path) -> SplitRecord:
    """What was assigned so far.

    Raises:
        OsslError: `splits_record_damaged`.
    """
    path = record_path(root)
    try:
        found: dict[str, Any] = parse.json_value(path.read_bytes())
        if found["version"] != VERSION:
            raise ValueError(f"version {found['version']}")
        films = {name: FilmAssignment(**entry) for name, entry in found["films"].items()}
        if any(assigned.split not in SPLIT_NAMES for assigned in films.values()):
            raise ValueError("no such split")
        return SplitRecord(films, found["ratios"], found["seed"])
    except FileNotFoundError:
        return SplitRecord()
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise OsslError(
            "splits_record_damaged",
            f"{path} cannot be read ({error}).",
            "Restore it from a backup; if you delete it, all films are divided anew.",
        ) from error


def save_record(root: Path, record: SplitRecord) -> None:
    """Write it whole; the caller holds the corpus' lock."""
    value = {
        "version": VERSION,
        "seed": record.seed,
        "ratios": dict(record.ratios),
        "films": {name: vars(assigned) for name, assigned in record.films.items()},
    }
    text = json.dumps(value, indent=1, sort_keys=True, ensure_ascii=False)
    files.write_bytes(record_path(root), text.encode() + b"\n")


# Films of a group that the reason names.
MAX_NAMED_FILMS = 3


@dataclass(frozen=True)
class SplitPlan:
    """How a corpus is, or would be, divided.

    Attributes:
        rows: of the splits table.
        matches: what films share.
        leaks: matches across splits, between films that were assigned before.
        new: ids of films that had no split before and have one now.
        record: the record to keep.
        notes: sentences on what a curator should know of it.
    """

    rows: tuple[Split, ...]
    matches: tuple[Match, ...]
    leaks: tuple[Leak, ...]
    new: tuple[str, ...]
    record: SplitRecord
    notes: tuple[str, ...]


def assign_films(
    root: Path,
    settings: SplitsSettings,
    kinds: Iterable[str] = KINDS,
    forget: Collection[str] = (),
) -> SplitPlan:
    """Divide a corpus by its clips, fingerprints and labels. Writes nothing.

    Args:
        root: the corpus' folder.
        settings: the recipe's section `splits`.
        kinds: `KINDS`, in order; an iterator may show how far it is.
        forget: films whose earlier split is not to be kept.

    Raises:
        OsslError: `table_missing`, `table_version`, `splits_record_damaged`.
    """
    manifests = root / "manifests"
    before = load_record(root)
    facts = {film.film_id: film for film in film_stats(manifests)}
    prints = load_fingerprints(manifests)
    matches = find_matches(prints, settings, kinds) if prints else ()
    matches = tuple(match for match in matches if {match.film_a, match.film_b} <= facts.keys())
    kept = {film: entry for film, entry in before.films.items() if film not in forget}
    placed = _assign_all(
        facts, {film: kept[film] for film in facts if film in kept}, matches, settings
    )
    groups = groups_of(facts, [(match.film_a, match.film_b) for match in matches])
    rows = tuple(
        Split(
            film_id=film_id,
            split=placed[film_id].split or None,
            why=placed[film_id].why,
            group_id=groups[film_id],
            n_clips=film.n_clips,
            duration_s=film.duration_s,
            quadrant=film.quadrant,
            length=film.length,
        )
        for film_id, film in facts.items()
    )
    assigned = {film: entry for film, entry in placed.items() if entry.split}
    return SplitPlan(
        rows=rows,
        matches=matches,
        leaks=find_leaks([(film, entry.split) for film, entry in assigned.items()], matches),
        new=tuple(film for film in assigned if film not in kept),
        record=SplitRecord({**kept, **assigned}, settings.ratios(), settings.seed),
        notes=tuple(_notes(before, settings, facts, prints.films if prints else ())),
    )


def _assign_all(
    facts: Mapping[str, FilmStats],
    kept: Mapping[str, FilmAssignment],
    matches: tuple[Match, ...],
    settings: SplitsSettings,
) -> dict[str, FilmAssignment]:
    """Each film with its split (empty: none) and why it has it."""
    of_film: dict[str, list[Match]] = {}
    for match in matches:
        of_film.setdefault(match.film_a, []).append(match)
        of_film.setdefault(match.film_b, []).append(match)
    torn = [
        film
        for film in facts
        if film not in kept and len(_assigned_matches(film, of_film, kept)) > 1
    ]
    left_out = {
        film: FilmAssignment("", _reason_left_out(_assigned_matches(film, of_film, kept)))
        for film in torn
    }
    free = [film for film in facts if film not in kept and film not in left_out]
    first = groups_of(free, [(match.film_a, match.film_b) for match in matches])
    members: dict[str, list[str]] = {}
    for film in free:
        members.setdefault(first[film], []).append(film)
    joined: dict[str, FilmAssignment] = {}
    drawn: list[list[str]] = []
    for group in members.values():
        held: dict[str, Match] = {}
        for film in group:
            held = _assigned_matches(film, of_film, kept) | held
        if len(held) > 1:
            left_out |= {film: FilmAssignment("", _reason_left_out(held)) for film in group}
        elif held:
            ((split, match),) = held.items()
            joined |= {film: FilmAssignment(split, _reason_joined(match)) for film in group}
        else:
            drawn.append(group)
    stay = {**kept, **joined}
    splits = choose_splits(
        [[facts[film] for film in group] for group in drawn],
        [(facts[film], entry.split) for film, entry in stay.items()],
        settings.ratios(),
        settings.seed,
    )
    chosen = {
        film: FilmAssignment(splits[film], _reason_drawn(facts[film], group, settings))
        for group in drawn
        for film in group
    }
    return {**stay, **left_out, **chosen}


def _assigned_matches(
    film: str, of_film: Mapping[str, list[Match]], kept: Mapping[str, FilmAssignment]
) -> dict[str, Match]:
    """Splits on which assigned films stand that share material with a film; for each a match."""
    found: dict[str, Match] = {}
    for match in of_film.get(film, []):
        other = match.film_b if match.film_a == film else match.film_a
        if other in kept:
            found.setdefault(kept[other].split, match)
    return found


def _match_text(match: Match) -> str:
    return (
        f"{match.film_a} and {match.film_b} share {KIND_WORDS[match.kind]} ({match.shared} hashes)"
    )


def _reason_left_out(held: Mapping[str, Match]) -> str:
    told = "; ".join(
        f"{split}: {_match_text(held[split])}" for split in SPLIT_NAMES if split in held
    )
    return f"Left out, since it shares material with films in two splits ({told})."


def _reason_joined(match: Match) -> str:
    return f"{_match_text(match)}, and one of them stood here already."


def _reason_drawn(film: FilmStats, group: list[str], settings: SplitsSettings) -> str:
    others = [each for each in group if each != film.film_id]
    named = ", ".join(others[:MAX_NAMED_FILMS]) + (
        f" and {len(others) - MAX_NAMED_FILMS} more" * (len(others) > MAX_NAMED_FILMS)
    )
    together = f", together with {named}, since they share material" if others else ""
    return (
        f"Drawn by seed {settings.seed} as {film.stratum}{together}: "
        "each split should have its part of films like it."
    )


def _notes(
    before: SplitRecord,
    settings: SplitsSettings,
    facts: Mapping[str, FilmStats],
    printed: tuple[str, ...],
) -> Iterable[str]:
    if before.films and dict(before.ratios) != settings.ratios():
        yield "The ratios have changed: films that had a split keep it; new ones even it out."
    if before.films and before.seed != settings.seed:
        yield "The seed has changed: films that had a split keep it."
    without = len(facts.keys() - set(printed))
    if without:
        films = "1 film has" if without == 1 else f"{without} films have"
        yield (
            f"{films} no fingerprints: what they share with others is not known. "
            "`ossl fingerprints` takes them."
        )
