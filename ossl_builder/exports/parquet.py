"""The plain export: a corpus' own tables and media, for the films of the splits asked for."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from ossl_builder import files
from ossl_builder.engine import tables_io
from ossl_builder.exports.link_or_copy import Medium
from ossl_builder.exports.selection import Selection
from ossl_builder.files import inside
from ossl_builder.tables import CLIPS, CUES, FILMS, LABELS, SCENES, SPLITS

# Stems and fingerprints belong to whole films and to making splits: neither goes out.
EXPORTED = (FILMS, SCENES, CUES, CLIPS, LABELS, SPLITS)
ROLES = ("video", "mix", "music", "dialogue")


def media(selection: Selection, out: Path) -> Iterator[Medium]:
    """The media of the clips chosen: frame, mix, music and dialogue of each."""
    columns = ["film_id", *(f"{role}_{part}" for role in ROLES for part in ("path", "sha256"))]
    for batch in selection.batches(CLIPS, columns):
        for row in batch.to_pylist():
            for role in ROLES:
                path = row[f"{role}_path"]
                if path is not None:
                    source, target = inside(selection.root, path), inside(out, path)
                    yield Medium(source, target, row[f"{role}_sha256"], role)


def write_tables(selection: Selection, out: Path) -> dict[str, int]:
    """Write the tables of the films chosen to `out/manifests`, and their checksums.

    The same rows give the same bytes. Paths of films and of thumbnails are kept as they stood in
    the corpus, though these files are not exported.

    Returns:
        Rows by table.
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
