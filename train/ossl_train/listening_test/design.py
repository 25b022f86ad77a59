"""The design of a listening test: clips, systems, order, and the key that stays secret."""

from __future__ import annotations

import dataclasses
import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ossl_builder import files, parse
from ossl_builder.annotations import label_schema, records
from ossl_builder.corpus import RECIPE, Corpus
from ossl_builder.engine.cache import changed_inputs
from ossl_builder.errors import OsslError
from ossl_builder.tables import CLIPS
from ossl_train.data.source import SplitClip, draw_evenly

if TYPE_CHECKING:
    import numpy as np

FILM, BASE, ADAPTER, CONTROL = "film", "base", "adapter", "control"
"""The film's own music; the base model; the adapter; the adapter on another clip's video."""
CODEC = "codec"
"""The film's own music, encoded and decoded by the codec of the model."""
GENERATED = (BASE, ADAPTER, CONTROL)


@dataclass(frozen=True)
class Stimulus:
    """One video with music that raters judge.

    Attributes:
        clip_id: its number in the test (`001`), which raters and server see.
        name: name of the clip whose video it has.
        system: the system whose music it has.
    """

    clip_id: str
    name: str
    system: str


def choose_clips(
    clips: Mapping[str, SplitClip], count: int, longest_s: float, seed: int
) -> tuple[str, ...]:
    """Choose clips at random, as evenly over the films as possible.

    Args:
        clips: clips by name.
        count: number of clips to choose.
        longest_s: longer clips are not used; nobody would rate four versions of a long clip.
        seed: seed of the choice.

    Returns:
        The names, sorted.

    Raises:
        OsslError: `clips_too_few`.
    """
    film_of: dict[str, str] = {}
    for name, split_clip in sorted(clips.items()):
        clip = split_clip.clip
        # Silent film music cannot be made as loud as the others.
        if clip.duration_s <= longest_s and clip.music_lufs is not None:
            film_of[name] = clip.film_id
    n_fit = len(film_of)
    if n_fit < count or len(clips) < 2:
        raise OsslError(
            "clips_too_few",
            f"{n_fit} of {len(clips)} clips with music in this split last {longest_s:g} s or less; "
            f"{count} are needed, and the control needs a second clip.",
            "Use fewer --clips, a longer --longest, or another --split.",
        )
    return tuple(sorted(draw_evenly(film_of, count, random_numbers(seed, "clips"))))


def control_partners(
    names: Sequence[str], clips: Mapping[str, SplitClip], seed: int
) -> dict[str, str]:
    """Choose for each clip another clip, whose video is the input of its control.

    The other clip is from another film and at least as long. If there is none, it is from the same
    film and at least as long. If there is none either, it is the longest other clip; its last
    frame is then repeated.
    """
    rng = random_numbers(seed, "partners")
    partners = {}
    for name in names:
        clip = clips[name].clip
        others = [other for other in sorted(clips) if other != name]
        long = [other for other in others if clips[other].clip.duration_s >= clip.duration_s]
        elsewhere = [other for other in long if clips[other].clip.film_id != clip.film_id]
        longest = [max(others, key=lambda other: clips[other].clip.duration_s)]
        fitting = elsewhere or long or longest
        partners[name] = fitting[int(rng.integers(len(fitting)))]
    return partners


def order_stimuli(names: Sequence[str], systems: Sequence[str], seed: int) -> tuple[Stimulus, ...]:
    """Return all stimuli in the order of the test: clip by clip, in random order.

    Within clips the orders are Latin squares (Williams 1949): each system is in each position
    equally often, and with an even number of systems each follows each other equally often.
    """
    rng = random_numbers(seed, "order")
    rows: list[list[str]] = []
    stimuli: list[Stimulus] = []
    for at in rng.permutation(len(names)):
        rows = rows or _square(systems, rng)
        for system in rows.pop():
            stimuli.append(Stimulus(f"{len(stimuli) + 1:03d}", names[at], system))
    return tuple(stimuli)


def _square(systems: Sequence[str], rng: np.random.Generator) -> list[list[str]]:
    count = len(systems)
    shuffled = [systems[at] for at in rng.permutation(count)]
    # 0, 1, n-1, 2, n-2, …: all steps between neighbours differ.
    first = [0, *((at + 1) // 2 if at % 2 else count - at // 2 for at in range(1, count))]
    rows = [[shuffled[(place + shift) % count] for place in first] for shift in range(count)]
    return [rows[at] for at in rng.permutation(count)]


def random_numbers(seed: int, purpose: str) -> np.random.Generator:
    """Return random numbers that are independent for each purpose."""
    from zlib import crc32

    import numpy as np

    return np.random.default_rng([seed, crc32(purpose.encode())])


KEY = "key.json"
FORMAT = 1
QUESTIONS = Path(__file__).parent / "questions.yaml"
RECIPE_TEXT = """\
# A listening test, written by `ossl train listen push`: a corpus of its own, whose clips are the
# stimuli. `ossl -C <this folder> label serve` serves them. key.json maps each stimulus to its
# system: do not show it to raters.
version: 1
"""


@dataclass(frozen=True)
class KeyEntry:
    """The secret facts of a stimulus.

    Attributes:
        clip_id: see `Stimulus`.
        name: name of the clip whose video it has.
        film_id: the film of that clip.
        system: the system whose music it has.
        lufs: integrated loudness of the music before the gain; None: silent.
        gain_db: gain that was applied.
        sha256: SHA-256 of its MP4.
    """

    clip_id: str
    name: str
    film_id: str
    system: str
    lufs: float | None
    gain_db: float
    sha256: str


@dataclass(frozen=True)
class TestKey:
    """The inputs of a test, and the system of each stimulus.

    Attributes:
        made_from: the inputs by content: clips, systems, seed, checksums of music or models.
            Equal inputs give an equal test.
        stimuli: in the order of the test.
    """

    __test__ = False  # not a test class; pytest would collect it by its name

    made_from: Mapping[str, Any]
    stimuli: tuple[KeyEntry, ...]

    @property
    def systems(self) -> tuple[str, ...]:
        """The systems, in the order of the report."""
        return tuple(self.made_from["systems"])


def write_key(root: Path, key: TestKey) -> None:
    """Write the key, readable by its owner only."""
    data = {"format": FORMAT, **dataclasses.asdict(key)}
    text = json.dumps(data, indent=1, ensure_ascii=False, sort_keys=True)
    with files.replacing(root / KEY) as temporary:
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "w", encoding="utf-8") as stream:
            stream.write(text + "\n")


def read_key(root: Path) -> TestKey:
    """Read the key of a test.

    Raises:
        OsslError: `listening_missing`, `listening_damaged`.
    """
    path = root / KEY
    if not path.is_file():
        raise OsslError(
            "listening_missing",
            f"There is no listening test in {root}: it has no {KEY}.",
            "Run `ossl train listen push` to create one; --out names its folder.",
        )
    try:
        data = parse.json_value(path.read_bytes())
        if data["format"] != FORMAT:
            raise ValueError("another format")
        return TestKey(data["made_from"], tuple(KeyEntry(**entry) for entry in data["stimuli"]))
    except (ValueError, KeyError, TypeError) as error:
        raise OsslError(
            "listening_damaged",
            f"The key {path} cannot be read.",
            "Restore it from a backup: only this file maps stimuli to systems. Or create a "
            "new test with another --out.",
        ) from error


def is_complete(root: Path) -> bool:
    """Return whether all stimuli of a test exist: their table is written last."""
    return (root / KEY).is_file() and (root / "manifests" / f"{CLIPS.name}.parquet").is_file()


def check_same_test(root: Path, made_from: Mapping[str, Any]) -> None:
    """Check that the test in a folder has the same inputs.

    Raises:
        OsslError: `listening_differs`, and those of `read_key`.
    """
    differing = changed_inputs(read_key(root).made_from, made_from)
    if differing:
        raise OsslError(
            "listening_differs",
            f"{root} holds a test with other {', '.join(differing)}.",
            "Give the new test its own folder with --out.",
        )


def create_test_corpus(root: Path) -> Corpus:
    """Create the corpus of a test, with the questions of a listening test, unless it exists."""
    if not (root / RECIPE).exists():
        # Neither the key nor the films' video may be committed by accident.
        files.write_bytes(root / ".gitignore", b"*\n")
        files.write_bytes(root / records.FOLDER / label_schema.FILE_NAME, QUESTIONS.read_bytes())
        files.write_bytes(root / RECIPE, RECIPE_TEXT.encode())
    return Corpus(root.resolve())
