"""Write and read 16-bit FLAC files in blocks.

A block is a float32 array [channels, samples]; full scale is 1. Values are rounded to 16 bits
without dither, so that equal audio gives equal bytes. Values beyond full scale are clamped.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any

from ossl_builder.errors import OsslError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Block = NDArray[np.float32]

STEPS = 32768  # quantization steps from 0 to full scale (16 bits)
READ_S = 5.0
# If a write fails and less than this is free, the reason is a full disk.
NEARLY_NOTHING = 4 << 20


class FlacWriter:
    """Write one FLAC file; the `with` statement closes and verifies it."""

    def __init__(self, path: Path, rate: int, channels: int) -> None:
        """Create the file.

        Raises:
            OsslError: `disk_full`, `write_failed`.
        """
        import soundfile

        self.path = path
        self.samples = 0
        try:
            self._file: Any = soundfile.SoundFile(
                str(path), "w", rate, channels, subtype="PCM_16", format="FLAC"
            )
        except soundfile.LibsndfileError as error:
            raise _not_written(path) from error

    def write(self, block: Block) -> Block:
        """Append a block; return the rounded and clamped values that the file now holds.

        Raises:
            OsslError: `disk_full`, `write_failed`.
        """
        import numpy as np
        import soundfile

        steps = np.rint(block.T * np.float32(STEPS)).clip(-STEPS, STEPS - 1).astype(np.int16)
        try:
            self._file.write(steps)
        except (soundfile.LibsndfileError, AssertionError) as error:
            # soundfile asserts that all samples were written.
            raise _not_written(self.path) from error
        self.samples += len(steps)
        return np.ascontiguousarray(steps.T, np.float32) / np.float32(STEPS)

    def close(self) -> None:
        """Close the file and check that its last sample can be read.

        libsndfile reports no error if its last buffered data cannot be written.

        Raises:
            OsslError: `disk_full`, `write_failed`.
        """
        import soundfile

        self._file.close()
        if not self.samples:
            return
        try:
            with soundfile.SoundFile(str(self.path)) as written:
                written.seek(self.samples - 1)
                complete = len(written) == self.samples and len(written.read(1)) == 1
        except soundfile.LibsndfileError as error:
            raise _not_written(self.path) from error
        if not complete:
            raise _not_written(self.path)

    def __enter__(self) -> FlacWriter:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if error is None:
            self.close()
        else:
            self._file.close()


def read_flac(path: Path, first: int = 0, last: int | None = None) -> Iterator[Block]:
    """Yield a file's samples in blocks of `READ_S` seconds; the last block may be shorter.

    Args:
        path: the file.
        first: index of the first sample.
        last: index after the last sample; None, or beyond the end: read to the end.

    Raises:
        OsslError: `audio_unreadable`.
    """
    import numpy as np
    import soundfile

    try:
        with soundfile.SoundFile(str(path)) as file:
            length = int(READ_S * file.samplerate)
            file.seek(min(first, len(file)))
            left = len(file) - file.tell() if last is None else max(0, last - first)
            while len(block := file.read(min(length, left), dtype="float32", always_2d=True)):
                yield np.ascontiguousarray(block.T)
                left -= len(block)
    except soundfile.LibsndfileError as error:
        raise OsslError(
            "audio_unreadable",
            f"{path.name} cannot be read as FLAC.",
            "It was changed or damaged. Delete it and run `ossl build`.",
        ) from error


def _not_written(path: Path) -> OsslError:
    """Return the error of a failed write; libsndfile gives no reason, so check the free space."""
    if shutil.disk_usage(path.parent).free < NEARLY_NOTHING:
        return OsslError(
            "disk_full",
            f"The disk is full: {path.name} could not be written.",
            "Finished results are kept. Free disk space and run the same command again.",
        )
    return OsslError(
        "write_failed",
        f"{path.name} could not be written.",
        "Check that the folder is writable and that your quota is not used up.",
    )
