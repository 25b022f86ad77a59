"""Where music and dialogue are heard, from curves of the stems' loudness.

Loudness is EBU R 128's, in hops of 0.05 s: momentary (0.4 s) for the edges, short-term (3 s) for
the level, both centred on their hop. Thresholds are relative to the film's music and to its noise.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ossl_builder.media import loudness

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from ossl_builder.stages.cues.settings import CuesSettings

    Block = NDArray[np.float32]
    Curve = NDArray[np.float64]
    Mask = NDArray[np.bool_]

HOP_S = 0.05
# Hiss and hum keep their level: that of 0.1 s differs by less than this over STEADY_S (white noise
# 0.06 dB, hiss left by a separator 0.2 to 0.4, one in a hundred stretches of orchestra below 1.1).
STEADY_DB = 0.6
STEADY_S = 2.0
# ... and nothing near them is quieter than they are by more than this.
AROUND_S = 15.0
BELOW_DB = 1.5
# Elsewhere, sound as steady as noise is music only if it is about as loud as the film's other
# music: noise may set in (another reel), and what separators leave of it comes and goes.
HISS_BELOW_LU = 10.0
# Such noise goes on for so long beside the stretches that are steady enough to show it.
HISS_S = 2.0
# So long can music whose share is small go on without sure music: a fade, or far under speech.
REACH_S = 6.0
# ... but at a cue's ends only so long.
END_S = 1.0


@dataclass(frozen=True)
class StemCurves:
    """A stem over hops of HOP_S, each array [hops].

    Attributes:
        power: K-weighted mean square.
        peaks: largest sample, full scale being 1.
        momentary: loudness of the 0.4 s around, LUFS.
        noise: loudness of the steady noise under it, LUFS; `SILENT_LUFS` where there is none.
        steady: loudness of the two seconds around if they keep their level, else `SILENT_LUFS`.
    """

    power: Curve
    peaks: Curve
    momentary: Curve
    noise: Curve
    steady: Curve


def stem_curves(blocks: Iterable[Block], rate: int) -> StemCurves:
    """Measure a stem that comes in blocks [channels, samples]."""
    meter = loudness.measured(blocks, rate, HOP_S)
    power = meter.power()
    momentary = loudness.lufs(_centred(power, loudness.MOMENTARY_S))
    return StemCurves(power, meter.peaks(), momentary, *_noise(power))


def _hops(seconds: float) -> int:
    return max(1, round(seconds / HOP_S))


def _centred(power: Curve, window_s: float) -> Curve:
    """Mean power of the window around each hop; beyond the film's ends is silence."""
    import numpy as np

    count = _hops(window_s)
    padded = np.pad(power, (count // 2, count - count // 2 - 1))
    return loudness.windowed(padded, count)


def _noise(power: Curve) -> tuple[Curve, Curve]:
    """The curves `noise` and `steady` of a stem.

    Noise is what keeps its level for two seconds and is the quietest for fifteen around; between
    such stretches its level is interpolated.
    """
    import numpy as np
    from scipy.ndimage import minimum_filter1d

    count = _hops(STEADY_S)
    floor = np.full(len(power), loudness.SILENT_LUFS)
    steady = floor.copy()
    levels = loudness.lufs(loudness.windowed(power, _hops(loudness.HOP_S)))
    if len(levels) < count:
        return floor, steady
    windows = np.lib.stride_tricks.sliding_window_view(levels, count)
    mean, is_steady = windows.mean(axis=1), windows.std(axis=1) < STEADY_DB
    lowest = minimum_filter1d(mean, 2 * _hops(AROUND_S) + 1, mode="nearest")
    at = np.flatnonzero(is_steady & (mean < lowest + BELOW_DB))
    if len(at):
        floor = np.interp(np.arange(len(power)), at + count / 2, mean[at])
    steady[count // 2 : count // 2 + len(mean)] = np.where(is_steady, mean, loudness.SILENT_LUFS)
    return floor, steady


def _highest(seconds: float, curve: Curve) -> Curve:
    """The highest value at most so far away from each hop."""
    from scipy.ndimage import maximum_filter1d

    highest: Curve = maximum_filter1d(curve, 2 * _hops(seconds) + 1)
    return highest


def _within(seconds: float, mask: Mask) -> Mask:
    """Hops that have a True one at most so far away."""
    return _highest(seconds, mask.astype(float)) > 0


def find_music(music: StemCurves, others: Curve, settings: CuesSettings) -> list[tuple[int, int]]:
    """Stretches of music, whatever their length, as half-open pairs of hops.

    Where music is sure it is loud enough for the film's own music, above the noise, and no mere
    residue of what else is heard. From there it goes on to where it ends (a hysteresis with lower
    thresholds), over gaps, and down its own fades.

    Args:
        music: the music stem.
        others: K-weighted power of all other stems, [hops].
        settings: thresholds.
    """
    import numpy as np

    near = _share(music.power, others, loudness.MOMENTARY_S)
    wide = _share(music.power, others, loudness.SHORT_TERM_S)
    sure = (
        (music.momentary > np.maximum(settings.gate_lufs, music.noise + settings.noise_lu))
        & (near > settings.on_share)
        & (wide > settings.on_share)
    )
    level = _level(music.power, sure)
    if level is None:
        return []
    short_term = loudness.lufs(_centred(music.power, loudness.SHORT_TERM_S))
    sure &= (music.momentary > level - settings.on_lu) & (short_term > level - settings.on_lu)
    hiss = np.where(music.steady < level - HISS_BELOW_LU, music.steady, loudness.SILENT_LUFS)
    noise = np.maximum(music.noise, _highest(STEADY_S / 2 + HISS_S, hiss))
    sure &= music.momentary > noise + settings.noise_lu
    edge = np.maximum(settings.gate_lufs, noise + settings.noise_lu / 2)
    is_share = near > settings.on_share
    audible = is_share | (_within(REACH_S, sure) & (near > settings.off_share))
    maybe = audible & (music.momentary > np.maximum(edge, level - settings.off_lu))
    found: list[tuple[int, int]] = []
    for start, end in _joined(runs(maybe), _hops(settings.bridge_s)):
        if sure[start:end].sum() * HOP_S < settings.sure_s:
            continue
        # The quieter a cue is, the further down its own fades reach.
        own = _level(music.power[start:end], sure[start:end]) or level
        quiet = np.maximum(edge, min(level, own) - settings.off_lu)
        goes_on = audible & (music.momentary > quiet)
        while start > 0 and goes_on[start - 1]:
            start -= 1
        while end < len(goes_on) and goes_on[end]:
            end += 1
        # A window of 0.4 s hears the music before it begins: its own hops tell when it does. And a
        # small share fills gaps in a cue, but beyond its ends may be residue.
        is_music = (loudness.lufs(music.power) > quiet) & _within(END_S, is_share)
        inside = np.flatnonzero(is_music[start:end])
        if len(inside):
            found.append((start + int(inside[0]), start + int(inside[-1]) + 1))
    return _joined(found, _hops(settings.bridge_s))


def _share(part: Curve, others: Curve, window_s: float) -> Curve:
    """Share of one stem in the energy of all, in windows around each hop."""
    import numpy as np

    own, rest = _centred(part, window_s), _centred(others, window_s)
    share: Curve = own / np.maximum(own + rest, 1e-12)
    return share


def _level(power: Curve, chosen: Mask) -> float | None:
    """Gated loudness of the chosen hops, LUFS."""
    return loudness.integrated(power[chosen], HOP_S)


def runs(mask: Mask) -> list[tuple[int, int]]:
    """Runs of True as half-open pairs."""
    import numpy as np

    steps = np.flatnonzero(np.diff(np.concatenate(([0], mask.astype(np.int8), [0]))))
    return [(int(start), int(end)) for start, end in steps.reshape(-1, 2)]


def _joined(runs: list[tuple[int, int]], bridge: int) -> list[tuple[int, int]]:
    """Runs in order, joined where they overlap or less than `bridge` hops lie between."""
    joined: list[tuple[int, int]] = []
    for start, end in runs:
        if joined and start - joined[-1][1] < bridge:
            start, end = joined[-1][0], max(end, joined.pop()[1])
        joined.append((start, end))
    return joined


def dialogue_heard(dialogue: StemCurves, music: Curve, settings: CuesSettings) -> Mask:
    """Hops in which dialogue is heard: as dialogue of this film goes, and beside the music."""
    import numpy as np

    share = _share(dialogue.power, music, loudness.MOMENTARY_S)
    threshold = np.maximum(settings.gate_lufs, dialogue.noise + settings.noise_lu)
    speaks = (dialogue.momentary > threshold) & (share > 0.5)
    level = _level(dialogue.power, speaks)
    if level is None:
        return speaks & False
    beside = loudness.lufs(_centred(music, loudness.MOMENTARY_S))
    loud = np.maximum(threshold, np.maximum(level, beside) - settings.dialogue_lu)
    heard: Mask = dialogue.momentary > loud
    return heard
