"""Damage small films in many ways and build a corpus of them: `python -m tests.e2e.fuzz`.

Every film must end as done, rejected or failed with a code, never with a traceback. If it is done,
probe, scenes and cutting must agree on it, or there must be a warning.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from random import Random
from typing import Any

from tests import films
from tests.e2e.corpora import Ossl, rows, run_ossl
from tests.films import shapes

N_FILMS = 300
# In a separate process, like the stages: a decoder may crash.
MEASURE = """
import json, sys
from tests.e2e.fuzz import measured
print(json.dumps(measured(*json.loads(sys.argv[1]))))
"""
SECONDS = 4.0
Make = Callable[[Path, Path], Path]
SEEDS: tuple[tuple[str, Make], ...] = (
    ("mp4", shapes.converted(".mp4", *shapes.H264, "-g", 25)),
    ("mkv", shapes.converted(".mkv", "-c:v", "libx265", "-preset", "ultrafast", "-x265-params",
                       "log-level=error:pools=1:keyint=25", "-c:a", "flac")),
    ("avi", shapes.WHOLE["MPEG-4 with B-frames in avi"]),
    ("ts", shapes.converted(".ts", *shapes.MPEG)),
    ("vob", shapes.WHOLE["one cell"]),
    ("webm", shapes.MEASURED["webm"]),
    ("ogv", shapes.WHOLE["theora"]),
    ("wmv", shapes.WHOLE["wmv"]),
    ("flv", shapes.WHOLE["flv"]),
    ("mov", shapes.converted(".mov", "-c:v", "mjpeg", "-q:v", 5, "-c:a", "pcm_s16le")),
)  # fmt: skip
# Timestamps altered by remuxing (ffmpeg's bitstream filter `setts`).
TIMES = (
    "setts=ts='if(gt(N,{n}),TS+3600/TB,TS)'",
    "setts=ts='if(gt(N,{n}),TS+3/TB,TS)'",
    "setts=ts='if(gt(N,{n}),TS-1/TB,TS)'",
    "setts=pts='if(eq(N,{n}),PTS+500/TB,PTS)'",
    "setts=ts='TS+random(0)*0.03/TB'",
    "setts=ts='TS*1.3'",
)


@dataclass
class FuzzResult:
    """Final states of the films, and problems, one line each."""

    ends: Counter[str] = field(default_factory=Counter)
    n_warned: int = 0
    n_compared: int = 0
    wrong: list[str] = field(default_factory=list)


def flip(content: bytearray, random: Random) -> None:
    """Some bytes anywhere."""
    for _ in range(random.choice((1, 10, 100, 1000))):
        content[random.randrange(len(content))] = random.randrange(256)


def cut(content: bytearray, random: Random) -> None:
    """The end is missing."""
    del content[random.randrange(1, len(content)) :]


def blank(content: bytearray, random: Random) -> None:
    """A block of zeros."""
    start, length = _block(content, random)
    content[start : start + length] = bytes(length)


def repeat(content: bytearray, random: Random) -> None:
    """A block twice."""
    start, length = _block(content, random)
    content[start:start] = content[start : start + length]


def leave_out(content: bytearray, random: Random) -> None:
    """A block is missing."""
    start, length = _block(content, random)
    del content[start : start + length]


def noise(content: bytearray, random: Random) -> None:
    """A block of noise."""
    start, length = _block(content, random)
    content[start : start + length] = random.randbytes(length)


BYTES = (flip, flip, cut, blank, repeat, leave_out, noise)


def _block(content: bytearray, random: Random) -> tuple[int, int]:
    length = random.choice((16, 1000, len(content) // 20, len(content) // 4))
    return random.randrange(max(1, len(content) - length)), min(length, len(content) // 2)


def mutate(seed: Path, target: Path, random: Random) -> str:
    """Write a damaged copy; return a description of the damage."""
    kind = random.random()
    if kind < 0.3:
        times = random.choice(TIMES).format(n=random.randrange(10, 80))
        stream = random.choice(("v", "a"))
        both = ("-bsf:v", times, "-bsf:a", times) if random.random() < 0.5 else ()
        done = f"{'both' if both else stream}: {times}"
        order = ("-map", "0:a", "-map", "0:v") if random.random() < 0.3 else ("-map", "0")
        try:
            shapes.ffmpeg("-i", seed, *order, "-c", "copy", *(both or (f"-bsf:{stream}", times)),
                          target)  # fmt: skip
            return done
        except RuntimeError:  # the container does not accept these times
            target.unlink(missing_ok=True)
    content = bytearray(seed.read_bytes())
    change = random.choice(BYTES)
    change(content, random)
    target.write_bytes(content)
    return change.__name__


def build(ossl: Ossl, folder: Path, n_films: int = N_FILMS, seed: int = 1) -> FuzzResult:
    """Damage films, build them up to the scenes stage, and compare the results of the stages."""
    plain, corpus = folder / "plain.mp4", folder / "corpus"
    films.make_film(plain, rate=Fraction(25), seconds=SECONDS, audio_s=(0, SECONDS))
    seeds = [make(plain, folder / f"seed-{name}") for name, make in SEEDS]
    ossl("init", corpus)
    done: dict[str, str] = {}
    (folder / "films").mkdir()
    for number in range(n_films):
        source = seeds[number % len(seeds)]
        name = f"film-{number:03d}"
        path = folder / "films" / f"{name}{source.suffix}"
        done[name] = f"{source.suffix} {mutate(source, path, Random(seed * 1000 + number))}"
        record(corpus, path, name)
    subprocess.run(
        [sys.executable, "-m", "ossl_builder.cli.main", "-C", str(corpus), "build", "--until",
         "scenes", "--workers", "2"], capture_output=True, check=False,
    )  # fmt: skip
    status = json.loads(ossl("-C", corpus, "status", "--json").stdout)
    return compare(corpus, status, done)


def record(corpus: Path, path: Path, name: str) -> None:
    """Record a film like `ossl films add`, without starting the program 300 times."""
    from ossl_builder.corpus import open_corpus
    from ossl_builder.tables import Source

    source = Source(
        film_id=name, title=name, year=2020, basis="licensed", evidence="for tests",
        source=str(path), alternates="", country="", licence="", sha256=None, is_claim=True,
        allow_unknown=True,
    )  # fmt: skip
    open_corpus(corpus).record_source(source)


def compare(corpus: Path, status: dict[str, Any], done: dict[str, str]) -> FuzzResult:
    """Collect final states, and check that the stages agree on each film that is done."""
    found = FuzzResult()
    ended = {entry["film_id"]: entry for key in ("failed", "rejected") for entry in status[key]}
    warned = {entry["film_id"] for entry in status["warnings"]}
    scenes: dict[str, dict[str, Any]] = {row["film_id"]: row for row in rows(corpus, "scenes")}
    damaged = {row["film_id"] for row in rows(corpus, "scenes") if row["damaged_spans"]}
    table = {row["film_id"]: row for row in rows(corpus, "films")}
    for name, what in done.items():
        if name in ended:
            code = ended[name]["code"]
            found.ends[f"{ended[name]['stage']}: {code}"] += 1
            if not code or code == "unexpected":
                found.wrong.append(f"{name} ({what}): {code or 'no code'}: {ended[name]}")
            continue
        if name not in scenes:
            found.ends["nowhere"] += 1
            found.wrong.append(f"{name} ({what}) ended nowhere")
            continue
        found.ends["done"] += 1
        found.n_warned += name in warned
        found.n_compared += 1
        film, last = table[name], scenes[name]
        off = disagreement(corpus, film, last, name in damaged)
        if off:
            found.wrong.append(f"{name} ({what}): {off}")
        is_whole = (
            last["end_frame"] == film["n_packets"]
            and abs(last["end_s"] - film["duration_s"]) < 0.05
        )
        if not is_whole and name not in warned:
            found.wrong.append(
                f"{name} ({what}): {last['end_frame']} frames and {last['end_s']:.2f} s in its "
                f"scenes, {film['n_packets']} and {film['duration_s']:.2f} s in its row: no warning"
            )
    return found


def disagreement(corpus: Path, film: dict[str, Any], last: dict[str, Any], is_damaged: bool) -> str:
    """How cutting or the audio reader disagree with the scenes of a film; empty if they agree."""
    given = [str(corpus / film["path"]), film["video_stream"], film["audio_stream"],
             film["has_time_jumps"], f"{film['fps_num']}/{film['fps_den']}", last["end_s"],
             is_damaged]  # fmt: skip
    run = subprocess.run(
        [sys.executable, "-c", MEASURE, json.dumps(given)],
        capture_output=True,
        text=True,
        check=False,
    )
    if run.returncode:
        return f"cutting ended with {run.returncode}: {run.stderr.strip()[-300:]}"
    n_frames, audio_s = json.loads(run.stdout)
    if n_frames != last["end_frame"]:
        return f"{last['end_frame']} frames in its scenes, {n_frames} in a clip of all of it"
    if film["audio_stream"] is not None and not 0 <= audio_s < 2 * film["duration_s"] + 1:
        return f"{audio_s:.2f} s of audio"
    return ""


def measured(
    path: str, video: int, audio: int | None, jumps: bool, rate: str, end_s: float, damaged: bool
) -> tuple[int, float]:
    """Number of frames of a clip of the whole film, and seconds of its audio."""
    import numpy as np
    import soundfile

    from ossl_builder.errors import OsslError, Rejected
    from ossl_builder.media.audio_reader import FilmAudio
    from ossl_builder.media.clip_writer import Encoding
    from ossl_builder.media.cut import cut
    from ossl_builder.media.demux import MediaFile
    from ossl_builder.media.video_transforms import OutputFormat
    from ossl_builder.tables.schema import Span

    media = MediaFile(Path(path), video, audio, jumps)
    step = 1 / Fraction(rate)
    audio_s = 0.0
    try:
        blocks = FilmAudio(media, 16_000, 1, step).blocks()
        for block in blocks:
            assert np.isfinite(block).all()
            audio_s += block.shape[1] / 16_000
    except (OsslError, Rejected):
        pass  # the stems stage reports this error
    with tempfile.TemporaryDirectory() as folder:
        mix = Path(folder) / "mix.flac"
        soundfile.write(mix, np.zeros((1600, 2)), 16_000)
        form, encoding = OutputFormat(1 / step, Fraction(1)), Encoding(40, "ultrafast", 64_000)
        (clip,) = cut(media, end_s, form, [Span(0.0, end_s)], mix, Path(folder), encoding,
                      lambda part: None, is_damaged=damaged)  # fmt: skip
    return (clip.n_frames if clip else 0), audio_s


def show(found: FuzzResult) -> str:
    """Format the counts and the problems."""
    lines = [f"{count:4d}  {end}" for end, count in sorted(found.ends.items())]
    lines.append(f"{found.n_compared} films compared, {found.n_warned} of them with a warning")
    lines += [f"WRONG: {line}" for line in found.wrong] or ["nothing wrong"]
    return "\n".join(lines)


def main() -> None:
    """Run it in a temporary folder; an argument names the number of films, a second the seed."""

    numbers = [int(word) for word in sys.argv[1:3]]
    with tempfile.TemporaryDirectory() as folder:
        found = build(run_ossl, Path(folder), *numbers)
    sys.stdout.write(show(found) + "\n")
    raise SystemExit(1 if found.wrong else 0)


if __name__ == "__main__":
    main()
