"""Write Croissant 1.1 metadata: JSON-LD that describes an export and its tables.

Source: MLCommons Croissant format specification (https://docs.mlcommons.org/croissant/).
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from pathlib import Path, PurePosixPath
from typing import Any

from ossl_builder import __version__, files
from ossl_builder.engine import tables_io
from ossl_builder.exports import licences
from ossl_builder.exports.card import CITATION
from ossl_builder.exports.link_or_copy import Medium
from ossl_builder.exports.parquet import EXPORTED
from ossl_builder.tables import FILMS, Table

NAME = "croissant.json"
TYPES: dict[Any, str] = {
    str: "sc:Text",
    int: "sc:Integer",
    float: "sc:Float",
    bool: "sc:Boolean",
}
# Folder names that all films have; other folder names become `*` in a glob.
FOLDERS = ("films", "clips")
FORMATS = {".mp4": "video/mp4", ".flac": "audio/flac", ".wav": "audio/wav"}
FILM_BY_FILM = (
    "Film by film: see hasPart, and the columns verdict, evidence and licence_url of the table "
    "films."
)
CONTEXT: dict[str, Any] = {
    "@language": "en",
    "@vocab": "https://schema.org/",
    "arrayShape": "cr:arrayShape",
    "citeAs": "cr:citeAs",
    "column": "cr:column",
    "conformsTo": "dct:conformsTo",
    "containedIn": "cr:containedIn",
    "cr": "http://mlcommons.org/croissant/",
    "data": {"@id": "cr:data", "@type": "@json"},
    "dataType": {"@id": "cr:dataType", "@type": "@vocab"},
    "dct": "http://purl.org/dc/terms/",
    "description": {"@container": "@language"},
    "equivalentProperty": "cr:equivalentProperty",
    "examples": {"@id": "cr:examples", "@type": "@json"},
    "extract": "cr:extract",
    "field": "cr:field",
    "fileObject": "cr:fileObject",
    "fileProperty": "cr:fileProperty",
    "fileSet": "cr:fileSet",
    "format": "cr:format",
    "includes": "cr:includes",
    "isArray": "cr:isArray",
    "isLiveDataset": "cr:isLiveDataset",
    "jsonPath": "cr:jsonPath",
    "key": "cr:key",
    "md5": "cr:md5",
    "name": {"@container": "@language"},
    "parentField": "cr:parentField",
    "path": "cr:path",
    "rai": "http://mlcommons.org/croissant/RAI/",
    "recordSet": "cr:recordSet",
    "references": "cr:references",
    "regex": "cr:regex",
    "repeated": "cr:repeated",
    "replace": "cr:replace",
    "samplingRate": "cr:samplingRate",
    "sc": "https://schema.org/",
    "separator": "cr:separator",
    "source": "cr:source",
    "subField": "cr:subField",
    "transform": "cr:transform",
}


def write(out: Path, title: str, description: str, media: Iterable[Medium]) -> None:
    """Write `croissant.json` for the tables and media of a Parquet export.

    Args:
        out: the folder of the export.
        title: the dataset's name.
        description: the dataset's description.
        media: the exported files; the table clips has their paths and hashes.
    """
    tables = [table for table in EXPORTED if _path(out, table).exists()]
    described = {
        "@context": CONTEXT,
        "@type": "sc:Dataset",
        "conformsTo": "http://mlcommons.org/croissant/1.1",
        "name": title,
        "description": description,
        "version": __version__,
        "citeAs": CITATION,
        **_rights(out),
        "url": "https://github.com/ossl-builder/ossl-builder",
        "isLiveDataset": False,
        "distribution": [
            *(_table_file(out, table) for table in tables),
            *_file_sets(out, media),
        ],
        "recordSet": [_record_set(table) for table in tables],
    }
    text = json.dumps(described, indent=1, ensure_ascii=False)
    files.write_bytes(out / NAME, text.encode() + b"\n")


def _rights(out: Path) -> dict[str, Any]:
    """Return the licence shared by all films; if there is none, the licence of each film."""
    films = tables_io.read_arrow(out / "manifests", FILMS, licences.COLUMNS).to_pylist()
    shared = licences.shared_licence(films)
    if shared is not None:
        return {"license": shared}
    parts = [
        {
            "@type": "sc:CreativeWork",
            "identifier": film["film_id"],
            "name": film["title"],
            "license": licences.statement_of(film),
        }
        for film in films
    ]
    return {"license": FILM_BY_FILM, "hasPart": parts}


def _path(out: Path, table: Table) -> Path:
    return out / "manifests" / f"{table.name}.parquet"


def _table_file(out: Path, table: Table) -> dict[str, Any]:
    path = _path(out, table)
    return {
        "@type": "cr:FileObject",
        "@id": f"{table.name}.parquet",
        "name": f"{table.name}.parquet",
        "description": table.doc,
        "contentUrl": f"manifests/{path.name}",
        "contentSize": f"{path.stat().st_size} B",
        "encodingFormat": "application/x-parquet",
        "sha256": files.sha256_file(path),
    }


def _file_sets(out: Path, media: Iterable[Medium]) -> Iterator[dict[str, Any]]:
    """Yield one FileSet per media role, because a corpus has too many clips for one per file."""
    globs: dict[str, set[str]] = {}
    for medium in media:
        path = medium.target.relative_to(out)
        # A clip's file name is its id, which has no dot, plus a suffix.
        folders = [part if part in FOLDERS else "*" for part in path.parts[:-1]]
        suffix = "".join(path.suffixes)
        globs.setdefault(medium.role, set()).add("/".join([*folders, f"*{suffix}"]))
    for role, includes in globs.items():
        formats = {FORMATS[PurePosixPath(glob).suffix.lower()] for glob in includes}
        yield {
            "@type": "cr:FileSet",
            "@id": f"{role}-files",
            "name": f"{role}-files",
            "description": f"The {role} of each clip. The table clips has its path in the column "
            f"{role}_path and its SHA-256 in {role}_sha256.",
            "encodingFormat": sorted(formats),
            "includes": sorted(includes),
        }


def _record_set(table: Table) -> dict[str, Any]:
    """Return a table as a RecordSet without its list columns, which only Parquet has."""
    return {
        "@type": "cr:RecordSet",
        "@id": table.name,
        "name": table.name,
        "description": table.doc,
        "key": [{"@id": f"{table.name}/{name}"} for name in table.key],
        "field": [
            {
                "@type": "cr:Field",
                "@id": f"{table.name}/{column.name}",
                "name": column.name,
                "description": _meaning(column.metadata["doc"], column.metadata["unit"]),
                "dataType": TYPES[table.types()[column.name][0]],
                "source": {
                    "fileObject": {"@id": f"{table.name}.parquet"},
                    "extract": {"column": column.name},
                },
            }
            for column in table.columns
            if table.types()[column.name][0] in TYPES
        ],
    }


def _meaning(doc: str, unit: str) -> str:
    return f"{doc} ({unit})" if unit else doc
