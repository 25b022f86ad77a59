"""Untrusted tables: no path may leave the corpus, and no outside file is exported or changed."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pytest

from ossl_builder.engine import tables_io
from ossl_builder.tables import CLIPS, Clip
from tests.command_result import RunCommand
from tests.exports.rights_corpus import rights_corpus

WITH_MEDIA = ("parquet", "croissant", "hf", "webdataset", "ossl-v1", "ossl-v2")
SECRET = b"a secret of this machine"


def forge_clips_table(corpus: Path, **other: object) -> Clip:
    """Write a forged clips table: replace values in its only row."""
    row: Clip = dataclasses.replace(tables_io.read_table(corpus / "manifests", CLIPS)[0], **other)
    schema = CLIPS.arrow_schema()
    columns = {name: [getattr(row, name)] for name in schema.names}
    path = corpus / "manifests/clips.parquet"
    path.unlink()
    tables_io.write_arrow(path, CLIPS, [pa.Table.from_pydict(columns, schema)])
    return row


def upwards(corpus: Path, secret: Path) -> str:
    return "../" * 9 + str(secret).lstrip("/")


def upwards_inside(corpus: Path, secret: Path) -> str:
    return f"films/../../{secret.name}"


def absolute(corpus: Path, secret: Path) -> str:
    return str(secret)


def linked_file(corpus: Path, secret: Path) -> str:
    (corpus / "films/expired/clips/link.mp4").symlink_to(secret)
    return "films/expired/clips/link.mp4"


def linked_folder(corpus: Path, secret: Path) -> str:
    (corpus / "films/expired/clips/there").symlink_to(secret.parent)
    return f"films/expired/clips/there/{secret.name}"


WAYS_OUT = (upwards, upwards_inside, absolute, linked_file, linked_folder)


def everything(folder: Path) -> dict[str, bytes]:
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file()
    }


@pytest.fixture
def secret(tmp_path: Path) -> Path:
    path = tmp_path / "secret.mp4"
    path.write_bytes(SECRET)
    return path


@pytest.mark.parametrize("export", WITH_MEDIA)
@pytest.mark.parametrize("way", WAYS_OUT)
def test_no_file_from_outside_is_exported(
    ossl_here: RunCommand,
    tmp_path: Path,
    secret: Path,
    export: str,
    way: Callable[[Path, Path], str],
) -> None:
    import hashlib

    corpus, out = rights_corpus(tmp_path / "corpus", "expired"), tmp_path / "deep/out"
    name = way(corpus, secret)
    sha256 = hashlib.sha256(SECRET).hexdigest()
    forge_clips_table(corpus, video_path=name, video_sha256=sha256)
    ended = ossl_here("-C", corpus, "export", export, "--out", out)
    assert ended.code == 1
    assert name in ended.err
    assert "Traceback" not in ended.err
    assert not any(SECRET in data for data in everything(tmp_path / "deep").values())
    assert secret.read_bytes() == SECRET


@pytest.mark.parametrize("export", WITH_MEDIA)
@pytest.mark.parametrize("column", ["clip_id", "film_id", "video_path"])
def test_nothing_outside_is_written(
    ossl_here: RunCommand, tmp_path: Path, export: str, column: str
) -> None:
    corpus, out = rights_corpus(tmp_path / "corpus", "expired"), tmp_path / "deep/out"
    row = tables_io.read_table(corpus / "manifests", CLIPS)[0]
    # The file exists at the path in the table; the export would write outside of `out`.
    (tmp_path / "up").mkdir()
    (tmp_path / "up/x.mp4").write_bytes((corpus / row.video_path).read_bytes())
    forge_clips_table(corpus, **{column: "../up/x.mp4" if column == "video_path" else "../../up/x"})
    before = everything(tmp_path)
    ended = ossl_here("-C", corpus, "export", export, "--out", out)
    assert ended.code == 1
    assert "../up/x" in ended.err
    after = everything(tmp_path)
    assert {path for path in after if not path.startswith("deep/out/")} == before.keys()
    assert (tmp_path / "up/x.mp4").read_bytes() == before["up/x.mp4"]


def test_a_link_in_the_export_is_not_followed(ossl_here: RunCommand, tmp_path: Path) -> None:
    corpus, out = rights_corpus(tmp_path / "corpus", "expired"), tmp_path / "out"
    (tmp_path / "other").mkdir()
    out.mkdir()
    (out / "films").symlink_to(tmp_path / "other")
    ended = ossl_here("-C", corpus, "export", "parquet", "--out", out, "--copy")
    assert ended.code == 1
    assert list((tmp_path / "other").iterdir()) == []


@pytest.mark.parametrize("way", WAYS_OUT)
def test_verify_and_report_do_not_follow_paths_outside(
    ossl_here: RunCommand, tmp_path: Path, secret: Path, way: Callable[[Path, Path], str]
) -> None:
    corpus = rights_corpus(tmp_path / "corpus", "expired")
    name = way(corpus, secret)
    forge_clips_table(corpus, video_path=name)
    (corpus / "imported.json").write_text('{"version": 1, "layout": "ossl-v1", "folder": "v1"}')
    verified = ossl_here("-C", corpus, "verify", "--json")
    assert verified.code == 1
    told = verified.err + verified.out
    assert name in told
    assert "out of" in told
    reported = ossl_here("-C", corpus, "report")
    page = corpus / "report/film-expired.html"
    assert reported.code == 1 or secret.name not in page.read_text()


@pytest.mark.parametrize("place", ["films", "records", "manifests", "annotations", "films/more"])
def test_a_corpus_with_folders_linked_outside_is_not_opened(
    ossl_here: RunCommand, tmp_path: Path, place: str
) -> None:
    """`ossl clean` would delete, and a build would write, the files behind the link."""
    corpus, other = rights_corpus(tmp_path / "corpus", "expired"), tmp_path / "other"
    other.mkdir()
    (other / "precious").write_text("mine")
    path = corpus / place
    if path.exists():
        path.rename(tmp_path / "before")
    path.symlink_to(other)
    for words in (["clean"], ["build"], ["stats"], ["query", "SELECT 1"]):
        ended = ossl_here("-C", corpus, *words)
        assert ended.code == 1, words
        assert place in ended.err
    assert everything(other) == {"precious": b"mine"}


def test_a_linked_lock_file_does_not_change_its_target(
    ossl_here: RunCommand, tmp_path: Path
) -> None:
    corpus, mine = rights_corpus(tmp_path / "corpus", "expired"), tmp_path / "mine"
    mine.write_text("mine")
    (corpus / ".lock").symlink_to(mine)
    ossl_here("-C", corpus, "clean")
    assert mine.read_text() == "mine"


def test_a_linked_temporary_file_does_not_change_its_target(tmp_path: Path) -> None:
    from ossl_builder import files

    mine = tmp_path / "mine"
    mine.write_text("mine")
    (tmp_path / ".table.partial").symlink_to(mine)
    files.write_bytes(tmp_path / "table", b"data")
    assert (mine.read_text(), (tmp_path / "table").read_bytes()) == ("mine", b"data")


def _damage(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.unlink()
    path.write_bytes(data)


HOW = [("parquet", "--link"), ("parquet", "--copy"), ("croissant", "--link"),
       ("croissant", "--copy"), ("ossl-v1", "--link"), ("ossl-v1", "--copy"),
       ("ossl-v2", "--link"), ("ossl-v2", "--copy"), ("hf", ""), ("webdataset", "")]  # fmt: skip


@pytest.mark.parametrize("role", ["video", "music"])
@pytest.mark.parametrize(("export", "how"), HOW)
def test_a_damaged_or_missing_file_stops_an_export_and_is_reported(
    ossl_here: RunCommand, tmp_path: Path, export: str, how: str, role: str
) -> None:
    corpus, out = rights_corpus(tmp_path / "corpus", "expired", "no-notice"), tmp_path / "out"
    row = next(
        row for row in tables_io.read_table(corpus / "manifests", CLIPS)
        if row.film_id == "no-notice"
    )  # fmt: skip
    path = corpus / getattr(row, f"{role}_path")
    words = ["-C", corpus, "export", export, "--out", out, *filter(None, [how])]
    whole = path.read_bytes()
    _damage(path)
    damaged = path.read_bytes()
    ended = ossl_here(*words)
    assert (ended.code, path.name in ended.err) == (1, True)
    assert not any(damaged in data for data in everything(out).values())
    path.unlink()
    ended = ossl_here(*words)
    assert (ended.code, path.name in ended.err) == (1, True)
    path.write_bytes(whole)
    assert ossl_here(*words).code == 0


@pytest.mark.parametrize(("export", "how"), HOW)
def test_damaged_files_of_an_export_are_written_again(
    ossl_here: RunCommand, tmp_path: Path, export: str, how: str
) -> None:
    corpus, out = rights_corpus(tmp_path / "corpus", "expired", "no-notice"), tmp_path / "out"
    words = ["-C", corpus, "export", export, "--out", out, *filter(None, [how])]
    assert ossl_here(*words).code == 0
    whole = everything(out)
    media = (".mp4", ".flac", ".wav", ".tar", ".parquet")
    for path in [path for path in out.rglob("*") if path.suffix in media]:
        _damage(path)
    assert ossl_here(*words).code == 0
    assert everything(out) == whole


def test_a_clip_damaged_after_it_was_linked_is_detected(
    ossl_here: RunCommand, tmp_path: Path
) -> None:
    """The export shares the damaged file with the corpus."""
    corpus, out = rights_corpus(tmp_path / "corpus", "expired"), tmp_path / "out"
    words = ("-C", corpus, "export", "parquet", "--out", out, "--link")
    assert ossl_here(*words).code == 0
    (path,) = (corpus / "films").rglob("*.mp4")
    with path.open("r+b") as stream:
        stream.write(b"X")
    ended = ossl_here(*words)
    assert (ended.code, path.name in ended.err) == (1, True)


def test_a_stage_does_not_follow_a_link_outside(
    ossl_here: RunCommand, tmp_path: Path, secret: Path
) -> None:
    corpus = rights_corpus(tmp_path / "corpus", "expired")
    (corpus / "imported.json").write_text('{"version": 1, "layout": "ossl-v1", "folder": "v1"}')
    forge_clips_table(corpus, music_path=linked_file(corpus, secret))
    ended = ossl_here("-C", corpus, "fingerprints", "--json")
    assert ended.code == 1
    assert [(one["state"], one["code"]) for one in ended.json] == [("failed", "path_outside")]


@pytest.mark.parametrize("name", ["../secret.mp4", "/secret.mp4", "films/../../secret.mp4"])
def test_the_trainer_refuses_a_table_with_an_outside_path(tmp_path: Path, name: str) -> None:
    from ossl_train.data.source import read_source

    from ossl_builder.errors import OsslError
    from tests.train.labelled_corpus import assign_splits

    corpus = rights_corpus(tmp_path / "corpus", "expired")
    assign_splits(corpus, {"expired": "train"})
    forge_clips_table(corpus, video_path=name)
    with pytest.raises(OsslError) as caught:
        read_source(corpus, use_labels=False)
    assert caught.value.code == "path_outside"


def test_a_record_with_an_outside_path_is_refused(
    ossl_here: RunCommand, demo_corpus: Path, tmp_path: Path
) -> None:
    from tests.train.labelled_corpus import copied

    corpus = copied(demo_corpus, tmp_path / "corpus")
    path = corpus / "records/clips/demo-sintel.rows.json"
    text = path.read_text()
    path.unlink()
    path.write_text(text.replace('"films/demo-sintel/clips/', '"../films/demo-sintel/clips/'))
    (corpus / "manifests/clips.parquet").unlink()
    ended = ossl_here("-C", corpus, "build")
    assert ended.code == 1
    assert "../films/demo-sintel/clips/" in ended.err


def test_a_release_with_links_outside_is_refused(
    ossl_here: RunCommand, tmp_path: Path, secret: Path
) -> None:
    release, out = tmp_path / "v1", tmp_path / "corpus"
    release.mkdir()
    (release / "train_meta.csv").write_text("film_id,clip_id,mood,caption\nAA,0,sad,\n")
    for ending in ("mp4", "wav"):
        (release / f"AA_0.{ending}").symlink_to(secret)
    ended = ossl_here("import", "ossl-v1", release, "--out", out)
    assert (ended.code, "AA_0.mp4" in ended.err) == (1, True)
    assert not any(SECRET in data for data in everything(out).values())
