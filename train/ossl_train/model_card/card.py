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
  was fitted with them goes out under the same terms.
- The code, MusicGen's and that of ossl-builder, is under the MIT licence.
- The films are free, or licensed, one by one: see below. Whether a film is free was judged for the
  United States only; that is no legal advice."""
LIMITS = """\
- It was fitted on old films' music as a program separated it from speech and noise: hiss, mono and
  rests of voices are in what it learned.
- It knows frames by a video encoder's tokens of 32 frames per window; it follows scenes, not
  single cuts.
- It writes music like its films'; whether that resembles a protected work was not examined."""


def render_card(found: CardFacts, title: str) -> str:
    """The text of `README.md`; equal checkpoints and reports give equal texts."""
    head = yaml.safe_dump(_head(found, title), sort_keys=False, allow_unicode=True)
    base = str(found.metadata.get("source", ""))
    parts = [
        f"# {title}",
        f"A video adapter for {base or 'MusicGen'}: with it, the frozen model sees the video "
        "that it writes music for. Only the adapter's weights are here.",
        "## Use\n\n" + _use(base),
        "## Figures\n\n" + _figures(found),
        "## Data\n\n" + _data(found),
        "## How it was fitted\n\n" + _fitted(found),
        f"## Licences\n\n{LICENCES}",
        f"## Limits\n\n{LIMITS}",
        f"## Citation\n\nPlease cite the work this follows:\n\n```bibtex\n{CITATION}```",
    ]
    return f"---\n{head}---\n\n" + "\n\n".join(parts) + "\n"


def _head(found: CardFacts, title: str) -> dict[str, Any]:
    base = str(found.metadata.get("source", ""))
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


def _figures(found: CardFacts) -> str:
    parts = []
    if found.standing is not None and found.standing.best_loss is not None:
        parts.append(
            f"Loss on the validation films: {found.standing.best_loss:.4f} nats per token, at step "
            f"{found.standing.best_step}."
        )
    if found.evaluation is not None:
        parts.append("By `ossl train evaluate`:\n\n" + _evaluation(found.evaluation))
    if found.listening is not None:
        parts.append("By people, `ossl train listen`:\n\n" + _listening(found.listening))
    return "\n\n".join(parts) or "None were measured."


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


def _data(found: CardFacts) -> str:
    windows = " and ".join(f"{n} of {split}" for split, n in found.data["windows"].items())
    sums = table(("table", "SHA-256"), sorted(found.data["tables"].items()))
    told = (
        "Clips of films by [ossl-builder](https://github.com/ossl-builder/ossl-builder), films of "
        f"one split standing on no other. Windows: {windows}. The tables that say which clips, "
        f"labels and splits these were:\n\n{sums}"
    )
    if found.films is None:
        return f"{told}\n\nThe table of the films was not at hand when this card was written."
    splits = table(("film", "split"), sorted(found.films.splits.items()))
    return f"{told}\n\n{splits}\n\nTheir rights:\n\n{rights(found.films)}"


def _fitted(found: CardFacts) -> str:
    recipe = yaml.safe_dump(
        found.recipe.model_dump(mode="json"), sort_keys=False, allow_unicode=True
    )
    config = ", ".join(f"{key} {value}" for key, value in sorted(found.config.items()))
    step = "" if found.standing is None else f", step {found.standing.step}"
    rows = sorted(found.metadata.items())
    return (
        f"{found.n_parameters:,} parameters ({config}){step}. Packed by ossl-builder "
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


def folder_contents(found: CardFacts, title: str) -> dict[str, bytes]:
    """All files but the checksums, by name."""
    recipe = yaml.safe_dump(
        found.recipe.model_dump(mode="json"), sort_keys=False, allow_unicode=True
    )
    config = {
        "config": dict(found.config),
        "metadata": dict(found.metadata),
        "n_parameters": found.n_parameters,
    }
    made = {
        ADAPTER: found.adapter.read_bytes(),
        CONFIG: _json(config),
        RECIPE: recipe.encode(),
        DATA: _json(found.data),
        CARD: render_card(found, title).encode(),
    }
    for name, report in ((EVALUATION, found.evaluation), (LISTENING, found.listening)):
        if report is not None:
            made[name] = _json(report)
    return made


def write_folder(out: Path, made: Mapping[str, bytes]) -> None:
    """Write the folder, or bring it up to date.

    Raises:
        OsslError: `folder_not_empty`, for a folder that holds something else.
    """
    check_folder_free(out)
    for name, data in made.items():
        files.write_bytes(out / name, data)
    for name in (EVALUATION, LISTENING):
        if name not in made:  # of an earlier export
            (out / name).unlink(missing_ok=True)
    write_checksums(out, sorted(made))


def check_folder_free(out: Path) -> None:
    """See that nothing but an earlier export stands there.

    Raises:
        OsslError: `folder_not_empty`.
    """
    ours = {ADAPTER, CONFIG, RECIPE, DATA, CARD, EVALUATION, LISTENING, CHECKSUMS}
    others = sorted(path.name for path in out.iterdir() if path.name not in ours and
                    not path.name.startswith(".")) if out.is_dir() else []  # fmt: skip
    if others or (out.exists() and not out.is_dir()):
        raise OsslError(
            "folder_not_empty",
            f"{out} holds something else: {', '.join(others[:3]) or 'it is a file'}.",
            "Name a new folder with --out.",
        )


def _json(value: Any) -> bytes:
    text = json.dumps(value, indent=1, sort_keys=True, ensure_ascii=False)
    return text.encode() + b"\n"
