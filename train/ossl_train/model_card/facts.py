"""The facts of a checkpoint for its card: configuration, run, data, figures."""

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
from ossl_train.pretrained import without_folders
from ossl_train.recipe import TrainRecipe
from ossl_train.training import checkpoint
from ossl_train.training.run_folder import DATA, RECIPE

FITTED_ON = ("train", "validation")


@dataclass(frozen=True)
class CardFacts:
    """A checkpoint, and the facts for its card.

    Attributes:
        adapter: the adapter file.
        config: configuration of the adapter.
        n_parameters: number of its parameters.
        metadata: metadata of its file: model, digests, encoder, pooling.
        recipe: recipe of the run, without the folders of this machine.
        data: what the run recorded of its data: checksums of tables, numbers of windows.
        trainer: progress of the run; None: the checkpoint has no such file.
        films: the films of the run; None: their tables are missing.
        evaluation: report of `ossl train evaluate`, if given.
        listening: report of `ossl train listen pull`, if given.
    """

    adapter: Path
    config: Mapping[str, Any]
    n_parameters: int
    metadata: Mapping[str, str]
    recipe: TrainRecipe
    data: Mapping[str, Any]
    trainer: checkpoint.TrainerState | None
    films: Selection | None
    evaluation: Mapping[str, Any] | None
    listening: Mapping[str, Any] | None


def gather_facts(
    path: Path, root: Path, evaluation: Path | None, listening: Path | None
) -> CardFacts:
    """Read the facts of a checkpoint.

    Args:
        path: a run's folder, one of its checkpoints, or an adapter file in one.
        root: the corpus or export of its training data.
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
            f"{chosen.adapter} is not in the folder of a run, so its training data are unknown.",
            f"Name the folder that `ossl train fit` wrote: it has {RECIPE} and {DATA}.",
        )
    adapter = load_adapter(chosen.adapter)
    data = parse.json_value((run / DATA).read_bytes())
    return CardFacts(
        adapter=chosen.adapter,
        config=asdict(adapter.config),
        n_parameters=sum(parameter.numel() for parameter in adapter.parameters()),
        metadata=read_metadata(chosen.adapter),
        recipe=without_folders(chosen.recipe),
        data=data,
        trainer=checkpoint.read_trainer_state(chosen.adapter.parent),
        films=_films(root, data),
        evaluation=_report(evaluation, "figures"),
        listening=_report(listening, "means"),
    )


def _films(root: Path, data: Mapping[str, Any]) -> Selection | None:
    """Select the films of the run, and check that the tables have not changed."""
    folder = root / "manifests"
    if not folder.is_dir():
        return None
    for name, before in data["tables"].items():
        path = folder / f"{name}.parquet"
        if not path.is_file() or files.sha256_file(path) != before:
            raise OsslError(
                "export_other_data",
                f"The table {name} of {root} is not the one that the adapter was trained on.",
                "Name the corpus or export of the training with -C or --data: the card lists "
                "its films and their rights.",
            )
    if not (folder / "films.parquet").is_file():
        return None
    return select(Corpus(root), FITTED_ON, allow_unverified=True)


def _report(path: Path | None, key: str) -> Mapping[str, Any] | None:
    if path is None:
        return None
    try:
        report = parse.json_value(path.read_bytes())
        if not isinstance(report, dict) or not isinstance(report[key], list):
            raise ValueError(key)
    except (OSError, ValueError, KeyError) as error:
        raise OsslError(
            "report_invalid",
            f"{path} has no {key}.",
            "Give the evaluation.json of `ossl train evaluate`, or the results.json of "
            "`ossl train listen pull`.",
        ) from error
    return report
