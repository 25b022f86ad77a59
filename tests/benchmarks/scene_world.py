"""A world like that of `tests/train/toy_world.py` in which prompt and dialogue matter, too.

A clip has eight segments of three frames. Three independent hidden variables determine its codes:
the mood of the segment (only the video shows it), the tone of the clip (only the prompt gives it),
and whether the segment is ducked under dialogue (only the loudness of the dialogue shows it).
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from ossl_train.musicgen import TextStates
from torch import Tensor
from torch.nn import functional

from tests.train.toy_world import CARDINALITY, CODEBOOKS, FRAMES, MOODS, RATE, SEGMENTS, WIDTH

TONES, DUCKED = 2, 2
STATES = MOODS * TONES * DUCKED


@dataclass(frozen=True)
class Scenes:
    """Clips: state [n, segments], codes [n, K, T], video, text, dialogue [n, segments, 2]."""

    state: Tensor
    codes: Tensor
    video: Tensor
    text: TextStates
    dialogue: Tensor

    @property
    def mood(self) -> Tensor:
        return self.state // (TONES * DUCKED)

    @property
    def tone(self) -> Tensor:
        return self.state[:, 0] // DUCKED % TONES


class SceneWorld:
    def __init__(self, seed: int, text_dim: int) -> None:
        dice = torch.Generator().manual_seed(500 + seed)
        table = (CODEBOOKS, CARDINALITY)
        heat = 1.5 * torch.randn(MOODS, 1, 1, *table, generator=dice)
        heat = heat + torch.randn(TONES, 1, *table, generator=dice)
        heat = heat + torch.randn(DUCKED, *table, generator=dice)
        self.chances = functional.log_softmax(heat, -1).flatten(0, 2)
        self.looks = torch.randn(MOODS, WIDTH, generator=dice)
        self.words = torch.randn(TONES, text_dim, generator=dice)
        self.times = (torch.arange(SEGMENTS) * FRAMES + FRAMES / 2) / RATE

    def scenes(self, n: int, dice: torch.Generator) -> Scenes:
        mood = torch.randint(0, MOODS, (n, SEGMENTS), generator=dice)
        tone = torch.randint(0, TONES, (n, 1), generator=dice)
        ducked = torch.randint(0, DUCKED, (n, SEGMENTS), generator=dice)
        state = (mood * TONES + tone) * DUCKED + ducked
        chances = self.chances.exp()[state.repeat_interleave(FRAMES, 1)].transpose(1, 2)
        drawn = torch.multinomial(chances.reshape(-1, CARDINALITY), 1, generator=dice)
        video = self.looks[mood] + 0.3 * torch.randn(n, SEGMENTS, WIDTH, generator=dice)
        # As `ossl train features` measures speech of about -25 LUFS, and none.
        loud = torch.rand(n, SEGMENTS, 2, generator=dice) * torch.tensor([0.1, 0.05])
        dialogue = (loud + torch.tensor([0.6, 0.03])) * ducked[..., None]
        text = TextStates(self.words[tone], torch.ones(n, 1, dtype=torch.bool))
        codes = drawn.view(n, CODEBOOKS, SEGMENTS * FRAMES)
        return Scenes(state, codes, video, text, dialogue)

    def rows(self, codes: Tensor) -> Tensor:
        """Log probabilities [STATES, n, K, T] of codes in each state."""
        return torch.stack([self.chances[:, k][:, codes[:, k]] for k in range(CODEBOOKS)], dim=2)

    def bound(self, scenes: Scenes, told: Tensor) -> float:
        """The exact loss of the best model that knows `told` [STATES] of each segment.

        Steps are those of the delay pattern, as in `toy_world.World.bounds`. The model must know
        the tone, or segments would not be independent of one another.
        """
        rows, truth = self.rows(scenes.codes), scenes.state.T
        open_still = told[:, None] == told[truth][:, None]  # SEGMENTS STATES n
        seen = torch.zeros(open_still.shape).masked_fill(~open_still, -torch.inf)
        n_frames = SEGMENTS * FRAMES
        losses = torch.zeros(CODEBOOKS)
        for step in range(n_frames):
            present = [(k, step - k) for k in range(CODEBOOKS) if step >= k]
            for k, frame in present:
                belief = functional.log_softmax(seen[frame // FRAMES], 0)
                losses[k] -= torch.logsumexp(belief + rows[:, :, k, frame], 0).mean()
            for k, frame in present:
                seen[frame // FRAMES] += rows[:, :, k, frame]
        return float((losses / torch.tensor([n_frames - k for k in range(CODEBOOKS)])).mean())

    def judged(self, scenes: Scenes, codes: Tensor) -> tuple[float, float, float]:
        """Shares of segments and clips whose codes match the shown mood and the tone; nats.

        Nats are per code, with mood and tone known. If they are fewer than for codes of the world,
        the codes are more typical than music of this mood is.
        """
        n = len(codes)
        each = self.rows(codes).sum(2).unflatten(-1, (SEGMENTS, FRAMES)).sum(-1)
        each = each.unflatten(0, (MOODS, TONES, DUCKED)).logsumexp(2)  # MOODS TONES n SEGMENTS
        mood = (each.logsumexp(1).argmax(0) == scenes.mood).float().mean()
        tone = (each.logsumexp(0).sum(-1).argmax(0) == scenes.tone).float().mean()
        right = each[scenes.mood.T, scenes.tone, torch.arange(n), torch.arange(SEGMENTS)[:, None]]
        nats = torch.log(torch.tensor(float(DUCKED))) - right
        return float(mood), float(tone), float(nats.mean()) / (CODEBOOKS * FRAMES)
