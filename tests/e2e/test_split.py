"""Splits of the demo corpus: three films without shared material, one in each split."""

from __future__ import annotations

import json
from pathlib import Path

from tests.e2e.corpora import Ossl, rows


def test_the_demo_films_share_nothing_and_are_in_three_splits(
    ossl: Ossl, demo_corpus: Path
) -> None:
    prints = rows(demo_corpus, "fingerprints")
    assert [row["clip_id"] for row in prints] == [
        row["clip_id"] for row in rows(demo_corpus, "clips")
    ]
    assert all(row["audio_hashes"] and row["video_hashes"] for row in prints)
    # No matches even at half of the matching threshold.
    found = json.loads(
        ossl(
            "-C", demo_corpus, "split", "--dry-run", "--json", "--set", "splits.min_shared=1.5"
        ).stdout
    )
    assert found["matches"] == []
    assert [split["films"] for split in found["splits"]] == [1, 1, 1]
    assert not (demo_corpus / "manifests/splits.parquet").exists()
