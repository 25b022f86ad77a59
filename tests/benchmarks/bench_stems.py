"""Speed, memory and exactness of separation compared with Demucs, as ratios within one run.

    python tests/benchmarks/bench_stems.py [--work DIR] [--minutes 60] [--speed-minutes 3]

Memory is the peak of a child process for `--minutes` of audio compared with that for 2 minutes.
Speed is a child process of ours (decoding, separation, three FLAC files) compared with the `demucs`
command with the same model, overlap and no shifts, which writes two WAV files; each is the best of
`--repeats` alternating runs. The command reads models from a folder in another format, so the
bundled model is converted first.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import soundfile

RATE = 44_100


def audio(path: Path, minutes: float) -> Path:
    """Chords that change, bursts like syllables, and hiss; written block by block."""
    rng = np.random.default_rng(0)
    with soundfile.SoundFile(path, "w", RATE, 2, subtype="PCM_16") as file:
        for second in range(round(minutes * 60)):
            at = (second + np.arange(RATE) / RATE)[:, None]
            root = 110 * 2 ** (rng.integers(0, 12) / 12)
            tones = sum(np.sin(2 * np.pi * root * k * at) / k for k in (1, 1.25, 1.5, 2, 3))
            burst = rng.standard_normal((RATE, 1)) * np.maximum(np.sin(8 * np.pi * at), 0) ** 4
            speaks = 0.15 * (second % 10 < 5)
            file.write(0.08 * tones + speaks * burst + 0.003 * rng.standard_normal((RATE, 2)))
    return path


def separate(path: Path, to: Path, model: str, batch_size: int | None) -> None:
    """What `ossl stems` does with a film; prints the hashes of the files."""
    from ossl_builder.engine.stage import Item
    from ossl_builder.stages.stems import STEMS_STAGE
    from tests.rows import film_row

    info = soundfile.info(path)
    film = film_row(
        path.name, duration_s=info.duration, audio_duration_s=info.duration, audio_stream=0
    )
    to.mkdir(parents=True, exist_ok=True)
    config = STEMS_STAGE.config(model=model, batch_size=batch_size, device="cpu")
    item = Item("film", path.parent, to, to.name, {"films": (film,)}, config, lambda part: None)
    rows = STEMS_STAGE.run(item).rows
    sys.stdout.write(json.dumps([row.sha256 for row in rows]))


@dataclass(frozen=True)
class Run:
    """A child process: its output, wall-clock time, processor time of all cores, and memory."""

    told: str
    wall_s: float
    cpu_s: float
    peak_mb: float


def run_child(*command: str | Path) -> Run:
    """Run a child process to its end; the kernel reports its peak memory."""
    begun = time.perf_counter()
    with subprocess.Popen(list(map(str, command)), stdout=subprocess.PIPE, text=True) as child:
        told = child.stdout.read() if child.stdout else ""
        _, status, used = os.wait4(child.pid, 0)
        child.returncode = os.waitstatus_to_exitcode(status)
    if child.returncode:
        raise subprocess.CalledProcessError(child.returncode, command)
    unit = 1 if sys.platform == "darwin" else 1024
    wall_s = time.perf_counter() - begun
    return Run(told, wall_s, used.ru_utime + used.ru_stime, used.ru_maxrss * unit / 1e6)


def ours(path: Path, to: Path, model: str, batch_size: int = 0) -> Run:
    module = "tests.benchmarks.bench_stems"
    return run_child(sys.executable, "-m", module, "--child", path, to, model, str(batch_size))


def demucs_folder(folder: Path, model: str) -> Path:
    """A folder from which `demucs --repo` loads the model."""
    import torch

    from ossl_builder.models import demucs_model

    (part,) = demucs_model.load(model, "cpu").parts
    args, kwargs = part._init_args_kwargs
    folder.mkdir(parents=True, exist_ok=True)
    package = {"klass": type(part), "args": args, "kwargs": kwargs, "state": part.state_dict()}
    torch.save(package, folder / "same.th")
    return folder


def theirs(path: Path, to: Path, repo: Path) -> Run:
    return run_child(
        sys.executable, "-m", "demucs", "--repo", repo, "-n", "same", "-d", "cpu", "--shifts", "0",
        "--overlap", "0.25", "-o", to, path,
    )  # fmt: skip


def difference(path: Path, to: Path, model: str) -> float:
    """Largest difference of the written stems from `apply_model` on the whole mix."""
    import torch
    from demucs.apply import apply_model

    from ossl_builder.models import demucs_model

    loaded = demucs_model.load(model, "cpu")
    mix = torch.from_numpy(soundfile.read(path, dtype="float32")[0].T.copy())
    with torch.inference_mode():
        wanted = apply_model(loaded.parts[0], mix[None], shifts=0, split=True)[0].numpy()
    largest = 0.0
    for source, stem in zip(loaded.sources, wanted, strict=True):
        written = soundfile.read(to / f"{source}.flac", dtype="float32")[0].T
        largest = max(largest, float(np.abs(written - stem.clip(-1, 1)).max()))
    return largest


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--work", type=Path, help="folder for sounds and stems; kept")
    parser.add_argument("--minutes", type=float, default=60, help="of audio, for memory")
    parser.add_argument("--speed-minutes", type=float, default=10, help="of audio, for speed")
    parser.add_argument("--repeats", type=int, default=2)
    parser.add_argument("--model", default="bundled", help="with the sources dialogue and music")
    options = parser.parse_args(arguments)
    work = options.work or Path(tempfile.mkdtemp(prefix="bench-stems-"))
    work.mkdir(parents=True, exist_ok=True)

    def print_line(line: str) -> None:
        sys.stdout.write(line + "\n")
        sys.stdout.flush()

    short = ours(audio(work / "short.wav", 2), work / "short", options.model)
    long = ours(audio(work / "long.wav", options.minutes), work / "long", options.model)
    print_line(
        f"memory  {options.minutes:g} min / 2 min = {long.peak_mb / short.peak_mb:.3f}   "
        f"({long.peak_mb:.0f} MB, {short.peak_mb:.0f} MB)"
    )
    print_line(f"speed   {long.wall_s / options.minutes / 60:.4f} s per second of audio")

    track = audio(work / "track.wav", options.speed_minutes)
    repo = demucs_folder(work / "repo", options.model)
    mine, other = [], []
    for _ in range(options.repeats):
        mine.append(ours(track, work / "track", options.model))
        other.append(theirs(track, work / "theirs", repo))
    wall_s, cpu_s = min(run.wall_s for run in other), min(run.cpu_s for run in other)
    print_line(
        f"speed   ours / demucs command = {min(run.wall_s for run in mine) / wall_s:.2f}, "
        f"CPU time {min(run.cpu_s for run in mine) / cpu_s:.2f}   ({wall_s:.1f} s, {cpu_s:.1f} s)"
    )

    worst = difference(track, work / "track", options.model)
    print_line(f"exact   largest difference from apply_model = {worst:.1e} of full scale")
    for size in (1, 2, 4):
        run = ours(track, work / f"batch-{size}", options.model, size)
        same = "the same bytes" if run.told == mine[0].told else "OTHER BYTES"
        print_line(
            f"batch   {size}: seconds / demucs command = {run.wall_s / wall_s:.2f}, "
            f"memory / the default's = {run.peak_mb / mine[0].peak_mb:.2f}, {same}"
        )
    if options.work is None:
        shutil.rmtree(work)


if __name__ == "__main__":
    if sys.argv[1:2] == ["--child"]:
        separate(Path(sys.argv[2]), Path(sys.argv[3]), sys.argv[4], int(sys.argv[5]) or None)
    else:
        main()
