"""How a frame is to be turned and mirrored before it is shown: its display matrix, applied."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from numpy.typing import NDArray


@dataclass(frozen=True)
class Orientation:
    """Exchange rows and columns first, then mirror.

    Attributes:
        is_transposed: rows become columns.
        is_mirrored: left becomes right.
        is_flipped: top becomes bottom.
    """

    is_transposed: bool = False
    is_mirrored: bool = False
    is_flipped: bool = False

    @property
    def is_upright(self) -> bool:
        """Whether nothing is to be done."""
        return self == Orientation()

    def filters(self) -> list[tuple[str, str]]:
        """The same as filters of ffmpeg: (name, arguments)."""
        if self.is_transposed:
            # Directions of `transpose`: 0 exchanges rows and columns, 1 also mirrors, 2 also
            # flips, 3 both.
            return [("transpose", f"dir={self.is_mirrored + 2 * self.is_flipped}")]
        mirror = [("hflip", "")] if self.is_mirrored else []
        return mirror + ([("vflip", "")] if self.is_flipped else [])

    def apply(self, picture: NDArray[Any]) -> NDArray[Any]:
        """Turn an array of shape (height, width, ...)."""
        import numpy as np

        if self.is_transposed:
            picture = picture.swapaxes(0, 1)
        if self.is_mirrored:
            picture = picture[:, ::-1]
        if self.is_flipped:
            picture = picture[::-1]
        return np.ascontiguousarray(picture)


def orientation_of(frame: Any) -> Orientation:
    """Read a decoded frame's display matrix.

    The matrix maps (x, y) to (a x + c y, b x + d y); angles between right ones are rounded.
    """
    for data in frame.side_data:
        if data.type.name == "DISPLAYMATRIX":
            a, b, _, c, d = struct.unpack("<5i", bytes(data)[:20])
            if abs(a) + abs(d) >= abs(b) + abs(c):
                return Orientation(False, a < 0, d < 0)
            return Orientation(True, c < 0, b < 0)
    return Orientation()
