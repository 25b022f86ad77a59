"""A whole test: clips drawn, music made or found, stimuli written; what is there is left alone."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ossl_builder.corpus import Corpus
from ossl_builder.files import inside
from ossl_builder.tables import Clip
from ossl_train.data.source import SplitClip, read_source
from ossl_train.evaluation.eval_set import named_clips
from ossl_train.generation.requests import Words, of_split
from ossl_train.listening_test import music as making
from ossl_train.listening_test import stimuli as sounding
from ossl_train.listening_test import test_folder
from ossl_train.listening_test.design import (
    CONTROL,
    FILM,
    GENERATED,
    Stimulus,
    choose,
    ordered,
    partners,
)
from ossl_train.listening_test.music import Part, Wanted
from ossl_train.listening_test.test_folder import TestKey
from ossl_train.recipe import load_train_recipe

MADE = "made"


@dataclass(frozen=True)
class Chosen:
    """What is asked for.

    Attributes:
        split: whose clips are heard.
        count: how many clips.
        longest_s: none is longer.
        seed: of everything that is drawn.
        sounds: folder of finished music; None: it is generated.
    """

    split: str
    count: int
    longest_s: float
    seed: int
    sounds: Path | None


@dataclass(frozen=True)
class Plan:
    """What a test will be.

    Attributes:
        root: the corpus or the export.
        clips: the chosen ones, by name.
        partners: chosen clip to the one whose video its control is made for; empty where
            finished music is taken.
        systems: whose music is heard.
        sounds: finished music by system and clip.
        parts: music to be generated.
        made_from: what it all follows from, by content.
        seed: of the order.
    """

    root: Path
    clips: Mapping[str, Clip]
    partners: Mapping[str, str]
    systems: tuple[str, ...]
    sounds: Mapping[str, Mapping[str, Path]]
    parts: tuple[Part, ...]
    made_from: Mapping[str, Any]
    seed: int

    @property
    def stimuli(self) -> tuple[Stimulus, ...]:
        """In the order in which they are heard."""
        return ordered(list(self.clips), self.systems, self.seed)


def plan(
    corpus: Path, data: Path | None, chosen: Chosen, wanted: Wanted, out: Path, is_dry: bool
) -> Plan:
    """Draw the clips and find out what their music is made from.

    Raises:
        OsslError: `clips_too_few`, and those of `read_source`, `making.parts`, `making.finished`.
    """
    source = read_source(corpus, data, use_labels=False)
    split = named_clips(source.on(chosen.split))
    names = choose(split, chosen.count, chosen.longest_s, chosen.seed)
    if chosen.sounds is None:
        pairs = partners(names, split, chosen.seed)
        words = Words(None, None, load_train_recipe(wanted.recipe, wanted.overrides).prompts)
        pieces = {one.name: one for one in of_split(corpus, data, chosen.split, words)}
        parts = making.parts(wanted, pieces, pairs, out / MADE, is_dry)
        systems: tuple[str, ...] = (FILM, *GENERATED)
        music: dict[str, Any] = {
            # Another version of the program goes on with the same test.
            "generated": [
                {key: value for key, value in part.facts.items() if key != "program"}
                for part in parts
            ],
            "prompts": {name: pieces[name].prompt for name in names},
            CONTROL: dict(pairs),
        }
        sounds = {}
    else:
        pairs, parts = {}, []
        sounds = making.finished(chosen.sounds, names)
        systems = (FILM, *sounds)
        music = {"finished": making.checksums(sounds)}
    return Plan(
        root=source.root,
        clips={name: split[name].clip for name in names},
        partners=pairs,
        systems=systems,
        sounds=sounds,
        parts=tuple(parts),
        made_from={
            "split": chosen.split,
            "seed": chosen.seed,
            "systems": list(systems),
            "clips": {name: _content(split[name]) for name in names},
            **music,
        },
        seed=chosen.seed,
    )


def assemble(
    planned: Plan,
    out: Path,
    bar: Callable[[int, str], Any],
    say: Callable[[str], None],
) -> Corpus:
    """Make the test, or what is missing of it.

    Args:
        planned: see `plan`.
        out: its folder.
        bar: told how many there are and of what, gives a context whose value counts them.
        say: told what a person should know.

    Raises:
        OsslError: `listening_differs`, and those of `making.make` and `sounding.write_stimuli`.
    """
    if (out / test_folder.KEY).exists():
        test_folder.check_same(out, planned.made_from)
    if test_folder.is_complete(out):
        return Corpus(out.resolve())
    test = test_folder.found(out)
    for part in planned.parts:
        making.make(part, lambda steps: bar(steps, "music"), say)
    key = TestKey(planned.made_from, tuple(_written(planned, test.root, bar)))
    test_folder.write_key(test.root, key)
    sounding.write_table(test.root, planned.clips, key)
    for one in key.stimuli:
        if one.lufs is None:
            say(f"The music of {one.system} for {one.name} is silent, and is heard so.")
    return test


def _written(
    planned: Plan, root: Path, bar: Callable[[int, str], Any]
) -> Iterator[test_folder.KeyEntry]:
    files = {(system, name): path for system, name, path in making.made(planned.parts)}
    files |= {(s, name): path for s, of in planned.sounds.items() for name, path in of.items()}
    files |= {(FILM, n): inside(planned.root, clip.music_path) for n, clip in planned.clips.items()}
    stimuli: Sequence[Stimulus] = planned.stimuli
    with bar(len(stimuli), "stimuli") as advance:
        for keyed in sounding.write_stimuli(
            root, planned.root, planned.clips, stimuli, lambda one: files[one.system, one.name]
        ):
            advance()
            yield keyed


def _content(one: SplitClip) -> str:
    """What of a clip is heard and seen, in short."""
    return f"{one.clip.music_sha256[:16]} {one.clip.video_sha256[:16]}"
