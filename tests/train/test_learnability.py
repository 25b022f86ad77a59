"""Does the adapter learn from the video? Its losses are compared with exactly known losses.

In the world of `toy_world` no model without the video can be better than `past_only`, so an adapter
that is better has learned from the video; one that sees another clip's video, the right video at
wrong times, or was fitted on shuffled videos must not be. The settings are those of the recipe
`small`, to the last rate; the quick case has fewer steps. Figures are logged:
`pytest tests/train/test_learnability.py -m "" --log-cli-level=INFO`.
"""

from __future__ import annotations

import logging
from pathlib import Path

import pytest
import torch
from ossl_train.musicgen import load_backbone
from ossl_train.recipe import load_train_recipe

from tests.train.toy_world import FRAMES, RATE, World, fit, loss, measured, pretrain, untrained

SHIPPED = load_train_recipe("small").fit


@pytest.mark.usefixtures("one_thread")
@pytest.mark.parametrize(
    ("seed", "pretraining", "fitting", "controls", "margin"),
    [
        (0, 400, 1500, 200, 0.0),
        pytest.param(0, 600, SHIPPED.steps, SHIPPED.steps, 0.03, marks=pytest.mark.slow),
        pytest.param(1, 600, SHIPPED.steps, SHIPPED.steps, 0.03, marks=pytest.mark.slow),
        pytest.param(2, 600, SHIPPED.steps, SHIPPED.steps, 0.03, marks=pytest.mark.slow),
    ],
)
def test_the_adapter_learns_what_only_the_video_shows(
    tiny_models: Path, seed: int, pretraining: int, fitting: int, controls: int, margin: float
) -> None:
    torch.manual_seed(seed)
    world = World(seed)
    backbone = untrained(load_backbone(str(tiny_models / "musicgen")))
    clips = world.clips(512)
    past_only, mood_known = world.bounds(clips)
    pretrain(backbone, world, pretraining)
    with torch.no_grad():
        base = float(loss(backbone, clips.codes))

    trained, control = (
        SHIPPED.model_copy(update={"steps": steps}) for steps in (fitting, controls)
    )
    adapter = fit(backbone, world, SHIPPED.model_copy(update={"steps": 0}))
    start = measured(backbone, clips, adapter, clips.video, world.times)
    adapter.detach()
    adapter = fit(backbone, world, trained)
    right = measured(backbone, clips, adapter, clips.video, world.times)
    other_clip = measured(backbone, clips, adapter, clips.video.roll(1, 0), world.times)
    wrong_time = measured(backbone, clips, adapter, clips.video, world.times.roll(1))
    one_late = measured(backbone, clips, adapter, clips.video, world.times + FRAMES / RATE)
    adapter.detach()
    adapter = fit(backbone, world, control, shuffled=True)
    shuffled = measured(backbone, clips, adapter, clips.video, world.times)
    adapter.detach()
    adapter = fit(backbone, world, control, positions="none")
    no_times = measured(backbone, clips, adapter, clips.video, world.times)
    adapter.detach()
    logging.getLogger(__name__).info(
        "seed %d: past only %.4f, mood known %.4f, base %.4f, start %.4f, right video %.4f, other "
        "clip %.4f, wrong time %.4f, one segment late %.4f, fitted shuffled %.4f, without times "
        "%.4f",
        *(seed, past_only, mood_known, base, start, right, other_clip, wrong_time, one_late),
        *(shuffled, no_times),
    )

    assert start == base
    assert base > past_only
    assert mood_known < right < past_only - margin
    assert other_clip > base + 0.3
    assert wrong_time > base + 0.3
    assert one_late > base + 0.2
    assert shuffled > base - 0.01
    assert no_times > past_only
