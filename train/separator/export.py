"""Turn a run's averaged weights into the file that ships: fp16 safetensors that Demucs can load.

    python -m separator.export --run DIR --output bundled.safetensors

With `--start FILE`, the file has a share of the weights that the training started from. What they
know of other music is then not forgotten: Wortsman et al., "Robust fine-tuning of zero-shot models"
(2022). The share was chosen by the validation data.

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
from safetensors.torch import load_file, save_file
from torch import Tensor

from ossl_builder.separator.model import NFFT, FilmUNet
from separator.loss import SOURCES

ARGUMENTS = {
    "samplerate": 44_100,
    "audio_channels": 2,
    "nfft": NFFT,
}
log = logging.getLogger("export")


def save(state: Mapping[str, Tensor], arguments: Mapping[str, object], output: Path) -> str:
    """Write weights and the arguments of `FilmUNet`; returns the file's SHA-256."""
    tensors = {name: value.detach().half().contiguous() for name, value in state.items()}
    metadata = {
        "klass": f"{FilmUNet.__module__}.{FilmUNet.__qualname__}",
        "args": json.dumps([]),
        "kwargs": json.dumps(dict(arguments)),
    }
    part = output.with_suffix(".part")
    save_file(tensors, part, metadata)
    digest = hashlib.sha256(part.read_bytes()).hexdigest()
    part.chmod(0o644)  # safetensors writes for the owner alone
    part.replace(output)
    return digest


def blended(state: Mapping[str, Tensor], start: Path, share: float) -> dict[str, Tensor]:
    """Return the weights with this share of those of a file."""
    before = load_file(start)
    return {name: torch.lerp(value, before[name], share) for name, value in state.items()}


def package(weights: Path, output: Path) -> None:
    """Write the model of a safetensors file as the pickled package that `demucs --repo` reads."""
    model = load_safetensors_model(weights)
    state = {name: value.half() for name, value in model.state_dict().items()}
    kwargs = model._init_args_kwargs[1]
    torch.save({"klass": FilmUNet, "args": (), "kwargs": kwargs, "state": state}, output)


def main() -> None:
    """Run from the command line."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--run", type=Path, help="folder of a run of `fit`")
    parser.add_argument("--output", type=Path, required=True, help="the .safetensors file to write")
    parser.add_argument("--start", type=Path, help="the weights that the run started from")
    parser.add_argument("--share", type=float, default=0.3, help="their share, with --start")
    parser.add_argument("--package", type=Path, help="a .th file to write too")
    options = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    if options.run:
        state = torch.load(options.run / "checkpoint.pt", map_location="cpu", weights_only=True)
        sources = SOURCES[: state["sources"]]
        arguments = {**ARGUMENTS, "sources": sources, "rank": state["rank"]}
        weights = state["average"]
        if options.start:
            weights = blended(weights, options.start, options.share)
        FilmUNet(**arguments).load_state_dict(weights)  # fails if they do not fit
        digest = save(weights, arguments, options.output)
        log.info("step %d, %.1f min, sha256 %s", state["step"], state["spent"] / 60, digest)
    if options.package:
        package(options.output, options.package)


if __name__ == "__main__":
    main()
