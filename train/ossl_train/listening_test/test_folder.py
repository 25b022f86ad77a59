"""A test's folder: a corpus of its own, whose clips are the stimuli, and the key to them.

The key says which stimulus is which; it stays on this machine. Nothing else in the folder that
raters, server or served files show depends on whose music is heard.
"""

from __future__ import annotations

import dataclasses
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ossl_builder import files, parse
from ossl_builder.annotations import label_schema, records
from ossl_builder.corpus import RECIPE, Corpus
from ossl_builder.errors import OsslError
from ossl_builder.tables import CLIPS

KEY = "key.json"
FORMAT = 1
QUESTIONS = Path(__file__).parent / "questions.yaml"
RECIPE_TEXT = """\
# A listening test, written by `ossl train listen push`: a corpus of its own, whose clips are what
# raters hear. `ossl -C <this folder> label serve` serves them. key.json says which is which: show
# it to nobody who rates.
version: 1
"""


@dataclass(frozen=True)
class KeyEntry:
    """What a stimulus is.

    Attributes:
        clip_id: see `planning.Stimulus`.
        name: of the clip whose video it has.
        film_id: its film.
        system: whose music it has.
        lufs: integrated loudness of the music as it came; None: silent.
        gain_db: by how much it was turned up, below 0 down.
        sha256: of its MP4.
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
    """What a test was made from, and what each stimulus is.

    Attributes:
        made_from: what was asked for, by content: clips, systems, seed, checksums of sounds or of
            models; an equal one makes an equal test.
        stimuli: in their order.
    """

    __test__ = False  # no test class, whatever pytest thinks of its name

    made_from: Mapping[str, Any]
    stimuli: tuple[KeyEntry, ...]

    @property
    def systems(self) -> tuple[str, ...]:
        """Whose music is heard, in the order of the report."""
        return tuple(self.made_from["systems"])


def write_key(root: Path, key: TestKey) -> None:
    """Write it, readable by its owner only."""
    data = {"format": FORMAT, **dataclasses.asdict(key)}
    text = json.dumps(data, indent=1, ensure_ascii=False, sort_keys=True)
    with files.replacing(root / KEY) as temporary:
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "w", encoding="utf-8") as stream:
            stream.write(text + "\n")


def read_key(root: Path) -> TestKey:
    """The key of a test.

    Raises:
        OsslError: `listening_missing`, `listening_damaged`.
    """
    path = root / KEY
    if not path.is_file():
        raise OsslError(
            "listening_missing",
            f"There is no listening test in {root}: it has no {KEY}.",
            "`ossl train listen push` makes one; --out names its folder.",
        )
    try:
        data = parse.json_value(path.read_bytes())
        if data["format"] != FORMAT:
            raise ValueError("another format")
        return TestKey(data["made_from"], tuple(KeyEntry(**one) for one in data["stimuli"]))
    except (ValueError, KeyError, TypeError) as error:
        raise OsslError(
            "listening_damaged",
            f"{path} cannot be read, and nobody else knows which stimulus is which.",
            "Take it back from a copy; else make a new test with another --out.",
        ) from error


def is_complete(root: Path) -> bool:
    """Whether a test's stimuli all stand there: their table is written last."""
    return (root / KEY).is_file() and (root / "manifests" / f"{CLIPS.name}.parquet").is_file()


def check_same(root: Path, made_from: Mapping[str, Any]) -> None:
    """See that the test that stands in a folder is the one asked for.

    Raises:
        OsslError: `listening_differs`, and those of `read_key`.
    """
    before = read_key(root).made_from
    now = json.loads(files.json_bytes(dict(made_from)))
    differing = sorted(key for key in {*before, *now} if before.get(key) != now.get(key))
    if differing:
        raise OsslError(
            "listening_differs",
            f"{root} holds a test made from other {', '.join(differing)}.",
            "Give a new test its own folder with --out; tests are never mixed.",
        )


def found(root: Path) -> Corpus:
    """Make the folder a corpus, its questions those of a listening test; may be done twice."""
    if not (root / RECIPE).exists():
        # Ratings are published by whoever wants to; the key and the films' video is not.
        files.write_bytes(root / ".gitignore", b"*\n")
        files.write_bytes(root / records.FOLDER / label_schema.FILE_NAME, QUESTIONS.read_bytes())
        files.write_bytes(root / RECIPE, RECIPE_TEXT.encode())
    return Corpus(root.resolve())
