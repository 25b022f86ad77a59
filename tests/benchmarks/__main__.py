"""Run all benchmarks, or those named: `python -m tests.benchmarks --work .bench [scenes …]`."""

import argparse
import importlib
import sys
from pathlib import Path

ALL = (
    "engine", "scenes", "stems", "clips", "tables", "label", "features", "fit", "generate",
    "options", "gpu",
)  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--work", type=Path, default=Path(".bench"), help="folder for films made")
    parser.add_argument("names", nargs="*", default=ALL, metavar="NAME", help=", ".join(ALL))
    chosen = parser.parse_args()
    chosen.work.mkdir(parents=True, exist_ok=True)
    for name in chosen.names:
        sys.stdout.write(f"\n== {name}\n")
        sys.stdout.flush()
        importlib.import_module(f"tests.benchmarks.bench_{name}").main(
            ["--work", str(chosen.work.absolute())]
        )


if __name__ == "__main__":
    main()
