"""Annotation records and the annotator registry: stable bytes, no e-mail address in git."""

from __future__ import annotations

import json
import re
import subprocess
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from ossl_builder.annotations import annotators, records
from ossl_builder.annotations.annotators import AnnotatorRegistry
from ossl_builder.errors import OsslError
from tests.annotations.people import ANSWERS, annotation, clip, corpus_with
from tests.cli.conftest import Ossl, ossl

__all__ = ["ossl"]
ADDRESS = re.compile(rb"[\w.+-]+@[\w-]+\.[\w.]+")


def git(folder: Path, *arguments: str) -> str:
    run = ["git", "-C", str(folder), *arguments]
    return subprocess.run(run, capture_output=True, text=True, check=True).stdout


def test_records_are_sorted_stable_and_change_line_by_line(tmp_path: Path) -> None:
    people = [annotation(n, who) for n in range(10) for who in ("a01", "a02")]
    records.upsert(tmp_path, people)
    path = records.path_of(tmp_path, "f")
    before = path.read_bytes()
    keys = [(line["clip_id"], line["annotator"]) for line in map(json.loads, before.splitlines())]
    assert keys == sorted(keys)
    assert records.upsert(tmp_path, reversed(people)) == 0
    assert path.read_bytes() == before
    odd = "é 🎻 line\u2028separator"
    assert records.upsert(tmp_path, [annotation(3, "a02", quadrant="Q3", comment=odd)]) == 1
    after = path.read_bytes()
    changed = [a != b for a, b in zip(before.split(b"\n"), after.split(b"\n"), strict=True)]
    assert sum(changed) == 1
    assert annotation(3, "a02", quadrant="Q3", comment=odd) in records.read_film(tmp_path, "f")


def test_annotator_ids_are_stable_and_unique(tmp_path: Path) -> None:
    records.upsert(tmp_path, [annotation(0, "a02")])  # the registry was lost
    key = AnnotatorRegistry.load(tmp_path)
    assert key.id_of("Ann@x.org", "Ann") == "a03"
    assert key.id_of("bob@x.org") == "a04"
    key.save()
    again = AnnotatorRegistry.load(tmp_path)
    assert again.id_of("ann@X.ORG") == "a03"
    assert again.id_of(name="ann") == "a03"
    assert again.id_of(name="Carl") == "a05"
    assert again.is_known("a02")
    with pytest.raises(ValueError):
        again.id_of(" ")
    (tmp_path / "annotations" / annotators.FILE).write_text("annotator,email\nann,x\n")
    with pytest.raises(OsslError) as caught:
        AnnotatorRegistry.load(tmp_path)
    assert caught.value.code == "annotators_damaged"


def test_git_ignores_the_annotator_registry_and_the_signing_key(tmp_path: Path) -> None:
    git(tmp_path, "init", "--quiet")
    folder = tmp_path / "annotations"
    folder.mkdir()
    (folder / ".gitignore").write_text("mine.txt")
    records.upsert(tmp_path, [annotation(0, "a01")])
    key = AnnotatorRegistry.load(tmp_path)
    key.id_of("ann@x.org", "Ann")
    key.save()
    (folder / "moods.yaml").write_text("")
    (folder / "serve.key").write_text("")
    git(tmp_path, "check-ignore", f"annotations/{annotators.FILE}")
    seen = git(tmp_path, "status", "--porcelain", "--untracked-files=all").split()
    assert {one for one in seen if one != "??"} == {
        "annotations/.gitignore", "annotations/f.jsonl", "annotations/moods.yaml",
    }  # fmt: skip
    assert (folder / annotators.FILE).stat().st_mode & 0o077 == 0
    lines = (folder / ".gitignore").read_text().splitlines()
    key.save()
    assert (folder / ".gitignore").read_text().splitlines() == lines
    assert lines[0] == "mine.txt"


def test_no_email_address_in_records_tables_or_output(tmp_path: Path, ossl: Ossl) -> None:
    clips = [clip(number) for number in range(3)]
    root = corpus_with(tmp_path / "corpus", clips).root
    rows = [
        {"clip_id": one.clip_id, "email": email, "name": "Ann Ex", **ANSWERS,
         "caption": f"A waltz, says {email}.", "comment": "mail ann@x.org"}
        for one in clips
        for email in ("ann@x.org", "bob@y.example")
    ]  # fmt: skip
    file = tmp_path / "moods.json"
    file.write_text(json.dumps(rows))
    planned = ossl("-C", root, "label", "import", file, "--dry-run", "--json")
    assert planned.code == 0, planned.err
    assert planned.json["added"] == 6
    assert not (root / "annotations").exists()
    done = ossl("-C", root, "label", "import", file)
    assert done.code == 0
    assert "an e-mail address in caption was masked" in done.err
    for command in ("agreement", "merge"):
        result = ossl("-C", root, "label", command, "--json")
        assert result.code == 0, result.err
        assert not ADDRESS.search(result.out.encode())
    table = root / "manifests" / "labels.parquet"
    assert pq.read_table(table)["caption"].to_pylist() == ["A waltz, says [address]."] * 3
    holding = [
        path.relative_to(root).as_posix()
        for path in root.rglob("*")
        if path.is_file() and ADDRESS.search(path.read_bytes())
    ]
    assert holding == [f"annotations/{annotators.FILE}"]
    assert not ADDRESS.search(str(pq.read_table(table).to_pylist()).encode())


def test_the_commands_merge_report_and_agree(tmp_path: Path, ossl: Ossl) -> None:
    root = corpus_with(tmp_path / "corpus", [clip(number) for number in range(3)]).root
    nothing = ossl("-C", root, "label", "agreement", "--json")
    assert nothing.json["questions"][0]["why"] == "no clip has answers by two annotators"
    records.upsert(root, [annotation(n, who) for n in range(2) for who in ("a01", "a02")])
    records.upsert(root, [annotation(7, "a01"), annotation(2, "a01", state="skipped")])
    table = root / "manifests" / "labels.parquet"
    assert ossl("-C", root, "label", "merge", "--dry-run").code == 0
    assert not table.exists()
    found = ossl("-C", root, "label", "merge", "--json").json
    assert (found["n_labels"], found["n_skipped"]) == (2, 1)
    assert [one["clip_id"] for one in found["orphans"]] == [clip(7).clip_id]
    before = table.read_bytes()
    assert ossl("-C", root, "label", "merge", "--set", "labels.rule=majority").code == 0
    assert table.read_bytes() != before
    assert ossl("-C", root, "label", "merge").code == 0
    assert table.read_bytes() == before
    shown = ossl("-C", root, "label", "agreement")
    assert "all answers are equal" in shown.out
    assert "Left out: 1 annotation" in shown.err
    missing = ossl("-C", root, "label", "agreement", "no-such-film")
    assert missing.code == 1
