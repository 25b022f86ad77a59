"""The tuple `STAGES`: all stages of a film, in order.

Tables, recipe sections, commands and `manifests/README.md` are generated from it. A new stage needs
its own file, its table, and a line here.
"""

from __future__ import annotations

from ossl_builder.engine.stage import Stage
from ossl_builder.stages.clips.stage import CLIPS_STAGE
from ossl_builder.stages.cues.stage import CUES_STAGE
from ossl_builder.stages.fetch.stage import FETCH_STAGE
from ossl_builder.stages.fingerprints.stage import FINGERPRINTS_STAGE
from ossl_builder.stages.scenes.stage import SCENES_STAGE
from ossl_builder.stages.stems import STEMS_STAGE
from ossl_builder.tables import LABELS, SPLITS, Table

# In the order in which they run.
STAGES: tuple[Stage, ...] = (
    FETCH_STAGE,
    SCENES_STAGE,
    STEMS_STAGE,
    CUES_STAGE,
    CLIPS_STAGE,
    FINGERPRINTS_STAGE,
)


# Tables that stages write for each film, then those that are computed from all films.
TABLES: tuple[Table, ...] = (*(stage.writes for stage in STAGES), LABELS, SPLITS)


def stage_named(name: str) -> Stage:
    """Return the stage with this name."""
    return next(stage for stage in STAGES if stage.name == name)


def stages_until(name: str | None) -> tuple[Stage, ...]:
    """Return the stages up to and including the one with this name; None: all."""
    if name is None:
        return STAGES
    return STAGES[: STAGES.index(stage_named(name)) + 1]
