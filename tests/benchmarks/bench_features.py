"""Processor time to read the frames of windows: ours, decoding everything, and a user's own loop.

    python -m tests.benchmarks.bench_features [--work DIR]

All three run on the same clip, encoded as the clips stage does (x264, `veryfast`, CRF 18), and read
32 frames for each window of 30 s. The user's loop converts every frame to an array and keeps those
it needs. The encoder itself is not measured.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import av
import numpy as np
from ossl_train.data.window_loader import sample_times
from ossl_train.data.windows import WindowSpan

from ossl_builder.media.demux import open_media, stream_at
from ossl_builder.media.ffmpeg import binary
from ossl_builder.media.sampled_frames import (
    SampledFrames,
    _decoded,
    _of_all_frames,
    frames_at,
    wanted_frames,
)
from ossl_builder.media.stream_choice import inspect
from tests.benchmarks.bench_scenes import run

SECONDS, FRAMES = 30, 32
Frames = list[SampledFrames]


def users_loop(path: Path, times_s: Sequence[float]) -> Frames:
    """Decode every frame to an array, and keep those shown at the times."""
    kept: Frames = []
    last: SampledFrames | None = None
    with av.open(str(path)) as container:
        for frame in container.decode(video=0):
            array = SampledFrames(frame.time, frame.to_ndarray(format="rgb24"))
            while last is not None and len(kept) < len(times_s):
                if times_s[len(kept)] + 1e-4 >= array.time_s:
                    break
                kept.append(last)
            last = array
    assert last is not None
    return kept + [last] * (len(times_s) - len(kept))


def spent(read: Callable[[], Frames]) -> tuple[float, Frames]:
    """The least processor seconds of three runs, and the frames."""
    seconds = []
    for _ in range(3):
        began = time.process_time()
        frames = read()
        seconds.append(time.process_time() - began)
    return min(seconds), frames


def make_clip(work: Path) -> Path:
    """A clip of 720p, from the shared media if they are here, else from ffmpeg's patterns."""
    shared = Path(os.environ.get("OSSL_TEST_MEDIA", "")) / "mixfilm" / "dev.mp4"
    clip = work / f"features-{shared.stem if shared.exists() else 'patterns'}.mp4"
    film = ["-i", str(shared)]
    if not shared.exists():
        film = ["-f", "lavfi", "-i", "testsrc2=s=1280x720:r=24,noise=alls=12:allf=t"]
    coding = ["-vf", "scale=1280:720", "-c:v", "libx264", "-preset", "veryfast", "-crf", "18"]
    if not clip.exists():
        run([binary(), "-v", "error", *film, "-an", "-t", str(SECONDS), *coding, str(clip)], work)
    return clip


def main(arguments: Sequence[str] | None = None) -> None:
    """Make the clip, measure, print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--work", type=Path, default=Path(tempfile.gettempdir()) / "ossl-bench")
    work: Path = parser.parse_args(arguments).work
    work.mkdir(parents=True, exist_ok=True)
    clip = make_clip(work)
    windows = [WindowSpan(n, 30.0 * n, 30.0) for n in range(SECONDS // 30)]
    times_s = [time_s for window in windows for time_s in sample_times(window, FRAMES)]
    media = inspect(clip)
    ours, selected = spent(lambda: list(frames_at(clip, times_s)))
    everything, all_frames = spent(lambda: list(_of_all_frames(media, times_s)))
    user, theirs = spent(lambda: users_loop(clip, times_s))
    for other in (all_frames, theirs):
        assert all(np.array_equal(a.rgb, b.rgb) for a, b in zip(selected, other, strict=True))
    wanted = wanted_frames(media, times_s)
    assert wanted is not None
    with open_media(clip) as container:
        stream = stream_at(container, media.video, clip.name)
        decoded = sum(1 for _ in _decoded(container, stream, wanted))
    with av.open(str(clip)) as container:
        n_packets = sum(bool(packet.size) for packet in container.demux(video=0))
    hours = SECONDS / 3600
    sys.stdout.write(
        f"features, {SECONDS} s of 720p H.264, {len(times_s)} frames; {decoded} of {n_packets} "
        "frames decoded; the frames are equal\n"
        f"  {'':<28}{'processor s':>12}{'s per hour':>12}{'ratio':>8}\n"
    )
    for name, seconds in (
        ("only what is needed", ours), ("decoding every frame", everything), ("a user's loop", user)
    ):  # fmt: skip
        sys.stdout.write(
            f"  {name:<28}{seconds:>12.2f}{seconds / hours:>12.0f}{seconds / ours:>8.2f}\n"
        )


if __name__ == "__main__":
    main()
