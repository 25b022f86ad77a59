"""Find segments of music and dialogue from loudness curves of the stems.

Loudness is measured by EBU R 128 in hops of 0.05 s: momentary (0.4 s) for the edges, short-term
(3 s) for the level, both centred on the hop. Thresholds are relative to the film's music and to its
noise.
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
# Hiss and hum have a constant level: over STEADY_S, the standard deviation of the level of 0.1 s is
# below this. White noise has 0.06 dB, hiss after separation 0.2 to 0.4 dB; only one in a hundred
# segments of orchestral music is below 1.1 dB.
STEADY_DB = 0.6
STEADY_S = 2.0
# ... and no segment within AROUND_S is quieter than they are by more than this.
AROUND_S = 15.0
BELOW_DB = 1.5
# Other audio that is as steady as noise is music only if it is about as loud as the film's other
# music: noise may start (another reel), and its residue after separation is intermittent.
HISS_BELOW_LU = 10.0
# Such noise extends this far on both sides of the segments in which it is detected.
HISS_S = 2.0
# Longest distance from sure music of music with a small share: a fade, or music far under speech.
REACH_S = 6.0
# The same at the ends of a cue.
END_S = 1.0


@dataclass(frozen=True)
class StemCurves:
    """Measurements of a stem in hops of HOP_S; each array is [hops].

    Attributes:
        power: K-weighted mean square.
        peaks: largest absolute sample; full scale is 1.
        momentary: loudness of 0.4 s around the hop, LUFS.
        noise: loudness of the steady background noise, LUFS; `SILENT_LUFS`: there is none.
        steady: loudness of 2 s around the hop if their level is constant, else `SILENT_LUFS`.
    """

    power: Curve
    peaks: Curve
    momentary: Curve
    noise: Curve
    steady: Curve


def stem_curves(blocks: Iterable[Block], rate: int) -> StemCurves:
    """Measure a stem.

    Args:
        blocks: the audio, [channels, samples] each.
        rate: sample rate in Hz.
    """
    meter = loudness.measured(blocks, rate, HOP_S)
    power = meter.power()
    momentary = loudness.lufs(_centred(power, loudness.MOMENTARY_S))
    return StemCurves(power, meter.peaks(), momentary, *_noise(power))


def _hops(seconds: float) -> int:
    return max(1, round(seconds / HOP_S))


def _centred(power: Curve, window_s: float) -> Curve:
    """Return the mean power of the window around each hop; before and after the film is silence."""
    import numpy as np

    count = _hops(window_s)
    padded = np.pad(power, (count // 2, count - count // 2 - 1))
    return loudness.windowed(padded, count)


def _noise(power: Curve) -> tuple[Curve, Curve]:
    """Return the curves `noise` and `steady` of a stem.

    Noise is audio with a constant level over STEADY_S that is also the quietest within AROUND_S.
    Between such segments the noise level is interpolated.
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
    """Return the highest value within `seconds` of each hop."""
    from scipy.ndimage import maximum_filter1d

    highest: Curve = maximum_filter1d(curve, 2 * _hops(seconds) + 1)
    return highest


def _within(seconds: float, mask: Mask) -> Mask:
    """Return a mask of the hops that have a True hop within `seconds`."""
    return _highest(seconds, mask.astype(float)) > 0


def find_music(music: StemCurves, others: Curve, settings: CuesSettings) -> list[tuple[int, int]]:
    """Return segments of music of any length, as half-open pairs of hops.

    A hop is sure music if it is loud enough relative to the film's music, above the noise, and not
    just residue of the other stems. A segment extends from sure music with lower thresholds
    (hysteresis), over gaps, and down its fades.

    Args:
        music: the music stem.
        others: K-weighted power of all other stems, [hops].
        settings: the thresholds.
    """
    import numpy as np

    share_04s = _share(music.power, others, loudness.MOMENTARY_S)
    share_3s = _share(music.power, others, loudness.SHORT_TERM_S)
    sure = (
        (music.momentary > np.maximum(settings.gate_lufs, music.noise + settings.noise_lu))
        & (share_04s > settings.on_share)
        & (share_3s > settings.on_share)
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
    is_share = share_04s > settings.on_share
    audible = is_share | (_within(REACH_S, sure) & (share_04s > settings.off_share))
    maybe = audible & (music.momentary > np.maximum(edge, level - settings.off_lu))
    segments: list[tuple[int, int]] = []
    for start, end in _join(runs(maybe), _hops(settings.bridge_s)):
        if sure[start:end].sum() * HOP_S < settings.sure_s:
            continue
        # The quieter a cue is, the lower its fades are followed.
        cue_level = _level(music.power[start:end], sure[start:end]) or level
        quiet = np.maximum(edge, min(level, cue_level) - settings.off_lu)
        continues = audible & (music.momentary > quiet)
        while start > 0 and continues[start - 1]:
            start -= 1
        while end < len(continues) and continues[end]:
            end += 1
        # A window of 0.4 s contains music before it begins, so the power of single hops decides
        # the edges. A small share may fill gaps in a cue, but at its ends it may be residue.
        is_music = (loudness.lufs(music.power) > quiet) & _within(END_S, is_share)
        inside = np.flatnonzero(is_music[start:end])
        if len(inside):
            segments.append((start + int(inside[0]), start + int(inside[-1]) + 1))
    return _join(segments, _hops(settings.bridge_s))


def _share(part: Curve, others: Curve, window_s: float) -> Curve:
    """Return the fraction of one stem in the energy of all stems, in windows around each hop."""
    import numpy as np

    stem_power, other_power = _centred(part, window_s), _centred(others, window_s)
    share: Curve = stem_power / np.maximum(stem_power + other_power, 1e-12)
    return share


def _level(power: Curve, chosen: Mask) -> float | None:
    """Return the gated loudness of the chosen hops, LUFS; None: silent."""
    return loudness.integrated(power[chosen], HOP_S)


def runs(mask: Mask) -> list[tuple[int, int]]:
    """Return the runs of True as half-open pairs of indices."""
    import numpy as np

    steps = np.flatnonzero(np.diff(np.concatenate(([0], mask.astype(np.int8), [0]))))
    return [(int(start), int(end)) for start, end in steps.reshape(-1, 2)]


def _join(runs: list[tuple[int, int]], bridge: int) -> list[tuple[int, int]]:
    """Return runs in order; join those that overlap or have a gap below `bridge` hops."""
    joined: list[tuple[int, int]] = []
    for start, end in runs:
        if joined and start - joined[-1][1] < bridge:
            start, end = joined[-1][0], max(end, joined.pop()[1])
        joined.append((start, end))
    return joined


def dialogue_heard(dialogue: StemCurves, music: Curve, settings: CuesSettings) -> Mask:
    """Return a mask of the hops with dialogue that is audible.

    It must be loud enough relative to the film's dialogue and to the music.

    Args:
        dialogue: the dialogue stem.
        music: K-weighted power of the music stem, [hops].
        settings: the thresholds.
    """
    import numpy as np

    share = _share(dialogue.power, music, loudness.MOMENTARY_S)
    threshold = np.maximum(settings.gate_lufs, dialogue.noise + settings.noise_lu)
    is_speech = (dialogue.momentary > threshold) & (share > 0.5)
    level = _level(dialogue.power, is_speech)
    if level is None:
        return is_speech & False
    music_lufs = loudness.lufs(_centred(music, loudness.MOMENTARY_S))
    limit = np.maximum(threshold, np.maximum(level, music_lufs) - settings.dialogue_lu)
    is_audible: Mask = dialogue.momentary > limit
    return is_audible
