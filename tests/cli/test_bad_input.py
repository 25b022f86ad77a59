"""Bad input gives a clear message and the right exit code, and leaves no partial files."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.films import make_flash_and_click


def ossl(*arguments: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "ossl_builder.cli.main", *map(str, arguments)],
        capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL,
    )  # fmt: skip


def add(corpus: Path, source: object, film_id: str) -> subprocess.CompletedProcess[str]:
    return ossl(
        "-C", corpus, "films", "add", source, "--id", film_id, "--title", "T",
        "--basis", "licensed", "--evidence", "for tests",
    )  # fmt: skip


@pytest.fixture
def corpus(tmp_path: Path) -> Path:
    assert ossl("init", tmp_path / "corpus").returncode == 0
    return tmp_path / "corpus"


@pytest.fixture(scope="module")
def film(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("film") / "plain.mp4"
    make_flash_and_click(path)
    return path


def broken(kind: str, folder: Path, film: Path) -> Path:
    path = folder / f"{kind}.mp4"
    match kind:
        case "empty":
            path.write_bytes(b"")
        case "text":
            path.write_text("<html>not found</html>" * 100)
        case "truncated":
            path.write_bytes(film.read_bytes()[: film.stat().st_size // 2])
        case "sound_only":
            import numpy as np
            import soundfile

            soundfile.write(folder / "audio.wav", np.zeros(4410), 44_100)
            path = folder / "audio.wav"
        case "missing":
            pass
    return path


@pytest.mark.parametrize(
    ("kind", "codes"),
    [
        ("missing", {"source_missing"}),
        ("empty", {"file_empty"}),
        ("text", {"not_media"}),
        ("truncated", {"truncated", "not_media"}),
        ("sound_only", {"no_video"}),
    ],
)
def test_an_invalid_film_is_reported_and_the_others_are_built(
    corpus: Path, tmp_path: Path, film: Path, kind: str, codes: set[str]
) -> None:
    add(corpus, broken(kind, tmp_path, film), "broken")
    alone = ossl("-C", corpus, "build", "--until", "scenes")
    assert alone.returncode == 1, alone.stderr
    add(corpus, film, "good")
    both = ossl("-C", corpus, "build", "--until", "scenes")
    assert both.returncode == 3, both.stderr
    for done in (alone, both):
        assert "Traceback" not in done.stderr
        (line,) = [line for line in done.stderr.splitlines() if line.startswith("broken")]
        assert any(code in line for code in codes), line
    assert (corpus / "films/good/scenes").is_dir()
    assert not (corpus / "films/broken/source").exists()


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["init", "{corpus}"], 1, "already is a corpus"),
        (["-C", "{nowhere}", "status"], 1, "is not a corpus"),
        (["-C", "{corpus}", "build", "nosuch"], 1, "has no film 'nosuch'"),
        (["-C", "{corpus}", "build", "../x"], 1, "cannot be a film id"),
        (["-C", "{corpus}", "build", "--until", "nosuch"], 2, "nosuch"),
        (["-C", "{corpus}", "build", "--workers", "0"], 2, "--workers"),
        (["-C", "{corpus}", "build", "--set", "scenes"], 1, "section.key=value"),
        (["-C", "{corpus}", "build", "--set", "scenes.treshold=3"], 1, "scenes.threshold"),
        (["nosuch"], 2, "nosuch"),
    ],
)
def test_wrong_usage_gives_a_clear_message(
    corpus: Path, tmp_path: Path, arguments: list[str], code: int, message: str
) -> None:
    places = {"corpus": corpus, "nowhere": tmp_path / "nowhere"}
    done = ossl(*(argument.format(**places) for argument in arguments))
    assert done.returncode == code, done.stderr
    assert message in done.stderr
    assert "Traceback" not in done.stderr


def test_a_film_id_that_is_a_path_is_refused(corpus: Path, film: Path) -> None:
    done = add(corpus, film, "../outside")
    assert (done.returncode, "cannot be a film id" in done.stderr) == (1, True)
    assert list((corpus / "films").iterdir()) == []


def test_a_film_without_evidence_is_refused(corpus: Path, film: Path) -> None:
    done = ossl(
        "-C", corpus, "films", "add", film, "--id", "dev", "--title", "T",
        "--basis", "licensed", "--evidence", " ",
    )  # fmt: skip
    assert done.returncode == 2
    assert "--evidence" in done.stderr


def test_all_errors_of_a_recipe_are_reported_at_once(corpus: Path) -> None:
    (corpus / "ossl.yaml").write_text("scenes: {treshold: 3}\nclips: {min_s: long}\n")
    done = ossl("-C", corpus, "build")
    assert done.returncode == 1
    assert "scenes.treshold: unknown key" in done.stderr
    assert "clips.min_s:" in done.stderr


def test_a_corpus_of_another_version_is_not_touched(corpus: Path) -> None:
    (corpus / "ossl.yaml").write_text("version: 2\n")
    done = ossl("-C", corpus, "build")
    assert done.returncode == 1
    assert "corpus layout 2" in done.stderr


def test_a_locked_corpus_is_not_changed(corpus: Path) -> None:
    import filelock

    with filelock.FileLock(corpus / ".lock"):
        done = ossl("-C", corpus, "build")
    assert done.returncode == 1
    assert "Another ossl process" in done.stderr


def test_a_missing_model_is_reported_before_anything_runs(corpus: Path, film: Path) -> None:
    add(corpus, film, "good")
    done = ossl("-C", corpus, "build", "--set", f"stems.model={corpus}/nosuch.safetensors")
    assert done.returncode == 1
    assert "stems.model" in done.stderr
    assert not (corpus / "films/good/source").exists()
