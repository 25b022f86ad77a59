"""What all tests share: media, the command, corpora built once, items for stages."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from ossl_builder.engine.stage import Item, Stage
from tests.e2e.corpora import Ossl, add_film
from tests.said import Run, Said

# One server for all tests of a session, wherever they stand.
pytest_plugins = ["tests.e2e.label_studio_server"]


@pytest.fixture(scope="session")
def shared_media() -> Path:
    """The folder of real films with exact truth; a user's clone has none."""
    folder = os.environ.get("OSSL_TEST_MEDIA", "")
    if not folder or not Path(folder).is_dir():
        pytest.skip("the shared media are not here (OSSL_TEST_MEDIA)")
    return Path(folder)


@pytest.fixture
def small_disk(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Path]:
    """A file system of its own in memory, as large as the test says; making one needs root."""
    folder = tmp_path / "disk"
    folder.mkdir()
    if os.geteuid() != 0:
        pytest.skip("mounting a small disk needs root")
    command = ["mount", "-t", "tmpfs", "-o", f"size={request.param}", "ossl-test", str(folder)]
    if subprocess.run(command, capture_output=True, check=False).returncode != 0:
        pytest.skip("this machine does not let a test mount a small disk")
    yield folder
    subprocess.run(["umount", str(folder)], check=True)


@pytest.fixture
def ossl_here(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Run:
    """`ossl` in this process, which is faster; whatever its exit code."""

    def run(*arguments: object) -> Said:
        from ossl_builder.cli.main import main

        monkeypatch.setattr(sys, "argv", ["ossl", *map(str, arguments)])
        capsys.readouterr()
        code = 0
        try:
            main()
        except SystemExit as ended:
            code = int(ended.code or 0)
        said = capsys.readouterr()
        return Said(code, said.out, said.err)

    return run


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


@pytest.fixture(scope="session")
def ossl() -> Ossl:
    """Run `ossl` as a user would; assert its exit code."""

    def run(*arguments: object, code: int = 0) -> subprocess.CompletedProcess[str]:
        done = subprocess.run(
            [sys.executable, "-m", "ossl_builder.cli.main", *map(str, arguments)],
            capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL,
        )  # fmt: skip
        assert done.returncode == code, f"{arguments}: {done.returncode}\n{done.stderr}"
        assert "Traceback" not in done.stderr
        return done

    return run


@pytest.fixture(scope="session")
def demo_corpus(ossl: Ossl, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The corpus of the three demo films. Look, do not touch: tests share it.

    One made before can be named by OSSL_TEST_DEMO: it is copied and brought up to date.
    """
    folder = tmp_path_factory.mktemp("demo") / "corpus"
    made_before = os.environ.get("OSSL_TEST_DEMO", "")
    if made_before:
        shutil.copytree(made_before, folder, copy_function=os.link)
    ossl("demo", "--out", folder, "--no-training")
    return folder


@pytest.fixture(scope="session")
def dev_corpus(ossl: Ossl, shared_media: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A corpus of the shared film with exact truth, by the bundled separator. Do not touch."""
    folder = tmp_path_factory.mktemp("dev") / "corpus"
    ossl("init", folder)
    add_film(ossl, folder, shared_media / "mixfilm" / "dev.mp4", "dev")
    ossl("-C", folder, "build", "--set", "stems.model=bundled")
    return folder
