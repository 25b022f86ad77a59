"""Samples of a run: what is generated when, that the run is unchanged, and the page."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
import torch
from ossl_train.data.source import read_source
from ossl_train.data.windows import Window
from ossl_train.musicgen import Sampling
from ossl_train.training.checkpoint import load_weights
from ossl_train.training.distributed import Processes
from ossl_train.training.monitor import read_metrics
from ossl_train.training.samples import choose_windows
from ossl_train.training.setup import set_up

from ossl_builder.errors import OsslError
from ossl_builder.media.loudness import integrated, measured
from tests.e2e.corpora import Ossl
from tests.report.report_corpus import Opened
from tests.train.labelled_corpus import clips_of, recipe_for
from tests.train.labelled_corpus import opened as opened_dataset

pytestmark = pytest.mark.usefixtures("one_thread")
STEPS = ("--set", "fit.steps=4", "--set", "fit.validate_every=3", "--set", "fit.batch_size=2")
HEARD = ("--set", "fit.samples_every=2", "--set", "fit.samples=2")
RATE = 32_000
Fit = Callable[..., Path]


@pytest.fixture
def fit(corpus: Path, capfd: pytest.CaptureFixture[str]) -> Fit:
    """Run `ossl train fit --recipe tiny_cpu` in this process; return the folder of the run."""

    def run(out: Path, *arguments: object) -> Path:
        from ossl_train.cli import app

        words = ["fit", "--recipe", "tiny_cpu", "--json", "--out", out, *STEPS, *arguments]
        capfd.readouterr()
        app(args=list(map(str, words)), obj=corpus, standalone_mode=False)
        return Path(json.loads(capfd.readouterr().out)["out"])

    return run


def audio_files(out: Path) -> dict[str, bytes]:
    """The samples of a run, by system and window."""
    folder = out / "samples"
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in sorted(folder.rglob("*.flac"))
    }


def result_files(out: Path) -> dict[str, Any]:
    """Everything that a run writes apart from samples, without speeds and TensorBoard."""
    found: dict[str, Any] = {
        path.relative_to(out).as_posix(): path.read_bytes()
        for folder in ("last", "best")
        for path in sorted((out / folder).iterdir())
    }
    found["metrics"] = [
        {key: value for key, value in line.items() if key != "windows_per_s"}
        for line in read_metrics(out)
    ]
    return found


def test_samples_follow_the_adapter_and_change_no_byte_of_the_run(
    fit: Fit, corpus: Path, tmp_path: Path
) -> None:
    drops = ("--set", "fit.video_dropout=0.3", "--set", "fit.text_dropout=0.3")
    without = fit(tmp_path / "without", *drops)
    assert not (without / "samples").exists()
    out = fit(tmp_path / "with", *drops, *HEARD)
    assert result_files(out) == result_files(without)

    found = audio_files(out)
    systems = ("film", "base", "step-000002", "step-000004")
    names = sorted({name.split("/")[1] for name in found})
    assert len(names) == 2
    assert set(found) == {f"{system}/{name}" for system in systems for name in names}
    for name in names:
        assert len({found[f"{system}/{name}"] for system in systems}) == 4, "each is another"
    check_film_music(corpus, out)
    check_levels(out)
    check_generated_again(corpus, out, tmp_path)
    check_tensorboard(out, names)


def check_film_music(corpus: Path, out: Path) -> None:
    """The film's music is that of the window, from its start on."""
    clips = {f"{clip.film_id}_{clip.clip_id}": clip for clip in clips_of(corpus)}
    for path in (out / "samples/film").glob("*.flac"):
        name, _, index = path.stem.rpartition("_")
        heard, rate = soundfile.read(path)
        whole, whole_rate = soundfile.read(corpus / clips[name].music_path, always_2d=True)
        first = round(int(index) * 5.0 * whole_rate)
        own = whole[first : first + round(len(heard) / rate * whole_rate)].mean(axis=1)
        # Both have other rates: their loudness over time is compared.
        parts = [np.array_split(np.square(audio), 40) for audio in (heard, own)]
        curves = [np.sqrt([part.mean() for part in of]) for of in parts]
        assert np.corrcoef(*curves)[0, 1] > 0.98


def check_levels(out: Path) -> None:
    for path in (out / "samples").rglob("*.flac"):
        heard, rate = soundfile.read(path, dtype="float32")
        level = integrated(measured([heard[None]], rate).power())
        before = json.loads((path.parent / "samples.json").read_bytes())[path.stem]
        assert (level is None) == (before is None)
        assert level is None or level == pytest.approx(-23.0, abs=0.7)


def check_generated_again(corpus: Path, out: Path, tmp_path: Path) -> None:
    """Base and last step are what the base model and the last checkpoint generate."""
    recipe = recipe_for(corpus)
    source = read_source(corpus)
    parts, _ = set_up(source, recipe, Processes(0, 1, torch.device("cpu")))
    load_weights(out / "last", parts.adapter)
    assert parts.validation is not None
    for chosen in choose_windows(parts.validation, source, 2, recipe.fit.seed):
        sample = parts.validation.sample(chosen.index)
        from ossl_train.data.dataset import collate
        from ossl_train.generation.sampling import window_seed

        batch = collate([sample])
        seeds = [window_seed(recipe.fit.seed, chosen.name, 0)]
        n_frames = sample.codes.shape[1]
        base = parts.backbone.generate(batch.text, n_frames, Sampling(), seeds=seeds)
        with torch.no_grad(), parts.adapter.show(batch.video, batch.video_times, batch.video_mask):
            adapted = parts.backbone.generate(batch.text, n_frames, Sampling(), seeds=seeds)
        for system, codes in (("base", base), ("step-000004", adapted)):
            heard, _ = soundfile.read(out / "samples" / system / f"{chosen.name}.flac")
            wanted = parts.backbone.decode_audio(codes)[0, 0].numpy()[: len(heard)]
            assert np.corrcoef(heard, wanted)[0, 1] > 0.95
    parts.adapter.detach()


def check_tensorboard(out: Path, names: list[str]) -> None:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    events = EventAccumulator(str(out / "tensorboard"), size_guidance={"audio": 0})
    events.Reload()
    stems = [Path(name).stem for name in names]
    assert set(events.Tags()["audio"]) == {
        f"{tag}/{stem}" for tag in ("film", "samples") for stem in stems
    }
    for stem in stems:
        assert [event.step for event in events.Audio(f"samples/{stem}")] == [0, 2, 4]


def test_a_resumed_run_generates_only_what_is_missing(fit: Fit, tmp_path: Path) -> None:
    whole = fit(tmp_path / "whole", *HEARD)
    out = tmp_path / "halves"
    fit(out, *HEARD, "--max-steps", 3)
    assert {path.name for path in (out / "samples").iterdir()} == {
        "film", "base", "step-000002", "index.html", "video",
    }  # fmt: skip
    before = {path: path.stat().st_mtime_ns for path in (out / "samples").rglob("*.flac")}
    # A kill after this: the step is not complete, because its list is written last.
    shutil.copytree(out / "samples/step-000002", out / "samples/step-000004")
    (out / "samples/step-000004/samples.json").unlink()
    fit(out, *HEARD)
    assert all(path.stat().st_mtime_ns == then for path, then in before.items())
    assert audio_files(out) == audio_files(whole)
    page = (out / "samples/index.html").read_text()
    assert page.replace("halves", "whole") == (whole / "samples/index.html").read_text()
    # Nothing is left to do, and --restart deletes the samples too.
    fit(out, *HEARD)
    assert all(path.stat().st_mtime_ns == then for path, then in before.items())
    fit(out, "--restart", "--max-steps", 1)
    assert not (out / "samples").exists()


def test_samples_of_an_older_run_start_when_they_are_asked_for(fit: Fit, tmp_path: Path) -> None:
    out = fit(tmp_path / "run", "--max-steps", 3)
    fit(out, *HEARD)
    assert {path.name for path in (out / "samples").iterdir() if path.is_dir()} == {
        "film", "base", "step-000004", "video",
    }  # fmt: skip


@pytest.mark.slow
def test_only_one_of_two_processes_writes_samples(corpus: Path, tmp_path: Path) -> None:
    command = [
        sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2",
        "-m", "ossl_builder.cli.main", "-C", corpus, "train", "fit", "--recipe", "tiny_cpu",
        "--out", tmp_path / "run", *STEPS, *HEARD, "--max-steps", 2,
    ]  # fmt: skip
    done = subprocess.run(list(map(str, command)), capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stderr.count("Listen to it: ") == 1
    found = audio_files(tmp_path / "run")
    assert {name.split("/")[0] for name in found} == {"film", "base", "step-000002"}
    assert len(found) == 6


def test_windows_are_from_different_films_where_possible(train_corpus: Path) -> None:
    source = read_source(train_corpus)
    dataset = opened_dataset(train_corpus, "validation")
    by_film = {clip.clip.film_id: clip.clip for clip in source.clips}
    windows = tuple(
        Window(clip.film_id, clip.clip_id, "validation", index, 5.0 * index, 5.0)
        for clip in by_film.values()
        for index in range(4)
    )
    dataset.windows, dataset.prompts = windows, tuple(map(str, range(len(windows))))
    drawn = [choose_windows(dataset, source, 3, seed) for seed in (0, 0, 1, 2)]
    assert drawn[0] == drawn[1]
    assert len({tuple(one.index for one in of) for of in drawn}) > 1
    assert all(len({one.window.film_id for one in of}) == len(by_film) for of in drawn)
    more = choose_windows(dataset, source, 5, 0)
    assert {one.index for one in drawn[0]} < {one.index for one in more}
    assert len(choose_windows(dataset, source, 99, 0)) == len(windows)


@pytest.mark.parametrize("small_disk", ["9m"], indirect=True)
def test_a_full_disk_gives_the_projects_error_and_loses_no_checkpoint(
    fit: Fit, small_disk: Path
) -> None:
    out = fit(small_disk / "run", "--max-steps", 2)
    free = shutil.disk_usage(small_disk).free
    (small_disk / "other").write_bytes(b"x" * (free - 300_000))
    with pytest.raises(OsslError) as raised:
        fit(out, *HEARD, "--max-steps", 3)
    assert raised.value.code == "disk_full"
    assert not (out / "samples/step-000002/samples.json").exists()
    (small_disk / "other").unlink()
    fit(out, *HEARD, "--max-steps", 3)
    assert len(audio_files(out)) == 6
    assert (out / "samples/index.html").exists()


def test_the_page_shows_prompt_and_loss_and_the_report_links_it(
    fit: Fit, corpus: Path, ossl: Ossl, opened: Opened
) -> None:
    out = fit(corpus / "train/tiny_cpu", *HEARD)
    moved = corpus / 'train/"><b>mine'
    (moved / "samples").mkdir(parents=True)
    (moved / "samples/index.html").write_text("<h1>Elsewhere</h1>")
    ossl("-C", corpus, "report")
    losses = {
        line["step"]: line["validation_loss"]
        for line in read_metrics(out)
        if "validation_loss" in line
    }
    assert set(losses) == {0, 3, 4}
    with opened(corpus / "report/index.html") as page:
        assert page.locator("nav a", has_text='Samples of "><b>mine').count() == 1
        page.get_by_role("link", name="Samples of tiny_cpu").click()
        assert page.locator("h1").text_content() == "Samples of tiny_cpu"
        facts = [text.strip() for text in page.locator(".facts span").all_text_contents()]
        assert facts == [
            "1 film",
            f"2 base, validation loss {losses[0]:.4f}",
            f"3 step 2, validation loss {losses[0]:.4f} after step 0",
            f"4 step 4, validation loss {losses[4]:.4f}",
        ]
        assert page.locator(".compare").count() == 2
        assert "a film soundtrack" in (page.locator(".prompt").first.text_content() or "")
        # A window that is not the first of its clip: the video starts where its music does.
        later = page.locator('.compare:not([data-start="0.0000"])').first
        start_s = float(later.get_attribute("data-start") or 0)
        assert start_s >= 5
        button = later.get_by_role("button", name="step 4")
        file = out / "samples" / str(button.get_attribute("data-file"))
        duration_s = soundfile.info(file).duration
        button.click()
        page.wait_for_function("() => document.querySelector('.on') !== null")
        in_step = (
            "([start, duration]) => { const section = document"
            ".querySelector('[aria-pressed=true]').closest('section');"
            "const video = section.querySelector('video');"
            "const left = parseFloat(section.querySelector('.head').style.left);"
            "return !video.paused && left > 0 && video.currentTime > start &&"
            "Math.abs(video.currentTime - start - left / 100 * duration) < 0.2; }"
        )
        for key in "213":
            page.keyboard.press(key)
            # Polled, not waited for: a slow machine could reach the end of the short music.
            page.wait_for_function(in_step, arg=[start_s, duration_s])
        assert page.locator("[aria-pressed=true]").get_attribute("aria-label") == "step 2"


def test_a_run_from_another_adapter_gives_the_base_model_no_loss(fit: Fit, tmp_path: Path) -> None:
    """Its first validation is of that adapter, not of the base model."""
    first = fit(tmp_path / "first", *HEARD)
    second = fit(tmp_path / "second", *HEARD, "--init", first / "last/adapter.safetensors")
    for out, is_measured in ((first, True), (second, False)):
        page = " ".join((out / "samples/index.html").read_text().split())
        assert "2 base" in page
        assert ("2 base, validation loss" in page) == is_measured
        assert "step 4, validation loss" in page


def test_without_a_validation_split_there_are_no_samples(
    fit: Fit, corpus: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    from ossl_train.cli import app

    from tests.train.labelled_corpus import assign_splits

    assign_splits(corpus, {"demo-sintel": "train", "demo-steamboat": "test"})
    words = ["fit", "--recipe", "tiny_cpu", "--out", tmp_path / "run", *STEPS, *HEARD]
    app(args=list(map(str, words)), obj=corpus, standalone_mode=False)
    assert "There will be no samples." in capfd.readouterr().err
    assert not (tmp_path / "run/samples").exists()
