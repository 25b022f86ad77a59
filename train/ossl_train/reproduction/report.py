"""The report of a reproduction: `reproduction.md` for people, `reproduction.json` for scripts."""

from __future__ import annotations

import json
import platform
from collections.abc import Iterator, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import yaml

from ossl_builder import __version__, files, parse
from ossl_builder.engine.stage import versions
from ossl_builder.errors import OsslError
from ossl_builder.templates import markdown_table
from ossl_train.evaluation import comparison_report
from ossl_train.pretrained import shown_name, without_folders
from ossl_train.recipe import load_train_recipe
from ossl_train.reproduction.departures import KINDS, PAPER, Departure, departures_of
from ossl_train.reproduction.steps import (
    ADAPTER,
    BASE,
    EVALUATION,
    PAGE,
    RUN,
    Options,
    steps_of,
)
from ossl_train.training import checkpoint
from ossl_train.training.run_folder import DATA, LAST, RECIPE

FORMAT = 1
JSON, MARKDOWN = "reproduction.json", "reproduction.md"
PACKAGES = ("torch", "transformers", "audiocraft", "numpy", "av")
HEADER = (
    "measure", "base", "95 % interval", "adapter", "95 % interval", "adapter minus base",
    "95 % interval", "better",
)  # fmt: skip


def reproduction_facts(options: Options) -> dict[str, Any]:
    """Return the content of `reproduction.json`, from the files of the finished steps.

    Raises:
        OsslError: `report_invalid`: a step's report is missing or damaged; and those of
            `Options.source`.
    """
    source = options.source()
    run = options.out / RUN
    recipe = without_folders(load_train_recipe(str(run / RECIPE)))
    comparison = _read(options.out / EVALUATION / comparison_report.JSON)
    recorded = _read(run / DATA)
    state = checkpoint.read_trainer_state(run / LAST)
    clap = shown_name(options.clap)
    departures = departures_of(recipe, source, options.split, clap, options.with_kl)
    try:
        rows = _rows(comparison)
    except (KeyError, TypeError) as error:
        raise _invalid(options.out / EVALUATION / comparison_report.JSON) from error
    return {
        "format": FORMAT,
        "paper": PAPER,
        "recipe": recipe.model_dump(mode="json"),
        "commands": [step.shown(options) for step in steps_of(options)],
        "versions": {
            "ossl-builder": __version__,
            "python": platform.python_version(),
            **versions(*PACKAGES),
        },
        "data": {
            "n_clips": len(source.clips),
            "hours": round(sum(one.clip.duration_s for one in source.clips) / 3600, 4),
            "n_films": len(source.film_ids()),
            "clips_by_split": _by_split(source.clips),
            "tables": dict(source.checksums),
        },
        "model": recorded.get("model", {}),
        "run": {} if state is None else asdict(state),
        "n_clips": comparison["n_clips"],
        "n_films": comparison["n_films"],
        "measures": rows,
        "warnings": comparison["warnings"],
        "departures": [departure.plain() for departure in departures],
        "links": {
            "run": RUN, "base": BASE, "adapter": ADAPTER, "listen": PAGE,
            "evaluation": f"{EVALUATION}/{comparison_report.MARKDOWN}",
        },
    }  # fmt: skip


def write_reproduction(folder: Path, facts: Mapping[str, Any]) -> tuple[Path, Path]:
    """Write both files, and return their paths; equal facts give equal bytes."""
    text = json.dumps(facts, indent=1, ensure_ascii=False, allow_nan=False)
    files.write_bytes(folder / JSON, text.encode() + b"\n")
    files.write_bytes(folder / MARKDOWN, ("\n".join(_lines(facts)) + "\n").encode())
    return folder / JSON, folder / MARKDOWN


def table_rows(facts: Mapping[str, Any]) -> list[tuple[str, ...]]:
    """Return the rows of the table under `HEADER`."""
    return [
        (
            row["measure"],
            _number(row["base"]), _interval(row["base"]),
            _number(row["adapter"]), _interval(row["adapter"]),
            _number(row["difference"], "+"), _interval(row["difference"], "+"),
            row["better"],
        )
        for row in facts["measures"]
    ]  # fmt: skip


def _rows(comparison: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return each measure of generated music: base, adapter, and their difference."""
    by_system = {
        one["system"]: {
            figure["name"]: figure for figure in one["figures"] if figure["of"] == "generated"
        }
        for one in comparison["systems"]
    }
    differences = {(one["name"], one["system"]): one for one in comparison["differences"]}
    return [
        {
            "measure": name,
            "says": figure["says"],
            "better": figure["better"],
            "base": _values(figure),
            "adapter": _values(by_system[ADAPTER].get(name)),
            "difference": _values(differences.get((name, ADAPTER))),
        }
        for name, figure in by_system[BASE].items()
    ]


def _values(figure: Mapping[str, Any] | None) -> dict[str, Any]:
    if figure is None:
        return {"value": None, "low": None, "high": None, "why": "Not measured."}
    return {name: figure[name] for name in ("value", "low", "high", "why")}


def _number(values: Mapping[str, Any], sign: str = "") -> str:
    return "not defined" if values["value"] is None else f"{values['value']:{sign}.4g}"


def _interval(values: Mapping[str, Any], sign: str = "") -> str:
    if values["low"] is None or values["high"] is None:
        return ""
    return f"{values['low']:{sign}.4g} to {values['high']:{sign}.4g}"


def _by_split(clips: Any) -> dict[str, int]:
    counts: dict[str, int] = {}
    for one in clips:
        counts[one.split] = counts.get(one.split, 0) + 1
    return counts


def _lines(facts: Mapping[str, Any]) -> Iterator[str]:
    paper, run, data, links = (facts[name] for name in ("paper", "run", "data", "links"))
    yield f"# Reproduction of {paper['title']}"
    yield ""
    yield f"{paper['authors']}, {paper['where']}. Recipe `{facts['recipe']['name']}`."
    yield ""
    yield (
        f"{data['n_clips']} clips of {data['n_films']} films, {data['hours']:.2f} h. "
        f"Training: {run.get('step', 0)} steps, ended by {run.get('ended') or 'a stop'}."
    )
    yield ""
    yield (
        f"Listen: [{links['listen']}]({links['listen']}). All figures: "
        f"[{links['evaluation']}]({links['evaluation']})."
    )
    yield ""
    yield "## Base against adapter"
    yield ""
    yield (
        f"{facts['n_clips']} clips of {facts['n_films']} films. Intervals are over films. An "
        "interval of a difference that contains 0 shows no difference."
    )
    yield ""
    yield markdown_table(HEADER, table_rows(facts))
    if facts["warnings"]:
        yield ""
        yield from (f"- {sentence}" for sentence in facts["warnings"])
    yield ""
    yield "## Departures"
    yield ""
    yield "This is a repetition of the experiment, not of its code. All known differences:"
    departures = [Departure(**one) for one in facts["departures"]]
    for kind in KINDS:
        rows = [(one.topic, one.published, one.here) for one in departures if one.kind == kind]
        yield f"\n### {kind[0].upper()}{kind[1:]}\n"
        yield markdown_table(("topic", "published", "here"), rows)
    yield "\n## Commands\n\n```"
    yield from facts["commands"]
    yield "```\n\n## Versions\n"
    yield markdown_table(("package", "version"), facts["versions"].items())
    yield "\n## Settings\n\n```yaml"
    yield yaml.safe_dump(facts["recipe"], sort_keys=False, allow_unicode=True).rstrip()
    yield "```"


def _read(path: Path) -> dict[str, Any]:
    try:
        value = parse.json_value(path.read_bytes())
    except (OSError, ValueError) as error:
        raise _invalid(path) from error
    if not isinstance(value, dict):
        raise _invalid(path)
    return value


def _invalid(path: Path) -> OsslError:
    return OsslError(
        "report_invalid", f"{path} is missing or damaged.", "Delete it and run the command again."
    )
