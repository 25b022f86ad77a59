"""The catalogue, row by row: ids, sources, basis and year, evidence, tiers."""

import csv
import os
import re
import shutil
import subprocess
import sys
from datetime import date
from pathlib import Path

import pytest

from ossl_builder.errors import OsslError
from ossl_builder.rights import facts_of, judge
from ossl_builder.rights.facts import ABOUT, ITEM
from ossl_builder.tables import checked_film_id
from ossl_builder.tables.catalogue import (
    BASES,
    COLUMNS,
    TIERS,
    CatalogueFilm,
    checked_source,
    load_catalogue,
    read_catalogue,
)

FILE = Path(__file__).parents[2] / "manifests" / "films.csv"
FILMS = load_catalogue()
TODAY = date.today()


@pytest.mark.parametrize("film", FILMS, ids=lambda film: film.film_id)
def test_every_row_is_valid(film: CatalogueFilm) -> None:
    assert checked_film_id(film.film_id).endswith(f"-{film.year}")
    assert film.title == film.title.strip() != ""
    assert all(text.isprintable() for text in vars(film).values() if isinstance(text, str))
    assert [checked_source(one) for one in (film.source, *film.alternates)]
    assert film.source not in film.alternates
    assert film.country == "" or re.fullmatch("[A-Z]{2}(/[A-Z]{2})*", film.country)
    assert film.jurisdiction == "US"
    assert film.pd_basis in BASES
    assert film.tier in TIERS

    items = [ITEM.fullmatch(item) for item in film.pd_evidence.split("; ")]
    about = [found["about"] for found in items if found]
    assert len(about) == len(items) > 0
    assert set(about) <= set(ABOUT)

    years = {
        "expired_95y": (0, TODAY.year - 96),
        "not_renewed": (TODAY.year - 95, 1963),
        "no_notice": (TODAY.year - 95, 1977),
    }.get(film.pd_basis, (0, TODAY.year))
    # A film whose term has ended since the table was made is free for that reason as well.
    assert film.year < TODAY.year - 95 or years[0] <= film.year <= years[1]
    if film.tier == "A":
        assert film.pd_basis != "unstated"
        assert film.country in ("", "US")
    if film.tier == "B" and film.pd_basis != "unstated":
        assert film.risk.startswith("tier: B, as ")
    if film.country not in ("", "US"):
        assert film.tier == "C"


@pytest.mark.parametrize("film", FILMS, ids=lambda film: film.film_id)
def test_the_verdict_agrees_with_the_tier(film: CatalogueFilm) -> None:
    word = judge(facts_of(film), date(2026, 6, 1)).word
    basis_to_word = {
        "expired_95y": "expired",
        "not_renewed": "not_renewed",
        "no_notice": "no_notice",
        "us_government_work": "government_work",
    }
    if film.tier == "A":
        assert word == basis_to_word[film.pd_basis]
    elif film.tier == "B":
        assert word == "unknown"
    else:
        assert word in ("unknown", "expired")


def test_ids_and_sources_are_unique_and_rows_are_sorted() -> None:
    ids = [film.film_id for film in FILMS]
    assert ids == sorted(set(ids))
    assert len({one.lower() for one in ids}) == len(ids)
    sources = [one.lower() for film in FILMS for one in (film.source, *film.alternates)]
    assert len(set(sources)) == len(sources)


def test_writing_the_catalogue_gives_the_same_file() -> None:
    text = FILE.read_bytes()
    assert b"\r" not in text
    assert text.endswith(b"\n")
    with FILE.open(encoding="utf-8", newline="") as file:
        rows = list(csv.reader(file))
    assert tuple(rows[0]) == COLUMNS
    assert len(rows) - 1 == len(FILMS)


def test_all_films_are_from_the_research() -> None:
    research = Path(os.environ.get("OSSL_TEST_MEDIA", "nowhere")).parent / "data/films_research.csv"
    if not research.is_file():
        pytest.skip("the research is not here (OSSL_TEST_MEDIA)")
    with research.open(encoding="utf-8", newline="") as file:
        rows = {row["film_id"]: row for row in csv.DictReader(file)}
    assert set(rows) == {film.film_id for film in FILMS}
    for film in FILMS:
        row = rows[film.film_id]
        known = f"{row['archive_org_id']} {row['alt_archive_ids']} {row['identifier_source']}"
        identifiers = [one.removeprefix("ia:") for one in (film.source, *film.alternates)]
        assert set(identifiers) <= set(known.split())
        assert (film.title, str(film.year)) == (row["title"], row["year"])
        assert film.director.lower() in row["director"].lower()
        assert TIERS.index(film.tier) >= TIERS.index(row["tier"]), "promoted without a reason"


def test_the_same_film_under_two_ids_is_reported() -> None:
    twins = {
        film.film_id: found[1]
        for film in FILMS
        if (found := re.search(r"duplicate: same film as (\S+?)(;|$)", film.risk))
    }
    assert twins
    assert all(twins[other] == one for one, other in twins.items())


@pytest.mark.parametrize("text", ["ia:a_film", "ia:A.b-c.", "ia:a/b.mp4", "ia:a/disc 1/b é.mp4"])
def test_a_source_is_an_item_or_a_file_in_it(text: str) -> None:
    assert checked_source(text) == text


@pytest.mark.parametrize(
    "text",
    [
        "a_film", "http://a", "ia:", "ia:.", "ia:..", "ia:../a", "ia:/etc/passwd", "ia:a..b",
        "ia:a/../b", "ia:a//b", "ia:a/", "ia:a/./b", "ia:a/b\\c", "ia:a/b\0", "ia:a\n", "ia:a/b\n",
        "ia:a b", "ia:a🎬", "ia:" + "a" * 101, "ia:a/" + "b" * 300, "ia:a/b; ia:c",
    ],
)  # fmt: skip
def test_invalid_sources_are_refused(text: str) -> None:
    with pytest.raises(OsslError) as caught:
        checked_source(text)
    assert caught.value.code == "source_invalid"


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        ((b"ia:ask_dad", b"ia:../ask_dad"), "is not a source"),
        ((b"ask-dad-1929,", b"ask dad,"), "cannot be a film id"),
        ((b"Ask Dad,1929", b"Ask Dad,then"), "'then'"),
        ((b"expired_95y", b"free"), "pd_basis is 'free'"),
        ((b"film_id,", b"id,"), "columns"),
        ((b",US,,A\n", b",US,,A,more\n"), "too many cells or too few"),
        ((b",US,,A\n", b"\n"), "too many cells or too few"),
    ],
)
def test_a_broken_catalogue_is_reported_with_the_line(
    tmp_path: Path, change: tuple[bytes, bytes], complaint: str
) -> None:
    lines = FILE.read_bytes().splitlines(keepends=True)
    row = next(line for line in lines if line.startswith(b"ask-dad-1929"))
    broken = tmp_path / "films.csv"
    broken.write_bytes((lines[0] + row).replace(*change))
    with pytest.raises(OsslError, match=r"line [12]: ") as caught:
        read_catalogue(broken)
    assert caught.value.code == "catalogue_broken"
    assert complaint in caught.value.message


def test_a_missing_catalogue_is_reported(tmp_path: Path) -> None:
    with pytest.raises(OsslError) as caught:
        read_catalogue(tmp_path / "films.csv")
    assert caught.value.code == "catalogue_missing"


def test_the_package_in_a_wheel_contains_the_catalogue(tmp_path: Path) -> None:
    """A wheel has `manifests/` only inside the package."""
    package = tmp_path / "ossl_builder"
    for part in ("__init__.py", "errors.py", "files.py", "parse.py", "tables"):
        source, target = FILE.parents[1] / "ossl_builder" / part, package / part
        if source.is_dir():
            shutil.copytree(source, target)
        else:
            target.parent.mkdir(exist_ok=True)
            shutil.copy(source, target)
    (package / "bundled" / "manifests").mkdir(parents=True)
    shutil.copy(FILE, package / "bundled" / "manifests")
    code = (
        "import ossl_builder.tables.catalogue as it; "
        "print(it.__file__, len(it.load_catalogue()), sep='|')"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True, text=True, check=True, cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": str(tmp_path)},
    )  # fmt: skip
    assert done.stdout.strip() == f"{package / 'tables/catalogue.py'}|{len(FILMS)}"


def test_reading_the_catalogue_is_fast() -> None:
    code = (
        "import sys, time; import ossl_builder.tables; begun = time.process_time(); "
        "from ossl_builder.tables.catalogue import load_catalogue; load_catalogue(); "
        "print(time.process_time() - begun)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert float(done.stdout) < 0.1
