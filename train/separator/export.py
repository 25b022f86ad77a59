"""Turn a run's averaged weights into the file that ships: fp16 safetensors that Demucs can load.

    python -m separator.export --run DIR --output bundled.safetensors

The metadata name the class and its arguments, as `demucs.hf.load_safetensors_model` expects. With
`--package DIR/bundled.th` the file's model is also written as Demucs' own kind of package, for its
command line (`demucs --repo DIR -n bundled --shifts 0 FILE`); without `--run`, only that.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import logging
from pathlib import Path

import torch
from demucs.hf import load_safetensors_model
from safetensors.torch import save_file
from torch import nn

from ossl_builder.separator.model import FilmDemucs

ARGUMENTS = {
    "sources": ["dialogue", "music", "effects"],
    "samplerate": 44_100,
    "audio_channels": 2,
    "nfft": 2_816,
    "segment": 8.0,
}
log = logging.getLogger("export")


def save(model: nn.Module, output: Path) -> str:
    """Write the weights for the grid of films; returns the file's SHA-256."""
    tensors = {name: value.detach().half().contiguous() for name, value in
               model.state_dict().items()}  # fmt: skip
    metadata = {
        "klass": f"{FilmDemucs.__module__}.{FilmDemucs.__qualname__}",
        "args": json.dumps([]),
        "kwargs": json.dumps(ARGUMENTS),
    }
    part = output.with_suffix(".part")
    save_file(tensors, part, metadata)
    digest = hashlib.sha256(part.read_bytes()).hexdigest()
    part.chmod(0o644)  # safetensors writes for the owner alone
    part.replace(output)
    return digest


def package(weights: Path, output: Path) -> None:
    """Write the model of a safetensors file as the pickled package that `demucs --repo` reads."""
    model = load_safetensors_model(weights)
    state = {name: value.half() for name, value in model.state_dict().items()}
    torch.save({"klass": FilmDemucs, "args": (), "kwargs": ARGUMENTS, "state": state}, output)


def main() -> None:
    """Run from the command line."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--run", type=Path, help="folder of a run of `fit`")
    parser.add_argument("--output", type=Path, required=True, help="the .safetensors file to write")
    parser.add_argument("--package", type=Path, help="a .th file to write too")
    options = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    if options.run:
        model = FilmDemucs(**ARGUMENTS)
        state = torch.load(options.run / "checkpoint.pt", weights_only=True)
        model.load_state_dict(state["average"])
        digest = save(model, options.output)
        log.info("step %d, %.1f min, sha256 %s", state["step"], state["spent"] / 60, digest)
    if options.package:
        package(options.output, options.package)


if __name__ == "__main__":
    main()
