"""Processor time of the scenes stage, of decoding alone, and of the `scenedetect` command; errors.

All three run one after the other on the same film of at least five minutes of 720p H.264, which is
made once and kept in the work folder; the result is the ratio within one run. Then false and lost
boundaries on films of `tests.films.hard_shots`, if the shared media are available.
"""

from __future__ import annotations

import argparse
import os
import resource
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

from ossl_builder.engine.stage import Item
from ossl_builder.media.ffmpeg import binary
from ossl_builder.stages.scenes.stage import SCENES_STAGE
from ossl_builder.tables.scenes import Scene
from tests.films import hard_shots
from tests.rows import NO_SOUND, film_row

ROOT = Path(__file__).parents[2]
SECONDS = 310
HARD_SECONDS = 180


def main(arguments: Sequence[str] | None = None) -> None:
    """Make the film, measure, print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--work", type=Path, default=Path(tempfile.gettempdir()) / "ossl-bench")
    work: Path = parser.parse_args(arguments).work
    work.mkdir(parents=True, exist_ok=True)
    film = make_film(work)
    decoding = ["-v", "error", "-i", str(film), "-an", "-f", "null", "-"]
    stage = [sys.executable, "-m", "tests.benchmarks.bench_scenes", "--stage", str(film)]
    command = [str(Path(sys.executable).with_name("scenedetect")), "-q", "-i", str(film)]
    figures = {
        "ffmpeg, decoding alone": spent(lambda: run([binary(), *decoding], work)),
        "scenes stage": spent(lambda: run(stage, ROOT)),
        "scenedetect detect-adaptive": spent(lambda: run([*command, "detect-adaptive"], work)),
    }
    floor = figures["ffmpeg, decoding alone"]
    lines = [f"scenes, {SECONDS} s of 720p H.264{'processor s':>20}{'ratio':>8}"]
    lines += [f"  {name:<38}{s:>10.1f}{s / floor:>8.2f}" for name, s in figures.items()]
    sys.stdout.write("\n".join(lines) + "\n")
    media = os.environ.get("OSSL_TEST_MEDIA", "")
    if media:
        for half in (0, 1):
            write_errors(Path(media), half, work)


def write_errors(media: Path, half: int, work: Path) -> None:
    """Print false boundaries and true changes found and lost, by kind, on half of the shots."""
    shots = hard_shots.real_shots(media, half)
    total = hard_shots.Score()
    sys.stdout.write(
        f"half {half} of the shots{'false':>26}{'per 10 min':>12}{'lost':>6}{'of':>6}\n"
    )
    for kind in (*hard_shots.FALSE_KINDS, *hard_shots.TRUE_KINDS):
        path = work / "hard.mp4"
        truth = hard_shots.write(path, hard_shots.pieces(shots, kind, HARD_SECONDS, seed=half))
        score = hard_shots.Score()
        hard_shots.score(truth, run_stage(path, truth.n / hard_shots.FPS)[1:], score)
        write_score(kind, score)
        total.add(score)
    write_score("all", total)


def write_score(kind: str, score: hard_shots.Score) -> None:
    """A line of the table."""
    n_false, n_lost = sum(score.false.values()), sum(score.lost.values())
    rate = n_false / sum(score.seconds.values()) * 600
    n_true = n_lost + sum(score.found.values())
    sys.stdout.write(f"  {kind:<41}{n_false:>5}{rate:>12.2f}{n_lost:>6}{n_true:>6}\n")
    sys.stdout.flush()


def make_film(work: Path) -> Path:
    """A 720p H.264 film, from the shared media if they are here, else from ffmpeg's patterns."""
    film = work / "scenes-720p.mp4"
    if film.exists():
        return film
    media = os.environ.get("OSSL_TEST_MEDIA", "")
    shared = Path(media) / "mixfilm" / "dev.mp4"
    if media and shared.exists():
        source = ["-i", str(shared), "-t", str(SECONDS / 2)]
    else:
        patterns = f"testsrc2=s=1280x720:r=24,noise=alls=12:allf=t,trim=duration={SECONDS / 2}"
        source = ["-f", "lavfi", "-i", patterns]
    part, whole = work / "part.mp4", work / "whole.mp4"
    coding = ["-vf", "scale=1280:720", "-an", "-c:v", "libx264", "-preset", "veryfast"]
    run([binary(), "-v", "error", "-y", *source, *coding, "-crf", "21", str(part)], work)
    loop = ["-stream_loop", "1", "-i", str(part), "-c", "copy", str(whole)]
    run([binary(), "-v", "error", "-y", *loop], work)
    return whole.replace(film)


def run(command: list[str], folder: Path) -> None:
    """Run a command in `folder`."""
    subprocess.run(command, check=True, cwd=folder, stdout=subprocess.DEVNULL)


def spent(task: Callable[[], None]) -> float:
    """Processor seconds, user and system, of the processes that `task` runs."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    task()
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime - before.ru_utime + after.ru_stime - before.ru_stime


def run_stage(path: Path, seconds: float = SECONDS) -> list[int]:
    """First frames of the scenes that the stage finds."""
    film = film_row(
        path.name,
        duration_s=float(seconds),
        fps=24.0,
        fps_num=24,
        width=1280,
        height=720,
        **NO_SOUND,
    )
    with tempfile.TemporaryDirectory() as folder:
        item = Item(
            item_id="bench",
            corpus=path.parent,
            folder=Path(folder),
            home="films/bench/scenes",
            rows={"films": (film,)},
            config=SCENES_STAGE.config(),
            progress=lambda part: None,
        )
        return [row.start_frame for row in SCENES_STAGE.run(item).rows if isinstance(row, Scene)]


if __name__ == "__main__":
    if sys.argv[1:2] == ["--stage"]:
        run_stage(Path(sys.argv[2]))
    else:
        main()
