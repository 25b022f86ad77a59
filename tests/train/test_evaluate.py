"""`ossl train evaluate`: folders and splits, with a tiny CLAP loaded as the real one is."""

import json
import shutil
from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
import torch
from ossl_train.cli import app
from ossl_train.evaluation import passt
from ossl_train.evaluation.audio_files import mono, windows
from ossl_train.evaluation.beginnings import shared_beginning_s
from ossl_train.evaluation.clap import load_clap
from ossl_train.evaluation.evaluate import Evaluation, evaluate
from ossl_train.evaluation.figures import rounded
from ossl_train.evaluation.kept import Kept
from ossl_train.evaluation.material import of_folders
from ossl_train.evaluation.model_folder import model_folder
from ossl_train.evaluation.report import write_report
from ossl_train.evaluation.settings import Settings
from ossl_train.evaluation.tag_figures import figure_of
from typer.testing import CliRunner, Result

from ossl_builder.engine import manifests
from ossl_builder.errors import OsslError
from ossl_builder.tables import CLIPS, LABELS, SCENES, SPLITS, Label, Scene, Split
from tests.exchange.clips import clip_row
from tests.train.test_picture_measures import CUTS, write_music, write_picture
from tests.train.tiny_clap import DIMENSION, RATE, WINDOW_S, write_tiny_clap

N = 12


@pytest.fixture(scope="module")
def clap(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_tiny_clap(tmp_path_factory.mktemp("clap"))


@pytest.fixture(scope="module", autouse=True)
def one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def settings(clap: Path, **chosen: Any) -> Settings:
    few = Settings(clap=str(clap), resamples=200, distance_resamples=10, device="cpu")
    return replace(few, **chosen)


def sound(seed: int, seconds: float = 3.0) -> np.ndarray:
    """A chord of its own for each seed, under noise."""
    drawn = np.random.default_rng(seed)
    time_s = np.arange(round(seconds * RATE)) / RATE
    tones = [np.sin(2 * np.pi * tone * time_s) for tone in drawn.uniform(80, 3000, 4)]
    return 0.1 * sum(tones) + 0.02 * drawn.normal(size=len(time_s))


def folder_of(folder: Path, seeds: Sequence[int], begin: np.ndarray | None = None) -> Path:
    """A file for each seed, named by its place."""
    folder.mkdir()
    for number, seed in enumerate(seeds):
        whole = sound(seed) if begin is None else np.concatenate((begin, sound(seed)))
        soundfile.write(folder / f"clip-{number:02}.wav", whole, RATE)
    return folder


@pytest.fixture(scope="module")
def sides(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Generated and real music that have nothing to do with each other."""
    root = tmp_path_factory.mktemp("sides")
    return folder_of(root / "generated", range(N)), folder_of(root / "real", range(50, 50 + N))


@pytest.fixture(scope="module")
def compared(sides: tuple[Path, Path], clap: Path) -> Evaluation:
    kept = Kept(sides[0].parent / "measured")
    return evaluate(of_folders(*sides), settings(clap), kept)


def test_identical_folders(tmp_path: Path, sides: tuple[Path, Path], clap: Path) -> None:
    shutil.copytree(sides[0], tmp_path / "copy")
    found = evaluate(of_folders(sides[0], tmp_path / "copy"), settings(clap), Kept(tmp_path / "m"))
    assert found.figure("fad").value == pytest.approx(0, abs=1e-9)
    assert found.figure("fad_inf").value == pytest.approx(0, abs=1e-9)
    assert found.figure("similarity").value == pytest.approx(1, abs=1e-6)
    for name in ("precision", "recall", "density", "coverage"):
        assert found.figure(name).value == pytest.approx(1)


def test_other_music_is_further_away(compared: Evaluation) -> None:
    fad, similarity = compared.figure("fad"), compared.figure("similarity")
    assert fad.value is not None
    assert fad.value > 1e-4
    assert fad.n == N * 2  # windows: one of 2 s, and one that ends with the file
    assert fad.interval is not None
    assert fad.interval[0] < fad.value < fad.interval[1]
    assert similarity.value is not None
    assert similarity.value < 1
    assert similarity.chance is not None
    assert similarity.n == compared.figure("precision").n == N
    said = " ".join(compared.warnings)
    assert f"{N} clips: with fewer than 100" in said
    assert "There are 12 generated files" in said


def test_all_figures_are_plain_finite_numbers(compared: Evaluation) -> None:
    """The reference's score is a tuple in one place, and infinite or NaN in others."""
    for figure in compared.plain()["figures"]:
        for name in ("value", "low", "high"):
            assert type(figure[name]) is float, (figure["name"], name)
            assert np.isfinite(figure[name])
    json.dumps(compared.plain(), allow_nan=False)
    with pytest.raises(ValueError, match="nan"):
        rounded(float("nan"))


def test_same_seed_same_bytes_whatever_happened_before(
    tmp_path: Path, sides: tuple[Path, Path], clap: Path, compared: Evaluation
) -> None:
    """The reference draws its windows from the global generator, seeded by nobody."""
    np.random.seed(99)
    before = np.random.get_state()[1].copy()  # type: ignore[union-attr]
    again = evaluate(of_folders(*sides), settings(clap), Kept(tmp_path / "measured"))
    assert (np.random.get_state()[1] == before).all()
    one, other = write_report(tmp_path / "a", compared)[0], write_report(tmp_path / "b", again)[0]
    assert one.read_bytes() == other.read_bytes()
    # Another seed moves intervals and extrapolation, and nothing else.
    seeded = evaluate(of_folders(*sides), settings(clap, seed=1), Kept(tmp_path / "measured"))
    for name in ("fad", "similarity", "precision"):
        assert seeded.figure(name).value == compared.figure(name).value
    assert seeded.figure("fad").interval != compared.figure("fad").interval


def test_vectors_depend_on_no_neighbour_in_the_batch(tmp_path: Path, clap: Path) -> None:
    """CLAP's extractor marks a window drawn by chance as longer than it is."""
    loaded = load_clap(model_folder(str(clap)))
    whole, part = tmp_path / "whole.wav", tmp_path / "part.wav"
    soundfile.write(whole, sound(1, 6.0), RATE)
    soundfile.write(part, sound(1, 6.0)[: 2 * RATE], RATE)
    first, alone = loaded.sound(whole)["vectors"], loaded.sound(part)["vectors"]
    assert first.shape == (3, DIMENSION)
    assert first[0] == pytest.approx(alone[0], abs=1e-6)
    assert (first == loaded.sound(whole)["vectors"]).all()
    assert np.linalg.norm(first, axis=1) == pytest.approx(1)


def test_windows_cover_all_of_a_file() -> None:
    blocks = [np.arange(a, b, dtype=np.float32) for a, b in ((0, 3), (3, 17), (17, 25))]
    found = list(windows(blocks, 10))
    assert [(w[0], w[-1], len(w)) for w in found] == [(0, 9, 10), (10, 19, 10), (15, 24, 10)]
    assert [len(w) for w in windows([np.zeros(4, np.float32)], 10)] == [4]
    assert [len(w) for w in windows([np.zeros(20, np.float32)], 10)] == [10, 10]


def test_a_second_run_measures_nothing_again(
    tmp_path: Path, sides: tuple[Path, Path], clap: Path, compared: Evaluation
) -> None:
    measured = sides[0].parent / "measured"
    stored = {path: path.stat().st_mtime_ns for path in measured.rglob("*.npz")}
    assert len(stored) == 2 * N
    evaluate(of_folders(*sides), settings(clap), Kept(measured))
    assert {path: path.stat().st_mtime_ns for path in measured.rglob("*.npz")} == stored
    # Damage is measured again; another model is another measurement.
    victim = next(iter(stored))
    right = victim.read_bytes()
    victim.write_bytes(right[:100])
    assert evaluate(of_folders(*sides), settings(clap), Kept(measured)) == compared
    assert victim.stat().st_size == len(right)
    other = shutil.copytree(clap, tmp_path / "other")
    (other / "added.txt").write_text("another file")
    assert load_clap(model_folder(str(other))).digest != load_clap(model_folder(str(clap))).digest


def test_few_files_are_not_defined_and_say_why(tmp_path: Path, clap: Path) -> None:
    generated = folder_of(tmp_path / "generated", range(3))
    real = folder_of(tmp_path / "real", range(9, 14))
    found = evaluate(of_folders(generated, real), settings(clap), Kept(tmp_path / "m"))
    for name in ("fad_inf", "precision", "recall", "density", "coverage"):
        assert found.figure(name).value is None
        assert found.figure(name).why
    assert found.figure("fad").value is not None
    assert found.figure("similarity").n == 3  # pairs by name, not by place in the folder
    assert any("covariances are singular" in sentence for sentence in found.warnings)
    text = write_report(tmp_path, found)[1].read_text()
    assert "| precision | generated | not defined |" in text
    assert "## Not defined" in text
    (generated / "clip-01.wav").unlink()
    (generated / "clip-02.wav").unlink()
    soundfile.write(generated / "clip-00.wav", sound(0, 1.0), RATE)
    alone = evaluate(of_folders(generated, real), settings(clap), Kept(tmp_path / "m"))
    assert any("1 of 1 generated files are shorter" in one for one in alone.warnings)
    assert alone.figure("similarity").interval is None
    json.dumps(alone.plain(), allow_nan=False)


def test_a_tone_at_the_start_of_all_files_is_found(
    tmp_path: Path, sides: tuple[Path, Path], clap: Path
) -> None:
    """All that the reference generates begins with its prompt, a 440-Hz beep."""
    beep = 0.3 * np.sin(2 * np.pi * 440 * np.arange(RATE) / RATE)
    beeping = folder_of(tmp_path / "beeping", range(6), begin=beep)
    assert shared_beginning_s(list(of_folders(beeping, beeping).generated.values())) == 1.0
    assert shared_beginning_s(list(of_folders(*sides).generated.values())) == 0
    silent = folder_of(tmp_path / "silent", range(6), begin=np.zeros(RATE))
    assert shared_beginning_s(list(of_folders(silent, silent).generated.values())) == 0
    found = evaluate(of_folders(beeping, sides[1]), settings(clap), Kept(tmp_path / "m"))
    assert any("same sound for 1 s" in sentence for sentence in found.warnings)


def test_divergence_of_tags_is_finite_and_below_that_of_strangers() -> None:
    logits = np.random.default_rng(1).normal(size=(20, 527)) * 300  # as sure as a tagger can be
    ours = logits + np.random.default_rng(2).normal(size=logits.shape)
    raised = [np.exp(one - one.max(axis=1, keepdims=True)) for one in (ours, logits)]
    probabilities = [one / one.sum(axis=1, keepdims=True) for one in raised]
    found = figure_of(*probabilities, Settings())
    assert found.value is not None
    assert found.chance is not None
    assert 0 <= found.value < found.chance < np.log(527e6)


def run(*arguments: object, corpus: Path = Path()) -> Result:
    return CliRunner().invoke(app, [str(one) for one in arguments], obj=corpus)


def error_of(result: Result) -> OsslError:
    assert isinstance(result.exception, OsslError), result.output
    return result.exception


def test_what_cannot_be_had_is_said(
    tmp_path: Path,
    sides: tuple[Path, Path],
    clap: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    generated, real = sides
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
        assert absent.code == "passt_not_installed"
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


def test_a_file_that_cannot_be_read_is_left_out_with_its_pair(
    tmp_path: Path, sides: tuple[Path, Path], clap: Path
) -> None:
    generated = Path(shutil.copytree(sides[0], tmp_path / "generated"))
    (generated / "clip-03.wav").write_bytes(b"no sound at all")
    found = evaluate(of_folders(generated, sides[1]), settings(clap), Kept(tmp_path / "m"))
    assert any("clip-03.wav" in sentence for sentence in found.left_out)
    assert found.figure("similarity").n == found.figure("recall").n == N - 1


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
    """Two test clips whose music hits the cuts and follows the motion; one in train."""
    root = tmp_path_factory.mktemp("corpus")
    clips = [clip_row("film", start, start + 12.0) for start in (100.0, 200.0)]
    clips.append(clip_row("other", 0.0, 12.0))
    scene_starts = [0.0, *(clip.start_s + cut for clip in clips[:2] for cut in CUTS), 300.0]
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
        Split(film_id=film, side=side, why="made for tests", group_id=film, n_clips=2,
              duration_s=24.0, quadrant=None, length="short")
        for film, side in (("film", "test"), ("other", "train"))
    ]  # fmt: skip
    manifests.write_corpus_table(root, CLIPS, clips)
    manifests.write_corpus_table(root, SCENES, scenes)
    manifests.write_corpus_table(root, SPLITS, splits)
    manifests.write_corpus_table(root, LABELS, [label("film", clips[0].clip_id)])
    (root / "generated").mkdir()
    (root / clips[0].video_path).parent.mkdir(parents=True)
    for clip in clips[:2]:
        write_picture(root / clip.video_path)
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
        ("CLAP vectors", 4, 0), ("music curves", 4, 0), ("picture curves", 2, 0),
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


def test_a_split_without_what_is_needed(corpus: Path, tmp_path: Path, clap: Path) -> None:
    generated = corpus / "generated"
    nobody = error_of(run("evaluate", generated, "--side", "train", corpus=corpus))
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


def test_sound_of_any_rate_and_channels(tmp_path: Path) -> None:
    stereo = np.stack([sound(1), sound(1)], axis=1)
    soundfile.write(tmp_path / "stereo.flac", stereo, RATE)
    found = np.concatenate(list(mono(tmp_path / "stereo.flac", 2 * RATE)))
    assert len(found) == 2 * len(stereo)
