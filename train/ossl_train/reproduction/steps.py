"""The steps of a reproduction: which commands run, what exists already, what each costs."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ossl_builder.errors import OsslError
from ossl_builder.files import read_json
from ossl_train import costs
from ossl_train.data.prepare import Job, codes_jobs, expected_bytes, features_jobs, plan
from ossl_train.data.source import Source, SplitClip, read_source
from ossl_train.data.windows import window_spans
from ossl_train.evaluation.comparison_report import JSON
from ossl_train.pretrained import checked_device, with_models
from ossl_train.recipe import TrainRecipe, load_train_recipe, on_device
from ossl_train.reproduction.departures import result_settings
from ossl_train.training import checkpoint
from ossl_train.training.run_folder import DATA, LAST, RECIPE

RUN, BASE, ADAPTER, EVALUATION, PAGE = "run", "base", "adapter", "evaluation", "compare.html"
PARTS = (RUN, BASE, ADAPTER, EVALUATION, PAGE)
"""What the steps write into the folder of a reproduction."""
RunCommand = Callable[[Sequence[str]], int]
"""Runs `ossl train` with these arguments and returns its exit code."""


@dataclass(frozen=True)
class Options:
    """What a user can choose.

    Attributes:
        corpus: the corpus' folder.
        data: an exported folder, used instead.
        out: the folder of the reproduction.
        recipe: name or file of the recipe.
        overrides: texts `section.key=value`.
        split: the split to generate and to evaluate.
        clap: a CLAP on the hub or its folder; `none`: no figures that need one.
        revision: revision of the CLAP on the hub.
        with_kl: whether to measure the KL divergence.
        clips: number of clips on the page to listen to.
        device: `auto`, `cpu` or `cuda`; None: that of the recipe.
    """

    corpus: Path
    data: Path | None
    out: Path
    recipe: str
    overrides: tuple[str, ...]
    split: str
    clap: str
    revision: str | None
    with_kl: bool
    clips: int
    device: str | None

    @property
    def root(self) -> Path:
        """The folder that has the tables."""
        return self.data or self.corpus

    def resolved_recipe(self) -> TrainRecipe:
        """Return the recipe with its changes.

        Raises:
            OsslError: those of `load_train_recipe` and `on_device`.
        """
        return on_device(load_train_recipe(self.recipe, self.overrides), self.device)

    def source(self) -> Source:
        """Read the clips, and check that each needed split has some.

        Raises:
            OsslError: `split_empty`, `split_unknown`, and those of `read_source`.
        """
        source = read_source(self.corpus, self.data, **self.resolved_recipe().prompts.tables())
        for split in dict.fromkeys(("train", self.split)):
            source.on(split)
        return source


@dataclass(frozen=True)
class Step:
    """One command of a reproduction.

    Attributes:
        name: its name in the report.
        arguments: of `ossl train`.
    """

    name: str
    arguments: tuple[str, ...]

    def shown(self, options: Options) -> str:
        """Return the command for the report, without the folders of this machine."""
        names = {
            **({} if options.data is None else {str(options.data): "DATA"}),
            **{str(options.out / part): f"OUT/{part}" for part in PARTS},
        }
        words = [names.get(word, word) for word in self.arguments]
        return " ".join(("ossl train", *map(_without_folder, words)))


def _without_folder(word: str) -> str:
    """Reduce an absolute path, also one after `key=`, to its name."""
    key, equals, value = word.rpartition("=")
    return f"{key}{equals}{Path(value).name}" if Path(value).is_absolute() else word


@dataclass(frozen=True)
class PlannedStep:
    """A step with what is known before it runs.

    Attributes:
        step: the step.
        exists: what is there already, in words.
        cost: what it would cost, in words; empty: not estimated.
    """

    step: Step
    exists: str
    cost: str


def steps_of(options: Options) -> tuple[Step, ...]:
    """Return the commands, in order. Each of them resumes, and skips what is up to date."""
    data = () if options.data is None else ("--data", str(options.data))
    device = () if options.device is None else ("--device", options.device)
    changed = tuple(word for text in options.overrides for word in ("--set", text))
    recipe = ("--recipe", options.recipe, *changed, *data, *device)
    run, base, adapter = (str(options.out / part) for part in (RUN, BASE, ADAPTER))
    # The recipe of a generation is the one that the run recorded.
    generate = ("generate", "--checkpoint", run, "--split", options.split, *data, *device)
    generate += ("--no-mux", "--out")
    clap = ("--clap", options.clap, *(("--revision", options.revision) if options.revision else ()))
    split = ("--split", options.split, *data)
    evaluation, page = str(options.out / EVALUATION), str(options.out / PAGE)
    return (
        Step("features", ("features", *recipe)),
        Step("codes", ("codes", *recipe)),
        Step("fit", ("fit", *recipe, "--out", run)),
        Step("generate base", (*generate, base, "--alpha", "0")),
        Step("generate adapter", (*generate, adapter)),
        Step(
            "evaluate",
            ("evaluate", base, adapter, "--baseline", BASE, *split, *clap, *device)
            + ("--kl",) * options.with_kl
            + ("--out", evaluation),
        ),
        Step(
            "compare",
            ("compare", base, adapter, *split, "--clips", str(options.clips), "--out", page),
        ),
    )


def plan_steps(options: Options) -> list[PlannedStep]:
    """Return the steps with what exists and what they cost; no model is loaded.

    Raises:
        OsslError: those of `Options.resolved_recipe` and `Options.source`.
    """
    source = options.source()
    recipe = options.resolved_recipe()
    local_recipe = with_models(recipe, source.root, write=False)
    notes = {
        "features": _encoding_notes(features_jobs(source, local_recipe)),
        "codes": _encoding_notes(codes_jobs(source, local_recipe)),
        "fit": (_run_note(options.out / RUN), _fit_cost(source, recipe)),
        "generate base": _music_notes(options.out / BASE, source.on(options.split)),
        "generate adapter": _music_notes(options.out / ADAPTER, source.on(options.split)),
        "evaluate": (_file_note(options.out / EVALUATION / JSON), ""),
        "compare": (_file_note(options.out / PAGE), ""),
    }
    return [PlannedStep(step, *notes[step.name]) for step in steps_of(options)]


def run_steps(options: Options, run: RunCommand, say: Callable[[str], None]) -> None:
    """Run the steps in order, and stop at the first that does not finish.

    Args:
        options: the choices of the user.
        run: runs a command of `ossl train`.
        say: gets each command before it runs.

    Raises:
        OsslError: `step_failed`, `no_gpu`, those of `Options.source`, and those of the commands.
    """
    options.source()
    # Before days of encoding on a processor: the recipe may need a GPU only for the training.
    checked_device(options.resolved_recipe().fit.device)
    for step in steps_of(options):
        say(f"$ {step.shown(options)}")
        if step.name == "fit" and _is_finished_elsewhere(options):
            say("The run was finished by several processes; it is used as it is.")
            continue
        if run(step.arguments):
            raise OsslError(
                "step_failed",
                f"The step `{step.name}` did not finish for all films or clips.",
                "Correct what it reports, and run the same command again: finished work is kept.",
            )


def _is_finished_elsewhere(options: Options) -> bool:
    """Whether several processes finished this run: `fit` in one process would refuse it.

    Settings and tables must be those of this reproduction; else `fit` runs, and names what differs.
    """
    run = options.out / RUN
    state = checkpoint.read_trainer_state(run / LAST)
    if state is None or not state.ended or state.world == 1:
        return False
    recorded = load_train_recipe(str(run / RECIPE))
    data = read_json(run / DATA)
    return (
        result_settings(recorded) == result_settings(options.resolved_recipe())
        and isinstance(data, dict)
        and data.get("tables") == dict(options.source().checksums)
    )


def _encoding_notes(jobs: Sequence[Job]) -> tuple[str, str]:
    decisions = plan(jobs)
    waiting = sum(decision.action == "run" for decision in decisions)
    size = expected_bytes(jobs, decisions)
    done = f"{len(decisions) - waiting} of {len(decisions)} stores are up to date"
    return done, f"{size / 1e9:.3f} GB of disk" if waiting else "nothing to do"


def _run_note(run: Path) -> str:
    state = checkpoint.read_trainer_state(run / LAST)
    if state is None:
        return "no checkpoint"
    return f"a checkpoint of step {state.step}" + (f", ended by {state.ended}" * bool(state.ended))


def _fit_cost(source: Source, recipe: TrainRecipe) -> str:
    """Return the cost of a training without early stopping and validation."""
    windows = sum(len(window_spans(one.clip, recipe.windows)) for one in source.on("train"))
    fit = recipe.fit
    seen = fit.steps * fit.batch_size * fit.accumulation
    amount = f"{seen:,} windows at most ({seen / max(windows, 1):.1f} passes over {windows:,})"
    size = costs.size_of(recipe)
    if size is None:
        return amount
    n_tokens, length_s = costs.tokens_of(recipe), recipe.windows.length_s
    hours = seen * costs.operations(size, n_tokens, length_s) / costs.SUSTAINED / 3600
    needed = costs.memory(size, n_tokens, fit.batch_size, fit.precision, length_s)
    return (
        f"{amount}; {hours:.1f} h of one GPU at {costs.SUSTAINED / 1e12:.0f} TFLOP/s (assumed, "
        f"bf16), {needed / 1e9:.1f} GB of its memory"
    )


def _music_notes(folder: Path, clips: Sequence[SplitClip]) -> tuple[str, str]:
    made = len(list(folder.glob("*.wav")))
    seconds = sum(one.clip.duration_s for one in clips)
    return f"{made} of {len(clips)} files", f"{seconds / 60:.1f} min of music in all"


def _file_note(path: Path) -> str:
    return "written before" if path.is_file() else "not written yet"


def plain(planned: Sequence[PlannedStep], options: Options) -> list[dict[str, Any]]:
    """Return planned steps as plain values."""
    return [
        {
            "step": one.step.name,
            "command": one.step.shown(options),
            "exists": one.exists,
            "cost": one.cost,
        }
        for one in planned
    ]
