"""Write the format of the `datasets` library: Parquet shards with embedded media.

The schema's metadata key `huggingface` names the features; without it the media would load as raw
structs (https://huggingface.co/docs/datasets/about_dataset_features).
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ossl_builder.exports.samples import MEDIA, Column, Sample
from ossl_builder.exports.shards import Shard

if TYPE_CHECKING:
    import pyarrow as pa

VERSION = 1
# Small enough that a shard's media fit in memory, large enough to keep the number of files low.
MAX_BYTES = 400_000_000
# Rows per row group, which is the unit that a streaming reader downloads.
ROWS_PER_GROUP = 16

FEATURE = {"video": "Video", "mix": "Audio", "music": "Audio", "dialogue": "Audio"}
DTYPES: dict[type, str] = {str: "string", int: "int64", float: "float64", bool: "bool"}


def shard_name(split: str, number: int, count: int) -> str:
    """Return a shard's path, `data/train-00000-of-00003.parquet`; no split counts as `train`."""
    return f"data/{split or 'train'}-{number:05}-of-{count:05}.parquet"


def schema(columns: Sequence[Column]) -> pa.Schema:
    """Return the Arrow schema of the shards: bytes and path per media role, then the columns."""
    import pyarrow as pa

    medium = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
    kinds = {str: pa.string(), int: pa.int64(), float: pa.float64(), bool: pa.bool_()}
    fields = [pa.field(role, medium) for role in MEDIA]
    fields += [pa.field(name, kinds[kind]) for name, kind, _, _ in columns]
    features: dict[str, Any] = {role: {"_type": kind} for role, kind in FEATURE.items()}
    for name, kind, _, _ in columns:
        features[name] = {"dtype": DTYPES[kind], "_type": "Value"}
    metadata = json.dumps({"info": {"features": features}})
    return pa.schema(fields, metadata={"huggingface": metadata})


def write(path: Path, shard: Shard) -> None:
    """Write one shard; only the media of one row group are in memory at a time."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    arrow_schema = schema(shard.samples[0].columns)
    # No compression, because the media are already compressed.
    with pq.ParquetWriter(path, arrow_schema, compression="none", write_page_index=True) as writer:
        for rows in _groups(shard):
            writer.write_table(pa.Table.from_pylist(rows, schema=arrow_schema))


def _groups(shard: Shard) -> Iterator[list[dict[str, Any]]]:
    for begin in range(0, len(shard.samples), ROWS_PER_GROUP):
        yield [_row(sample) for sample in shard.samples[begin : begin + ROWS_PER_GROUP]]


def _row(sample: Sample) -> dict[str, Any]:
    media: dict[str, Any] = dict.fromkeys(MEDIA)
    for role, path in sample.media.items():
        media[role] = {"bytes": sample.file(role).read(), "path": path.name}
    return {**media, **sample.facts}
