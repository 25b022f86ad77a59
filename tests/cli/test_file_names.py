"""File names that are not printable text, and paths that are not regular files: no traceback."""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from tests.films import make_flash_and_click

NAMES = {
    "newline": b"film\nof two lines.mp4",
    "latin1": "Der müde Tod.mp4".encode("latin-1"),
    "escape": b"\x1b]0;title\x07.mp4",
    "utf8": "Голем 東京 – «x» 🎬.mp4".encode(),
    "spaces": b"  a  b .mp4",
    "quote": b"a'b\"; DROP TABLE.mp4",
}
ADDED = {"utf8", "spaces", "quote"}


def ossl(*arguments: object, timeout: float = 60) -> subprocess.CompletedProcess[bytes]:
    done = subprocess.run(
        [sys.executable, "-m", "ossl_builder.cli.main",
         *(one if isinstance(one, bytes) else str(one) for one in arguments)],
        capture_output=True, check=False, stdin=subprocess.DEVNULL, timeout=timeout,
    )  # fmt: skip
    assert b"Traceback" not in done.stderr, done.stderr.decode("utf-8", "replace")
    return done


def add(corpus: Path, source: object, **claim: object) -> subprocess.CompletedProcess[bytes]:
    wanted = {"id": "own", "title": "T", "basis": "licensed", "evidence": "for tests", **claim}
    options = [part for name, value in wanted.items() for part in (f"--{name}", value)]
    return ossl("-C", corpus, "films", "add", source, *options)


@pytest.fixture
def corpus(tmp_path: Path) -> Path:
    assert ossl("init", tmp_path / "corpus").returncode == 0
    return tmp_path / "corpus"


@pytest.fixture(scope="module")
def film(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("film") / "plain.mp4"
    make_flash_and_click(path)
    return path


@pytest.mark.parametrize("kind", NAMES)
def test_a_film_with_an_unusual_name_is_added_or_refused(
    corpus: Path, tmp_path: Path, film: Path, kind: str
) -> None:
    path = os.path.join(os.fsencode(tmp_path), NAMES[kind])  # noqa: PTH118 - bytes
    shutil.copy(film, path)
    done = add(corpus, path)
    if kind in ADDED:
        assert done.returncode == 0
        assert ossl("-C", corpus, "fetch").returncode == 0
    else:
        assert done.returncode == 1
        assert b"is no printable text" in done.stderr
        assert not list((corpus / "films").iterdir())


@pytest.mark.parametrize(
    ("claim", "value"),
    [("title", b"M\xfcde"), ("title", b"a\nb"), ("evidence", b"\x1b[2J"), ("country", b"\xff")],
)
def test_claims_with_unprintable_text_are_refused(
    corpus: Path, film: Path, claim: str, value: bytes
) -> None:
    done = add(corpus, film, **{claim: value})
    assert done.returncode == 2
    assert f"--{claim}".encode() in done.stderr
    assert not list((corpus / "films").iterdir())


def test_a_too_long_file_name_is_refused(corpus: Path) -> None:
    for name in ("a" * 5_000, "/" + "a" * 5_000, "a" * 5_000 + ".mp4"):
        assert ossl("-C", corpus, "films", "add", name).returncode in (1, 2)


@pytest.mark.parametrize("kind", ["newline", "latin1", "pipe", "socket", "folder"])
def test_unusual_file_names_for_fetch_from(
    corpus: Path, tmp_path: Path, film: Path, kind: str
) -> None:
    assert add(corpus, tmp_path / "elsewhere.mp4").returncode == 0
    folder = tmp_path / "folder"
    folder.mkdir()
    with socket.socket(socket.AF_UNIX) as made:
        match kind:
            case "pipe":
                os.mkfifo(folder / "own.mp4")
            case "socket":
                made.bind(str(folder / "own.mp4"))
            case "folder":
                (folder / "own.mp4").mkdir()
            case _:
                for start in (b"", b"own."):
                    shutil.copy(film, os.path.join(os.fsencode(folder), start + NAMES[kind]))  # noqa: PTH118
        done = ossl("-C", corpus, "fetch", "--from", folder)
        assert done.returncode == 1
        assert b"not_in_folder" in done.stderr or b"has no file" in done.stderr
        if kind in NAMES:
            shutil.copy(film, os.path.join(os.fsencode(folder), b"own.mp4"))  # noqa: PTH118
            assert ossl("-C", corpus, "fetch", "--from", folder).returncode == 0


@pytest.mark.parametrize("kind", ["newline", "latin1", "utf8"])
def test_unusual_folder_names_for_fetch_from(
    corpus: Path, tmp_path: Path, film: Path, kind: str
) -> None:
    assert add(corpus, tmp_path / "elsewhere.mp4").returncode == 0
    folder = os.path.join(os.fsencode(tmp_path), NAMES[kind])  # noqa: PTH118 - bytes
    os.mkdir(folder)  # noqa: PTH102 - bytes
    shutil.copy(film, os.path.join(folder, b"own.mp4"))  # noqa: PTH118
    done = ossl("-C", corpus, "fetch", "--from", folder)
    assert done.returncode == (1 if kind == "latin1" else 0)


@pytest.mark.parametrize("layout", ["ossl-v1", "ossl-v2"])
@pytest.mark.parametrize("kind", ["newline", "latin1", "escape", "pipe", "folder", "socket"])
def test_unusual_file_names_in_a_folder_to_import(
    tmp_path: Path, film: Path, layout: str, kind: str
) -> None:
    folder = tmp_path / "released"
    places = [folder / "train" / "video" / "m", folder / "train" / "audio" / "m"]
    if layout == "ossl-v1":
        places = [folder, folder]
        folder.mkdir()
        (folder / "train_meta.csv").write_text("film_id,clip_id,mood,caption\nAA,0,sad,\n")
    with socket.socket(socket.AF_UNIX) as made:
        for place, ending in zip(places, (".mp4", ".wav"), strict=True):
            place.mkdir(parents=True, exist_ok=True)
            path = place / f"AA_0{ending}"
            match kind:
                case "pipe":
                    os.mkfifo(path)
                case "folder":
                    path.mkdir()
                case "socket":
                    if ending == ".mp4":
                        made.bind(str(path))
                    else:
                        path.write_bytes(b"")
                case _:
                    bad = os.path.join(os.fsencode(place), NAMES[kind][:-4] + ending.encode())  # noqa: PTH118
                    shutil.copy(film, bad)
        done = ossl("import", layout, folder, "--out", tmp_path / "out", "--json")
    assert done.returncode == 1
    if done.stdout:
        problems = json.loads(done.stdout)["problems"]
        told = "regular" if kind in ("pipe", "folder", "socket") else "printable"
        assert any(told in problem["why"] for problem in problems)
    else:
        assert layout == "ossl-v2"
        assert b"ossl:" in done.stderr
