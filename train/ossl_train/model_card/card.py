"""The folder that is published for an adapter: weights, configuration and model card."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from ossl_builder import __version__, files
from ossl_builder.errors import OsslError
from ossl_builder.exports.card import CITATION, FILM_HEADINGS, film_rights
from ossl_builder.exports.shards import CHECKSUMS, write_checksums
from ossl_builder.templates import markdown_renderer
from ossl_train.model_card.facts import CardFacts
from ossl_train.training.checkpoint import ADAPTER, TrainerState
from ossl_train.training.run_folder import DATA, RECIPE
from ossl_train.training.validation import gain_sentence

TEMPLATES = Path(__file__).with_name("templates")


def render_card(facts: CardFacts, title: str) -> str:
    """Return the text of `README.md`; equal checkpoints and reports give equal texts."""
    base = str(facts.metadata.get("source", ""))
    films = None
    if facts.films is not None:
        films = {
            "splits": sorted(facts.films.splits.items()),
            "unverified": facts.films.unverified_names() if facts.films.unverified else "",
            "rights": film_rights(facts.films),
        }
    values = {
        "title": title,
        "version": __version__,
        "header": _header(base, title),
        "base": base,
        "trainer": facts.trainer,
        "gain": _gain(facts.trainer),
        "evaluation": _evaluation(facts.evaluation),
        "listening": _listening(facts.listening),
        "windows": " and ".join(f"{n} of {split}" for split, n in facts.data["windows"].items()),
        "checksums": sorted(facts.data["tables"].items()),
        "films": films,
        "film_headings": FILM_HEADINGS,
        "n_parameters": facts.n_parameters,
        "config": ", ".join(f"{key} {value}" for key, value in sorted(facts.config.items())),
        "metadata": sorted(facts.metadata.items()),
        "recipe": facts.recipe.model_dump(mode="json"),
        "citation": CITATION,
    }
    return markdown_renderer(TEMPLATES)("model_card.md", values)


def _header(base: str, title: str) -> dict[str, Any]:
    on_hub = {"base_model": base, "base_model_relation": "adapter"} if "/" in base else {}
    return {
        "pretty_name": title,
        "license": "cc-by-nc-4.0",
        **on_hub,
        "pipeline_tag": "text-to-audio",
        "tags": ["video-to-music", "film-music", "soundtrack", "musicgen", "ossl"],
    }


def _gain(trainer: TrainerState | None) -> str:
    if trainer is None:
        return ""
    return gain_sentence(trainer.best_gain, trainer.best_gain_low, trainer.best_gain_high)


def _evaluation(report: Mapping[str, Any] | None) -> dict[str, Any] | None:
    if report is None:
        return None
    rows = [
        (figure["name"], figure["of"], _number(figure["value"]), _interval(figure),
         f"{figure['n']} {figure['unit']}", figure["better"])
        for figure in report["figures"]
    ]  # fmt: skip
    return {"rows": rows, "warnings": report.get("warnings", ())}


def _listening(report: Mapping[str, Any] | None) -> dict[str, Any] | None:
    if report is None:
        return None
    rows = [
        (mean["question"], mean["system"], _number(mean["value"]), _interval(mean),
         mean["n_clips"], mean["n_raters"])
        for mean in report["means"]
    ]  # fmt: skip
    return {"rows": rows, "warnings": report.get("warnings", ())}


def _number(value: float | None) -> str:
    return "not defined" if value is None else f"{value:.4g}"


def _interval(figure: Mapping[str, Any]) -> str:
    return "" if figure["low"] is None else f"{figure['low']:.4g} to {figure['high']:.4g}"


CONFIG, CARD = "config.json", "README.md"
EVALUATION, LISTENING = "evaluation.json", "listening.json"


def folder_contents(facts: CardFacts, title: str) -> dict[str, bytes]:
    """Return the content of all files but the checksums, by name."""
    recipe = yaml.safe_dump(
        facts.recipe.model_dump(mode="json"), sort_keys=False, allow_unicode=True
    )
    config = {
        "config": dict(facts.config),
        "metadata": dict(facts.metadata),
        "n_parameters": facts.n_parameters,
    }
    contents = {
        ADAPTER: facts.adapter.read_bytes(),
        CONFIG: _json(config),
        RECIPE: recipe.encode(),
        DATA: _json(facts.data),
        CARD: render_card(facts, title).encode(),
    }
    for name, report in ((EVALUATION, facts.evaluation), (LISTENING, facts.listening)):
        if report is not None:
            contents[name] = _json(report)
    return contents


def write_folder(out: Path, contents: Mapping[str, bytes]) -> None:
    """Write the folder, or update an earlier export.

    Raises:
        OsslError: `folder_not_empty`, for a folder that holds something else.
    """
    check_folder_free(out)
    for name, data in contents.items():
        files.write_bytes(out / name, data)
    for name in (EVALUATION, LISTENING):
        if name not in contents:  # of an earlier export
            (out / name).unlink(missing_ok=True)
    write_checksums(out, sorted(contents))


def check_folder_free(out: Path) -> None:
    """Check that the folder is empty or has an earlier export.

    Raises:
        OsslError: `folder_not_empty`.
    """
    ours = {ADAPTER, CONFIG, RECIPE, DATA, CARD, EVALUATION, LISTENING, CHECKSUMS}
    others = sorted(path.name for path in out.iterdir() if path.name not in ours and
                    not path.name.startswith(".")) if out.is_dir() else []  # fmt: skip
    if others or (out.exists() and not out.is_dir()):
        raise OsslError(
            "folder_not_empty",
            f"{out} has other content: {', '.join(others[:3]) or 'it is a file'}.",
            "Choose a new folder with --out.",
        )


def _json(value: Any) -> bytes:
    text = json.dumps(value, indent=1, sort_keys=True, ensure_ascii=False)
    return text.encode() + b"\n"
