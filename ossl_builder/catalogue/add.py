"""Record films in a corpus: from what a user asks for to rows of the sources table."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import date
from pathlib import Path

from ossl_builder.catalogue.film_index import FilmIndex
from ossl_builder.catalogue.source_address import identifier_of, source_of
from ossl_builder.errors import OsslError
from ossl_builder.rights.facts import facts_of
from ossl_builder.rights.verdict import judge
from ossl_builder.tables import Source, checked_film_id
from ossl_builder.tables.catalogue import TIERS, CatalogueFilm

SHA256 = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True)
class Claim:
    """What a user says of a film of their own; empty: not said."""

    film_id: str = ""
    title: str = ""
    year: int | None = None
    country: str = ""
    basis: str = ""
    evidence: str = ""

    @property
    def is_empty(self) -> bool:
        """Whether nothing is said."""
        return self == Claim()


@dataclass(frozen=True)
class AddRequest:
    """What a person asks to have added.

    Attributes:
        names: film ids, files, addresses, `ia:` sources.
        tier: all films of this tier as well.
        claim: what is said of the one film named.
        sha256: the checksum that the one film named must have.
        allow_unverified: films whose verdict is not free are wanted nevertheless.
    """

    names: tuple[str, ...] = ()
    tier: str | None = None
    claim: Claim = Claim()
    sha256: str | None = None
    allow_unverified: bool = False


def chosen_sources(shelf: FilmIndex, asked: AddRequest, today: date) -> list[Source]:
    """What to record; nothing if one of the films is wrong.

    Raises:
        OsslError: `usage`, for what was asked in a wrong way; `film_unknown`, `film_unverified`,
            `film_id_invalid`, `source_invalid`, `sha256_invalid`.
    """
    if not asked.names and asked.tier is None:
        raise _usage("Name films, or all of a tier with --tier A.")
    if len(asked.names) != 1 and not asked.claim.is_empty:
        raise _usage("--id, --title, --year, --country, --basis and --evidence speak of one film.")
    if asked.sha256 is not None and (len(asked.names) != 1 or asked.tier is not None):
        raise _usage("--sha256 is the checksum of one film.")
    found = [_named(shelf, name, asked, today) for name in asked.names]
    if asked.tier is not None:
        found += _of_tier(shelf, asked.tier, asked.allow_unverified, today)
    sources: dict[str, Source] = {}
    for source in found:
        first = sources.setdefault(source.film_id, source)
        if first.source != source.source:
            raise _usage(
                f"{source.film_id} is asked for twice, as {first.source} and as {source.source}."
            )
    _refuse_unverified(shelf, sources.values(), today)
    return list(sources.values())


def _named(shelf: FilmIndex, name: str, asked: AddRequest, today: date) -> Source:
    sha256 = None if asked.sha256 is None else _checked_sha256(asked.sha256)
    if not asked.claim.is_empty:
        return _own(shelf, name, asked, sha256)
    held = shelf.held.get(name)
    if held is not None and (held.is_claim or name not in shelf.catalogue):
        # The catalogue's word replaces a claim only after the claim was removed.
        allow_unknown = held.allow_unknown or asked.allow_unverified
        return replace(held, allow_unknown=allow_unknown, sha256=sha256 or held.sha256)
    film = _in_catalogue(shelf, name)
    if film is None:
        return _own(shelf, name, asked, sha256)
    wanted = film.source if name == film.film_id else source_of(name)
    source = _from_catalogue(film, wanted, asked.allow_unverified, today)
    held = shelf.held.get(film.film_id)
    pinned = held.sha256 if held is not None and held.source == wanted else None
    return replace(source, sha256=sha256 or pinned)


def _in_catalogue(shelf: FilmIndex, name: str) -> CatalogueFilm | None:
    """The catalogue's film of an id, or of an item of the Internet Archive."""
    if name in shelf.catalogue:
        return shelf.catalogue[name]
    if ":" not in name:
        return None
    identifier = identifier_of(source_of(name))
    for film in shelf.catalogue.values():
        if identifier in [identifier_of(one) for one in (film.source, *film.alternates)]:
            return film
    return None


def _from_catalogue(
    film: CatalogueFilm, source: str, allow_unverified: bool, today: date
) -> Source:
    return Source(
        film_id=film.film_id,
        title=film.title,
        year=film.year,
        country=film.country,
        basis=film.pd_basis,
        evidence=film.pd_evidence,
        licence=facts_of(film).licence or "",
        source=source,
        alternates=_others(film, source),
        sha256=None,
        is_claim=False,
        # Recorded only where it says something: a film of tier A needs no permission.
        allow_unknown=allow_unverified and not _is_verified(film, today),
    )


def _others(film: CatalogueFilm, source: str) -> str:
    return "; ".join(one for one in (film.source, *film.alternates) if one != source)


def _is_verified(film: CatalogueFilm, today: date) -> bool:
    return film.tier == "A" and judge(facts_of(film), today).is_free


def _of_tier(shelf: FilmIndex, tier: str, allow_unverified: bool, today: date) -> list[Source]:
    """Films of a tier that the corpus lacks; those it has stay as they are recorded."""
    if tier not in TIERS:
        raise _usage(f"--tier is {tier!r}, not one of {', '.join(TIERS)}.")
    if tier == "C":
        raise _usage(
            "Films of tier C are added by their ids only, each with a thought: "
            "ossl films add FILM --allow-unverified."
        )
    return [
        _from_catalogue(film, film.source, allow_unverified, today)
        for film in shelf.catalogue.values()
        if film.tier == tier and film.film_id not in shelf.held
    ]


def _own(shelf: FilmIndex, name: str, asked: AddRequest, sha256: str | None) -> Source:
    """A film by the user's word; of a film of the catalogue, only basis and evidence are theirs."""
    film = _in_catalogue(shelf, name)
    claim = asked.claim
    if film is None and claim.is_empty and _is_bare(name):
        raise shelf.unknown(name)
    source = film.source if film and name == film.film_id else source_of(name)
    given = {
        "--id": claim.film_id or (film.film_id if film else ""),
        "--title": claim.title or (film.title if film else ""),
        "--basis": claim.basis,
        "--evidence": claim.evidence,
    }
    lacking = [option for option, text in given.items() if not text.strip()]
    if lacking:
        where = "by your own word" if film else "which is not in the catalogue"
        raise _usage(
            f"To add {name}, {where}, say what film it is and why it may be used: "
            f"{', '.join(lacking)} {'is' if len(lacking) == 1 else 'are'} lacking or empty."
        )
    for option, text in {**given, "--country": claim.country}.items():
        if not text.isprintable():
            raise _usage(f"{option} holds characters that are no printable text: {text!r}.")
    return Source(
        film_id=checked_film_id(given["--id"]),
        title=given["--title"],
        year=claim.year or (film.year if film else None),
        country=claim.country or (film.country if film else ""),
        basis=claim.basis,
        evidence=claim.evidence,
        licence="",
        source=source,
        alternates=_others(film, source) if film else "",
        sha256=sha256,
        is_claim=True,
        allow_unknown=asked.allow_unverified,
    )


def _is_bare(name: str) -> bool:
    """Whether a name looks like a film's id, and is no file."""
    if set(name) & set("/.:\\"):
        return False
    try:
        return not Path(name).exists()
    except (OSError, ValueError):  # too long for a file's name, for instance
        return True


def _refuse_unverified(shelf: FilmIndex, sources: Iterable[Source], today: date) -> None:
    """Refuse films of the catalogue that are not shown to be free, all at once."""
    wanted = [one for one in sources if not (one.is_claim or one.allow_unknown)]
    films = [shelf.catalogue[one.film_id] for one in wanted if one.film_id in shelf.catalogue]
    refused = [film for film in films if not _is_verified(film, today)]
    if not refused:
        return
    names = [f"{film.film_id} (tier {film.tier})" for film in refused[:5]]
    more = f" and {len(refused) - 5} more" if len(refused) > 5 else ""
    raise OsslError(
        "film_unverified",
        f"Not shown to be free: {', '.join(names)}{more}. Nothing was added.",
        f"Read `ossl films explain {refused[0].film_id}`; to add it on your own responsibility, "
        "use --allow-unverified.",
    )


def _checked_sha256(text: str) -> str:
    digest = text.strip().lower()
    if not SHA256.fullmatch(digest):
        raise OsslError(
            "sha256_invalid",
            f"{text!r} is not a SHA-256.",
            "Write its 64 hexadecimal digits, as `sha256sum FILE` prints them.",
        )
    return digest


def _usage(sentence: str) -> OsslError:
    return OsslError("usage", sentence)
