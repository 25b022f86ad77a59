"""Speech enhancers (ONNX) as separation models: speech is dialogue, the rest of the mix is music.

An enhancer works on mono audio of 16 kHz. Equal channels are enhanced once, others one by one. What
is above 8 kHz belongs to the rest. `DTLN` is Westhausen and Meyer, "Dual-signal transformation LSTM
network for real-time noise suppression" (2020); its weights are under the MIT licence.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from scipy.signal import resample_poly
from torch import Tensor, nn

from ossl_builder.models.onnx_session import open_onnx

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Audio = NDArray[np.float32]

RATE = 44_100
ENHANCER_RATE = 16_000
UP, DOWN = 160, 441
"""16,000 / 44,100 as a fraction."""
SEGMENT_S = 12.0
"""Length of a window. The recurrent state starts at zero in each; windows overlap."""
EQUAL = 1e-6
"""Largest difference of channels that count as equal, relative to full scale."""

# Of DTLN, in samples at 16 kHz.
BLOCK, SHIFT = 512, 128


class SpeechEnhancer(nn.Module):  # type: ignore[misc]
    """Speech and rest of a mix: [batch, 2, samples] as [batch, 2 sources, 2, samples].

    Args:
        enhance: function from mono audio [samples] at 16 kHz to its speech, of the same length.
    """

    def __init__(self, enhance: Callable[[Audio], Audio]) -> None:
        super().__init__()
        self.sources = ["speech", "no_speech"]
        self.samplerate = RATE
        self.audio_channels = 2
        self.segment = SEGMENT_S
        self._enhance = enhance

    def forward(self, mix: Tensor) -> Tensor:
        """Separate a mix; it runs on the CPU."""
        audio = mix.cpu().numpy()
        speech = np.stack([self._speech(channels) for channels in audio])
        return torch.from_numpy(np.stack([speech, audio - speech], axis=1)).to(mix.device)

    def _speech(self, channels: Audio) -> Audio:
        if np.abs(channels - channels[:1]).max(initial=0.0) <= EQUAL:
            return np.repeat(self._of_channel(channels[0])[None], len(channels), axis=0)
        return np.stack([self._of_channel(channel) for channel in channels])

    def _of_channel(self, channel: Audio) -> Audio:
        low: Audio = resample_poly(channel, UP, DOWN).astype(np.float32)
        speech: Audio = resample_poly(self._enhance(low), DOWN, UP).astype(np.float32)
        return speech[: len(channel)]


def dtln(paths: Sequence[Path]) -> SpeechEnhancer:
    """Return the enhancer DTLN.

    Args:
        paths: its two networks: the mask of the spectrum, and the filter of the waveform.
    """
    mask, synthesis = map(open_onnx, paths)
    names = [[value.name for value in network.get_inputs()] for network in (mask, synthesis)]
    shapes = [network.get_inputs()[1].shape for network in (mask, synthesis)]

    def enhance(audio: Audio) -> Audio:
        states = [np.zeros(shape, np.float32) for shape in shapes]
        # The result of a block is complete when later blocks no longer overlap it.
        late = BLOCK - SHIFT
        padded = np.pad(audio, (late, BLOCK))
        total = np.zeros(len(padded) + BLOCK, np.float32)
        for begin in range(0, len(audio) + late, SHIFT):
            spectrum = np.fft.rfft(padded[begin : begin + BLOCK])
            magnitude = np.abs(spectrum).astype(np.float32)[None, None]
            gain, states[0] = mask.run(
                None, dict(zip(names[0], (magnitude, states[0]), strict=True))
            )
            block = np.fft.irfft(spectrum * gain[0, 0]).astype(np.float32)[None, None]
            speech, states[1] = synthesis.run(
                None, dict(zip(names[1], (block, states[1]), strict=True))
            )
            total[begin : begin + BLOCK] += speech[0, 0]
        return total[late : late + len(audio)]

    return SpeechEnhancer(enhance)


def waveform(path: Path) -> SpeechEnhancer:
    """Return the enhancer of an ONNX file that maps audio [1, samples] to speech [1, samples].

    Raises:
        ValueError: the file has other inputs or outputs.
    """
    network = open_onnx(path)
    inputs, outputs = network.get_inputs(), network.get_outputs()
    lengths = [value.shape[1] for value in inputs if len(value.shape) == 2]
    if len(lengths) != 1 or len(inputs) != 1 or len(outputs) != 1 or isinstance(lengths[0], int):
        raise ValueError("it does not map audio [1, samples] to audio [1, samples]")

    def enhance(audio: Audio) -> Audio:
        (speech,) = network.run(None, {inputs[0].name: audio[None]})
        if speech.shape != (1, len(audio)):
            raise ValueError("its output does not have the length of its input")
        result: Audio = speech[0].astype(np.float32)
        return result

    return SpeechEnhancer(enhance)
