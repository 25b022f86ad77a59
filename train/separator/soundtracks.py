"""Score separation models and cue rules on real soundtracks, which were marked second by second.

    python -m separator.soundtracks --model bundled spleeter [--set cues.confirm=yamnet] [--json]

`soundtracks.json` has the marks and their doubts. There are no true stems: what is measured is the
share of seconds with music in which the music stem carries it, the same of speech and the dialogue
stem, and the F1 score of the cues over frames of 0.1 s. Doubtful spans are left out.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

import ossl_builder.demo
from ossl_builder import parse
from ossl_builder.engine.stage import Item
from ossl_builder.media import loudness
from ossl_builder.media.audio_reader import FilmAudio
from ossl_builder.media.flac import FlacWriter
from ossl_builder.models import separators
from ossl_builder.stages.cues.settings import CuesSettings
from ossl_builder.stages.cues.stage import find_cues
from ossl_builder.tables.stems import Stem
from separator.score import FRAMES_PER_S, Audio, f1, frames_of, separate

MARKS = Path(__file__).with_name("soundtracks.json")
FILMS = Path(ossl_builder.demo.__file__).parent / "films"
CARRIES_DB = -10.0
"""A stem carries what is heard in a second if it has at least this level relative to the mix."""


def film_scores(
    mark: dict[str, Any], model: separators.Separator, cues: CuesSettings
) -> dict[str, Any]:
    """Return the scores of one film."""
    mix = np.concatenate(
        list(FilmAudio(FILMS / mark["file"], model.rate, model.channels).blocks()), axis=1
    )
    stems, _ = separate(model, mix)
    duration_s = mix.shape[1] / model.rate
    music, speech, doubt = (
        frames_of([tuple(span) for span in mark[kind]], duration_s)
        for kind in ("music", "speech", "doubt")
    )
    spans = cue_spans({"mix": mix, **stems}, model.rate, cues)
    claimed = frames_of(spans, duration_s)
    certain = ~doubt
    return {
        "film": mark["id"],
        "half": mark["half"],
        "music_carried": _carried(stems["music"], mix, music & certain, model.rate),
        "speech_carried": _carried(stems["dialogue"], mix, speech & certain, model.rate),
        "cue_f1": round(f1(claimed[certain], music[certain]), 3),
        "cues": [[round(start, 2), round(end, 2)] for start, end in spans],
        "music_lufs": loudness.integrated(loudness.measured([stems["music"]], model.rate).power()),
    }


def _carried(stem: Audio, mix: Audio, wanted: Any, rate: int) -> float | None:
    """Return the share of wanted frames in which the stem is near the level of the mix."""
    if not wanted.any():
        return None
    hop = rate // FRAMES_PER_S

    def level(audio: Audio) -> Any:
        count = min(len(wanted), audio.shape[1] // hop)
        blocks = np.square(audio[:, : count * hop]).mean(0).reshape(count, hop).mean(1)
        return 10 * np.log10(
            np.convolve(blocks, np.ones(FRAMES_PER_S) / FRAMES_PER_S, "same") + 1e-12
        )

    ours, all_of_it = level(stem), level(mix)
    near = ours > all_of_it + CARRIES_DB
    return round(float(near[wanted[: len(near)]].mean()), 3)


def cue_spans(
    stems: dict[str, Audio], rate: int, settings: CuesSettings
) -> list[tuple[float, float]]:
    """Return the cues that the stage `cues` finds in these stems, in seconds."""
    with tempfile.TemporaryDirectory() as folder:
        rows = []
        for role, audio in stems.items():
            path = Path(folder) / f"{role}.flac"
            with FlacWriter(path, rate, len(audio)) as writer:
                writer.write(audio)
            rows.append(
                Stem(
                    film_id="film", role=role, path=path.name, sha256="0" * 64, sample_rate=rate,
                    channels=len(audio), n_samples=audio.shape[1],
                    duration_s=audio.shape[1] / rate, loudness_lufs=None, peak_dbfs=None,
                    model="scored", damaged_spans=(),
                )
            )  # fmt: skip
        item = Item(
            item_id="film", corpus=Path(folder), folder=Path(folder), home="",
            rows={"stems": tuple(rows)}, config=settings, progress=lambda part: None, previous=(),
        )  # fmt: skip
        return [(row.start_s, row.end_s) for row in find_cues(item).rows]


def main() -> None:
    """Run from the command line."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--model", nargs="+", default=["bundled"], help="values of stems.model")
    parser.add_argument("--set", action="append", default=[], metavar="cues.KEY=VALUE",
                        help="settings of the stage cues")  # fmt: skip
    parser.add_argument("--half", choices=("choose", "test"), help="only this half")
    parser.add_argument("--json", action="store_true", help="print all figures as JSON")
    options = parser.parse_args()
    pairs = (setting.removeprefix("cues.").partition("=") for setting in options.set)
    cues = CuesSettings.model_validate_json(
        json.dumps({key: parse.yaml_value(value) for key, _, value in pairs})
    )
    marks = json.loads(MARKS.read_text())["films"]
    marks = [mark for mark in marks if options.half in (None, mark["half"])]
    results = []
    for name in options.model:
        model = separators.load(name, {}, {}, "cpu")
        results += [{"model": name, **film_scores(mark, model, cues)} for mark in marks]
    text = json.dumps(results, indent=1) if options.json else _table(results)
    sys.stdout.write(text + "\n")


def _table(results: Sequence[dict[str, Any]]) -> str:
    header = ("model", "film", "music carried", "speech carried", "cue F1", "music, LUFS", "cues")
    lines = [" | ".join(header), " | ".join(["---"] * len(header))]
    for row in results:
        cues = ", ".join(f"{start:g}–{end:g}" for start, end in row["cues"]) or "none"
        shares = ["–" if row[key] is None else f"{row[key]:.0%}"
                  for key in ("music_carried", "speech_carried")]  # fmt: skip
        lufs = "silent" if row["music_lufs"] is None else f"{row['music_lufs']:.1f}"
        lines.append(
            " | ".join([row["model"], row["film"], *shares, f"{row['cue_f1']:.3f}", lufs, cues])
        )
    return "\n".join(f"| {line} |" for line in lines)


if __name__ == "__main__":
    main()
