"""Write the Parquet export: the tables and media of the selected films."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from ossl_builder import files
from ossl_builder.engine import tables_io
from ossl_builder.exports.link_or_copy import Medium
from ossl_builder.exports.selection import Selection
from ossl_builder.files import inside
from ossl_builder.tables import CAPTIONS, CLIPS, CUES, FILMS, LABELS, SCENES, SPLITS

# Stems belong to whole films, and fingerprints are needed only for splits: neither is exported.
EXPORTED = (FILMS, SCENES, CUES, CLIPS, LABELS, SPLITS, CAPTIONS)
ROLES = ("video", "mix", "music", "dialogue")


def media(selection: Selection, out: Path) -> Iterator[Medium]:
    """Yield the media of the selected clips: video, mix, music and dialogue of each."""
    columns = ["film_id", *(f"{role}_{part}" for role in ROLES for part in ("path", "sha256"))]
    for batch in selection.batches(CLIPS, columns):
        for row in batch.to_pylist():
            for role in ROLES:
                path = row[f"{role}_path"]
                if path is not None:
                    source, target = inside(selection.root, path), inside(out, path)
                    yield Medium(source, target, row[f"{role}_sha256"], role)


def write_tables(selection: Selection, out: Path) -> dict[str, int]:
    """Write the tables of the selected films to `out/manifests`, and their checksums.

    Equal rows give equal bytes. Paths of films and of thumbnails do not change, although these
    files are not exported.

    Returns:
        The number of rows by table.
    """
    folder = out / "manifests"
    folder.mkdir(parents=True, exist_ok=True)
    counts = {}
    for table in EXPORTED:
        if selection.has(table):
            with files.replacing(folder / f"{table.name}.parquet") as temporary:
                counts[table.name] = tables_io.write_arrow(
                    temporary, selection.stored_table(table), selection.batches(table)
                )
        else:
            (folder / f"{table.name}.parquet").unlink(missing_ok=True)
    lines = [
        f"{files.sha256_file(folder / f'{name}.parquet')}  {name}.parquet\n"
        for name in sorted(counts)
    ]
    files.write_bytes(folder / tables_io.CHECKSUMS, "".join(lines).encode())
    return counts
