"""Parsing of untrusted YAML and JSON: plain values within limits, else a clear error."""

from __future__ import annotations

import os
import socket
from pathlib import Path

import pytest

from ossl_builder import parse

BOMB = "a: &a0 [x, x]\n" + "".join(f"b{at}: &a{at + 1} [*a{at}, *a{at}]\n" for at in range(25))
MERGE_BOMB = "a0: &a0 {k0: 1}\n" + "".join(
    f"a{at + 1}: &a{at + 1}\n  <<: [*a{at}, *a{at}]\n  k{at + 1}: 1\n" for at in range(25)
)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        (BOMB, "more than 10 aliases"),
        (MERGE_BOMB, "more than 10 aliases"),
        ("stems: &s\n  roles: *s\n", r"line 2: roles: \*s contains itself"),
        ("&s [*s]", r"\*s contains itself"),
        ("clips: {a: 1}\nclips: {b: 1}\n", "line 2: the key clips is given twice"),
        ("clips:\n  min_s: 1\n  min_s: 2\n", "line 3: the key min_s is given twice"),
        ("[" * 5_000, "nested more than 30 deep"),
        ("- " * 5_000, "nested more than 30 deep"),
        ("{a: " * 5_000, "nested more than 30 deep"),
        ("a: !!python/object/apply:os.getcwd []", "the tag"),
        ("a: !!timestamp x", "the tag"),
        ("a: 2026-13-40", "month"),
        ("a: " + "1" * 5_000, "digits"),
        ("? [a]\n: 1", "a key is no text"),
        ("? 2026-01-01\n: 1", "a key is no text"),
        ("a: 1\n" * 100_000, "characters, more than"),
        ("a: [", "line 1"),
        ("a: \x00", "special characters"),
    ],
)
def test_yaml_beyond_the_limits_gives_a_clear_error(text: str, told: str) -> None:
    with pytest.raises(ValueError, match=told) as caught:
        parse.yaml_value(text)
    assert len(str(caught.value)) < 300


def test_few_aliases_and_merges_are_allowed() -> None:
    text = "base: &b {x: 1, y: 2}\nother: {<<: *b, y: 3}\nlist: [*b, *b]\n"
    base = {"x": 1, "y": 2}
    found = {"base": base, "other": {"x": 1, "y": 3}, "list": [base, base]}
    assert parse.yaml_value(text) == found


@pytest.mark.parametrize("depth", [61, 900, 100_000])
@pytest.mark.parametrize(("left", "right"), [("[", "]"), ('{"a":', "}")])
def test_deeply_nested_json_gives_a_clear_error(left: str, right: str, depth: int) -> None:
    with pytest.raises(ValueError, match="nested more than 60 deep"):
        parse.json_value(left * depth + "1" + right * depth)


def test_json_within_the_limits_is_parsed_unchanged() -> None:
    assert parse.json_value("[" * 60 + "]" * 60) == eval("[" * 60 + "]" * 60)
    assert parse.json_value('{"a": [1, {"b": null}]}') == {"a": [1, {"b": None}]}


def test_only_regular_files_are_opened(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    with socket.socket(socket.AF_UNIX) as made:
        made.bind(str(tmp_path / "socket"))
    for name in ("pipe", "socket", "/dev/zero"):
        with pytest.raises(ValueError, match="no regular file"):
            parse.regular_bytes(tmp_path / name)
    with pytest.raises(OSError, match="folder"):
        parse.regular_bytes(tmp_path)
