"""Windows of generated music: the video of each window, and how it continues the previous one."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import soundfile
import torch
from ossl_train.adapter.adapter import AdapterConfig
from ossl_train.generation import sample_files
from ossl_train.generation.models import Models
from ossl_train.generation.requests import GenerateSettings
from ossl_train.generation.sampling import (
    GeneratedSample,
    frame_spans,
    sample_codes,
    video_window,
    window_seed,
)
from ossl_train.generation.video_features import window_features
from ossl_train.musicgen import Sampling, load_backbone

from tests.train.generation.conftest import (
    THIRTY,
    Generate,
    Seen,
    codes_of,
    command,
    piece_of,
    write_run,
)
from tests.train.labelled_corpus import opened, recipe_for, store_all


def test_windows_continue_from_the_codes_of_their_overlap(seen: Seen) -> None:
    assert [codes.shape[1] for codes in seen.codes] == [1500, 1500, 1500, 750]
    assert seen.starts == [0, 500, 500, 500]
    for before, after in zip(seen.codes, seen.codes[1:], strict=False):
        assert torch.equal(before[:, 1000:], after[:, :500])
    assert seen.whole.shape == (4, 3750)
    for index, codes in enumerate(seen.codes):
        assert torch.equal(seen.whole[:, 1000 * index :][:, : codes.shape[1]], codes)
    assert (seen.whole[:, :1000] == seen.whole[:, 1000:2000]).float().mean() < 0.5


def test_each_window_sees_its_own_segment_of_the_video_once(
    root: Path, models: Models, seen: Seen
) -> None:
    """The reference shows the first 30 s, and projects them at every step."""
    assert models.encoder is not None
    recipe, piece = recipe_for(root, THIRTY), piece_of(root, "clip0")
    for index, start_s in enumerate((0, 20, 40, 60)):
        (span,) = [one for one in frame_spans(75, 50, 30, 10) if one.index == index]
        alone = dataclasses.replace(video_window(span, 50, 75), index=0)
        assert (alone.start_s, alone.end_s) == (start_s, min(start_s + 30, 75))
        (look,) = window_features(piece, [alone], models.encoder, recipe.features, curves_of(False))
        assert torch.equal(look.video, seen.videos[index])
    for one, other in ((0, 1), (1, 2), (2, 3)):
        assert (seen.videos[one] - seen.videos[other]).abs().max() > 0.01
    assert seen.projections == len(seen.codes) * models.backbone.shape.n_layers


def test_features_of_a_window_equal_those_in_training(root: Path, models: Models) -> None:
    settings = (THIRTY, "features.events=true")
    store_all(root, *settings)
    dataset = opened(root, "train", *settings)
    piece, recipe = piece_of(root, "clip0"), recipe_for(root, *settings)
    windows = [video_window(span, 50, 75) for span in frame_spans(75, 50, 30, 0)]
    assert models.encoder is not None
    shown = list(window_features(piece, windows, models.encoder, recipe.features, curves_of(True)))
    numbers = [n for n, one in enumerate(dataset.windows) if one.clip_id == "clip0"]
    with_curves = opened(root, "train", *settings, "model.dialogue=true", "model.events=true")
    assert len(numbers) == len(shown) == 3
    for number, look in zip(numbers, shown, strict=True):
        sample = with_curves.sample(number)
        assert torch.equal(look.video.half(), sample.video)
        assert torch.equal(look.times_s, sample.video_times)
        assert look.dialogue is not None
        assert (look.dialogue - sample.dialogue).abs().max() < 1e-5
        assert look.events is not None
        assert look.events.shape == (len(look.video), 3)
        assert (look.events - sample.events).abs().max() < 1e-5
        assert look.events[:, 1].max() > 0  # the picture moves
        assert dataset.windows[number].duration_s == windows[look_index(sample)].duration_s


def curves_of(used: bool) -> AdapterConfig:
    return AdapterConfig(64, 4, 2, dialogue=used, events=used)


def look_index(sample: Any) -> int:
    return int(sample.window.index)


def test_alpha_0_is_the_base_model_to_the_bit(
    root: Path, generate: Generate, tmp_path: Path
) -> None:
    piece = piece_of(root, "clip2", "a sad piano")
    backbone = load_backbone(recipe_for(root).model.source)
    text = backbone.encode_text(["a sad piano"])
    seed = window_seed(5, piece.video_sha256, 0)
    base = sample_files.decode(backbone, backbone.generate(text, 350, Sampling(seed=seed))[0])
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
    # The reference fails to load its adapter, and uses the base model without a warning.
    assert wavs["open"] != wavs["alpha 0"]
    assert wavs["open"] == wavs["again"] != wavs["other seed"]
    result = command(
        root, *given, "--checkpoint", root / "train/closed", "--out", tmp_path / "said"
    )
    assert "plain MusicGen" in result.output


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


def test_two_videos_get_different_music(root: Path, models: Models) -> None:
    """One prompt, one seed, two videos: different music, even by the base model."""
    base = dataclasses.replace(models, adapter=None, encoder=None)
    samples = [GeneratedSample(piece_of(root, f"clip{n}", "a sad piano"), 0) for n in (1, 2)]
    settings = GenerateSettings(window_s=30, overlap_s=10, text_guidance=1)
    assert models.adapter is not None
    models.adapter.detach()
    one, other = sample_codes(samples, base, recipe_for(root), settings, lambda: None)
    models.adapter.attach(models.backbone)
    assert (one.shape[1], other.shape[1]) == (1500, 350)
    assert (one[:, :100] == other[:, :100]).float().mean() < 0.5
