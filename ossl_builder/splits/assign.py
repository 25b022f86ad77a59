"""Assign every film to a split, and record the reason."""

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
    """The split of a film, and the reason in one sentence."""

    split: str
    why: str


@dataclass(frozen=True)
class SplitRecord:
    """All films that were ever assigned, and the ratios and seed of the last run."""

    films: Mapping[str, FilmAssignment] = field(default_factory=dict)
    ratios: Mapping[str, float] = field(default_factory=dict)
    seed: int = 0


def record_path(root: Path) -> Path:
    """Return the path of a corpus' record of splits."""
    return root / "records" / "splits.json"


def load_record(root: Path) -> SplitRecord:
    """Read the record; empty if there is none.

    Raises:
        OsslError: `splits_record_damaged`.
    """
    path = record_path(root)
    try:
        data: dict[str, Any] = parse.json_value(path.read_bytes())
        if data["version"] != VERSION:
            raise ValueError(f"version {data['version']}")
        films = {name: FilmAssignment(**entry) for name, entry in data["films"].items()}
        if any(assigned.split not in SPLIT_NAMES for assigned in films.values()):
            raise ValueError("unknown split")
        return SplitRecord(films, data["ratios"], data["seed"])
    except FileNotFoundError:
        return SplitRecord()
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise OsslError(
            "splits_record_damaged",
            f"{path} cannot be read ({error}).",
            "Restore the file from a backup. If you delete it, all films are assigned anew.",
        ) from error


def save_record(root: Path, record: SplitRecord) -> None:
    """Write the record. The caller holds the corpus' lock."""
    value = {
        "version": VERSION,
        "seed": record.seed,
        "ratios": dict(record.ratios),
        "films": {name: vars(assigned) for name, assigned in record.films.items()},
    }
    text = json.dumps(value, indent=1, sort_keys=True, ensure_ascii=False)
    files.write_bytes(record_path(root), text.encode() + b"\n")


MAX_NAMED_FILMS = 3


@dataclass(frozen=True)
class SplitPlan:
    """The splits of a corpus, before they are written.

    Attributes:
        rows: rows of the splits table.
        matches: material that films share.
        leaks: matches across splits, between films that were assigned before.
        new: ids of films that get a split for the first time.
        record: the new record.
        notes: remarks for the user, a sentence each.
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
    """Assign the films of a corpus by clips, fingerprints and labels. Writes nothing.

    Args:
        root: the corpus' folder.
        settings: section `splits` of the recipe.
        kinds: `KINDS`, in order; an iterator can show progress.
        forget: films that lose their earlier split.

    Raises:
        OsslError: `table_missing`, `table_version`, `splits_record_damaged`.
    """
    manifests = root / "manifests"
    before = load_record(root)
    stats = {film.film_id: film for film in film_stats(manifests)}
    fingerprints = load_fingerprints(manifests)
    matches = find_matches(fingerprints, settings, kinds) if fingerprints else ()
    matches = tuple(match for match in matches if {match.film_a, match.film_b} <= stats.keys())
    earlier = {film: entry for film, entry in before.films.items() if film not in forget}
    assignments = _assign_all(
        stats, {film: earlier[film] for film in stats if film in earlier}, matches, settings
    )
    groups = groups_of(stats, [(match.film_a, match.film_b) for match in matches])
    rows = tuple(
        Split(
            film_id=film_id,
            split=assignments[film_id].split or None,
            why=assignments[film_id].why,
            group_id=groups[film_id],
            n_clips=film.n_clips,
            duration_s=film.duration_s,
            quadrant=film.quadrant,
            length=film.length,
        )
        for film_id, film in stats.items()
    )
    assigned = {film: entry for film, entry in assignments.items() if entry.split}
    return SplitPlan(
        rows=rows,
        matches=matches,
        leaks=find_leaks([(film, entry.split) for film, entry in assigned.items()], matches),
        new=tuple(film for film in assigned if film not in earlier),
        record=SplitRecord({**earlier, **assigned}, settings.ratios(), settings.seed),
        notes=tuple(_notes(before, settings, stats, fingerprints.films if fingerprints else ())),
    )


def _assign_all(
    stats: Mapping[str, FilmStats],
    earlier: Mapping[str, FilmAssignment],
    matches: tuple[Match, ...],
    settings: SplitsSettings,
) -> dict[str, FilmAssignment]:
    """Return each film's split (empty: none) and the reason."""
    of_film: dict[str, list[Match]] = {}
    for match in matches:
        of_film.setdefault(match.film_a, []).append(match)
        of_film.setdefault(match.film_b, []).append(match)
    in_two_splits = [
        film
        for film in stats
        if film not in earlier and len(_assigned_matches(film, of_film, earlier)) > 1
    ]
    left_out = {
        film: FilmAssignment("", _reason_left_out(_assigned_matches(film, of_film, earlier)))
        for film in in_two_splits
    }
    free = [film for film in stats if film not in earlier and film not in left_out]
    first = groups_of(free, [(match.film_a, match.film_b) for match in matches])
    members: dict[str, list[str]] = {}
    for film in free:
        members.setdefault(first[film], []).append(film)
    joined: dict[str, FilmAssignment] = {}
    free_groups: list[list[str]] = []
    for group in members.values():
        match_of_split: dict[str, Match] = {}
        for film in group:
            match_of_split = _assigned_matches(film, of_film, earlier) | match_of_split
        if len(match_of_split) > 1:
            left_out |= {
                film: FilmAssignment("", _reason_left_out(match_of_split)) for film in group
            }
        elif match_of_split:
            ((split, match),) = match_of_split.items()
            joined |= {film: FilmAssignment(split, _reason_joined(match)) for film in group}
        else:
            free_groups.append(group)
    with_split = {**earlier, **joined}
    splits = choose_splits(
        [[stats[film] for film in group] for group in free_groups],
        [(stats[film], entry.split) for film, entry in with_split.items()],
        settings.ratios(),
        settings.seed,
    )
    new_assignments = {
        film: FilmAssignment(splits[film], _reason_chosen(stats[film], group, settings))
        for group in free_groups
        for film in group
    }
    return {**with_split, **left_out, **new_assignments}


def _assigned_matches(
    film: str, of_film: Mapping[str, list[Match]], earlier: Mapping[str, FilmAssignment]
) -> dict[str, Match]:
    """Return the splits of assigned films that share material with a film, with one match each."""
    match_of_split: dict[str, Match] = {}
    for match in of_film.get(film, []):
        other = match.film_b if match.film_a == film else match.film_a
        if other in earlier:
            match_of_split.setdefault(earlier[other].split, match)
    return match_of_split


def _match_text(match: Match) -> str:
    return (
        f"{match.film_a} and {match.film_b} share {KIND_WORDS[match.kind]} ({match.shared} hashes)"
    )


def _reason_left_out(match_of_split: Mapping[str, Match]) -> str:
    matches = "; ".join(
        f"{split}: {_match_text(match_of_split[split])}"
        for split in SPLIT_NAMES
        if split in match_of_split
    )
    return f"Left out because it shares material with films in two splits ({matches})."


def _reason_joined(match: Match) -> str:
    return f"{_match_text(match)}, and one of them was already in this split."


def _reason_chosen(film: FilmStats, group: list[str], settings: SplitsSettings) -> str:
    others = [film_id for film_id in group if film_id != film.film_id]
    named = ", ".join(others[:MAX_NAMED_FILMS]) + (
        f" and {len(others) - MAX_NAMED_FILMS} more" * (len(others) > MAX_NAMED_FILMS)
    )
    together = f", together with {named}, because they share material" if others else ""
    return (
        f"Chosen by seed {settings.seed} as {film.stratum}{together}: "
        "each split gets its share of similar films."
    )


def _notes(
    before: SplitRecord,
    settings: SplitsSettings,
    stats: Mapping[str, FilmStats],
    with_fingerprints: tuple[str, ...],
) -> Iterable[str]:
    if before.films and dict(before.ratios) != settings.ratios():
        yield "The ratios have changed: films with a split keep it; new films balance the splits."
    if before.films and before.seed != settings.seed:
        yield "The seed has changed: films with a split keep it."
    without = len(stats.keys() - set(with_fingerprints))
    if without:
        films = "1 film has" if without == 1 else f"{without} films have"
        yield (
            f"{films} no fingerprints, so shared material cannot be found. "
            "Compute them with `ossl fingerprints`."
        )
