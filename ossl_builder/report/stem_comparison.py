"""Write a page on which the stems of several separation models are heard at the same moments."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from itertools import zip_longest
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ossl_builder import __version__, files
from ossl_builder.corpus import Corpus
from ossl_builder.engine.cache import MadeFiles
from ossl_builder.errors import OsslError
from ossl_builder.files import existing, inside
from ossl_builder.media import loudness
from ossl_builder.media.audio_reader import FilmAudio
from ossl_builder.media.flac import FlacWriter, read_flac
from ossl_builder.media.stem_residual import ResidualMeter
from ossl_builder.models import demucs, separators
from ossl_builder.report import data as report_data
from ossl_builder.report.charts import area_path, clock, line_path
from ossl_builder.report.film_page import DRAWN_LUFS
from ossl_builder.tables import CLIPS, FILMS
from ossl_builder.templates import html_renderer

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Audio = NDArray[np.float32]

PAGE = "stems.html"
SCRIPT = "compare.js"
FOLDER = "stems"
STATE = ".stems.json"
TEMPLATES = Path(__file__).with_name("templates")
EXCERPT_S = 10.0
CONTEXT_S = 8.0
"""Audio on both sides that the models hear too, as they do in a whole film."""
ROLES = ("music", "dialogue")
DRAWN_STEP_S = 0.1

Counted = Callable[[Sequence["Excerpt"]], Iterable["Excerpt"]]


@dataclass(frozen=True)
class Excerpt:
    """A part of a clip.

    Attributes:
        clip: the row of the clip.
        title: title of its film.
        offset_s: start of the part, in seconds from the start of the clip.
        length_s: its length.
    """

    clip: dict[str, Any]
    title: str
    offset_s: float
    length_s: float

    @property
    def name(self) -> str:
        """The name of its folder."""
        return str(self.clip["clip_id"])


@dataclass
class Compared:
    """What was written, or would be.

    Attributes:
        page: the page.
        excerpts: the clips whose parts are on it.
        separated: number of excerpts that were separated now, over all models.
        kept: number of those that had been separated before.
    """

    page: Path
    excerpts: list[str] = field(default_factory=list)
    separated: int = 0
    kept: int = 0


def compare(
    corpus: Corpus, models: Sequence[str], out: Path, count: int, dry_run: bool, counted: Counted
) -> Compared:
    """Separate excerpts with each model, and write the page that plays them.

    Args:
        corpus: the corpus; its clips give the excerpts.
        models: values of `stems.model`.
        out: folder of the report.
        count: number of excerpts.
        dry_run: write nothing.
        counted: yields the excerpts one by one, and can show progress.

    Raises:
        OsslError: `no_clips`, `audio_unreadable`, and those of the models.
    """
    excerpts = choose(corpus, count)
    if not excerpts:
        raise OsslError(
            "no_clips",
            "No clip of the corpus has both a mix and stems, so there is nothing to compare.",
            "Build the corpus first: `ossl build`.",
        )
    compared = Compared(out / PAGE, [excerpt.name for excerpt in excerpts])
    made = MadeFiles(out / FOLDER, out / STATE)
    digests = {name: _digest(name, dry_run) for name in models}
    sections = []
    for excerpt in counted(excerpts):
        rows = []
        for number, name in enumerate(models, start=1):
            stems = [f"{excerpt.name}/{number}.{role}.flac" for role in ROLES]
            digest = files.sha256_json(
                [__version__, name, digests[name], separators.versions(name),
                 excerpt.clip["mix_sha256"], excerpt.offset_s, excerpt.length_s]
            )  # fmt: skip
            if all(made.is_fresh(stem, digest) for stem in stems):
                compared.kept += 1
            else:
                compared.separated += 1
                if dry_run:
                    continue
                model = _load(name)
                facts = _separate(corpus.root, excerpt, model, out / FOLDER, number)
                for stem in stems:
                    made.add(stem, digest, **facts)
            rows.append({"model": name, "number": number, **made.facts(stems[0])})
        sections.append(_section(excerpt, rows))
    if not dry_run:
        made.save()
        _write_page(out, corpus.root.name, list(models), sections)
    return compared


def _load(name: str) -> separators.Separator:
    return separators.load(name, {}, {}, "auto")


def _digest(name: str, dry_run: bool) -> str | None:
    """Return the digest of a model, which is fetched if necessary; in a dry run None instead."""
    digest = separators.fingerprint(name)
    if digest is None and not dry_run:
        _load(name)
        digest = separators.fingerprint(name)
    return digest


def choose(corpus: Corpus, count: int) -> list[Excerpt]:
    """Return the excerpts: of each film in turn the clips with most dialogue beside the music."""
    contents = report_data.read(corpus)
    titles = {
        row["film_id"]: row["title"] for row in contents.columns_of(FILMS, ["film_id", "title"])
    }
    columns = [
        "film_id", "clip_id", "start_s", "mix_path", "mix_sha256", "music_path", "dialogue_path",
        "duration_s", "dialogue_share", "sample_rate",
    ]  # fmt: skip
    by_film: dict[str, list[dict[str, Any]]] = {}
    for row in contents.columns_of(CLIPS, columns):
        paths = (row["mix_path"], row["music_path"], row["dialogue_path"])
        if all(path and existing(corpus.root, path) for path in paths):
            by_film.setdefault(row["film_id"], []).append(row)
    for rows in by_film.values():
        rows.sort(key=lambda row: (-min(row["dialogue_share"] or 0, 0.5), row["start_s"] or 0))
    in_turn = [row for group in zip_longest(*by_film.values()) for row in group if row]
    return [
        Excerpt(row, titles.get(row["film_id"]) or row["film_id"], *_best_part(corpus.root, row))
        for row in in_turn[:count]
    ]


def _best_part(root: Path, clip: dict[str, Any]) -> tuple[float, float]:
    """Return offset and length of the part in which the softer of the two stems is loudest."""
    import numpy as np

    length_s = min(EXCERPT_S, clip["duration_s"])
    powers = []
    for role in ROLES:
        path = inside(root, clip[f"{role}_path"])
        meter = loudness.measured(read_flac(path), clip["sample_rate"])
        powers.append(loudness.windowed(meter.power(), round(length_s / loudness.HOP_S)))
    softer = np.minimum(*(power[: min(map(len, powers))] for power in powers))
    return (int(softer.argmax()) * loudness.HOP_S if len(softer) else 0.0), length_s


def _separate(
    root: Path, excerpt: Excerpt, model: separators.Separator, folder: Path, number: int
) -> dict[str, Any]:
    """Write the stems of an excerpt; return what is said of them on the page."""
    import numpy as np

    path = inside(root, excerpt.clip["mix_path"])
    mix = np.concatenate(list(FilmAudio(path, model.rate, model.channels).blocks()), axis=1)
    first = max(0, round((excerpt.offset_s - CONTEXT_S) * model.rate))
    last = round((excerpt.offset_s + excerpt.length_s + CONTEXT_S) * model.rate)
    heard = mix[:, first:last]
    blocks = (heard[:, at : at + model.rate] for at in range(0, heard.shape[1], model.rate))
    separated = np.concatenate(list(demucs.separate(model.members, blocks)), axis=-1)
    begin = round(excerpt.offset_s * model.rate) - first
    part = slice(begin, begin + round(excerpt.length_s * model.rate))
    stems = {
        role: stem[:, part]
        for role, stem in zip(model.roles, separated, strict=True)
        if role in ROLES
    }
    target = inside(folder, excerpt.name)
    target.mkdir(parents=True, exist_ok=True)
    _write(target / "mix.flac", heard[:, part], model.rate)
    for role, stem in stems.items():
        _write(target / f"{number}.{role}.flac", stem, model.rate)
    return _facts(stems, model.rate)


def _write(path: Path, audio: Audio, rate: int) -> None:
    part = path.with_suffix(".part")
    with FlacWriter(part, rate, audio.shape[0]) as writer:
        writer.write(audio)
    part.replace(path)


def _facts(stems: dict[str, Audio], rate: int) -> dict[str, Any]:
    """Return loudness, residuals and drawn curves of the stems of an excerpt."""
    residual = ResidualMeter(rate)
    residual.add(stems["music"], stems["dialogue"])
    facts: dict[str, Any] = {"residuals": residual.residuals_db()}
    for role, draw in (("music", area_path), ("dialogue", line_path)):
        power = loudness.measured([stems[role]], rate, DRAWN_STEP_S).power()
        length_s = len(power) * DRAWN_STEP_S
        curve = loudness.lufs(loudness.windowed(power, 4)).tolist()
        facts[f"{role}_lufs"] = loudness.integrated(power, DRAWN_STEP_S)
        facts[f"{role}_curve"] = draw(curve, DRAWN_STEP_S, length_s, DRAWN_LUFS, len(curve))
    return facts


def _section(excerpt: Excerpt, rows: list[dict[str, Any]]) -> dict[str, Any]:
    start_s = (excerpt.clip["start_s"] or 0.0) + excerpt.offset_s
    return {
        "name": excerpt.name,
        "title": excerpt.title,
        "film_id": excerpt.clip["film_id"],
        "when": f"{clock(start_s)} to {clock(start_s + excerpt.length_s)}",
        "rows": rows,
    }


def _write_page(
    out: Path, corpus_title: str, models: list[str], sections: list[dict[str, Any]]
) -> None:
    render = html_renderer(TEMPLATES)
    values = {
        "builder": __version__, "corpus_title": corpus_title, "models": models,
        "sections": sections, "folder": FOLDER, "has_index": (out / "index.html").exists(),
    }  # fmt: skip
    for name in ("report.css", SCRIPT):
        files.write_bytes(out / name, (TEMPLATES / name).read_bytes())
    files.write_bytes(out / PAGE, render(PAGE, values).encode())
