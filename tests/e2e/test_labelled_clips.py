"""Annotated clips are dropped only with `--drop-labelled`, and annotations are never lost."""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from ossl_builder.annotations import records
from ossl_builder.annotations.records import Annotation
from tests.e2e.corpora import Ossl, rows, status

FILM = "demo-caminandes"
# Clip ids change by hundredths of a second; a stage before clips and the clips stage both run.
MOVED = ("--set", "clips.snap_s=0", "--set", "cues.bridge_s=2.9")


@pytest.fixture(scope="module")
def corpus(demo_corpus: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The demo corpus; two people annotated the clips of a film, one of them skipped a clip."""
    folder = tmp_path_factory.mktemp("labelled") / "corpus"
    shutil.copytree(demo_corpus, folder)
    records.upsert(
        folder,
        [
            Annotation(
                film_id=FILM, clip_id=clip_id, annotator=annotator, schema="mood-1",
                state="skipped" if skips and not number else "answered",
                answers={} if skips and not number else {"quadrant": "Q1"},
                source="label-studio", updated_at="2026-01-01T10:00:00Z",
            )
            for number, clip_id in enumerate(clip_ids(folder))
            for annotator, skips in (("a01", False), ("a02", True))
        ],
    )  # fmt: skip
    return folder


def clip_ids(corpus: Path) -> list[str]:
    return [row["clip_id"] for row in rows(corpus, "clips") if row["film_id"] == FILM]


def content(corpus: Path) -> dict[str, str]:
    """Bytes of every file of a corpus, including hidden files."""
    return {
        path.relative_to(corpus).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in corpus.rglob("*")
        if path.is_file() and path.name != ".lock"
    }


def test_a_build_that_would_drop_annotated_clips_stops_and_changes_nothing(
    ossl: Ossl, corpus: Path
) -> None:
    before, clips = content(corpus), clip_ids(corpus)
    result = ossl("-C", corpus, "build", FILM, *MOVED, "--json", code=1)
    (end,) = json.loads(result.stdout)
    assert (end["state"], end["stage"]) == ("failed", "clips")
    assert end["code"] == "labelled_clips_dropped"
    assert "--drop-labelled" in end["hint"]
    # The setting moves the end of the cue, so only the last clip of the film changes.
    last = max(clips, key=lambda clip_id: int(clip_id.split("_")[1].split("-")[0]))
    assert [clip_id for clip_id in clips if clip_id in end["message"]] == [last]
    assert content(corpus) == before
    (end,) = json.loads(ossl("-C", corpus, "cues", FILM, *MOVED, "--json", code=1).stdout)
    assert (end["code"], end["stage"]) == ("labelled_clips_at_stake", "cues")
    assert content(corpus) == before
    assert status(ossl, corpus)["orphans"] == []


def test_a_build_that_keeps_annotated_clips_resumes_after_a_kill(ossl: Ossl, corpus: Path) -> None:
    """Frames change, times do not. The build is killed while new clips replace the old ones."""
    before, clips, given = content(corpus), clip_ids(corpus), records.read_film(corpus, FILM)
    settings = ("--set", "clips.crf=24", "--set", "cues.bridge_s=2.9")
    command = [sys.executable, "-m", "ossl_builder.cli.main", "-C", str(corpus), "build", FILM]
    killed = subprocess.Popen(
        [*command, *settings],
        stderr=subprocess.DEVNULL, start_new_session=True,
    )  # fmt: skip
    made = corpus / ".staging" / FILM / "records" / "clips" / f"{FILM}.json"
    earlier = content_of(corpus / "records" / "clips" / f"{FILM}.json")
    while killed.poll() is None and content_of(made) in (None, earlier):
        time.sleep(0.001)
    with contextlib.suppress(ProcessLookupError):
        os.killpg(killed.pid, signal.SIGKILL)
    killed.wait()
    ossl("-C", corpus, "build", FILM, *settings)
    assert clip_ids(corpus) == clips
    assert records.read_film(corpus, FILM) == given
    after = content(corpus)
    assert after.keys() == before.keys()
    assert {name for name in after if name.endswith(".mp4") and after[name] != before[name]} == {
        f"films/{FILM}/clips/{clip_id}.mp4" for clip_id in clips
    }
    assert ossl("-C", corpus, "verify", "--json").stdout.strip() == "[]"
    plan = json.loads(ossl("-C", corpus, "build", FILM, *settings, "--dry-run", "--json").stdout)
    assert {decision["action"] for decision in plan} == {"fresh"}


def content_of(path: Path) -> bytes | None:
    try:
        return path.read_bytes()
    except FileNotFoundError:
        return None


def test_drop_labelled_reports_orphans_and_transfer_moves_annotations(
    ossl: Ossl, corpus: Path
) -> None:
    earlier, given = clip_ids(corpus), records.read_film(corpus, FILM)
    ossl("-C", corpus, "build", FILM, *MOVED, "--drop-labelled")
    now = clip_ids(corpus)
    gone = [clip_id for clip_id in earlier if clip_id not in now]
    assert gone
    assert records.read_film(corpus, FILM) == given
    assert status(ossl, corpus)["orphans"] == [
        {"film_id": FILM, "clip_id": clip_id, "annotators": ["a01", "a02"]} for clip_id in gone
    ]
    told = json.loads(ossl("-C", corpus, "label", "status", "--json").stdout)
    assert told["orphans"] == status(ossl, corpus)["orphans"]
    assert all(film["annotated"] <= film["clips"] for film in told["films"])
    # A second run drops nothing more, so it does not need the option.
    ossl("-C", corpus, "build", FILM, *MOVED)

    dry = ossl("-C", corpus, "label", "transfer", "--dry-run", "--json").stdout
    assert records.read_film(corpus, FILM) == given
    assert ossl("-C", corpus, "label", "transfer", FILM, "--json").stdout == dry
    moves = json.loads(dry)
    assert [move["from_clip"] for move in moves] == sorted(gone * 2)
    target = {clip_id: near(clip_id, now) for clip_id in gone}
    assert any(target.values())
    expected = [
        dataclasses.replace(
            one, clip_id=target[one.clip_id], source="carried", carried_from=one.clip_id
        )
        if target.get(one.clip_id)
        else one
        for one in given
    ]
    assert records.read_film(corpus, FILM) == tuple(sorted(expected, key=lambda one: one.key))
    left = [clip_id for clip_id in gone if not target[clip_id]]
    assert [orphan["clip_id"] for orphan in status(ossl, corpus)["orphans"]] == left


def near(clip_id: str, others: list[str]) -> str | None:
    """The clip with an intersection over union of 0.9 or more, by the times in the ids."""
    start, end = times(clip_id)
    for other in others:
        first, last = times(other)
        if min(end, last) - max(start, first) >= 0.9 * (max(end, last) - min(start, first)):
            return other
    return None


def times(clip_id: str) -> tuple[int, int]:
    start, end = clip_id.rpartition("_")[2].split("-")
    return int(start), int(end)


def test_a_film_with_annotated_clips_is_removed_only_with_the_option(
    ossl: Ossl, corpus: Path
) -> None:
    given, clips = records.read_film(corpus, FILM), clip_ids(corpus)
    errors = ossl("-C", corpus, "films", "remove", "demo-steamboat", FILM, code=1).stderr
    for clip_id in {one.clip_id for one in given} & set(clips):
        assert clip_id in errors
    assert "demo-steamboat" not in errors
    assert len({row["film_id"] for row in rows(corpus, "clips")}) == 3
    ossl("-C", corpus, "films", "remove", FILM, "--drop-labelled")
    ossl("-C", corpus, "clean")
    assert records.read_film(corpus, FILM) == given
    gone = {orphan["clip_id"] for orphan in status(ossl, corpus)["orphans"]}
    assert gone == {one.clip_id for one in given}
