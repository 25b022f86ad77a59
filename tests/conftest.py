"""What tests of several packages share: the shared media, and items for stages."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from ossl_builder.engine.stage import Item, Stage


@pytest.fixture(scope="session")
def shared_media() -> Path:
    """The folder of real films with exact truth; a user's clone has none."""
    folder = os.environ.get("OSSL_TEST_MEDIA", "")
    if not folder or not Path(folder).is_dir():
        pytest.skip("the shared media are not here (OSSL_TEST_MEDIA)")
    return Path(folder)


@pytest.fixture
def make_item(tmp_path: Path) -> Callable[..., Item]:
    """Make the item that a stage is given, with a corpus in a temporary folder."""

    def make(
        stage: Stage,
        rows: dict[str, tuple[Any, ...]],
        settings: dict[str, Any] | None = None,
        item_id: str = "film",
        corpus: Path = tmp_path,
    ) -> Item:
        home = f"films/{item_id}/{stage.folder}"
        folder = corpus / home
        folder.mkdir(parents=True, exist_ok=True)
        return Item(
            item_id=item_id,
            corpus=corpus,
            folder=folder,
            home=home,
            rows=rows,
            config=stage.config(**(settings or {})),
            progress=lambda part: None,
        )

    return make
