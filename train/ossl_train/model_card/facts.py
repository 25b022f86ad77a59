"""What is known of a checkpoint: its configuration, its run, its data, its figures."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from ossl_builder import files, parse
from ossl_builder.corpus import Corpus
from ossl_builder.errors import OsslError
from ossl_builder.exports.selection import Selection, select
from ossl_train.adapter.adapter_file import load_adapter, read_metadata
from ossl_train.generation.models import choose_adapter
from ossl_train.pretrained import shown_name
from ossl_train.recipe import TrainRecipe
from ossl_train.training import checkpoint
from ossl_train.training.run_folder import DATA, RECIPE

FITTED_ON = ("train", "validation")


@dataclass(frozen=True)
class CardFacts:
    """A checkpoint and all that a reader of its card should know.

    Attributes:
        adapter: its file.
        config: of the adapter.
        n_parameters: of the adapter.
        metadata: that its file carries: model, digests, encoder, pooling.
        recipe: of its run, without the folders of this machine.
        data: what the run wrote down of its data: checksums of tables, numbers of windows.
        standing: where the run stood; None: the checkpoint does not say.
        films: the films it was fitted on; None: their tables are not at hand.
        evaluation: what `ossl train evaluate` found, if given.
        listening: what `ossl train listen pull` found, if given.
    """

    adapter: Path
    config: Mapping[str, Any]
    n_parameters: int
    metadata: Mapping[str, str]
    recipe: TrainRecipe
    data: Mapping[str, Any]
    standing: checkpoint.TrainerState | None
    films: Selection | None
    evaluation: Mapping[str, Any] | None
    listening: Mapping[str, Any] | None


def gather_facts(
    path: Path, root: Path, evaluation: Path | None, listening: Path | None
) -> CardFacts:
    """Gather it.

    Args:
        path: a run's folder, one of its checkpoints, or an adapter's file in one.
        root: the corpus or export that it was fitted on.
        evaluation: `evaluation.json`, or none.
        listening: `results.json` of a listening test, or none.

    Raises:
        OsslError: `no_checkpoint`, `run_missing`, `export_other_data`, `report_invalid`,
            `adapter_unreadable`.
    """
    chosen = choose_adapter(root, "small", (), path, alpha=1.0)
    assert chosen.adapter is not None
    run = chosen.folder
    if not (run / RECIPE).is_file() or not (run / DATA).is_file():
        raise OsslError(
            "run_missing",
            f"{chosen.adapter} stands in no run's folder: nothing says what it was fitted on.",
            f"Name the folder that `ossl train fit` wrote: it holds {RECIPE} and {DATA}.",
        )
    adapter = load_adapter(chosen.adapter)
    data = parse.json_value((run / DATA).read_bytes())
    return CardFacts(
        adapter=chosen.adapter,
        config=asdict(adapter.config),
        n_parameters=sum(one.numel() for one in adapter.parameters()),
        metadata=read_metadata(chosen.adapter),
        recipe=_without_folders(chosen.recipe),
        data=data,
        standing=checkpoint.read_trainer_state(chosen.adapter.parent),
        films=_films(root, data),
        evaluation=_report(evaluation, "figures"),
        listening=_report(listening, "means"),
    )


def _films(root: Path, data: Mapping[str, Any]) -> Selection | None:
    """The films, if the tables are still those of the run."""
    folder = root / "manifests"
    if not folder.is_dir():
        return None
    for name, before in data["tables"].items():
        path = folder / f"{name}.parquet"
        if not path.is_file() or files.sha256_file(path) != before:
            raise OsslError(
                "export_other_data",
                f"The table {name} of {root} is not the one that the adapter was fitted on.",
                "Name the corpus or export it was fitted on with -C or --data: the card names "
                "its films and their rights.",
            )
    if not (folder / "films.parquet").is_file():
        return None
    return select(Corpus(root), FITTED_ON, allow_unverified=True)


def _report(path: Path | None, key: str) -> Mapping[str, Any] | None:
    if path is None:
        return None
    try:
        found = parse.json_value(path.read_bytes())
        if not isinstance(found, dict) or not isinstance(found[key], list):
            raise ValueError(key)
    except (OSError, ValueError, KeyError) as error:
        raise OsslError(
            "report_invalid",
            f"{path} has no {key}.",
            "Name the evaluation.json of `ossl train evaluate`, the results.json of "
            "`ossl train listen pull`.",
        ) from error
    return found


def _without_folders(recipe: TrainRecipe) -> TrainRecipe:
    """The recipe with names where it had this machine's folders."""
    model = recipe.model.model_copy(update={"source": shown_name(recipe.model.source)})
    features = recipe.features.model_copy(update={"encoder": shown_name(recipe.features.encoder)})
    return recipe.model_copy(update={"model": model, "features": features})
