"""The KL divergence of what PaSST hears."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from ossl_builder.errors import OsslError
from ossl_train.evaluation.figures import Figure, undefined
from ossl_train.evaluation.kept import Kept
from ossl_train.evaluation.material import Material
from ossl_train.evaluation.settings import Counted, Settings
from ossl_train.metrics import divergence, intervals

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from ossl_train.evaluation.passt import Passt

    Values = NDArray[np.float64]

SAYS = "KL divergence of PaSST's classes, real from generated music of the same clip, in nats"


def kl_figure(
    material: Material, passt: Passt, kept: Kept, settings: Settings, counted: Counted
) -> Figure:
    """The mean divergence of pairs that can be read on both sides."""
    import numpy as np

    heard = {
        name: (ours, theirs)
        for name in counted(material.pairs, "tags")
        if (ours := _heard(material.generated, name, passt, kept)) is not None
        and (theirs := _heard(material.real, name, passt, kept)) is not None
    }
    if not heard:
        return undefined("kl", SAYS, "generated", "There is no pair.")
    generated = np.concatenate([ours for ours, _ in heard.values()])
    real = np.concatenate([theirs for _, theirs in heard.values()])
    return figure_of(generated, real, settings)


def figure_of(generated: Values, real: Values, settings: Settings) -> Figure:
    """The figure from probabilities of pairs, shape (pairs, classes)."""
    import numpy as np

    each = divergence.divergences(real, generated)
    # Every clip against the next one's music: no clip against its own.
    chance = divergence.divergences(np.roll(real, 1, axis=0), generated).mean()
    return Figure(
        "kl", SAYS, "generated", float(each.mean()), len(each), "clips",
        interval=intervals.of_mean(each, settings.resamples, settings.rng("kl")),
        chance=float(chance) if len(each) > 1 else None, better="lower",
    )  # fmt: skip


def _heard(files: Mapping[str, Path], name: str, passt: Passt, kept: Kept) -> Values | None:
    try:
        return kept.of(files[name], passt.how(), passt.sound)["probabilities"]
    except OsslError as error:
        if error.code != "audio_unreadable":
            raise
        return None
