"""Turn a request to add films into rows of the sources table."""

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
    """The data of a film that the user supplies; empty: not supplied."""

    film_id: str = ""
    title: str = ""
    year: int | None = None
    country: str = ""
    basis: str = ""
    evidence: str = ""

    @property
    def is_empty(self) -> bool:
        """Return whether the user supplied nothing."""
        return self == Claim()


@dataclass(frozen=True)
class AddRequest:
    """A request to add films.

    Attributes:
        names: film ids, files, URLs, `ia:` sources.
        tier: also add all films of this tier; None: no tier.
        claim: data that the user supplies for the single film in `names`.
        sha256: the required checksum of the single film in `names`.
        allow_unverified: also add films whose verdict is not free.
    """

    names: tuple[str, ...] = ()
    tier: str | None = None
    claim: Claim = Claim()
    sha256: str | None = None
    allow_unverified: bool = False


def chosen_sources(film_index: FilmIndex, request: AddRequest, today: date) -> list[Source]:
    """Return the rows to record; if one film is invalid, none is recorded.

    Raises:
        OsslError: `usage`, for an invalid request; `film_unknown`, `film_unverified`,
            `film_id_invalid`, `source_invalid`, `sha256_invalid`.
    """
    if not request.names and request.tier is None:
        raise _usage("Name films, or all of a tier with --tier A.")
    if len(request.names) != 1 and not request.claim.is_empty:
        raise _usage("--id, --title, --year, --country, --basis and --evidence speak of one film.")
    if request.sha256 is not None and (len(request.names) != 1 or request.tier is not None):
        raise _usage("--sha256 is the checksum of one film.")
    requested = [_source_of_name(film_index, name, request, today) for name in request.names]
    if request.tier is not None:
        requested += _of_tier(film_index, request.tier, request.allow_unverified, today)
    sources: dict[str, Source] = {}
    for source in requested:
        first = sources.setdefault(source.film_id, source)
        if first.source != source.source:
            raise _usage(
                f"{source.film_id} is asked for twice, as {first.source} and as {source.source}."
            )
    _refuse_unverified(film_index, sources.values(), today)
    return list(sources.values())


def _source_of_name(film_index: FilmIndex, name: str, request: AddRequest, today: date) -> Source:
    sha256 = None if request.sha256 is None else _checked_sha256(request.sha256)
    if not request.claim.is_empty:
        return _claimed_source(film_index, name, request, sha256)
    recorded = film_index.held.get(name)
    if recorded is not None and (recorded.is_claim or name not in film_index.catalogue):
        # A row of the catalogue replaces a claim only after the claim was removed.
        allow_unknown = recorded.allow_unknown or request.allow_unverified
        return replace(recorded, allow_unknown=allow_unknown, sha256=sha256 or recorded.sha256)
    film = _in_catalogue(film_index, name)
    if film is None:
        return _claimed_source(film_index, name, request, sha256)
    address = film.source if name == film.film_id else source_of(name)
    source = _from_catalogue(film, address, request.allow_unverified, today)
    recorded = film_index.held.get(film.film_id)
    pinned = recorded.sha256 if recorded is not None and recorded.source == address else None
    return replace(source, sha256=sha256 or pinned)


def _in_catalogue(film_index: FilmIndex, name: str) -> CatalogueFilm | None:
    """Return the film of the catalogue that has this id or this Internet Archive item, or None."""
    if name in film_index.catalogue:
        return film_index.catalogue[name]
    if ":" not in name:
        return None
    identifier = identifier_of(source_of(name))
    for film in film_index.catalogue.values():
        if identifier in [identifier_of(address) for address in (film.source, *film.alternates)]:
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
        alternates=_alternates(film, source),
        sha256=None,
        is_claim=False,
        # Set only where it has an effect: a film of tier A needs no permission.
        allow_unknown=allow_unverified and not _is_verified(film, today),
    )


def _alternates(film: CatalogueFilm, source: str) -> str:
    return "; ".join(address for address in (film.source, *film.alternates) if address != source)


def _is_verified(film: CatalogueFilm, today: date) -> bool:
    return film.tier == "A" and judge(facts_of(film), today).is_free


def _of_tier(film_index: FilmIndex, tier: str, allow_unverified: bool, today: date) -> list[Source]:
    """Return the films of a tier that the corpus does not have; recorded rows do not change."""
    if tier not in TIERS:
        raise _usage(f"--tier is {tier!r}, not one of {', '.join(TIERS)}.")
    if tier == "C":
        raise _usage(
            "Films of tier C are added by their ids only, each with a thought: "
            "ossl films add FILM --allow-unverified."
        )
    return [
        _from_catalogue(film, film.source, allow_unverified, today)
        for film in film_index.catalogue.values()
        if film.tier == tier and film.film_id not in film_index.held
    ]


def _claimed_source(
    film_index: FilmIndex, name: str, request: AddRequest, sha256: str | None
) -> Source:
    """Return the row of a film with the user's basis and evidence, completed from the catalogue."""
    film = _in_catalogue(film_index, name)
    claim = request.claim
    if film is None and claim.is_empty and _is_bare(name):
        raise film_index.unknown(name)
    source = film.source if film and name == film.film_id else source_of(name)
    texts = {
        "--id": claim.film_id or (film.film_id if film else ""),
        "--title": claim.title or (film.title if film else ""),
        "--basis": claim.basis,
        "--evidence": claim.evidence,
    }
    missing = [option for option, text in texts.items() if not text.strip()]
    if missing:
        where = "by your own word" if film else "which is not in the catalogue"
        raise _usage(
            f"To add {name}, {where}, say what film it is and why it may be used: "
            f"{', '.join(missing)} {'is' if len(missing) == 1 else 'are'} missing or empty."
        )
    for option, text in {**texts, "--country": claim.country}.items():
        if not text.isprintable():
            raise _usage(f"{option} holds characters that are no printable text: {text!r}.")
    return Source(
        film_id=checked_film_id(texts["--id"]),
        title=texts["--title"],
        year=claim.year or (film.year if film else None),
        country=claim.country or (film.country if film else ""),
        basis=claim.basis,
        evidence=claim.evidence,
        licence="",
        source=source,
        alternates=_alternates(film, source) if film else "",
        sha256=sha256,
        is_claim=True,
        allow_unknown=request.allow_unverified,
    )


def _is_bare(name: str) -> bool:
    """Return whether a name looks like a film id and is no file."""
    if set(name) & set("/.:\\"):
        return False
    try:
        return not Path(name).exists()
    except (OSError, ValueError):  # for example, a name that is too long for the file system
        return True


def _refuse_unverified(film_index: FilmIndex, sources: Iterable[Source], today: date) -> None:
    """Raise one error for all films of the catalogue that are not shown to be free."""
    unclaimed = [source for source in sources if not (source.is_claim or source.allow_unknown)]
    films = [
        film_index.catalogue[source.film_id]
        for source in unclaimed
        if source.film_id in film_index.catalogue
    ]
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
