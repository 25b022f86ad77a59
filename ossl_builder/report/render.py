"""Writing the report: the index, a page per film, and only those that have changed."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from ossl_builder import __version__, files
from ossl_builder.annotations import agreement, label_schema, records
from ossl_builder.annotations.records import Annotation
from ossl_builder.config import Recipe
from ossl_builder.corpus import Corpus
from ossl_builder.engine.cache import MadeFiles
from ossl_builder.errors import OsslError
from ossl_builder.files import existing
from ossl_builder.pipeline.status import status
from ossl_builder.report import data as reading
from ossl_builder.report import film_page, index_page, loudness_curves, warnings
from ossl_builder.report.charts import clock
from ossl_builder.report.data import Contents
from ossl_builder.report.film_page import Place, page_of
from ossl_builder.report.warnings import Measures, Warned
from ossl_builder.splits import leaks
from ossl_builder.tables import CLIPS, LABELS, SPLITS
from ossl_builder.tables.labels import QUADRANTS
from ossl_builder.templates import Render, renderer

TEMPLATES = Path(__file__).with_name("templates")
ASSETS = ("report.css", "index.js", "film.js")
INDEX = "index.html"
STATE = ".report.json"
# Curves are kept here: they are the one thing that takes time.
KEPT = ".curves"

Counted = Callable[[Sequence[str]], Iterable[str]]


@dataclass
class Written:
    """What was written, or would be.

    Attributes:
        out: the report's folder.
        pages: the films' pages that were written.
        kept: pages that were as they should be.
        removed: pages of films that are no more.
        index: whether the index was written.
        warnings: warnings in all; in a dry run without those of films whose page would be written.
    """

    out: Path
    pages: list[str] = field(default_factory=list)
    kept: int = 0
    removed: list[str] = field(default_factory=list)
    index: bool = False
    warnings: int = 0


@dataclass(frozen=True)
class _Findings:
    """What concerns several films.

    Attributes:
        answers: annotations of clips that are here, by film.
        agreed, disagreed: as of `annotations.agreement`.
        warned: warnings from these and from shared material, by film.
    """

    answers: Mapping[str, list[Annotation]]
    agreed: Sequence[agreement.Agreement]
    disagreed: Sequence[agreement.Disagreement]
    warned: Mapping[str, list[Warned]]


def write(
    corpus: Corpus, recipe: Recipe, out: Path, title: str, dry_run: bool, counted: Counted
) -> Written:
    """Write what of a corpus' report is missing or no longer true; the caller holds the lock.

    Args:
        corpus: the corpus.
        recipe: its recipe.
        out: the report's folder, made if need be.
        title: what the corpus is called on its pages.
        dry_run: write nothing.
        counted: hands on the films one by one and may show how far it is.

    Raises:
        OsslError: `folder_not_empty`, `not_installed`, `table_version`, `annotations_damaged`,
            `taxonomy_invalid`, `audio_unreadable`.
    """
    _check(out)
    contents = reading.read(corpus)
    questions = label_schema.load(corpus.root)
    found = _findings(contents, recipe, questions)
    made = MadeFiles(out, out / STATE)
    render = renderer(TEMPLATES)
    shared = {"builder": __version__, "clock": clock, "corpus_title": title}
    shared["questions"] = [one.name for one in questions.questions]
    made_by = [_program(), title, shared["questions"]]
    written = Written(out)
    told: list[Warned] = []
    state_now = status(corpus, recipe)
    for film_id in counted(contents.film_ids):
        notices = [entry for entry in state_now["warnings"] if entry["film_id"] == film_id]
        page = _Page(contents, film_id, found, notices, Place(corpus.root, out.resolve()))
        name = page_of(film_id)
        digest = files.sha256_json([made_by, page.data, page.curves_key])
        if made.is_fresh(name, digest):
            kept = made.facts(name).get("measures", {})
            measured = {clip_id: Measures(*values) for clip_id, values in kept.items()}
            written.kept += 1
        else:
            measured = {} if dry_run else page.write(out, render, shared)
            written.pages.append(name)
            if not dry_run:
                plain = {clip_id: list(asdict(one).values()) for clip_id, one in measured.items()}
                made.add(name, digest, measures=plain)
        told += [*page.warned, *warnings.of_measures(film_id, measured)]
    written.warnings = len(told)
    written.removed = sorted(made.names() - {page_of(film_id) for film_id in contents.film_ids})
    moods = {name: questions.mood(name) for name in _asked(questions)}
    data = index_page.index_data(contents, told, found.agreed, found.disagreed, state_now, moods)
    text = render(INDEX, {**shared, **data, "title": title}).encode()
    written.index = not _holds(out / INDEX, text)
    if not dry_run:
        _put(out, text if written.index else None, made, written.removed)
    return written


class _Page:
    """One film's page: its data, warnings from its tables, and the key of its curves."""

    def __init__(
        self,
        contents: Contents,
        film_id: str,
        found: _Findings,
        notices: Sequence[Mapping[str, str]],
        place: Place,
    ) -> None:
        self.film_id = film_id
        self.root = contents.corpus.root
        self.tables = contents.film(film_id)
        self.verdict = contents.verdicts.get(film_id)
        answers = found.answers.get(film_id, [])
        self.warned = [
            *found.warned.get(film_id, []),
            *warnings.of_notices(film_id, notices),
            *self._own_warnings(),
        ]
        self.data = film_page.film_data(
            film_id, self.tables, answers, self.warned, place, self.verdict
        )
        stems = self.tables["stems"]
        there = bool(stems) and all(existing(self.root, stem["path"]) for stem in stems)
        self.curves_key = loudness_curves.key_of(stems) if there else None

    def _own_warnings(self) -> Iterator[Warned]:
        yield from warnings.of_film(self.verdict, self.tables, self.film_id)
        labels = {row["clip_id"]: row for row in self.tables["labels"]}
        for clip in self.tables["clips"]:
            missing = film_page.missing_files(clip, self.root)
            yield from warnings.of_clip(clip, labels.get(clip["clip_id"]), missing)

    def write(self, out: Path, render: Render, shared: Mapping[str, Any]) -> dict[str, Measures]:
        """Measure the film's stems, unless that was done before, and write the page."""
        kept = out / KEPT / f"{self.film_id}.json"
        drawn = loudness_curves.curves_of(self.root, self.tables["stems"], kept)
        measured = {}
        if drawn is not None:
            clips = self.tables["clips"]
            measured = {clip["clip_id"]: warnings.measures_of(clip, drawn) for clip in clips}
        more = warnings.of_measures(self.film_id, measured)
        values = film_page.with_curves(self.data, drawn, more)
        files.write_bytes(
            out / page_of(self.film_id), render("film.html", {**shared, **values}).encode()
        )
        return measured


def _findings(contents: Contents, recipe: Recipe, questions: label_schema.LabelSchema) -> _Findings:
    root = contents.corpus.root
    clips = contents.columns_of(CLIPS, ["film_id", "clip_id"])
    places = {(row["film_id"], row["clip_id"]) for row in clips}
    given = [one for one in records.read_all(root) if (one.film_id, one.clip_id) in places]
    agreed = []
    if given:
        agreed = agreement.group_agreement(
            agreement.film_groups(given, questions)[0], questions, recipe.labels
        )
    disagreed = agreement.most_disagreed(given, questions)
    columns = ["film_id", "clip_id", "majority_quadrant", "dawid_skene_quadrant"]
    told = list(warnings.of_answers(disagreed, contents.columns_of(LABELS, columns)))
    prints = leaks.load_fingerprints(contents.folder)
    if prints is not None:
        alike = leaks.find_matches(prints, recipe.splits)
        splits = contents.columns_of(SPLITS, ["film_id", "split"])
        stands = [(row["film_id"], row["split"]) for row in splits if row["split"]]
        told += warnings.of_matches(alike, leaks.find_leaks(stands, alike))
    answers: dict[str, list[Annotation]] = {}
    for one in given:
        answers.setdefault(one.film_id, []).append(one)
    warned: dict[str, list[Warned]] = {}
    for each in told:
        warned.setdefault(each.film_id, []).append(each)
    return _Findings(answers, agreed, disagreed, warned)


def _asked(questions: label_schema.LabelSchema) -> tuple[str, ...]:
    return QUADRANTS if questions.question("quadrant") is not None else ()


def _check(out: Path) -> None:
    """No other page is overwritten."""
    if (out / INDEX).exists() and not (out / STATE).exists():
        raise OsslError(
            "folder_not_empty",
            f"{out} has an {INDEX} that was not written by `ossl report`.",
            "Choose another folder with --out.",
        )


def _program() -> str:
    """What makes the pages, as a hash: templates and code."""
    folder = Path(__file__).parent
    paths = [*folder.glob("*.py"), *TEMPLATES.iterdir()]
    found = {path.name: files.sha256_file(path) for path in paths if path.is_file()}
    return files.sha256_json([__version__, found])


def _holds(path: Path, data: bytes) -> bool:
    return path.exists() and path.read_bytes() == data


def _put(out: Path, index: bytes | None, made: MadeFiles, gone: Sequence[str]) -> None:
    """Write the index and the assets, remove the pages of films that are gone."""
    for name in ASSETS:
        data = (TEMPLATES / name).read_bytes()
        if not _holds(out / name, data):
            files.write_bytes(out / name, data)
    if index is not None:
        files.write_bytes(out / INDEX, index)
    for name in gone:
        (out / name).unlink(missing_ok=True)
        (out / KEPT / f"{Path(name).stem.removeprefix('film-')}.json").unlink(missing_ok=True)
    made.forget(gone)
    made.save()
