"""A fetch from a misbehaving source has the result that the documentation gives.

A real server simulates each row of the table in `manifests/FETCHING.md`: for an item of the
Archive, for a site, and for a site whose film is pinned. The cells are the expected results.
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import pytest

from ossl_builder.engine import records
from ossl_builder.engine.records import Record
from ossl_builder.stages.fetch.stage import FETCH_STAGE
from ossl_builder.tables import Film
from tests.misbehaving import Answer, Asked, Misbehaving
from tests.stages.conftest import Fetch, source_of
from tests.stages.misbehaviours import HALF, MISBEHAVIOURS, OTHER, Misbehaviour

DOCUMENT = Path(__file__).parents[2] / "manifests" / "FETCHING.md"
KINDS = ("archive", "site", "pinned")


def section(name: str) -> list[list[str]]:
    """The cells of a table of the documentation, row by row."""
    lines = DOCUMENT.read_text(encoding="utf-8").split(f"## {name}\n")[1].split("\n## ")[0]
    rows = [line for line in lines.splitlines() if line.startswith("| ")]
    return [[cell.strip() for cell in row.strip("|").split("|")] for row in rows[1:]]


CELLS = {row[0]: row[1:] for row in section("When a source misbehaves")}
CODES = {row[0].strip("`"): row[1:] for row in section("What is said")}


def played(answer: Answer, film: bytes, other: bytes, address: str) -> Answer:
    """Replace the placeholders of films in an answer by the films."""
    if answer.status == 302:
        return replace(answer, headers=(("Location", address),))
    stands_for = {OTHER: other, HALF: film[: len(film) // 2]}
    content = answer.content
    return answer if content is None else replace(answer, content=stands_for.get(content, content))


def outcome(record: Record, asked: list[Asked], corpus: Path) -> str:
    """The result of a fetch in the words of the documentation."""
    if record.state == "failed":
        has_part = (corpus / "films/film/.source.partial/film.download.part").exists()
        return f"`{record.code}`" + ", part kept" * has_part
    bodies = [one for one in asked if one.n_sent]
    if len(bodies) == 1:
        return "the film"
    return "the film, resumed" if bodies[-1].status == 206 else "the film, begun anew"


@pytest.mark.parametrize(
    ("case", "kind"),
    [
        pytest.param(case, kind, id=f"{kind} {case.does}")
        for case in MISBEHAVIOURS
        for kind, cell in zip(KINDS, CELLS.get(case.does, KINDS), strict=True)
        if cell != "the same"
    ],
)
def test_a_misbehaving_source_gives_the_documented_result(
    case: Misbehaviour,
    kind: str,
    server: Misbehaving,
    fetch: Fetch,
    films: tuple[bytes, bytes],
    tmp_path: Path,
) -> None:
    expected = CELLS[case.does][KINDS.index(kind)]
    film, other = films
    path = "/download/thing/a.mp4" if kind == "archive" else "/a.mp4"
    answers = tuple(played(one, film, other, path) for one in case.answers)
    sha256 = hashlib.sha256(film).hexdigest()
    if kind == "archive":
        source = source_of("ia:thing")
        server.put_item(
            "thing", "a.mp4", film, answers=answers, stated=case.stated,
            metadata_answers=(*case.first, Answer(content_type="application/json")),
        )  # fmt: skip
    else:
        pin = None if kind == "site" else "0" * 64 if case.wrong_pin else sha256
        source = source_of(server.put("/a.mp4", film, *case.first, Answer(), *answers), sha256=pin)
    record = fetch(source, **case.settings)

    of_the_film = server.of("a.mp4")[0 if kind == "archive" else 1 + len(case.first) :]
    assert outcome(record, of_the_film, tmp_path / "corpus") == expected, record.message
    times = [one.at for one in server.asked]
    if case.waits_s:
        assert max(after - before for before, after in pairwise(times)) >= case.waits_s
    home = tmp_path / "corpus" / "films" / "film" / "source"
    if record.state == "done":
        (row,) = records.read_rows(tmp_path / "corpus", FETCH_STAGE, "film")
        assert isinstance(row, Film)
        content = (home / "film.mp4").read_bytes()
        assert content == film or (kind == "site" and content == other and "begun anew" in expected)
        assert row.sha256 == hashlib.sha256(content).hexdigest()
        assert sorted(path.name for path in home.iterdir()) == ["film.mp4", "metadata.json"]
        return
    meaning, kept, to_do = CODES[record.code]
    assert meaning
    assert kept
    assert to_do
    assert record.message.endswith(".")
    assert record.hint.endswith(".")
    assert "thing" in record.message or "/a.mp4" in record.message
    assert ("is kept: run the same command to resume" in record.hint) == ("part kept" in expected)
    assert not home.exists()
    # When the source works again, the next run fetches the film, and only the missing part.
    server.asked.clear()
    if kind == "archive":
        server.put_item("thing", "a.mp4", film)
    else:
        server.put("/a.mp4", film)
        source = replace(source, sha256=sha256)
    again = fetch(source)
    assert (again.state, (home / "film.mp4").read_bytes()) == ("done", film), again.message
    assert ("part kept" in expected) == (server.of("a.mp4")[-1].status == 206)


def test_the_documentation_lists_every_tested_case_and_code() -> None:
    assert list(CELLS) == [case.does for case in MISBEHAVIOURS] + [
        "is alive when the program is killed midway"
    ]
    raised = {
        code for row in CELLS.values() for cell in row for code in re.findall("`([a-z_]+)`", cell)
    }
    assert raised <= set(CODES)
