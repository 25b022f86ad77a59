"""Read from H.264 packets which pictures the decoder needs for which others (ITU-T H.264).

Only the usual form is read: progressive frames, one per packet, in the layout of MP4 and Matroska,
with parameters that do not change. Anything else is `Unusual`.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

HIGH_PROFILES = (100, 110, 122, 244)
SLICE, IDR_SLICE, SEI, SPS, PPS, DELIMITER, FILLER = 1, 5, 6, 7, 8, 9, 12
# Messages that change no sample of a frame: timing, recovery, captions, user data, light levels.
HARMLESS_SEI = frozenset({0, 1, 3, 4, 5, 6, 45, 137, 144})
INTRA = 2  # slice type, modulo 5
# Bytes of a slice that hold the part of its header that is read.
HEADER_BYTES = 32


class Unusual(ValueError):
    """The stream has a form that is not read here."""


@dataclass(frozen=True)
class Picture:
    """One coded frame.

    Attributes:
        is_idr: whether no later frame, in decoding order, refers to a frame before this one.
        is_reference: whether other frames may refer to it.
        order: its position in the output order since the last IDR frame; increasing, not counted.
    """

    is_idr: bool
    is_reference: bool
    order: int


@dataclass(frozen=True)
class _Sequence:
    """What the slices of a stream need of the sequence parameter set."""

    number_bits: int
    order_bits: int  # 0: frames are output in decoding order
    most_reordered: int


class H264Reader:
    """Reads the pictures of a stream, packet by packet in decoding order."""

    def __init__(self, configuration: bytes) -> None:
        """Read the stream's configuration record (`avcC`).

        Raises:
            Unusual: the stream has another form.
        """
        try:
            self._length_bytes, sets = _parameter_sets(configuration)
            self._sets = frozenset(sets)
            sequences = [unit for unit in sets if unit[0] & 31 == SPS]
            if len(sequences) != 1:
                raise Unusual("it has several sequence parameter sets")
            self._sequence = _sequence(sequences[0])
            for unit in sets:
                if unit[0] & 31 == PPS:
                    _check_picture_parameters(unit)
        except IndexError as error:
            raise Unusual("its configuration is cut off") from error
        self._high = self._low = self._n_since_idr = 0

    @property
    def most_reordered(self) -> int:
        """The most frames that precede a frame in decoding order and follow it in output order.

        0 if the stream does not state it.
        """
        return self._sequence.most_reordered

    def picture(self, packet: bytes) -> Picture:
        """Return the picture of the next packet.

        Raises:
            Unusual: it is not one complete progressive frame.
        """
        slices: list[bytes] = []
        try:
            for unit in _units(packet, self._length_bytes):
                kind = unit[0] & 31
                if kind in (SLICE, IDR_SLICE):
                    slices.append(unit)
                elif kind == SEI:
                    _check_messages(unit)
                elif kind in (SPS, PPS):
                    if unit not in self._sets:
                        raise Unusual("its parameters change")
                elif kind not in (DELIMITER, FILLER):
                    raise Unusual(f"it has units of type {kind}")
            return self._picture(slices)
        except IndexError as error:
            raise Unusual("a packet is cut off") from error

    def _picture(self, slices: list[bytes]) -> Picture:
        kinds = {unit[0] & 31 for unit in slices}
        references = {unit[0] >> 5 & 3 != 0 for unit in slices}
        # The first bit of a slice tells whether it begins at the first block of a frame.
        begins = [unit[1] >> 7 for unit in slices]
        if len(kinds) != 1 or len(references) != 1 or begins != [1] + [0] * (len(slices) - 1):
            raise Unusual("a packet is not one frame")
        is_idr = kinds == {IDR_SLICE}
        low = self._order_bits(slices[0], is_idr)
        if is_idr:
            self._high = self._low = self._n_since_idr = 0
        self._n_since_idr += 1
        if not self._sequence.order_bits:
            return Picture(is_idr, True in references, self._n_since_idr)
        span = 1 << self._sequence.order_bits
        high = self._high
        if low < self._low and self._low - low >= span // 2:
            high += span
        elif low > self._low and low - self._low > span // 2:
            high -= span
        if True in references:
            self._high, self._low = high, low
        return Picture(is_idr, True in references, high + low)

    def _order_bits(self, unit: bytes, is_idr: bool) -> int:
        bits = _Bits(unit[:HEADER_BYTES])
        bits.golomb()  # first block: 0
        kind = bits.golomb()
        bits.golomb()  # picture parameter set
        bits.read(self._sequence.number_bits)
        if is_idr:
            bits.golomb()  # number of the IDR frame
        order = bits.read(self._sequence.order_bits)
        # Frames that wait for their output at an IDR frame may be discarded by a flag.
        if is_idr and (kind % 5 != INTRA or bits.read(1)):
            raise Unusual("an IDR frame discards frames")
        return order


class _Bits:
    """Reads bits and Exp-Golomb numbers of a unit, after its first byte."""

    def __init__(self, unit: bytes) -> None:
        payload = unit[1:].replace(b"\0\0\3", b"\0\0")
        self._value, self._left = int.from_bytes(payload, "big"), 8 * len(payload)

    def read(self, n: int) -> int:
        self._left -= n
        if self._left < 0:
            raise Unusual("a header is cut off")
        return self._value >> self._left & ((1 << n) - 1)

    def golomb(self) -> int:
        n_zeros = 0
        while not self.read(1):
            n_zeros += 1
        return (1 << n_zeros) - 1 + self.read(n_zeros)


def _units(packet: bytes, length_bytes: int) -> Iterator[bytes]:
    position = 0
    while position < len(packet):
        start = position + length_bytes
        position = start + int.from_bytes(packet[start - length_bytes : start], "big")
        if position > len(packet) or position == start:
            raise Unusual("a packet is cut off")
        yield packet[start:position]


def _parameter_sets(configuration: bytes) -> tuple[int, list[bytes]]:
    """Return the number of bytes of a unit's length, and the parameter sets."""
    if configuration[0] != 1:
        raise Unusual("it has no configuration record")
    sets, position = [], 5
    for mask in (31, 255):
        n_sets, position = configuration[position] & mask, position + 1
        for _ in range(n_sets):
            start = position + 2
            position = start + int.from_bytes(configuration[position:start], "big")
            if position > len(configuration) or position == start:
                raise Unusual("its configuration is cut off")
            sets.append(configuration[start:position])
    return (configuration[4] & 3) + 1, sets


def _sequence(unit: bytes) -> _Sequence:
    """Read a sequence parameter set (7.3.2.1.1, E.1.1)."""
    bits = _Bits(unit)
    profile = bits.read(8)
    bits.read(16)
    bits.golomb()
    if profile in HIGH_PROFILES:
        if bits.golomb() == 3:
            _expect(bits.read(1) == 0)  # no separate colour planes
        bits.golomb()
        bits.golomb()
        bits.read(1)
        _expect(bits.read(1) == 0)  # no scaling matrix
    else:
        _expect(profile in (66, 77))
    number_bits = bits.golomb() + 4
    order_kind = bits.golomb()
    _expect(order_kind in (0, 2))
    order_bits = bits.golomb() + 4 if order_kind == 0 else 0
    bits.golomb()
    _expect(bits.read(1) == 0)  # no gaps in frame numbers
    bits.golomb()
    bits.golomb()
    _expect(bits.read(1) == 1)  # progressive
    bits.read(1)
    for _ in range(4 * bits.read(1)):
        bits.golomb()
    # A decoder reorders frames if it must, and may lose one then. Without reordering it does not.
    most_reordered = _most_reordered(bits) if bits.read(1) else 0
    return _Sequence(number_bits, order_bits, most_reordered)


def _most_reordered(bits: _Bits) -> int:
    if bits.read(1) and bits.read(8) == 255:  # pixel aspect ratio
        bits.read(32)
    if bits.read(1):  # overscan
        bits.read(1)
    if bits.read(1):  # colours
        bits.read(4)
        bits.read(24 * bits.read(1))
    for _ in range(2 * bits.read(1)):  # chroma positions
        bits.golomb()
    bits.read(65 * bits.read(1))  # frame rate
    has_buffer = False
    for _ in range(2):
        if bits.read(1):
            has_buffer = True
            n_buffers = bits.golomb() + 1
            bits.read(8)
            for _ in range(n_buffers):
                bits.golomb()
                bits.golomb()
                bits.read(1)
            bits.read(20)
    bits.read(has_buffer)
    bits.read(1)
    if not bits.read(1):  # does not state the reordering
        return 0
    bits.read(1)
    for _ in range(4):
        bits.golomb()
    return bits.golomb()


def _check_picture_parameters(unit: bytes) -> None:
    """Check that slice headers have none of the parts that `H264Reader` does not read (7.3.2.2)."""
    bits = _Bits(unit)
    bits.golomb()
    bits.golomb()
    bits.read(1)
    _expect(bits.read(1) == 0)  # no second order number
    _expect(bits.golomb() == 0)  # no slice groups
    bits.golomb()
    bits.golomb()
    bits.read(3)
    for _ in range(3):
        bits.golomb()
    bits.read(2)
    _expect(bits.read(1) == 0)  # no redundant pictures


def _check_messages(unit: bytes) -> None:
    payload = unit[1:].replace(b"\0\0\3", b"\0\0")
    position = 0
    while position < len(payload) - 1:
        kind = size = 0
        while payload[position] == 255:
            kind, position = kind + 255, position + 1
        kind, position = kind + payload[position], position + 1
        while payload[position] == 255:
            size, position = size + 255, position + 1
        size, position = size + payload[position], position + 1
        if kind not in HARMLESS_SEI:
            raise Unusual(f"it has supplemental messages of type {kind}")
        position += size


def _expect(is_usual: bool) -> None:
    if not is_usual:
        raise Unusual("its parameters are of another form")
