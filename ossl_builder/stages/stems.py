"""Stems: separate a film's mix into music, dialogue and effects, aligned in time."""

from __future__ import annotations

import hashlib
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import Field

from ossl_builder.engine.cache import UNSHAPING
from ossl_builder.engine.settings import Settings
from ossl_builder.engine.stage import Item, Notice, Outcome, Stage
from ossl_builder.errors import OsslError
from ossl_builder.media import loudness
from ossl_builder.media.audio_reader import FilmAudio
from ossl_builder.media.demux import MediaFile
from ossl_builder.media.flac import FlacWriter
from ossl_builder.models import demucs, separators
from ossl_builder.tables.films import Film
from ossl_builder.tables.stems import STEMS, Stem

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Block = NDArray[np.float32]


Weight = Annotated[float, Field(ge=0, le=1000, allow_inf_nan=False)]


class StemsSettings(Settings):
    """Section `stems` of a recipe: the separation model and its options."""

    model: str | tuple[str, ...] = Field(
        "htdemucs",
        min_length=1,
        description="`bundled`, `spleeter`, a Demucs model of the Hugging Face hub, or a path that "
        "begins with `/`, `./` (below the corpus) or `~`, of a folder, a .safetensors, .yaml, .th "
        "or .onnx (speech enhancer) file; several, joined by `+`, are averaged: "
        "`bundled+spleeter+dtln`; a model that is not a plain Demucs model needs --trust-model",
    )
    roles: dict[str, Literal["music", "dialogue", "effects"]] = Field(
        {}, description="roles of sources with unknown names, e.g. `{crowd: effects}`"
    )
    weights: dict[str, dict[Literal["music", "dialogue", "effects"], Weight]] = Field(
        {},
        description="weights in the average of several models, 1 where not given, e.g. "
        "`{spleeter: {music: 2}}`",
    )
    overlap: float = Field(
        0.25, ge=0, le=0.9, description="overlap of the windows, as part of their length"
    )
    batch_size: int | None = Field(
        None,
        ge=1,
        le=256,
        description="windows at a time; empty: one per core, at most 4, on a CPU, 8 on a GPU",
        json_schema_extra=UNSHAPING,
    )
    device: Literal["auto", "cpu", "cuda"] = Field(
        "auto",
        description="where the model runs; auto: on a GPU if there is one",
        json_schema_extra=UNSHAPING,
    )


class _Track:
    """The writer of one stem, or the mix, that also measures its loudness."""

    def __init__(self, role: str, folder: Path, rate: int, channels: int) -> None:
        self.role = role
        self.path = folder / f"{role}.flac"
        self.channels = channels
        self.writer = FlacWriter(self.path, rate, channels)
        self.meter = loudness.Meter(rate)

    def write(self, block: Block) -> None:
        self.meter.add(self.writer.write(block))


class _BackgroundWriter:
    """Run functions one after the other on a second thread; the queue is limited."""

    MAX_QUEUED = 16

    def __init__(self) -> None:
        self.thread = ThreadPoolExecutor(1)
        self.queue: deque[Future[None]] = deque()

    def run(self, function: Callable[[], None]) -> None:
        """Add a function to the queue; raise the error of an earlier one."""
        while len(self.queue) >= self.MAX_QUEUED or (self.queue and self.queue[0].done()):
            self.queue.popleft().result()
        self.queue.append(self.thread.submit(function))

    def finish(self) -> None:
        """Wait until the queue is empty; raise the error of a function."""
        while self.queue:
            self.queue.popleft().result()

    def __enter__(self) -> _BackgroundWriter:
        return self

    def __exit__(self, *raised: object) -> None:
        self.thread.shutdown(cancel_futures=True)


def separate_film(item: Item) -> Outcome:
    """Decode a film's audio, separate it, and write each stem and the mix as FLAC.

    Raises:
        Rejected: `no_audio`.
        OsslError: `audio_undecodable`, `disk_full`, `write_failed`, and those of the model.
    """
    film: Film = item.rows["films"][0]
    settings: StemsSettings = item.config
    model = _separator(settings)
    file = film.file()
    media = MediaFile.of(item.file(file.path), file)
    audio = FilmAudio(media, model.rate, model.channels, 1 / file.rate)
    n_expected = max(1.0, ((film.audio_offset_s or 0) + (film.audio_duration_s or 0)) * model.rate)
    with ExitStack() as stack:
        tracks = [
            _Track(role, item.folder, model.rate, model.channels) for role in ("mix", *model.roles)
        ]
        for track in tracks:
            stack.enter_context(track.writer)
        mix, *stems = tracks

        # A second thread writes and measures, in order, while the model separates.
        background = stack.enter_context(_BackgroundWriter())

        def mix_blocks() -> Iterator[Block]:
            for block in audio.blocks():
                background.run(partial(mix.write, block))
                yield block

        segments = demucs.separate(
            model.members, mix_blocks(), settings.overlap, settings.batch_size
        )
        n_separated = 0
        for segment in segments:
            for track, block in zip(stems, segment, strict=True):
                background.run(partial(track.write, block))
            n_separated += segment.shape[-1]
            item.progress(min(1.0, n_separated / n_expected))
        background.finish()
    if not mix.writer.samples:
        raise OsslError(
            "audio_undecodable",
            f"No audio of {media.path.name} overlaps its video.",
            "Fetch or copy the film again.",
        )
    damaged_s = sum(span.end_s - span.start_s for span in audio.damaged)
    return Outcome(
        tuple(_row(item, track, model.rate, audio) for track in tracks),
        warnings=(
            Notice(
                "damaged_audio",
                f"{damaged_s:.2f} s of the audio are damaged and were replaced by silence.",
            ),
        )
        if damaged_s
        else (),
    )


def _row(item: Item, track: _Track, rate: int, audio: FilmAudio) -> Stem:
    with track.path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    settings: StemsSettings = item.config
    return Stem(
        film_id=item.item_id,
        role=track.role,
        path=item.path(track.path.name),
        sha256=digest,
        sample_rate=rate,
        channels=track.channels,
        n_samples=track.writer.samples,
        duration_s=track.writer.samples / rate,
        loudness_lufs=loudness.integrated(track.meter.power()),
        peak_dbfs=loudness.dbfs(track.meter.peak),
        model="+".join(separators.names_of(settings.model)),
        damaged_spans=tuple(audio.damaged),
    )


def _tools(settings: StemsSettings) -> dict[str, str]:
    versions = separators.versions(settings.model)
    digest = separators.fingerprint(settings.model, settings.origin)
    return versions | ({"model": digest} if digest else {})


def _prepare(settings: StemsSettings) -> None:
    _separator(settings)


def _separator(settings: StemsSettings) -> separators.Separator:
    return separators.load(
        settings.model, settings.weights, settings.roles, settings.device, settings.origin
    )


STEMS_STAGE = Stage(
    name="stems",
    version=2,
    reads=("films",),
    writes=STEMS,
    config=StemsSettings,
    run=separate_film,
    folder="stems",
    tools=_tools,
    prepare=_prepare,
)
