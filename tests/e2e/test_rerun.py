"""A second build does nothing; a changed setting reruns only dependent stages; counts add up."""

from __future__ import annotations

import json
import shutil
from collections import Counter
from pathlib import Path

import pytest

from ossl_builder.engine import records
from ossl_builder.stages.registry import STAGES
from tests.e2e.corpora import Ossl, rejects, rows, status


def stamps(corpus: Path) -> dict[str, int]:
    """Modification time of each file of a corpus."""
    return {
        path.relative_to(corpus).as_posix(): path.stat().st_mtime_ns
        for path in corpus.rglob("*")
        if path.is_file() and path.name != ".lock"
    }


def running(ossl: Ossl, corpus: Path, *arguments: str) -> set[str]:
    """Which stages a build would run."""
    plan = json.loads(ossl("-C", corpus, "build", "--dry-run", "--json", *arguments).stdout)
    return {entry["stage"] for entry in plan if entry["action"] == "run"}


@pytest.fixture
def corpus(demo_corpus: Path, tmp_path: Path) -> Path:
    """A copy that a test may change."""
    return Path(shutil.copytree(demo_corpus, tmp_path / "corpus"))


def test_a_second_build_writes_nothing(ossl: Ossl, corpus: Path) -> None:
    before = stamps(corpus)
    ossl("-C", corpus, "build")
    assert stamps(corpus) == before


@pytest.mark.parametrize(
    ("change", "again"),
    [
        ("fetch.max_gb=1", set()),
        ("stems.batch_size=1", set()),
        ("scenes.threshold=9", {"scenes", "clips", "fingerprints"}),
        ("stems.overlap=0.3", {"stems", "cues", "clips", "fingerprints"}),
        ("cues.min_s=4", {"cues", "clips", "fingerprints"}),
        ("clips.min_s=8", {"clips", "fingerprints"}),
        ("fingerprints.fewest=40", {"fingerprints"}),
    ],
)
def test_a_changed_setting_reruns_only_dependent_stages(
    ossl: Ossl, demo_corpus: Path, change: str, again: set[str]
) -> None:
    assert running(ossl, demo_corpus) == set()
    assert running(ossl, demo_corpus, "--set", change) == again


def test_a_corrected_title_does_not_make_scenes_stale(ossl: Ossl, corpus: Path) -> None:
    film = json.loads(next(corpus.glob("films/*/source.json")).read_text())
    before = stamps(corpus)
    ossl(
        "-C", corpus, "films", "add", film["source"], "--id", film["film_id"],
        "--title", "Another title", "--basis", film["basis"], "--evidence", film["evidence"],
    )  # fmt: skip
    ossl("-C", corpus, "build")
    titles = {row["film_id"]: row["title"] for row in rows(corpus, "films")}
    assert titles[film["film_id"]] == "Another title"
    changed = {name for name, stamp in stamps(corpus).items() if before.get(name) != stamp}
    assert all(name.split("/")[1] in ("fetch", "tables.json") or
               name.split("/")[0] in ("films", "manifests") for name in changed)  # fmt: skip
    assert not [name for name in changed if "/clips/" in name or "/stems/" in name]


def test_a_lost_file_is_rebuilt_with_the_same_bytes(ossl: Ossl, corpus: Path) -> None:
    clip = rows(corpus, "clips")[0]
    path = corpus / clip["music_path"]
    bytes_before = path.read_bytes()
    path.unlink()
    assert running(ossl, corpus) == {"clips", "fingerprints"}  # the latter only if the clips change
    assert ossl("-C", corpus, "verify", code=1).stdout.count("is gone") == 1
    ossl("-C", corpus, "build")
    assert path.read_bytes() == bytes_before
    ossl("-C", corpus, "verify")


def test_verify_finds_a_changed_byte(ossl: Ossl, corpus: Path) -> None:
    path = corpus / rows(corpus, "clips")[0]["video_path"]
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)
    found = json.loads(ossl("-C", corpus, "verify", "--json", code=1).stdout)
    assert found == [
        {"path": path.relative_to(corpus).as_posix(), "problem": "its bytes have changed"}
    ]


def test_clean_deletes_only_files_without_a_row(ossl: Ossl, corpus: Path) -> None:
    assert json.loads(ossl("-C", corpus, "clean", "--json").stdout) == []
    film = rows(corpus, "films")[0]["film_id"]
    left = corpus / f"films/{film}/.clips.partial"
    left.mkdir()
    (left / "half.mp4").write_text("x")
    assert len(json.loads(ossl("-C", corpus, "clean", "--json", "--dry-run").stdout)) == 1
    assert (left / "half.mp4").exists()
    ossl("-C", corpus, "films", "remove", film)
    assert film not in {row["film_id"] for row in rows(corpus, "clips")}
    ossl("-C", corpus, "clean")
    assert not (corpus / "films" / film).exists()
    assert len(rows(corpus, "films")) == 2
    ossl("-C", corpus, "verify")


def test_counts_add_up(ossl: Ossl, demo_corpus: Path) -> None:
    found = status(ossl, demo_corpus)
    films = {row["film_id"] for row in rows(demo_corpus, "films")}
    for stage, counted in zip(STAGES, found["stages"], strict=True):
        states = ("done", "rejected", "failed", "stale", "waiting")
        assert sum(counted[state] for state in states) == len(films)
        assert counted["rows"] == len(rows(demo_corpus, stage.writes.name))
    for stage in STAGES:
        reasons: Counter[str] = Counter()
        for film in films:
            record = records.read(demo_corpus, stage.name, film)
            assert record is not None
            left_out = rejects(demo_corpus, stage.name, film)
            assert Counter(reject["reason"] for reject in left_out) == record.rejects
            reasons.update(record.rejects)
        shown = {e["reason"]: e["count"] for e in found["candidates"] if e["stage"] == stage.name}
        assert shown == reasons


def test_every_row_has_its_parents_and_its_files(demo_corpus: Path) -> None:
    films = {row["film_id"] for row in rows(demo_corpus, "films")}
    scenes = {row["scene_id"] for row in rows(demo_corpus, "scenes")}
    cues = {row["cue_id"] for row in rows(demo_corpus, "cues")}
    for table in ("scenes", "stems", "cues", "clips"):
        assert {row["film_id"] for row in rows(demo_corpus, table)} == films
    for clip in rows(demo_corpus, "clips"):
        assert clip["cue_id"] in cues
        assert {clip["first_scene_id"], clip["last_scene_id"]} <= scenes
        for kind in ("video", "mix", "music", "dialogue"):
            path = demo_corpus / clip[f"{kind}_path"]
            assert records.files.sha256_file(path) == clip[f"{kind}_sha256"]
