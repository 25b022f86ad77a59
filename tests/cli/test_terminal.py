"""Untrusted text is printed without terminal control sequences."""

from __future__ import annotations

import ast
import dataclasses
import json
import re
from pathlib import Path

import pytest

import ossl_builder
from ossl_builder.cli import output
from ossl_builder.corpus import Corpus
from tests.command_result import RunCommand
from tests.exports.rights_corpus import rights_corpus, source

# Clear the screen, rename the window, move the cursor, reverse the text direction.
FORGED = "A\x1b[2J\x1b]0;x\x07\rB\x9b1A\u202eC\u2066D\x7f\u061c\udc80E"
UNSHOWN = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069]")


@pytest.fixture
def corpus(tmp_path: Path) -> Path:
    root = rights_corpus(tmp_path / "corpus", "expired")
    forged = FORGED.replace("\udc80", "")
    Corpus(root).record_source(
        dataclasses.replace(source("expired"), title=forged, evidence=forged, basis="unknown")
    )
    return root


@pytest.mark.parametrize(
    "words",
    [
        ("films", "list", "--in-corpus"),
        ("films", "show", "expired"),
        ("films", "explain", "expired"),
        ("films", "list", "--in-corpus", "--json"),
        ("films", "show", "expired", "--json"),
        ("query", "SELECT chr(27) || '[2J' || chr(155) || chr(8238) AS title"),
        ("query", "SELECT chr(27) || '[2J' || chr(155) || chr(8238) AS title", "--json"),
        ("query", 'SELECT 1 AS "\x1b[2J"'),
        ("query", "SELECT \x1b[2J"),
        ("status",),
        ("build", "--dry-run"),
        ("films", "show", "\x1b[2J"),
        ("export", "parquet", "--out", "\x1b[2J"),
    ],
)
def test_printed_texts_have_no_control_sequences(
    ossl_here: RunCommand, corpus: Path, words: tuple[str, ...]
) -> None:
    shown = ossl_here("-C", corpus, *words)
    assert not UNSHOWN.search(shown.out + shown.err)
    assert shown.out + shown.err


def test_json_output_keeps_the_original_value(ossl_here: RunCommand, corpus: Path) -> None:
    shown = ossl_here("-C", corpus, "films", "show", "expired", "--json")
    assert json.loads(shown.out)["corpus"]["title"] == FORGED.replace("\udc80", "")


def test_each_control_character_is_shown_as_its_code(capsys: pytest.CaptureFixture[str]) -> None:
    output.line(FORGED)
    output.say(FORGED)
    output.table(("a\x1b",), [(FORGED,), ("one\ntwo",)])
    captured = capsys.readouterr()
    assert not UNSHOWN.search(captured.out + captured.err)
    assert r"A\x1b[2J\x1b]0;x\x07\x0dB\x9b1A\u202eC\u2066D\x7f\u061c\udc80E" in captured.out
    assert "one two" in captured.out


def test_only_the_output_module_writes_to_the_terminal() -> None:
    """`typer.echo` and `print` do not escape control sequences."""
    root = Path(ossl_builder.__file__).parent
    folders = (root / "cli", root.parent / "train/ossl_train/cli")
    for path in (path for folder in folders for path in folder.glob("*.py")):
        if path.name == "output.py":
            continue
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call):
                called = ast.unparse(node.func)
                assert called not in ("typer.echo", "print", "click.echo", "typer.secho"), path
