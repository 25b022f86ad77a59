"""Import of OSSL v1: reported problems, rows of the tables, and repeated imports."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest
import soundfile

from tests.command_result import RunCommand
from tests.e2e.corpora import rows
from tests.imports.conftest import halve, write_clip_files, write_csv


def by_clip(corpus: Path, table: str) -> dict[str, dict[str, Any]]:
    return {row["clip_id"]: row for row in rows(corpus, table)}


def contents(corpus: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in (corpus / "manifests").iterdir()}


def test_missing_damaged_or_truncated_files_are_reported(
    run: RunCommand, v1: Path, tmp_path: Path
) -> None:
    (v1 / "AA_1.wav").unlink()
    halve(v1 / "AB_1.mp4")
    audio, rate = soundfile.read(v1 / "AC_1.wav", dtype="int16")
    (v1 / "AC_1.wav").unlink()
    soundfile.write(v1 / "AC_1.wav", audio[: -rate // 5], rate)
    (v1 / "AC_2.wav").unlink()
    (v1 / "AC_2.wav").write_bytes(b"no audio at all")
    with (v1 / "train_meta.csv").open("a") as stream:
        stream.write("AD,0,sad,Gone.\r\nAA,0,sad,Again.\r\n,,,\r\n")
    shutil.copyfile(v1 / "AA_0.mp4", v1 / "ZZ_0.mp4")
    looked = run("import", "ossl-v1", v1, "--out", tmp_path / "corpus", "--dry-run", "--json")
    assert (looked.code, looked.json["written"], looked.json["clips"]) == (3, False, 7)
    assert not (tmp_path / "corpus").exists()
    result = run("import", "ossl-v1", v1, "--out", tmp_path / "corpus", "--json")
    assert result.code == 3
    problems = result.problems()
    assert problems.keys() == looked.problems().keys() | {"AB_1.mp4", "AC_1.wav", "AC_2.wav"}
    assert looked.problems() == {
        "AA_1.wav": "is not here, though AA_1.mp4 is",
        "AD_0.mp4": "is not here, nor AD_0.wav; train_meta.csv, line 6 names the clip",
        "train_meta.csv, line 7": "names AA_0 once more",
        "train_meta.csv, line 8": "names no clip",
        "ZZ_0.mp4": "stands in no sheet",
    }
    assert "cannot be decoded" in problems["AB_1.mp4"]
    assert "they differ by more than 0.042 s" in problems["AC_1.wav"]
    assert "cannot be read" in problems["AC_2.wav"]
    assert [
        (leak["film_a"], leak["split_a"], leak["split_b"]) for leak in result.json["leaks"]
    ] == [("AA", "train", "validation")]
    corpus = tmp_path / "corpus"
    assert sorted(by_clip(corpus, "clips")) == ["AA_0", "AA_2", "AB_0", "AC_0"]
    shown = run("import", "ossl-v1", v1, "--out", corpus)
    assert shown.code == 3
    assert "Leak: AA is in train and in validation." in shown.out
    assert "7 of 7 clips were measured before." in shown.err
    assert "AA_1.wav" in shown.out
    run("import", "ossl-v1", v1, "--out", corpus, "--tolerance", "0.3")
    assert "AC_1" in by_clip(corpus, "clips")


def test_rows_have_the_measured_and_released_values(
    run: RunCommand, v1: Path, truth: list[dict[str, Any]], tmp_path: Path
) -> None:
    corpus = tmp_path / "corpus"
    assert run("import", "ossl-v1", v1, "--out", corpus, "--workers", 2).code == 3  # AA: two splits
    clips = by_clip(corpus, "clips")
    same = ("n_frames", "width", "height", "fps_num", "fps_den", "n_samples", "sample_rate")
    for clip_id, original in zip(clips, truth, strict=True):
        row = clips[clip_id]
        assert {name: row[name] for name in same} == {name: original[name] for name in same}
        assert row["music_lufs"] == pytest.approx(original["music_lufs"], abs=0.05)
        assert row["video_sha256"] == original["video_sha256"]
        assert (row["start_s"], row["mix_path"]) == (None, None)
        assert (corpus / row["music_path"]).samefile(v1 / f"{clip_id}.wav")
    labels = by_clip(corpus, "labels")
    label_values = {
        one: (row["quadrant"], row["mood"], row["caption"]) for one, row in labels.items()
    }
    assert label_values == {
        "AA_0": ("Q1", "happy, excited", "A fast waltz."),
        "AA_1": ("Q2", "Tense", None),
        "AA_2": ("Q1", "excited and happy", "A march."),
        "AB_0": (None, "bittersweet", "Strings."),
        "AB_1": ("Q3", "sad", "Oboe, alone."),
        "AC_0": ("Q4", "calm", "Harp."),
        "AC_2": (None, "tense, calm", "Both."),
    }
    assert {(row["rule"], row["n_annotators"]) for row in labels.values()} == {("import", 0)}
    assert {row["caption_source"] for row in labels.values()} == {"import", "none"}
    films = rows(corpus, "films")
    assert {(row["basis"], row["is_claim"], row["path"]) for row in films} == {
        ("unknown", False, None)
    }
    assert all(v1.name in row["evidence"] for row in films)
    splits = {row["film_id"]: (row["split"], row["why"]) for row in rows(corpus, "splits")}
    assert {film: split for film, (split, _) in splits.items()} == {
        "AA": "train", "AB": "train", "AC": "validation",
    }  # fmt: skip
    assert "2 in train, 1 in validation" in splits["AA"][1]
    # Lost tables and files are restored with the same bytes.
    before = contents(corpus)
    shutil.rmtree(corpus / "manifests")
    copied = corpus / "films/AA/clips/AA_0.mp4"
    copied.unlink()
    assert "8 of 8 clips" in run("import", "ossl-v1", v1, "--out", corpus, "--copy").err
    assert contents(corpus) == before
    assert copied.read_bytes() == (v1 / "AA_0.mp4").read_bytes()
    assert not copied.samefile(v1 / "AA_0.mp4")


def test_one_csv_with_file_names_gives_no_splits(
    run: RunCommand,
    v1: Path,
    clips: dict[str, list[tuple[Path, Path]]],
    truth: list[dict[str, Any]],
    tmp_path: Path,
) -> None:
    for sheet in v1.glob("*.csv"):
        sheet.unlink()
    lines = [(f"clips/{path.name}", "happy", "") for path in sorted(v1.glob("*.mp4"))]
    write_csv(v1 / "updated_meta.csv", ("file_name", "Mood", "caption"), lines)
    corpus = tmp_path / "corpus"
    result = run("import", "ossl-v1", v1, "--out", corpus, "--json")
    assert (result.code, result.json["clips"], result.json["films_by_split"]) == (0, 8, {})
    assert "`ossl split`" in result.json["notes"][0]
    assert not (corpus / "manifests/splits.parquet").exists()
    assert run("-C", corpus, "split").code == 0
    split = rows(corpus, "splits")
    # A changed clip is measured and linked again; assigned splits do not change.
    for ending in ("mp4", "wav"):
        (v1 / f"AA_0.{ending}").unlink()
    write_clip_files(clips["AC"][0], v1 / "AA_0.mp4", v1 / "AA_0.wav")
    assert run("import", "ossl-v1", v1, "--out", corpus).code == 0
    assert by_clip(corpus, "clips")["AA_0"]["n_frames"] == truth[5]["n_frames"]
    assert rows(corpus, "splits") == split
    assert run("-C", corpus, "verify").code == 0


def test_invalid_releases_give_clear_errors(run: RunCommand, v1: Path, tmp_path: Path) -> None:
    result = run("import", "ossl-v1", tmp_path, "--out", tmp_path / "corpus")
    assert (result.code, "has none of train_meta.csv" in result.err) == (1, True)
    result = run("import", "ossl-v2", v1, "--out", tmp_path / "corpus")
    assert (result.code, "has no train/video" in result.err) == (1, True)
    result = run("import", "ossl-v1", v1, "--out", v1)
    assert (result.code, "is not an empty folder" in result.err) == (1, True)
    run("init", tmp_path / "films")
    result = run("import", "ossl-v1", v1, "--out", tmp_path / "films")
    assert (result.code, "films of its own" in result.err) == (1, True)
    (v1 / "test_meta.csv").write_text("name,mood\nAA_0,sad\n")
    result = run("import", "ossl-v1", v1, "--out", tmp_path / "corpus")
    assert (result.code, "neither film_id and clip_id nor file_name" in result.err) == (1, True)
    (v1 / "test_meta.csv").write_bytes(b"film_id,clip_id\n\xff\xfe,0\n")
    result = run("import", "ossl-v1", v1, "--out", tmp_path / "corpus")
    assert (result.code, "cannot be read" in result.err) == (1, True)
    (v1 / "test_meta.csv").unlink()
    for path in v1.glob("*.wav"):
        path.unlink()
    result = run("import", "ossl-v1", v1, "--out", tmp_path / "corpus")
    assert (result.code, "No clip can be used." in result.err) == (1, True)
