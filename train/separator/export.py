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
from collections.abc import Mapping
from pathlib import Path

import torch
from demucs.hf import load_safetensors_model
from safetensors.torch import save_file
from torch import Tensor

from ossl_builder.separator.model import FilmDemucs

ARGUMENTS = {
    "sources": ["dialogue", "music", "effects"],
    "samplerate": 44_100,
    "audio_channels": 2,
    "nfft": 2_816,
    "segment": 8.0,
}
log = logging.getLogger("export")


def save(state: Mapping[str, Tensor], arguments: Mapping[str, object], output: Path) -> str:
    """Write weights and the arguments of `FilmDemucs`; returns the file's SHA-256."""
    tensors = {name: value.detach().half().contiguous() for name, value in state.items()}
    metadata = {
        "klass": f"{FilmDemucs.__module__}.{FilmDemucs.__qualname__}",
        "args": json.dumps([]),
        "kwargs": json.dumps(dict(arguments)),
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
    kwargs = model._init_args_kwargs[1]
    torch.save({"klass": FilmDemucs, "args": (), "kwargs": kwargs, "state": state}, output)


def main() -> None:
    """Run from the command line."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--run", type=Path, help="folder of a run of `fit`")
    parser.add_argument("--output", type=Path, required=True, help="the .safetensors file to write")
    parser.add_argument("--package", type=Path, help="a .th file to write too")
    options = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    if options.run:
        state = torch.load(options.run / "checkpoint.pt", map_location="cpu", weights_only=True)
        arguments = {**ARGUMENTS, "channels": state["channels"]}
        FilmDemucs(**arguments).load_state_dict(state["average"])  # fails if they do not fit
        digest = save(state["average"], arguments, options.output)
        log.info("step %d, %.1f min, sha256 %s", state["step"], state["spent"] / 60, digest)
    if options.package:
        package(options.output, options.package)


if __name__ == "__main__":
    main()
