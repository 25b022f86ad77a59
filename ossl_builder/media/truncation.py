"""Detect truncated files, for all containers that store their own length.

Sources: Microsoft's "AVI RIFF File Reference" and the OpenDML extensions; Microsoft's "Advanced
Systems Format (ASF) Specification" 1.20; Adobe's "Flash Video File Format Specification" 10.1,
annex E; RFC 3533 (Ogg); ISO/IEC 14496-12 (MP4 and MOV); RFC 8794 (EBML, for Matroska and WebM);
IEC 61834 (DV: frames of a fixed size); SMPTE 377-1 (MXF); RealNetworks' "RealMedia File Format"
(draft-heftagaub-rmff-00).
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO

# Log messages of libav's demuxers about truncated files.
MESSAGES = ("partial file", "File ended prematurely")

ASF_HEADER = bytes.fromhex("3026b2758e66cf11a6d900aa0062ce6c")
ASF_DATA = bytes.fromhex("3626b2758e66cf11a6d900aa0062ce6c")
ASF_PROPERTIES = bytes.fromhex("a1dcab8c47a9cf118ee400c00c205365")
DV_FRAMES = {0: 120_000, 1: 144_000}  # bytes per frame, by the flag for 50 Hz
MXF_PARTITION = bytes.fromhex("060e2b34020501010d010201")
# Tolerance: some writers include headers and padding in chunk lengths, others do not.
SLACK = 16
EBML = b"\x1aE\xdf\xa3"
SEGMENT = b"\x18S\x80g"
OGG_LAST_PAGE = 0x04
OGG_PAGE = 65_307  # maximum length
# Boxes that a player needs; other boxes may be truncated without harm.
MP4_BOXES = (b"mdat", b"moov", b"moof")


def missing_bytes(path: Path) -> int:
    """Return the minimum number of missing bytes, by the lengths stored in the file.

    0: the file is complete, or its container stores no length. Only the file's structure is read:
    a few reads, whatever its size.
    """
    size = path.stat().st_size
    with path.open("rb") as file:
        head = file.read(64)
        for begins, measure in _MEASURES:
            if begins(head):
                try:
                    return max(0, measure(file, size))
                except struct.error:
                    return 1  # the file ends within a header
    return 0


def _avi(file: BinaryIO, size: int) -> int:
    """Adjacent RIFF chunks (OpenDML: several) fill the file."""
    position = 0
    while position + 12 <= size:
        file.seek(position)
        name, length, kind = struct.unpack("<4sI4s", file.read(12))
        if name != b"RIFF" or kind not in (b"AVI ", b"AVIX"):
            return 0
        if length == 0:  # the writer was killed before it stored the length
            return 1
        position += 8 + length + length % 2
    return position - size if position > size + SLACK else 0


def _asf(file: BinaryIO, size: int) -> int:
    """The data object stores its length, unless the file was broadcast."""
    file.seek(16)
    (header_size,) = struct.unpack("<Q", file.read(8))
    file.seek(0)
    header = file.read(min(header_size, 1 << 20))
    at = header.find(ASF_PROPERTIES)
    if at >= 0 and header[at + 88 : at + 92] and struct.unpack_from("<I", header, at + 88)[0] & 1:
        return 0
    file.seek(header_size)
    name, length = struct.unpack("<16sQ", file.read(24))
    return int(header_size + length - size) if name == ASF_DATA else 0


def _flv(file: BinaryIO, size: int) -> int:
    """The length of each tag, also of the last one, is stored after it."""
    file.seek(5)
    (first,) = struct.unpack(">I", file.read(4))
    if size < first + 4 + 11:
        return 1
    file.seek(size - 4)
    (length,) = struct.unpack(">I", file.read(4))
    start = size - 4 - length
    if length < 11 or start < first + 4:
        return 1
    file.seek(start)
    kind, high, low = struct.unpack(">BBH", file.read(4))
    is_tag = kind & 0x1F in (8, 9, 18) and (high << 16 | low) + 11 == length
    return 0 if is_tag else 1


def _ogg(file: BinaryIO, size: int) -> int:
    """The last page is complete, and flagged as the last page of its stream."""
    file.seek(max(0, size - 2 * OGG_PAGE))
    tail = file.read()
    at = tail.rfind(b"OggS")
    while at >= 0:
        page = tail[at:]
        if len(page) < 27 or len(page) < 27 + page[26]:
            return 1
        length = 27 + page[26] + sum(page[27 : 27 + page[26]])
        if length > len(page):
            return length - len(page)
        if length == len(page):
            return 0 if page[5] & OGG_LAST_PAGE else 1
        at = tail.rfind(b"OggS", 0, at)  # the letters were part of the media data
    return 1


def _mp4(file: BinaryIO, size: int) -> int:
    """Adjacent boxes fill the file."""
    position = 0
    while position + 8 <= size:
        file.seek(position)
        length, name = struct.unpack(">I4s", file.read(8))
        if length == 1:
            (length,) = struct.unpack(">Q", file.read(8))
        if length == 0:  # the box extends to the end of the file
            return 0
        if length < 8:
            return 0
        if position + length > size:
            return int(position + length - size) if name in MP4_BOXES else 0
        position += length
    return 0


def _matroska(file: BinaryIO, size: int) -> int:
    """The segment stores its length, unless it was written as a stream."""
    file.seek(4)
    length, _ = _ebml_number(file)
    file.seek(file.tell() + length)
    while (name := file.read(4)) and name != SEGMENT:
        if len(name) < 4 or name[0] != 0xEC:  # not a void element
            return 0
        file.seek(file.tell() - 3)
        length, _ = _ebml_number(file)
        file.seek(file.tell() + length)
    length, is_known = _ebml_number(file)
    return file.tell() + length - size if is_known else 0


def _ebml_number(file: BinaryIO) -> tuple[int, bool]:
    """Read a number of variable length; return it and whether it is known (not all bits set)."""
    first = file.read(1)
    if not first or not first[0]:
        raise struct.error
    width = 9 - first[0].bit_length()
    rest = file.read(width - 1)
    if len(rest) < width - 1:
        raise struct.error
    value = (first[0] & (0xFF >> width)) << 8 * (width - 1) | int.from_bytes(rest, "big")
    return value, value != (1 << 7 * width) - 1


def _dv(file: BinaryIO, size: int) -> int:
    """Frames have a fixed size."""
    file.seek(3)
    frame = DV_FRAMES[file.read(1)[0] >> 7]
    return -size % frame


def _mxf(file: BinaryIO, size: int) -> int:
    """The first partition stores the offset of the last one, once the file is finished."""
    file.seek(16)
    length = file.read(1)
    if not length:
        return 1
    file.seek(17 + (length[0] & 0x7F if length[0] & 0x80 else 0))
    *_, footer = struct.unpack(">HHIQQQ", file.read(32))
    return int(footer + 17 - size) if footer else 0


def _real(file: BinaryIO, size: int) -> int:
    """Adjacent chunks, each with its length, fill the file; a live stream's length is 0."""
    position = 0
    while position + 8 <= size:
        file.seek(position)
        _, length = struct.unpack(">4sI", file.read(8))
        if length < 8:
            return 0
        position += length
    return position - size if position > size + SLACK else 0


_MEASURES: tuple[tuple[Callable[[bytes], bool], Callable[[BinaryIO, int], int]], ...] = (
    (lambda head: head.startswith(b"RIFF") and head[8:12] == b"AVI ", _avi),
    (lambda head: head.startswith(ASF_HEADER), _asf),
    (lambda head: head.startswith(b"FLV\x01"), _flv),
    (lambda head: head.startswith(b"OggS"), _ogg),
    (lambda head: head[4:8] in (b"ftyp", b"moov", b"mdat", b"wide", b"free", b"skip"), _mp4),
    (lambda head: head.startswith(EBML), _matroska),
    (lambda head: head.startswith(b"\x1f\x07\x00"), _dv),
    (lambda head: head.startswith(MXF_PARTITION), _mxf),
    (lambda head: head.startswith(b".RMF"), _real),
)
