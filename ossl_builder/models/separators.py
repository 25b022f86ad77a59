"""Choose the separation models of a recipe: one, or several whose stems are averaged (a bag).

`stems.model` is the name of a model (see `demucs_model`), or several names, joined by `+` or as a
list: `bundled+spleeter`. All are run on the same decoded audio.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ossl_builder.engine import stage
from ossl_builder.engine.settings import HERE, Origin, is_path
from ossl_builder.errors import OsslError
from ossl_builder.models import demucs, demucs_model
from ossl_builder.models.demucs import Member


@dataclass(frozen=True)
class Separator:
    """The models of a recipe.

    Attributes:
        members: the models.
        roles: the stems, in the order of the members' `stems`: music, dialogue, and effects if a
            model separates them.
    """

    members: tuple[Member, ...]
    roles: tuple[str, ...]

    @property
    def rate(self) -> int:
        """Sample rate of the audio, in Hz."""
        return self.members[0].model.rate

    @property
    def channels(self) -> int:
        """Number of channels of the audio."""
        return self.members[0].model.channels


def names_of(model: str | Sequence[str]) -> tuple[str, ...]:
    """Return the names of the models in `stems.model`; a path is one name, whatever it contains."""
    if not isinstance(model, str):
        return tuple(model)
    return (model,) if is_path(model) else tuple(model.split("+"))


def load(
    model: str | Sequence[str],
    weights: Mapping[str, Mapping[Any, float]],
    roles: Mapping[str, str],
    device: str,
    origin: Origin = HERE,
) -> Separator:
    """Load the models of a recipe.

    Args:
        model: value of `stems.model`.
        weights: for a model, by name, its weight in the average of each role; 1 where not given.
        roles: role of each source whose name is not known.
        device: `cpu`, `cuda`, or `auto`.
        origin: origin of the recipe.

    Raises:
        OsslError: `model_invalid` (models of different rates or channels, an unknown name in
            `weights`, only weights of 0), `role_missing`, and those of `demucs_model.load` and
            `demucs.roles`.
    """
    names = names_of(model)
    unknown = sorted(set(weights) - set(names))
    if unknown:
        raise OsslError(
            "model_invalid",
            f"stems.weights names {', '.join(unknown)}, which stems.model does not use.",
            f"It uses {', '.join(names)}.",
        )
    models = [demucs_model.load(name, device, origin) for name in names]
    first = models[0]
    for name, other in zip(names[1:], models[1:], strict=True):
        if (other.rate, other.channels) != (first.rate, first.channels):
            raise OsslError(
                "model_invalid",
                f"{name} works on {other.channels} channels at {other.rate} Hz, {names[0]} on "
                f"{first.channels} at {first.rate} Hz.",
                "Use models of one rate and number of channels in stems.model.",
            )
    all_sources = list(dict.fromkeys(source for loaded in models for source in loaded.sources))
    demucs.check_sources(all_sources, roles)
    sources_by_role = [
        demucs.roles(loaded.sources, {s: r for s, r in roles.items() if s in loaded.sources})
        for loaded in models
    ]
    present = tuple(role for role in demucs.ROLE_ORDER if any(role in s for s in sources_by_role))
    members = tuple(
        Member(
            model=loaded,
            stems=tuple(sources.get(role, ()) for role in present),
            weights=tuple(float(weights.get(name, {}).get(role, 1.0)) for role in present),
        )
        for name, loaded, sources in zip(names, models, sources_by_role, strict=True)
    )
    for index, role in enumerate(present):
        if not any(member.weights[index] for member in members if member.stems[index]):
            raise OsslError(
                "model_invalid",
                f"All models that separate {role} have the weight 0 in stems.weights.",
                "Give at least one of them a weight above 0.",
            )
    return Separator(members, present)


def versions(model: str | Sequence[str]) -> dict[str, str]:
    """Return the versions of the installed packages that the result depends on."""
    packages = ["av", "demucs", "torch"]
    if any(map(demucs_model.is_enhancer, names_of(model))):
        packages.append("onnxruntime")
    return stage.versions(*packages)


def fingerprint(model: str | Sequence[str], origin: Origin = HERE) -> str | None:
    """Return the SHA-256 of the models' files; None if one cannot be loaded. No network."""
    hashes = [demucs_model.fingerprint(name, origin) for name in names_of(model)]
    if None in hashes:
        return None
    if len(hashes) == 1:
        return hashes[0]
    return hashlib.sha256(repr(hashes).encode()).hexdigest()
