"""Generate samples: codes, audio, WAV, and the video with the music; skip what is up to date."""

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
from ossl_train.generation.provenance import read_provenance
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
    """A sample, and whether it must be generated.

    Attributes:
        sample: the request and the seed.
        target: its output files.
        facts: all inputs of the sample.
        why: why it must be generated; empty: it is up to date, or `error` is set.
        error: why it cannot be generated, if that is known beforehand.
    """

    sample: GeneratedSample
    target: OutputFiles
    facts: Mapping[str, Any]
    why: str
    error: OsslError | None = None


@dataclass(frozen=True)
class SampleResult:
    """The result of a sample.

    Attributes:
        name: name of the request.
        seed: seed of the sample.
        state: `made`, `fresh` (it was up to date) or `failed`.
        wav, video: its files, if they exist.
        duration_s: length of the music.
        notes: sentences for the user, for example that peaks were lowered.
        code, message, hint: the error.
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
    requests: Sequence[GenerationRequest],
    seeds: Sequence[int],
    out: Path,
    with_video: bool,
    shared: Mapping[str, Any],
) -> list[SampleJob]:
    """Plan a sample for each request and seed, with its files.

    With one seed the files are in `out` itself, with several in `out/seed-<seed>`. So each folder
    can be the input of `ossl train evaluate`.

    Raises:
        OsslError: `output_is_input`.
    """
    jobs = []
    for request in requests:
        for seed in seeds:
            folder = out / f"seed-{seed}" if len(seeds) > 1 else out
            video = request.video
            target = OutputFiles(folder / f"{request.name}.wav", with_video and video is not None)
            if target.video and video and target.video.resolve() == video.resolve():
                raise OsslError(
                    "output_is_input",
                    f"The output {target.video} would replace the input video.",
                    "Choose another folder with --out.",
                )
            sample = GeneratedSample(request, seed)
            facts = sample_files.sample_facts(sample, shared)
            why = "" if request.error else sample_files.reason_to_make(target, facts)
            jobs.append(SampleJob(sample, target, facts, why, request.error))
    return jobs


def batch_jobs(jobs: Sequence[SampleJob], size: int) -> list[list[SampleJob]]:
    """Return the jobs that need new music, in batches of similar length, the longest first."""
    waiting = [job for job in jobs if job.why not in ("", sample_files.VIDEO_ONLY)]
    waiting.sort(key=lambda job: -job.sample.request.duration_s)
    return [waiting[first : first + size] for first in range(0, len(waiting), size)]


def total_steps(jobs: Sequence[SampleJob], models: Models, settings: GenerateSettings) -> int:
    """Return the number of steps of all jobs, for a progress bar."""
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
    """Generate what is not up to date; a sample that fails does not stop the others.

    Args:
        jobs: result of `plan_samples`.
        models: the loaded models; None if no job needs new music.
        recipe: the recipe, with folders in place of the name `tiny`.
        settings: settings of the generation.
        progress: called after each sampling step.

    Raises:
        OsslError: `memory_full`. A full disk raises `OSError`. Finished samples remain.
    """
    for job in jobs:
        if job.error is not None:
            yield _failed(job, job.error)
        elif job.why == "":
            yield _done(job, "fresh", ())
        elif job.why == sample_files.VIDEO_ONLY:
            yield _tried(job, partial(_mux_again, job))
    for batch in batch_jobs(jobs, settings.batch_size):
        assert models is not None, "a job needs new music"
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
        generated = sample_codes(samples, models, recipe, settings, progress)
    except OsslError as error:
        if error.code in FATAL:
            raise
        if len(batch) == 1:
            yield _failed(batch[0], error)
            return
        # One bad video must not stop the other samples.
        for job in batch:
            yield from _batch([job], models, recipe, settings, progress)
        return
    for job, codes in zip(batch, generated, strict=True):
        yield _tried(job, partial(_write, job, codes, models, settings))


def _tried(job: SampleJob, write: Callable[[], SampleResult]) -> SampleResult:
    try:
        return write()
    except OsslError as error:
        if error.code in FATAL:
            raise
        return _failed(job, error)


def _write(job: SampleJob, codes: Any, models: Models, settings: GenerateSettings) -> SampleResult:
    """Decode and write one sample: the WAV, the video with it, and last the provenance file."""
    request, target = job.sample.request, job.target
    shape = models.backbone.shape
    rate = shape.sample_rate
    length = n_samples(request.duration_s, rate)
    audio, lowered = limit_peaks(decode(models.backbone, codes)[:length], rate)
    target.note.unlink(missing_ok=True)  # it describes the old files
    if target.video is not None and target.video.is_file():
        target.video.unlink()  # it has the old music
    write_wav(target.wav, audio, rate)
    meter = measured([audio[None]], rate)
    peak, loudness = dbfs(lowered.peak), integrated(meter.power())
    windows = request_spans(request, shape.frame_rate, settings)
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
    # If the video fails, the music remains, and the next run writes only the video.
    sample_files.write_provenance(target, job.facts, facts)
    if target.video is not None and request.video is not None:
        mux.mux(request.video, target.wav, target.video)
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
    assert job.sample.request.video is not None
    note = read_provenance(job.target.note)
    assert note is not None
    mux.mux(job.sample.request.video, job.target.wav, job.target.video)
    sample_files.write_provenance(job.target, job.facts, note["made"])
    return _done(job, "made", ())


def _done(job: SampleJob, state: str, notes: tuple[str, ...]) -> SampleResult:
    note = read_provenance(job.target.note)
    seconds = None if note is None else note["made"]["n_samples"] / note["made"]["sample_rate"]
    video = job.target.video
    return SampleResult(
        name=job.sample.request.name,
        seed=job.sample.seed,
        state=state,
        wav=str(job.target.wav),
        video=None if video is None else str(video),
        duration_s=seconds,
        notes=notes,
    )


def _failed(job: SampleJob, error: OsslError) -> SampleResult:
    note = read_provenance(job.target.note)
    has_music = note is not None and job.target.wav.is_file()
    return SampleResult(
        name=job.sample.request.name,
        seed=job.sample.seed,
        state="failed",
        wav=str(job.target.wav) if has_music else None,
        code=error.code,
        message=error.message,
        hint=error.hint,
    )
