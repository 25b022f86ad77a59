"""A new stage touches three files: its own, its table's, and the registry."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import ossl_builder
from tests import films

TABLE = '''
from __future__ import annotations

from dataclasses import dataclass

from ossl_builder.tables.schema import Table, column


@dataclass(frozen=True)
class Brightness:
    """How bright one film is."""

    film_id: str = column("the film's id in this corpus")
    n_frames: int = column("frames of the film", "frames")


BRIGHTNESS = Table("brightness", "One row per film.", Brightness, 1, ("film_id",))
'''

STAGE = '''
from __future__ import annotations

from pydantic import Field

from ossl_builder.engine.settings import Settings
from ossl_builder.engine.stage import Item, Outcome, Stage
from ossl_builder.tables.brightness import BRIGHTNESS, Brightness


class BrightnessSettings(Settings):
    """Section `brightness` of a recipe."""

    factor: int = Field(1, ge=1, description="times each frame counts")


def measure(item: Item) -> Outcome:
    """Count frames."""
    (film,) = item.rows["films"]
    return Outcome((Brightness(film.film_id, item.config.factor * film.n_packets),))


BRIGHTNESS_STAGE = Stage(
    name="brightness",
    version=1,
    reads=("films",),
    writes=BRIGHTNESS,
    config=BrightnessSettings,
    run=measure,
)
'''


def test_a_new_stage_touches_three_files(tmp_path: Path) -> None:
    package = tmp_path / "ossl_builder"
    source = Path(ossl_builder.__file__).parent
    shutil.copytree(source, package, ignore=shutil.ignore_patterns("__pycache__"))
    for folder in ("manifests", "annotations"):
        shutil.copytree(source.parent / folder, package / "bundled" / folder)
    (package / "tables/brightness.py").write_text(TABLE)
    (package / "stages/brightness.py").write_text(STAGE)
    registry = package / "stages/registry.py"
    text = registry.read_text()
    entry = 'StageEntry("brightness", "Count the frames of a film.", "brightness"),'
    text = text.replace('    StageEntry("stems"', f'    {entry}\n    StageEntry("stems"')
    registry.write_text(text)

    def ossl(*arguments: object, module: str = "ossl_builder.cli.main") -> str:
        done = subprocess.run(
            [sys.executable, "-m", module, *map(str, arguments)],
            capture_output=True, text=True, check=False, cwd=tmp_path,
            env=os.environ | {"PYTHONPATH": str(tmp_path)},
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        return done.stdout

    films.make_film(tmp_path / "film.mkv", seconds=2, audio_s=(0, 2))
    ossl("init", "corpus")
    ossl(
        "-C", "corpus", "films", "add", "film.mkv", "--id", "film", "--title", "Film",
        "--basis", "licensed", "--evidence", "for tests",
    )  # fmt: skip
    # Its command, its section of the recipe, its table, the status, and its documentation.
    assert "Count the frames of a film." in " ".join(ossl("brightness", "--help").split())
    assert "brightness" in ossl("--help")
    settings = json.loads(ossl("settings", "--json"))
    assert {"key": "brightness.factor", "default": 1, "description": "times each frame counts"} in (
        settings
    )
    ossl("-C", "corpus", "fetch")
    ends = json.loads(ossl("-C", "corpus", "brightness", "--json", "--set", "brightness.factor=2"))
    assert [(end["state"], end["n_rows"]) for end in ends] == [("done", 1)]
    rows = json.loads(ossl("-C", "corpus", "query", "--json", "SELECT * FROM brightness"))
    (film,) = json.loads(ossl("-C", "corpus", "query", "--json", "SELECT n_packets FROM films"))
    assert rows == [{"film_id": "film", "n_frames": 2 * film["n_packets"]}]
    status = json.loads(ossl("-C", "corpus", "status", "--json"))
    stages = {stage["stage"]: stage for stage in status["stages"]}
    assert stages["brightness"]["stale"] == 1  # made with another setting than the recipe's
    page = tmp_path / "README.md"
    shutil.copy(source.parent / "manifests/README.md", page)
    ossl(page, module="ossl_builder.stages.document")
    assert "## brightness\n\nOne row per film. Key: `film_id`." in page.read_text()
    assert "| `n_frames` | int | frames | frames of the film |" in page.read_text()
