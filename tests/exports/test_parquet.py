"""The Parquet export: rows of the chosen splits, clip media, and no partial output."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pandas
import pytest

from ossl_builder import files
from ossl_builder.engine import tables_io
from ossl_builder.errors import OsslError
from ossl_builder.exports import link_or_copy
from ossl_builder.tables import CLIPS, SPLITS
from tests.e2e.corpora import Ossl

ROLES = ("video", "mix", "music", "dialogue")


def contents(folder: Path) -> dict[str, bytes]:
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file()
    }


def test_tables_and_media_are_complete(ossl: Ossl, corpus: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    ossl("-C", corpus, "export", "parquet", "--out", out, "--copy")
    clips = pandas.read_parquet(out / "manifests" / "clips.parquet")
    assert list(clips["clip_id"]) == [
        clip.clip_id for clip in tables_io.read_table(corpus / "manifests", CLIPS)
    ]
    for clip in clips.to_dict("records"):
        for role in ROLES:
            assert files.sha256_file(out / clip[f"{role}_path"]) == clip[f"{role}_sha256"]
    done = subprocess.run(
        ["sha256sum", "--check", "--quiet", "checksums.sha256"],
        cwd=out / "manifests", capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert len(list(out.rglob("*.flac"))) + len(list(out.rglob("*.mp4"))) == 4 * len(clips)


def test_the_same_corpus_gives_the_same_bytes(ossl: Ossl, corpus: Path, tmp_path: Path) -> None:
    ossl("-C", corpus, "export", "parquet", "--out", tmp_path / "a", "--copy")
    ossl("-C", corpus, "export", "parquet", "--out", tmp_path / "b")
    assert contents(tmp_path / "a") == contents(tmp_path / "b")


def test_export_of_one_split_has_only_that_split(ossl: Ossl, corpus: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    ossl("-C", corpus, "export", "parquet", "--out", out, "--split", "test")
    tables = out / "manifests"
    for path in tables.glob("*.parquet"):
        assert set(pandas.read_parquet(path)["film_id"]) == {"demo-steamboat"}, path.name
    assert [path.name for path in (out / "films").iterdir()] == ["demo-steamboat"]


def test_a_film_without_a_split_is_left_out_and_reported(
    ossl: Ossl, corpus: Path, tmp_path: Path
) -> None:
    import dataclasses

    rows = [
        dataclasses.replace(row, split=None, why="it matches films in two splits")
        if row.film_id == "demo-sintel"
        else row
        for row in tables_io.read_table(corpus / "manifests", SPLITS)
    ]
    tables_io.write_corpus_table(corpus, SPLITS, rows)
    done = ossl("-C", corpus, "export", "parquet", "--out", tmp_path / "out")
    assert "demo-sintel" in done.stderr
    assert not (tmp_path / "out" / "films" / "demo-sintel").exists()


def test_an_interrupted_export_is_resumed(ossl: Ossl, corpus: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    ossl("-C", corpus, "export", "parquet", "--out", out, "--copy")
    whole = contents(out)
    kept = next(out.rglob("*.music.flac"))
    stamp = kept.stat().st_mtime_ns
    next(out.rglob("*.mp4")).unlink()
    ossl("-C", corpus, "export", "parquet", "--out", out, "--copy")
    assert contents(out) == whole
    assert kept.stat().st_mtime_ns == stamp


@pytest.mark.parametrize("link", [True, False])
def test_a_rebuilt_clip_replaces_one_of_the_same_size(tmp_path: Path, link: bool) -> None:
    source, target = tmp_path / "source", tmp_path / "out" / "target"
    for content in (b"first", b"other"):
        source.unlink(missing_ok=True)
        source.write_bytes(content)
        medium = link_or_copy.Medium(source, target, files.sha256_file(source))
        list(link_or_copy.place([medium], link))
        assert target.read_bytes() == content


def test_changed_media_are_not_exported(corpus: Path, tmp_path: Path) -> None:
    source = tmp_path / "source"
    source.write_bytes(b"other")
    medium = link_or_copy.Medium(source, tmp_path / "out" / "target", "0" * 64)
    with pytest.raises(OsslError) as caught:
        list(link_or_copy.place([medium], link=False))
    assert caught.value.code == "media_changed"
    assert list((tmp_path / "out").iterdir()) == []


def test_unknown_splits_and_small_disks_give_clear_errors(ossl: Ossl, corpus: Path) -> None:
    out = corpus.parent / "out"
    assert "no split 'dev'" in ossl(
        "-C", corpus, "export", "parquet", "--out", out, "--split", "dev", code=1
    ).stderr  # fmt: skip
    assert not out.exists()
    with pytest.raises(OsslError) as caught:
        link_or_copy.check_room(out, 10**18)
    assert caught.value.code == "disk_small"
