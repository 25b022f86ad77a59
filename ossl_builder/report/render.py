"""Write the report: an index and a page per film; unchanged pages are not written again."""

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
from ossl_builder.files import existing, leads_inside
from ossl_builder.pipeline.status import status
from ossl_builder.report import data as report_data
from ossl_builder.report import film_page, index_page, loudness_curves, stem_comparison, warnings
from ossl_builder.report.charts import clock
from ossl_builder.report.data import Contents
from ossl_builder.report.film_page import Place, page_of
from ossl_builder.report.warnings import Measures, Warned
from ossl_builder.splits import leaks
from ossl_builder.tables import CLIPS, LABELS, SPLITS
from ossl_builder.tables.labels import QUADRANTS
from ossl_builder.templates import Render, html_renderer

TEMPLATES = Path(__file__).with_name("templates")
ASSETS = ("report.css", "index.js", "film.js")
INDEX = "index.html"
STATE = ".report.json"
SAMPLES = "train/*/samples/index.html"
# The cache folder of the curves, because only their measurement takes time.
CURVES_FOLDER = ".curves"

Counted = Callable[[Sequence[str]], Iterable[str]]


@dataclass
class Written:
    """The result of writing the report, or of a dry run.

    Attributes:
        out: the report's folder.
        pages: the film pages that were written.
        kept: the number of pages that were up to date.
        removed: the pages of films that were removed.
        index: whether the index was written.
        warnings: the number of warnings; a dry run does not count warnings from curves of pages
            that would be written.
    """

    out: Path
    pages: list[str] = field(default_factory=list)
    kept: int = 0
    removed: list[str] = field(default_factory=list)
    index: bool = False
    warnings: int = 0


@dataclass(frozen=True)
class _Findings:
    """Results that need the data of several films.

    Attributes:
        answers: annotations of existing clips, by film.
        agreed, disagreed: results of `annotations.agreement`.
        warned: warnings about disagreement and shared material, by film.
    """

    answers: Mapping[str, list[Annotation]]
    agreed: Sequence[agreement.Agreement]
    disagreed: Sequence[agreement.Disagreement]
    warned: Mapping[str, list[Warned]]


def write(
    corpus: Corpus, recipe: Recipe, out: Path, title: str, dry_run: bool, counted: Counted
) -> Written:
    """Write the missing and outdated pages of a report; the caller must hold the corpus' lock.

    Args:
        corpus: the corpus.
        recipe: its recipe.
        out: the report's folder, created if it does not exist.
        title: the title of the pages.
        dry_run: write nothing.
        counted: yields the films one by one, and can show progress.

    Raises:
        OsslError: `folder_not_empty`, `not_installed`, `table_version`, `annotations_damaged`,
            `taxonomy_invalid`, `audio_unreadable`.
    """
    _refuse_foreign_index(out)
    contents = report_data.read(corpus)
    questions = label_schema.load(corpus.root)
    findings = _find(contents, recipe, questions)
    made_files = MadeFiles(out, out / STATE)
    render = html_renderer(TEMPLATES)
    shared = {"builder": __version__, "clock": clock, "corpus_title": title}
    shared["questions"] = [question.name for question in questions.questions]
    made_by = [_program_hash(), title, shared["questions"]]
    written = Written(out)
    all_warnings: list[Warned] = []
    state_now = status(corpus, recipe)
    for film_id in counted(contents.film_ids):
        notices = [entry for entry in state_now["warnings"] if entry["film_id"] == film_id]
        page = _Page(contents, film_id, findings, notices, Place(corpus.root, out.resolve()))
        name = page_of(film_id)
        digest = files.sha256_json([made_by, page.data, page.curves_key])
        if made_files.is_fresh(name, digest):
            stored = made_files.facts(name).get("measures", {})
            measured = {clip_id: Measures(*values) for clip_id, values in stored.items()}
            written.kept += 1
        else:
            measured = {} if dry_run else page.write(out, render, shared)
            written.pages.append(name)
            if not dry_run:
                plain = {
                    clip_id: list(asdict(measures).values())
                    for clip_id, measures in measured.items()
                }
                made_files.add(name, digest, measures=plain)
        all_warnings += [*page.warned, *warnings.of_measures(film_id, measured)]
    written.warnings = len(all_warnings)
    written.removed = sorted(
        made_files.names() - {page_of(film_id) for film_id in contents.film_ids}
    )
    quadrants = QUADRANTS if questions.question("quadrant") is not None else ()
    moods = {name: questions.mood(name) for name in quadrants}
    data = index_page.index_data(
        contents, all_warnings, findings.agreed, findings.disagreed, state_now, moods
    )
    data["has_stems"] = (out / stem_comparison.PAGE).exists()
    data["samples"] = _sample_pages(Place(corpus.root, out.resolve()))
    text = render(INDEX, {**shared, **data, "title": title}).encode()
    written.index = not _has_content(out / INDEX, text)
    if not dry_run:
        _write_other_files(out, text if written.index else None, made_files, written.removed)
    return written


class _Page:
    """One film's page: its data, warnings from its tables, and the key of its curves."""

    def __init__(
        self,
        contents: Contents,
        film_id: str,
        findings: _Findings,
        notices: Sequence[Mapping[str, str]],
        folders: Place,
    ) -> None:
        self.film_id = film_id
        self.root = contents.corpus.root
        self.tables = contents.film(film_id)
        self.verdict = contents.verdicts.get(film_id)
        answers = findings.answers.get(film_id, [])
        self.warned = [
            *findings.warned.get(film_id, []),
            *warnings.of_notices(film_id, notices),
            *self._own_warnings(),
        ]
        self.data = film_page.film_data(
            film_id, self.tables, answers, self.warned, folders, self.verdict
        )
        stems = self.tables["stems"]
        has_stems = bool(stems) and all(existing(self.root, stem["path"]) for stem in stems)
        self.curves_key = loudness_curves.key_of(stems) if has_stems else None

    def _own_warnings(self) -> Iterator[Warned]:
        yield from warnings.of_film(self.verdict, self.tables, self.film_id)
        labels = {row["clip_id"]: row for row in self.tables["labels"]}
        for clip in self.tables["clips"]:
            missing = film_page.missing_files(clip, self.root)
            yield from warnings.of_clip(clip, labels.get(clip["clip_id"]), missing)

    def write(self, out: Path, render: Render, shared: Mapping[str, Any]) -> dict[str, Measures]:
        """Measure the film's stems, unless their curves are cached, and write the page."""
        cache_path = out / CURVES_FOLDER / f"{self.film_id}.json"
        curves = loudness_curves.curves_of(self.root, self.tables["stems"], cache_path)
        measured = {}
        if curves is not None:
            clips = self.tables["clips"]
            measured = {clip["clip_id"]: warnings.measures_of(clip, curves) for clip in clips}
        curve_warnings = warnings.of_measures(self.film_id, measured)
        values = film_page.with_curves(self.data, curves, curve_warnings)
        files.write_bytes(
            out / page_of(self.film_id), render("film.html", {**shared, **values}).encode()
        )
        return measured


def _find(contents: Contents, recipe: Recipe, questions: label_schema.LabelSchema) -> _Findings:
    root = contents.corpus.root
    clips = contents.columns_of(CLIPS, ["film_id", "clip_id"])
    clip_keys = {(row["film_id"], row["clip_id"]) for row in clips}
    annotations = [
        annotation
        for annotation in records.read_all(root)
        if (annotation.film_id, annotation.clip_id) in clip_keys
    ]
    agreed = []
    if annotations:
        agreed = agreement.group_agreement(
            agreement.film_groups(annotations, questions)[0], questions, recipe.labels
        )
    disagreed = agreement.most_disagreed(annotations, questions)
    columns = ["film_id", "clip_id", "majority_quadrant", "dawid_skene_quadrant"]
    warned_list = list(warnings.of_answers(disagreed, contents.columns_of(LABELS, columns)))
    fingerprints = leaks.load_fingerprints(contents.folder)
    if fingerprints is not None:
        matches = leaks.find_matches(fingerprints, recipe.splits)
        splits = contents.columns_of(SPLITS, ["film_id", "split"])
        split_pairs = [(row["film_id"], row["split"]) for row in splits if row["split"]]
        warned_list += warnings.of_matches(matches, leaks.find_leaks(split_pairs, matches))
    answers: dict[str, list[Annotation]] = {}
    for annotation in annotations:
        answers.setdefault(annotation.film_id, []).append(annotation)
    warned: dict[str, list[Warned]] = {}
    for warning in warned_list:
        warned.setdefault(warning.film_id, []).append(warning)
    return _Findings(answers, agreed, disagreed, warned)


def _sample_pages(folders: Place) -> list[dict[str, str]]:
    """Return name and page of the training runs in the corpus that have samples to be heard."""
    root = folders.corpus
    pages = [path.relative_to(root) for path in sorted(root.glob(SAMPLES))]
    return [
        {"run": page.parts[1], "page": folders.address(page.as_posix())}
        for page in pages
        if leads_inside(root, root / page)
    ]


def _refuse_foreign_index(out: Path) -> None:
    """Raise an error if the folder has an index that this program did not write."""
    if (out / INDEX).exists() and not (out / STATE).exists():
        raise OsslError(
            "folder_not_empty",
            f"{out} has an {INDEX} that was not written by `ossl report`.",
            "Choose another folder with --out.",
        )


def _program_hash() -> str:
    """Return the hash of templates and code, which decide the content of the pages."""
    folder = Path(__file__).parent
    paths = [*folder.glob("*.py"), *TEMPLATES.iterdir()]
    hashes = {path.name: files.sha256_file(path) for path in paths if path.is_file()}
    return files.sha256_json([__version__, hashes])


def _has_content(path: Path, data: bytes) -> bool:
    return path.exists() and path.read_bytes() == data


def _write_other_files(
    out: Path, index: bytes | None, made_files: MadeFiles, removed: Sequence[str]
) -> None:
    """Write the index and the assets, and delete the pages of removed films."""
    for name in ASSETS:
        data = (TEMPLATES / name).read_bytes()
        if not _has_content(out / name, data):
            files.write_bytes(out / name, data)
    if index is not None:
        files.write_bytes(out / INDEX, index)
    for name in removed:
        (out / name).unlink(missing_ok=True)
        (out / CURVES_FOLDER / f"{Path(name).stem.removeprefix('film-')}.json").unlink(
            missing_ok=True
        )
    made_files.forget(removed)
    made_files.save()
