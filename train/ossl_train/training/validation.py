"""Validation: the loss of each film with its own video, with another film's, and with none.

All three are measured on the same windows. An adapter may lower the loss only
because it knows the sound of the corpus, which needs no video. The difference of the first two is
what the video gives: the video gain.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor

from ossl_train.data.dataset import Batch, Dataset, TrainSample, batch_indices, collate
from ossl_train.data.source import draw_evenly
from ossl_train.data.windows import Window
from ossl_train.metrics import intervals
from ossl_train.training.distributed import Processes
from ossl_train.training.settings import FitSettings
from ossl_train.training.train_module import TrainModule

RESAMPLES = 2000


@dataclass(frozen=True)
class Validation:
    """The losses of a validation split, in nats per token, by film.

    Attributes:
        own_video: with the window's own video.
        other_video: with the video of a window of another film; empty with fewer than two films.
        no_video: without a video: the learned tokens for it, or else the base model.
    """

    own_video: Mapping[str, float]
    other_video: Mapping[str, float] = field(default_factory=dict)
    no_video: Mapping[str, float] = field(default_factory=dict)

    @property
    def loss(self) -> float | None:
        """The mean over films; None without films."""
        return _mean(self.own_video)

    @property
    def video_gain(self) -> float | None:
        """The mean over films of what the video gives, nats per token; None below two films."""
        return _mean(_gains(self))

    @property
    def video_gain_interval(self) -> intervals.Interval | None:
        """The 95 % interval of the video gain over films; None below two films."""
        gains = np.array(list(_gains(self).values()))
        return intervals.of_mean(gains, RESAMPLES, np.random.default_rng(0))

    def figures(self) -> dict[str, object]:
        """Return the figures for the log; those that could not be measured are left out."""
        interval = self.video_gain_interval
        values = {
            "validation_loss": self.loss,
            "loss_other_video": _mean(self.other_video),
            "loss_no_video": _mean(self.no_video),
            "video_gain": self.video_gain,
            "video_gain_low": interval and interval[0],
            "video_gain_high": interval and interval[1],
            "film": dict(self.own_video),
            "film_video_gain": _gains(self),
        }
        return {name: value for name, value in values.items() if value not in (None, {})}


def _mean(losses: Mapping[str, float]) -> float | None:
    return sum(losses.values()) / len(losses) if losses else None


def _gains(validation: Validation) -> dict[str, float]:
    own = validation.own_video
    return {film: loss - own[film] for film, loss in validation.other_video.items()}


def gain_sentence(gain: float | None, low: float | None, high: float | None) -> str:
    """Return the video gain as a sentence, with a warning if it does not differ from 0."""
    if gain is None or low is None or high is None:
        return "The video gain was not measured: it needs two films in the validation split."
    text = f"Video gain: {gain:.4f} nats per token ({low:.4f} to {high:.4f})."
    if low > 0:
        return text
    return (
        f"{text} Warning: it does not differ from 0. Another film's video does as well, so the "
        "adapter has learned the sound of the corpus at most, not to follow the video."
    )


@torch.no_grad()  # type: ignore[untyped-decorator]
def validate(
    module: TrainModule, dataset: Dataset | None, settings: FitSettings, processes: Processes
) -> Validation:
    """Measure the losses of a split, without dropout.

    Every film has the same weight: the mean over films decides which adapter is the best.

    Raises:
        OsslError: see `Dataset.sample`.
    """
    if dataset is None:
        return Validation({})
    chosen = chosen_windows(dataset.windows, settings)
    windows = [dataset.windows[index] for index in chosen]
    films = sorted({window.film_id for window in windows})
    partners = partners_in_other_films(windows)
    sums = torch.zeros(3, 2, len(films), dtype=torch.float64, device=processes.device)
    share = (processes.rank, processes.world)
    for numbers in batch_indices(len(chosen), settings.batch_size, 0, 0, *share, shuffle=False):
        samples = [dataset.sample(chosen[number]) for number in numbers]
        of_film = torch.tensor([films.index(sample.window.film_id) for sample in samples])
        own = collate(samples).to(processes.device)
        nobody = torch.zeros(len(samples), dtype=torch.bool, device=processes.device)
        measured: list[tuple[Batch, Tensor | None]] = [(own, None), (own, nobody)]
        if partners:
            others = [dataset.sample(chosen[partners[number]]) for number in numbers]
            swapped = [_with_video_of(*pair) for pair in zip(samples, others, strict=True)]
            measured.append((collate(swapped).to(processes.device), None))
        for row, (batch, keep) in enumerate(measured):
            losses, tokens = module(batch, keep, None)
            sums[row, 0].index_add_(0, of_film.to(sums.device), losses.double())
            sums[row, 1].index_add_(0, of_film.to(sums.device), tokens.double())
    rows = [
        {film: loss / n for film, loss, n in zip(films, losses, tokens, strict=True) if n}
        for losses, tokens in processes.add_up(sums).tolist()
    ]
    return Validation(own_video=rows[0], no_video=rows[1], other_video=rows[2])


def chosen_windows(windows: Sequence[Window], settings: FitSettings) -> list[int]:
    """Return the windows that are measured: as many of each film as possible, by the run's seed."""
    count = settings.validation_windows or len(windows)
    film_of = {index: window.film_id for index, window in enumerate(windows)}
    return sorted(draw_evenly(film_of, count, np.random.default_rng(settings.seed)))


def partners_in_other_films(windows: Sequence[Window]) -> list[int]:
    """Return for each window the index of a window of another film, of like length if possible.

    Neighbouring windows have different partners. Fewer than two films: an empty list.
    """
    films = sorted({window.film_id for window in windows})
    if len(films) < 2:
        return []
    of_film = {
        film: [index for index, window in enumerate(windows) if window.film_id == film]
        for film in films
    }
    partners = []
    for index, window in enumerate(windows):
        candidates = of_film[films[(films.index(window.film_id) + 1) % len(films)]]
        turn = index % len(candidates)
        in_turn = candidates[turn:] + candidates[:turn]
        partners.append(
            min(in_turn, key=lambda other: abs(windows[other].duration_s - window.duration_s))
        )
    return partners


def _with_video_of(sample: TrainSample, other: TrainSample) -> TrainSample:
    """Return a window with the picture of another one; the dialogue curves remain its own."""
    return dataclasses.replace(
        sample, video=other.video, video_times=other.video_times, events=other.events
    )
