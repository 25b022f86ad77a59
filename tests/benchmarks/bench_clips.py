"""Cutting a film's clips in one pass, against a loop of separate ffmpeg calls.

The loop makes the usual calls for each clip: one with accurate seeking for the MP4, and one for
each FLAC; same encoders and settings. Both results are then compared with the film: is the first
frame, the last one and their count right, and how far is the audio from the video.

The film is the shared one if `OSSL_TEST_MEDIA` names its folder, else one made here; it is cut into
clips of about 26 s, the mean of OSSL v2. Our method also decodes and compares every clip; the
loop verifies nothing.
"""

from __future__ import annotations

import argparse
import os
import resource
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import soundfile

from ossl_builder.media.clip_verify import sketch
from ossl_builder.media.clip_writer import Encoding, cut_audio
from ossl_builder.media.cut import cut, frame_times
from ossl_builder.media.ffmpeg import binary
from ossl_builder.media.video_transforms import OutputFormat
from ossl_builder.stages.clips.selection import ClipsSettings
from ossl_builder.tables.schema import Span
from tests.films import make_film
from tests.media.test_cut import KINDS, Seen, mix_of, see

ROLES = ("mix", "music", "dialogue")
CLIP_S = 26.0
SETTINGS = ClipsSettings()
SHARED = "mixfilm/dev.mp4"


@dataclass(frozen=True)
class Case:
    """A film, its stems (FLAC), and the clips to cut from it."""

    film: Path
    form: OutputFormat
    end_s: float
    stems: dict[str, Path]
    spans: list[Span]


@dataclass(frozen=True)
class Cost:
    wall_s: float
    cpu_s: float


def prepare(work: Path) -> Case:
    """Make the film's stems and choose spans: adjacent ones, and some with a gap before them."""
    film = Path(os.environ.get("OSSL_TEST_MEDIA", "")) / SHARED
    if not film.is_file():
        film = work / "film.mp4"
        make_film(film, size=(640, 360), seconds=130, rate=Fraction(24000, 1001))
    mix = work / "mix.flac"
    command = [binary(), "-y", "-loglevel", "error", "-i", str(film), "-vn"]
    subprocess.run(
        [*command, "-af", "aresample=44100:async=1", "-sample_fmt", "s16", str(mix)], check=True
    )
    stems = {role: work / f"{role}.flac" for role in ROLES}
    for role in ROLES[1:]:
        shutil.copy(mix, stems[role])
    with av.open(str(film)) as container:
        rate = Fraction(container.streams.video[0].average_rate)
    times = frame_times(film, 1 / rate)
    end_s = times[-1] + float(1 / rate)
    spans = []
    at = 2.0
    while at + CLIP_S < end_s:
        # Every third clip begins where the one before it ends; 11 s are left out otherwise.
        spans.append(Span(_nearest(times, at), _nearest(times, at + CLIP_S)))
        at += CLIP_S if len(spans) % 3 == 1 else CLIP_S + 11
    return Case(film, OutputFormat(rate, Fraction(1)), end_s, stems, spans)


def ours(case: Case, folder: Path) -> None:
    """The method of this project: one pass, verified."""
    clips = cut(
        film=case.film,
        film_end_s=case.end_s,
        form=case.form,
        spans=case.spans,
        mix=case.stems["mix"],
        folder=folder,
        encoding=Encoding(SETTINGS.crf, SETTINGS.preset, SETTINGS.audio_kbps * 1000),
        progress=lambda part: None,
    )
    for clip in clips:
        assert clip is not None
        for role, stem in case.stems.items():
            n_samples = round((clip.end_s - clip.start_s) * soundfile.info(str(stem)).samplerate)
            cut_audio(stem, clip.start_s, n_samples, clip.path.with_suffix(f".{role}.flac"))


def loop(case: Case, folder: Path) -> None:
    """One ffmpeg call for each file."""
    for number, span in enumerate(case.spans):
        target = folder / f"{number:04d}.mp4"
        seek = [binary(), "-y", "-loglevel", "fatal", "-ss", f"{span.start_s:.6f}", "-i"]
        length = ["-t", f"{span.end_s - span.start_s:.6f}"]
        video = ["-c:v", "libx264", "-preset", SETTINGS.preset, "-crf", str(SETTINGS.crf)]
        video += ["-profile:v", "high", "-pix_fmt", "yuv420p", "-movflags", "+faststart"]
        audio = ["-c:a", "aac", "-b:a", f"{SETTINGS.audio_kbps}k"]
        subprocess.run([*seek, str(case.film), *length, *video, *audio, str(target)], check=True)
        for role, stem in case.stems.items():
            flac = target.with_suffix(f".{role}.flac")
            subprocess.run([*seek, str(stem), *length, str(flac)], check=True)


def measured(work: Callable[[], None]) -> Cost:
    """Wall and CPU seconds of a piece of work and of the programs it calls."""
    began, cpu = time.perf_counter(), _cpu()
    work()
    return Cost(time.perf_counter() - began, _cpu() - cpu)


def _cpu() -> float:
    both = (resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return sum(usage.ru_utime + usage.ru_stime for usage in both)


def exactness(case: Case, folder: Path) -> dict[str, int | float]:
    """How many clips are right, by comparison with the film decoded from its start."""
    times = frame_times(case.film, 1 / case.form.rate)
    wanted = [
        [n for n, t in enumerate(times) if span.start_s - 1e-4 < t < span.end_s - 1e-4]
        for span in case.spans
    ]
    near = {n + by for numbers in wanted for n in (numbers[0], numbers[-1]) for by in range(-2, 3)}
    film = _sketches(case.film, near)
    audio, rate = soundfile.read(case.stems["mix"], always_2d=True)
    found: dict[str, int | float] = dict.fromkeys(("first", "last", "count", "FLAC"), 0)
    worst = 0.0
    for number, (span, numbers) in enumerate(zip(case.spans, wanted, strict=True)):
        path = folder / f"{number:04d}.mp4"
        with av.open(str(path)) as container:
            count = sum(1 for _ in container.decode(video=0))
        clip = _sketches(path, {0, count - 1})
        found["count"] += count == len(numbers)
        found["first"] += _is_frame(clip[0], film, numbers[0])
        found["last"] += _is_frame(clip[count - 1], film, numbers[-1])
        begin = round(times[numbers[0]] * rate)
        worst = max(worst, abs(_audio_start(path, audio[:, 0], begin) / rate))
        flac, _ = soundfile.read(path.with_suffix(".mix.flac"), always_2d=True)
        length = round((span.end_s - span.start_s) * rate)
        found["FLAC"] += np.array_equal(flac, audio[begin : begin + length])
    return found | {"worst audio offset, ms": round(1000 * worst, 3)}


def awkward(work: Path) -> list[str]:
    """Which clips of small awkward films with numbered frames are exact, for both methods."""
    lines = []
    for name, (make, form, _) in KINDS.items():
        folder = work / "awkward" / name.replace(".", "-")
        folder.mkdir(parents=True, exist_ok=True)
        film = folder / name
        truth = make(film)
        times = [*truth.times_s, truth.end_s]
        mix = mix_of(truth, folder)
        # A second before each flash to half a second after it: from frame to frame.
        edges = [(flash - 20, flash + 10) for flash in truth.flashes]
        spans = [Span(times[a], times[b]) for a, b in edges]
        case = Case(film, form, truth.end_s, {"mix": mix}, spans)
        right = {}
        for way in (ours, loop):
            target = folder / way.__name__
            target.mkdir(exist_ok=True)
            way(case, target)
            seen = [_see(target / f"{number:04d}.mp4") for number in range(len(spans))]
            frames = [s.numbers == list(range(a, b)) for s, (a, b) in zip(seen, edges, strict=True)]
            offsets = [abs(f - c) for s in seen for f in s.flashes_s for c in s.clicks_s]
            right[way.__name__] = (sum(frames), 1000 * max(offsets, default=float("nan")))
        shown = ", ".join(f"{way} {n} ({ms:.1f} ms)" for way, (n, ms) in right.items())
        lines.append(f"{name}: of {len(spans)} clips with the right frames (audio off): {shown}")
    return lines


def _see(path: Path) -> Seen:
    """Contents of a clip: nothing, if a seek past the end has left a stream out."""
    with av.open(str(path)) as container:
        is_whole = bool(container.streams.video and container.streams.audio)
    return see(path) if is_whole else Seen([], [], [], [])


def _sketches(path: Path, chosen: set[int]) -> dict[int, np.ndarray]:
    """Sketches of a film's frames of the chosen numbers."""
    with av.open(str(path)) as container:
        frames = enumerate(container.decode(video=0))
        return {n: sketch(f.reformat(format="yuv420p")) for n, f in frames if n in chosen}


def _is_frame(found: np.ndarray, film: dict[int, np.ndarray], wanted: int) -> bool:
    """Whether a frame is at least as similar to the expected frame as to its neighbours."""
    off = {
        n: float(np.abs(found - film[n]).mean()) for n in range(wanted - 2, wanted + 3) if n in film
    }
    return off[wanted] <= min(off.values()) + 0.02


def _audio_start(path: Path, audio: np.ndarray, begin: int, reach: int = 4410) -> float:
    """By how many samples a clip's audio is late against the film's, by cross-correlation."""
    with av.open(str(path)) as container:
        frames = list(container.decode(audio=0))
    heard = np.concatenate([frame.to_ndarray()[0] for frame in frames])
    first = float(frames[0].pts * frames[0].time_base) * frames[0].sample_rate
    length = min(len(heard), 400_000)
    padded = np.pad(audio, (reach, length + reach))[begin : begin + length + 2 * reach]
    size = 1 << (len(padded) + length).bit_length()
    spectrum = np.fft.rfft(padded, size) * np.conj(np.fft.rfft(heard[:length], size))
    best = int(np.argmax(np.fft.irfft(spectrum, size)[: 2 * reach + 1]))
    return first - (best - reach)


def _nearest(times: Sequence[float], moment: float) -> float:
    return min(times, key=lambda time: abs(time - moment))


def main(argv: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--work", type=Path, default=Path(".bench"))
    parser.add_argument("--rounds", type=int, default=2, help="the best of so many counts")
    chosen = parser.parse_args(argv)
    work = chosen.work / "clips"
    work.mkdir(parents=True, exist_ok=True)
    case = prepare(work)
    costs: dict[str, list[Cost]] = {"ours": [], "loop": []}
    ways = {"ours": ours, "loop": loop}
    for _ in range(chosen.rounds):
        for name, way in ways.items():
            folder = work / name
            shutil.rmtree(folder, ignore_errors=True)
            folder.mkdir()
            costs[name].append(measured(lambda way=way, folder=folder: way(case, folder)))
    best = {
        name: Cost(min(c.wall_s for c in each), min(c.cpu_s for c in each))
        for name, each in costs.items()
    }
    total = sum(span.end_s - span.start_s for span in case.spans)
    lines = [f"{case.film.name}: {len(case.spans)} clips, {total:.0f} s in all"]
    for name, cost in best.items():
        lines.append(f"{name}: {cost.wall_s:.1f} s wall, {cost.cpu_s:.1f} s CPU")
    wall = best["ours"].wall_s / best["loop"].wall_s
    cpu = best["ours"].cpu_s / best["loop"].cpu_s
    lines.append(f"ours / loop: {wall:.2f} of the wall time, {cpu:.2f} of the CPU time")
    for name in ways:
        right = exactness(case, work / name)
        shown = ", ".join(f"{what} {value}" for what, value in right.items())
        lines.append(f"{name}: of {len(case.spans)} clips right: {shown}")
    sys.stdout.write("\n".join([*lines, *awkward(work)]) + "\n")


if __name__ == "__main__":
    main()
