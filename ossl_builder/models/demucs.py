"""Separate a stream of audio with Demucs, in overlapping windows.

The result equals `demucs.apply.apply_model(model, mix, shifts=0, split=True)` on the whole mix:
same windows, same context around them, same triangular weights. But only the current windows are in
memory, and several run at a time. Nothing is random. Rouard, Massa and Défossez, "Hybrid
Transformers for Music Source Separation" (2022).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from itertools import chain
from typing import TYPE_CHECKING, Any

from ossl_builder.errors import OsslError
from ossl_builder.models.demucs_model import Model
from ossl_builder.models.hub import n_cores

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from torch import Tensor

    Block = NDArray[np.float32]
    """[channels, samples], optionally with leading stem or batch axes."""

GPU_BATCH = 8
"""Default batch size on a GPU, in windows."""
MOST_CPU_WINDOWS = 4
"""Maximum default number of parallel windows on a CPU; each needs memory, about 0.5 GB with
htdemucs."""

EXACT = {"enabled": True, "benchmark": False, "deterministic": True, "allow_tf32": False}
"""Flags of cuDNN: deterministic results, and single precision throughout."""

ROLES = {
    "dialogue": ("dialogue", "dialog", "speech", "vocals", "vocal", "voice"),
    "effects": ("effects", "effect", "sfx", "fx", "noise", "ambience", "rest"),
    "music": (
        "music", "instrumental", "accompaniment", "no_vocals", "no_speech", "drums", "bass",
        "guitar", "piano", "other", "strings", "keys", "synth", "percussion",
    ),
}  # fmt: skip
"""Source names of each role, in lower case."""

ROLE_ORDER = ("music", "dialogue", "effects")


def roles(sources: Sequence[str], named: Mapping[str, str]) -> dict[str, tuple[str, ...]]:
    """Assign each source to a role: music, dialogue, or effects (if the model separates them).

    Args:
        sources: the sources that the model separates.
        named: source to role; it overrides `ROLES`.

    Raises:
        OsslError: `source_unknown`, `role_unknown` or `role_missing`.
    """
    check_sources(sources, named)
    by_name = {name: role for role, names in ROLES.items() for name in names} | dict(named)
    sources_of: dict[str, tuple[str, ...]] = {}
    for source in sources:
        role = by_name.get(source, by_name.get(source.lower()))
        if role is None:
            raise OsslError(
                "role_unknown",
                f"Whether the model's source {source!r} is music, dialogue or effects is unknown.",
                f"Set it: `--set stems.roles.{source}=music`.",
            )
        sources_of[role] = (*sources_of.get(role, ()), source)
    for role in ("music", "dialogue"):
        if role not in sources_of:
            raise OsslError(
                "role_missing",
                f"The model has no source for {role}; its sources are {', '.join(sources)}.",
                "Choose another model, or map its sources with stems.roles.",
            )
    return {role: sources_of[role] for role in ROLE_ORDER if role in sources_of}


def check_sources(sources: Sequence[str], named: Mapping[str, str]) -> None:
    """Check that all sources that the recipe names exist.

    Raises:
        OsslError: `source_unknown`.
    """
    for source in named:
        if source not in sources:
            raise OsslError(
                "source_unknown",
                f"stems.roles names {source!r}, which the model does not separate.",
                f"It separates {', '.join(sources)}.",
            )


@dataclass(frozen=True)
class Member:
    """A model whose stems are averaged with those of other models.

    Attributes:
        model: the separator.
        stems: for each stem, the names of the sources that are summed to it; empty: the model
            does not separate this stem.
        weights: for each stem, the weight of this model in the average.
    """

    model: Model
    stems: tuple[tuple[str, ...], ...]
    weights: tuple[float, ...]


def separate(
    members: Sequence[Member],
    blocks: Iterable[Block],
    overlap: float = 0.25,
    batch_size: int | None = None,
) -> Iterator[Block]:
    """Separate a mix; decode it once for all models.

    On a CPU the result has the same bytes for every batch size and number of cores; on a GPU it
    differs by rounding (below 1e-5 of full scale) between batch sizes.

    Args:
        members: the models, all of one rate and number of channels.
        blocks: the mix, [channels, samples] of any lengths, at the models' rate.
        overlap: overlap of adjacent windows as a fraction of their length, 0 <= overlap < 1.
        batch_size: number of windows run at a time; None: the device's default.

    Yields:
        Adjacent blocks of all stems, [stems, channels, samples]; together they are as long as the
        mix.

    Raises:
        OsslError: `gpu_memory`.
    """
    import numpy as np

    on_gpu = any(member.model.device == "cuda" for member in members)
    size = batch_size or (GPU_BATCH if on_gpu else min(n_cores(), MOST_CPU_WINDOWS))
    n_stems = len(members[0].stems)
    # Run each window on one thread and one core: this is faster than all cores on one window, and
    # no sum depends on the number of cores.
    with _single_threaded(size) as pool:
        parts = [
            _Windows(_Runner(part, mixing, member.model.device, pool), member.model, n_stems,
                     overlap, size)
            for member, mixings in zip(members, _mixing(members), strict=True)
            for part, mixing in zip(member.model.parts, mixings, strict=True)
        ]  # fmt: skip
        channels = members[0].model.channels
        pending: list[Block] = [np.zeros((n_stems, channels, 0), np.float32) for _ in parts]
        for block in chain(blocks, (None,)):
            for index, part in enumerate(parts):
                pending[index] = np.concatenate((pending[index], *part.take(block)), axis=-1)
            # The models of a bag may have windows of different lengths.
            n_ready = min(part.shape[-1] for part in pending)
            if n_ready:
                yield np.sum([part[..., :n_ready] for part in pending], axis=0)
                pending = [part[..., n_ready:] for part in pending]


@contextmanager
def _single_threaded(size: int) -> Iterator[ThreadPoolExecutor]:
    """Create a pool of threads in which torch uses one thread each."""
    import torch

    threads = torch.get_num_threads()
    try:
        with ThreadPoolExecutor(size, initializer=partial(torch.set_num_threads, 1)) as pool:
            yield pool
    finally:
        torch.set_num_threads(threads)  # part of that setting is process-wide


def _mixing(members: Sequence[Member]) -> list[list[Tensor]]:
    """Return the weight of each source in each stem, [stems, sources], by member and part."""
    import torch

    weights = torch.tensor(
        [[w * bool(stem) for w, stem in zip(m.weights, m.stems, strict=True)] for m in members]
    )
    shares = weights / weights.sum(0)
    mixings = []
    for member, share in zip(members, shares, strict=True):
        sources = member.model.sources
        is_part = torch.tensor([[float(s in stem) for s in sources] for stem in member.stems])
        of_parts = torch.tensor(member.model.weights)
        mixings.append(list(share[:, None] * is_part * (of_parts / of_parts.sum(0))[:, None]))
    return mixings


@dataclass(frozen=True)
class _Runner:
    """Run one Demucs module on windows."""

    part: Any
    mixing: Tensor
    device: str
    pool: ThreadPoolExecutor

    def __call__(self, windows: list[Block]) -> Iterable[Block]:
        """Separate windows [channels, samples] of equal length into [stems, channels, samples]."""
        import numpy as np
        import torch

        if self.device == "cpu":
            return self.pool.map(lambda audio: self._forward(audio[None])[0], windows)
        try:
            return self._forward(np.stack(windows))
        except torch.cuda.OutOfMemoryError as error:
            raise OsslError(
                "gpu_memory",
                f"The GPU has too little memory for {len(windows)} windows at a time.",
                "Use `--set stems.batch_size=1` or `--set stems.device=cpu`.",
            ) from error

    def _forward(self, batch: Block) -> Block:
        import torch

        with torch.inference_mode(), torch.backends.cudnn.flags(**EXACT):
            sources = self.part(torch.from_numpy(batch).to(self.device))
            stems = torch.einsum("ks,bsct->bkct", self.mixing.to(self.device), sources)
            result: Block = stems.cpu().numpy()
            return result

    def padded(self, length: int) -> int:
        """Return the padded length that the module needs for a window, as `apply_model` does."""
        return int(self.part.valid_length(length)) if hasattr(self.part, "valid_length") else length


@dataclass(frozen=True)
class _Window:
    """A window of the mix; `padded` is its length including context on both sides, in samples."""

    offset: int
    length: int
    padded: int

    @property
    def begin(self) -> int:
        return self.offset - (self.padded - self.length) // 2

    @property
    def end(self) -> int:
        return self.begin + self.padded


class _Windows:
    """The windows of one Demucs module over a stream, and the weighted sum of their results.

    Positions are samples of the mix. `audio` is the part of the mix, starting at `begin`, that
    later windows need. `total` and `weights` are the sums over windows, starting at `done`, to
    which later windows still add.
    """

    def __init__(
        self, runner: _Runner, model: Model, stems: int, overlap: float, batch_size: int
    ) -> None:
        import numpy as np

        self.runner, self.batch_size = runner, batch_size
        self.length = int(model.rate * runner.part.segment)
        self.stride = int((1 - overlap) * self.length)
        half = self.length // 2
        triangle = np.concatenate((np.arange(1, half + 1), np.arange(self.length - half, 0, -1)))
        self.weight = triangle.astype(np.float32) / np.float32(triangle.max())
        self.audio: Block = np.zeros((model.channels, 0), np.float32)
        self.total: Block = np.zeros((stems, model.channels, 0), np.float32)
        self.weights: Block = np.zeros(0, np.float32)
        self.begin = self.next = self.done = 0

    @property
    def received(self) -> int:
        return self.begin + self.audio.shape[1]

    def take(self, audio: Block | None) -> Iterator[Block]:
        """Add a block of the mix, [channels, samples] (None: end); yield the finished stems."""
        import numpy as np

        if audio is not None:
            self.audio = np.concatenate((self.audio, audio), axis=1)
        while windows := self._ready(audio is None):
            results = self.runner([self._audio_of(window) for window in windows])
            for window, stems in zip(windows, results, strict=True):
                self._add(window, stems)
            yield self._finished()

    def _ready(self, has_ended: bool) -> list[_Window]:
        """Return the next batch of windows of equal padded length; empty: needs more audio."""
        windows: list[_Window] = []
        for offset in range(self.next, self.received, self.stride):
            length = min(self.length, self.received - offset)
            window = _Window(offset, length, self.runner.padded(length))
            waits = not has_ended and (length < self.length or window.end > self.received)
            if waits or (windows and window.padded != windows[0].padded):
                break
            windows.append(window)
            if len(windows) == self.batch_size:
                return windows
        return windows if has_ended else []

    def _audio_of(self, window: _Window) -> Block:
        """Return the mix in a window and its context, with silence outside the mix."""
        import numpy as np

        begin, end = max(window.begin, 0), min(window.end, self.received)
        audio = self.audio[:, begin - self.begin : end - self.begin]
        return np.pad(audio, ((0, 0), (begin - window.begin, window.end - end)))

    def _add(self, window: _Window, stems: Block) -> None:
        import numpy as np

        context = (window.padded - window.length) // 2
        begin = window.offset - self.done
        end = begin + window.length
        missing = max(end - len(self.weights), 0)
        self.total = np.pad(self.total, ((0, 0), (0, 0), (0, missing)))
        self.weights = np.pad(self.weights, (0, missing))
        weight = self.weight[: window.length]
        self.total[..., begin:end] += weight * stems[..., context : context + window.length]
        self.weights[begin:end] += weight
        self.next = window.offset + self.stride

    def _finished(self) -> Block:
        """Return and drop the stems that are final; drop the audio that no later window needs."""
        ready = min(self.next, self.received) - self.done
        finished: Block = self.total[..., :ready] / self.weights[:ready]
        self.total, self.weights = self.total[..., ready:], self.weights[ready:]
        self.done += ready
        # A shorter last window has more context before it, at most this much.
        needed_from = max(self.next - self.runner.padded(self.length), self.begin)
        self.audio, self.begin = self.audio[:, needed_from - self.begin :], needed_from
        return finished
