"""Contract of every stage: name, description, inputs, settings, and fast import."""

import subprocess
import sys

import pytest

from ossl_builder.engine.settings import Settings
from ossl_builder.engine.stage import Stage
from ossl_builder.stages.registry import ENTRIES, STAGES
from ossl_builder.tables import SOURCES


def test_each_stage_writes_a_table_of_its_own() -> None:
    assert len({stage.name for stage in STAGES}) == len(STAGES)
    assert len({stage.writes.name for stage in STAGES}) == len(STAGES)


def test_stages_read_only_tables_of_earlier_stages() -> None:
    made = {SOURCES.name}
    for stage in STAGES:
        assert stage.reads
        assert set(stage.reads) <= made
        made.add(stage.writes.name)


def test_each_entry_has_the_stage_name_and_a_one_sentence_summary() -> None:
    assert [entry.name for entry in ENTRIES] == [stage.name for stage in STAGES]
    assert all(entry.summary.endswith(".") for entry in ENTRIES)


@pytest.mark.parametrize("stage", STAGES, ids=lambda stage: stage.name)
def test_a_stage_has_settings_with_defaults_and_descriptions(stage: Stage) -> None:
    assert issubclass(stage.config, Settings)
    assert stage.config() == stage.config(**stage.config().model_dump())
    assert all(field.description for field in stage.config.model_fields.values())
    assert stage.version >= 1


@pytest.mark.parametrize("stage", STAGES, ids=lambda stage: stage.name)
def test_a_stage_names_the_versions_of_its_tools_without_loading_them(stage: Stage) -> None:
    code = (
        "import sys\n"
        "from ossl_builder.stages.registry import stage_named\n"
        f"stage = stage_named({stage.name!r})\n"
        "tools = stage.tools(stage.config())\n"
        "assert all(isinstance(value, str) and value for value in tools.values()), tools\n"
        "print([n for n in 'torch av cv2 demucs scenedetect scipy pandas'.split()\n"
        "       if n in sys.modules])"
    )
    result = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert result.stdout.strip() == "[]"
