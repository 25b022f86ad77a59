"""Every table: its rows, schema, invariants and documentation."""

import dataclasses
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from ossl_builder.engine.tables_io import write_parquet
from ossl_builder.errors import OsslError
from ossl_builder.stages.document import documented
from ossl_builder.stages.registry import TABLES
from ossl_builder.tables import (
    FILMS,
    SOURCES,
    Caption,
    Clip,
    Cue,
    Film,
    Fingerprint,
    Label,
    Scene,
    Source,
    Span,
    Split,
    Stem,
    Table,
)
from ossl_builder.tables.films import AUDIO_COLUMNS, FILE_COLUMNS

README = Path(__file__).parents[2] / "manifests" / "README.md"

SOURCE = Source(
    film_id="f", title="F", year=1930, basis="expired_95y", evidence="Published 1930",
    source="f.mp4", alternates="", country="US", licence="", sha256=None, is_claim=False,
    allow_unknown=False,
)  # fmt: skip
FILM = Film(
    film_id="f", title="F", year=None, basis="licensed", evidence="CC0", is_claim=True,
    country="", source="f.mp4", chosen_file="f.mp4", chosen_why="the file given",
    original_sha1=None, licence_url=None, rights_statement=None,
    path="films/f/source/f.mp4", sha256="0" * 64, size_bytes=1, duration_s=2.0, n_packets=48,
    fps=24.0, fps_num=24, fps_den=1, is_variable_rate=False, width=4, height=4, sar_num=1,
    sar_den=1, is_interlaced=False, video_codec="h264", audio_codec="aac",
    audio_sample_rate=44_100, audio_channels=2, audio_offset_s=0.0, audio_duration_s=2.0,
    video_stream=0, audio_stream=1, streams_why="the only ones", streams_other=None,
    has_time_jumps=False,
)  # fmt: skip
SCENES = (
    Scene("f", "f_s0000", 0.0, 1.0, 0, 24, "start", True, "a.jpg", (Span(0.0, 0.5),), ()),
    Scene("f", "f_s0001", 1.0, 2.0, 24, 48, "cut", False, "b.jpg", (), ()),
)
STEMS = tuple(
    Stem("f", role, f"{role}.flac", "0" * 64, 10, 2, 20, 2.0, -20.0, None, "bundled", ())
    for role in ("dialogue", "mix", "music")
)
CUES = (
    Cue("f", "f_c000", 0.0, 1.0, -20.0, -3.0, 0.9, 0.1),
    Cue("f", "f_c001", 1.0, 2.0, -20.0, -3.0, 0.9, 0.1, "Album/1.flac", -0.05, 0.9),
)
CLIP = Clip(
    clip_id="f_0-2000", film_id="f", start_s=0.0, end_s=2.0, duration_s=2.0, fps=24.0, fps_num=24,
    fps_den=1, n_frames=48, width=4, height=4, video_path="v", video_sha256="0", mix_path=None,
    mix_sha256=None, music_path="m", music_sha256="0", dialogue_path=None, dialogue_sha256=None,
    sample_rate=10, n_samples=20, cue_id=None, music_lufs=None, dialogue_share=None,
    first_scene_id=None, last_scene_id=None,
)  # fmt: skip
FINGERPRINT = Fingerprint("f", "f_0-2000", (0, 3, 2**62), ())
LABEL = Label(
    film_id="f", clip_id="f_0-2000", quadrant="Q1", mood="happy", rule="majority", confidence=0.8,
    n_annotators=3, n_skipped=0, majority_quadrant="Q1", majority_share=0.8,
    dawid_skene_quadrant="Q1", dawid_skene_confidence=0.9, valence=7.0, energy=6.5, tension=None,
    music_audible="clear", speech_over_music="no", mood_words="epic; happy", caption="A march.",
    caption_source="annotator",
)  # fmt: skip
CAPTION = Caption(
    film_id="f", clip_id="f_0-2000", caption="a man on a horse.", model="m", revision=None,
    digest="0" * 64, n_frames=4, max_tokens=40, instruction="", video_sha256="0" * 64,
)  # fmt: skip
SPLIT = Split("f", "train", "drawn by the seed", "f", 1, 2.0, "Q1", "short")

GOOD: dict[str, tuple[Any, ...]] = {
    "sources": (SOURCE,), "films": (FILM,), "scenes": SCENES, "stems": STEMS, "cues": CUES,
    "clips": (CLIP,), "fingerprints": (FINGERPRINT,), "labels": (LABEL,), "splits": (SPLIT,),
    "captions": (CAPTION,),
}  # fmt: skip

BAD: list[tuple[str, dict[str, Any], int]] = [
    ("sources", {"film_id": "../f"}, 0),
    ("sources", {"evidence": " "}, 0),
    ("sources", {"sha256": "0" * 63}, 0),
    ("sources", {"sha256": "A" * 64}, 0),
    ("films", {"evidence": ""}, 0),
    ("films", {"path": "../f.mp4"}, 0),
    ("films", {"path": "/f.mp4"}, 0),
    ("scenes", {"thumbnail_path": "films/../../x"}, 0),
    ("stems", {"path": "a//b"}, 0),
    ("clips", {"music_path": "films\\x"}, 0),
    ("clips", {"clip_id": "../x"}, 0),
    ("clips", {"video_path": "a\nb"}, 0),
    ("films", {"sha256": ""}, 0),
    ("films", {"chosen_why": ""}, 0),
    ("films", {"duration_s": 0.0}, 0),
    ("films", {"duration_s": float("nan")}, 0),
    ("films", {"width": 4.0}, 0),
    ("films", {"title": None}, 0),
    ("films", {"audio_codec": None}, 0),
    ("films", {"path": None}, 0),
    ("films", {"is_interlaced": None}, 0),
    ("films", {"sar_den": 0}, 0),
    ("films", {"fps": -1.0}, 0),
    ("scenes", {"transition_in": "wipe"}, 1),
    ("scenes", {"transition_in": "start"}, 1),
    ("scenes", {"start_s": 1.1}, 1),
    ("scenes", {"start_frame": 25}, 1),
    ("scenes", {"end_s": 0.0}, 0),
    ("scenes", {"scene_id": "f_s0000"}, 1),
    ("stems", {"n_samples": 21}, 0),
    ("stems", {"role": "noise"}, 0),
    ("stems", {"sample_rate": 20, "duration_s": 1.0}, 0),
    ("cues", {"start_s": 0.5}, 1),
    ("cues", {"end_s": 1.0}, 1),
    ("cues", {"dialogue_share": 1.5}, 0),
    ("cues", {"recording": "1.flac"}, 0),
    ("cues", {"similarity": 1.5}, 1),
    ("clips", {"n_samples": 22}, 0),
    ("clips", {"clip_id": "f_0-1"}, 0),
    ("clips", {"end_s": None}, 0),
    ("clips", {"duration_s": 1.0}, 0),
    ("clips", {"n_frames": 0}, 0),
    ("fingerprints", {"audio_hashes": (3, 0)}, 0),
    ("fingerprints", {"video_hashes": (2**64,)}, 0),
    ("fingerprints", {"video_hashes": (-1,)}, 0),
    ("labels", {"quadrant": "happy"}, 0),
    ("labels", {"majority_share": 1.5}, 0),
    ("labels", {"valence": 0.0}, 0),
    ("labels", {"caption": None}, 0),
    ("labels", {"caption_source": "none"}, 0),
    ("labels", {"rule": "guess"}, 0),
    ("captions", {"caption": ""}, 0),
    ("captions", {"caption": "a\x1b[31m"}, 0),
    ("captions", {"caption": "a" * 301}, 0),
    ("captions", {"n_frames": 0}, 0),
    ("splits", {"split": "dev"}, 0),
    ("splits", {"why": ""}, 0),
]


def table_named(name: str) -> Table:
    return next(table for table in (SOURCES, *TABLES) if table.name == name)


@pytest.mark.parametrize("name", GOOD)
def test_good_rows_pass_and_survive_json(name: str) -> None:
    table = table_named(name)
    table.validate(GOOD[name])
    assert tuple(table.from_json(table.to_json(row)) for row in GOOD[name]) == GOOD[name]


@pytest.mark.parametrize(("name", "change", "index"), BAD)
def test_bad_rows_are_refused(name: str, change: dict[str, Any], index: int) -> None:
    rows = list(GOOD[name])
    rows[index] = dataclasses.replace(rows[index], **change)
    with pytest.raises(OsslError) as caught:
        table_named(name).validate(rows)
    assert caught.value.code == "invariant_broken"


def test_a_film_without_a_file_has_no_file_columns() -> None:
    without = dict.fromkeys(FILE_COLUMNS) | dict.fromkeys(AUDIO_COLUMNS)
    row = dataclasses.replace(FILM, chosen_file="", chosen_why="", **without)
    FILMS.validate([row])
    with pytest.raises(ValueError, match="not here"):
        row.file()
    with pytest.raises(OsslError, match="half of an audio track"):
        FILMS.validate([dataclasses.replace(row, **{n: getattr(FILM, n) for n in AUDIO_COLUMNS})])


def test_stems_need_mix_and_music() -> None:
    with pytest.raises(OsslError):
        table_named("stems").validate(STEMS[:2])


@pytest.mark.parametrize("table", TABLES, ids=lambda table: table.name)
def test_parquet_has_the_rows_and_the_schema_version(table: Table, tmp_path: Path) -> None:
    path = tmp_path / "table.parquet"
    write_parquet(path, table, [GOOD[table.name]])
    read = pq.read_table(path)
    assert tuple(map(table.from_json, read.to_pylist())) == GOOD[table.name]
    assert read.schema.metadata[b"ossl.schema_version"] == str(table.version).encode()
    assert read.schema.metadata[b"ossl.table"] == table.name.encode()
    again = tmp_path / "again.parquet"
    write_parquet(again, table, [GOOD[table.name]])
    assert again.read_bytes() == path.read_bytes()


@pytest.mark.parametrize("table", TABLES, ids=lambda table: table.name)
def test_key_and_film_id_are_columns(table: Table) -> None:
    assert {*table.key, "film_id"} <= set(table.types())


@pytest.mark.parametrize("table", TABLES, ids=lambda table: table.name)
def test_every_column_is_documented_with_its_unit(table: Table) -> None:
    text = README.read_text(encoding="utf-8")
    assert f"## {table.name}\n" in text
    assert documented(text, (table,)) == text, "run python -m ossl_builder.stages.document"
    for column in table.columns:
        unit = column.metadata["unit"]
        if column.name.endswith("_s"):
            assert unit == "s"
        if column.name.endswith("_lufs"):
            assert unit == "LUFS"
