"""Run one stage on one item: final states, kept files, and records after a kill."""

import errno
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel, ConfigDict

from ossl_builder.engine import cache, records
from ossl_builder.engine.records import Record
from ossl_builder.engine.run import run_item
from ossl_builder.engine.stage import Item, Outcome, Reject, Stage
from ossl_builder.errors import OsslError, Rejected
from ossl_builder.tables import CUES, Cue
from tests.e2e.corpora import rejects


class ToySettings(BaseModel):
    model_config = ConfigDict(frozen=True)
    loudness: float = -20.0
    length: int = 1


def toy(item: Item) -> Outcome:
    (item.folder / "audio.txt").write_text("x" * item.config.length)
    row = Cue("f", "f_c000", 0.0, 1.0, item.config.loudness, -3.0, 1.0, 0.0)
    return Outcome((row,), (Reject("too_short", "0.5 s", 2.0, 2.5),))


def stage(run: Callable[[Item], Outcome] = toy, **changed: Any) -> Stage:
    return Stage(
        **{
            "name": "toy", "version": 1, "reads": (), "writes": CUES,
            "config": ToySettings, "run": run, "folder": "toy",
        }
        | changed
    )  # fmt: skip


def run(corpus: Path, what: Stage, config: ToySettings | None = None) -> Record:
    config = config or ToySettings()
    inputs = cache.inputs_of(what, cache.shaping_of(what, config), {})
    return run_item(what, "f", corpus, "films/f", config, {}, inputs, lambda part: None)


def why(corpus: Path, what: Stage, config: ToySettings | None = None) -> str:
    shaping = cache.shaping_of(what, config or ToySettings())
    inputs = cache.inputs_of(what, shaping, {})
    return cache.why_stale(corpus, records.read(corpus, what.name, "f"), inputs)


def test_a_done_item_is_fresh_and_keeps_rows_rejects_and_files(tmp_path: Path) -> None:
    record = run(tmp_path, stage())
    assert (record.state, record.n_rows, record.rejects) == ("done", 1, {"too_short": 1})
    assert records.read(tmp_path, "toy", "f") == record
    assert records.read_rows(tmp_path, stage(), "f")[0].music_lufs == -20.0
    assert rejects(tmp_path, "toy", "f")[0]["end_s"] == 2.5
    assert (tmp_path / "films/f/toy/audio.txt").read_text() == "x"
    assert why(tmp_path, stage()) == ""
    assert not list(tmp_path.rglob("*.partial"))


def test_a_file_name_that_is_not_valid_in_a_record_is_refused(tmp_path: Path) -> None:
    def two_words(item: Item) -> Outcome:
        (item.folder / "two words.txt").write_text("x")
        return toy(item)

    record = run(tmp_path, stage(two_words))
    assert (record.state, "white space" in record.message) == ("failed", True)


def test_equal_work_gives_equal_rows_and_hashes(tmp_path: Path) -> None:
    first = run(tmp_path / "a", stage())
    second = run(tmp_path / "b", stage())
    assert (first.output, first.content, first.files) == (
        second.output,
        second.content,
        second.files,
    )
    body = records.body_path(tmp_path / "a", "toy", "f").read_bytes()
    assert body == records.body_path(tmp_path / "b", "toy", "f").read_bytes()


@pytest.mark.parametrize(
    ("what", "config", "reason"),
    [
        (stage(version=2), None, "toy version was 1, is 2"),
        (stage(), ToySettings(loudness=-10.0), "toy.loudness was -20.0, is -10.0"),
        (stage(tools=lambda config: {"demucs": "9"}), None, "tool demucs was unset, is 9"),
    ],
)
def test_a_changed_version_setting_or_tool_makes_the_record_stale(
    tmp_path: Path, what: Stage, config: ToySettings | None, reason: str
) -> None:
    run(tmp_path, stage())
    assert why(tmp_path, what, config) == reason


def test_a_missing_or_changed_file_makes_the_record_stale(tmp_path: Path) -> None:
    large = ToySettings(length=cache.SMALL)
    run(tmp_path, stage(), large)
    path = tmp_path / "films/f/toy/audio.txt"
    path.write_text("xx")
    assert why(tmp_path, stage(), large) == "the file films/f/toy/audio.txt has another size"
    path.unlink()
    assert why(tmp_path, stage(), large) == "the file films/f/toy/audio.txt is gone"
    path.parent.rmdir()
    assert why(tmp_path, stage(), large) == "the folder films/f/toy is gone"


def test_a_rejected_item_is_not_retried_and_a_failed_one_is(tmp_path: Path) -> None:
    def reject(item: Item) -> Outcome:
        raise Rejected("no_audio", "The film has no audio.")

    def fail(item: Item) -> Outcome:
        raise OsslError("not_media", "It is no film.", "Fetch it again.")

    assert run(tmp_path, stage(reject)).code == "no_audio"
    assert why(tmp_path, stage()) == ""
    assert run(tmp_path, stage(fail)).hint == "Fetch it again."
    assert why(tmp_path, stage()) == "failed before (not_media)"


def test_an_unexpected_error_is_recorded_with_its_traceback(tmp_path: Path) -> None:
    def crash(item: Item) -> Outcome:
        raise ZeroDivisionError("by nought")

    record = run(tmp_path, stage(crash))
    assert (record.state, record.code) == ("failed", "unexpected")
    assert "ZeroDivisionError" in record.detail
    assert "by nought" in record.message


def test_rows_that_break_an_invariant_are_not_kept(tmp_path: Path) -> None:
    def wrong(item: Item) -> Outcome:
        return Outcome((Cue("f", "f_c000", 1.0, 0.0, -20.0, -3.0, 1.0, 0.0),))

    assert run(tmp_path, stage(wrong)).code == "invariant_broken"
    assert not (tmp_path / "films/f/toy").exists()


def test_a_full_disk_stops_everything_and_keeps_what_was_finished(tmp_path: Path) -> None:
    def fill(item: Item) -> Outcome:
        raise OSError(errno.ENOSPC, "No space left on device")

    before = run(tmp_path, stage())
    with pytest.raises(OsslError) as caught:
        run(tmp_path, stage(fill))
    assert caught.value.code == "disk_full"
    assert "run the same command again" in caught.value.hint
    assert records.read(tmp_path, "toy", "f") == before
    assert why(tmp_path, stage()) == ""


def test_a_failed_rerun_keeps_the_earlier_files(tmp_path: Path) -> None:
    def fail(item: Item) -> Outcome:
        raise OsslError("content_changed", "The source gives another file.", "Look at it.")

    before = run(tmp_path, stage())
    after = run(tmp_path, stage(fail))
    assert (after.state, after.files) == ("failed", before.files)
    assert (tmp_path / "films/f/toy/audio.txt").exists()


def test_rows_of_another_version_are_reported(tmp_path: Path) -> None:
    run(tmp_path, stage())
    path = records.body_path(tmp_path, "toy", "f")
    path.write_text(path.read_text().replace('"music_share":', '"share_of_music":'))
    with pytest.raises(OsslError) as caught:
        records.read_rows(tmp_path, stage(), "f")
    assert caught.value.code == "record_damaged"


def test_a_damaged_record_is_reported(tmp_path: Path) -> None:
    run(tmp_path, stage())
    records.head_path(tmp_path, "toy", "f").write_text("{")
    with pytest.raises(OsslError) as caught:
        records.read(tmp_path, "toy", "f")
    assert caught.value.code == "record_damaged"


def test_a_record_of_another_format_is_refused(tmp_path: Path) -> None:
    run(tmp_path, stage())
    path = records.head_path(tmp_path, "toy", "f")
    path.write_text(path.read_text().replace('"format":1', '"format":99'))
    with pytest.raises(OsslError) as caught:
        records.read(tmp_path, "toy", "f")
    assert caught.value.code == "corpus_version"


KILLED = """
import sys
from pathlib import Path
from tests.engine.test_run import ToySettings, run, stage
length = 200_000
for turn in range(10_000):
    run(Path(sys.argv[1]), stage(), ToySettings(length=length + turn % 2))
"""


def test_after_a_kill_a_fresh_record_matches_its_files(tmp_path: Path) -> None:
    """Two settings alternate. After a kill at any time, a fresh item has its setting's file."""
    for turn in range(12):
        process = subprocess.Popen(
            [sys.executable, "-c", KILLED, str(tmp_path)], cwd=Path(__file__).parents[2]
        )
        time.sleep(0.8 + 0.013 * turn)
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
        for length in (200_000, 200_001):
            if why(tmp_path, stage(), ToySettings(length=length)) == "":
                assert (tmp_path / "films/f/toy/audio.txt").stat().st_size == length
        assert run(tmp_path, stage()).state == "done"
        assert [path.name for path in (tmp_path / "films/f").iterdir()] == ["toy"]
