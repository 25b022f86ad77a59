"""Import of evaluation sets of others: layouts, hostile files, and what is written.

The folders are made here, in the layout that is described; nobody had the real ones.
"""

from __future__ import annotations

import json
import os
import pickle
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

from ossl_builder.errors import OsslError
from ossl_builder.imports.eval_set import read_eval_set
from ossl_builder.imports.oes import read_oes
from tests.command_result import RunCommand
from tests.films import make_flash_and_click
from tests.imports.conftest import write_csv

RATE = 8000
SECONDS = 2.0


class Opened:
    """Its pickle makes a file when it is loaded."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> Any:
        return Path.touch, (self.path,)


def write_wav(path: Path, seconds: float = SECONDS) -> None:
    time_s = np.arange(round(seconds * RATE)) / RATE
    soundfile.write(path, 0.1 * np.sin(2 * np.pi * 220 * time_s), RATE)


@pytest.fixture(scope="module")
def film(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("film") / "plain.mp4"
    make_flash_and_click(path)
    return path


@pytest.fixture
def oes(tmp_path: Path) -> Path:
    """Twelve clips in the described layout: the order of numbers is not that of their texts."""
    folder = tmp_path / "OES-Pub"
    folder.mkdir()
    for number in range(12):
        write_wav(folder / f"{number}_music.wav", SECONDS + number / 10)
        (folder / f"{number}.pt").write_bytes(pickle.dumps(Opened(tmp_path / "opened")))
    lines = [(f"mood {number}", f"Caption {number}.") for number in range(12)]
    write_csv(folder / "meta.csv", ("mood", "caption"), lines)
    return folder


def manifest(folder: Path) -> dict[str, Any]:
    return json.loads((folder / "eval_set.json").read_text())


def test_oes_in_the_described_layout(run: RunCommand, oes: Path, tmp_path: Path) -> None:
    out = tmp_path / "set"
    looked = run("import", "oes", oes, "--out", out, "--dry-run", "--json")
    assert (looked.code, looked.json["clips"], looked.json["written"]) == (0, 12, False)
    assert not out.exists()
    result = run("import", "oes", oes, "--out", out, "--json")
    assert (result.code, result.json["clips"], result.json["videos"]) == (0, 12, 0)
    assert result.json["texts"] == 12
    assert "12 of 12 clips have no video" in " ".join(result.json["notes"])
    found = read_eval_set(out)
    assert found.name == "OES-Pub"
    clips = {clip.clip_id: clip for clip in found.clips}
    # A row belongs to the number, not to the place of its file in an alphabetical list.
    assert (clips["10"].mood, clips["10"].caption) == ("mood 10", "Caption 10.")
    assert clips["10"].duration_s == pytest.approx(SECONDS + 1)
    assert (out / clips["10"].music).read_bytes() == (oes / "10_music.wav").read_bytes()
    assert not list(out.rglob("*.pt"))
    assert not (tmp_path / "opened").exists(), "a pickle was loaded"
    before = (out / "eval_set.json").read_bytes()
    (out / clips["3"].music).unlink()
    assert run("import", "oes", oes, "--out", out, "--name", "OES-Pub").code == 0
    assert (out / "eval_set.json").read_bytes() == before
    assert (out / clips["3"].music).is_file()
    shown = run("import", "oes", oes, "--out", out)
    assert "12 clips, 0.01 h: 0 with video, 12 with a mood or caption." in shown.err
    assert run("import", "v2m-bench", oes, "--out", out).code == 1


def test_oes_with_videos_films_and_a_column_of_numbers(
    run: RunCommand, oes: Path, film: Path, tmp_path: Path
) -> None:
    shutil.copy(film, oes / "4.mp4")
    shutil.copy(film, oes / "5_video.mp4")
    lines = [(number, f"mood {number}", f"film {number // 2}") for number in reversed(range(12))]
    write_csv(oes / "meta.csv", ("", "Mood", "film_id"), lines)
    result = run("import", "oes", oes, "--out", tmp_path / "set", "--json")
    # The music of the two clips is shorter than their video.
    assert (result.code, result.json["videos"]) == (3, 2)
    assert {one["path"] for one in result.json["problems"]} == {"4_music.wav", "5_music.wav"}
    clips = {clip.clip_id: clip for clip in read_eval_set(tmp_path / "set").clips}
    assert clips["11"].mood == "mood 11"
    assert clips["4"].film_id == clips["5"].film_id != clips["6"].film_id
    assert [clips[k].video for k in ("4", "5", "6")] == ["video/4.mp4", "video/5.mp4", None]
    assert clips["4"].duration_s > SECONDS + 1


def test_numbers_from_one_and_files_without_a_row(oes: Path) -> None:
    (oes / "0_music.wav").rename(oes / "12_music.wav")
    from_one = {entry.clip_id: entry.mood for entry in read_oes(oes).entries}
    assert (from_one["1"], from_one["12"]) == ("mood 0", "mood 11")
    write_wav(oes / "intro_music.wav")
    (oes / "3_music.wav").unlink()
    found = read_oes(oes)
    problems = {problem.path: problem.why for problem in found.problems}
    assert problems == {
        "intro_music.wav": "has no row in meta.csv: it has no text",
        "meta.csv, line 4": "has no music 3_music.wav",
    }


def test_hostile_files_of_oes(
    run: RunCommand, oes: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (oes / "0_music.wav").write_bytes(b"RIFF\xff\xff\xff\xffWAVEfmt no audio")
    (oes / "1_music.wav").unlink()
    os.mkfifo(oes / "1_music.wav")
    # Silence compresses to nearly nothing: a small file can hold days of it.
    (oes / "2_music.wav").unlink()
    monkeypatch.setattr("ossl_builder.imports.eval_set.LONGEST_S", 60.0)
    soundfile.write(oes / "2_music.flac", np.zeros(61 * RATE), RATE)
    data = (oes / "3_music.wav").read_bytes()
    (oes / "3_music.wav").write_bytes(data[:40] + b"\xff\xff\xff\x7f" + data[44:])
    lines = [("x" * 3000 if number == 4 else "../../etc", "") for number in range(12)]
    write_csv(oes / "meta.csv", ("mood", "caption"), lines)
    result = run("import", "oes", oes, "--out", tmp_path / "set", "--json")
    assert result.code == 3
    problems = result.problems()
    assert "no usable music" in problems["0_music.wav"]
    assert "regular" in problems["1_music.wav"]
    assert "longer than 60 s" in problems["2_music.flac"]
    assert "3000 characters" in problems["meta.csv, line 6"]
    clips = {clip.clip_id: clip for clip in read_eval_set(tmp_path / "set").clips}
    assert sorted(clips) == sorted(str(number) for number in range(3, 12))
    # The header states 2 GB; the file has 2.3 s.
    assert clips["3"].duration_s == pytest.approx(SECONDS + 0.3)
    assert (clips["4"].mood, clips["5"].mood) == (None, "../../etc")
    (oes / "meta.csv").write_text("mood\n" + "x" * 200_000 + "\n")
    refused = run("import", "oes", oes, "--out", tmp_path / "other", "--json")
    assert refused.code == 1
    assert "cannot be read" in refused.flat_err
    assert len(refused.err) < 2000
    (oes / "secret").symlink_to("/etc/passwd")
    (oes / "20_music.wav").symlink_to("/etc/passwd")
    write_csv(oes / "meta.csv", ("mood",), [("sad",)])
    outside = run("import", "oes", oes, "--out", tmp_path / "other", "--json")
    assert outside.code == 1
    assert "leads out of" in outside.flat_err


def test_v2m_bench_with_its_sound_and_with_files(
    run: RunCommand, film: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "V2M-bench"
    (folder / "video").mkdir(parents=True)
    (folder / "audio").mkdir()
    for name in ("-aB3_x", "dQw4w9WgXcQ"):
        shutil.copy(film, folder / "video" / f"{name}.mp4")
    write_wav(folder / "audio" / "dQw4w9WgXcQ.wav", 8.0)
    write_wav(folder / "audio" / "gone.wav")
    (folder / "V2M-bench.txt").write_text("-aB3_x\ndQw4w9WgXcQ\ngone\n")
    out = tmp_path / "set"
    result = run("import", "v2m-bench", folder, "--out", out, "--json")
    assert result.code == 3
    assert result.problems()["audio/gone.wav"] == "has no video of the same name"
    notes = " ".join(result.json["notes"])
    assert "1 of 3 clips of the list are not here: gone." in notes
    assert "The sound of the video is the music of 1 clips" in notes
    assert "1 names were changed, for example -aB3_x to aB3_x" in notes
    clips = {clip.clip_id: clip for clip in read_eval_set(out).clips}
    assert clips["aB3_x"].music == clips["aB3_x"].video == "video/aB3_x.mp4"
    assert clips["dQw4w9WgXcQ"].music == "music/dQw4w9WgXcQ.wav"
    assert all((out / clip.music).is_file() for clip in clips.values())
    (tmp_path / "empty").mkdir()
    nothing = run("import", "v2m-bench", tmp_path / "empty", "--out", tmp_path / "no")
    assert (nothing.code, "No video" in nothing.flat_err) == (1, True)


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"music": "../../etc/passwd"}, "path_outside"),
        ({"video": "/etc/passwd", "video_sha256": "0"}, "path_outside"),
        ({"clip_id": "../x"}, "eval_set_invalid"),
        ({"duration_s": 1e9}, "eval_set_invalid"),
        ({"duration_s": "long"}, "eval_set_invalid"),
        ({"mood": "x" * 5000}, "eval_set_invalid"),
        ({"extra": 1}, "eval_set_invalid"),
        ({"music": None}, "eval_set_invalid"),
        ({"clip_id": "1"}, "eval_set_invalid"),
    ],
)
def test_a_forged_list_is_refused(
    run: RunCommand, oes: Path, tmp_path: Path, change: dict[str, Any], code: str
) -> None:
    run("import", "oes", oes, "--out", tmp_path / "set")
    forged = manifest(tmp_path / "set")
    forged["clips"][0] |= change
    (tmp_path / "set/eval_set.json").write_text(json.dumps(forged))
    with pytest.raises(OsslError) as raised:
        read_eval_set(tmp_path / "set")
    assert raised.value.code == code


def test_an_interrupted_import_has_no_clips(
    run: RunCommand, oes: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "set"
    full = OsslError("disk_full", "full", "free")

    def fail(*arguments: object) -> None:
        raise full

    monkeypatch.setattr("ossl_builder.imports.import_release.place", fail)
    assert run("import", "oes", oes, "--out", out).code == 1
    with pytest.raises(OsslError, match="interrupted"):
        read_eval_set(out)
    monkeypatch.undo()
    assert run("import", "oes", oes, "--out", out).code == 0
    assert len(read_eval_set(out).clips) == 12
