"""Write a small ONNX file by hand: one node that multiplies the input by a constant.

An ONNX file is a message of protocol buffers: fields with a number, a kind and a content.
"""

from __future__ import annotations

import struct
from pathlib import Path

FLOAT = 1


def _number(value: int) -> bytes:
    encoded = b""
    while value > 127:
        encoded, value = encoded + bytes([value & 127 | 128]), value >> 7
    return encoded + bytes([value])


def _field(number: int, content: bytes | int | str) -> bytes:
    if isinstance(content, int):
        return _number(number << 3) + _number(content)
    data = content.encode() if isinstance(content, str) else content
    return _number(number << 3 | 2) + _number(len(data)) + data


def _value(name: str, length: int | str) -> bytes:
    """A value of type float [1, length]; a text is a length of any size."""
    size = _field(2, length) if isinstance(length, str) else _field(1, length)
    shape = _field(1, _field(1, 1)) + _field(1, size)
    tensor = _field(1, FLOAT) + _field(2, shape)
    return _field(1, name) + _field(2, _field(1, tensor))


def multiply(path: Path, factor: float, length: int | str = "samples", n_inputs: int = 1) -> Path:
    """Write a network that maps audio [1, samples] to `factor` times audio."""
    constant = _field(2, FLOAT) + _field(8, "factor") + _field(9, struct.pack("<f", factor))
    node = _field(1, "audio") + _field(1, "factor") + _field(2, "speech") + _field(4, "Mul")
    inputs = [_value(name, length) for name in ("audio", "other")[:n_inputs]]
    graph = (
        _field(1, node)
        + _field(2, "graph")
        + _field(5, constant)
        + b"".join(_field(11, value) for value in inputs)
        + _field(12, _value("speech", length))
    )
    opset = _field(2, 13)
    path.write_bytes(_field(1, 8) + _field(7, graph) + _field(8, opset))
    return path
