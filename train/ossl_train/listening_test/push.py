"""Assemble a listening test, and send its stimuli to Label Studio."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ossl_builder.annotations import label_schema
from ossl_builder.corpus import Corpus
from ossl_builder.errors import OsslError
from ossl_builder.files import inside
from ossl_builder.label_studio import project, push, state
from ossl_builder.label_studio.client import Server
from ossl_builder.label_studio.clip_urls import ClipUrls
from ossl_builder.label_studio.project import ProjectOptions
from ossl_builder.tables import Clip
from ossl_train.data.source import SplitClip, named_clips, read_source
from ossl_train.generation.requests import PromptOptions, split_requests
from ossl_train.listening_test import design
from ossl_train.listening_test.codec_music import (
    CodecMusic,
    plan_codec_music,
    write_codec_music,
)
from ossl_train.listening_test.design import (
    CODEC,
    CONTROL,
    FILM,
    GENERATED,
    Stimulus,
    TestKey,
    choose_clips,
    control_partners,
    order_stimuli,
)
from ossl_train.listening_test.music import (
    ModelJobs,
    MusicOptions,
    finished_music,
    generate_music,
    generated_files,
    music_checksums,
    plan_music,
)
from ossl_train.listening_test.stimuli import write_stimuli, write_table
from ossl_train.recipe import load_train_recipe

MADE = "made"


@dataclass(frozen=True)
class TestOptions:
    """The options of a listening test.

    Attributes:
        split: the split of the clips.
        count: number of clips.
        longest_s: longest clip, in seconds.
        seed: seed of all random choices.
        sounds: folder of finished music; None: generate it.
        with_codec: add the film's own music through the codec of the model as a system.
    """

    split: str
    count: int
    longest_s: float
    seed: int
    sounds: Path | None
    with_codec: bool = False


@dataclass(frozen=True)
class TestPlan:
    """The plan of a test.

    Attributes:
        root: the corpus or the export.
        clips: the chosen clips, by name.
        partners: for each chosen clip, the clip whose video its control gets; empty if finished
            music is used.
        systems: the systems that raters compare.
        sounds: finished music by system and clip.
        parts: music to be generated.
        codec: the film's own music through the codec; None: not a system of the test.
        made_from: the inputs of the test, by content.
        seed: seed of the order.
    """

    root: Path
    clips: Mapping[str, Clip]
    partners: Mapping[str, str]
    systems: tuple[str, ...]
    sounds: Mapping[str, Mapping[str, Path]]
    parts: tuple[ModelJobs, ...]
    codec: CodecMusic | None
    made_from: Mapping[str, Any]
    seed: int

    @property
    def stimuli(self) -> tuple[Stimulus, ...]:
        """The stimuli, in the order of the test."""
        return order_stimuli(list(self.clips), self.systems, self.seed)


def plan_test(
    corpus: Path,
    data: Path | None,
    chosen: TestOptions,
    options: MusicOptions,
    out: Path,
    is_dry: bool,
) -> TestPlan:
    """Choose the clips and plan their music.

    Raises:
        OsslError: `clips_too_few`, and those of `read_source`, `plan_music`, `finished_music`.
    """
    source = read_source(corpus, data, use_labels=False)
    split = named_clips(source.on(chosen.split))
    names = choose_clips(split, chosen.count, chosen.longest_s, chosen.seed)
    if chosen.sounds is None:
        pairs = control_partners(names, split, chosen.seed)
        prompts = PromptOptions(
            None, None, load_train_recipe(options.recipe, options.overrides).prompts
        )
        requests = {
            request.name: request for request in split_requests(corpus, data, chosen.split, prompts)
        }
        parts = plan_music(options, requests, pairs, out / MADE, is_dry)
        systems: tuple[str, ...] = (FILM, *GENERATED)
        music: dict[str, Any] = {
            # Another version of the program can continue the same test.
            "generated": [
                {key: value for key, value in part.facts.items() if key != "program"}
                for part in parts
            ],
            "prompts": {name: requests[name].prompt for name in names},
            CONTROL: dict(pairs),
        }
        sounds = {}
    else:
        pairs, parts = {}, []
        sounds = finished_music(chosen.sounds, names)
        systems = (FILM, *sounds)
        music = {"finished": music_checksums(sounds)}
    codec = None
    if chosen.with_codec:
        _check_names(systems)
        codec = plan_codec_music(options, out / MADE, is_dry)
        systems = (FILM, CODEC, *systems[1:])
        music["codec"] = dict(codec.facts)
    return TestPlan(
        root=source.root,
        clips={name: split[name].clip for name in names},
        partners=pairs,
        systems=systems,
        sounds=sounds,
        parts=tuple(parts),
        codec=codec,
        made_from={
            "split": chosen.split,
            "seed": chosen.seed,
            "systems": list(systems),
            "clips": {name: _content(split[name]) for name in names},
            **music,
        },
        seed=chosen.seed,
    )


def assemble_test(
    planned: TestPlan,
    out: Path,
    bar: Callable[[int, str], Any],
    say: Callable[[str], None],
) -> Corpus:
    """Create the test, or the missing part of it.

    Args:
        planned: see `plan_test`.
        out: the folder of the test.
        bar: called with number and name of the steps; returns a context with a function that is
            called after each step.
        say: gets sentences for the user.

    Raises:
        OsslError: `listening_differs`, and those of `generate_music` and `write_stimuli`.
    """
    if (out / design.KEY).exists():
        design.check_same_test(out, planned.made_from)
    if design.is_complete(out):
        return Corpus(out.resolve())
    test = design.create_test_corpus(out)
    for part in planned.parts:
        generate_music(part, lambda steps: bar(steps, "music"), say)
    if planned.codec is not None:
        with bar(len(planned.clips), "codec") as advance:
            write_codec_music(planned.codec, planned.root, planned.clips, advance)
    key = TestKey(planned.made_from, tuple(_written(planned, test.root, bar)))
    design.write_key(test.root, key)
    write_table(test.root, planned.clips, key)
    for entry in key.stimuli:
        if entry.lufs is None:
            say(f"The music of {entry.system} for {entry.name} is silent.")
    return test


def _written(
    planned: TestPlan, root: Path, bar: Callable[[int, str], Any]
) -> Iterator[design.KeyEntry]:
    files = {(system, name): path for system, name, path in generated_files(planned.parts)}
    files |= {
        (s, name): path for s, paths in planned.sounds.items() for name, path in paths.items()
    }
    files |= {(FILM, n): inside(planned.root, clip.music_path) for n, clip in planned.clips.items()}
    if planned.codec is not None:
        files |= {(CODEC, name): planned.codec.file(name) for name in planned.clips}
    stimuli: Sequence[Stimulus] = planned.stimuli
    with bar(len(stimuli), "stimuli") as advance:
        for entry in write_stimuli(
            root,
            planned.root,
            planned.clips,
            stimuli,
            lambda stimulus: files[stimulus.system, stimulus.name],
        ):
            advance()
            yield entry


def _check_names(systems: Sequence[str]) -> None:
    if CODEC in systems:
        raise OsslError(
            "name_twice",
            f"The folder of finished music has a system {CODEC!r}, which --codec would add.",
            "Rename the folder, or leave out --codec.",
        )


def _content(split_clip: SplitClip) -> str:
    """Return the first digits of the checksums of a clip's music and video."""
    return f"{split_clip.clip.music_sha256[:16]} {split_clip.clip.video_sha256[:16]}"


@dataclass(frozen=True)
class PushReport:
    """What a push did.

    Attributes:
        project_id, title: id and title of the project.
        present: stimuli that had a task before.
        sent: stimuli that got a task now.
        copies_removed: duplicate tasks that were deleted.
    """

    project_id: int
    title: str
    present: int
    sent: int
    copies_removed: int


def check_server(server: Server, test: Corpus, options: ProjectOptions) -> None:
    """Check that the server answers, before hours are spent on the music.

    Raises:
        TransferError, OsslError: see `label_studio.project.find_project`.
    """
    project.find_project(server, test, state.load(test.root), options)


def send_stimuli(
    server: Server,
    test: Corpus,
    addresses: ClipUrls,
    options: ProjectOptions,
    counted: Callable[[Sequence[Any], str], Iterator[Any]],
) -> PushReport:
    """Send the stimuli that have no task yet; the caller holds the lock of the test's folder.

    Args:
        test: the test's folder, as a corpus.
        addresses: the URLs from which raters' browsers load the stimuli.
        options: the options of the project, if it must be created.
        counted: shows progress.

    Raises:
        TransferError, OsslError: see `label_studio.push`.
    """
    schema = label_schema.load(test.root)
    result = push.push(server, test, (), addresses, options, schema, counted)
    return PushReport(
        project_id=result.project.project_id,
        title=result.project.title,
        present=result.plan.n_present,
        sent=len(result.plan.missing),
        copies_removed=result.n_deleted,
    )
