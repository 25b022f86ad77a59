"""`ossl train evaluate`: folders and splits, with a tiny CLAP that is loaded like the real one."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import soundfile
from ossl_train.evaluation.audio_figures import kl_figure_from
from ossl_train.evaluation.audio_files import covering_windows, mono_blocks
from ossl_train.evaluation.clap import load_clap
from ossl_train.evaluation.eval_set import folders_eval_set
from ossl_train.evaluation.evaluate import Evaluation, evaluate
from ossl_train.evaluation.report import rounded, write_report
from ossl_train.evaluation.settings import EvaluationSettings
from ossl_train.evaluation.warnings import files_shared_start_s

from ossl_builder.engine.cache import ArrayCache
from ossl_builder.models.hub import fetch_model
from tests.train.evaluation_files import audio, folder_of, settings
from tests.train.tiny_clap import DIMENSION, RATE

N = 12


pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture(scope="module")
def splits(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Generated and real music that are not related."""
    root = tmp_path_factory.mktemp("splits")
    return folder_of(root / "generated", range(N)), folder_of(root / "real", range(50, 50 + N))


@pytest.fixture(scope="module")
def compared(splits: tuple[Path, Path], clap: Path) -> Evaluation:
    kept = ArrayCache(splits[0].parent / "measured")
    return evaluate(folders_eval_set(*splits), settings(clap), kept)


def test_identical_folders(tmp_path: Path, splits: tuple[Path, Path], clap: Path) -> None:
    shutil.copytree(splits[0], tmp_path / "copy")
    found = evaluate(
        folders_eval_set(splits[0], tmp_path / "copy"), settings(clap), ArrayCache(tmp_path / "m")
    )
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
    warnings = " ".join(compared.warnings)
    assert f"{N} clips: with fewer than 100" in warnings
    assert "not known which files are of one film" in warnings


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
    tmp_path: Path, splits: tuple[Path, Path], clap: Path, compared: Evaluation
) -> None:
    """The reference draws its windows from the global generator, without a seed."""
    np.random.seed(99)
    before = np.random.get_state()[1].copy()  # type: ignore[union-attr]
    again = evaluate(folders_eval_set(*splits), settings(clap), ArrayCache(tmp_path / "measured"))
    assert (np.random.get_state()[1] == before).all()
    one, other = write_report(tmp_path / "a", compared)[0], write_report(tmp_path / "b", again)[0]
    assert one.read_bytes() == other.read_bytes()
    # Another seed changes only intervals and extrapolation.
    seeded = evaluate(
        folders_eval_set(*splits), settings(clap, seed=1), ArrayCache(tmp_path / "measured")
    )
    for name in ("fad", "similarity", "precision"):
        assert seeded.figure(name).value == compared.figure(name).value
    assert seeded.figure("fad").interval != compared.figure("fad").interval


def test_vectors_do_not_depend_on_other_items_of_the_batch(tmp_path: Path, clap: Path) -> None:
    """CLAP's extractor marks a window drawn by chance as longer than it is."""
    loaded = load_clap(fetch_model(str(clap)))
    whole, part = tmp_path / "whole.wav", tmp_path / "part.wav"
    soundfile.write(whole, audio(1, 6.0), RATE)
    soundfile.write(part, audio(1, 6.0)[: 2 * RATE], RATE)
    first, alone = loaded.audio(whole)["vectors"], loaded.audio(part)["vectors"]
    assert first.shape == (3, DIMENSION)
    assert first[0] == pytest.approx(alone[0], abs=1e-6)
    assert (first == loaded.audio(whole)["vectors"]).all()
    assert np.linalg.norm(first, axis=1) == pytest.approx(1)


def test_windows_cover_all_of_a_file() -> None:
    blocks = [np.arange(a, b, dtype=np.float32) for a, b in ((0, 3), (3, 17), (17, 25))]
    found = list(covering_windows(blocks, 10))
    assert [(w[0], w[-1], len(w)) for w in found] == [(0, 9, 10), (10, 19, 10), (15, 24, 10)]
    assert [len(w) for w in covering_windows([np.zeros(4, np.float32)], 10)] == [4]
    assert [len(w) for w in covering_windows([np.zeros(20, np.float32)], 10)] == [10, 10]


def test_a_second_run_measures_nothing_again(
    tmp_path: Path, splits: tuple[Path, Path], clap: Path, compared: Evaluation
) -> None:
    measured = splits[0].parent / "measured"
    stored = {path: path.stat().st_mtime_ns for path in measured.rglob("*.npz")}
    assert len(stored) == 2 * N
    evaluate(folders_eval_set(*splits), settings(clap), ArrayCache(measured))
    assert {path: path.stat().st_mtime_ns for path in measured.rglob("*.npz")} == stored
    # A damaged file is measured again; another model needs another measurement.
    victim = next(iter(stored))
    right = victim.read_bytes()
    victim.write_bytes(right[:100])
    assert evaluate(folders_eval_set(*splits), settings(clap), ArrayCache(measured)) == compared
    assert victim.stat().st_size == len(right)
    other = shutil.copytree(clap, tmp_path / "other")
    (other / "added.txt").write_text("another file")
    assert load_clap(fetch_model(str(other))).digest != load_clap(fetch_model(str(clap))).digest


def test_figures_of_few_files_are_not_defined_and_have_a_reason(tmp_path: Path, clap: Path) -> None:
    generated = folder_of(tmp_path / "generated", range(3))
    real = folder_of(tmp_path / "real", range(9, 14))
    found = evaluate(folders_eval_set(generated, real), settings(clap), ArrayCache(tmp_path / "m"))
    for name in ("fad_inf", "precision", "recall", "density", "coverage"):
        assert found.figure(name).value is None
        assert found.figure(name).why
    assert found.figure("fad").value is not None
    assert found.figure("similarity").n == 3  # pairs by name, not by order in the folder
    assert any("covariances are singular" in sentence for sentence in found.warnings)
    text = write_report(tmp_path, found)[1].read_text()
    assert "| precision | generated | not defined |" in text
    assert "## Not defined" in text
    (generated / "clip-01.wav").unlink()
    (generated / "clip-02.wav").unlink()
    soundfile.write(generated / "clip-00.wav", audio(0, 1.0), RATE)
    alone = evaluate(folders_eval_set(generated, real), settings(clap), ArrayCache(tmp_path / "m"))
    assert any("1 of 1 generated files are shorter" in one for one in alone.warnings)
    assert alone.figure("similarity").interval is None
    json.dumps(alone.plain(), allow_nan=False)


def test_a_tone_at_the_start_of_all_files_is_found(
    tmp_path: Path, splits: tuple[Path, Path], clap: Path
) -> None:
    """All that the reference generates begins with its prompt, a 440-Hz beep."""
    beep = 0.3 * np.sin(2 * np.pi * 440 * np.arange(RATE) / RATE)
    beeping = folder_of(tmp_path / "beeping", range(6), begin=beep)
    assert files_shared_start_s(list(folders_eval_set(beeping, beeping).generated.values())) == 1.0
    assert files_shared_start_s(list(folders_eval_set(*splits).generated.values())) == 0
    silent = folder_of(tmp_path / "silent", range(6), begin=np.zeros(RATE))
    assert files_shared_start_s(list(folders_eval_set(silent, silent).generated.values())) == 0
    found = evaluate(
        folders_eval_set(beeping, splits[1]), settings(clap), ArrayCache(tmp_path / "m")
    )
    assert any("same audio for 1 s" in sentence for sentence in found.warnings)


def test_divergence_of_tags_is_finite_and_below_that_of_other_pairs() -> None:
    logits = np.random.default_rng(1).normal(size=(20, 527)) * 300  # a very confident tagger
    ours = logits + np.random.default_rng(2).normal(size=logits.shape)
    raised = [np.exp(one - one.max(axis=1, keepdims=True)) for one in (ours, logits)]
    probabilities = [one / one.sum(axis=1, keepdims=True) for one in raised]
    found = kl_figure_from(
        [str(k) for k in range(20)], *probabilities, np.arange(20), EvaluationSettings()
    )
    assert found.value is not None
    assert found.chance is not None
    assert 0 <= found.value < found.chance < np.log(527e6)


def test_a_file_that_cannot_be_read_is_left_out_with_its_pair(
    tmp_path: Path, splits: tuple[Path, Path], clap: Path
) -> None:
    generated = Path(shutil.copytree(splits[0], tmp_path / "generated"))
    (generated / "clip-03.wav").write_bytes(b"no audio at all")
    found = evaluate(
        folders_eval_set(generated, splits[1]), settings(clap), ArrayCache(tmp_path / "m")
    )
    assert any("clip-03.wav" in sentence for sentence in found.left_out)
    assert found.figure("similarity").n == found.figure("recall").n == N - 1


def test_a_file_with_samples_that_are_not_numbers_is_left_out(
    tmp_path: Path, splits: tuple[Path, Path], clap: Path
) -> None:
    """Its figures would mean nothing, and silence cannot replace it."""
    generated = Path(shutil.copytree(splits[0], tmp_path / "generated"))
    samples, rate = soundfile.read(generated / "clip-03.wav", dtype="float32")
    samples[1000:1100] = np.nan
    soundfile.write(generated / "clip-03.wav", samples, rate, subtype="FLOAT")
    found = evaluate(
        folders_eval_set(generated, splits[1]), settings(clap), ArrayCache(tmp_path / "m")
    )
    assert any("clip-03.wav" in sentence for sentence in found.left_out)
    assert found.figure("similarity").n == N - 1


def test_audio_of_any_rate_and_channels(tmp_path: Path) -> None:
    stereo = np.stack([audio(1), audio(1)], axis=1)
    soundfile.write(tmp_path / "stereo.flac", stereo, RATE)
    found = np.concatenate(list(mono_blocks(tmp_path / "stereo.flac", 2 * RATE)))
    assert len(found) == 2 * len(stereo)
