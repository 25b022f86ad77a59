"""A build that is killed at 20 random moments over all stages ends with the same bytes.

The stage of each kill is printed (`pytest -s` shows it).
"""

from __future__ import annotations

import hashlib
import random
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest

from ossl_builder.engine import records
from ossl_builder.stages.registry import STAGES
from tests.e2e.corpora import Ossl

KILLS = 20
AFRESH_EVERY = 3


def contents(corpus: Path) -> dict[str, str]:
    """SHA-256 of every table, media file and record body; files with dates are left out."""
    return {
        path.relative_to(corpus).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for folder in ("manifests", "films", "records")
        for path in (corpus / folder).rglob("*")
        if path.is_file() and (folder != "records" or path.name.endswith(".rows.json"))
    }


def current_stage(corpus: Path, films: list[str]) -> str:
    """The current stage of a build with one worker: the first one without a record."""
    for film in films:
        for stage in STAGES:
            if not records.head_path(corpus, stage.name, film).exists():
                return stage.name
    return "tables"


def kill_in(corpus: Path, films: list[str], stage: str, after_s: float) -> str:
    """Start a build; once it is in `stage`, wait and kill it; return the stage of the kill."""
    command = [sys.executable, "-m", "ossl_builder.cli.main", "-C", str(corpus), "build"]
    build = subprocess.Popen(command, stderr=subprocess.DEVNULL)
    until = time.monotonic() + 120
    while build.poll() is None and time.monotonic() < until:
        if current_stage(corpus, films) == stage:
            break
        time.sleep(0.01)
    time.sleep(after_s)
    fell_in = current_stage(corpus, films) if build.poll() is None else "the end"
    build.kill()
    build.wait()
    return fell_in


@pytest.mark.slow
def test_a_build_killed_twenty_times_gives_the_same_corpus(
    ossl: Ossl, demo_corpus: Path, tmp_path: Path
) -> None:
    films = sorted(path.name for path in (demo_corpus / "films").iterdir())
    expected = contents(demo_corpus)
    chance = random.Random(20)
    fell: list[str] = []
    corpus = tmp_path / "corpus"
    turns = [(stage, True) for stage in range(KILLS)]
    for turn, (number, is_random) in enumerate(turns):
        if turn % AFRESH_EVERY == 0 or not is_random:
            shutil.rmtree(corpus, ignore_errors=True)
            corpus.mkdir()
            shutil.copy(demo_corpus / "ossl.yaml", corpus)
            for film in films:
                (corpus / "films" / film).mkdir(parents=True)
                shutil.copy(demo_corpus / f"films/{film}/source.json", corpus / "films" / film)
        stage = STAGES[number % len(STAGES)].name
        record = records.read(demo_corpus, stage, films[0])
        assert record is not None
        # A little more than the stage's time: some kills fall between stages or into the next.
        after_s = chance.uniform(0, 1.3 * record.seconds) if is_random else 0.0
        fell.append(kill_in(corpus, films, stage, after_s))
        sys.stdout.write(f"kill {turn + 1}: aimed at {stage}, fell into {fell[-1]}\n")
        if turn + 1 >= KILLS:
            # On a busy machine, random kills may miss a short stage: kill at its start.
            missed = [n for n, each in enumerate(STAGES) if each.name not in fell]
            turns += [(missed[0], False)] if missed and len(turns) < 2 * KILLS else []
    ossl("-C", corpus, "build")
    assert {stage.name for stage in STAGES} <= set(fell)
    assert contents(corpus) == expected
    ossl("-C", corpus, "verify")
