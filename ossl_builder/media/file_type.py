"""Detect a file's type by its first bytes; foreign file names are not trusted."""

from __future__ import annotations

from pathlib import Path

UNKNOWN = ".bin"
HEAD_BYTES = 1024

MPEG_PACKET = 188
# Old QuickTime files, without an `ftyp` atom, begin with one of these atoms.
QUICKTIME_ATOMS = (b"moov", b"mdat", b"wide", b"free", b"skip", b"pnot")
PAGE_STARTS = (b"<!doctype html", b"<html", b"<head", b"<?xml", b"<body", b"<script")


def extension(path: Path) -> str:
    """Return the usual file name extension of the container; `.bin`: unknown container."""
    head = _head(path)
    if head[4:8] == b"ftyp":
        return ".mov" if head[8:12] == b"qt  " else ".mp4"
    if head[4:8] in QUICKTIME_ATOMS:
        return ".mov"
    if head.startswith(b"\x1aE\xdf\xa3"):
        return ".webm" if b"webm" in head[:64] else ".mkv"
    if head.startswith(b"RIFF") and head[8:12] == b"AVI ":
        return ".avi"
    if head.startswith((b"\x00\x00\x01\xba", b"\x00\x00\x01\xb3")):
        return ".mpg"
    if head.startswith(b"OggS"):
        return ".ogv"
    if head.startswith(b"FLV\x01"):
        return ".flv"
    if head.startswith(b"0&\xb2u\x8ef\xcf\x11"):
        return ".wmv"
    # Transport stream packets begin with G; on discs, a 4-byte timestamp precedes each packet.
    for first, step in ((0, MPEG_PACKET), (4, MPEG_PACKET + 4)):
        if head[first::step][:4] == b"GGGG":
            return ".ts"
    return UNKNOWN


def is_web_page(path: Path) -> bool:
    """Whether a file is a web page, regardless of its name."""
    return _head(path).removeprefix(b"\xef\xbb\xbf").lstrip().lower().startswith(PAGE_STARTS)


def _head(path: Path) -> bytes:
    with path.open("rb") as file:
        return file.read(HEAD_BYTES)
