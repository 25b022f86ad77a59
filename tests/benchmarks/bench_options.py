"""Effect of the adapter options that are off by default, where the best loss is known exactly.

    python -m tests.benchmarks.bench_options [--work DIR] [--seeds N] [--steps N] [--only NAME …]

In the world of `scene_world` only the video shows the mood of a segment (one of 6), only the prompt
the tone of a clip (one of 2), and only the loudness of the dialogue whether the music is ducked
under it. The base model is trained on codes and prompts, three clips in ten without a prompt, and
frozen. Then one adapter for each option is fitted, from the same initial weights on the same clips.

Losses are those of 512 new clips, in nats per code. The codes that are generated for 256 of them,
with weights of text and video guidance, are evaluated with the true probabilities of the world: for
how many segments is the most likely mood of the 12 codes the one that was shown, for how many clips
the tone; and how typical are the codes, in nats per code given both.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from ossl_train.adapter.adapter import VideoAdapter, adapter_for
from ossl_train.adapter.tiny_models import MUSICGEN, write_tiny_models
from ossl_train.musicgen import Backbone, Sampling, TextStates, load_backbone
from torch import Tensor

from tests.benchmarks.scene_world import DUCKED, STATES, Scenes, SceneWorld
from tests.train.toy_world import FRAMES, SEGMENTS, WIDTH, descend, loss, untrained

BATCH, LEARNING_RATE = 32, 3e-3
WEIGHTS = ((1, 1), (1, 2), (1, 3), (3, 1), (3, 2), (3, 3))
"""Text and video guidance."""


@dataclass(frozen=True)
class Option:
    """How one adapter is fitted."""

    name: str
    video_dropout: float = 0.0
    text_dropout: float = 0.0
    dialogue: bool = False
    events: bool = False
    shuffled: bool = False


OPTIONS = (
    Option("none"),
    Option("video dropout 0.1", video_dropout=0.1),
    Option("video dropout 0.3", video_dropout=0.3),
    Option("text dropout 0.1", text_dropout=0.1),
    Option("text dropout 0.3", text_dropout=0.3),
    Option("dialogue", dialogue=True),
    Option("dialogue, fitted on others'", dialogue=True, shuffled=True),
    Option("events", events=True),
    Option("events, fitted on others'", events=True, shuffled=True),
)
JUDGED = ("mood", "tone", "nats")
GUIDED = ("none", "video dropout 0.3", "text dropout 0.3")


def read_by(text: TextStates, reading: Tensor) -> TextStates:
    """Prompts of the items that get their prompt."""
    return TextStates(text.states * reading[:, None, None], text.mask & reading[:, None])


def pretrained(tiny: Backbone, world: SceneWorld, steps: int, seed: int) -> Backbone:
    """A base model trained on codes and prompts."""
    torch.manual_seed(seed)
    backbone = untrained(tiny)
    dice = torch.Generator().manual_seed(seed)

    def one() -> Tensor:
        scenes = world.scenes(BATCH, dice)
        reading = torch.rand(BATCH, generator=dice) >= 0.3
        return loss(backbone, scenes.codes, read_by(scenes.text, reading))

    module = backbone.language_model.module.requires_grad_(True)
    descend(list(module.parameters()), steps, LEARNING_RATE, one)
    module.requires_grad_(False)
    return backbone


def events_of(dialogue: Tensor) -> Tensor:
    """Curves of events whose dialogue is that of the scenes; cuts and motion say nothing."""
    blind = torch.rand(*dialogue.shape[:2], 2, generator=torch.Generator().manual_seed(5))
    return torch.cat([blind, dialogue[..., :1]], dim=-1)


def fitted(
    backbone: Backbone, world: SceneWorld, option: Option, steps: int, seed: int
) -> VideoAdapter:
    """An adapter; all options begin with the same weights and see the same clips."""
    torch.manual_seed(seed)
    adapter = adapter_for(
        backbone,
        video_dim=WIDTH,
        positions="time",
        dialogue=option.dialogue,
        events=option.events,
        null_tokens=8 if option.video_dropout else 0,
    )
    dice, drops = (torch.Generator().manual_seed(1000 * which + seed) for which in (1, 2))

    def one() -> Tensor:
        scenes = world.scenes(BATCH, dice)
        drawn = torch.rand(2, BATCH, generator=drops)
        keep, reading = drawn[0] >= option.video_dropout, drawn[1] >= option.text_dropout
        dialogue = scenes.dialogue.roll(1, 0) if option.shuffled else scenes.dialogue
        times = world.times.expand(BATCH, -1)
        curves = {"dialogue": dialogue, "events": events_of(dialogue)}
        with adapter.show(scenes.video, times, keep=keep, **curves):
            return loss(backbone, scenes.codes, read_by(scenes.text, reading))

    descend(list(adapter.parameters()), steps, LEARNING_RATE, one)
    return adapter


@torch.no_grad()
def losses(
    backbone: Backbone, adapter: VideoAdapter, world: SceneWorld, scenes: Scenes
) -> dict[str, float]:
    """The loss with all inputs of the adapter, and with one input removed or exchanged."""

    def of(
        video: Tensor = scenes.video, dialogue: Tensor = scenes.dialogue, reading: bool = True,
        strength: float = 1.0,
    ) -> float:  # fmt: skip
        text = scenes.text if reading else scenes.text.without_text()
        times = world.times.expand(len(video), -1)
        curves = {"dialogue": dialogue, "events": events_of(dialogue)}
        with adapter.show(video, times, strength=strength, **curves):
            return float(loss(backbone, scenes.codes, text))

    found = {
        "loss": of(),
        "no prompt": of(reading=False),
        "no video": of(strength=0.0),
        "other video": of(video=scenes.video.roll(1, 0)),
    }
    if adapter.config.dialogue or adapter.config.events:
        found["other dialogue"] = of(dialogue=scenes.dialogue.roll(1, 0))
    return found


def generated(
    backbone: Backbone, adapter: VideoAdapter, world: SceneWorld, scenes: Scenes,
    text_guidance: float, video_guidance: float,
) -> Tensor:  # fmt: skip
    """Codes for the scenes' videos and prompts."""
    sampling = Sampling(top_k=0, text_guidance=text_guidance, video_guidance=video_guidance)
    with adapter.show(scenes.video, world.times.expand(len(scenes.video), -1)):
        return backbone.generate(scenes.text, SEGMENTS * FRAMES, sampling)


Found = dict[str, dict[str, list[float]]]
"""By row and measure: a figure for each seed."""


def measure(
    tiny: Backbone, seed: int, steps: int, only: Sequence[str], found: Found, heard: Found
) -> None:
    """Everything for one seed."""
    world = SceneWorld(seed, tiny.shape.text_dim)
    scenes = world.scenes(512, torch.Generator().manual_seed(9000 + seed))
    few = world.scenes(256, torch.Generator().manual_seed(9500 + seed))
    states = torch.arange(STATES)
    for name, told in (
        ("best, prompt known", states // DUCKED % 2),
        ("best, prompt and mood known", states // DUCKED),
        ("best, all known", states),
    ):
        add(found, name, {"loss": world.bound(scenes, told)})
    backbone = pretrained(tiny, world, steps, seed)
    add(heard, "the world's own", dict(zip(JUDGED, world.judged(few, few.codes), strict=True)))
    for option in OPTIONS:
        if option.name != "none" and only and option.name not in only:
            continue
        adapter = fitted(backbone, world, option, steps, seed)
        figures = losses(backbone, adapter, world, scenes)
        if option.name == "none":
            add(found, "base model", {"loss": figures["no video"]})
        add(found, option.name, figures)
        for weights in WEIGHTS if option.name in GUIDED else ():
            codes = generated(backbone, adapter, world, few, *weights)
            name = "{}: text {}, video {}".format(option.name, *weights)
            add(heard, name, dict(zip(JUDGED, world.judged(few, codes), strict=True)))
        adapter.detach()


def add(found: Found, row: str, figures: dict[str, float]) -> None:
    for name, figure in figures.items():
        found.setdefault(row, {}).setdefault(name, []).append(figure)


def print_losses(found: Found) -> None:
    """Means over seeds, and the difference of each seed's loss from that without options."""
    columns = ("loss", "no prompt", "no video", "other video", "other dialogue")
    print_line(
        f"{'':29}" + "".join(f"{name:>15}" for name in columns) + "   loss against none, by seed"
    )
    for row, figures in found.items():
        means = [sum(of) / len(of) for name in columns if (of := figures.get(name))]
        plain = found["none"]["loss"]
        apart = [one - other for one, other in zip(figures["loss"], plain, strict=True)]
        shown = " ".join(f"{one:+.4f}" for one in apart) if "no video" in figures else ""
        print_line(f"{row:29}" + f"{''.join(f'{mean:15.4f}' for mean in means):75}   {shown}")


def print_generated(heard: Found) -> None:
    """Means over seeds, and the share of the shown mood for each seed."""
    print_line(f"{'generated':42}{JUDGED[0]:>9}{JUDGED[1]:>9}{JUDGED[2]:>9}   mood by seed")
    for row, figures in heard.items():
        mood, tone, nats = (sum(figures[name]) / len(figures[name]) for name in JUDGED)
        shown = " ".join(f"{100 * one:.1f}" for one in figures["mood"])
        print_line(f"{row:42}{100 * mood:8.1f}%{100 * tone:8.1f}%{nats:9.4f}   {shown}")


def print_line(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--work", type=Path, help="not needed: nothing is kept")
    parser.add_argument("--seeds", type=int, default=3, help="worlds, each with its own models")
    parser.add_argument("--steps", type=int, default=600, help="of the base model and each adapter")
    parser.add_argument("--only", nargs="*", default=[], help="options, by name; none: all")
    chosen = parser.parse_args(arguments)
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    found: Found = {}
    heard: Found = {}
    began = time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        write_tiny_models(Path(folder))
        tiny = load_backbone(f"{folder}/{MUSICGEN}")
        for seed in range(chosen.seeds):
            measure(tiny, seed, chosen.steps, chosen.only, found, heard)
    torch.set_num_threads(before)
    print_line(
        f"options {chosen.seeds} seeds, {chosen.steps} steps, nats per code: means; "
        f"{time.monotonic() - began:.0f} s"
    )
    print_losses(found)
    print_generated(heard)


if __name__ == "__main__":
    main()
