"""The layout of the `datasets` library: Parquet shards with embedded media that load by one line.

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
# Small enough that a shard's media fit into memory, large enough that there are few files.
MAX_BYTES = 400_000_000
# Rows of a row group: what a reader that streams has to fetch at once.
ROWS_PER_GROUP = 16

FEATURE = {"video": "Video", "mix": "Audio", "music": "Audio", "dialogue": "Audio"}
DTYPES: dict[type, str] = {str: "string", int: "int64", float: "float64", bool: "bool"}


def shard_name(split: str, number: int, count: int) -> str:
    """`data/train-00000-of-00003.parquet`; without splits everything is `train`."""
    return f"data/{split or 'train'}-{number:05}-of-{count:05}.parquet"


def schema(columns: Sequence[Column]) -> pa.Schema:
    """The shards' Arrow schema: the media of each role as bytes and path, then the columns."""
    import pyarrow as pa

    medium = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
    kinds = {str: pa.string(), int: pa.int64(), float: pa.float64(), bool: pa.bool_()}
    fields = [pa.field(role, medium) for role in MEDIA]
    fields += [pa.field(name, kinds[kind]) for name, kind, _, _ in columns]
    features: dict[str, Any] = {role: {"_type": kind} for role, kind in FEATURE.items()}
    for name, kind, _, _ in columns:
        features[name] = {"dtype": DTYPES[kind], "_type": "Value"}
    told = json.dumps({"info": {"features": features}})
    return pa.schema(fields, metadata={"huggingface": told})


def write(path: Path, shard: Shard) -> None:
    """Write one shard; a row group's media are in memory at a time."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    form = schema(shard.samples[0].columns)
    # Media are compressed already.
    with pq.ParquetWriter(path, form, compression="none", write_page_index=True) as writer:
        for rows in _groups(shard):
            writer.write_table(pa.Table.from_pylist(rows, schema=form))


def _groups(shard: Shard) -> Iterator[list[dict[str, Any]]]:
    for begin in range(0, len(shard.samples), ROWS_PER_GROUP):
        yield [_row(sample) for sample in shard.samples[begin : begin + ROWS_PER_GROUP]]


def _row(sample: Sample) -> dict[str, Any]:
    media: dict[str, Any] = dict.fromkeys(MEDIA)
    for role, path in sample.media.items():
        media[role] = {"bytes": sample.file(role).read(), "path": path.name}
    return {**media, **sample.facts}
