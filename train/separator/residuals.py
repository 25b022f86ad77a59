"""Compare the residuals that the product estimates in stems with the true quality of the stems.

    python -m separator.residuals --data DIR --model bundled spleeter dtln [--windows 60]

DIR is that of `fit`; only its unseen sounds (`music-val`, `speech-val`, `effects-val`) are used.
Windows of 12 s in which music and speech sound are mixed as in training, separated as the stage
`stems` does it, and measured as the stage `clips` does it. Printed are the correlations, over
windows, of each estimate with the true SI-SDR of its stem.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import signal, stats

from ossl_builder.media.stem_residual import ResidualMeter
from ossl_builder.models import separators
from separator.loss import PRESENT, si_sdr
from separator.mixing import Mixer, load_all
from separator.score import separate

WINDOW_S = 12.0
UP, DOWN = 441, 160
"""From the 16 kHz of the sounds to the 44.1 kHz of films."""
Sound = NDArray[np.float32]


def windows(data: Path, count: int, seed: int) -> list[tuple[Sound, Sound, Sound]]:
    """Return so many mixes with both stems, [samples] at 44.1 kHz: mix, speech, music."""
    mixer = Mixer(*load_all(data, "-val"), WINDOW_S, seed)
    drawn: list[tuple[Sound, Sound, Sound]] = []
    while len(drawn) < count:
        mix, stems = mixer.window()
        if min(float(np.square(stem).mean()) for stem in stems[:2]) > PRESENT:
            mix, speech, music = (
                signal.resample_poly(sound, UP, DOWN).astype(np.float32)
                for sound in (mix, *stems[:2])
            )
            drawn.append((mix, speech, music))
    return drawn


def measured(
    model: separators.Separator, drawn: Sequence[tuple[Sound, Sound, Sound]]
) -> NDArray[np.float64]:
    """Return for each window the estimated residual and the true SI-SDR of both stems, in dB.

    Columns: music left in the dialogue, SI-SDR of the dialogue, dialogue left in the music,
    SI-SDR of the music.
    """
    rows = []
    for mix, speech, music in drawn:
        stems, _ = separate(model, np.stack([mix, mix]))
        meter = ResidualMeter(model.rate)
        meter.add(stems["music"], stems["dialogue"])
        true = [
            float(si_sdr(torch.from_numpy(stems[role].mean(0)), torch.from_numpy(stem)))
            for role, stem in (("dialogue", speech), ("music", music))
        ]
        in_dialogue, in_music = (-100.0 if x is None else x for x in meter.residuals_db())
        rows.append((in_dialogue, true[0], in_music, true[1]))
    return np.array(rows)


def table(results: dict[str, NDArray[np.float64]]) -> str:
    """Return the correlations as a Markdown table; the last row is over all models."""
    rows = {**results, "all": np.concatenate(list(results.values()))}
    lines = [
        ["model", "dialogue: Pearson", "Spearman", "median SI-SDR", "music: Pearson", "Spearman",
         "median SI-SDR"],
        ["---"] * 7,
    ]  # fmt: skip
    for name, values in rows.items():
        line = [name]
        for estimate, true in ((values[:, 0], values[:, 1]), (values[:, 2], values[:, 3])):
            line += [
                f"{stats.pearsonr(estimate, true).statistic:+.2f}",
                f"{stats.spearmanr(estimate, true).statistic:+.2f}",
                f"{np.median(true):.1f} dB",
            ]
        lines.append(line)
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def main() -> None:
    """Run from the command line."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--data", type=Path, required=True, help="folder of the sounds of `fit`")
    parser.add_argument("--model", nargs="+", default=["bundled"], help="values of stems.model")
    parser.add_argument("--windows", type=int, default=60, help="number of windows")
    parser.add_argument("--seed", type=int, default=5, help="of the windows")
    options = parser.parse_args()
    drawn = windows(options.data, options.windows, options.seed)
    results = {
        name: measured(separators.load(name, {}, {}, "cpu"), drawn) for name in options.model
    }
    sys.stdout.write(table(results) + "\n")


if __name__ == "__main__":
    main()
