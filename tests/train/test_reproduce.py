"""`ossl train reproduce`: all steps on the demo corpus, the report, and honest departures."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
import soundfile
from ossl_train import costs
from ossl_train.evaluation.settings import CLAP
from ossl_train.recipe import load_train_recipe
from ossl_train.reproduction.departures import CHOICE, FIXED, KINDS, departures_of
from ossl_train.reproduction.steps import Options, plan_steps, run_steps, steps_of

from ossl_builder.errors import OsslError
from tests.command_result import RunCommand
from tests.train.labelled_corpus import SPLIT_OF, assign_splits, clips_of, source_of

README = Path(__file__).parents[2] / "train/README.md"
NAMES = (
    "features", "codes", "fit", "generate base", "generate adapter", "evaluate", "compare",
)  # fmt: skip


def options(root: Path, **changed: object) -> Options:
    values = {
        "corpus": root, "data": None, "out": root / "out", "recipe": "tiny_cpu", "overrides": (),
        "split": "test", "clap": "none", "revision": None, "with_kl": False, "clips": 2,
        "device": None,
    }  # fmt: skip
    return Options(**(values | changed))  # type: ignore[arg-type]


def test_the_plan_tells_what_exists_and_what_it_costs(train_corpus: Path) -> None:
    planned = {one.step.name: one for one in plan_steps(options(train_corpus))}
    assert tuple(planned) == NAMES
    assert planned["features"].exists == "3 of 3 stores are up to date"
    assert planned["features"].cost == "nothing to do"
    assert planned["fit"].exists == "no checkpoint"
    seconds = sum(c.duration_s for c in clips_of(train_corpus) if SPLIT_OF[c.film_id] == "test")
    assert planned["generate base"].cost == f"{seconds / 60:.1f} min of music in all"
    assert planned["evaluate"].exists == "not written yet"
    paper = {one.step.name: one for one in plan_steps(options(train_corpus, recipe="paper_medium"))}
    assert paper["features"].exists == "0 of 3 stores are up to date"
    recipe = load_train_recipe("paper_medium")
    windows = recipe.fit.steps * recipe.fit.batch_size * recipe.fit.accumulation
    work = windows * costs.operations(costs.SIZES["medium"], costs.ALL_TOKENS)
    assert f"{windows:,} windows" in paper["fit"].cost
    assert f"{work / costs.SUSTAINED / 3600:.1f} h of one GPU" in paper["fit"].cost


def test_each_command_gets_the_users_choices(train_corpus: Path) -> None:
    chosen = options(
        train_corpus,
        data=train_corpus,
        overrides=("fit.steps=4", "model.source=/models/mine"),
        with_kl=True,
        device="cpu",
        clap="/models/my-clap",
    )
    steps = {step.name: step for step in steps_of(chosen)}
    assert all(
        ("--data", str(train_corpus)) == _pair(step.arguments, "--data") for step in steps.values()
    )
    for name in ("features", "codes", "fit"):
        assert "fit.steps=4" in steps[name].arguments
    assert _pair(steps["generate base"].arguments, "--alpha") == ("--alpha", "0")
    assert "--alpha" not in steps["generate adapter"].arguments
    assert {"--kl", "--baseline"} <= set(steps["evaluate"].arguments)
    shown = " ".join(step.shown(chosen) for step in steps.values())
    assert "model.source=mine" in shown
    assert "--clap my-clap" in shown
    assert not re.search(r"(^|[ =])/", shown), "no folder of this machine"


def _pair(words: Sequence[str], name: str) -> tuple[str, ...]:
    return tuple(words[words.index(name) :][:2])


def test_a_step_that_fails_stops_the_reproduction(train_corpus: Path) -> None:
    ran: list[str] = []

    def run(arguments: Sequence[str]) -> int:
        ran.append(arguments[0])
        return 3 if arguments[0] == "codes" else 0

    with pytest.raises(OsslError, match="codes") as caught:
        run_steps(options(train_corpus), run, lambda text: None)
    assert caught.value.code == "step_failed"
    assert ran == ["features", "codes"]


def test_nothing_runs_without_a_gpu_or_without_a_test_split(corpus: Path) -> None:
    import torch

    def run(arguments: Sequence[str]) -> int:
        raise AssertionError(f"{arguments} must not run")

    if not torch.cuda.is_available():
        with pytest.raises(OsslError) as caught:
            run_steps(options(corpus, recipe="paper_medium"), run, lambda text: None)
        assert caught.value.code == "no_gpu"
    assign_splits(corpus, SPLIT_OF | {"demo-steamboat": "validation"})
    with pytest.raises(OsslError) as caught:
        run_steps(options(corpus), run, lambda text: None)
    assert caught.value.code == "split_empty"


def test_departures_are_computed_from_the_run(train_corpus: Path) -> None:
    paper, tiny = load_train_recipe("paper_medium"), load_train_recipe("tiny_cpu")
    source = source_of(train_corpus, tiny)
    of_paper = departures_of(paper, source, "test", CLAP, with_kl=True)
    topics = {one.topic for one in of_paper}
    assert {one.topic for one in FIXED} < topics
    assert not any(topic.startswith("setting ") for topic in topics)
    assert {"precision", "clips", "clips without a mood", "clips without a caption"} <= topics
    assert {"CLAP", "KL divergence", "validation"}.isdisjoint(topics)
    assert [one.kind for one in of_paper] == sorted((o.kind for o in of_paper), key=KINDS.index)
    of_tiny = {one.topic: one for one in departures_of(tiny, source, "test", "none", False)}
    assert of_tiny["setting model.source"].here == "tiny"
    assert of_tiny["setting windows.length_s"].published == "30.0 in the recipe paper_medium"
    assert of_tiny["setting fit.min_steps"].here == "1000"
    assert (of_tiny["CLAP"].here, of_tiny["CLAP"].published) == ("none", CLAP)
    assert "precision" not in of_tiny, "tiny_cpu computes in float32, as the published code"
    n_clips = len(source.clips)
    assert of_tiny["clips"].here.startswith(f"{n_clips} clips")
    without = sum(not (one.label and one.label.caption) for one in source.clips)
    assert of_tiny["clips without a caption"].here.startswith(f"{without} of {n_clips}")


def test_each_error_of_the_published_code_in_the_readme_is_a_departure() -> None:
    """Both lists name the same errors; those of single tests of the code are left out."""
    section = README.read_text(encoding="utf-8").partition("## Errors of the published code")[2]
    errors = [line.split("|")[1].strip() for line in section.splitlines() if line.startswith("| ")]
    texts = " ".join(one.published for one in FIXED).casefold()
    words = (
        "position embedding", "wrong key", "own adapter", "eighth of the steps", "accumulation",
        "first item", "padding", "peak", "never strengthens the video", "440 hz", "first 30 s",
        "without a seed", "kl can be infinite", "512 dimensions",
    )  # fmt: skip
    assert all(word in texts for word in words)
    # 1536 and the projection at each step change no result; that a film is in two splits is
    # under `splits`. The header is the last.
    assert len(errors) == len(words) + 4
    assert {one.kind for one in FIXED} > {CHOICE}


@pytest.mark.usefixtures("one_thread")
def test_all_steps_run_resume_and_report(
    corpus: Path, clap: Path, tmp_path: Path, ossl_here: RunCommand
) -> None:
    out = tmp_path / "out"
    command = (
        "-C", corpus, "train", "reproduce", "ossl-v1", "--recipe", "tiny_cpu", "--out", out,
        "--clap", clap, "--clips", 2, "--json", "--set", "fit.steps=4",
    )  # fmt: skip
    dry = ossl_here(*command, "--dry-run")
    assert [row["step"] for row in dry.json] == list(NAMES)
    assert not out.exists()
    result = ossl_here(*command)
    assert result.code == 0, result.err
    facts = result.json
    assert facts == json.loads((out / "reproduction.json").read_text())
    test_clips = [clip for clip in clips_of(corpus) if SPLIT_OF[clip.film_id] == "test"]
    assert facts["n_clips"] == len(test_clips)
    assert (facts["run"]["step"], facts["run"]["ended"]) == (4, "steps")
    assert facts["data"]["clips_by_split"]["test"] == len(test_clips)
    measures = {row["measure"]: row for row in facts["measures"]}
    compared = json.loads((out / "evaluation/comparison.json").read_text())
    assert {"fad", "kad"} <= measures.keys()
    for system in compared["systems"]:
        for figure in system["figures"]:
            if figure["of"] == "generated":
                assert measures[figure["name"]][system["system"]]["value"] == figure["value"]
    fad = measures["fad"]
    difference = fad["adapter"]["value"] - fad["base"]["value"]
    assert fad["difference"]["value"] == pytest.approx(difference, abs=1e-4)
    for clip in test_clips:
        base, adapter = (
            soundfile.read(out / name / f"{clip.clip_id}.wav")[0] for name in ("base", "adapter")
        )
        assert len(base) == len(adapter)
        assert not np.array_equal(base, adapter), "the adapter changes the music"
    text = (out / "reproduction.md").read_text()
    for link in facts["links"].values():
        assert (out / link).exists()
    assert all(one["topic"] in text for one in facts["departures"])
    for secret in (str(corpus), str(tmp_path), str(clap)):
        assert secret not in text
        assert secret not in (out / "reproduction.json").read_text()

    before = {
        path: path.stat().st_mtime_ns
        for path in [*out.glob("*/*.wav"), *(out / "run/best").iterdir()]
    }
    again = ossl_here(*command)
    assert again.code == 0, again.err
    assert again.json == facts
    assert before == {path: path.stat().st_mtime_ns for path in before}
    state = out / "run/last/trainer_state.json"
    state.write_text(state.read_text().replace('"world": 1', '"world": 8'))
    of_several = ossl_here(*command)
    assert of_several.code == 0, of_several.err
    assert of_several.json == facts | {"run": facts["run"] | {"world": 8}}
    with_others = ossl_here(*command, "--set", "fit.steps=5")
    assert with_others.code == 1
    assert "fit.steps was 4, is 5" in with_others.flat_err
    (out / "adapter" / f"{test_clips[0].clip_id}.wav").unlink()
    exists = {row["step"]: row["exists"] for row in ossl_here(*command, "--dry-run").json}
    n = len(test_clips)
    assert exists["generate adapter"] == f"{n - 1} of {n} files"
    assert exists["fit"] == "a checkpoint of step 4, ended by steps"
    assert exists["evaluate"] == exists["compare"] == "written before"
