"""The complete workflow of the README, run command by command."""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from ossl_builder.demo.corpus import RECIPE_TEXT
from ossl_builder.demo.films import FILMS
from ossl_builder.tables.catalogue import load_catalogue
from tests.e2e.corpora import Ossl, rows
from tests.e2e.label_studio_server import LabelStudio
from tests.misbehaving import Misbehaving, misbehaving

README = Path(__file__).parents[2] / "README.md"
ANSWERS = {
    "music_audible": "clear", "speech_over_music": "no", "quadrant": "Q2", "confidence": "high",
    "valence": 3, "energy": 7, "tension": 8, "caption": "Restless strings.",
}  # fmt: skip
# Options that replace models from a hub, which a test does not have. The rest runs unchanged.
LOCAL = {
    "fit": ["--set", "fit.steps=4", "--set", "fit.validate_every=2"],
    "evaluate": ["--clap", "none"],
}


def commands() -> list[list[str]]:
    section = README.read_text().split("\n## The whole way\n")[1].split("\n## ")[0]
    block = re.findall(r"```\n(.*?)```", section, re.DOTALL)[0]
    return [shlex.split(line, comments=True) for line in block.splitlines()]


@pytest.fixture
def archive(monkeypatch: pytest.MonkeyPatch) -> Iterator[Misbehaving]:
    """An Internet Archive on loopback that serves the demo films under the films' names."""
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    named = {film.film_id: film for film in load_catalogue()}
    add = next(words for words in commands() if words[3:5] == ["films", "add"])
    files = [film.path for film in FILMS]
    with misbehaving() as server:
        for film_id, path in zip(add[5:], files, strict=True):
            identifier = named[film_id].source.removeprefix("ia:").split("/")[0]
            server.put_item(identifier, f"{film_id}{path.suffix}", path.read_bytes())
        yield server


def test_the_readme_workflow(
    ossl: Ossl, archive: Misbehaving, label_studio: LabelStudio, tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("LABEL_STUDIO_API_KEY", label_studio.token)
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    corpus = tmp_path / "corpus"
    ran = []
    for words in commands():
        assert words[0] == "ossl"
        words = [label_studio.url if word.startswith("http://") else word for word in words[1:]]
        words = [word.replace("train/small", "train/tiny_cpu") for word in words]
        name, step = [*words, ""][2:4] if words[0] == "-C" else (words[0], "")
        ran.append(f"{name} {step}")
        if name == "train" and step != "evaluate":
            words += ["--recipe", "tiny_cpu"]
        ossl(*words, *LOCAL.get(step, []))
        if name == "init":
            (corpus / "ossl.yaml").write_text(yaml.safe_dump(settings(archive)))
        if ran[-1] == "label push":
            annotate_all_tasks(label_studio, corpus)
    assert len(ran) == 15

    clips = {row["clip_id"]: row for row in rows(corpus, "clips")}
    assert len(clips) == 7
    assert {row["film_id"] for row in clips.values()} == set(commands()[1][5:])
    labels = rows(corpus, "labels")
    assert {row["clip_id"] for row in labels} == clips.keys()
    assert {row["quadrant"] for row in labels} == {"Q2"}
    assert {row["split"] for row in rows(corpus, "splits")} == {"train", "validation", "test"}
    assert (corpus / "report" / "index.html").stat().st_size > 1000
    card = (tmp_path / "hub" / "README.md").read_text()
    assert "Steamboat Willie" in card
    assert len(list((tmp_path / "hub" / "data").glob("*.parquet"))) == 3
    made = corpus / "train" / "tiny_cpu" / "generated" / "adapter"
    tested = {row["film_id"] for row in rows(corpus, "splits") if row["split"] == "test"}
    wanted = {name for name, row in clips.items() if row["film_id"] in tested}
    assert {path.stem for path in made.glob("*.wav")} == wanted
    figures = json.loads((made / "evaluation" / "evaluation.json").read_text())
    assert figures
    assert (tmp_path / "adapter" / "README.md").exists()
    assert list((tmp_path / "adapter").glob("*.safetensors"))


def settings(archive: Misbehaving) -> dict[str, object]:
    """The recipe of the demo, with the loopback server as the Archive."""
    fetch = {
        "archive_url": archive.address, "archive_node_url": "http://{server}",
        "min_kbps": 0, "wait_s": 0,
    }  # fmt: skip
    return {**yaml.safe_load(RECIPE_TEXT), "fetch": fetch}


def annotate_all_tasks(label_studio: LabelStudio, corpus: Path) -> None:
    """Two people answer every task of the corpus' project."""
    state = json.loads((corpus / "annotations" / "label-studio.json").read_text())
    tasks = label_studio.tasks(state["project_id"])
    for name in ("ann", "bob"):
        person = label_studio.sign_up(name)
        for task in tasks:
            person.annotate(task["id"], ANSWERS)
