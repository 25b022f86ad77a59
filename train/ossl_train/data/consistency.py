"""Check that stored features, codes and text match each other, the recipe and the clips."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ossl_builder.errors import OsslError
from ossl_builder.models.hub import NOT_HERE
from ossl_builder.tables import Clip
from ossl_train.data.features import encoder_digest
from ossl_train.data.source import Source, SplitClip
from ossl_train.data.storage import (
    CODES,
    COMMANDS,
    FEATURES,
    KINDS,
    TEXT,
    read_metadata,
    store_path,
    window_key,
)
from ossl_train.data.windows import WindowSpan
from ossl_train.recipe import TrainRecipe

if TYPE_CHECKING:
    from ossl_train.musicgen.model import Backbone

# What the metadata of a store say of single clips; the rest holds for a whole run.
PER_CLIP_KEYS = ("clips", "dialogue", "windows", "silent", "prompts")


@dataclass(frozen=True)
class StoresOfKind:
    """The stores of one kind.

    Attributes:
        made: what all of them say alike.
        of: what each says, by film.
    """

    made: Mapping[str, Any]
    of: Mapping[str, Mapping[str, Any]]


def read_matching_stores(
    source: Source, recipe: TrainRecipe, needed: Collection[str]
) -> dict[str, StoresOfKind]:
    """The stores by kind, each found to be of one make, which is the recipe's.

    Args:
        source: all its films are looked at, so that train and validation cannot differ.
        recipe: what the run is to be.
        needed: films that must have a store of each kind.

    Raises:
        OsslError: `<kind>_missing`, `<kind>_mixed`, `features_differ`, `codes_differ`.
    """
    found = {kind: _of_one_make(source, kind, needed) for kind in KINDS}
    wanted: dict[str, Any] = recipe.windows.model_dump()
    digest = encoder_digest(recipe.features.encoder, recipe.features.revision)
    seen: dict[str, Any] = recipe.features.model_dump(include={"pooling", "precision"})
    if digest != NOT_HERE:  # the encoder itself is not needed any more
        seen["digest"] = digest
    _check_recipe(FEATURES, found[FEATURES].made, wanted | seen)
    _check_recipe(CODES, found[CODES].made, wanted | {"silent_dbfs": recipe.codes.silent_dbfs})
    return found


def _of_one_make(source: Source, kind: str, needed: Collection[str]) -> StoresOfKind:
    of: dict[str, Mapping[str, Any]] = {}
    missing = []
    for film_id in source.film_ids():
        try:
            of[film_id] = read_metadata(store_path(source.root, film_id, kind))
        except FileNotFoundError:
            missing += [film_id] if film_id in needed else []
    if missing:
        raise OsslError(
            f"{kind}_missing",
            f"{len(missing)} of {len(needed)} films have no {kind}: {', '.join(missing[:3])}"
            f"{', …' if len(missing) > 3 else ''}.",
            f"Run `{COMMANDS[kind]}` with this recipe.",
        )
    makes = {film_id: _make(said) for film_id, said in of.items()}
    first = min(makes)
    for film_id, make in sorted(makes.items()):
        for name in sorted({*make, *makes[first]}):
            if make.get(name) != makes[first].get(name):
                raise OsslError(
                    f"{kind}_mixed",
                    f"The {kind} of {first} and of {film_id} do not go together: {name} is "
                    f"{makes[first].get(name)!r} there and {make.get(name)!r} here.",
                    f"Run `{COMMANDS[kind]}` with this recipe: it makes again what differs.",
                )
    return StoresOfKind(makes[first], of)


def _make(said: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in said.items() if name not in PER_CLIP_KEYS}


def _check_recipe(kind: str, made: Mapping[str, Any], wanted: Mapping[str, Any]) -> None:
    for name, value in wanted.items():
        if made[name] != value:
            raise OsslError(
                f"{kind}_differ",
                f"The {kind} were made with {name} {made[name]!r}, and the recipe says {value!r}.",
                f"Run `{COMMANDS[kind]}` with this recipe, or take the recipe they were made with.",
            )


def check_clip_unchanged(
    one: SplitClip, prompt: str, stored: Mapping[str, StoresOfKind], recipe: TrainRecipe
) -> None:
    """See that a clip is still the one that was encoded.

    Raises:
        OsslError: `features_stale`, `codes_stale`, `text_stale`, `dialogue_missing`.
    """
    clip = one.clip
    now = {FEATURES: clip.video_sha256, CODES: clip.music_sha256, TEXT: prompt}
    for kind, value in now.items():
        said = stored[kind].of[clip.film_id]
        if said["prompts" if kind == TEXT else "clips"].get(clip.clip_id) != value:
            raise _stale(kind, clip)
    if not recipe.model.dialogue:
        return
    heard = stored[FEATURES].of[clip.film_id]["dialogue"].get(clip.clip_id)
    if heard != clip.dialogue_sha256:
        raise _stale(FEATURES, clip)
    if clip.dialogue_path is None:
        raise OsslError(
            "dialogue_missing",
            f"The recipe wants dialogue, and {clip.clip_id} has no dialogue stem.",
            "Use `--set model.dialogue=false`, or leave its film out.",
        )


def has_codes(clip: Clip, window: WindowSpan, stored: Mapping[str, StoresOfKind]) -> bool:
    """Whether a window's music is not silent.

    Raises:
        OsslError: `features_stale`, `codes_stale`, if the window is not stored at all.
    """
    key = window_key(clip.clip_id, window.index)
    codes = stored[CODES].of[clip.film_id]
    if key not in stored[FEATURES].of[clip.film_id]["windows"]:
        raise _stale(FEATURES, clip)
    if key not in codes["windows"] and key not in codes["silent"]:
        raise _stale(CODES, clip)
    return key in codes["windows"]


def _stale(kind: str, clip: Clip) -> OsslError:
    what = "its label" if kind == TEXT else "it"
    return OsslError(
        f"{kind}_stale",
        f"The stored {kind} of {clip.clip_id} are older than {what} is now.",
        f"Run `{COMMANDS[kind]}` with this recipe: only what changed is made again.",
    )


def check_backbone(made: Mapping[str, Mapping[str, Any]], backbone: Backbone) -> None:
    """See that codes and text are those of the model that is to learn from them.

    Args:
        made: of a `Dataset`.
        backbone: the model.

    Raises:
        OsslError: `codes_differ`, `text_differ`.
    """
    codec, width = made[CODES]["digest"], made[TEXT]["width"]
    if codec != backbone.codec_digest:
        raise OsslError(
            "codes_differ",
            f"The codes were made by the EnCodec of {made[CODES]['encoder']}, which is not that of "
            f"{backbone.source}.",
            f"Run `{COMMANDS[CODES]}` with this recipe.",
        )
    if width != backbone.shape.text_dim:
        raise OsslError(
            "text_differ",
            f"The text states are {width} wide, and {backbone.source} reads "
            f"{backbone.shape.text_dim}.",
            f"Run `{COMMANDS[TEXT]}` with this recipe.",
        )
