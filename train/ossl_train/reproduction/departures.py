"""Every known departure of a reproduction from OSSL v1 (arXiv 2506.12573) and its published code.

The first list holds for each run: errors of the published code that are not repeated, what is not
known, and what this project decided otherwise. The rest is computed from the run.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any

from ossl_train.data.source import Source
from ossl_train.evaluation.settings import CLAP
from ossl_train.recipe import TrainRecipe, load_train_recipe
from ossl_train.training.run_folder import shaping_settings

PAPER = {
    "title": "Video-Guided Text-to-Music Generation Using Public Domain Movie Collections",
    "authors": "Kim, Novack, Xu, McAuley, Dong",
    "where": "ISMIR 2025, arXiv 2506.12573",
}
RECIPE = "paper_medium"
N_CLIPS, HOURS = 736, 36.5
ERROR, UNKNOWN, CHOICE, RUN = (
    "error of the published code", "not known", "decision of this project", "this run",
)  # fmt: skip
KINDS = (RUN, CHOICE, UNKNOWN, ERROR)


@dataclass(frozen=True)
class Departure:
    """One difference.

    Attributes:
        kind: one of `KINDS`.
        topic: what differs, a few words.
        published: the paper, or its code.
        here: this reproduction.
    """

    kind: str
    topic: str
    published: str
    here: str

    def plain(self) -> dict[str, Any]:
        """Return plain values."""
        return asdict(self)


FIXED = (
    Departure(
        ERROR, "positions of the base model",
        "another position embedding replaces MusicGen's, so the base model is not MusicGen",
        "MusicGen's own positions",
    ),
    Departure(
        ERROR, "loading the checkpoint",
        "loaded under a wrong key: the result is MusicGen without an adapter, without an error",
        "a checkpoint that does not fit is an error",
    ),
    Departure(
        ERROR, "several GPUs",
        "each GPU trains its own adapter",
        "all processes train one adapter",
    ),
    Departure(
        ERROR, "learning rate",
        "the schedule is built for an eighth of the steps and stepped per batch; the rate of the "
        "command line is ignored",
        "linear rise, then a cosine over the optimiser's steps",
    ),
    Departure(
        ERROR, "gradients",
        "accumulation is ignored; gradients are clipped while they are scaled",
        "accumulated as a mean over tokens, clipped unscaled",
    ),
    Departure(
        ERROR, "loss",
        "only the first item of a batch enters the loss, and padding is trained as silence",
        "every window enters the loss, and padding does not",
    ),
    Departure(
        ERROR, "windows",
        "only the first 30 s of each clip are used",
        "all windows of each clip",
    ),
    Departure(
        ERROR, "loudness", "each window is normalised by its peak", "the loudness of the film",
    ),
    Departure(
        ERROR, "guidance",
        "both halves of the guidance see the video, so it never strengthens the video",
        "the half without conditions does not see the video",
    ),
    Departure(
        ERROR, "start of generated music",
        "music is generated as the continuation of a tone of 440 Hz, which is in every file",
        "music starts from nothing",
    ),
    Departure(
        ERROR, "evaluation",
        "windows are drawn at random without a seed; KL can be infinite; the Fréchet distance of "
        "100 clips in 512 dimensions is mostly bias",
        "windows cover each file; KL is finite; an extrapolated distance and intervals over films "
        "are given too",
    ),
    Departure(
        UNKNOWN, "length of the training",
        "early stopping with patience 3; steps, warm-up and batch size are not known here",
        "the recipe's; its patience counts passes over the train split and validations",
    ),
    Departure(
        UNKNOWN, "sampling of the music",
        "temperature, top-k and weights of guidance are not known here",
        "the defaults of `ossl train generate`, recorded beside each file",
    ),
    Departure(
        UNKNOWN, "splits",
        "files for training and validation; whether films are kept apart is not known",
        "the splits table of the data; `ossl split` keeps films apart",
    ),
    Departure(
        CHOICE, "evaluation set",
        "OES-Pub and OES-Com, clips of 30 s (OES-Com: 100)",
        "the clips of one split, at their full length",
    ),
    Departure(
        CHOICE, "listening test",
        "people rate how well mood and genre fit",
        "not part of this command: `ossl train listen push`",
    ),
)  # fmt: skip


def departures_of(
    recipe: TrainRecipe, source: Source, split: str, clap: str, with_kl: bool
) -> list[Departure]:
    """Return all departures of a run, those that only this run has first.

    Args:
        recipe: the recipe of the run, without the folders of this machine.
        source: the clips of the run.
        split: the split that is evaluated.
        clap: name of the CLAP, or `none`.
        with_kl: whether the KL divergence was measured.
    """
    computed = [
        *_of_settings(recipe),
        *_of_data(source, split),
        *_of_evaluation(clap, with_kl),
    ]
    return sorted([*computed, *FIXED], key=lambda one: KINDS.index(one.kind))


def _of_settings(recipe: TrainRecipe) -> Iterator[Departure]:
    if recipe.fit.precision == "bf16":
        yield Departure(
            CHOICE, "precision", "float32",
            "bf16 for the frozen model and the arithmetic; the adapter stays in float32",
        )  # fmt: skip
    paper, used = result_settings(load_train_recipe(RECIPE)), result_settings(recipe)
    for key in sorted(used):
        if used[key] != paper[key]:
            yield Departure(
                RUN, f"setting {key}", f"{paper[key]} in the recipe {RECIPE}", str(used[key])
            )


def result_settings(recipe: TrainRecipe) -> dict[str, Any]:
    """Return the settings that a result depends on, with those that decide when a run ends."""
    ends = {f"fit.{key}": getattr(recipe.fit, key) for key in ("min_steps", "patience")}
    return shaping_settings(recipe) | ends


def _of_data(source: Source, split: str) -> Iterator[Departure]:
    clips = [one.clip for one in source.clips]
    hours = sum(clip.duration_s for clip in clips) / 3600
    if len(clips) != N_CLIPS or abs(hours - HOURS) > HOURS / 100:
        yield Departure(
            RUN, "clips", f"{N_CLIPS} clips, {HOURS} h", f"{len(clips)} clips, {hours:.2f} h"
        )
    for what, has in (
        ("mood", [bool(one.label and one.label.mood) for one in source.clips]),
        ("caption", [bool(one.label and one.label.caption) for one in source.clips]),
    ):
        if missing := has.count(False):
            yield Departure(
                RUN, f"clips without a {what}", "none",
                f"{missing} of {len(has)}: their prompt is shorter",
            )  # fmt: skip
    of_split = source.on(split)
    if not any(one.split == "validation" for one in source.clips):
        yield Departure(
            RUN, "validation", "a file of validation clips", "no clip is in the split validation"
        )
    n_films = len({one.clip.film_id for one in of_split})
    yield Departure(
        RUN, "evaluated clips", "see evaluation set",
        f"{len(of_split)} clips of {n_films} films, split {split}",
    )  # fmt: skip


def _of_evaluation(clap: str, with_kl: bool) -> Iterator[Departure]:
    if clap != CLAP:
        yield Departure(RUN, "CLAP", CLAP, clap)
    if not with_kl:
        yield Departure(RUN, "KL divergence", "on PaSST", "not measured: it needs --kl")
