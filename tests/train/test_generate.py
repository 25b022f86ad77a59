"""Music for clips and video files: lengths, seams, pictures, the base model, files, resuming."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
import soundfile
import torch
from click.testing import Result
from ossl_train.backbones import Sampling, load_backbone
from ossl_train.generation import drawing, sound
from ossl_train.generation.drawing import Sample, draw
from ossl_train.generation.generate import _write, plan
from ossl_train.generation.looking import looks
from ossl_train.generation.model import Models, load_models
from ossl_train.generation.pieces import Piece, Words, of_clips
from ossl_train.generation.settings import GenerateSettings
from ossl_train.generation.spans import seed_of, spans, stretch
from ossl_train.model.adapter import adapter_for
from ossl_train.model.adapter_file import save_adapter
from ossl_train.recipe import TrainRecipe
from typer.testing import CliRunner

from ossl_builder.cli.main import app
from ossl_builder.engine import files
from ossl_builder.errors import OsslError
from tests.train.labelled import opened, put_on_sides, recipe_for, store_all
from tests.train.long_clips import FPS, Made, corpus_of

THIRTY = "windows.length_s=30.0"
LENGTHS = (75, 30, 7)
ONE = ("--text-guidance", 1)
"""One copy of the batch instead of two: half the time."""
Generate = Callable[..., list[dict[str, Any]]]


@pytest.fixture(autouse=True)
def _alone(one_thread: None) -> None:
    """Small steps gain nothing from threads, and sums come in one order."""


@pytest.fixture(scope="module")
def root(tiny_models: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Clips of 75, 30 and 7 s, and a run whose adapter's gates stand open."""
    made = [Made(f"film{seconds}", seconds) for seconds in LENGTHS]
    folder = corpus_of(tmp_path_factory.mktemp("generate") / "corpus", made, tiny_models)
    put_on_sides(folder, {"film75": "train", "film30": "train", "film7": "test"})
    write_run(folder, "tiny_cpu", alpha=0.6)
    return folder


def write_run(root: Path, name: str, alpha: float) -> Path:
    """A run's folder, as `ossl train fit` leaves it."""
    import yaml

    recipe = recipe_for(root, THIRTY)
    backbone = load_backbone(recipe.model.source)
    torch.manual_seed(3)
    adapter = adapter_for(backbone, video_dim=48, alpha_init=alpha, positions="time")
    run = root / "train" / name
    said = {"digest": backbone.digest, "encoder": "vivit", "pooling": "time_slots"}
    save_adapter(run / "best/adapter.safetensors", adapter, said)
    adapter.detach()
    text = yaml.safe_dump({"name": name, **recipe.model_dump(exclude={"name"})})
    files.write_bytes(run / "recipe.yaml", text.encode())
    return run


@pytest.fixture
def generate(root: Path) -> Generate:
    """Run the command in this process; what it printed for scripts, by name of the piece."""

    def run(*arguments: object, code: int = 0) -> list[dict[str, Any]]:
        found = command(root, *arguments, "--json")
        assert found.exit_code == code, found.output
        return json.loads(found.stdout)

    return run


def command(root: Path, *arguments: object) -> Result:
    given = ("-C", root, "train", "generate", "--recipe", "tiny_cpu", *arguments)
    found = CliRunner().invoke(app, [str(one) for one in given])
    if isinstance(found.exception, OsslError):
        raise found.exception
    return found


@dataclasses.dataclass
class Seen:
    """What each window of the 75-s clip was given and gave."""

    codes: list[torch.Tensor]
    starts: list[int]
    videos: list[torch.Tensor]
    whole: torch.Tensor
    projections: int


def piece_of(root: Path, clip_id: str, prompt: str | None = None) -> Piece:
    return of_clips(root, None, [clip_id], Words(prompt, None, recipe_for(root).prompts))[0]


@pytest.fixture(scope="module")
def models(root: Path) -> Iterator[Models]:
    found = models_of(root)
    yield found
    assert found.adapter is not None
    found.adapter.detach()


def models_of(root: Path) -> Models:
    path = root / "train/tiny_cpu/best/adapter.safetensors"
    return load_models(recipe_for(root, THIRTY), path, "cpu", "fp32")


@pytest.fixture(scope="module")
def seen(root: Path, models: Models) -> Seen:
    backbone, adapter = models.backbone, models.adapter
    assert adapter is not None
    torch.set_num_threads(1)
    found = Seen([], [], [], torch.zeros(0), 0)
    real = backbone.generate

    def recorded(*given: Any, **named: Any) -> torch.Tensor:
        codes = real(*given, **named)
        found.codes.append(codes[0])
        found.starts.append(named["start"].shape[-1])
        found.videos.append(adapter._showing.video[0])
        return codes

    adapter.projections = 0
    backbone.generate = recorded
    try:
        sample = Sample(piece_of(root, "clip0"), seed=1)
        settings = GenerateSettings(window_s=30, overlap_s=10, text_guidance=1)
        (found.whole,) = draw([sample], models, recipe_for(root, THIRTY), settings, lambda: None)
    finally:
        backbone.generate = real
    found.projections = adapter.projections
    return found


def test_windows_go_on_from_the_codes_of_their_overlap(seen: Seen) -> None:
    assert [codes.shape[1] for codes in seen.codes] == [1500, 1500, 1500, 750]
    assert seen.starts == [0, 500, 500, 500]
    for before, after in zip(seen.codes, seen.codes[1:], strict=False):
        assert torch.equal(before[:, 1000:], after[:, :500])
    assert seen.whole.shape == (4, 3750)
    for index, codes in enumerate(seen.codes):
        assert torch.equal(seen.whole[:, 1000 * index :][:, : codes.shape[1]], codes)
    assert (seen.whole[:, :1000] == seen.whole[:, 1000:2000]).float().mean() < 0.5


def test_each_window_sees_its_own_stretch_of_the_picture_once(
    root: Path, models: Models, seen: Seen
) -> None:
    """The reference shows the first 30 s, and projects them at every step."""
    assert models.encoder is not None
    recipe, piece = recipe_for(root, THIRTY), piece_of(root, "clip0")
    for index, start_s in enumerate((0, 20, 40, 60)):
        (span,) = [one for one in spans(75, 50, 30, 10) if one.index == index]
        alone = dataclasses.replace(stretch(span, 50, 75), index=0)
        assert (alone.start_s, alone.end_s) == (start_s, min(start_s + 30, 75))
        (look,) = looks(piece, [alone], models.encoder, recipe.features, False)
        assert torch.equal(look.video, seen.videos[index])
    for one, other in ((0, 1), (1, 2), (2, 3)):
        assert (seen.videos[one] - seen.videos[other]).abs().max() > 0.01
    assert seen.projections == len(seen.codes) * models.backbone.shape.n_layers


def test_a_window_is_seen_as_it_was_in_training(root: Path, models: Models) -> None:
    store_all(root, THIRTY)
    dataset = opened(root, "train", THIRTY)
    piece, recipe = piece_of(root, "clip0"), recipe_for(root, THIRTY)
    windows = [stretch(span, 50, 75) for span in spans(75, 50, 30, 0)]
    assert models.encoder is not None
    shown = list(looks(piece, windows, models.encoder, recipe.features, with_dialogue=True))
    numbers = [n for n, one in enumerate(dataset.windows) if one.clip_id == "clip0"]
    with_dialogue = opened(root, "train", THIRTY, "model.dialogue=true")
    assert len(numbers) == len(shown) == 3
    for number, look in zip(numbers, shown, strict=True):
        sample = with_dialogue.sample(number)
        assert torch.equal(look.video.half(), sample.video)
        assert torch.equal(look.times_s, sample.video_times)
        assert look.dialogue is not None
        assert (look.dialogue - sample.dialogue).abs().max() < 1e-5
        assert dataset.windows[number].duration_s == windows[look_index(sample)].duration_s


def look_index(sample: Any) -> int:
    return int(sample.window.index)


def test_files_are_as_long_as_their_picture_and_play(
    root: Path, generate: Generate, models: Models, seen: Seen, tmp_path: Path
) -> None:
    given = [part for number in (1, 2) for part in ("--video", root / f"clip{number}.mp4")]
    found = generate(*given, "--out", tmp_path, "--mood", "sad", *ONE)
    # What was drawn for 75 s is written as the command writes it.
    settings = GenerateSettings(window_s=30, overlap_s=10)
    (job,) = plan([piece_of(root, "clip0", "sad")], [1], tmp_path, True, {"with_dialogue": False})
    found.append(vars(_write(job, seen.whole, models, settings)))
    assert sorted(one["name"] for one in found) == ["clip0", "clip1", "clip2"]
    for one in found:
        seconds = LENGTHS[int(one["name"][-1])]
        heard, rate = soundfile.read(one["wav"])
        assert (one["state"], rate, len(heard)) == ("made", 32_000, seconds * 32_000)
        assert np.abs(heard).max() < 1
        note = json.loads(Path(one["wav"]).with_suffix(".json").read_bytes())
        assert "sad" in note["made_from"]["prompt"]
        # No sound is there to go on from: the reference begins with a beep of 440 Hz.
        assert note["made"]["windows"][0]["known"] == 0
        check_playable(root / f"{one['name']}.mp4", Path(one["video"]), seconds, heard)


def check_playable(source: Path, made: Path, seconds: int, heard: np.ndarray) -> None:
    """The picture's packets are those of the source; the sound is the WAV's."""
    assert packets_of(made) == packets_of(source)
    with av.open(str(made)) as container:
        pictures = sum(1 for _ in container.decode(video=0))
    with av.open(str(made)) as container:
        stream = container.streams.audio[0]
        frames = list(container.decode(stream))
        assert float(frames[0].pts * frames[0].time_base) == pytest.approx(0, abs=1e-3)
    decoded = np.concatenate([frame.to_ndarray()[0] for frame in frames])
    assert pictures == seconds * FPS
    assert abs(len(decoded) - seconds * 32_000) <= 2048
    same = min(len(decoded), len(heard))
    assert np.corrcoef(decoded[:same], heard[:same])[0, 1] > 0.9


def packets_of(path: Path) -> list[bytes]:
    with av.open(str(path)) as container:
        return [bytes(packet) for packet in container.demux(video=0) if packet.size]


def test_alpha_0_is_the_base_model_to_the_bit(
    root: Path, generate: Generate, tmp_path: Path
) -> None:
    piece = piece_of(root, "clip2", "a sad piano")
    backbone = load_backbone(recipe_for(root).model.source)
    text = backbone.encode_text(["a sad piano"])
    seed = seed_of(5, piece.video_sha256, 0)
    base = sound.decoded(backbone, backbone.generate(text, 350, Sampling(seed=seed))[0])
    soundfile.write(tmp_path / "base.wav", base, 32_000, subtype="PCM_16")
    write_run(root, "closed", alpha=0.0)
    given = ("--clip", "clip2", "--prompt", "a sad piano", "--seed", 5, "--no-mux")
    wavs = {}
    for name, more in {
        "alpha 0": ("--alpha", 0),
        "open": (),
        "closed": ("--checkpoint", root / "train/closed"),
        "again": (),
        "other seed": ("--seed", 6),
    }.items():
        (one,) = generate(*given, *more, "--out", tmp_path / name)
        wavs[name] = Path(one["wav"]).read_bytes()
    assert wavs["alpha 0"] == wavs["closed"] == (tmp_path / "base.wav").read_bytes()
    # The reference loads its adapter in vain, and plays the base model without a word.
    assert wavs["open"] != wavs["alpha 0"]
    assert wavs["open"] == wavs["again"] != wavs["other seed"]
    said = command(root, *given, "--checkpoint", root / "train/closed", "--out", tmp_path / "said")
    assert "plain MusicGen" in said.output


def codes_of(root: Path, models: Models, **settings: Any) -> torch.Tensor:
    recipe: TrainRecipe = recipe_for(root, THIRTY)
    sample = Sample(piece_of(root, "clip2", "a sad piano"), seed=2)
    chosen = GenerateSettings(**{"window_s": 3, "overlap_s": 1, **settings})
    (codes,) = draw([sample], models, recipe, chosen, lambda: None)
    return codes


def test_guidance_takes_the_video_away_from_its_blind_half(root: Path, models: Models) -> None:
    """In the reference both halves see the video: no guidance weakens or strengthens it."""
    base = dataclasses.replace(models, adapter=None, encoder=None)
    assert models.adapter is not None
    blind = codes_of(root, models, text_guidance=0, video_guidance=0)
    models.adapter.detach()
    alone = codes_of(root, base, text_guidance=0)
    models.adapter.attach(models.backbone)
    assert torch.equal(blind, alone)
    plain = codes_of(root, models)
    assert not torch.equal(plain, codes_of(root, models, video_guidance=4))
    assert not torch.equal(plain, codes_of(root, models, alpha=0.5))


def test_pieces_begin_each_in_its_own_way(root: Path, models: Models) -> None:
    """One prompt, one seed, two pictures: two pieces, even by the base model."""
    base = dataclasses.replace(models, adapter=None, encoder=None)
    samples = [Sample(piece_of(root, f"clip{n}", "a sad piano"), 0) for n in (1, 2)]
    settings = GenerateSettings(window_s=30, overlap_s=10, text_guidance=1)
    assert models.adapter is not None
    models.adapter.detach()
    one, other = draw(samples, base, recipe_for(root), settings, lambda: None)
    models.adapter.attach(models.backbone)
    assert (one.shape[1], other.shape[1]) == (1500, 350)
    assert (one[:, :100] == other[:, :100]).float().mean() < 0.5


def test_what_is_there_is_left_alone(root: Path, generate: Generate, tmp_path: Path) -> None:
    given = ("--split", "test", "--samples", 2, "--out", tmp_path, "--window", 4)
    first = generate(*given)
    assert [(one["seed"], one["state"]) for one in first] == [(0, "made"), (1, "made")]
    wav = tmp_path / "seed-1/clip2.wav"
    assert first[1]["wav"] == str(wav)
    before = {path: (path.stat().st_mtime_ns, path.read_bytes()) for path in tmp_path.rglob("*.*")}
    assert [one["state"] for one in generate(*given)] == ["fresh", "fresh"]
    wav.with_suffix(".mp4").unlink()
    assert [one["state"] for one in generate(*given)] == ["fresh", "made"]
    assert wav.stat().st_mtime_ns == before[wav][0]
    assert wav.with_suffix(".mp4").read_bytes() == before[wav.with_suffix(".mp4")][1]
    wav.write_bytes(b"cut off")
    assert [one["why"] for one in generate(*given, "--dry-run")] == ["", "the WAV was changed"]
    assert [one["state"] for one in generate(*given)] == ["fresh", "made"]
    assert {path: path.read_bytes() for path in before} == {p: b for p, (_, b) in before.items()}
    planned = generate(*given, "--prompt", "drums", "--dry-run")
    assert {one["why"] for one in planned} == {"made from other prompt"}


def test_peaks_are_lowered_and_the_rest_is_left() -> None:
    time_s = np.arange(32_000) / 32_000
    quiet = (0.3 * np.sin(2 * np.pi * 200 * time_s)).astype(np.float32)
    assert sound.limited(quiet, 32_000)[0] is quiet
    loud = quiet.copy()
    loud[16_000:16_040] *= 8
    lowered, said = sound.limited(loud, 32_000)
    assert np.abs(lowered).max() <= sound.CEILING
    assert np.array_equal(lowered[:15_000], loud[:15_000])
    assert np.array_equal(lowered[17_000:], loud[17_000:])
    assert said.peak == pytest.approx(np.abs(loud).max())
    assert said.lowest_gain_db < -6
    assert 0 < said.seconds < 0.05


def test_a_film_is_decoded_in_parts(
    models: Models, seen: Seen, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = sound.decoded(models.backbone, seen.whole[:, :1000])
    monkeypatch.setattr(sound, "PART_S", 6.0)
    parts = sound.decoded(models.backbone, seen.whole[:, :1000])
    assert len(whole) == len(parts) == 20 * 32_000
    assert np.abs(whole - parts).max() < 1e-3 * np.abs(whole).max()


def test_what_cannot_be_is_a_sentence(root: Path, generate: Generate, tmp_path: Path) -> None:
    music, broken = root / "clip0.music.flac", tmp_path / "broken.mp4"
    broken.write_bytes(b"no film")
    other = ("--set", "features.pooling=all")
    for arguments, code in (
        (("--clip", "clip2", "--recipe", "small"), "no_checkpoint"),
        (("--clip", "nowhere"), "clip_unknown"),
        ((), "nothing_chosen"),
        (("--clip", "clip2", "--split", "test"), "nothing_chosen"),
        (("--clip", "clip2", "--mood", "sad", "--prompt", "sad"), "prompt_twice"),
        (("--video", music), "no_picture"),
        (("--video", broken), "not_media"),
        (("--video", tmp_path / "nowhere.mp4"), "file_missing"),
        (("--clip", "clip2", *other), "adapter_other_features"),
        (("--clip", "clip2", "--window", 3, "--overlap", 3), "overlap_too_long"),
        (("--clip", "clip2", "--set", f"model.source={tmp_path}/none"), "model_missing"),
        (("--video", root / "clip2.mp4", "--out", root), "output_is_input"),
    ):
        with pytest.raises(OsslError) as caught:
            command(root, *arguments)
        assert caught.value.code == code, arguments
        assert caught.value.hint
    with pytest.raises(OsslError) as caught, drawing._memory(4):
        torch.empty(1 << 55)
    assert caught.value.code == "memory_full"
    assert "--batch" in caught.value.hint


def test_one_bad_picture_does_not_cost_the_others(
    root: Path, generate: Generate, tmp_path: Path
) -> None:
    kept = root / "clip2.mp4"
    whole = kept.read_bytes()
    kept.write_bytes(b"no film")
    try:
        given = ("--clip", "clip2", "--clip", "clip1", "--alpha", 0, "--out", tmp_path, *ONE)
        found = generate(*given, code=3)
    finally:
        kept.write_bytes(whole)
    assert {one["name"]: one["state"] for one in found} == {"clip1": "made", "clip2": "failed"}
