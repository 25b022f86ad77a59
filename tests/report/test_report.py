"""`ossl report`: which files are written, when, and for incomplete corpora."""

from __future__ import annotations

import json
from html import escape
from pathlib import Path

import pytest

from ossl_builder.corpus import create
from ossl_builder.files import write_bytes
from ossl_builder.tables import CLIPS, FILMS, LABELS
from tests.e2e.corpora import Ossl
from tests.films import make_silent
from tests.report.report_corpus import PHONE, Opened, copied
from tests.report.table_rows import clip, film, label, large, write_rows

HOSTILE = "</title><script>alert(1)</script> \"quoted\" 'single' & \U0001f3ac \u202eright to left"


def contents(folder: Path) -> dict[str, bytes]:
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file()
    }


def test_equal_corpora_have_equal_reports_and_only_changes_are_written(
    ossl: Ossl, labelled: Path, tmp_path: Path
) -> None:
    corpus = copied(labelled, tmp_path / "corpus")
    before = contents(corpus / "report")
    ossl("-C", corpus, "report", "--out", corpus / "again")
    assert contents(corpus / "again") == before
    stamps = {path: path.stat().st_mtime_ns for path in (corpus / "report").rglob("*.html")}
    told = json.loads(ossl("-C", corpus, "report", "--json").stdout)
    assert (told["pages"], told["kept"], told["index"]) == ([], 3, False)
    assert {path: path.stat().st_mtime_ns for path in stamps} == stamps
    # An answer changes: the page of that film and the index change.
    answers = corpus / "annotations/demo-sintel.jsonl"
    write_bytes(answers, answers.read_bytes().replace(b'"valence": 4', b'"valence": 2'))
    ossl("-C", corpus, "label", "merge")
    told = json.loads(ossl("-C", corpus, "report", "--json", "--dry-run").stdout)
    assert (told["pages"], told["index"]) == (["film-demo-sintel.html"], True)
    assert contents(corpus / "report") == before
    ossl("-C", corpus, "report")
    after = contents(corpus / "report")
    changed = {name for name in before if before[name] != after[name]}
    assert changed == {"film-demo-sintel.html", "index.html", ".report.json"}
    # A film is removed.
    ossl("-C", corpus, "films", "remove", "demo-sintel", "--drop-labelled")
    told = json.loads(ossl("-C", corpus, "report", "--json").stdout)
    assert told["removed"] == ["film-demo-sintel.html"]
    assert b"film-demo-sintel.html" not in (corpus / "report/index.html").read_bytes()


def test_another_page_is_not_overwritten(ossl: Ossl, labelled: Path, tmp_path: Path) -> None:
    (tmp_path / "index.html").write_text("mine")
    result = ossl("-C", labelled, "report", "--out", tmp_path, code=1)
    assert "was not written by `ossl report`" in result.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["index.html"]


def test_an_empty_corpus_has_a_report(ossl: Ossl, tmp_path: Path, opened: Opened) -> None:
    ossl("init", tmp_path / "corpus")
    ossl("-C", tmp_path / "corpus", "report")
    with opened(tmp_path / "corpus/report/index.html", PHONE) as page:
        assert "no films yet" in page.locator("main").text_content()


def test_an_imported_corpus_has_sensible_pages(
    ossl: Ossl, labelled: Path, tmp_path: Path, opened: Opened
) -> None:
    """Clips without film times, films without files, and only labels."""
    corpus = create(tmp_path / "corpus")
    of_film = {"path": None, "sha256": None, "size_bytes": None, "duration_s": None}
    film_columns = FILMS.types()
    measured = {
        name: None for name, (_, nullable) in film_columns.items()
        if nullable and (name in of_film or name not in ("year", "licence_url"))
    }  # fmt: skip
    write_rows(corpus, FILMS, [film("AA", title="An Import", basis="unknown", **measured)])
    playing = next((labelled / "films/demo-sintel/clips").glob("*.mp4"))
    (corpus.root / "clips").mkdir()
    (corpus.root / "clips/AA_0 a.mp4").write_bytes(playing.read_bytes())
    times = {"start_s": None, "end_s": None, "mix_path": None, "music_lufs": None}
    clips = [
        clip("AA", 0, 10, clip_id="AA_0", video_path="clips/AA_0 a.mp4", **times),
        clip("AA", 0, 10, clip_id="AA_1", **times),
    ]
    write_rows(corpus, CLIPS, clips)
    write_rows(corpus, LABELS, [label(clips[0], "Q3", None, None)])
    ossl("-C", corpus.root, "report")
    with opened(corpus.root / "report/film-AA.html", PHONE) as page:
        assert page.locator("#timeline-h").count() == 0
        page.get_by_role("button", name="Play AA_0").click()
        page.wait_for_function("() => document.getElementById('video').currentTime > 0.3")
        assert page.locator("#now-clip").text_content() == "AA_0"
        assert page.locator("#now-mood").text_content() == "Q3 sad, gloomy"
        assert page.locator("[data-play]").count() == 1
        text = page.locator("main").text_content()
        assert "Not shown to be free" in text
        assert "Files missing" in text
        assert "Not there: video, music." in text
    with opened(corpus.root / "report/index.html", PHONE) as page:
        assert "No clip has ratings" in page.locator("#plots").text_content()
        page.locator("#kind").select_option("media_missing")
        assert page.locator("#film-table tbody tr").count() == 1


def test_hostile_texts_are_escaped(ossl: Ossl, tmp_path: Path, opened: Opened) -> None:
    corpus = create(tmp_path / "a corpus & <b>more</b>")
    told = {"title": HOSTILE, "evidence": HOSTILE, "licence_url": "javascript:alert(2)"}
    write_rows(corpus, FILMS, [film("film", **told)])
    clips = [clip("film", 0, 3)]
    write_rows(corpus, CLIPS, clips)
    write_rows(corpus, LABELS, [label(clips[0], "Q1", 5.0, 5.0)])
    ossl("-C", corpus.root, "report")
    for name in ("index.html", "film-film.html"):
        with opened(corpus.root / "report" / name, PHONE) as page:
            page.on("dialog", lambda dialog: pytest.fail(dialog.message))
            assert page.locator("script:not([src]):not([type])").count() == 0
            assert HOSTILE in page.locator("main" if name == "index.html" else "h1").text_content()
            assert page.locator("a[href^=javascript]").count() == 0
            wide = page.evaluate("[document.documentElement.scrollWidth, window.innerWidth]")
            assert wide[0] <= wide[1]


@pytest.mark.slow
def test_the_index_of_a_thousand_films_opens_quickly(
    ossl: Ossl, tmp_path: Path, opened: Opened
) -> None:
    corpus = large(tmp_path / "corpus", 1000, 30_000)
    ossl("-C", corpus.root, "report")
    index = corpus.root / "report/index.html"
    assert index.stat().st_size < 5e6
    with opened(index) as page:
        timing = page.evaluate("performance.getEntriesByType('navigation')[0].toJSON()")
        assert timing["loadEventEnd"] < 3000
        assert page.locator("#shown").text_content() == "1 to 25 of 1000 films"
        page.get_by_label("Search").fill("999th")
        assert page.locator("#film-table tbody tr").count() == 1
        assert page.locator("#mood-d").text_content().startswith("30000 clips")


def test_failed_and_rejected_films_are_shown_with_the_reason(
    ossl: Ossl, labelled: Path, tmp_path: Path
) -> None:
    corpus = copied(labelled, tmp_path / "corpus")
    silent = tmp_path / "silent.mp4"
    make_silent(silent)
    ossl(
        "-C", corpus, "films", "add", silent, "--id", "silent", "--title", "A silent film",
        "--basis", "licensed", "--evidence", "for tests",
    )  # fmt: skip
    # A broken film fails; a film without audio is rejected.
    (tmp_path / "broken.mp4").write_bytes(b"no film")
    ossl(
        "-C", corpus, "films", "add", tmp_path / "broken.mp4", "--id", "broken", "--title", "B",
        "--basis", "licensed", "--evidence", "for tests",
    )  # fmt: skip
    ossl("-C", corpus, "build", "silent", "broken", "--set", "stems.model=bundled", code=3)
    # The report uses the recipe of the corpus, not the settings of a single run.
    (corpus / "ossl.yaml").write_text("version: 1\nstems:\n  model: bundled\n")
    ossl("-C", corpus, "report")
    page = (corpus / "report/index.html").read_text()
    status = json.loads(ossl("-C", corpus, "status", "--json").stdout)
    (rejected,) = status["rejected"]
    (failed,) = status["failed"]
    assert rejected["code"] == "no_audio"
    for one in (rejected, failed):
        assert one["film_id"] in page
        assert escape(one["message"]) in page
