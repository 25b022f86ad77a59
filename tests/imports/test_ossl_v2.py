"""Import of OSSL v2: splits from list files or folders, and unique ids."""

from __future__ import annotations

from pathlib import Path

from tests.command_result import RunCommand
from tests.e2e.corpora import rows
from tests.imports.conftest import halve


def test_ids_splits_and_titles(run: RunCommand, v2: Path, tmp_path: Path) -> None:
    corpus = tmp_path / "corpus"
    result = run("import", "ossl-v2", v2, "--out", corpus, "--json")
    assert (result.code, result.json["problems"], result.json["moods"]) == (3, [], 0)
    assert [leak["film_a"] for leak in result.json["leaks"]] == ["tt0003"]
    assert [row["clip_id"] for row in rows(corpus, "clips")] == [
        "his-girl_0", "his-girl_1", "tt0001_0", "tt0001_1", "tt0001_2", "tt0003_0", "tt0003_1",
        "tt0003_2",
    ]  # fmt: skip
    films = {row["film_id"]: row for row in rows(corpus, "films")}
    assert films["his-girl"]["source"] == "ossl-v2:his_girl"
    assert [films[one]["title"] for one in sorted(films)] == ["His Girl", "The Fair", "Hills"]
    assert [films[one]["year"] for one in sorted(films)] == [1940, 1931, None]
    assert {row["film_id"]: row["split"] for row in rows(corpus, "splits")} == {
        "his-girl": "test", "tt0001": "train", "tt0003": "train",
    }  # fmt: skip
    assert not (corpus / "manifests/labels.parquet").exists()
    exported = tmp_path / "back"
    words = ("-C", corpus, "export", "ossl-v2", "--out", exported)
    assert run(*words).code == 1  # nothing is known of the films' rights
    assert run(*words, "--allow-unverified").code == 0
    assert (exported / "test/audio/his-girl/his-girl_1.wav").is_file()
    again = run("import", "ossl-v2", exported, "--out", tmp_path / "again", "--json")
    assert again.code == 0
    same = ("clip_id", "n_frames", "n_samples", "video_sha256", "music_lufs")
    assert [[row[name] for name in same] for row in rows(tmp_path / "again", "clips")] == [
        [row[name] for name in same] for row in rows(corpus, "clips")
    ]


def test_missing_or_contradictory_data_is_reported(
    run: RunCommand, v2: Path, tmp_path: Path
) -> None:
    (v2 / "train/audio/tt0001/1.wav").unlink()
    (v2 / "test/video/his_girl/0.mp4").unlink()
    halve(v2 / "train/audio/tt0001/0.wav")
    (v2 / "splits/train.txt").write_text("tt0001\ntt0003/0\ntt0003/1\ntt0009\n")
    (v2 / "metadata.csv").write_text("movie_id\ntt0001\nhis_girl\ntt0008\n")
    result = run("import", "ossl-v2", v2, "--out", tmp_path / "corpus", "--json")
    assert result.code == 3
    problems = result.problems()
    assert "they differ by more than 0.042 s" in problems.pop("train/audio/tt0001/0.wav")
    assert problems == {
        "train/audio/tt0001/1.wav": "is not here, though train/video/tt0001/1.mp4 is",
        "test/video/his_girl/0.mp4": "is not here, though test/audio/his_girl/0.wav is",
        "splits/train.txt, line 4": "names 'tt0009', which is not here",
        "metadata.csv, line 4": "no clip of 'tt0008' is here",
        "metadata.csv": "has no row for 'tt0003'",
        "test/video/tt0003/1.mp4": "is test and train by splits, which counts, and not its folder",
        "train/video/tt0003/2.mp4": "stands in no line under splits; its folder counts",
    }
    assert result.json["clips"] == 5
