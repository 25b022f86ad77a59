"""Write the dataset card: contents, provenance, films with their rights, limits, citation."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ossl_builder import __version__, files
from ossl_builder.exports.huggingface import DTYPES, FEATURE
from ossl_builder.exports.samples import Sample, columns
from ossl_builder.exports.selection import Selection
from ossl_builder.exports.shards import Shard
from ossl_builder.tables import FILMS, STEMS
from ossl_builder.templates import markdown_renderer

CITATION = """\
@inproceedings{kim2025ossl,
  title     = {Video-Guided Text-to-Music Generation Using Public Domain Movie Collections},
  author    = {Kim and Novack and Xu and McAuley and Dong},
  booktitle = {International Society for Music Information Retrieval Conference (ISMIR)},
  year      = {2025},
  note      = {arXiv:2506.12573}
}
"""

CITATION_V2 = """\
@misc{kim2026ossl,
  title         = {Dialogue-aware video-to-music generation using public domain film collections},
  author        = {Kim and Novack and McAuley and Dong},
  year          = {2026},
  eprint        = {2608.11576},
  archivePrefix = {arXiv}
}
"""

FILM_HEADINGS = (
    "film", "title", "year", "verdict", "basis", "evidence", "licence", "source",
)  # fmt: skip
SIZES = ((1_000, "n<1K"), (10_000, "1K<n<10K"), (100_000, "10K<n<100K"), (1_000_000, "100K<n<1M"))

TEMPLATES = Path(__file__).with_name("templates")


def write(out: Path, title: str, selection: Selection, shards: Sequence[Shard]) -> None:
    """Write `README.md`: the YAML header for the Hugging Face hub, then the card as Markdown."""
    imported = selection.imported()
    recipe = selection.root / "ossl.yaml"
    models = {
        row["model"]
        for batch in (selection.batches(STEMS) if selection.has(STEMS) else ())
        for row in batch.to_pylist()
    }
    values = {
        "title": title,
        "version": __version__,
        "header": _header(out, title, selection, shards),
        "imported": imported,
        "counts": _counts(shards),
        "columns": _columns(selection),
        "models": sorted(models),
        "recipe": recipe.read_text() if recipe.exists() else "",
        "unverified": selection.unverified_names() if selection.unverified else "",
        "films": film_rights(selection),
        "film_headings": FILM_HEADINGS,
        "citation": CITATION_V2 if imported.get("layout") == "ossl-v2" else CITATION,
    }
    text = markdown_renderer(TEMPLATES)("dataset_card.md", values)
    files.write_bytes(out / "README.md", text.encode())


def _header(out: Path, title: str, selection: Selection, shards: Sequence[Shard]) -> dict[str, Any]:
    count = sum(len(shard.samples) for shard in shards)
    splits = list(dict.fromkeys(shard.name.split("/")[1].split("-")[0] for shard in shards))
    return {
        "pretty_name": title,
        "license": "other",
        "license_name": "film-by-film",
        "license_link": "README.md#films-and-their-rights",
        "task_categories": ["text-to-audio", "audio-classification", "video-classification"],
        "tags": ["film-music", "soundtrack", "video-to-music", "mood"],
        "size_categories": [next((name for top, name in SIZES if count < top), "n>1M")],
        "configs": [
            {
                "config_name": "default",
                "data_files": [{"split": split, "path": f"data/{split}-*"} for split in splits],
            }
        ],
        "dataset_info": {
            "features": [
                *({"name": role, "dtype": kind.lower()} for role, kind in FEATURE.items()),
                *({"name": name, "dtype": DTYPES[kind]} for name, kind, _, _ in columns(selection)),
            ],
            "splits": [_split_info(out, split, shards) for split in splits],
        },
    }


def _split_info(out: Path, split: str, shards: Sequence[Shard]) -> dict[str, Any]:
    split_shards = [shard for shard in shards if shard.name.startswith(f"data/{split}-")]
    return {
        "name": split,
        "num_bytes": sum((out / shard.name).stat().st_size for shard in split_shards),
        "num_examples": sum(len(shard.samples) for shard in split_shards),
    }


def _counts(shards: Sequence[Shard]) -> list[tuple[Any, ...]]:
    rows = []
    for split in dict.fromkeys(shard.samples[0].split for shard in shards):
        split_samples = [
            sample for shard in shards for sample in shard.samples if sample.split == split
        ]
        rows.append((split or "all", *_count_row(split_samples)))
    if len(rows) > 1:
        all_samples = [sample for shard in shards for sample in shard.samples]
        rows.append(("together", *_count_row(all_samples)))
    return rows


def _count_row(samples: Sequence[Sample]) -> tuple[Any, ...]:
    moods = Counter(sample.facts["quadrant"] for sample in samples)
    return (
        len({sample.facts["film_id"] for sample in samples}),
        len(samples),
        f"{sum(sample.facts['duration_s'] for sample in samples) / 3600:.2f}",
        len(samples) - moods[None],
        " ".join(str(moods[quadrant]) for quadrant in ("Q1", "Q2", "Q3", "Q4")),
    )


def _columns(selection: Selection) -> list[tuple[str, str, str, str]]:
    media = [
        (f"`{role}`", FEATURE[role].lower(), "", meaning)
        for role, meaning in (
            ("video", "video and mix, H.264 and AAC in MP4"),
            ("mix", "the film's audio"),
            ("music", "the music alone, separated"),
            ("dialogue", "the dialogue alone, separated"),
        )
    ]
    plain = [(f"`{name}`", DTYPES[kind], unit, doc) for name, kind, unit, doc in columns(selection)]
    return [*media, *plain]


def film_rights(selection: Selection) -> list[tuple[Any, ...]]:
    """Return a row per film, with the reason why it may be used; headings: `FILM_HEADINGS`."""
    return [
        (
            row.film_id,
            row.title,
            row.year or "unknown",
            row.verdict.replace("_", " "),
            row.basis + (" (the curator's claim)" if row.is_claim else ""),
            row.evidence,
            row.licence_url or "",
            row.source,
        )
        for batch in selection.batches(FILMS)
        for row in map(FILMS.from_json, batch.to_pylist())
    ]
