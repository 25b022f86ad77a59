"""The command `ossl train evaluate`: on a split, and its error messages."""

import json
import shutil
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from ossl_train.cli import app
from ossl_train.evaluation import passt
from ossl_train.evaluation.clap import load_clap
from typer.testing import CliRunner, Result

from ossl_builder.engine import tables_io
from ossl_builder.errors import OsslError
from ossl_builder.files import sha256_file
from ossl_builder.models.hub import fetch_model
from ossl_builder.tables import CLIPS, LABELS, SCENES, SPLITS, Label, Scene, Split
from tests.label_studio.clips import clip_row
from tests.train.evaluation_files import folder_of
from tests.train.test_video_sync import CUTS, write_music, write_video
from tests.train.tiny_clap import DIMENSION, WINDOW_S

pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture(scope="module")
def splits(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    root = tmp_path_factory.mktemp("splits")
    return folder_of(root / "generated", range(2)), folder_of(root / "real", range(2, 4))


def run(*arguments: object, corpus: Path = Path()) -> Result:
    return CliRunner().invoke(app, [str(one) for one in arguments], obj=corpus)


def error_of(result: Result) -> OsslError:
    assert isinstance(result.exception, OsslError), result.output
    return result.exception


def test_missing_models_and_files_are_reported(
    tmp_path: Path,
    splits: tuple[Path, Path],
    clap: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    generated, real = splits
    base = ("evaluate", generated, "--real", real, "--out", tmp_path)
    missing = error_of(run(*base, "--clap", tmp_path / "nothing"))
    assert missing.code == "model_missing"
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "hub"))
    offline = error_of(run(*base, "--clap", "nobody/no-such-model"))
    assert offline.code == "model_unavailable"
    assert "give its folder" in offline.hint
    if not passt.is_installed():
        absent = error_of(run(*base, "--clap", clap, "--kl"))
        assert absent.code == "not_installed"
        assert "pip install hear21passt" in absent.hint
    (tmp_path / "broken").mkdir()
    shutil.copy(clap / "model.safetensors", tmp_path / "broken")
    (tmp_path / "broken" / "config.json").write_text('{"model_type": "bert"}')
    assert error_of(run(*base, "--clap", tmp_path / "broken")).code == "model_invalid"
    assert error_of(run(*base, "--clap", "none")).code == "measures_none"
    assert error_of(run("evaluate", tmp_path / "no", "--real", real)).code == "folder_missing"
    (tmp_path / "empty").mkdir()
    assert error_of(run("evaluate", tmp_path / "empty", "--real", real)).code == "no_files"
    assert not list(tmp_path.rglob("evaluation.*"))


def label(film_id: str, clip_id: str) -> Label:
    return Label(
        film_id=film_id, clip_id=clip_id, quadrant="Q2", mood="tense", rule="majority",
        confidence=1.0, n_annotators=3, n_skipped=0, majority_quadrant="Q2", majority_share=1.0,
        dawid_skene_quadrant=None, dawid_skene_confidence=None, valence=None, energy=None,
        tension=None, music_audible=None, speech_over_music=None, mood_words="", caption=None,
        caption_source="none",
    )  # fmt: skip


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Clips of two test films whose music hits the cuts and follows the motion; one in train."""
    root = tmp_path_factory.mktemp("corpus")
    clips = [clip_row("film", 100.0, 112.0), clip_row("film2", 200.0, 212.0)]
    clips.append(clip_row("other", 0.0, 12.0))
    # Of the first film the scenes are known; the cuts of the second are found in its clip.
    scene_starts = [0.0, *(clips[0].start_s + cut for cut in CUTS), 300.0]
    scenes = [
        Scene(
            film_id="film", scene_id=f"film_s{number}", start_s=start, end_s=end,
            start_frame=round(start * 25), end_frame=round(end * 25),
            transition_in="cut" if number else "start", is_black_and_white=False,
            thumbnail_path="t.jpg", black_spans=(), damaged_spans=(),
        )
        for number, (start, end) in enumerate(pairwise(scene_starts))
    ]  # fmt: skip
    splits = [
        Split(film_id=film, split=split, why="made for tests", group_id=film, n_clips=2,
              duration_s=24.0, quadrant=None, length="short")
        for film, split in (("film", "test"), ("film2", "test"), ("other", "train"))
    ]  # fmt: skip
    tables_io.write_corpus_table(root, CLIPS, clips)
    tables_io.write_corpus_table(root, SCENES, scenes)
    tables_io.write_corpus_table(root, SPLITS, splits)
    tables_io.write_corpus_table(root, LABELS, [label("film", clips[0].clip_id)])
    (root / "generated").mkdir()
    for clip in clips[:2]:
        (root / clip.video_path).parent.mkdir(parents=True)
        write_video(root / clip.video_path)
        write_music(root / clip.music_path, CUTS, follows=True)
        beside = tuple(cut + 0.5 for cut in CUTS)
        write_music(root / "generated" / f"{clip.clip_id}.wav", beside, follows=False)
    write_music(root / "generated" / "unknown.wav", CUTS, follows=True)
    return root


def test_a_split_by_the_command_line(corpus: Path, clap: Path) -> None:
    arguments = (
        "evaluate", corpus / "generated", "--clap", clap, "--distance-resamples", 2,
        "--resamples", 50, "--device", "cpu",
    )  # fmt: skip
    planned = json.loads(run(*arguments, "--dry-run", "--json", corpus=corpus).stdout)
    assert [(one["what"], one["files"], one["kept"]) for one in planned["work"]] == [
        ("CLAP vectors", 4, 0), ("music curves", 4, 0), ("video curves", 2, 0),
    ]  # fmt: skip
    assert not (corpus / "generated" / "evaluation").exists()
    result = run(*arguments, "--json", corpus=corpus)
    assert result.exit_code == 0, result.output
    report = json.loads(result.stdout)
    found = {(one["name"], one["of"]): one for one in report["figures"]}
    own, generated = found["onset_at_cuts", "own music"], found["onset_at_cuts", "generated"]
    assert (own["value"], own["n"]) == (1, 12)
    assert own["value"] > own["chance"] + 0.5
    assert own["more"]["p"] < 0.01
    assert generated["value"] == 0
    assert found["text_similarity", "generated"]["n"] == 1  # one clip of the two has a label
    assert found["similarity", "generated"]["n"] == 2
    follows = found["loudness_follows_motion", "own music"]["more"]
    assert follows["correlation"] > 0.5
    assert found["loudness_follows_motion", "generated"]["more"]["correlation"] < -0.5
    assert "unknown" in " ".join(report["left_out"])
    assert report["embedding"]["dimension"] == DIMENSION
    assert report["embedding"]["window_s"] == WINDOW_S
    assert json.loads((corpus / "generated/evaluation/evaluation.json").read_text()) == report
    text = (corpus / "generated/evaluation/evaluation.md").read_text()
    assert "| onset_at_cuts | own music | 1 |" in text
    assert str(corpus) not in text + json.dumps(report)
    planned = json.loads(run(*arguments, "--dry-run", "--json", corpus=corpus).stdout)
    assert [one["kept"] for one in planned["work"]] == [4, 4, 2]


def record_prompt(wav: Path, prompt: str, sha256: str | None = None) -> None:
    """Write the file that `ossl train generate` writes beside its music."""
    note = {
        "format": 1,
        "made_from": {"prompt": prompt, "seed": 0},
        "made": {"wav": wav.name, "wav_sha256": sha256 or sha256_file(wav)},
    }
    wav.with_suffix(".json").write_text(json.dumps(note))


def test_text_similarity_is_that_of_the_recorded_prompt(
    corpus: Path, clap: Path, tmp_path: Path
) -> None:
    generated = Path(shutil.copytree(corpus / "generated", tmp_path / "generated"))
    first, second = sorted(generated.glob("film*.wav"))
    options = ("--clap", clap, "--no-video-sync", "--device", "cpu", "--json")
    few = ("--resamples", 20, "--distance-resamples", 2)

    def evaluated() -> tuple[dict[str, Any], str]:
        result = run("evaluate", generated, *options, *few, corpus=corpus)
        assert result.exit_code == 0, result.output
        report = json.loads(result.stdout)
        (figure,) = [
            one for one in report["figures"]
            if (one["name"], one["of"]) == ("text_similarity", "generated")
        ]  # fmt: skip
        return figure, " ".join(report["warnings"])

    assumed, warnings = evaluated()
    assert assumed["n"] == 1  # the clip that has a label
    assert "1 of 1 prompts are those of the labels" in warnings
    prompts = {first: "calm film", second: "a tense soundtrack for a calm film"}
    for wav, prompt in prompts.items():
        record_prompt(wav, prompt)
    recorded, warnings = evaluated()
    assert recorded["n"] == 2
    assert "prompts are those of the labels" not in warnings
    loaded = load_clap(fetch_model(str(clap)))
    music = [loaded.audio(wav)["vectors"].mean(axis=0) for wav in prompts]
    cosines = [
        float(vector @ text / np.linalg.norm(vector) / np.linalg.norm(text))
        for vector, text in zip(music, loaded.texts(list(prompts.values())), strict=True)
    ]
    assert recorded["value"] == pytest.approx(np.mean(cosines), abs=1e-5)
    assert recorded["value"] != pytest.approx(assumed["value"], abs=1e-3)
    # Music without a text has no similarity to one. A note that describes other music is ignored.
    record_prompt(first, "")
    record_prompt(second, "calm", sha256="0" * 64)
    (generated / "unknown.json").write_text("[" * 10_000)
    again, warnings = evaluated()
    assert (again["n"], again["value"]) == (1, assumed["value"])
    assert "1 of 1 prompts are those of the labels" in warnings


def test_a_split_without_required_data(corpus: Path, tmp_path: Path, clap: Path) -> None:
    generated = corpus / "generated"
    nobody = error_of(run("evaluate", generated, "--split", "train", corpus=corpus))
    assert nobody.code == "no_pairs"
    assert error_of(run("evaluate", generated, corpus=tmp_path)).code == "no_tables"
    assert error_of(run("evaluate", generated, "--video", tmp_path)).code == "option_alone"
    bad = tmp_path / "prompts.json"
    bad.write_text("[1]")
    options = ("--prompts", bad, "--dry-run")
    assert error_of(run("evaluate", generated, *options, corpus=corpus)).code == "prompts_invalid"
    without = run("evaluate", generated, "--clap", "none", "--resamples", 20, corpus=corpus)
    assert without.exit_code == 0, without.output
    assert "onset_at_cuts" in without.stdout
    assert "fad" not in without.stdout
