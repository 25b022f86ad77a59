"""YAMNet, a small network that tags audio with 521 classes of AudioSet; runs offline on a CPU.

Gemmeke et al., "Audio Set: an ontology and human-labeled dataset for audio events" (2017); model by
Google under Apache-2.0. The weights are the 8-bit ONNX file of the package `sead`. Audio of 16 kHz
is cut into patches of 0.96 s, every 0.48 s.
"""

from __future__ import annotations

import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ossl_builder import files
from ossl_builder.engine import stage
from ossl_builder.errors import OsslError
from ossl_builder.models import published

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Audio = NDArray[np.float32]
    Curve = NDArray[np.float64]

NAME = "yamnet"
RATE = 16_000
CLASSES = 521
SPEECH = 0
MUSIC = slice(132, 277)
"""Music, instruments and genres: the classes from Music to Scary music."""
PATCH_S, HOP_S = 0.96, 0.48

# Of the spectrogram, in samples and bands.
WINDOW, HOP, NFFT, BANDS = 400, 160, 512, 64
LOW_HZ, HIGH_HZ = 125.0, 7_500.0
LOG_FLOOR = 1e-6
FRAMES, FRAMES_PER_HOP = 96, 48
# Of the 8-bit file, whose SHA-256 is pinned in `published`.
INPUT_SCALE, INPUT_ZERO = 0.047937885, 144
OUTPUT_SCALE, OUTPUT_ZERO = 0.7565417, 190


@dataclass(frozen=True)
class Yamnet:
    """The loaded network."""

    session: Any
    rate: int = RATE
    longest_s: float = 60.0
    is_music: tuple[bool, ...] = tuple(
        MUSIC.start <= index < MUSIC.stop for index in range(CLASSES)
    )

    def probabilities(self, windows: Audio) -> Curve:
        """Return the mean probability of each class in each window, [windows, 521].

        Args:
            windows: mono audio at `rate`, [windows, samples].
        """
        import numpy as np

        return np.stack([self.patches(window).mean(axis=0) for window in windows])

    def patches(self, audio: Audio) -> Curve:
        """Return the probability of each class in each patch, [patches, 521].

        Patch n covers the audio from n * HOP_S to n * HOP_S + PATCH_S. Audio that is shorter than a
        patch, and the last part, are padded with silence.

        Args:
            audio: mono audio at RATE, [samples].
        """
        import numpy as np

        name = self.session.get_inputs()[0].name
        scores = [
            self.session.run(None, {name: patch[None, None]})[0][0] for patch in _patches(audio)
        ]
        logits = OUTPUT_SCALE * (np.stack(scores).astype(np.float64) - OUTPUT_ZERO)
        return np.asarray(1 / (1 + np.exp(-logits)), np.float64)


def _patches(audio: Audio) -> Iterator[Any]:
    """Yield 8-bit patches of the log mel spectrogram, [96 frames, 64 bands]; memory stays flat."""
    import numpy as np
    from scipy.fft import rfft

    hop = FRAMES_PER_HOP * HOP
    length = (FRAMES - 1) * HOP + NFFT
    n_patches = max(1, -(-max(0, len(audio) - (FRAMES * HOP - hop)) // hop))
    window = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(WINDOW) / WINDOW)
    for start in range(0, n_patches * hop, hop):
        piece = audio[start : start + length]
        padded = np.pad(piece, (0, length - len(piece)))
        # The window is in the middle of the samples of the FFT, as in torch.stft.
        middle = padded[(NFFT - WINDOW) // 2 :]
        frames = np.lib.stride_tricks.sliding_window_view(middle, WINDOW)[::HOP][:FRAMES]
        magnitude = np.abs(rfft(frames * window, NFFT, axis=1))
        mel = np.log(magnitude @ _filters() + LOG_FLOOR)
        yield np.clip(np.round(mel / INPUT_SCALE + INPUT_ZERO), 0, 255).astype(np.uint8)


@lru_cache(maxsize=1)
def _filters() -> Curve:
    """Return triangular filters on the HTK mel scale, [257 bins, 64 bands]."""
    import numpy as np

    def mel(hertz: Any) -> Any:
        return 2595 * np.log10(1 + np.asarray(hertz) / 700)

    edges = 700 * (10 ** (np.linspace(mel(LOW_HZ), mel(HIGH_HZ), BANDS + 2) / 2595) - 1)
    bins = np.linspace(0, RATE / 2, NFFT // 2 + 1)[:, None]
    rising = (bins - edges[:-2]) / (edges[1:-1] - edges[:-2])
    falling = (edges[2:] - bins) / (edges[2:] - edges[1:-1])
    return np.asarray(np.maximum(0, np.minimum(rising, falling)), np.float64)


def versions() -> dict[str, str]:
    """Return the versions of the installed packages that the tags depend on."""
    return stage.versions("numpy", "onnxruntime", "scipy")


def fingerprint() -> str | None:
    """Return the SHA-256 of the weights; None if they are not on this machine. No network."""
    return published.digest(NAME)


def load() -> Yamnet:
    """Load the network; fetch its weights if necessary. It is cached in memory.

    Raises:
        OsslError: `not_installed`, `model_unavailable`, `checksum_differs`, `model_invalid`.
    """
    (archive,) = published.fetch(NAME)
    return _load(archive)


@lru_cache(maxsize=1)
def _load(archive: Path) -> Yamnet:
    from ossl_builder.models.onnx_session import open_published

    folder = published.cache_folder() / NAME
    try:
        with zipfile.ZipFile(archive) as content:
            members = {Path(name).name: name for name in content.namelist()}
            # The weights are in a file of their own beside the graph.
            for name in ("model.data", "model.onnx"):
                data = content.read(members[name])
                path = folder / name
                if not path.exists() or files.sha256_file(path) != sha256(data).hexdigest():
                    files.write_bytes(path, data)
    except (KeyError, OSError, zipfile.BadZipFile) as error:
        raise OsslError(
            "model_invalid",
            f"The weights of YAMNet cannot be unpacked ({type(error).__name__}).",
            f"Delete {folder} and run the command again.",
        ) from error
    return Yamnet(open_published(folder / "model.onnx", "YAMNet"))
