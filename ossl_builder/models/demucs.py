"""Separation of a stream of audio with Demucs, in overlapping windows.

It gives what `demucs.apply.apply_model(model, mix, shifts=0, split=True)` gives for the whole mix
(same windows, same context around them, same triangular weights), but holds only the windows that
are under way, and runs several at a time. Nothing is random. Rouard, Massa and Défossez, "Hybrid
Transformers for Music Source Separation" (2022).
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from itertools import chain
from typing import TYPE_CHECKING, Any

from ossl_builder.errors import OsslError
from ossl_builder.models.demucs_model import Model

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from torch import Tensor

    Block = NDArray[np.float32]
    """[channels, samples], or with stems or a batch before them."""

GPU_BATCH = 8
"""Windows in a batch on a GPU unless told otherwise."""
MOST_CPU_WINDOWS = 4
"""Windows side by side on a CPU unless told otherwise, if it has as many cores; each costs memory,
about 0.5 GB with htdemucs."""

EXACT = {"enabled": True, "benchmark": False, "deterministic": True, "allow_tf32": False}
"""For cuDNN: the same bytes each time, and single precision throughout."""

ROLES = {
    "dialogue": ("dialogue", "dialog", "speech", "vocals", "vocal", "voice"),
    "effects": ("effects", "effect", "sfx", "fx", "noise", "ambience", "rest"),
    "music": (
        "music", "instrumental", "accompaniment", "no_vocals", "drums", "bass", "guitar", "piano",
        "other", "strings", "keys", "synth", "percussion",
    ),
}  # fmt: skip
"""Names of sources for each role, in lower case."""


def roles(sources: Sequence[str], named: Mapping[str, str]) -> dict[str, tuple[str, ...]]:
    """The sources of each role: music, dialogue, and effects if the model knows them.

    Args:
        sources: what the model separates.
        named: source to role, before the roles that follow from names.

    Raises:
        OsslError: `source_unknown`, `role_unknown` or `role_missing`.
    """
    by_name = {name: role for role, names in ROLES.items() for name in names} | dict(named)
    for source in named:
        if source not in sources:
            raise OsslError(
                "source_unknown",
                f"stems.roles names {source!r}, which the model does not separate.",
                f"It separates {', '.join(sources)}.",
            )
    found: dict[str, tuple[str, ...]] = {}
    for source in sources:
        role = by_name.get(source, by_name.get(source.lower()))
        if role is None:
            raise OsslError(
                "role_unknown",
                f"Whether the model's source {source!r} is music, dialogue or effects is unknown.",
                f"Set it: `--set stems.roles.{source}=music`.",
            )
        found[role] = (*found.get(role, ()), source)
    for role in ("music", "dialogue"):
        if role not in found:
            raise OsslError(
                "role_missing",
                f"The model has no source for {role}; its sources are {', '.join(sources)}.",
                "Choose another model, or map its sources with stems.roles.",
            )
    return {role: found[role] for role in ("music", "dialogue", "effects") if role in found}


def separate(
    model: Model,
    blocks: Iterable[Block],
    stems: Sequence[Sequence[str]],
    overlap: float = 0.25,
    batch_size: int | None = None,
) -> Iterator[Block]:
    """Separate a mix.

    On a CPU the result has the same bytes for every batch size and number of cores; on a GPU it
    differs by rounding (below 1e-5 of full scale) between batch sizes.

    Args:
        model: the separator.
        blocks: the mix, [channels, samples] of any lengths, at the model's rate.
        stems: for each stem the names of the sources that are summed to it.
        overlap: of the windows, as part of their length, 0 to below 1.
        batch_size: windows run at a time; None: as suits the device.

    Yields:
        Adjacent pieces of all stems, [stems, channels, samples], together as long as the mix.

    Raises:
        OsslError: `gpu_memory`.
    """
    import numpy as np

    size = batch_size or (GPU_BATCH if model.device == "cuda" else min(_cores(), MOST_CPU_WINDOWS))
    # Each window on a thread and a core of its own: faster than all cores on one window, and no
    # sum depends on how many cores there are.
    with _single_threaded(size) as pool:
        parts = [
            _Windows(_Runner(part, mixing, model.device, pool), model, len(stems), overlap, size)
            for part, mixing in zip(model.parts, _mixing(model, stems), strict=True)
        ]
        held: list[Block] = [np.zeros((len(stems), model.channels, 0), np.float32) for _ in parts]
        for block in chain(blocks, (None,)):
            for index, part in enumerate(parts):
                held[index] = np.concatenate((held[index], *part.take(block)), axis=-1)
            # Models of one bag may take windows of different lengths.
            common = min(part.shape[-1] for part in held)
            if common:
                yield np.sum([part[..., :common] for part in held], axis=0)
                held = [part[..., common:] for part in held]


@contextmanager
def _single_threaded(size: int) -> Iterator[ThreadPoolExecutor]:
    """A pool in whose threads torch computes each on its own."""
    import torch

    threads = torch.get_num_threads()
    try:
        with ThreadPoolExecutor(size, initializer=partial(torch.set_num_threads, 1)) as pool:
            yield pool
    finally:
        torch.set_num_threads(threads)  # some of what the pool's threads set is the process's


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _mixing(model: Model, stems: Sequence[Sequence[str]]) -> list[Tensor]:
    """For each part, what each of its sources gives to each stem, [stems, sources]."""
    import torch

    member = torch.tensor([[float(s in stem) for s in model.sources] for stem in stems])
    weights = torch.tensor(model.weights)
    return list(member * (weights / weights.sum(0))[:, None])


@dataclass(frozen=True)
class _Runner:
    """Runs one Demucs module over windows."""

    part: Any
    mixing: Tensor
    device: str
    pool: ThreadPoolExecutor

    def __call__(self, sounds: list[Block]) -> Iterable[Block]:
        """Stems [stems, channels, samples] of each audio [channels, samples], all of one length."""
        import numpy as np
        import torch

        if self.device == "cpu":
            return self.pool.map(lambda audio: self._forward(audio[None])[0], sounds)
        try:
            return self._forward(np.stack(sounds))
        except torch.cuda.OutOfMemoryError as error:
            raise OsslError(
                "gpu_memory",
                f"The GPU has too little memory for {len(sounds)} windows at a time.",
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
        """The length that the module wants for so many samples, as `apply_model` asks it."""
        return int(self.part.valid_length(length)) if hasattr(self.part, "valid_length") else length


@dataclass(frozen=True)
class _Window:
    """A window of the mix, and its length for the model, with what stands around it."""

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
    """The windows of one Demucs module over a stream, and the sum of what they give.

    Positions are samples of the mix. `audio` is what later windows need of it, from `begin` on;
    `total` and `weights` are the sums over windows, from `done` on, where later ones still add.
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
        """Take more of the mix (None: it has ended), [channels, samples]; give what is finished."""
        import numpy as np

        if audio is not None:
            self.audio = np.concatenate((self.audio, audio), axis=1)
        while windows := self._ready(audio is None):
            separated = self.runner([self._heard(window) for window in windows])
            for window, stems in zip(windows, separated, strict=True):
                self._add(window, stems)
            yield self._finished()

    def _ready(self, has_ended: bool) -> list[_Window]:
        """The next windows, of one padded length: a full batch, or at the end what is left."""
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

    def _heard(self, window: _Window) -> Block:
        """The mix in and around a window; before its begin and after its end is silence."""
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
        """What no later window changes; it and the audio that no later one hears are let go."""
        ready = min(self.next, self.received) - self.done
        finished: Block = self.total[..., :ready] / self.weights[:ready]
        self.total, self.weights = self.total[..., ready:], self.weights[ready:]
        self.done += ready
        # Around a shorter last window stands more of what came before: at most all of this.
        kept = max(self.next - self.runner.padded(self.length), self.begin)
        self.audio, self.begin = self.audio[:, kept - self.begin :], kept
        return finished
