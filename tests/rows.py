"""Table rows for tests and benchmarks of single stages, in place of earlier stages."""

from __future__ import annotations

import dataclasses
from typing import Any

from ossl_builder.tables import Film


def film_row(path: str, **measured: Any) -> Film:
    """A film of 4 s at 25 frames a second with stereo audio; keywords replace single values."""
    row = Film(
        film_id="film", title="A film", year=1930, basis="licensed", evidence="made for tests",
        is_claim=True, country="", source=path, chosen_file=path, chosen_why="the file given",
        original_sha1=None, licence_url=None, rights_statement=None, path=path, sha256="0" * 64,
        size_bytes=1, duration_s=4.0, n_packets=100, fps=25.0, fps_num=25, fps_den=1,
        is_variable_rate=False, width=64, height=64, sar_num=1, sar_den=1, is_interlaced=False,
        video_codec="h264", audio_codec="aac", audio_sample_rate=44_100, audio_channels=2,
        audio_offset_s=0.0, audio_duration_s=4.0, video_stream=0, audio_stream=1,
        streams_why="the only ones", streams_other=None, has_time_jumps=False,
    )  # fmt: skip
    return dataclasses.replace(row, **measured)


NO_SOUND = {
    "audio_codec": None, "audio_sample_rate": None, "audio_channels": None,
    "audio_offset_s": None, "audio_duration_s": None, "audio_stream": None,
}  # fmt: skip
