"""Push to and pull from Label Studio with 10,000 tasks: seconds and peak memory of each command.

The server is a real one, on SQLite, on this machine; its time is part of the figures. One labeller
answers 100 clips before the first pull, which reads everything, and 100 more before the second,
which reads only changes.
"""

from __future__ import annotations

import argparse
import shutil
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ossl_builder.label_studio.pull import CURSOR_OVERLAP_S
from tests.benchmarks.command_cost import Cost, ossl_cost
from tests.e2e.label_studio_server import PROGRAM, LabelStudio, run
from tests.label_studio.clip_corpus import made_up_corpus

ANSWERED = 100
ANSWERS = {
    "music_audible": "clear", "speech_over_music": "no", "quadrant": "Q1", "valence": 8,
    "energy": 7, "tension": 3, "confidence": "high",
}  # fmt: skip


def cost_of(server: LabelStudio, corpus: Path, *arguments: str) -> Cost:
    token = {"LABEL_STUDIO_API_KEY": server.token}
    return ossl_cost("label", *arguments, corpus=corpus, environment=token)


def measure(server: LabelStudio, corpus: Path, n_clips: int) -> dict[str, Cost]:
    clips = made_up_corpus(corpus, n_clips)
    url = ("--url", server.url)
    costs = {
        "push, all new": cost_of(server, corpus, "push", *url, "--title", corpus.name),
        "push, nothing new": cost_of(server, corpus, "push"),
    }
    (project_id,) = server.project_ids(corpus.name)
    tasks = server.tasks(project_id)
    if sorted(task["data"]["clip_id"] for task in tasks) != clips:
        raise SystemExit("the server does not have each clip once")
    # Tasks made within the overlap of the cursor would be read once more.
    time.sleep(CURSOR_OVERLAP_S + 1)
    answer(server, tasks[:ANSWERED])
    costs["first pull"] = cost_of(server, corpus, "pull")
    answer(server, tasks[-ANSWERED:])
    return costs | {
        f"pull of {ANSWERED} answers": cost_of(server, corpus, "pull"),
        "pull --full": cost_of(server, corpus, "pull", "--full"),
        "status with the server": cost_of(server, corpus, "status", *url),
        "status without": cost_of(server, corpus, "status"),
    }


def answer(server: LabelStudio, tasks: list[dict[str, Any]]) -> None:
    labeller = server.sign_up("bench")
    for task in tasks:
        labeller.annotate(task["id"], ANSWERS)


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--clips", type=int, nargs="+", default=[1000, 10_000])
    chosen = parser.parse_args(arguments)
    if not PROGRAM.exists():
        sys.stdout.write("Label Studio is not installed (make test does): nothing measured.\n")
        return
    with tempfile.TemporaryDirectory(dir=chosen.work) as folder:
        server = run(Path(folder))
        try:
            for n_clips in chosen.clips:
                corpus = chosen.work / f"label-{n_clips}"
                shutil.rmtree(corpus, ignore_errors=True)
                for name, cost in measure(server, corpus, n_clips).items():
                    sys.stdout.write(
                        f"{n_clips:>6} tasks  {name:<24} {cost.seconds:6.1f} s  "
                        f"{cost.peak_mb:5.0f} MB\n"
                    )
                    sys.stdout.flush()
        finally:
            server.stop()


if __name__ == "__main__":
    main()
