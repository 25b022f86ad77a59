"""Find, identify and load Demucs models.

A model is named by `bundled`, by a path that begins with `/`, `./` or `~` (a folder, or a
`.safetensors`, `.th` or `.yaml` file), or by a name on the Hugging Face hub (`htdemucs`,
`htdemucs_ft`), which is downloaded into the hub's cache. Files are read by `model_file`, which runs
nothing of them. Only for a user who trusts a model, Demucs' own loader reads other files, and other
repositories of the hub are asked (`someuser/somemodel`).
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from ossl_builder import parse
from ossl_builder.engine import stage
from ossl_builder.engine.settings import HERE, Origin
from ossl_builder.errors import OsslError
from ossl_builder.files import sha256_remembered
from ossl_builder.models import hub, model_file

HUB_SPACE = "adefossez"
HUB_NAMES = (
    "hdemucs_mmi", "htdemucs", "htdemucs_6s", "htdemucs_ft", "mdx", "mdx_extra", "mdx_extra_q",
    "mdx_q", "repro_mdx_a", "repro_mdx_a_hybrid_only", "repro_mdx_a_time_only",
)  # fmt: skip
"""The models of the hub that Demucs itself knows, all by its author."""
SUFFIXES = (".safetensors", ".th", ".yaml")
MEMBER = re.compile(r"\w[\w.-]{0,99}", re.ASCII)
TRUST = (
    "If you trust whoever made the model with all that you may do on this machine, run the command "
    "with --trust-model."
)
WITHOUT_HUB = (
    "Use `--set stems.model=bundled`, or download it where there is a network and give its folder."
)


@dataclass(frozen=True)
class Model:
    """A loaded model, or several whose results are averaged (Demucs calls them a bag).

    Attributes:
        parts: Demucs modules in evaluation mode, on their device.
        weights: for each part the weight of each source in the average.
        sources: names of what it separates.
        rate: sample rate it works at, in Hz.
        channels: channels it works with.
        device: `cpu` or `cuda`.
    """

    parts: tuple[Any, ...]
    weights: tuple[tuple[float, ...], ...]
    sources: tuple[str, ...]
    rate: int
    channels: int
    device: str


def versions() -> dict[str, str]:
    """Versions of what a model's result depends on, as far as it is installed."""
    return stage.versions("av", "demucs", "torch")


def fingerprint(name: str, origin: Origin = HERE) -> str | None:
    """SHA-256 of a model's files, read without network; None if there is no model to be loaded.

    Of several files it is the hash of their names and hashes.

    Args:
        name: see the module.
        origin: of the recipe that names it.
    """
    try:
        found = _find(name, origin)
        files = _files(found) if found else []
    except OsslError:  # `load` raises it again
        return None
    if not files or not all(file.is_file() for file in files):
        return None
    hashes = {file.name: sha256_remembered(file) for file in files}
    if len(hashes) == 1:
        return hashes.popitem()[1]
    return hashlib.sha256(repr(sorted(hashes.items())).encode()).hexdigest()


def load(name: str, device: str, origin: Origin = HERE) -> Model:
    """Load a model, from the hub if it is not here; the last one stays loaded for the next call.

    Args:
        name: see the module.
        device: `cpu`, `cuda`, or `auto` for CUDA where there is a GPU.
        origin: of the recipe that names it.

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
    chosen = hub.choose_device(device, "stems.device")
    found = _find(name, origin) or _download(name, origin)
    return _load(name, found, fingerprint(name, origin), chosen, origin.trusts_models)


@lru_cache(maxsize=1)
def _load(name: str, found: Path, sha256: str | None, device: str, is_trusted: bool) -> Model:
    """Load the file `found`; `sha256` makes a changed file another model."""
    from safetensors import SafetensorError

    try:
        model = _read(found, is_trusted)
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
            "Give a model that Demucs saved, or a name it knows."
            + ("" if is_trusted else f" {TRUST}"),
        ) from error


def _read(found: Path, is_trusted: bool) -> Any:
    """The module, or Demucs' BagOfModels, of a file."""
    from demucs.apply import BagOfModels
    from demucs.hf import load_safetensors_model
    from demucs.states import load_model

    if found.suffix == ".yaml":
        bag = parse.yaml_file(found)
        parts = [_read(file, is_trusted) for file in _files(found)[1:]]
        return BagOfModels(parts, bag.get("weights"), bag.get("segment"))
    if not is_trusted:
        return model_file.read(found)
    return load_safetensors_model(found) if found.suffix == ".safetensors" else load_model(found)


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
    for kind in (".yaml", ".safetensors", ".th"):
        files = sorted(path.glob(f"*{kind}"))
        if len(files) == 1:
            return files[0]
        if files:
            break
    raise OsslError(
        "model_invalid",
        f"The folder {path} has no model, or several.",
        "Give one of its .safetensors, .th or .yaml files as stems.model.",
    )


def _files(found: Path) -> list[Path]:
    """All files of a model: itself, and those beside it that a bag's `.yaml` names."""
    if found.suffix != ".yaml":
        return [found]
    try:
        names = [str(part) for part in parse.yaml_file(found)["models"]]
    except (KeyError, OSError, TypeError, ValueError) as error:
        raise OsslError(
            "model_invalid", f"{found} names no models.", "Give a bag as Demucs writes it."
        ) from error
    parts = []
    for part in names:
        if not MEMBER.fullmatch(part):
            raise OsslError(
                "model_invalid",
                f"{found} names the model {parse.shown(part)}, which is missing beside it.",
                "Give a bag as Demucs writes it.",
            )
        # Demucs' own repositories put a checksum behind the name: 955717e8-8726e21a.th
        kept = sorted(found.parent.glob(f"{part}*.safetensors"))
        kept += sorted(found.parent.glob(f"{part}*.th"))
        parts.append(kept[0] if kept else found.parent / f"{part}.safetensors")
    return [found, *parts]


def _cached(name: str) -> Path | None:
    """The bag's file in the hub's cache, beside its parts; no network."""
    space, bag = _hub_name(name)
    cached = hub.cached_files(f"{space}/{_repository(bag)}", [f"{bag}.yaml"])
    if cached is None or not all(file.is_file() for file in _files(cached[0])):
        return None
    return cached[0]


def _check_known(name: str, origin: Origin) -> None:
    """Check that Demucs itself knows a name on the hub, or that the user trusts it.

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
    except (OSError, ValueError) as error:  # all of the hub's errors are one of these
        hint = f"{WITHOUT_HUB} A path begins with `/`, `./` or `~`."
        raise hub.unavailable(f"The model {name!r}", error, hint) from error
    found = _cached(name)
    if found is None:
        raise OsslError(
            "model_unavailable",
            f"{name!r} was downloaded, but it is not in the cache.",
            WITHOUT_HUB,
        )
    return found


def _hub_name(name: str) -> tuple[str, str]:
    """Namespace (Demucs' author's where none is given) and name."""
    space, _, bag = name.removeprefix("hf://").rpartition("/")
    return space or HUB_SPACE, bag


def _repository(bag: str) -> str:
    """The hub's repository of a model, as `demucs.hf.hf_repo_name` has it (which needs torch)."""
    if bag == "htdemucs":
        return "HTDemucs"
    if bag.startswith("htdemucs_"):
        return f"HTDemucs-{bag.removeprefix('htdemucs_')}"
    return f"Demucs-{bag}"
