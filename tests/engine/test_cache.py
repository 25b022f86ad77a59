"""The cache: files and values are fresh only while their inputs have the same content."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from ossl_builder.engine.cache import MadeFiles, cached_value


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "a.txt").write_text("first")
    made = MadeFiles(tmp_path, tmp_path / ".made.json")
    made.add("a.txt", "digest", pages=3)
    made.save()
    return tmp_path


def made_files(folder: Path) -> MadeFiles:
    return MadeFiles(folder, folder / ".made.json")


def test_a_file_is_fresh_while_its_inputs_are_unchanged(folder: Path) -> None:
    made = made_files(folder)
    assert made.is_fresh("a.txt", "digest", check_bytes=True)
    assert made.facts("a.txt") == {"pages": 3}
    assert not made.is_fresh("a.txt", "other digest")
    assert not made.is_fresh("b.txt", "digest")
    made.forget(["a.txt"])
    assert not made.is_fresh("a.txt", "digest")


def test_a_changed_file_is_not_fresh(folder: Path) -> None:
    (folder / "a.txt").write_text("other")  # of the same size
    assert made_files(folder).is_fresh("a.txt", "digest")
    assert not made_files(folder).is_fresh("a.txt", "digest", check_bytes=True)
    (folder / "a.txt").write_text("longer than it was")
    assert not made_files(folder).is_fresh("a.txt", "digest")
    (folder / "a.txt").unlink()
    assert not made_files(folder).is_fresh("a.txt", "digest")


@pytest.mark.parametrize("memory", ["", "[]", "{", '{"a.txt": 1}', '{"../a.txt": {}}'])
def test_a_damaged_or_forged_cache_file_is_ignored(folder: Path, memory: str) -> None:
    (folder / ".made.json").write_text(memory)
    made = made_files(folder)
    assert not made.names()
    assert not made.is_fresh("a.txt", "digest")


def test_a_value_is_computed_once_per_key(tmp_path: Path) -> None:
    path, computed = tmp_path / "value.json", []

    def value(key: str) -> list[int]:
        def compute() -> list[int]:
            computed.append(key)
            return [len(computed)]

        return cached_value(path, key, compute, lambda plain: [int(plain[0])])

    assert [value("a"), value("a"), value("b"), value("a")] == [[1], [1], [2], [3]]
    path.write_text(json.dumps({"key": "a", "value": {}}))  # a value of another type
    assert value("a") == [4]
    assert computed == ["a", "b", "a", "a"]
