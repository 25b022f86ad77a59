"""Several systems in one table: the same clips, differences of pairs, intervals over films."""

import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
from ossl_train.cli import app
from ossl_train.evaluation.comparison_report import write_comparison
from ossl_train.evaluation.differences import difference_of
from ossl_train.evaluation.distance_figures import distance_figures, kernel_figure
from ossl_train.evaluation.eval_set import EvalSet, folders_eval_set
from ossl_train.evaluation.evaluate import evaluate
from ossl_train.evaluation.report import Figure
from ossl_train.evaluation.settings import EvaluationSettings, without_progress
from ossl_train.evaluation.several_systems import Comparison, compare
from typer.testing import CliRunner, Result

from ossl_builder.engine.cache import ArrayCache
from ossl_builder.errors import OsslError
from tests.train.evaluation_files import audio, folder_of, settings
from tests.train.tiny_clap import RATE

pytestmark = pytest.mark.usefixtures("one_thread")

N = 12


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Real music, a system whose music is the real music with noise, and one with other music."""
    root = tmp_path_factory.mktemp("systems")
    made = {
        "real": folder_of(root / "real", range(50, 50 + N)),
        "other": folder_of(root / "other", range(N)),
    }
    near = root / "near"
    near.mkdir()
    for number in range(N):
        noise = np.random.default_rng(number).normal(0, 0.01, len(audio(0)))
        soundfile.write(near / f"clip-{number:02}.wav", audio(50 + number) + noise, RATE)
    return {**made, "near": near}


def sets(folders: dict[str, Path], *names: str) -> dict[str, EvalSet]:
    # Two clips of each film.
    films = {f"clip-{number:02}": f"film-{number // 2}" for number in range(N)}
    return {
        name: replace(folders_eval_set(folders[name], folders["real"]), films=films)
        for name in names
    }


@pytest.fixture(scope="module")
def compared(folders: dict[str, Path], clap: Path) -> Comparison:
    cache = ArrayCache(folders["real"].parent / "measured")
    return compare(sets(folders, "other", "near"), "other", settings(clap), cache)


def test_the_nearer_system_is_nearer_and_by_how_much(
    compared: Comparison, folders: dict[str, Path], clap: Path
) -> None:
    assert (compared.n_clips, compared.n_films) == (N, N // 2)
    similarity = compared.difference("similarity", "near")
    values = [compared.systems[name].figure("similarity").value for name in ("other", "near")]
    assert similarity.value == pytest.approx(values[1] - values[0])
    assert similarity.interval is not None
    assert 0 < similarity.interval[0] < similarity.value < similarity.interval[1]
    assert (similarity.n, similarity.unit, similarity.n_films) == (N, "clips", N // 2)
    for name in ("fad", "kad"):
        distance = compared.difference(name, "near")
        assert distance.value is not None
        assert distance.interval is not None
        assert distance.value < 0
        assert distance.interval[0] < distance.value < distance.interval[1]
        assert distance.n_films == N // 2
    # Each system's own figures are those of an evaluation by itself.
    cache = ArrayCache(folders["real"].parent / "measured")
    alone = evaluate(sets(folders, "near")["near"], settings(clap), cache)
    assert compared.systems["near"].figures == alone.figures
    warnings = " ".join(compared.warnings)
    assert "Differences are over 6 films: with fewer than 8" in warnings
    assert "one in 20 leaves out 0 by chance" in warnings


def test_equal_systems_have_no_difference(
    folders: dict[str, Path], clap: Path, tmp_path: Path
) -> None:
    again = {**folders, "again": Path(shutil.copytree(folders["other"], tmp_path / "again"))}
    found = compare(
        sets(again, "other", "again"), "again", settings(clap), ArrayCache(tmp_path / "m")
    )
    assert {one.system for one in found.differences} == {"other"}
    assert len(found.differences) == 8
    for one in found.differences:
        assert (one.value, one.interval) == (0, (0, 0)), one.name


def test_only_clips_that_all_systems_have_are_compared(
    folders: dict[str, Path], clap: Path, tmp_path: Path
) -> None:
    part = Path(shutil.copytree(folders["near"], tmp_path / "part"))
    (part / "clip-00.wav").unlink()
    (part / "clip-01.wav").write_bytes(b"no audio")
    # Only this clip of the other system is another piece: it must not count.
    other = Path(shutil.copytree(folders["near"], tmp_path / "other"))
    for name in ("clip-00.wav", "clip-01.wav"):
        shutil.copy(folders["other"] / name, other / name)
    found = compare(
        sets({**folders, "part": part, "whole": other}, "whole", "part"), "whole",
        settings(clap), ArrayCache(tmp_path / "m"),
    )  # fmt: skip
    assert found.n_clips == N - 2
    for name in ("similarity", "fad", "precision"):
        assert found.difference(name, "part").value == 0
    left_out = " ".join(found.left_out)
    assert "1 clips (clip-00) of whole: not all other systems have them" in left_out
    assert "part: clip-01.wav" in left_out
    (tmp_path / "none").mkdir()
    soundfile.write(tmp_path / "none" / "clip-99.wav", audio(1), RATE)
    with pytest.raises(OsslError) as raised:
        compare(
            sets({**folders, "none": tmp_path / "none"}, "near", "none"), "near",
            settings(clap), ArrayCache(tmp_path / "m"),
        )  # fmt: skip
    assert raised.value.code == "no_common_clips"


def test_prompts_that_differ_are_told(folders: dict[str, Path], clap: Path, tmp_path: Path) -> None:
    both = sets(folders, "near", "other")
    both = {
        name: replace(one, prompts={"clip-00": "calm film", "clip-01": f"a film for {name}"})
        for name, one in both.items()
    }
    both["other"] = replace(both["other"], prompts={**both["other"].prompts, "clip-01": "tense"})
    found = compare(both, "near", settings(clap), ArrayCache(tmp_path / "m"))
    assert any("1 clips (clip-01) have other prompts in other" in one for one in found.warnings)
    assert found.difference("text_similarity", "other").n == 2


def test_95_of_100_intervals_of_distances_of_two_systems_hold_the_truth() -> None:
    """Distances are no means over clips: each resample of films gives a distance of each system."""
    source = np.random.default_rng(5)
    n_films, n_clips, width, tests = 10, 4, 4, 60
    films = np.repeat(np.arange(n_films), n_clips)
    names = [f"clip-{k}" for k in range(len(films))]
    of_clips = {name: str(film) for name, film in zip(names, films, strict=True)}
    clips = EvalSet({name: Path(name) for name in names}, {}, films=of_clips)
    chosen = EvaluationSettings(distance_resamples=40)

    def figures() -> list[tuple[Figure, Figure]]:
        styles = source.normal(size=(n_films, width))
        real = [styles[film] + 0.5 * source.normal(size=(2, width)) for film in films]
        systems = []
        for shift, own in ((0.3, 0.5), (0.6, 0.8)):
            style = 0.6 * styles + own * source.normal(size=styles.shape) + shift
            music = [style[film] + 0.5 * source.normal(size=(2, width)) for film in films]
            both = (films, films)
            systems.append([
                *distance_figures(music, real, both, True, chosen, without_progress),
                kernel_figure(music, real, both, True, chosen),
            ])  # fmt: skip
        return list(zip(*systems, strict=True))

    found: dict[str, list[Any]] = {}
    for _ in range(tests):
        for first, second in figures():
            one = difference_of(first, second, "second", clips, chosen)
            assert one.n_films == n_films
            found.setdefault(one.name, []).append(one)
    for name, differences in found.items():
        truth = np.mean([one.value for one in differences])
        held = np.mean([one.interval[0] <= truth <= one.interval[1] for one in differences])
        assert held >= 0.88, (name, held)
        # An interval that is far too wide would hold the truth as well.
        spread = np.std([one.value for one in differences])
        width_of = np.mean([one.interval[1] - one.interval[0] for one in differences])
        assert width_of < 2 * 2.3 * 1.7 * spread, (name, width_of, spread)


def run(*arguments: object) -> Result:
    # This folder is no corpus: measurements are written beside the report.
    nowhere = Path(str(arguments[1])).parent
    return CliRunner().invoke(app, [str(one) for one in arguments], obj=nowhere)


def test_the_command_writes_one_table(folders: dict[str, Path], clap: Path, tmp_path: Path) -> None:
    base = (
        "evaluate", folders["other"], folders["near"], "--real", folders["real"], "--clap", clap,
        "--resamples", 50, "--distance-resamples", 3, "--device", "cpu", "--out", tmp_path / "out",
    )  # fmt: skip
    planned = json.loads(run(*base, "--dry-run", "--json").stdout)
    assert [(one["what"], one["files"]) for one in planned["work"]] == [("CLAP vectors", 3 * N)]
    assert not (tmp_path / "out").exists()
    result = run(*base, "--json")
    assert result.exit_code == 0, result.output
    report = json.loads(result.stdout)
    assert json.loads((tmp_path / "out/comparison.json").read_text()) == report
    assert [one["system"] for one in report["systems"]] == ["other", "near"]
    assert report["baseline"] == "other"
    named = {one["name"]: one for one in report["differences"]}
    assert named["similarity"]["low"] > 0
    text = (tmp_path / "out/comparison.md").read_text()
    assert "| measure | system | value | 95 % interval | minus other |" in text
    (row,) = [line for line in text.split("\n") if line.startswith("| similarity | near |")]
    assert f"+{named['similarity']['value']:.4g}" in row
    assert str(folders["other"].parent) not in text + result.stdout
    shown = run(*base, "--baseline", "near")
    assert shown.exit_code == 0, shown.output
    assert "minus near" in shown.stdout
    assert "not known which files are of one film" in shown.stderr
    for arguments, code in (
        ((*base, "--baseline", "real"), "system_unknown"),
        ((*base[:2], *base[3:], "--baseline", "other"), "option_alone"),
        ((*base, folders["near"]), "name_twice"),
    ):
        error = run(*arguments).exception
        assert isinstance(error, OsslError)
        assert error.code == code


def test_equal_comparisons_have_equal_bytes(
    compared: Comparison, folders: dict[str, Path], clap: Path, tmp_path: Path
) -> None:
    again = compare(
        sets(folders, "other", "near"), "other", settings(clap), ArrayCache(tmp_path / "m")
    )
    first = write_comparison(tmp_path / "a", compared)
    second = write_comparison(tmp_path / "b", again)
    for one, other in zip(first, second, strict=True):
        assert one.read_bytes() == other.read_bytes()
