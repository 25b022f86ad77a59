"""Say what to do when the memory is too small for a step."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch

from ossl_builder.errors import OsslError
from ossl_train.training.settings import FitSettings

CODE = "memory_full"
CPU_MESSAGES = ("can't allocate memory", "not enough memory", "DefaultCPUAllocator")
"""How PyTorch says on a CPU that an allocation failed; its class is `RuntimeError`."""


@contextmanager
def memory_explained(settings: FitSettings, device: torch.device) -> Iterator[None]:
    """Turn PyTorch's error about memory into one that names the settings to change.

    Raises:
        OsslError: `memory_full`.
    """
    try:
        yield
    except RuntimeError as error:
        if not is_out_of_memory(error):
            raise
        place = "GPU" if device.type == "cuda" else "computer"
        raise OsslError(
            CODE,
            f"The {place} has too little memory for a step with batches of {settings.batch_size} "
            "windows.",
            hint(settings),
        ) from error


def is_out_of_memory(error: RuntimeError) -> bool:
    """Return whether an error of PyTorch says that an allocation failed."""
    return isinstance(error, torch.OutOfMemoryError) or any(
        message in str(error) for message in CPU_MESSAGES
    )


def hint(settings: FitSettings) -> str:
    """Return what to set; the first proposal does not change the result."""
    if settings.gradient_checkpointing == "off":
        return "Set `--set fit.gradient_checkpointing=on`, which does not change the result."
    if settings.batch_size > 1:
        half = halved(settings)
        return (
            f"Set `--set fit.batch_size={half.batch_size} --set fit.accumulation="
            f"{half.accumulation}`, which trains with as many windows per step, or find what fits "
            "with --dry-run."
        )
    if settings.precision == "fp32":
        return "Set `--set fit.precision=bf16`, or choose a smaller model.source."
    return (
        "Set `--set features.pooling=time_slots` and encode the features again, or choose a "
        "smaller model.source."
    )


def halved(settings: FitSettings) -> FitSettings:
    """Return settings with half of the batch and at least as many windows per step."""
    batch = settings.batch_size // 2
    windows = settings.batch_size * settings.accumulation
    return settings.model_copy(update={"batch_size": batch, "accumulation": -(-windows // batch)})
