"""`--trust-model`: only with this option may a model file run code."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import torch
from demucs.hdemucs import HDemucs

from tests.films import make_flash_and_click


class Append:
    """A pickle payload: loading it creates the marker file."""

    def __init__(self, marker: Path) -> None:
        self.marker = marker

    def __reduce__(self) -> Any:
        return open, (str(self.marker), "a")


def test_a_model_that_runs_code_needs_trust_model(tmp_path: Path) -> None:
    def ossl(*arguments: object) -> subprocess.CompletedProcess[str]:
        done = subprocess.run(
            [sys.executable, "-m", "ossl_builder.cli.main", *map(str, arguments)],
            capture_output=True, text=True, check=False, cwd=tmp_path,
        )  # fmt: skip
        assert "Traceback" not in done.stderr
        return done

    film, corpus, marker = tmp_path / "film.mp4", tmp_path / "corpus", tmp_path / "marker"
    make_flash_and_click(film)
    assert ossl("init", corpus).returncode == 0
    claim = ("--id", "own", "--title", "T", "--basis", "licensed", "--evidence", "for tests")
    assert ossl("-C", corpus, "films", "add", film, *claim).returncode == 0
    (corpus / "ossl.yaml").write_text("stems: {model: ./models/m.th, device: cpu}\n")
    model = HDemucs(
        ["music", "speech"], samplerate=8_000, segment=1.3, channels=8, nfft=1024, depth=5
    )
    arguments, named = model._init_args_kwargs
    package = {"klass": HDemucs, "args": arguments, "kwargs": named, "state": model.state_dict(),
               "training_args": Append(marker)}  # fmt: skip
    (corpus / "models").mkdir()
    torch.save(package, corpus / "models" / "m.th")
    assert ossl("-C", corpus, "build", "--until", "fetch").returncode == 0
    done = ossl("-C", corpus, "build", "--until", "stems")
    assert done.returncode == 1
    assert "--trust-model" in done.stderr
    assert not marker.exists()
    assert not (corpus / "films" / "own" / "stems").exists()
    done = ossl("-C", corpus, "stems", "--trust-model")
    assert done.returncode == 0, done.stderr
    assert marker.exists()
    assert (corpus / "films" / "own" / "stems" / "music.flac").is_file()
