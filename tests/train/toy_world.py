"""A world where the loss of the best possible model is known exactly.

A clip is eight segments of three frames. Each segment has one of six random hidden moods, and
each code of the segment is drawn from its mood's own distribution. The video shows the mood of each
segment, with noise, and its time, but not its place: only the times say which segment it was.

What a model can know without the video is the past of the same segment, so its loss cannot be below
`past_only`, which is the exact Bayes loss; with the video it cannot be below `mood_known`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from ossl_train.adapter.adapter import VideoAdapter, adapter_for
from ossl_train.musicgen import Backbone, Shape, TextStates
from ossl_train.musicgen.decoders import AudiocraftModel
from ossl_train.training.optimiser import create_optimiser, rate_at, set_rate
from ossl_train.training.settings import FitSettings
from torch import Tensor, nn
from torch.nn import functional

MOODS, SEGMENTS, FRAMES = 6, 8, 3
CODEBOOKS, CARDINALITY, WIDTH, DIM = 4, 32, 48, 64
RATE = 50.0


@dataclass(frozen=True)
class Clips:
    """Clips of the world: codes [n, K, T], video [n, segments, WIDTH], mood [n, segments]."""

    codes: Tensor
    video: Tensor
    mood: Tensor


class World:
    def __init__(self, seed: int) -> None:
        self.dice = torch.Generator().manual_seed(100 + seed)
        heat = torch.randn(MOODS, CODEBOOKS, CARDINALITY, generator=self.dice)
        self.chances = functional.log_softmax(1.5 * heat, -1)
        self.looks = torch.randn(MOODS, WIDTH, generator=self.dice)
        self.times = (torch.arange(SEGMENTS) * FRAMES + FRAMES / 2) / RATE

    def clips(self, n: int) -> Clips:
        mood = torch.randint(0, MOODS, (n, SEGMENTS), generator=self.dice)
        chances = self.chances.exp()[mood.repeat_interleave(FRAMES, 1)].transpose(1, 2)
        drawn = torch.multinomial(chances.reshape(-1, CARDINALITY), 1, generator=self.dice)
        noise = torch.randn(n, SEGMENTS, WIDTH, generator=self.dice)
        codes = drawn.view(n, CODEBOOKS, SEGMENTS * FRAMES)
        return Clips(codes, self.looks[mood] + 0.3 * noise, mood)

    def bounds(self, clips: Clips) -> tuple[float, float]:
        """The exact losses (past_only, mood_known) of the codes that the delay pattern predicts.

        Follows the delayed sequence step by step with the likelihood of each segment's mood given
        the codes of the steps before.
        """
        n, _, n_frames = clips.codes.shape
        truth = clips.mood.repeat_interleave(FRAMES, 1)
        rows = [self.chances[:, k][:, clips.codes[:, k]] for k in range(CODEBOOKS)]  # MOODS n T
        seen = torch.zeros(SEGMENTS, MOODS, n)
        losses = torch.zeros(CODEBOOKS, 2)
        for step in range(n_frames):
            present = [(k, step - k) for k in range(CODEBOOKS) if step >= k]
            for k, frame in present:
                belief = functional.log_softmax(seen[frame // FRAMES], 0)
                row = rows[k][..., frame]
                losses[k, 0] -= torch.logsumexp(belief + row, 0).mean()
                losses[k, 1] -= row.gather(0, truth[None, :, frame]).mean()
            for k, frame in present:
                seen[frame // FRAMES] += rows[k][..., frame]
        counts = torch.tensor([n_frames - k for k in range(CODEBOOKS)])[:, None]
        past_only, mood_known = (losses / counts).mean(0).tolist()
        return past_only, mood_known


def loss(backbone: Backbone, codes: Tensor, text: TextStates | None = None) -> Tensor:
    """The mean over codebooks of the cross-entropy of valid codes."""
    logits, valid = backbone.logits(codes, text or backbone.no_text(len(codes)))
    each = functional.cross_entropy(logits.flatten(0, 2), codes.flatten(), reduction="none")
    each = each.view_as(codes) * valid
    return (each.sum((0, 2)) / valid.sum((0, 2))).mean()


def untrained(tiny: Backbone) -> Backbone:
    """A backbone of the world's sizes; text encoder and codec are those of the tiny model."""
    from audiocraft.models.builders import get_lm_model
    from omegaconf import OmegaConf
    from ossl_train.adapter.tiny_models import language_model_settings

    settings = OmegaConf.create({**language_model_settings(), "conditioners": {}})
    settings.transformer_lm.update(dim=DIM, num_layers=2, card=CARDINALITY)
    model = AudiocraftModel(get_lm_model(settings), nn.Linear(tiny.shape.text_dim, DIM))
    shape = Shape(DIM, 4, 2, CODEBOOKS, CARDINALITY, RATE, 32_000, tiny.shape.text_dim)
    return Backbone(
        "audiocraft", "the toy world", shape, model, tiny.text_encoder, tiny.codec, torch.float32
    )


def pretrain(backbone: Backbone, world: World, steps: int, rate: float = 3e-3) -> None:
    """Train a language model on codes without video, then freeze it."""
    weights = list(backbone.language_model.module.requires_grad_(True).parameters())
    descend(weights, steps, rate, lambda: loss(backbone, world.clips(32).codes))
    backbone.language_model.module.requires_grad_(False)


def fit(
    backbone: Backbone,
    world: World,
    settings: FitSettings,
    shuffled: bool = False,
    positions: str = "time",
) -> VideoAdapter:
    """Fit an adapter, on the right videos or on those of another clip."""
    adapter = adapter_for(backbone, video_dim=WIDTH, positions=positions, null_tokens=8)
    optimiser = create_optimiser(adapter, settings)
    drops = torch.Generator().manual_seed(settings.seed)
    for step in range(settings.steps):
        clips = world.clips(settings.batch_size)
        video = clips.video.roll(1, 0) if shuffled else clips.video
        keep = torch.rand(len(video), generator=drops) >= settings.video_dropout
        with adapter.show(video, world.times.expand(len(video), -1), keep=keep):
            loss(backbone, clips.codes).backward()
        nn.utils.clip_grad_norm_(adapter.parameters(), settings.clip_norm)
        set_rate(optimiser, rate_at(step, settings))
        optimiser.step()
        optimiser.zero_grad()
    return adapter


@torch.no_grad()
def measured(
    backbone: Backbone, clips: Clips, adapter: VideoAdapter, video: Tensor, times: Tensor
) -> float:
    """The loss on clips while the adapter sees these videos at these times."""
    with adapter.show(video, times.expand(len(video), -1)):
        return float(loss(backbone, clips.codes))


def descend(
    weights: list[nn.Parameter], steps: int, rate: float, one: Callable[[], Tensor]
) -> None:
    """AdamW in one cycle, gates at ten times the rate; `one` gives the loss of each step."""
    alphas = [weight for weight in weights if weight.shape == (1,)]
    others = [weight for weight in weights if weight.shape != (1,)]
    groups = [{"params": others, "lr": rate}, {"params": alphas, "lr": 10 * rate}]
    groups = [group for group in groups if group["params"]]
    optimiser = torch.optim.AdamW(groups, weight_decay=0.0)
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimiser, [group["lr"] for group in groups], steps
    )
    for _ in range(steps):
        optimiser.zero_grad()
        one().backward()
        optimiser.step()
        schedule.step()
