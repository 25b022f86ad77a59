"""Write the dataset card: contents, provenance, films with their rights, limits, citation."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import yaml

from ossl_builder import __version__, files
from ossl_builder.exports.huggingface import DTYPES, FEATURE
from ossl_builder.exports.samples import Sample, columns
from ossl_builder.exports.selection import Selection
from ossl_builder.exports.shards import Shard
from ossl_builder.tables import FILMS, STEMS

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


SIZES = ((1_000, "n<1K"), (10_000, "1K<n<10K"), (100_000, "10K<n<100K"), (1_000_000, "100K<n<1M"))

OPENING = (
    "Film music with its video: one row per clip, each of them traceable to a second of a film "
    "with evidence of its rights."
)
OPENING_UNVERIFIED = (
    "Film music with its video: one row per clip, each of them traceable to a second of a film. "
    "Some of the films are not shown to be free; they are named below."
)
OPENING_IMPORTED = (
    "Film music with its video: one row per clip, imported from a released corpus. Nobody looked "
    "into the rights of its films here."
)
LIMITS_IMPORTED = """\
- The rights of every film are unknown here: find out before you use or share its clips.
- Frames, music, moods and captions are as they were released; lengths, loudness and numbers of
  frames were measured by decoding.
- Old films show people and say things as their makers saw fit then.
"""
LIMITS = """\
- Music was separated from speech and noise by a model: a stem can carry rests of the others.
- Cues and cuts were found by programs; their settings stand below.
- Moods are what some people heard. Their number and agreement stand in the columns.
- Whether a film is free was judged for the United States only, from the evidence named. That is no
  legal advice, and it says nothing of other countries.
- Old films show people and say things as their makers saw fit then.
"""


def write(out: Path, title: str, selection: Selection, shards: Sequence[Shard]) -> None:
    """Write `README.md`: the YAML header for the Hugging Face hub, then the card as Markdown."""
    imported = selection.imported()
    head = yaml.safe_dump(_head(out, title, selection, shards), sort_keys=False, allow_unicode=True)
    cited = CITATION_V2 if imported.get("layout") == "ossl-v2" else CITATION
    parts = [
        f"# {title}\n\n{_opening(selection)}",
        "```python\nfrom datasets import load_dataset\n\n"
        'dataset = load_dataset("PATH_OR_NAME")\n'
        'dataset["train"][0]["music"], dataset["train"][0]["video"]\n```',
        "## What is in it\n\n" + _counts_table(shards),
        "## Columns\n\n" + _columns_table(selection),
        "## How it was made\n\n" + _provenance(selection),
        "## Films and their rights\n\n" + rights(selection),
        "## Limits\n\n" + (LIMITS_IMPORTED if imported else LIMITS).rstrip(),
        f"## Citation\n\nPlease cite the corpus this one follows:\n\n```bibtex\n{cited}```",
    ]
    text = f"---\n{head}---\n\n" + "\n\n".join(parts) + "\n"
    files.write_bytes(out / "README.md", text.encode())


def _opening(selection: Selection) -> str:
    if selection.imported():
        return OPENING_IMPORTED
    return OPENING_UNVERIFIED if selection.unverified else OPENING


def rights(selection: Selection) -> str:
    """Return the films and their rights in Markdown; films not shown to be free come first."""
    if not selection.unverified:
        return films_table(selection)
    warning = f"Not shown to be free in the United States: {selection.unverified_names()}."
    return f"**{_cell(warning)}**\n\n{films_table(selection)}"


def _head(out: Path, title: str, selection: Selection, shards: Sequence[Shard]) -> dict[str, Any]:
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


def _counts_table(shards: Sequence[Shard]) -> str:
    rows = []
    for split in dict.fromkeys(shard.samples[0].split for shard in shards):
        split_samples = [
            sample for shard in shards for sample in shard.samples if sample.split == split
        ]
        rows.append((split or "all", *_count_row(split_samples)))
    all_samples = [sample for shard in shards for sample in shard.samples]
    if len(rows) > 1:
        rows.append(("together", *_count_row(all_samples)))
    return table(("split", "films", "clips", "hours", "with a mood", "Q1 Q2 Q3 Q4"), rows)


def _count_row(samples: Sequence[Sample]) -> tuple[Any, ...]:
    moods = Counter(sample.facts["quadrant"] for sample in samples)
    return (
        len({sample.facts["film_id"] for sample in samples}),
        len(samples),
        f"{sum(sample.facts['duration_s'] for sample in samples) / 3600:.2f}",
        len(samples) - moods[None],
        " ".join(str(moods[quadrant]) for quadrant in ("Q1", "Q2", "Q3", "Q4")),
    )


def _columns_table(selection: Selection) -> str:
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
    return table(("column", "type", "unit", "meaning"), [*media, *plain])


def _provenance(selection: Selection) -> str:
    imported = selection.imported()
    if imported:
        return (
            f"Imported from the layout {imported['layout']} by ossl-builder {__version__}; the "
            f"folder was called {_cell(imported['folder'])}."
        )
    recipe = selection.root / "ossl.yaml"
    text = f"By ossl-builder {__version__}: scenes, separation, cues, clips."
    if selection.has(STEMS):
        models = {row["model"] for batch in selection.batches(STEMS) for row in batch.to_pylist()}
        text += f" Separation model: {', '.join(sorted(models))}."
    if recipe.exists():
        text += (
            f" The recipe (what is not in it has its default):\n\n```yaml\n{recipe.read_text()}```"
        )
    return text


def films_table(selection: Selection) -> str:
    """Return the films, with the reason why each may be used, as a Markdown table."""
    rows = [
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
    header = ("film", "title", "year", "verdict", "basis", "evidence", "licence", "source")
    return table(header, rows)


def table(header: Sequence[str], rows: Iterable[Sequence[Any]]) -> str:
    """Return a Markdown table; in cells, line breaks become blanks and bars are escaped."""
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join(f"| {' | '.join(_cell(cell) for cell in line)} |" for line in lines)


def _cell(value: Any) -> str:
    return " ".join(str(value).split()).replace("|", "\\|")
