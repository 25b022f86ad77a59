"""The clips stage: cut cues from the film, as video with the mix, and FLAC of mix and stems."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, closing
from importlib.metadata import version
from pathlib import Path
from typing import Any

from ossl_builder.engine.stage import Item, Outcome, Reject, Stage
from ossl_builder.files import sha256_file
from ossl_builder.media.clip_writer import AudioSlice, Encoding, cut_audio
from ossl_builder.media.cut import CutClip, cut, frame_times
from ossl_builder.media.demux import MediaFile
from ossl_builder.media.flac import read_flac
from ossl_builder.media.loudness import HOP_S, MOMENTARY_S, Meter, integrated, lufs, windowed
from ossl_builder.media.stem_residual import ResidualMeter
from ossl_builder.media.video_transforms import OutputFormat
from ossl_builder.models import dnsmos
from ossl_builder.stages.clips.selection import (
    Candidate,
    ClipsSettings,
    StemStats,
    candidates,
    content_problem,
)
from ossl_builder.tables.clips import CLIPS, Clip, clip_id
from ossl_builder.tables.films import Film
from ossl_builder.tables.scenes import Scene
from ossl_builder.tables.schema import Span
from ossl_builder.tables.stems import Stem

ROLES = ("mix", "music", "dialogue")
# Fraction of a film's processing time that is spent before cutting begins.
MEASURING_PART = 0.1
# Tolerance for rounding of times; frames are always further apart.
TIME_ROUNDING_S = 1e-6


def cut_clips(item: Item) -> Outcome:
    """Choose clips from a film's cues and cut them.

    Raises:
        OsslError: `video_undecodable`, `clip_unverified`, `audio_unreadable`, `disk_full`,
            `write_failed`.
    """
    (film,) = item.rows["films"]
    scenes: Sequence[Scene] = item.rows["scenes"]
    stems = {stem.role: stem for stem in item.rows["stems"] if stem.role in ROLES}
    chosen, rejects = _select_candidates(item, film, scenes, stems)
    rows: list[Clip] = []
    cuts = _cut_video(item, film, scenes, stems, chosen)
    for (candidate, stats), cut_clip in zip(chosen, cuts, strict=True):
        if cut_clip is None:
            rejects.append(candidate.reject("no_video", "no video begins in it"))
        else:
            rows.append(_write_clip(item, film, scenes, stems, candidate, stats, cut_clip))
    rejects.sort(key=lambda reject: (reject.start_s or 0.0, reject.reason))
    return Outcome(tuple(rows), tuple(rejects))


def _select_candidates(
    item: Item, film: Film, scenes: Sequence[Scene], stems: Mapping[str, Stem]
) -> tuple[list[tuple[Candidate, StemStats]], list[Reject]]:
    """Return the accepted candidates with their loudness, in film order, and the rejects."""
    if not item.rows["cues"]:
        return [], []
    damaged_audio = sorted(
        {span for stem in stems.values() for span in stem.damaged_spans},
        key=lambda span: span.start_s,
    )
    file = film.file()
    times = frame_times(MediaFile.of(item.file(file.path), file), 1 / file.rate)
    results = list(candidates(item.rows["cues"], scenes, damaged_audio, times, item.config))
    chosen: list[tuple[Candidate, StemStats]] = []
    rejects = [result for result in results if isinstance(result, Reject)]
    for number, candidate in enumerate(results):
        item.progress(MEASURING_PART * number / len(results))
        if isinstance(candidate, Candidate):
            stats = _stem_stats(item, stems, candidate.span)
            problem = content_problem(candidate, stats, item.config)
            if problem is None:
                chosen.append((candidate, stats))
            else:
                rejects.append(problem)
    return chosen, rejects


def _stem_stats(item: Item, stems: Mapping[str, Stem], span: Span) -> StemStats:
    """Measure the loudness (EBU R 128) of the stems in a time span, and how clean they are."""
    settings: ClipsSettings = item.config
    roles = [role for role in ("music", "dialogue") if role in stems]
    rate = stems["music"].sample_rate
    meters = {role: Meter(rate) for role in roles}
    residual = ResidualMeter(rate)
    length = round((span.end_s - span.start_s) * rate)
    with ExitStack() as stack:
        slices = [
            stack.enter_context(closing(AudioSlice(item.file(stems[role].path), span.start_s)))
            for role in roles
        ]
        for blocks in zip(*(audio.blocks(length) for audio in slices), strict=True):
            for meter, block in zip(meters.values(), blocks, strict=True):
                meter.add(block)
            if len(blocks) == 2:
                residual.add(*blocks)
    in_dialogue, in_music = residual.residuals_db()
    powers = {role: meter.power() for role, meter in meters.items()}
    window = round(MOMENTARY_S / HOP_S)
    loudness = {role: lufs(windowed(power, window)) for role, power in powers.items()}
    dialogue_share = None
    if "dialogue" in loudness:
        is_near_music = loudness["dialogue"] >= loudness["music"] - settings.dialogue_lu
        is_heard = (loudness["dialogue"] >= settings.heard_lufs) & is_near_music
        dialogue_share = float(is_heard.mean())
    return StemStats(
        music_lufs=integrated(powers["music"]),
        dialogue_share=dialogue_share,
        silent_share=float((loudness["music"] < settings.heard_lufs).mean()),
        dialogue_residual_music=in_dialogue,
        music_residual_dialogue=in_music,
    )


def _cut_video(
    item: Item,
    film: Film,
    scenes: Sequence[Scene],
    stems: Mapping[str, Stem],
    chosen: Sequence[tuple[Candidate, StemStats]],
) -> Iterator[CutClip | None]:
    if not chosen:
        return iter(())
    settings: ClipsSettings = item.config
    file = film.file()
    return cut(
        film=MediaFile.of(item.file(file.path), file),
        film_end_s=max(scene.end_s for scene in scenes),
        form=OutputFormat(rate=file.rate, sar=file.sar),
        spans=[candidate.span for candidate, _ in chosen],
        mix=item.file(stems["mix"].path),
        folder=item.folder,
        encoding=Encoding(settings.crf, settings.preset, settings.audio_kbps * 1000),
        progress=lambda part: item.progress(MEASURING_PART + (1 - MEASURING_PART) * part),
        is_damaged=any(scene.damaged_spans for scene in scenes),
    )


def _write_clip(
    item: Item,
    film: Film,
    scenes: Sequence[Scene],
    stems: Mapping[str, Stem],
    candidate: Candidate,
    stats: StemStats,
    cut_clip: CutClip,
) -> Clip:
    """Rename a clip's MP4, cut its audio files, and return its row."""
    name = clip_id(film.film_id, cut_clip.start_s, cut_clip.end_s)
    video = cut_clip.path.replace(item.folder / f"{name}.mp4")
    duration_s = cut_clip.end_s - cut_clip.start_s
    rate = stems["mix"].sample_rate
    n_samples = round(duration_s * rate)
    audio_paths: dict[str, Path] = {}
    for role, stem in stems.items():
        audio_paths[role] = item.folder / f"{name}.{role}.flac"
        cut_audio(item.file(stem.path), cut_clip.start_s, n_samples, audio_paths[role])
    dialogue = audio_paths.get("dialogue")
    scene_ids = [
        scene.scene_id
        for scene in sorted(scenes, key=lambda scene: scene.start_s)
        if scene.start_s < cut_clip.end_s - TIME_ROUNDING_S
        and scene.end_s > cut_clip.start_s + TIME_ROUNDING_S
    ]
    return Clip(
        clip_id=name,
        film_id=film.film_id,
        start_s=cut_clip.start_s,
        end_s=cut_clip.end_s,
        duration_s=duration_s,
        fps=cut_clip.n_frames / duration_s,
        fps_num=film.file().rate.numerator,
        fps_den=film.file().rate.denominator,
        n_frames=cut_clip.n_frames,
        width=cut_clip.width,
        height=cut_clip.height,
        video_path=item.path(video.name),
        video_sha256=sha256_file(video),
        mix_path=item.path(audio_paths["mix"].name),
        mix_sha256=sha256_file(audio_paths["mix"]),
        music_path=item.path(audio_paths["music"].name),
        music_sha256=sha256_file(audio_paths["music"]),
        dialogue_path=item.path(dialogue.name) if dialogue else None,
        dialogue_sha256=sha256_file(dialogue) if dialogue else None,
        sample_rate=rate,
        n_samples=n_samples,
        cue_id=candidate.cue_id,
        music_lufs=stats.music_lufs,
        dialogue_share=stats.dialogue_share,
        first_scene_id=scene_ids[0],
        last_scene_id=scene_ids[-1],
        dialogue_residual_music=stats.dialogue_residual_music,
        music_residual_dialogue=stats.music_residual_dialogue,
        dialogue_mos=_dialogue_mos(dialogue, rate, stats, item.config),
    )


def _dialogue_mos(
    path: Path | None, rate: int, stats: StemStats, settings: ClipsSettings
) -> float | None:
    """Return the quality of a clip's dialogue; None: it has none, or it is not to be rated."""
    if path is None or not stats.dialogue_share or settings.speech_quality == "none":
        return None
    import numpy as np

    from ossl_builder.media.audio_reader import resampled

    blocks = (block.mean(axis=0, keepdims=True) for block in read_flac(path))
    mono = [block[0] for block in resampled(blocks, rate, dnsmos.RATE)]
    return dnsmos.load().quality(np.concatenate(mono)).overall


def _prepare(settings: ClipsSettings) -> None:
    if settings.speech_quality == "dnsmos":
        dnsmos.load()


def tools(config: Any) -> dict[str, str]:
    """Return tool versions: PyAV contains libav and x264, soundfile contains libFLAC."""
    versions = {name: version(name) for name in ("av", "numpy", "scipy", "soundfile")}
    if config.speech_quality == "dnsmos":
        weights = dnsmos.fingerprint()
        versions |= dnsmos.versions() | ({"dnsmos": weights} if weights else {})
    return versions


CLIPS_STAGE = Stage(
    name="clips",
    version=3,
    reads=("films", "scenes", "stems", "cues"),
    writes=CLIPS,
    config=ClipsSettings,
    run=cut_clips,
    folder="clips",
    tools=tools,
    prepare=_prepare,
)
