"""The cues stage: find segments of music in the stems."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from importlib.metadata import version
from typing import TYPE_CHECKING

from ossl_builder.engine.stage import Item, Outcome, Reject, Stage
from ossl_builder.media import loudness, reference_tracks
from ossl_builder.media.flac import read_flac
from ossl_builder.models import audioset_tagger, yamnet
from ossl_builder.stages.cues import confirmation, reference_match, tagging
from ossl_builder.stages.cues.music_activity import (
    HOP_S,
    StemCurves,
    dialogue_heard,
    find_music,
    stem_curves,
)
from ossl_builder.stages.cues.settings import CuesSettings
from ossl_builder.tables.cues import CUES, Cue
from ossl_builder.tables.stems import Stem

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from ossl_builder.stages.cues.music_activity import Curve, Mask

    Block = NDArray[np.float32]

UNKNOWN = "not_in_recordings"


@dataclass(frozen=True)
class _StemAudio:
    """Measurements of a film's stems, in hops of HOP_S."""

    music: StemCurves
    others: Curve
    dialogue: Mask


def find_cues(item: Item) -> Outcome:
    """Find the cues of a film.

    Raises:
        OsslError: `audio_unreadable`, and those of the tagger or of the recordings.
    """
    settings: CuesSettings = item.config
    stems: dict[str, Stem] = {row.role: row for row in item.rows["stems"]}
    stem_audio = _stem_audio(item, stems)
    rows: list[Cue] = []
    rejects: list[Reject] = []
    for segment in _segments(item, stems["music"], stem_audio):
        result = segment if isinstance(segment, Reject) else _cue(item, *segment, stem_audio)
        if isinstance(result, Reject):
            rejects.append(result)
        else:
            rows.append(result)
    if settings.confirm != "none":
        rows, unconfirmed = _confirm(item, stems, rows)
        rejects = sorted([*rejects, *unconfirmed], key=lambda reject: reject.start_s or 0.0)
    if settings.rule == "soundtrack" and rows:
        rows, unknown = _match_recordings(item, stems["music"], rows)
        rejects = sorted([*rejects, *unknown], key=lambda reject: reject.start_s or 0.0)
    numbered = (
        replace(row, cue_id=f"{item.item_id}_c{number:03d}") for number, row in enumerate(rows)
    )
    return Outcome(tuple(numbered), tuple(rejects))


def _stem_audio(item: Item, stems: dict[str, Stem]) -> _StemAudio:
    import numpy as np

    curves = {
        role: stem_curves(read_flac(item.file(stem.path)), stem.sample_rate)
        for role, stem in stems.items()
        if role != "mix"
    }
    music = curves.pop("music")
    nothing = np.zeros_like(music.power)
    others = sum((stem.power for stem in curves.values()), nothing)
    if "dialogue" not in curves:
        return _StemAudio(music, others, nothing.astype(np.bool_))
    return _StemAudio(music, others, dialogue_heard(curves["dialogue"], music.power, item.config))


def _segments(item: Item, stem: Stem, stem_audio: _StemAudio) -> list[tuple[float, float] | Reject]:
    """Return segments of music in film time, and the rejects of the tagger."""
    settings: CuesSettings = item.config
    if settings.rule != "tagger":
        hops = find_music(stem_audio.music, stem_audio.others, settings)
        return [(round(start * HOP_S, 3), round(end * HOP_S, 3)) for start, end in hops]
    blocks = read_flac(item.file(stem.path))
    total_s = max(stem.duration_s, 1e-9)
    tags = tagging.tag(
        blocks, stem.sample_rate, settings, lambda done_s: item.progress(min(1.0, done_s / total_s))
    )
    segments: list[tuple[float, float] | Reject] = []
    for start_s, end_s, other in tags.stretches():
        short = _too_short(start_s, end_s, settings)
        refused = tagging.refused(start_s, end_s, other, settings)
        segments.append(short or refused or (start_s, end_s))
    return segments


def _too_short(start_s: float, end_s: float, settings: CuesSettings) -> Reject | None:
    if end_s - start_s >= settings.min_s:
        return None
    message = f"{end_s - start_s:.2f} s of music are less than {settings.min_s} s."
    return Reject("too_short", message, start_s, end_s)


def _cue(item: Item, start_s: float, end_s: float, stem_audio: _StemAudio) -> Cue | Reject:
    """Measure a segment; return it as a cue without id, or as a reject."""
    short = _too_short(start_s, end_s, item.config)
    if short:
        return short
    at = slice(round(start_s / HOP_S), round(end_s / HOP_S))
    power, peaks = stem_audio.music.power[at], stem_audio.music.peaks[at]
    lufs = loudness.integrated(power, HOP_S)
    peak = loudness.dbfs(float(peaks.max(initial=0)))
    if lufs is None or peak is None:
        return Reject("too_soft", "The music is too soft for a loudness.", start_s, end_s)
    music_energy, other_energy = float(power.sum()), float(stem_audio.others[at].sum())
    item.progress(at.stop / len(stem_audio.music.power))
    return Cue(
        film_id=item.item_id,
        cue_id="",
        start_s=start_s,
        end_s=end_s,
        music_lufs=lufs,
        music_peak_dbfs=peak,
        music_share=music_energy / (music_energy + other_energy),
        dialogue_share=float(stem_audio.dialogue[at].mean()),
    )


def _confirm(item: Item, stems: dict[str, Stem], cues: list[Cue]) -> tuple[list[Cue], list[Reject]]:
    """Return the cues in which the tagger finds music, in the stem or in the mix, and the others.

    Separation can leave artefacts in the stem, and dialogue can hide music in the mix.
    """
    confirmed: list[Cue] = []
    rejects: list[Reject] = []
    for cue in cues:
        probability = max(
            confirmation.music_probability(_blocks(item, stems[role], cue), stems[role].sample_rate)
            for role in ("music", "mix")
            if role in stems
        )
        refusal = confirmation.refused(cue, probability, item.config)
        if refusal is None:
            confirmed.append(cue)
        else:
            rejects.append(refusal)
    return confirmed, rejects


def _match_recordings(item: Item, stem: Stem, cues: list[Cue]) -> tuple[list[Cue], list[Reject]]:
    """Return the cues that match a recording, with the match, and the others as rejects."""
    settings: CuesSettings = item.config
    cue_audio = [_cue_audio(item, stem, cue) for cue in cues]
    matched: list[Cue] = []
    unknown: list[Reject] = []
    matches = reference_match.best_matches(cue_audio, settings.recordings, item.progress)
    for cue, match in zip(cues, matches, strict=True):
        if match.similarity < settings.min_similarity:
            message = (
                f"The most similar recording, {match.recording}, has {match.similarity:.2f}, less "
                f"than {settings.min_similarity}."
            )
            unknown.append(Reject(UNKNOWN, message, cue.start_s, cue.end_s))
        else:
            matched.append(
                replace(
                    cue,
                    recording=match.recording,
                    recording_offset_s=match.offset_s,
                    similarity=match.similarity,
                )
            )
    return matched, unknown


def _cue_audio(item: Item, stem: Stem, cue: Cue) -> reference_match.Audio:
    return reference_match.mono_at_rate(_blocks(item, stem, cue), stem.sample_rate)


def _blocks(item: Item, stem: Stem, cue: Cue) -> Iterator[Block]:
    first, last = (round(time * stem.sample_rate) for time in (cue.start_s, cue.end_s))
    return read_flac(item.file(stem.path), first, last)


def _tools(settings: CuesSettings) -> dict[str, str]:
    versions: dict[str, str | None] = {name: version(name) for name in ("numpy", "scipy")}
    if settings.rule == "tagger":
        versions |= audioset_tagger.versions(settings.tagger_model)
        versions["model"] = audioset_tagger.fingerprint(settings.tagger_model, settings.origin)
    elif settings.rule == "soundtrack":
        versions["av"] = version("av")
        versions["recordings"] = reference_tracks.fingerprint(settings.recordings)
    if settings.confirm != "none":
        versions |= yamnet.versions()
        versions["confirmation"] = yamnet.fingerprint()
    return {name: value for name, value in versions.items() if value is not None}


def _prepare(settings: CuesSettings) -> None:
    if settings.rule == "tagger":
        audioset_tagger.load(settings.tagger_model, settings.tagger_device, settings.origin)
    elif settings.rule == "soundtrack":
        reference_tracks.names(settings.recordings)
    if settings.confirm != "none":
        yamnet.load()


CUES_STAGE = Stage(
    name="cues",
    version=1,
    reads=("stems",),
    writes=CUES,
    config=CuesSettings,
    run=find_cues,
    tools=_tools,
    prepare=_prepare,
)
