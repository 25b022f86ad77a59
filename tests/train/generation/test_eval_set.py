"""Evaluation sets of others: generate for their clips, and compare with their own music."""

import json
from pathlib import Path

import pytest
import soundfile
from click.testing import Result
from typer.testing import CliRunner

from ossl_builder.cli.main import app
from ossl_builder.errors import OsslError
from tests.imports.conftest import write_csv
from tests.train.evaluation_files import audio
from tests.train.generation.conftest import ONE, Generate
from tests.train.tiny_clap import RATE

MOODS = ("calm", "tense", "tense")


@pytest.fixture(scope="module")
def eval_set(root: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """OES with three clips of 7 s; one of them has a video."""
    folder = tmp_path_factory.mktemp("oes") / "OES-Pub"
    folder.mkdir()
    for number in range(3):
        soundfile.write(folder / f"{number}_music.wav", audio(number, 7.0), RATE)
    write_csv(folder / "meta.csv", ("mood", "caption"), [(mood, "") for mood in MOODS])
    (folder / "0.mp4").hardlink_to(root / "clip2.mp4")
    ossl("import", "oes", folder, "--out", folder.parent / "set")
    return folder.parent / "set"


def ossl(*arguments: object) -> Result:
    result = CliRunner().invoke(app, [str(one) for one in arguments])
    if isinstance(result.exception, OsslError):
        raise result.exception
    assert result.exit_code == 0, result.output
    return result


def test_music_for_a_set_and_its_evaluation(
    root: Path, eval_set: Path, generate: Generate, clap: Path, tmp_path: Path
) -> None:
    base = generate("--eval-set", eval_set, "--alpha", 0, "--out", tmp_path / "base", *ONE)
    assert [one["state"] for one in base] == ["made"] * 3
    assert {one["name"]: one["video"] is None for one in base} == {
        "0": False, "1": True, "2": True,
    }  # fmt: skip
    music = {one["name"]: soundfile.read(one["wav"])[0] for one in base}
    assert {len(samples) for samples in music.values()} == {7 * 32_000}
    # The same prompt and seed, and no video: still another piece of music.
    assert (music["1"] != music["2"]).mean() > 0.3
    notes = {one["name"]: json.loads(Path(one["wav"]).with_suffix(".json").read_text())
             for one in base}  # fmt: skip
    assert notes["1"]["made_from"]["prompt"] == "a film soundtrack for a tense scene."
    assert notes["1"]["made_from"]["video"]["sha256"] == ""
    # An adapter needs a video: the clips without one are refused, the other is made.
    adapter = generate("--eval-set", eval_set, "--out", tmp_path / "adapter", *ONE, code=3)
    assert {one["name"]: one["code"] for one in adapter} == {
        "0": None, "1": "no_video", "2": "no_video",
    }  # fmt: skip
    again = generate("--eval-set", eval_set, "--alpha", 0, "--out", tmp_path / "base", *ONE)
    assert [one["state"] for one in again] == ["fresh"] * 3

    def evaluated(*arguments: object) -> dict:
        return json.loads(ossl(
            "-C", root, "train", "evaluate", *arguments, "--eval-set", eval_set, "--clap", clap,
            "--resamples", 20, "--distance-resamples", 2, "--device", "cpu", "--json",
        ).stdout)  # fmt: skip

    report = evaluated(tmp_path / "base")
    assert report["set"] == "OES-Pub"
    assert report["compared"]["n_prompts"] == 3
    assert report["compared"]["n_videos"] == 1
    figures = {(one["name"], one["of"]): one for one in report["figures"]}
    assert figures["text_similarity", "generated"]["n"] == 3
    assert figures["similarity", "generated"]["n"] == 3
    assert not any("prompts are those of the labels" in one for one in report["warnings"])
    both = evaluated(tmp_path / "base", tmp_path / "adapter", "--no-video-sync")
    assert both["n_clips"] == 1
    assert "2 clips (1, 2) of base: not all other systems have them" in both["left_out"]

    # Published figures appear apart from the measured ones, and only where the protocol is equal.
    name = report["embedding"]["name"]
    row = {
        "figure": "similarity", "value": 0.123456, "system": "of a paper", "set": "OES-Pub",
        "n_clips": 3, "embedding": report["embedding"]["sha256"], "windows": "all",
        "source": "made for tests, table 1",
    }  # fmt: skip
    others = {
        "set": "OES-Com", "n_clips": 100, "embedding": "laion/clap-htsat-fused",
        "windows": "one at random", "figure": "kl",
    }  # fmt: skip
    path = tmp_path / "published.json"
    path.write_text(json.dumps([row, *({**row, key: other} for key, other in others.items())]))
    with_others = evaluated(tmp_path / "base", "--published", path, "--out", tmp_path / "report")
    published = with_others.pop("published")
    assert published["title"] == "Published, not reproduced here"
    assert published["figures"] == [row]
    reasons = {sentence.partition(": ")[2] for sentence in published["not_shown"]}
    assert reasons == {
        "it is of the set OES-Com, not of OES-Pub",
        "it is of 100 clips, not of 3",
        f"its embedding is laion/clap-htsat-fused, not {name}",
        "it is of windows 'one at random', not of the whole of each file",
        "this measure was not computed here",
    }
    assert with_others == report, "a published figure changed a measured one"
    text = (tmp_path / "report/evaluation.md").read_text()
    measured, _, rest = text.partition("## Published, not reproduced here")
    assert "0.1235" in rest.partition("## Warnings")[0]
    assert "0.1235" not in measured
    path.write_text(json.dumps([{**row, "value": "0.3"}]))
    with pytest.raises(OsslError) as raised:
        evaluated(tmp_path / "base", "--published", path)
    assert raised.value.code == "published_invalid"
    measured_before = eval_set / "measured"
    measured_before.rename(tmp_path / "moved")
    measured_before.symlink_to(tmp_path / "moved")
    with pytest.raises(OsslError) as raised:
        evaluated(tmp_path / "base")
    assert raised.value.code == "path_outside"
    with pytest.raises(OsslError) as raised:
        evaluated(tmp_path / "base", "--real", tmp_path / "base")
    assert raised.value.code == "reference_twice"
