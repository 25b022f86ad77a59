"""The films table: each film's file, its format and the evidence of its rights."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from fractions import Fraction

from ossl_builder.errors import OsslError
from ossl_builder.tables.schema import Table, column

FILM_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9-]{0,63}")
SHA256 = re.compile(r"[0-9a-f]{64}")


def checked_film_id(text: str) -> str:
    """Return `text` if it is a valid film id.

    Raises:
        OsslError: `film_id_invalid`.
    """
    if not FILM_ID.fullmatch(text):
        raise OsslError(
            "film_id_invalid",
            f"{text!r} cannot be a film id.",
            "Use 1 to 64 letters, digits and hyphens, beginning with a letter or digit.",
        )
    return text


@dataclass(frozen=True)
class Source:
    """The source of a film and why it may be used, as recorded by `ossl films add`."""

    film_id: str = column("the film's id in this corpus")
    title: str = column("title")
    year: int | None = column("year of first publication", "year")
    basis: str = column("why the film may be used, e.g. `licensed`, `expired_95y`")
    evidence: str = column("evidence of the basis: a licence text, an address, a register entry")
    source: str = column("file, address, or `ia:<identifier>` that the film is fetched from")
    alternates: str = column("further sources of the same film, joined by `; `")
    country: str = column("country of production, ISO 3166 codes joined by `/`; empty: unknown")
    licence: str = column("licence as found, e.g. its address; empty: none was found")
    sha256: str | None = column("SHA-256 that the film's file must have; empty: not pinned")
    is_claim: bool = column("whether basis and evidence are the user's claim")
    allow_unknown: bool = column("whether the user allowed to build it with unknown rights")


@dataclass(frozen=True)
class FilmFile:
    """The properties of a film's file that stages need.

    Attributes:
        path: the file, relative to the corpus.
        duration_s: time from the start of the first frame to the end of the last one, in seconds.
        rate: nominal frame rate, in frames per second.
        sar: sample aspect ratio of a stored pixel.
        video_stream: index of the film's video stream in the file.
        audio_stream: index of its audio stream; None: it has none.
        has_time_jumps: whether timestamps restart or jump, so that they must be corrected.
    """

    path: str
    duration_s: float
    rate: Fraction
    sar: Fraction
    video_stream: int
    audio_stream: int | None
    has_time_jumps: bool


@dataclass(frozen=True)
class Film:
    """One film: its file, measured by reading every packet, and the evidence of its rights.

    If only clips were imported, the corpus has no file of the film; those columns are empty.
    """

    film_id: str = column("the film's id in this corpus")
    title: str = column("title", descriptive=True)
    year: int | None = column("year of first publication", "year", descriptive=True)
    basis: str = column("why the film may be used", descriptive=True)
    evidence: str = column("evidence of the basis", descriptive=True)
    is_claim: bool = column("whether basis and evidence are the user's claim", descriptive=True)
    country: str = column("country of production, e.g. `US`; empty: unknown", descriptive=True)
    source: str = column(
        "file, address, or `ia:<identifier>` that it was fetched from", descriptive=True
    )
    chosen_file: str = column(
        "name of the film's file at the source; empty: the corpus has no file", descriptive=True
    )
    chosen_why: str = column("why that file was chosen", descriptive=True)
    original_sha1: str | None = column(
        "SHA-1 of that file as given by the source", descriptive=True
    )
    licence_url: str | None = column("licence address given by the source", descriptive=True)
    rights_statement: str | None = column("rights statement of the source", descriptive=True)
    path: str | None = column("the film's file, relative to the corpus; empty: there is no file")
    sha256: str | None = column("SHA-256 of that file")
    size_bytes: int | None = column("size of that file", "bytes")
    duration_s: float | None = column(
        "from the start of the first frame to the last one's end", "s"
    )
    n_packets: int | None = column("number of coded frames in the file")
    fps: float | None = column("mean frame rate", "1/s")
    fps_num: int | None = column("numerator of the nominal frame rate")
    fps_den: int | None = column("denominator of the nominal frame rate")
    is_variable_rate: bool | None = column("whether the frame rate is variable")
    width: int | None = column("stored width", "pixels")
    height: int | None = column("stored height", "pixels")
    sar_num: int | None = column("numerator of the sample (pixel) aspect ratio")
    sar_den: int | None = column("denominator of the sample (pixel) aspect ratio")
    is_interlaced: bool | None = column("whether the frames are interlaced")
    video_codec: str | None = column("codec of the video, e.g. `h264`")
    audio_codec: str | None = column("codec of the audio; empty: the film has none")
    audio_sample_rate: int | None = column("sample rate of the audio", "Hz")
    audio_channels: int | None = column("number of audio channels")
    audio_offset_s: float | None = column("start of the audio after the first frame", "s")
    audio_duration_s: float | None = column("duration of the audio, from its packets", "s")
    video_stream: int | None = column("index of the film's video stream in its file")
    audio_stream: int | None = column("index of its audio stream; empty: the film has none")
    streams_why: str | None = column("why these streams were chosen", descriptive=True)
    streams_other: str | None = column(
        "the file's other video and audio streams; empty: there are none", descriptive=True
    )
    has_time_jumps: bool | None = column(
        "whether timestamps in the file restart or jump; stages correct them"
    )
    verdict: str | None = column(
        "rights verdict for the United States, in one word, as of the last write of the table; "
        "see below",
        descriptive=True,
        later=True,
    )

    def file(self) -> FilmFile:
        """Return the properties of the film's file.

        Raises:
            ValueError: the corpus has no file of this film. Stages run only on films with a file.
        """
        if self.path is None or self.duration_s is None or self.video_stream is None:
            raise ValueError(f"film {self.film_id} is not here")
        return FilmFile(
            self.path,
            self.duration_s,
            Fraction(self.fps_num or 0, self.fps_den or 1),
            Fraction(self.sar_num or 1, self.sar_den or 1),
            self.video_stream,
            self.audio_stream,
            bool(self.has_time_jumps),
        )


# Columns that are empty if the corpus has no file of the film.
FILE_COLUMNS = (
    "path", "sha256", "size_bytes", "duration_s", "n_packets", "fps", "fps_num", "fps_den",
    "is_variable_rate", "width", "height", "sar_num", "sar_den", "is_interlaced", "video_codec",
    "video_stream", "streams_why", "has_time_jumps",
)  # fmt: skip
AUDIO_COLUMNS = (
    "audio_codec", "audio_sample_rate", "audio_channels", "audio_offset_s", "audio_stream",
)  # fmt: skip


def _check_sources(rows: Sequence[Source]) -> Iterable[str]:
    for row in rows:
        if not FILM_ID.fullmatch(row.film_id):
            yield f"{row.film_id!r} is no film id"
        if not row.basis.strip() or not row.evidence.strip():
            yield f"film {row.film_id} has no basis or no evidence of its rights"
        if row.sha256 is not None and not SHA256.fullmatch(row.sha256):
            yield f"film {row.film_id} is pinned to {row.sha256!r}, which is no SHA-256"


def _check_films(rows: Sequence[Film]) -> Iterable[str]:
    for row in rows:
        if not FILM_ID.fullmatch(row.film_id):
            yield f"{row.film_id!r} is no film id"
        if not row.basis.strip() or not row.evidence.strip():
            yield f"film {row.film_id} has no basis or no evidence of its rights"
        if len({getattr(row, name) is None for name in FILE_COLUMNS}) != 1:
            yield f"film {row.film_id} has half of a file"
        audio = {getattr(row, name) is None for name in AUDIO_COLUMNS}
        if len(audio) != 1 or (row.path is None and audio != {True}):
            yield f"film {row.film_id} has half of an audio track"
        if row.path is not None:
            yield from _check_file(row)


def _check_file(row: Film) -> Iterable[str]:
    if not SHA256.fullmatch(row.sha256 or ""):
        yield f"film {row.film_id} has no checksum"
    if not row.chosen_file or not row.chosen_why:
        yield f"film {row.film_id} does not say which file of its source it is, and why"
    for problem, names in (
        ("is empty", ("duration_s", "n_packets", "size_bytes")),
        ("has no video size", ("width", "height", "sar_num", "sar_den")),
        ("has no video rate", ("fps", "fps_num", "fps_den")),
    ):
        if any((getattr(row, name) or 0) <= 0 for name in names):
            yield f"film {row.film_id} {problem}"


SOURCES = Table(
    name="sources",
    doc="Films as recorded by `ossl films add`; not written as a Parquet table.",
    row=Source,
    version=1,
    key=("film_id",),
    check=_check_sources,
)

FILMS = Table(
    name="films",
    doc="One row per film: its file if there is one, its format, the evidence of its rights.",
    row=Film,
    version=4,
    key=("film_id",),
    check=_check_films,
)
