"""Section `cues` of a recipe."""

from typing import Literal

from pydantic import Field

from ossl_builder.engine.cache import UNSHAPING, only_where
from ossl_builder.engine.settings import Settings

# Both rules find music by its energy; `soundtrack` then keeps only cues that match a recording.
BY_ENERGY = only_where(rule=("energy", "soundtrack"))
TAGGER = only_where(rule=("tagger",))
SOUNDTRACK = only_where(rule=("soundtrack",))


class CuesSettings(Settings):
    """Section `cues` of a recipe: what counts as music, and where it begins and ends."""

    rule: Literal["energy", "tagger", "soundtrack"] = Field(
        "energy",
        description="how cues are found: by the energy of the stems, by an AudioSet tagger on the "
        "music stem (as OSSL v2), or by energy and then only what a folder of recordings holds "
        "(as OSSL v1)",
    )
    on_lu: float = Field(
        20.0, ge=0, le=60, json_schema_extra=BY_ENERGY,
        description="audio down to this far below the film's music is sure music, LU",
    )  # fmt: skip
    off_lu: float = Field(
        32.0, ge=0, le=60, json_schema_extra=BY_ENERGY,
        description="around sure music, audio down to this far below the film's music is music, LU",
    )  # fmt: skip
    gate_lufs: float = Field(
        -60.0, ge=-110, le=0, json_schema_extra=BY_ENERGY,
        description="nothing quieter is music, LUFS momentary",
    )  # fmt: skip
    noise_lu: float = Field(
        4.0, ge=0, le=40, json_schema_extra=BY_ENERGY,
        description="sure music is this far above steady noise, LU; half at edges",
    )  # fmt: skip
    on_share: float = Field(
        0.08, ge=0, le=1, json_schema_extra=BY_ENERGY,
        description="least share of sure music in the energy of all stems",
    )  # fmt: skip
    off_share: float = Field(
        0.03, ge=0, le=1, json_schema_extra=BY_ENERGY,
        description="least share of music around sure music",
    )  # fmt: skip
    sure_s: float = Field(
        1.0, ge=0, le=60, json_schema_extra=BY_ENERGY,
        description="least sure music, in all, that makes a cue, s",
    )  # fmt: skip
    bridge_s: float = Field(
        3.0, ge=0, le=60, json_schema_extra=BY_ENERGY,
        description="shorter gaps in music do not end a cue, s",
    )  # fmt: skip
    confirm: Literal["none", "yamnet"] = Field(
        "none",
        description="tagger that also has to find music in a cue; YAMNet runs offline on a CPU",
    )
    confirm_min: float = Field(
        0.3, ge=0, le=1, json_schema_extra=only_where(confirm=("yamnet",)),
        description="least probability of music, in a tenth of the cue, that confirms it",
    )  # fmt: skip
    min_s: float = Field(3.0, ge=0.1, le=600, description="shorter music is no cue, s")
    dialogue_lu: float = Field(
        15.0, ge=0, le=60,
        description="dialogue is heard down to this far below the film's dialogue, and below the "
        "music, LU",
    )  # fmt: skip
    # UNSHAPING: the stage's `tools` has the hash of the model's files, so the name does not count.
    tagger_model: str = Field(
        "MIT/ast-finetuned-audioset-10-10-0.4593", min_length=1, json_schema_extra=UNSHAPING,
        description="`tagger`: `yamnet`, or an AST classifier of AudioSet's 527 classes: a name on "
        "the Hugging Face hub, or a folder whose path begins with `/`, `./` or `~`",
    )  # fmt: skip
    tagger_window_s: float = Field(
        10.0, ge=0.5, le=10.24, json_schema_extra=TAGGER,
        description="`tagger`: how much it hears at a time, s; AudioSet's own excerpts last 10 s",
    )  # fmt: skip
    tagger_hop_s: float = Field(
        1.0, ge=0.1, le=10.24, json_schema_extra=TAGGER,
        description="`tagger`: from one window to the next, s; each tells of the hop in its middle",
    )  # fmt: skip
    tagger_max_other: float = Field(
        0.05, ge=0, json_schema_extra=TAGGER,
        description="`tagger`: a stretch is no cue if its classes other than music are together "
        "more probable than this, on average",
    )  # fmt: skip
    tagger_batch_size: int = Field(
        8, ge=1, le=256, json_schema_extra=UNSHAPING, description="`tagger`: windows at a time"
    )
    tagger_device: Literal["auto", "cpu", "cuda"] = Field(
        "auto", json_schema_extra=UNSHAPING,
        description="`tagger`: where it runs; auto: on a GPU if there is one",
    )  # fmt: skip
    recordings: str | None = Field(
        None, json_schema_extra=UNSHAPING,
        description="`soundtrack`: the folder of recordings, looked through with its sub-folders",
    )  # fmt: skip
    min_similarity: float = Field(
        0.7, ge=0, le=1, json_schema_extra=SOUNDTRACK,
        description="`soundtrack`: a cue whose chroma is less similar to every recording is left "
        "out",
    )  # fmt: skip
