"""Find, identify and load Demucs models.

A model's name is `bundled`, a path that begins with `/`, `./` or `~` (a folder, or a
`.safetensors`, `.th` or `.yaml` file), or a name on the Hugging Face hub (`htdemucs`,
`htdemucs_ft`), or `spleeter` or `dtln`, whose weights are published in packages (`published`). A
path may also be an ONNX speech enhancer (`speech_enhancer`). A model of the hub is downloaded into
the hub's cache. `model_file` reads the files
without running code in them. Only if the user trusts the model, Demucs' own loader is used, and
other repositories of the hub are allowed (`someuser/somemodel`).
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from ossl_builder import parse
from ossl_builder.engine.settings import HERE, Origin
from ossl_builder.errors import OsslError
from ossl_builder.files import sha256_remembered
from ossl_builder.models import hub, model_file, published, spleeter_weights

HUB_SPACE = "adefossez"
HUB_NAMES = (
    "hdemucs_mmi", "htdemucs", "htdemucs_6s", "htdemucs_ft", "mdx", "mdx_extra", "mdx_extra_q",
    "mdx_q", "repro_mdx_a", "repro_mdx_a_hybrid_only", "repro_mdx_a_time_only",
)  # fmt: skip
"""The hub's models that Demucs itself lists; all are by the author of Demucs."""
SUFFIXES = (".safetensors", ".th", ".yaml", ".onnx")
DTLN = "dtln"
MEMBER = re.compile(r"\w[\w.-]{0,99}", re.ASCII)
TRUST = (
    "Such a model can do everything that you can do on this machine. If you trust its author, run "
    "the command with --trust-model."
)
WITHOUT_HUB = (
    "Use `--set stems.model=bundled`, or download it where there is a network and give its folder."
)


@dataclass(frozen=True)
class Model:
    """A loaded model, or several models whose results are averaged (a bag, in Demucs' terms).

    Attributes:
        parts: the Demucs modules, in evaluation mode, on their device.
        weights: for each part, the weight of each source in the average.
        sources: names of the separated sources.
        rate: sample rate of the audio, in Hz.
        channels: number of channels of the audio.
        device: `cpu` or `cuda`.
    """

    parts: tuple[Any, ...]
    weights: tuple[tuple[float, ...], ...]
    sources: tuple[str, ...]
    rate: int
    channels: int
    device: str


def is_enhancer(name: str) -> bool:
    """Return whether a name is that of a speech enhancer, which runs with ONNX Runtime."""
    return name == DTLN or name.endswith(".onnx")


def fingerprint(name: str, origin: Origin = HERE) -> str | None:
    """Return the SHA-256 of a model's files; None if the model cannot be loaded. No network.

    For several files, it is the hash of their names and hashes.

    Args:
        name: the model's name (see the module's docstring).
        origin: origin of the recipe that contains the name.
    """
    if name in (DTLN, spleeter_weights.NAME):
        return published.digest(name)
    try:
        main_file = _find(name, origin)
        files = _files(main_file) if main_file else []
    except OsslError:  # `load` raises the same error again
        return None
    if not files or not all(file.is_file() for file in files):
        return None
    hashes = {file.name: sha256_remembered(file) for file in files}
    if len(hashes) == 1:
        return hashes.popitem()[1]
    return hashlib.sha256(repr(sorted(hashes.items())).encode()).hexdigest()


def load(name: str, device: str, origin: Origin = HERE) -> Model:
    """Load a model; download it if necessary. The last four are cached in memory.

    Args:
        name: the model's name (see the module's docstring).
        device: `cpu`, `cuda`, or `auto`: CUDA if there is a GPU.
        origin: origin of the recipe that contains the name.

    Raises:
        OsslError: `not_installed`, `no_gpu`, `model_unavailable`, `model_missing`,
            `model_invalid`, `model_untrusted`, `path_outside`.
    """
    try:
        import demucs.pretrained  # noqa: F401
    except ImportError as error:
        raise OsslError(
            "not_installed",
            "Separation needs Demucs and PyTorch, which are not installed.",
            "Run `pip install 'ossl-builder[stems]'`.",
        ) from error
    if name == DTLN:
        return _load_enhancer(name, tuple(published.fetch(DTLN)))
    chosen = hub.choose_device(device, "stems.device")
    if name == spleeter_weights.NAME:
        main_file = spleeter_weights.weights_file()
    else:
        main_file = _find(name, origin) or _download(name, origin)
    if is_enhancer(main_file.name):
        return _load_enhancer(name, (main_file,))
    return _load(name, main_file, fingerprint(name, origin), chosen, origin.trusts_models)


@lru_cache(maxsize=4)
def _load(name: str, main_file: Path, sha256: str | None, device: str, is_trusted: bool) -> Model:
    """Load a model's file; `sha256` is part of the cache key: a changed file is reloaded."""
    from safetensors import SafetensorError

    try:
        model = _read(main_file, is_trusted)
        parts = tuple(getattr(model, "models", [model]))
        for part in parts:
            part.to(device).eval()
        even = [[1.0] * len(model.sources) for _ in parts]
        return Model(
            parts=parts,
            weights=tuple(tuple(map(float, row)) for row in getattr(model, "weights", even)),
            sources=tuple(model.sources),
            rate=int(model.samplerate),
            channels=int(model.audio_channels),
            device=device,
        )
    except (*model_file.UNREADABLE, SafetensorError) as error:
        why = parse.cut(f"{type(error).__name__}: {error}", 200)
        raise OsslError(
            "model_invalid",
            f"The model {name!r} cannot be loaded safely ({why})."
            if not is_trusted
            else f"Demucs cannot load the model {name!r} ({why}).",
            "Use a model that Demucs saved, or a name from Demucs' list."
            + ("" if is_trusted else f" {TRUST}"),
        ) from error


def _load_enhancer(name: str, paths: tuple[Path, ...]) -> Model:
    """Load a speech enhancer; it runs on the CPU."""
    from ossl_builder.models import speech_enhancer

    try:
        part = speech_enhancer.dtln(paths) if name == DTLN else speech_enhancer.waveform(paths[0])
    except ImportError as error:
        raise OsslError(
            "not_installed",
            f"The speech enhancer {name} needs ONNX Runtime, which is not installed.",
            "Run `pip install 'ossl-builder[onnx]'`.",
        ) from error
    except (OSError, ValueError) as error:
        why = parse.cut(str(error), 200)
        raise OsslError(
            "model_invalid",
            f"The model {name!r} cannot be loaded ({why}).",
            "Give an ONNX file that maps audio [1, samples] at 16 kHz to speech [1, samples].",
        ) from error
    weights = ((1.0,) * len(part.sources),)
    sources = tuple(part.sources)
    return Model((part.eval(),), weights, sources, part.samplerate, part.audio_channels, "cpu")


def _read(main_file: Path, is_trusted: bool) -> Any:
    """Return the module of a file, or the BagOfModels of a `.yaml` file."""
    from demucs.apply import BagOfModels
    from demucs.hf import load_safetensors_model
    from demucs.states import load_model

    if main_file.suffix == ".yaml":
        bag = parse.yaml_file(main_file)
        parts = [_read(file, is_trusted) for file in _files(main_file)[1:]]
        return BagOfModels(parts, bag.get("weights"), bag.get("segment"))
    if not is_trusted:
        return model_file.read(main_file)
    return (
        load_safetensors_model(main_file)
        if main_file.suffix == ".safetensors"
        else load_model(main_file)
    )


def _find(name: str, origin: Origin) -> Path | None:
    """Return the main file of a model; None if it must be downloaded from the hub.

    Raises:
        OsslError: `model_missing`, `model_invalid`, `model_untrusted`, `path_outside`.
    """
    path = hub.local_path(name, "stems.model", origin, SUFFIXES)
    if path is None:
        _check_known(name, origin)
        return _cached(name)
    if not path.exists():
        raise OsslError(
            "model_missing", f"There is no model at {path}.", "Correct stems.model in the recipe."
        )
    if path.is_file():
        return path
    for kind in (".yaml", ".safetensors", ".th", ".onnx"):
        files = sorted(path.glob(f"*{kind}"))
        if len(files) == 1:
            return files[0]
        if files:
            break
    raise OsslError(
        "model_invalid",
        f"The folder {path} has no model, or several.",
        "Give one of its .safetensors, .th, .yaml or .onnx files as stems.model.",
    )


def _files(main_file: Path) -> list[Path]:
    """Return all files of a model: the main file, and the files that a bag's `.yaml` lists."""
    if main_file.suffix != ".yaml":
        return [main_file]
    try:
        names = [str(part) for part in parse.yaml_file(main_file)["models"]]
    except (KeyError, OSError, TypeError, ValueError) as error:
        raise OsslError(
            "model_invalid", f"{main_file} names no models.", "Give a bag as Demucs writes it."
        ) from error
    parts = []
    for part in names:
        if not MEMBER.fullmatch(part):
            raise OsslError(
                "model_invalid",
                f"{main_file} names the model {parse.shown(part)}, which is missing beside it.",
                "Give a bag as Demucs writes it.",
            )
        # Demucs' own repositories append a checksum to the name: 955717e8-8726e21a.th
        candidates = sorted(main_file.parent.glob(f"{part}*.safetensors"))
        candidates += sorted(main_file.parent.glob(f"{part}*.th"))
        parts.append(candidates[0] if candidates else main_file.parent / f"{part}.safetensors")
    return [main_file, *parts]


def _cached(name: str) -> Path | None:
    """Return the bag's `.yaml` in the hub's cache; None if a file is missing. No network."""
    space, bag = _hub_name(name)
    cached = hub.cached_files(f"{space}/{_repository(bag)}", [f"{bag}.yaml"])
    if cached is None or not all(file.is_file() for file in _files(cached[0])):
        return None
    return cached[0]


def _check_known(name: str, origin: Origin) -> None:
    """Check that Demucs lists this name of the hub, or that the user trusts it.

    Raises:
        OsslError: `model_untrusted`.
    """
    space, bag = _hub_name(name)
    if not origin.trusts_models and not (space == HUB_SPACE and bag in HUB_NAMES):
        raise OsslError(
            "model_untrusted",
            f"stems.model is {parse.shown(name)}, a model of the Hugging Face hub that Demucs does "
            "not know.",
            f"Use one of {', '.join(HUB_NAMES)}, `bundled`, or a path that begins with `/`, `./` "
            f"or `~`. {TRUST}",
        )


def _download(name: str, origin: Origin) -> Path:
    """Download a model into the hub's cache."""
    _check_known(name, origin)
    space, bag = _hub_name(name)
    repository = f"{space}/{_repository(bag)}"
    try:
        first = hub.download_file(repository, f"{bag}.yaml")
        for part in _files(first)[1:]:
            hub.download_file(repository, part.name)
    except (OSError, ValueError) as error:  # all errors of the hub are one of these
        hint = f"{WITHOUT_HUB} A path begins with `/`, `./` or `~`."
        raise hub.unavailable(f"The model {name!r}", error, hint) from error
    main_file = _cached(name)
    if main_file is None:
        raise OsslError(
            "model_unavailable",
            f"{name!r} was downloaded, but it is not in the cache.",
            WITHOUT_HUB,
        )
    return main_file


def _hub_name(name: str) -> tuple[str, str]:
    """Split a name into namespace (default: that of Demucs' author) and model name."""
    space, _, bag = name.removeprefix("hf://").rpartition("/")
    return space or HUB_SPACE, bag


def _repository(bag: str) -> str:
    """Return a model's repository on the hub, as `demucs.hf.hf_repo_name` does (it needs torch)."""
    if bag == "htdemucs":
        return "HTDemucs"
    if bag.startswith("htdemucs_"):
        return f"HTDemucs-{bag.removeprefix('htdemucs_')}"
    return f"Demucs-{bag}"
