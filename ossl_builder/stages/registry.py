"""The stages of a film, in order.

Tables, recipe sections, commands and `manifests/README.md` are generated from them. A new stage
needs its own file, its table, and an entry here.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from ossl_builder.engine.stage import Stage
    from ossl_builder.tables.schema import Table


class StageEntry(NamedTuple):
    """A stage without its code: `ossl --help` lists the stages and imports none of them.

    Attributes:
        name: the stage's name.
        summary: one sentence, the help of its command.
        module: the module in this package that has the stage as `<NAME>_STAGE`.
    """

    name: str
    summary: str
    module: str


# In the order in which they run.
ENTRIES = (
    StageEntry("fetch", "Copy or download films, probe and hash them.", "fetch.stage"),
    StageEntry("scenes", "Detect scenes: find cuts, fades and dissolves.", "scenes.stage"),
    StageEntry("stems", "Separate a film's music from its dialogue.", "stems"),
    StageEntry("cues", "Find the continuous segments of music.", "cues.stage"),
    StageEntry("clips", "Cut clips: video with the mix, and FLAC of each stem.", "clips.stage"),
    StageEntry("fingerprints", "Compute fingerprints of music and video.", "fingerprints.stage"),
)

# Loaded at the first access (see `__getattr__`).
STAGES: tuple[Stage, ...]
# Tables that stages write for each film, then those that are computed from all films.
TABLES: tuple[Table, ...]


def __getattr__(name: str) -> Any:
    if name == "STAGES":
        value: Any = tuple(
            getattr(
                import_module(f"ossl_builder.stages.{entry.module}"), f"{entry.name.upper()}_STAGE"
            )
            for entry in ENTRIES
        )
    elif name == "TABLES":
        from ossl_builder.tables import CAPTIONS, LABELS, SPLITS

        value = (*(stage.writes for stage in __getattr__("STAGES")), LABELS, SPLITS, CAPTIONS)
    else:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    globals()[name] = value
    return value


def stage_named(name: str) -> Stage:
    """Return the stage with this name."""
    return next(stage for stage in stages_until(None) if stage.name == name)


def stages_until(name: str | None) -> tuple[Stage, ...]:
    """Return the stages up to and including the one with this name; None: all."""
    stages: tuple[Stage, ...] = __getattr__("STAGES")
    if name is None:
        return stages
    return stages[: [stage.name for stage in stages].index(name) + 1]
