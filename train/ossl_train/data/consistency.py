"""Check that stored features, codes and text match each other, the recipe and the clips."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ossl_builder.errors import OsslError
from ossl_builder.models.hub import NOT_HERE
from ossl_builder.tables import Clip
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
from ossl_train.data.video_encoder import encoder_digest, encoder_shape
from ossl_train.data.windows import WindowSpan
from ossl_train.recipe import TrainRecipe

if TYPE_CHECKING:
    from ossl_train.musicgen.model import Backbone

# Metadata of single clips. All other metadata must be equal in all films of a run.
PER_CLIP_KEYS = ("clips", "dialogue", "windows", "silent", "prompts")


@dataclass(frozen=True)
class StoresOfKind:
    """The stores of one kind.

    Attributes:
        made: the metadata that all films share.
        of: all metadata, by film.
    """

    made: Mapping[str, Any]
    of: Mapping[str, Mapping[str, Any]]


def read_matching_stores(
    source: Source, recipe: TrainRecipe, needed: Collection[str]
) -> dict[str, StoresOfKind]:
    """Read the metadata of all stores; check that films agree with each other and the recipe.

    Args:
        source: all of its films are checked, so that train and validation cannot differ.
        recipe: the recipe of the run.
        needed: films that must have a store of each kind.

    Raises:
        OsslError: `<kind>_missing`, `<kind>_mixed`, `features_differ`, `codes_differ`,
            `events_missing`.
    """
    stores = {kind: _read_kind(source, kind, needed) for kind in KINDS}
    wanted: dict[str, Any] = recipe.windows.stored()
    digest = encoder_digest(recipe.features.encoder, recipe.features.revision)
    encoded: dict[str, Any] = recipe.features.model_dump(include={"pooling", "precision"})
    if digest != NOT_HERE:  # training itself does not need the encoder
        encoded["digest"] = digest
        shape = encoder_shape(
            recipe.features.encoder, recipe.features.revision, recipe.features.frames
        )
        encoded["frames_per_window"] = shape.n_frames
    _check_recipe(FEATURES, stores[FEATURES].made, wanted | encoded)
    _check_recipe(CODES, stores[CODES].made, wanted | {"silent_dbfs": recipe.codes.silent_dbfs})
    if recipe.model.events and not stores[FEATURES].made.get("events"):
        raise OsslError(
            "events_missing",
            "The recipe uses events, and the features were made without them.",
            f"Run `{COMMANDS[FEATURES]} --set features.events=true` with this recipe, or use "
            "`--set model.events=false`.",
        )
    return stores


def _read_kind(source: Source, kind: str, needed: Collection[str]) -> StoresOfKind:
    metadata_by_film: dict[str, Mapping[str, Any]] = {}
    missing = []
    for film_id in source.film_ids():
        try:
            metadata_by_film[film_id] = read_metadata(store_path(source.root, film_id, kind))
        except FileNotFoundError:
            missing += [film_id] if film_id in needed else []
    if missing:
        raise OsslError(
            f"{kind}_missing",
            f"{len(missing)} of {len(needed)} films have no {kind}: {', '.join(missing[:3])}"
            f"{', …' if len(missing) > 3 else ''}.",
            f"Run `{COMMANDS[kind]}` with this recipe.",
        )
    shared_by_film = {
        film_id: _without_clips(metadata) for film_id, metadata in metadata_by_film.items()
    }
    first = min(shared_by_film)
    shared_of_first = shared_by_film[first]
    for film_id, shared in sorted(shared_by_film.items()):
        for name in sorted({*shared, *shared_of_first}):
            if shared.get(name) != shared_of_first.get(name):
                raise OsslError(
                    f"{kind}_mixed",
                    f"The {kind} of {first} and of {film_id} have different settings: {name} is "
                    f"{shared_of_first.get(name)!r} for the first, {shared.get(name)!r} for the "
                    "second.",
                    f"Run `{COMMANDS[kind]}` with this recipe: it encodes again what differs.",
                )
    return StoresOfKind(shared_of_first, metadata_by_film)


def _without_clips(metadata: Mapping[str, Any]) -> dict[str, Any]:
    """Return the metadata that all films of a run must share."""
    return {name: value for name, value in metadata.items() if name not in PER_CLIP_KEYS}


def _check_recipe(kind: str, made: Mapping[str, Any], wanted: Mapping[str, Any]) -> None:
    for name, value in wanted.items():
        stored = made.get(name)
        if stored != value:
            raise OsslError(
                f"{kind}_differ",
                f"The {kind} were made with {name} {stored!r}, and the recipe has {value!r}.",
                f"Run `{COMMANDS[kind]}` with this recipe, or use the recipe they were made with.",
            )


def check_clip_unchanged(
    split_clip: SplitClip, prompt: str, stored: Mapping[str, StoresOfKind], recipe: TrainRecipe
) -> None:
    """Check that a clip has not changed since it was encoded.

    Raises:
        OsslError: `features_stale`, `codes_stale`, `text_stale`, `dialogue_missing`.
    """
    clip = split_clip.clip
    now = {FEATURES: clip.video_sha256, CODES: clip.music_sha256, TEXT: prompt}
    for kind, value in now.items():
        metadata = stored[kind].of[clip.film_id]
        if metadata["prompts" if kind == TEXT else "clips"].get(clip.clip_id) != value:
            raise _stale(kind, clip)
    if not (recipe.model.dialogue or recipe.model.events):
        return
    stored_sha256 = stored[FEATURES].of[clip.film_id]["dialogue"].get(clip.clip_id)
    if stored_sha256 != clip.dialogue_sha256:
        raise _stale(FEATURES, clip)
    if recipe.model.dialogue and clip.dialogue_path is None:
        raise OsslError(
            "dialogue_missing",
            f"The recipe uses dialogue, and {clip.clip_id} has no dialogue stem.",
            "Use `--set model.dialogue=false`, or leave its film out.",
        )


def has_codes(clip: Clip, window: WindowSpan, stored: Mapping[str, StoresOfKind]) -> bool:
    """Return whether a window has codes; a silent window has none.

    Raises:
        OsslError: `features_stale`, `codes_stale`, if the window is not stored.
    """
    key = window_key(clip.clip_id, window.index)
    codes = stored[CODES].of[clip.film_id]
    if key not in stored[FEATURES].of[clip.film_id]["windows"]:
        raise _stale(FEATURES, clip)
    if key not in codes["windows"] and key not in codes["silent"]:
        raise _stale(CODES, clip)
    return key in codes["windows"]


def _stale(kind: str, clip: Clip) -> OsslError:
    changed = "label" if kind == TEXT else "media"
    return OsslError(
        f"{kind}_stale",
        f"The stored {kind} of {clip.clip_id} are older than its {changed}.",
        f"Run `{COMMANDS[kind]}` with this recipe: it encodes only what changed.",
    )


def check_backbone(made: Mapping[str, Mapping[str, Any]], backbone: Backbone) -> None:
    """Check that codes and text belong to the model that is trained.

    Args:
        made: metadata of a `Dataset`.
        backbone: the model.

    Raises:
        OsslError: `codes_differ`, `text_differ`.
    """
    codec, width = made[CODES]["digest"], made[TEXT]["width"]
    if codec != backbone.codec_digest:
        raise OsslError(
            "codes_differ",
            f"The codes were made by the EnCodec of {made[CODES]['encoder']}, and "
            f"{backbone.source} has another one.",
            f"Run `{COMMANDS[CODES]}` with this recipe.",
        )
    if width != backbone.shape.text_dim:
        raise OsslError(
            "text_differ",
            f"The text states are {width} wide, and {backbone.source} reads "
            f"{backbone.shape.text_dim}.",
            f"Run `{COMMANDS[TEXT]}` with this recipe.",
        )
