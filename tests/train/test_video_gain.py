"""Does a run tell whether its adapter follows the video, or has only learned the sound?

In the world of `toy_world` the base model is trained on the music of another world, as MusicGen is
not trained on old films. An adapter that is fitted on the videos of other clips then lowers the
loss, too: it learns the sound of the new world. Only the video gain tells the two apart.
"""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import pytest
import torch
from ossl_train.adapter.adapter import adapter_for
from ossl_train.adapter.tiny_models import TEXT_DIM
from ossl_train.data.dataset import TrainSample
from ossl_train.data.windows import Window
from ossl_train.musicgen import Backbone, load_backbone
from ossl_train.training.checkpoint import TrainerState
from ossl_train.training.distributed import Processes
from ossl_train.training.loop import Parts, after_validation
from ossl_train.training.monitor import read_metrics
from ossl_train.training.settings import FitSettings
from ossl_train.training.train_module import TrainModule
from ossl_train.training.validation import (
    Validation,
    chosen_windows,
    gain_sentence,
    partners_in_other_films,
    validate,
)

from tests.train.small_run import InMemory, parts_of, run
from tests.train.toy_world import FRAMES, RATE, SEGMENTS, WIDTH, World, pretrain, untrained

pytestmark = pytest.mark.usefixtures("one_thread")
ALONE = Processes(0, 1, torch.device("cpu"))
LENGTH_S = SEGMENTS * FRAMES / RATE


def windows(world: World, split: str, films: int, per_film: int, shuffled: bool) -> InMemory:
    """Clips of a world as the windows of films; with `shuffled`, each has another's video."""
    clips = world.clips(films * per_film)
    video = clips.video.roll(1, 0) if shuffled else clips.video
    text = torch.zeros(1, TEXT_DIM)
    samples = [
        TrainSample(
            Window(f"{split}-{n // per_film}", f"{n:04d}", split, 0, 0.0, LENGTH_S),
            clips.codes[n], video[n], world.times, text, None,
        )
        for n in range(films * per_film)
    ]  # fmt: skip
    return InMemory(samples)


def fitted(
    backbone: Backbone, world: World, out: Path, shuffled: bool, steps: int
) -> tuple[TrainerState, list[dict[str, Any]]]:
    """A run on right or on shuffled videos; its validation films have the right ones."""
    torch.manual_seed(1)
    adapter = adapter_for(backbone, video_dim=WIDTH, positions="time", null_tokens=8)
    train: Any = windows(world, "train", 8, 256, shuffled)
    measured: Any = windows(world, "validation", 10, 12, False)
    parts = Parts(backbone, adapter, train, measured, {})
    state, _ = run(
        parts, out, steps=steps, batch_size=32, warmup_steps=20, validate_every=steps,
        video_dropout=0.1,
    )  # fmt: skip
    adapter.detach()
    return state, [line for line in read_metrics(out) if "validation_loss" in line]


@pytest.mark.parametrize("steps", [150, pytest.param(400, marks=pytest.mark.slow)])
def test_the_gain_tells_an_adapter_that_follows_the_video_from_one_that_learned_the_sound(
    tiny_models: Path, tmp_path: Path, steps: int
) -> None:
    torch.manual_seed(0)
    other, world = World(7), World(0)
    backbone = untrained(load_backbone(str(tiny_models / "musicgen")))
    pretrain(backbone, other, 200)
    right, told = fitted(backbone, world, tmp_path / "right", False, steps)
    _, told_blind = fitted(backbone, world, tmp_path / "shuffled", True, steps)
    base, after, after_blind = told[0], told[-1], told_blind[-1]
    logging.getLogger(__name__).info("base %s\nright %s\nshuffled %s", base, after, after_blind)
    fall = base["validation_loss"] - after["validation_loss"]
    fall_blind = base["validation_loss"] - after_blind["validation_loss"]
    # By the loss alone the adapter that never saw a right video is well trained …
    assert fall_blind > 0.5 * fall > 0.1
    # … and the gain says what each has from the video.
    assert base["video_gain"] == 0
    assert right.best_gain == after["video_gain"] > 0.05
    assert right.best_gain_low == after["video_gain_low"] > 0.03
    assert abs(after_blind["video_gain"]) < 0.01
    assert after["loss_no_video"] > after["validation_loss"] + 0.03
    # "No video" has learned the sound, too: it is not the base model.
    assert after["loss_no_video"] < base["validation_loss"] - 0.1
    sentence = gain_sentence(right.best_gain, right.best_gain_low, right.best_gain_high)
    assert "Warning" not in sentence
    assert set(after["alpha"]) == {"layer 0", "layer 1"}
    assert min(abs(alpha) for alpha in after["alpha"].values()) > 0


def test_the_gain_is_the_loss_with_another_films_video_less_that_with_the_own(
    tiny_models: Path,
) -> None:
    parts = parts_of(tiny_models, null_tokens=3)
    with torch.no_grad():
        for layer in parts.adapter.layers:
            layer.alpha.fill_(0.8)
    settings = FitSettings(device="cpu", batch_size=4)
    module = TrainModule(parts.backbone, parts.adapter, settings)
    found = validate(module, parts.validation, settings, ALONE)
    own: dict[str, list[float]] = {}
    other: dict[str, list[float]] = {}
    none: dict[str, list[float]] = {}
    data = parts.validation
    assert data is not None
    partners = partners_in_other_films(data.windows)
    # By hand, window by window.
    for index, window in enumerate(data.windows):
        sample, partner = data.sample(index), data.sample(partners[index])
        assert partner.window.film_id != window.film_id
        text = parts.backbone.no_text(1)
        text = type(text)(sample.text[None], torch.ones(1, len(sample.text), dtype=torch.bool))
        for kept, video, keep in (
            (own, sample, True), (other, partner, True), (none, sample, False),
        ):  # fmt: skip
            with torch.no_grad(), parts.adapter.show(
                video.video[None], video.video_times[None], keep=torch.tensor([keep])
            ):  # fmt: skip
                logits, valid = parts.backbone.logits(sample.codes[None].long(), text)
            losses = torch.nn.functional.cross_entropy(
                logits.flatten(0, 2), sample.codes.flatten().long(), reduction="none"
            )
            kept.setdefault(window.film_id, []).append(
                (float(losses[valid.flatten()].sum()), int(valid.sum()))  # type: ignore[arg-type]
            )
    for kept, measured in (
        (own, found.own_video), (other, found.other_video), (none, found.no_video),
    ):  # fmt: skip
        by_hand = {
            film: sum(one[0] for one in pairs) / sum(one[1] for one in pairs)  # type: ignore[index]
            for film, pairs in kept.items()
        }
        assert dict(measured) == pytest.approx(by_hand, abs=1e-5)
    gains = [found.other_video[film] - found.own_video[film] for film in found.own_video]
    assert found.video_gain == pytest.approx(sum(gains) / len(gains))


def test_a_window_is_paired_with_one_of_like_length_of_another_film() -> None:
    def window(film: str, index: int, duration_s: float) -> Window:
        return Window(film, "000", "validation", index, 0.0, duration_s)

    lengths = (30.0, 30.0, 7.0)
    several = [window(film, index, lengths[index]) for film in "abc" for index in range(3)]
    partners = [several[other] for other in partners_in_other_films(several)]
    assert [one.film_id for one in partners] == list("bbbcccaaa")
    assert [one.duration_s for one in partners] == list(lengths) * 3
    assert {one.index for one in partners[:2]} == {0, 1}  # neighbours have different partners
    assert partners_in_other_films(several[:3]) == []
    assert partners_in_other_films([]) == []


def test_a_large_validation_split_is_measured_evenly_over_its_films() -> None:
    sizes = {"a": 50, "b": 3, "c": 20}
    several = [
        Window(film, f"{number:03d}", "validation", 0, 0.0, 30.0)
        for film, size in sizes.items()
        for number in range(size)
    ]

    def per_film(**settings: int) -> list[int]:
        chosen = chosen_windows(several, FitSettings(**settings))
        assert chosen == sorted(set(chosen))
        assert chosen == chosen_windows(several, FitSettings(**settings))
        films = [several[index].film_id for index in chosen]
        return [films.count(film) for film in sizes]

    assert per_film(validation_windows=23) == [10, 3, 10]
    assert per_film(validation_windows=0) == per_film() == [50, 3, 20]
    same = FitSettings(validation_windows=9), FitSettings(validation_windows=9, seed=1)
    assert chosen_windows(several, same[0]) != chosen_windows(several, same[1])


def test_a_gain_that_may_be_zero_is_a_warning() -> None:
    assert "Warning: it does not differ from 0" in gain_sentence(0.01, -0.002, 0.022)
    assert gain_sentence(0.01, 0.002, 0.018) == (
        "Video gain: 0.0100 nats per token (0.0020 to 0.0180)."
    )
    assert "was not measured" in gain_sentence(None, None, None)


def test_the_best_adapter_can_be_that_of_the_highest_gain() -> None:
    losses = ({"a": 5.0, "b": 5.0}, {"a": 4.0, "b": 4.0}, {"a": 3.5, "b": 3.5})
    gains = (0.0, 0.3, 0.1)
    seen = [
        Validation(own, {film: loss + gain for film, loss in own.items()})
        for own, gain in zip(losses, gains, strict=True)
    ]
    for best_by, expected in (("loss", 2), ("video_gain", 1)):
        state = TrainerState()
        for step, validation in enumerate(seen):
            state = after_validation(
                TrainerState(**{**vars(state), "step": step}),
                validation,
                FitSettings(best_by=best_by),
            )
        assert state.best_step == expected
        assert state.best_gain == pytest.approx(gains[expected])
        assert state.waited == 2 - expected
