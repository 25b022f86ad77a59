"""The listening test on the real Label Studio, with three simulated raters, and its errors."""

from __future__ import annotations

import dataclasses
import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import numpy as np
import pytest
import soundfile
import torch
from click.testing import Result
from ossl_train.data.source import read_source
from ossl_train.listening_test import codec_music, design
from ossl_train.listening_test import stimuli as sounding
from ossl_train.listening_test.codec_music import through_codec, write_codec_music
from ossl_train.listening_test.design import (
    ADAPTER,
    BASE,
    CODEC,
    CONTROL,
    FILM,
    choose_clips,
    control_partners,
)
from ossl_train.listening_test.music import MusicOptions
from ossl_train.listening_test.push import TestOptions, assemble_test, plan_test
from ossl_train.musicgen import load_backbone
from typer.testing import CliRunner

from ossl_builder.annotations.label_config import results_of
from ossl_builder.cli import output
from ossl_builder.cli.main import app
from ossl_builder.engine import tables_io
from ossl_builder.errors import OsslError
from ossl_builder.media.audio_reader import FilmAudio
from ossl_builder.media.loudness import integrated, measured
from ossl_builder.tables import CLIPS
from tests.e2e.label_studio_server import LabelStudio
from tests.films.long_clips import ClipSpec, corpus_of, music
from tests.label_studio.clip_server import serving
from tests.train.generation.conftest import write_run
from tests.train.labelled_corpus import assign_splits, clips_of
from tests.train.simulated_raters import QUESTIONS, TAXONOMY, rate

SYSTEMS = (FILM, BASE, ADAPTER, CONTROL)
N_CLIPS = 8
PLANTED = ("mood_fit", "video_fit")
Listen = Callable[..., Any]


@pytest.fixture(autouse=True)
def _alone(one_thread: None) -> None:
    """Use one thread: more do not speed up small steps, and change the order of sums."""


@pytest.fixture(scope="module")
def root(tiny_models: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Ten short clips of eight films on the test split, one of them silent, one too long."""
    made = [ClipSpec(f"film{n}", 1 + n % 2, gain=0.1 + 0.08 * n) for n in range(N_CLIPS)]
    made += [ClipSpec("film0", 2, gain=0), ClipSpec("film1", 70)]
    folder = corpus_of(tmp_path_factory.mktemp("listen") / "corpus", made, tiny_models)
    clips = [
        dataclasses.replace(one, music_lufs=None if one.clip_id == f"clip{N_CLIPS}" else -20.0)
        for one in clips_of(folder)
    ]
    tables_io.write_corpus_table(folder, CLIPS, clips)
    assign_splits(folder, {f"film{n}": "test" for n in range(N_CLIPS)})
    write_run(folder, "tiny_cpu", alpha=0.6)
    return folder


def listen(root: Path, *arguments: object) -> Result:
    found = CliRunner().invoke(app, [str(one) for one in ("-C", root, "train", "listen",
                                                          *arguments)])  # fmt: skip
    if isinstance(found.exception, OsslError):
        raise found.exception
    assert found.exit_code == 0, found.output
    return found


def listen_json(root: Path, *arguments: object) -> Any:
    return json.loads(listen(root, *arguments, "--json").stdout)


def rate_all(server: LabelStudio, test: Path, project_id: int, liking: dict[str, float]) -> None:
    """Three people rate everything, but the third stops after 20 and skips one more."""
    stimuli = {one.clip_id: one for one in design.read_key(test).stimuli}
    tasks = sorted(server.tasks(project_id), key=lambda task: task["id"])
    for number, name in enumerate(("ada", "ben", "cyd")):
        rater = server.sign_up(name)
        for at, task in enumerate(tasks):
            if name == "cyd" and at >= 20:
                rater.skip(task["id"])
                break
            one = stimuli[task["data"]["clip_id"]]
            answers = rate(one.name, one.system, number, liking, seed=4, on=PLANTED)
            result = results_of(TAXONOMY, answers)
            rater.ask("POST", f"/api/tasks/{task['id']}/annotations/", json={"result": result})


def test_three_raters_on_label_studio(
    root: Path, label_studio: LabelStudio, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A planted preference is found, and none is found where none was planted."""
    monkeypatch.setenv("LABEL_STUDIO_API_KEY", label_studio.token)
    test = root / "train/listening"
    given = ("push", "--recipe", "tiny_cpu", "--clips", N_CLIPS, "--url", label_studio.url)
    foreseen = listen_json(root, *given, "--dry-run")
    assert (foreseen["stimuli"], foreseen["to_generate"]) == (4 * N_CLIPS, 3 * N_CLIPS)
    assert not test.exists()
    pushed = listen_json(root, *given, "--title", "Which music fits")
    assert (pushed["sent"], pushed["present"]) == (4 * N_CLIPS, 0)
    before = {path: path.stat().st_mtime_ns for path in test.rglob("*.*") if path.is_file()}
    again = listen_json(root, *given)
    assert (again["sent"], again["present"]) == (0, 4 * N_CLIPS)
    assert all(path.stat().st_mtime_ns == then for path, then in before.items()
               if path.parent.name != "annotations")  # fmt: skip
    check_blind(test, label_studio, pushed["project_id"])
    check_made(root, test)

    rate_all(label_studio, test, pushed["project_id"], {ADAPTER: 1.9, CONTROL: -0.2})
    found = listen_json(root, "pull", "--resamples", 2000)
    assert (found["n_clips"], found["n_raters"]) == (N_CLIPS, 3)
    assert found["n_ratings"] == 2 * 4 * N_CLIPS + 20
    assert len(found["differences"]) == 4 * 6
    planted = [one for one in found["differences"]
               if one["system"] == ADAPTER and one["question"] in PLANTED]  # fmt: skip
    assert all(0 < one["low"] < one["value"] < one["high"] for one in planted)
    assert sum(one["found"] for one in planted) >= 4
    assert not [one for one in found["differences"] if one["found"] and one not in planted]
    means = {(one["question"], one["system"]): one for one in found["means"]}
    mean = means["video_fit", ADAPTER]
    assert mean["low"] < mean["value"] < mean["high"]
    assert mean["value"] > means["video_fit", BASE]["value"] + 1
    assert {one["question"] for one in found["agreement"]} == set(QUESTIONS)
    assert all(one["level"] == "interval" for one in found["agreement"])
    assert all(one["alpha"] > 0.2 for one in found["agreement"] if one["question"] in PLANTED)
    assert [(one["rater"], one["rated"], one["skipped"]) for one in found["raters"]] == [
        ("a01", 32, 0), ("a02", 32, 0), ("a03", 20, 1),
    ]  # fmt: skip
    warned = " ".join(found["warnings"])
    assert "a03 has not finished: 20 of 32" in warned
    assert "8 clips are few" in warned
    assert "@" not in json.dumps(found)
    text = (test / "results.md").read_text()
    assert re.search(r"\| video_fit \| adapter - control \| \+\d", text)
    assert listen_json(root, "pull", "--offline", "--resamples", 2000) == found

    # The test in the folder is never replaced without an error.
    with pytest.raises(OsslError) as differs:
        listen(root, *given, "--seed", 1)
    assert (differs.value.code, "other clips" in differs.value.message) == (
        "listening_differs", False,
    )  # fmt: skip


def test_finished_music_has_equal_loudness(root: Path, tmp_path: Path) -> None:
    write_finished(tmp_path / "finished")
    wanted = MusicOptions(root, "tiny_cpu", (), None, "cpu", 3.0, 1.0, 3)
    chosen = TestOptions("test", N_CLIPS, 60.0, 3, tmp_path / "finished")
    out = tmp_path / "test"
    planned = plan_test(root, None, chosen, wanted, out, is_dry=False)
    assemble_test(planned, out, output.bar, output.say)
    assert planned.systems == (FILM, ADAPTER, BASE, CONTROL)
    check_levels(out)


def test_the_codec_is_a_further_system(root: Path, tmp_path: Path) -> None:
    """The film's own music after EnCodec, as an upper limit; encoded once."""
    write_finished(tmp_path / "finished")
    options = MusicOptions(root, "tiny_cpu", (), None, "cpu", 3.0, 1.0, 3)
    chosen = TestOptions("test", N_CLIPS, 60.0, 3, tmp_path / "finished")
    without = plan_test(root, None, chosen, options, tmp_path / "test", is_dry=False)
    chosen = dataclasses.replace(chosen, with_codec=True)
    planned = plan_test(root, None, chosen, options, tmp_path / "test", is_dry=False)
    assert planned.systems == (FILM, CODEC, ADAPTER, BASE, CONTROL)
    assert "codec" not in without.made_from
    assert planned.made_from["codec"]["sha256"]
    test = assemble_test(planned, tmp_path / "test", output.bar, output.say)
    check_levels(test.root)
    backbone = load_backbone(str(root / "train/models/musicgen"))
    clips = {clip.clip_id: clip for clip in clips_of(root)}
    checked = [one for one in design.read_key(test.root).stimuli if one.system == CODEC]
    assert len(checked) == N_CLIPS
    for one in checked:
        own, _ = soundfile.read(root / clips[one.name].music_path, dtype="float32")
        codes = backbone.encode_audio(torch.from_numpy(own)[None, None])
        wanted = backbone.decode_audio(codes)[0, 0].numpy()[: len(own)]
        heard, _ = soundfile.read(sounding.stimulus_paths(test.root, one.clip_id)[0])
        assert np.corrcoef(heard, wanted)[0, 1] > 0.999
        # What the codec loses is audible in the test: it is not the film's own file again.
        assert np.corrcoef(heard, own)[0, 1] < 0.99
    made = tmp_path / "test/made/codec"
    before = {path.name: path.stat().st_mtime_ns for path in made.glob("*.wav")}
    (made / "clip2.wav").unlink()
    assert planned.codec is not None
    write_codec_music(planned.codec, root, planned.clips, lambda: None)
    after = {path.name: path.stat().st_mtime_ns for path in made.glob("*.wav")}
    assert {name for name in after if after[name] != before[name]} == {"clip2.wav"}
    with pytest.raises(OsslError) as differs:
        assemble_test(without, tmp_path / "test", output.bar, output.say)
    assert "other codec, systems" in differs.value.message
    (tmp_path / "finished/base").rename(tmp_path / "finished/codec")
    with pytest.raises(OsslError) as twice:
        plan_test(root, None, chosen, options, tmp_path / "test", is_dry=False)
    assert twice.value.code == "name_twice"


def test_long_music_is_encoded_in_parts(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    backbone = load_backbone(str(root / "train/models/musicgen"))
    audio = music(9)
    whole = through_codec(backbone, audio)
    monkeypatch.setattr(codec_music, "PART_S", 4.0)
    parts = through_codec(backbone, audio)
    assert len(whole) == len(parts) == len(audio)
    assert np.corrcoef(whole, parts)[0, 1] > 0.99
    # Parts that were not joined at the right frame would be late.
    assert np.corrcoef(whole[6 * 32_000 :], parts[6 * 32_000 :])[0, 1] > 0.99


def test_the_command_offers_the_codec(root: Path) -> None:
    found = listen_json(root, "push", "--recipe", "tiny_cpu", "--clips", 2, "--codec", "--dry-run")
    assert found["systems"] == [FILM, CODEC, BASE, ADAPTER, CONTROL]
    plain = listen_json(root, "push", "--recipe", "tiny_cpu", "--clips", 2, "--dry-run")
    assert (found["stimuli"], plain["stimuli"]) == (10, 8)
    assert found["to_generate"] == plain["to_generate"]  # the codec needs no generation


def check_blind(test: Path, server: LabelStudio, project_id: int) -> None:
    """Neither the page, the server nor a served file shows which system made the music."""
    key = design.read_key(test)
    assert (test / "key.json").stat().st_mode & 0o077 == 0
    assert (test / ".gitignore").read_text() == "*\n"
    tasks = sorted(server.tasks(project_id), key=lambda task: task["id"])
    assert [task["data"]["clip_id"] for task in tasks] == [one.clip_id for one in key.stimuli]
    by_clip: dict[str, list[dict[str, Any]]] = {}
    for one, task in zip(key.stimuli, tasks, strict=True):
        own = {name: value for name, value in task["data"].items()
               if name not in ("clip_id", "video")}  # fmt: skip
        by_clip.setdefault(one.name, []).append(own)
    for same in by_clip.values():
        assert [one == same[0] for one in same] == [True] * 4
    project = server.owner.ask("GET", f"/api/projects/{project_id}/")
    assert project["maximum_annotations"] == 3
    assert "repeat(5, " in project["label_config"]
    shown = json.dumps([[task["data"] for task in tasks], project["description"]])
    films = {path.name: path.read_bytes() for path in (test / "films").rglob("*.*")}
    for word in (*SYSTEMS[1:], "clip0", "film0", "musicgen"):
        assert word not in shown.replace("/clips/", "")
        assert not any(word.encode() in data.lower() for data in films.values())
        assert not any(word in name for name in films)
    positions = {system: [] for system in SYSTEMS}  # type: dict[str, list[int]]
    for at, one in enumerate(key.stimuli):
        positions[one.system].append(at % 4)
    assert all(sorted(found) == [0, 0, 1, 1, 2, 2, 3, 3] for found in positions.values())
    with serving(test) as served:
        address = urlsplit(tasks[0]["data"]["video"])
        answer = served.ask(f"{address.path}?{address.query}")
        assert (answer.status, answer.body) == (200, films["001.mp4"])
        assert served.ask(address.path).status == 403
        assert served.ask(f"/key.json?{address.query}").status == 404


def write_finished(folder: Path) -> None:
    """Stereo noise of 44.1 kHz, loud and quiet, longer than the clips; one of it peaks."""
    rng = np.random.default_rng(1)
    for name in (f"clip{number}" for number in range(N_CLIPS)):
        for number, system in enumerate(SYSTEMS[1:]):
            noise = rng.uniform(-1, 1, (4 * 44_100, 2)) * 10 ** -(0.3 + number)
            if (name, system) == ("clip3", BASE):
                noise *= 0.01
                noise[1000] = 1
            path = folder / system / f"{name}.wav"
            path.parent.mkdir(parents=True, exist_ok=True)
            soundfile.write(path, noise, 44_100, subtype="FLOAT")


def check_levels(test: Path) -> None:
    """One format and length, equal loudness after decoding as in a browser, no clipping."""
    key = design.read_key(test)
    for one in key.stimuli:
        flac, film = sounding.stimulus_paths(test, one.clip_id)
        audio, rate_hz = soundfile.read(flac)
        decoded = np.concatenate(list(FilmAudio(film, 32_000, 1).blocks()), axis=1)
        assert (rate_hz, audio.ndim) == (32_000, 1)
        assert abs(decoded.shape[1] - len(audio)) <= 2048
        assert np.abs(audio).max() <= 10 ** (-1 / 20) + 1e-4
        assert one.lufs is not None
        level = integrated(measured([decoded.astype(np.float32)], 32_000).power())
        assert level == pytest.approx(one.lufs + one.gain_db, abs=0.5)
    for name in {one.name for one in key.stimuli}:
        own = [one for one in key.stimuli if one.name == name]
        came = [one.lufs for one in own if one.lufs is not None]
        levels = [one.lufs + one.gain_db for one in own if one.lufs is not None]
        assert max(came) - min(came) > 15
        assert max(levels) - min(levels) < 0.01
        if name == "clip3":  # one of its files would clip
            assert max(levels) < sounding.TARGET_LUFS - 3
        else:
            assert max(levels) == pytest.approx(sounding.TARGET_LUFS, abs=0.01)


def check_made(root: Path, test: Path) -> None:
    """Four kinds of music for each clip; the control's is made for another film's video."""
    key = design.read_key(test)
    clips = {clip.clip_id: clip for clip in clips_of(root)}
    heard: dict[str, list[bytes]] = {}
    for one in key.stimuli:
        audio, _ = soundfile.read(sounding.stimulus_paths(test, one.clip_id)[0])
        assert len(audio) == clips[one.name].duration_s * 32_000
        heard.setdefault(one.name, []).append(audio.tobytes())
    assert all(len(set(made)) == 4 for made in heard.values())
    for name, other in key.made_from["control"].items():
        assert clips[name].film_id != clips[other].film_id
        note = json.loads((test / "made/control" / f"{name}.json").read_bytes())["made_from"]
        assert note["video"]["sha256"] == clips[other].video_sha256
        assert note["video"]["duration_s"] == clips[name].duration_s


def test_choice_of_clips(root: Path) -> None:
    split = {one.clip.clip_id: one for one in read_source(root, use_labels=False).on("test")}
    drawn = choose_clips(split, 6, 60, 1)
    assert drawn == choose_clips(split, 6, 60, 1) != choose_clips(split, 6, 60, 2)
    films = [split[name].clip.film_id for name in drawn]
    assert {films.count(film) for film in set(films)} <= {1, 2}
    assert f"clip{N_CLIPS}" not in choose_clips(split, N_CLIPS, 60, 0)  # silent
    assert "clip9" in choose_clips(split, N_CLIPS + 1, 100, 0)
    assert control_partners(["clip9"], split, 0)["clip9"] in {f"clip{n}" for n in range(9)}
    with pytest.raises(OsslError) as few:
        choose_clips(split, N_CLIPS + 1, 60, 0)
    assert few.value.code == "clips_too_few"


def refused(root: Path, *arguments: object) -> str:
    with pytest.raises(OsslError) as error:
        listen(root, *arguments)
    assert error.value.hint
    return error.value.code


def test_tests_that_are_not_possible_are_reported(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LABEL_STUDIO_API_KEY", "a.b.c")
    push = ("push", "--recipe", "tiny_cpu", "--clips", 2, "--out", tmp_path / "out")
    assert refused(root, "pull", "--out", tmp_path / "none") == "listening_missing"
    assert refused(root, *push) == "server_unknown"
    assert refused(root, *push, "--split", "validation") == "split_empty"
    assert refused(root, *push, "--recipe", "small") == "no_checkpoint"
    assert refused(root, *push, "--sounds", tmp_path) == "no_systems"
    (tmp_path / "base").mkdir()
    assert refused(root, *push, "--sounds", tmp_path) == "file_missing"
    assert not (tmp_path / "out").exists()
    # An existing test is never replaced.
    design.write_key(tmp_path, design.TestKey({"seed": 1}, ()))
    with pytest.raises(OsslError) as differs:
        design.check_same_test(tmp_path, {"seed": 2})
    assert (differs.value.code, "other seed" in differs.value.message) == (
        "listening_differs", True,
    )  # fmt: skip
    (tmp_path / "key.json").write_text("{")
    assert refused(root, "pull", "--out", tmp_path) == "listening_damaged"
