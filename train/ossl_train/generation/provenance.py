"""Read the JSON file beside a generated sample: what it was made from. No model is loaded."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ossl_builder import parse
from ossl_builder.files import sha256_remembered

FORMAT = 1
MOST_BYTES = 1 << 24
"""A file of another origin can be larger; it is no provenance file then."""


def read_provenance(note: Path) -> dict[str, Any] | None:
    """Read a provenance file; None if it is missing, damaged, or of another program."""
    try:
        provenance = parse.json_value(parse.regular_bytes(note, MOST_BYTES))
    except (OSError, ValueError):
        return None
    is_ours = (
        isinstance(provenance, dict)
        and provenance.get("format") == FORMAT
        and isinstance(provenance.get("made_from"), dict)
        and isinstance(provenance.get("made"), dict)
    )
    return provenance if is_ours else None


def used_prompt(wav: Path) -> str | None:
    """Return the prompt that a sample was generated from; None if it is not known.

    It is not known if the file has no provenance file, or if the provenance file describes other
    music: its checksum of the WAV differs.
    """
    provenance = read_provenance(wav.with_suffix(".json"))
    if provenance is None or not wav.is_file():
        return None
    prompt = provenance["made_from"].get("prompt")
    is_same = provenance["made"].get("wav_sha256") == sha256_remembered(wav)
    return prompt if is_same and isinstance(prompt, str) else None
