"""Section `fit` of a training recipe."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from ossl_builder.engine.cache import UNSHAPING
from ossl_builder.engine.settings import Settings


class FitSettings(Settings):
    """How the adapter is trained. A step is an optimiser step; rates and limits count steps."""

    device: Literal["auto", "cpu", "cuda"] = Field(
        "auto",
        description="cuda: stop with an error without a GPU; auto: a GPU if there is one",
        json_schema_extra=UNSHAPING,
    )
    precision: Literal["fp32", "bf16"] = Field(
        "fp32", description="bf16: the frozen model in bf16 and autocast; the adapter stays fp32"
    )
    batch_size: int = Field(4, ge=1, le=1024, description="windows per process in one forward pass")
    accumulation: int = Field(
        1, ge=1, le=4096, description="batches per step; each token of a step weighs the same"
    )
    steps: int = Field(
        2000, ge=1, description="steps of the run; the learning rate schedule has this length"
    )
    learning_rate: float = Field(
        1e-4,
        gt=0,
        le=1,
        description="highest learning rate of AdamW for MusicGen small; a model of another width "
        "gets it times 1024 / width",
    )
    last_rate: float = Field(
        0.0, ge=0, le=1, description="end of the cosine, as a share of the highest rate"
    )
    warmup_steps: int = Field(100, ge=0, description="steps of linear rise before the cosine")
    alpha_rate: float = Field(
        100.0,
        gt=0,
        le=1000,
        description="learning rate of the gates alpha, as a multiple of learning_rate",
    )
    weight_decay: float = Field(
        0.01,
        ge=0,
        le=1,
        description="weight decay of AdamW, on matrices only: not on alphas, biases and norms",
    )
    beta_1: float = Field(0.9, ge=0, lt=1, description="first beta of AdamW")
    beta_2: float = Field(0.999, ge=0, lt=1, description="second beta of AdamW")
    clip_norm: float = Field(
        1.0, ge=0, description="gradient clipping, L2 norm over all parameters; 0: off"
    )
    video_dropout: float = Field(
        0.1,
        ge=0,
        lt=1,
        description="share of windows trained with learned tokens for `no video`; 0: no such ones",
    )
    text_dropout: float = Field(
        0.0, ge=0, lt=1, description="share of windows trained without their prompt"
    )
    averaging: float = Field(
        0.0,
        ge=0,
        lt=1,
        description="decay per step of a moving average of the adapter, which is then what is "
        "validated and kept as the best; 0: off",
    )
    gradient_checkpointing: Literal["auto", "on", "off"] = Field(
        "auto",
        description="compute each layer again in the backward pass: less memory, a third more "
        "work; auto: where a step does not fit into the GPU's memory",
        json_schema_extra=UNSHAPING,
    )
    compile: bool = Field(
        False,
        description="compile the decoder's layers with torch.compile, which takes minutes at first",
        json_schema_extra=UNSHAPING,
    )
    validate_every: int = Field(100, ge=1, description="steps between validations")
    validation_windows: int = Field(
        400,
        ge=0,
        description="windows of the validation split that are measured, the same each time, evenly "
        "from its films; 0: all",
    )
    best_by: Literal["loss", "video_gain"] = Field(
        "loss",
        description="which adapter is the best: that of the lowest validation loss, or that of the "
        "highest video gain (loss with another film's video less loss with its own)",
    )
    patience: float = Field(
        3.0,
        ge=0,
        description="passes over the train split, and validations, without a better adapter that "
        "end the run; 0: never",
        json_schema_extra=UNSHAPING,
    )
    min_steps: int = Field(
        1000,
        ge=0,
        description="steps before which patience does not end the run",
        json_schema_extra=UNSHAPING,
    )
    checkpoint_every: int = Field(
        100, ge=1, description="steps between checkpoints", json_schema_extra=UNSHAPING
    )
    samples_every: int = Field(
        0,
        ge=0,
        description="steps between samples of validation windows, to be heard; 0: off",
        json_schema_extra=UNSHAPING,
    )
    samples: int = Field(
        4, ge=1, le=64, description="validation windows of a sample", json_schema_extra=UNSHAPING
    )
    seed: int = Field(
        0,
        ge=0,
        lt=2**31,
        description="seed of the adapter's first weights, the order and the dropouts",
    )
