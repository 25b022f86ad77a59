"""The folder that is published for an adapter: weights, configuration and model card."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from ossl_builder import __version__, files
from ossl_builder.errors import OsslError
from ossl_builder.exports.card import CITATION, rights, table
from ossl_builder.exports.shards import CHECKSUMS, write_checksums
from ossl_train.model_card.facts import CardFacts
from ossl_train.training.checkpoint import ADAPTER
from ossl_train.training.run_folder import DATA, RECIPE

LICENCES = """\
- MusicGen's weights, without which this adapter is of no use, are published under
  [CC-BY-NC 4.0](https://creativecommons.org/licenses/by-nc/4.0/): for non-commercial use only. What
  was trained with them is published under the same terms.
- The code, MusicGen's and that of ossl-builder, is under the MIT licence.
- The films are free, or licensed, one by one: see below. Their status was decided for the
  United States only; this is no legal advice."""
LIMITS = """\
- It was trained on music of old films that a program separated from speech and noise. Its
  training data contain hiss, mono sound and rests of voices.
- Its input is 32 video frames per window; it follows scenes, not single cuts.
- Its music is similar to that of its films. Whether it resembles protected works is not known."""


def render_card(facts: CardFacts, title: str) -> str:
    """Return the text of `README.md`; equal checkpoints and reports give equal texts."""
    head = yaml.safe_dump(_head(facts, title), sort_keys=False, allow_unicode=True)
    base = str(facts.metadata.get("source", ""))
    parts = [
        f"# {title}",
        f"A video adapter for {base or 'MusicGen'}: it conditions the frozen model on "
        "video. This repository has the adapter's weights only.",
        "## Use\n\n" + _use(base),
        "## Figures\n\n" + _figures(facts),
        "## Data\n\n" + _data(facts),
        "## Training\n\n" + _fitted(facts),
        f"## Licences\n\n{LICENCES}",
        f"## Limits\n\n{LIMITS}",
        f"## Citation\n\nPlease cite the work this follows:\n\n```bibtex\n{CITATION}```",
    ]
    return f"---\n{head}---\n\n" + "\n\n".join(parts) + "\n"


def _head(facts: CardFacts, title: str) -> dict[str, Any]:
    base = str(facts.metadata.get("source", ""))
    named = {"base_model": base, "base_model_relation": "adapter"} if "/" in base else {}
    return {
        "pretty_name": title,
        "license": "cc-by-nc-4.0",
        **named,
        "pipeline_tag": "text-to-audio",
        "tags": ["video-to-music", "film-music", "soundtrack", "musicgen", "ossl"],
    }


def _use(base: str) -> str:
    return (
        "```python\n"
        "from pathlib import Path\n"
        "from ossl_train.adapter.adapter_file import load_adapter\n"
        "from ossl_train.musicgen import load_backbone\n\n"
        f'backbone = load_backbone("{base}")\n'
        'adapter = load_adapter(Path("adapter.safetensors")).attach(backbone).eval()\n'
        "```\n\n"
        "Or on the command line, for any video:\n\n"
        "```\nossl train generate --video film.mp4 --checkpoint THIS_FOLDER --out music\n```"
    )


def _figures(facts: CardFacts) -> str:
    parts = []
    if facts.trainer is not None and facts.trainer.best_loss is not None:
        parts.append(
            f"Loss on the validation films: {facts.trainer.best_loss:.4f} nats per token, at step "
            f"{facts.trainer.best_step}."
        )
    if facts.evaluation is not None:
        parts.append("By `ossl train evaluate`:\n\n" + _evaluation(facts.evaluation))
    if facts.listening is not None:
        parts.append("By listeners, with `ossl train listen`:\n\n" + _listening(facts.listening))
    return "\n\n".join(parts) or "No figures were measured."


def _evaluation(report: Mapping[str, Any]) -> str:
    rows = [
        (one["name"], one["of"], _number(one["value"]), _interval(one),
         f"{one['n']} {one['unit']}", one["better"])
        for one in report["figures"]
    ]  # fmt: skip
    text = table(("measure", "of", "value", "95 % interval", "n", "better"), rows)
    return text + _listed("Careful", report.get("warnings", ()))


def _listening(report: Mapping[str, Any]) -> str:
    rows = [
        (one["question"], one["system"], _number(one["value"]), _interval(one),
         one["n_clips"], one["n_raters"])
        for one in report["means"]
    ]  # fmt: skip
    text = table(("question", "system", "mean, 1 to 5", "95 % interval", "clips", "raters"), rows)
    return text + _listed("Careful", report.get("warnings", ()))


def _data(facts: CardFacts) -> str:
    windows = " and ".join(f"{n} of {split}" for split, n in facts.data["windows"].items())
    sums = table(("table", "SHA-256"), sorted(facts.data["tables"].items()))
    text = (
        "Clips of films by [ossl-builder](https://github.com/ossl-builder/ossl-builder), films of "
        f"one split trainer on no other. Windows: {windows}. Checksums of the tables of clips, "
        f"labels and splits:\n\n{sums}"
    )
    if facts.films is None:
        return f"{text}\n\nThe table of the films was missing when this card was written."
    splits = table(("film", "split"), sorted(facts.films.splits.items()))
    return f"{text}\n\n{splits}\n\nTheir rights:\n\n{rights(facts.films)}"


def _fitted(facts: CardFacts) -> str:
    recipe = yaml.safe_dump(
        facts.recipe.model_dump(mode="json"), sort_keys=False, allow_unicode=True
    )
    config = ", ".join(f"{key} {value}" for key, value in sorted(facts.config.items()))
    step = "" if facts.trainer is None else f", step {facts.trainer.step}"
    rows = sorted(facts.metadata.items())
    return (
        f"{facts.n_parameters:,} parameters ({config}){step}. Packed by ossl-builder "
        f"{__version__}.\n\n{table(('said by the file', ''), rows)}\n\nThe recipe:\n\n"
        f"```yaml\n{recipe}```"
    )


def _number(value: float | None) -> str:
    return "not defined" if value is None else f"{value:.4g}"


def _interval(one: Mapping[str, Any]) -> str:
    return "" if one["low"] is None else f"{one['low']:.4g} to {one['high']:.4g}"


def _listed(title: str, lines: Any) -> str:
    return "".join(["\n\n", *(f"- {title}: {line}\n" for line in lines)]).rstrip() if lines else ""


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
