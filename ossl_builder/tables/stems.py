"""The stems table: the mix and the separated audio of a film, aligned in time."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from ossl_builder.tables.schema import Span, Table, column

ROLES = ("mix", "music", "dialogue", "effects")


@dataclass(frozen=True)
class Stem:
    """One stem, or the mix, of a film as FLAC. Sample 0 is at the time of the first frame."""

    film_id: str = column("the film")
    role: str = column("`mix`, `music`, `dialogue`, or `effects` if the model separates them")
    path: str = column("FLAC file, relative to the corpus")
    sha256: str = column("SHA-256 of that file")
    sample_rate: int = column("sample rate; it is that of the model", "Hz")
    channels: int = column("number of channels")
    n_samples: int = column("samples per channel, equal for all stems of a film", "samples")
    duration_s: float = column("n_samples / sample_rate", "s")
    loudness_lufs: float | None = column(
        "integrated loudness (EBU R 128); empty: silent throughout", "LUFS"
    )
    peak_dbfs: float | None = column("sample peak; empty: digital silence", "dBFS")
    model: str = column("the separation model, as named in the recipe")
    damaged_spans: tuple[Span, ...] = column(
        "intervals of silence in place of audio that could not be decoded", "s"
    )


def _check(rows: Sequence[Stem]) -> Iterable[str]:
    roles = {row.role for row in rows}
    if rows and not {"mix", "music"} <= roles:
        yield f"film {rows[0].film_id} lacks its mix or its music"
    for row in rows:
        if row.role not in ROLES:
            yield f"stem {row.path} has the role {row.role!r}"
        if row.n_samples <= 0 or row.sample_rate <= 0 or row.channels <= 0:
            yield f"stem {row.path} is empty"
        if abs(row.duration_s * row.sample_rate - row.n_samples) > 1e-3:
            yield f"stem {row.path} has a duration that is not its samples'"
    if len({(row.n_samples, row.sample_rate) for row in rows}) > 1:
        yield f"the stems of film {rows[0].film_id} differ in length or rate"


STEMS = Table(
    name="stems",
    doc="One row per stem of a film, and one for its mix.",
    row=Stem,
    version=1,
    key=("film_id", "role"),
    check=_check,
)
