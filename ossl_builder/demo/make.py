"""Make the demo films: all that is seen and heard in them is computed, so all of it is known."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from numpy.typing import NDArray

from ossl_builder.demo.acoustics import RATE
from ossl_builder.demo.editing import frames
from ossl_builder.demo.encoding import encode
from ossl_builder.demo.films import SCRIPTS
from ossl_builder.demo.script import DemoFilm, Script, transitions
from ossl_builder.demo.soundtrack import soundtrack
from ossl_builder.files import replacing, write_bytes

EVIDENCE = "Made by ossl-builder's own code (ossl_builder/demo); CC0 1.0 Universal."


def make_films(folder: Path, progress: Callable[[float], None]) -> tuple[DemoFilm, ...]:
    """Make the three films, and beside each its truth as `<film_id>.truth.json`.

    Args:
        folder: where to write `<film_id>.mp4`; it is made if it is missing.
        progress: called with the part done, 0 to 1, after each picture.

    Returns:
        The films, in the order training, validation, test.

    Raises:
        OsslError: `ffmpeg_failed`, `ffmpeg_missing`.
    """
    total = sum(script.n_frames for script in SCRIPTS)
    made = []
    for number, script in enumerate(SCRIPTS):
        before = sum(earlier.n_frames for earlier in SCRIPTS[:number])
        made.append(make_film(script, folder, _share(progress, before, total)))
    return tuple(made)


def make_film(script: Script, folder: Path, progress: Callable[[int], None]) -> DemoFilm:
    """Make one film; `progress` is called with the number of pictures that are done.

    Raises:
        OsslError: `ffmpeg_failed`, `ffmpeg_missing`.
    """
    import soundfile

    path = folder / f"{script.film_id}.mp4"
    sound, speech = soundtrack(script)
    with replacing(path) as part, TemporaryDirectory() as scratch:
        sound_path = Path(scratch) / "sound.wav"
        soundfile.write(sound_path, sound, RATE, subtype="FLOAT")
        encode(script, _counted(frames(script), progress), sound_path, part)
    cuts, gradual = transitions(script)
    film = DemoFilm(
        film_id=script.film_id,
        title=script.title,
        year=2026,
        basis="licensed",
        evidence=EVIDENCE,
        path=path,
        fps_num=script.rate.numerator,
        fps_den=script.rate.denominator,
        n_frames=script.n_frames,
        is_black_and_white=not script.is_colour,
        cuts=cuts,
        gradual=gradual,
        music=script.music,
        speech=speech,
    )
    truth = {**dataclasses.asdict(film), "path": path.name}
    text = json.dumps(truth, indent=1) + "\n"
    write_bytes(folder / f"{script.film_id}.truth.json", text.encode())
    return film


def _share(progress: Callable[[float], None], before: int, total: int) -> Callable[[int], None]:
    return lambda count: progress((before + count) / total)


def _counted(
    pictures: Iterable[NDArray[np.uint8]], progress: Callable[[int], None]
) -> Iterator[NDArray[np.uint8]]:
    for count, picture in enumerate(pictures, start=1):
        yield picture
        progress(count)
