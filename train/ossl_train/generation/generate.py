"""Generate: what is not there yet is drawn, decoded, written and put under its video."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from ossl_builder.errors import OsslError
from ossl_builder.media import mux
from ossl_builder.media.loudness import dbfs, integrated, measured
from ossl_train.generation import sample_files
from ossl_train.generation.models import Models
from ossl_train.generation.requests import GenerateSettings, GenerationRequest
from ossl_train.generation.sample_files import OutputFiles, decode, limit_peaks, write_wav
from ossl_train.generation.sampling import (
    GeneratedSample,
    n_samples,
    n_steps,
    request_spans,
    sample_codes,
)
from ossl_train.recipe import TrainRecipe

FATAL = ("memory_full", "disk_full")


@dataclass(frozen=True)
class SampleJob:
    """A sample to be made, or not.

    Attributes:
        sample: for which video, with which seed.
        target: its files.
        facts: what it is made from.
        why: it must be made; empty: it is there, or cannot be made.
        error: why it cannot be made, if that is known beforehand.
    """

    sample: GeneratedSample
    target: OutputFiles
    facts: Mapping[str, Any]
    why: str
    error: OsslError | None = None


@dataclass(frozen=True)
class SampleResult:
    """How a sample ended.

    Attributes:
        name: of the piece.
        seed: of the sample.
        state: `made`, `fresh` (it was there, made from the same) or `failed`.
        wav, video: its files, if there are any.
        duration_s: length of the music.
        notes: what a person should know, for example that peaks were lowered.
        code, message, hint: of the failure.
    """

    name: str
    seed: int
    state: str
    wav: str | None = None
    video: str | None = None
    duration_s: float | None = None
    notes: tuple[str, ...] = ()
    code: str | None = None
    message: str | None = None
    hint: str | None = None


def plan_samples(
    pieces: Sequence[GenerationRequest],
    seeds: Sequence[int],
    out: Path,
    with_video: bool,
    shared: Mapping[str, Any],
) -> list[SampleJob]:
    """For each piece and seed: its files, and whether they must be made.

    One sample of each piece stands in `out` itself, several in `out/seed-<seed>`: each folder can
    be given to `ossl train evaluate`.

    Raises:
        OsslError: `output_is_input`.
    """
    jobs = []
    for piece in pieces:
        for seed in seeds:
            folder = out / f"seed-{seed}" if len(seeds) > 1 else out
            target = OutputFiles(folder / f"{piece.name}.wav", with_video)
            if target.video is not None and target.video.resolve() == piece.video.resolve():
                raise OsslError(
                    "output_is_input",
                    f"{target.video} would be replaced by itself with other music.",
                    "Name another folder with --out.",
                )
            sample = GeneratedSample(piece, seed)
            facts = sample_files.sample_facts(sample, shared)
            why = "" if piece.error else sample_files.reason_to_make(target, facts)
            jobs.append(SampleJob(sample, target, facts, why, piece.error))
    return jobs


def batch_jobs(jobs: Sequence[SampleJob], size: int) -> list[list[SampleJob]]:
    """What must be drawn, in batches of pieces of about one length, the longest first."""
    drawn = [job for job in jobs if job.why not in ("", sample_files.VIDEO_ONLY)]
    drawn.sort(key=lambda job: -job.sample.piece.duration_s)
    return [drawn[first : first + size] for first in range(0, len(drawn), size)]


def total_steps(jobs: Sequence[SampleJob], models: Models, settings: GenerateSettings) -> int:
    """Steps in all, for a bar."""
    return sum(
        n_steps([job.sample for job in batch], models, settings)
        for batch in batch_jobs(jobs, settings.batch_size)
    )


def generate(
    jobs: Sequence[SampleJob],
    models: Models | None,
    recipe: TrainRecipe,
    settings: GenerateSettings,
    progress: Callable[[], None],
) -> Iterator[SampleResult]:
    """Make what must be made; a piece that fails does not stop the others.

    Args:
        jobs: of `plan`.
        models: loaded; None where nothing must be drawn.
        recipe: with folders in place of `tiny`.
        settings: see there.
        progress: called after each step of drawing.

    Raises:
        OsslError: `memory_full`; `disk_full` comes as `OSError`. What is finished is kept.
    """
    for job in jobs:
        if job.error is not None:
            yield _failed(job, job.error)
        elif job.why == "":
            yield _done(job, "fresh", ())
        elif job.why == sample_files.VIDEO_ONLY:
            yield _tried(job, partial(_mux_again, job))
    for batch in batch_jobs(jobs, settings.batch_size):
        assert models is not None, "something must be drawn"
        yield from _batch(batch, models, recipe, settings, progress)


def _batch(
    batch: Sequence[SampleJob],
    models: Models,
    recipe: TrainRecipe,
    settings: GenerateSettings,
    progress: Callable[[], None],
) -> Iterator[SampleResult]:
    samples = [job.sample for job in batch]
    try:
        drawn = sample_codes(samples, models, recipe, settings, progress)
    except OsslError as error:
        if error.code in FATAL:
            raise
        if len(batch) == 1:
            yield _failed(batch[0], error)
            return
        # One bad video must not cost the others their music.
        for job in batch:
            yield from _batch([job], models, recipe, settings, progress)
        return
    for job, codes in zip(batch, drawn, strict=True):
        yield _tried(job, partial(_write, job, codes, models, settings))


def _tried(job: SampleJob, write: Callable[[], SampleResult]) -> SampleResult:
    try:
        return write()
    except OsslError as error:
        if error.code in FATAL:
            raise
        return _failed(job, error)


def _write(job: SampleJob, codes: Any, models: Models, settings: GenerateSettings) -> SampleResult:
    """Decode and write one sample: the WAV, the video with it, and last what vouches for both."""
    piece, target = job.sample.piece, job.target
    shape = models.backbone.shape
    rate = shape.sample_rate
    length = n_samples(piece.duration_s, rate)
    audio, lowered = limit_peaks(decode(models.backbone, codes)[:length], rate)
    target.note.unlink(missing_ok=True)  # it would vouch for other files than those beside it
    if target.video is not None and target.video.is_file():
        target.video.unlink()  # it holds other music
    write_wav(target.wav, audio, rate)
    meter = measured([audio[None]], rate)
    peak, loudness = dbfs(lowered.peak), integrated(meter.power())
    windows = request_spans(piece, shape.frame_rate, settings)
    facts = {
        "n_samples": len(audio),
        "sample_rate": rate,
        "peak_before_dbfs": None if peak is None else round(peak, 2),
        "loudness_lufs": None if loudness is None else round(loudness, 2),
        "limited_s": lowered.seconds,
        "lowest_gain_db": lowered.lowest_gain_db,
        "windows": [
            {
                "start_s": span.first / shape.frame_rate,
                "frames": span.n_frames,
                "known": span.n_known,
            }
            for span in windows
        ],
        "device": models.backbone.device.type,
        "notes": list(models.notes),
    }
    # The music is kept whatever becomes of the video: the next run makes only that.
    sample_files.write_provenance(target, job.facts, facts)
    if target.video is not None:
        mux.mux(piece.video, target.wav, target.video)
        sample_files.write_provenance(target, job.facts, facts)
    notes = []
    if lowered.lowest_gain_db < 0:
        notes.append(
            f"peaks of {peak:+.1f} dBFS were lowered by up to {-lowered.lowest_gain_db:.1f} dB, "
            f"for {lowered.seconds:.2f} s"
        )
    return _done(job, "made", tuple(notes))


def _mux_again(job: SampleJob) -> SampleResult:
    assert job.target.video is not None
    note = sample_files.read_provenance(job.target)
    assert note is not None
    mux.mux(job.sample.piece.video, job.target.wav, job.target.video)
    sample_files.write_provenance(job.target, job.facts, note["made"])
    return _done(job, "made", ())


def _done(job: SampleJob, state: str, notes: tuple[str, ...]) -> SampleResult:
    note = sample_files.read_provenance(job.target)
    seconds = None if note is None else note["made"]["n_samples"] / note["made"]["sample_rate"]
    video = job.target.video
    return SampleResult(
        name=job.sample.piece.name,
        seed=job.sample.seed,
        state=state,
        wav=str(job.target.wav),
        video=None if video is None else str(video),
        duration_s=seconds,
        notes=notes,
    )


def _failed(job: SampleJob, error: OsslError) -> SampleResult:
    note = sample_files.read_provenance(job.target)
    has_music = note is not None and job.target.wav.is_file()
    return SampleResult(
        name=job.sample.piece.name,
        seed=job.sample.seed,
        state="failed",
        wav=str(job.target.wav) if has_music else None,
        code=error.code,
        message=error.message,
        hint=error.hint,
    )
