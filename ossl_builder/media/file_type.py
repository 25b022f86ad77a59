"""What kind of file a file is, by its first bytes: no name from outside is believed."""

from __future__ import annotations

from pathlib import Path

UNKNOWN = ".bin"
HEAD_BYTES = 1024

MPEG_PACKET = 188
# QuickTime files before the brand was invented begin with one of these.
QUICKTIME_ATOMS = (b"moov", b"mdat", b"wide", b"free", b"skip", b"pnot")
PAGE_STARTS = (b"<!doctype html", b"<html", b"<head", b"<?xml", b"<body", b"<script")


def extension(path: Path) -> str:
    """The usual extension of the file's container, of a fixed list; `.bin` if it is none of it."""
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
    # Packets of a transport stream begin with G; on discs a time of 4 bytes stands before each.
    for first, step in ((0, MPEG_PACKET), (4, MPEG_PACKET + 4)):
        if head[first::step][:4] == b"GGGG":
            return ".ts"
    return UNKNOWN


def is_web_page(path: Path) -> bool:
    """Whether a file is a page of the web, whatever it is called."""
    return _head(path).removeprefix(b"\xef\xbb\xbf").lstrip().lower().startswith(PAGE_STARTS)


def _head(path: Path) -> bytes:
    with path.open("rb") as file:
        return file.read(HEAD_BYTES)
