"""Tone-map high dynamic range (PQ, HLG) to BT.709, which every player can show.

Sources: SMPTE ST 2084 and ITU-R BT.2100-2 (transfer functions, table 4 and 5), ITU-R BT.2087-0
(BT.2020 primaries to BT.709), ITU-R BT.2390-10 section 5.4.1 (the curve that compresses
highlights), ITU-R BT.2408-7 (diffuse white at 203 cd/m2).
"""

from __future__ import annotations

import tempfile
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

# Transfer characteristics of ITU-T H.273.
PQ = 16
HLG = 18
HDR_TRANSFERS = frozenset({PQ, HLG})

WHITE_NITS = 203.0
# Peak luminance of the mastering display; films rarely state it, and 1000 is usual.
PEAK_NITS = 1000.0
PQ_NITS = 10_000.0
# Points of the look-up table per axis; the axes are code values, where the curves are smooth.
LUT_POINTS = 33

_M1, _M2 = 2610 / 16384, 2523 / 4096 * 128
_C1, _C2, _C3 = 3424 / 4096, 2413 / 4096 * 32, 2392 / 4096 * 32
_BT2020_TO_BT709 = (
    (1.6605, -0.5876, -0.0728),
    (-0.1246, 1.1329, -0.0083),
    (-0.0182, -0.1006, 1.1187),
)
_BT2020_LUMA = (0.2627, 0.6780, 0.0593)


def is_hdr(frame: Any) -> bool:
    """Whether a decoded frame has a transfer function of high dynamic range."""
    return int(frame.color_trc) in HDR_TRANSFERS


def to_bt709(rgb: Floats, transfer: int) -> Floats:
    """Map code values of PQ or HLG with BT.2020 primaries to code values of BT.709.

    Args:
        rgb: shape (..., 3), 0 to 1.
        transfer: `PQ` or `HLG`.

    Returns:
        The same shape, 0 to 1.
    """
    import numpy as np

    nits = _pq_to_nits(rgb) if transfer == PQ else _hlg_to_nits(rgb)
    brightest = nits.max(axis=-1, keepdims=True)
    mapped = _pq_to_nits(_compressed(_nits_to_pq(brightest)))
    nits = nits * np.divide(mapped, brightest, out=np.ones_like(mapped), where=brightest > 1e-6)
    linear = (nits / WHITE_NITS) @ np.array(_BT2020_TO_BT709).T
    # ITU-R BT.1886: BT.709 displays have a gamma of 2.4.
    coded: Floats = np.clip(linear, 0.0, 1.0) ** (1 / 2.4)
    return coded


# Keep the folders until the process ends: a TemporaryDirectory is deleted with its object.
_temporary_folders: list[tempfile.TemporaryDirectory[str]] = []


@cache
def lut_file(transfer: int) -> Path:
    """Write the mapping as a .cube look-up table for ffmpeg's filter `lut3d`; return its path.

    The file is deleted when the process ends.
    """
    import numpy as np

    axis = np.linspace(0.0, 1.0, LUT_POINTS)
    blue, green, red = np.meshgrid(axis, axis, axis, indexing="ij")  # red changes fastest
    mapped = to_bt709(np.stack([red, green, blue], axis=-1).reshape(-1, 3), transfer)
    folder = tempfile.TemporaryDirectory(prefix="ossl-lut-")
    _temporary_folders.append(folder)
    path = Path(folder.name) / f"{transfer}.cube"
    with path.open("w", encoding="ascii") as file:
        file.write(f"LUT_3D_SIZE {LUT_POINTS}\n")
        np.savetxt(file, mapped, fmt="%.6f")
    return path


def _pq_to_nits(code: Floats) -> Floats:
    import numpy as np

    power = np.clip(code, 0.0, 1.0) ** (1 / _M2)
    nits: Floats = PQ_NITS * (np.maximum(power - _C1, 0) / (_C2 - _C3 * power)) ** (1 / _M1)
    return nits


def _nits_to_pq(nits: Floats) -> Floats:
    import numpy as np

    power = np.clip(nits / PQ_NITS, 0.0, 1.0) ** _M1
    code: Floats = ((_C1 + _C2 * power) / (1 + _C3 * power)) ** _M2
    return code


def _hlg_to_nits(code: Floats) -> Floats:
    """Apply the inverse OETF, then the OOTF of a display of 1000 cd/m2 (gamma 1.2)."""
    import numpy as np

    a, b, c = 0.17883277, 0.28466892, 0.55991073
    scene = np.where(code <= 0.5, code**2 / 3, (np.exp((code - c) / a) + b) / 12)
    luma = (scene @ np.array(_BT2020_LUMA))[..., None]
    nits: Floats = PEAK_NITS * scene * np.maximum(luma, 1e-9) ** 0.2
    return nits


def _compressed(code: Floats) -> Floats:
    """Apply the BT.2390 curve to PQ code values: compress highlights to diffuse white."""
    import numpy as np

    peak = float(_nits_to_pq(np.array(PEAK_NITS)))
    end = float(_nits_to_pq(np.array(WHITE_NITS))) / peak
    knee = 1.5 * end - 0.5
    x = np.clip(code / peak, 0.0, 1.0)
    t = np.clip((x - knee) / (1 - knee), 0.0, 1.0)
    curve = (
        (2 * t**3 - 3 * t**2 + 1) * knee
        + (t**3 - 2 * t**2 + t) * (1 - knee)
        + (-2 * t**3 + 3 * t**2) * end
    )
    compressed: Floats = np.where(x < knee, x, curve) * peak
    return compressed
