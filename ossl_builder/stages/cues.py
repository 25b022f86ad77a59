"""Cues: where there is music, from the stems alone."""

from __future__ import annotations

from importlib.metadata import version

from ossl_builder.engine.stage import Item, Outcome, Reject, Stage
from ossl_builder.stages.cue_curves import HOP_S, dialogue_heard, find_music, stem_curves
from ossl_builder.stages.cues_settings import CuesSettings
from ossl_builder.tables.cues import CUES, Cue
from ossl_builder.tables.stems import Stem
from ossl_builder.tools import loudness
from ossl_builder.tools.flac import read_flac


def find_cues(item: Item) -> Outcome:
    """Find the stretches of music of a film.

    Raises:
        OsslError: `sound_unreadable`.
    """
    import numpy as np

    settings: CuesSettings = item.config
    stems: dict[str, Stem] = {row.role: row for row in item.rows["stems"]}
    curves = {
        role: stem_curves(read_flac(item.corpus / stem.path), stem.sample_rate)
        for role, stem in stems.items()
        if role != "mix"
    }
    music = curves.pop("music")
    nothing = np.zeros_like(music.power)
    others = sum((stem.power for stem in curves.values()), nothing)
    heard = (
        dialogue_heard(curves["dialogue"], music.power, settings)
        if "dialogue" in curves
        else nothing.astype(np.bool_)
    )
    rows: list[Cue] = []
    rejects: list[Reject] = []
    for start, end in find_music(music, others, settings):
        start_s, end_s = round(start * HOP_S, 3), round(end * HOP_S, 3)
        lufs = loudness.integrated(music.power[start:end], HOP_S)
        peak = loudness.dbfs(float(music.peaks[start:end].max()))
        if end_s - start_s < settings.min_s:
            message = f"{end_s - start_s:.2f} s of music are less than {settings.min_s} s."
            rejects.append(Reject("too_short", message, start_s, end_s))
        elif lufs is None or peak is None:
            message = "The music is too soft for a loudness."
            rejects.append(Reject("too_soft", message, start_s, end_s))
        else:
            own, rest = float(music.power[start:end].sum()), float(others[start:end].sum())
            rows.append(
                Cue(
                    film_id=item.item_id,
                    cue_id=f"{item.item_id}_c{len(rows):03d}",
                    start_s=start_s,
                    end_s=end_s,
                    music_lufs=lufs,
                    music_peak_dbfs=peak,
                    music_share=own / (own + rest),
                    dialogue_share=float(heard[start:end].mean()),
                )
            )
        item.progress(end / len(music.power))
    return Outcome(tuple(rows), tuple(rejects))


def _tools(settings: CuesSettings) -> dict[str, str]:
    return {name: version(name) for name in ("numpy", "scipy")}


CUES_STAGE = Stage(
    name="cues",
    doc="Find where there is music.",
    version=1,
    reads=("stems",),
    writes=CUES,
    config=CuesSettings,
    run=find_cues,
    tools=_tools,
)
