"""Fixtures of the training tests."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.corpora import built_once


@pytest.fixture(scope="session")
def tiny_models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of the tiny MusicGen and the tiny ViViT."""
    from ossl_train.adapter.tiny_models import write_tiny_models

    folder = tmp_path_factory.mktemp("models")
    write_tiny_models(folder)
    return folder


@pytest.fixture(scope="session")
def train_corpus(
    demo_corpus: Path, tiny_models: Path, tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """The demo corpus with labels, splits, features and codes. Read only."""
    from tests.train.labelled_corpus import SPLIT_OF, assign_splits, copied, put_labels, store_all

    def build(root: Path) -> None:
        copied(demo_corpus, root)
        copied(tiny_models, root / "train/models")
        (root / "train/models/written").touch()
        assign_splits(root, dict(SPLIT_OF))
        put_labels(root)
        store_all(root)

    return built_once(tmp_path_factory, "train", build)


@pytest.fixture
def corpus(train_corpus: Path, tmp_path: Path) -> Path:
    """A copy of it that may be changed: files are replaced, never written into."""
    from tests.train.labelled_corpus import copied

    return copied(train_corpus, tmp_path / "corpus")


@pytest.fixture(scope="session")
def clap(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny CLAP."""
    from tests.train.tiny_clap import write_tiny_clap

    return write_tiny_clap(tmp_path_factory.mktemp("clap"))


@pytest.fixture(scope="module")
def one_thread() -> Iterator[None]:
    """Use one thread: several threads may add numbers in another order."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)
