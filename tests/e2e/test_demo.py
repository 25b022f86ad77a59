"""`ossl demo`: labels, splits, a toy adapter, and music for a clip of the test split."""

from __future__ import annotations

import json
import re
import shlex
from pathlib import Path

import pyarrow.parquet as pq
import pytest
import soundfile

from ossl_builder.cli import demo
from ossl_builder.corpus import open_corpus
from ossl_builder.demo.corpus import annotations_folder
from tests.command_result import RunCommand
from tests.e2e.corpora import Ossl, linked

ROOT = Path(__file__).parents[2]


def rows(root: Path, table: str) -> list[dict[str, object]]:
    found: list[dict[str, object]] = pq.read_table(root / f"manifests/{table}.parquet").to_pylist()
    return found


def file_states(root: Path) -> dict[str, tuple[int, bytes]]:
    return {
        path.relative_to(root).as_posix(): (path.stat().st_mtime_ns, path.read_bytes())
        for path in root.rglob("*")
        if path.is_file() and not path.name.startswith(".") and "tensorboard" not in path.parts
    }


def test_the_demo_generates_music_and_a_second_run_does_nothing(
    ossl: Ossl, demo_corpus: Path, tmp_path: Path
) -> None:
    root = tmp_path / "demo"
    linked(demo_corpus, root)
    # Simulate annotations of a first clip that was cut at a slightly different time.
    bundled = annotations_folder() / "demo-sintel.jsonl"
    clip = next(row for row in rows(root, "clips") if row["film_id"] == "demo-sintel")
    earlier = f"demo-sintel_{round(1000 * clip['start_s']) + 20}-{round(1000 * clip['end_s'])}"
    (root / "annotations").mkdir()
    moved = bundled.read_text().replace(str(clip["clip_id"]), earlier)
    (root / "annotations/demo-sintel.jsonl").write_text(moved)
    assert earlier in moved

    result = ossl("demo", "--out", root)
    assert "3 moved to clips of other times" in result.stderr
    assert {row["clip_id"] for row in rows(root, "labels")} == {
        row["clip_id"] for row in rows(root, "clips")
    }
    splits = {row["split"]: row["film_id"] for row in rows(root, "splits")}
    assert sorted(splits) == ["test", "train", "validation"]
    (wav,) = (root / "train/tiny_cpu/generated/adapter").glob("*.wav")
    assert wav.stem.startswith(f"{splits['test']}_")
    assert str(wav) in result.stdout
    assert "toy" in result.stdout
    (length,) = [row["duration_s"] for row in rows(root, "clips") if row["clip_id"] == wav.stem]
    assert soundfile.info(wav).duration == pytest.approx(length, abs=1e-3)
    note = json.loads(wav.with_suffix(".json").read_bytes())
    assert note["made_from"]["prompt"].startswith("a film soundtrack for a ")
    losses = (root / "train/tiny_cpu/metrics.jsonl").read_text().splitlines()
    measured = [json.loads(line).get("validation_loss") for line in losses]
    found = [loss for loss in measured if loss is not None]
    assert found[-1] < found[0] - 0.1, "the adapter learns something"

    before = file_states(root)
    again = ossl("demo", "--out", root)
    assert "1 up to date" in again.stderr
    after = file_states(root)
    changed = {name for name in before.keys() | after.keys() if before.get(name) != after.get(name)}
    assert not {name for name in changed if before[name][1] != after[name][1]}
    costly = ("films/", "train/data/", "train/models/", "train/tiny_cpu/best", "train/tiny_cpu/gen")
    assert not {name for name in changed if name.startswith(costly)}

    # The first commands of train/README.md go on from here, as they are written.
    section = (ROOT / "train/README.md").read_text().split("\n## A first run\n")[1]
    block = re.findall(r"```\n(.*?)```", section, re.DOTALL)[0]
    commands = [shlex.split(line) for line in block.splitlines()]
    assert [words[4] for words in commands] == ["features", "codes", "fit", "generate"]
    for words in commands:
        assert words[:3] == ["ossl", "-C", "demo-corpus"]
        told = ossl("-C", root, *words[3:])
        if words[4] == "fit":
            assert "All steps are done" in told.stderr + told.stdout
    tested = {row["clip_id"] for row in rows(root, "clips") if row["film_id"] == splits["test"]}
    made = {path.stem for path in (root / "train/tiny_cpu/generated/adapter").glob("*.wav")}
    assert made == tested


def test_without_the_train_extra_the_demo_says_so_and_succeeds(
    demo_corpus: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    root = tmp_path / "demo"
    linked(demo_corpus, root)
    monkeypatch.setattr(demo, "TRAIN_PACKAGES", ("ossl_train", "no_such_package"))
    demo.label_split_train(root, open_corpus(root))
    assert "which needs no_such_package." in capsys.readouterr().err
    assert len(rows(root, "splits")) == 3
    assert not (root / "train").exists()


@pytest.mark.parametrize(
    ("film_id", "verdict"),
    [
        ("demo-caminandes", "licensed"),
        ("demo-sintel", "licensed"),
        ("demo-steamboat", "expired"),
    ],
)
def test_films_show_prints_the_current_verdict(
    ossl_here: RunCommand, demo_corpus: Path, film_id: str, verdict: str
) -> None:
    shown = ossl_here("-C", demo_corpus, "films", "show", film_id, "--json").json
    assert shown["film"]["verdict"] == verdict
    assert shown["verdict"].startswith(f"{verdict}: ")
