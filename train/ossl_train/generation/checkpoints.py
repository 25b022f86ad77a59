"""Which adapter is meant, and the recipe that it was fitted with."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from ossl_builder.errors import OsslError
from ossl_train.fit.checkpoint import ADAPTER
from ossl_train.fit.run_folder import BEST, RECIPE
from ossl_train.recipe import TrainRecipe, load_train_recipe


@dataclass(frozen=True)
class Chosen:
    """What to generate with.

    Attributes:
        recipe: that of the run, or the one named, where the adapter stands in no run's folder.
        adapter: its file; None: the base model alone.
        folder: of the run, where generated files go.
    """

    recipe: TrainRecipe
    adapter: Path | None
    folder: Path


def choose(
    root: Path,
    recipe_name: str,
    overrides: Sequence[str],
    checkpoint: Path | None,
    alpha: float,
) -> Chosen:
    """Find the adapter and its recipe.

    Args:
        root: the corpus or the export.
        recipe_name: as given by `--recipe`.
        overrides: as given by `--set`.
        checkpoint: a run's folder, one of its checkpoints, or an adapter's file; None: the best
            one of the recipe's run.
        alpha: 0: no adapter is needed, and none is read.

    Raises:
        OsslError: `no_checkpoint`, and those of `load_train_recipe`.
    """
    named = load_train_recipe(recipe_name, overrides)
    run = root / "train" / named.name
    adapter = _adapter_in(checkpoint or run)
    if adapter is None and (alpha > 0 or checkpoint is not None):
        raise OsslError(
            "no_checkpoint",
            f"There is no adapter in {checkpoint or run}.",
            f"`ossl train fit --recipe {recipe_name}` makes one; --checkpoint names another; "
            "--alpha 0 is the base model, which needs none.",
        )
    if adapter is not None:
        beside = [folder / RECIPE for folder in (adapter.parent, adapter.parent.parent)]
        found = next((path for path in beside if path.is_file()), None)
        if found is not None:
            named = load_train_recipe(str(found), overrides)
            run = found.parent
    return Chosen(named, adapter if alpha > 0 else None, run)


def _adapter_in(path: Path) -> Path | None:
    if path.is_file():
        return path
    places = (path / ADAPTER, path / BEST / ADAPTER)
    return next((place for place in places if place.is_file()), None)
