"""`ossl train compare`: what is heard on the page, in a browser, and what is refused."""

from __future__ import annotations

import base64
import io
import json
import re
import shutil
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
from click.testing import Result
from ossl_train.comparison import page as page_file
from ossl_train.evaluation.audio_files import system_names
from ossl_train.listening_test.stimuli import CEILING_DBFS, TARGET_LUFS
from typer.testing import CliRunner

from ossl_builder.cli.main import app
from ossl_builder.errors import OsslError
from ossl_builder.media.loudness import integrated, measured
from tests.films.long_clips import RATE, ClipSpec, corpus_of, music
from tests.report.report_corpus import Opened

SECONDS = 12
HOSTILE = '"><img src=x onerror=alert(1)>'
PROMPT = "</script><script>alert(2)</script> 'drums' & \"bass\""
PLAYS = "() => document.querySelector('.on') !== null"


@pytest.fixture(scope="module")
def root(tiny_models: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three films, one of them with a hostile id, and music of three systems for their clips."""
    made = [ClipSpec("film0", SECONDS), ClipSpec("film0", SECONDS), ClipSpec("film1", SECONDS, 0.1),
            ClipSpec(HOSTILE, SECONDS)]  # fmt: skip
    root = corpus_of(tmp_path_factory.mktemp("compare") / "corpus", made, tiny_models)
    for number, system in enumerate(("base", "run a/adapter", "run b/adapter")):
        folder = root / "made" / system
        folder.mkdir(parents=True)
        for clip in range(4):
            audio = noise(number, clip)
            soundfile.write(folder / f"clip{clip}.wav", audio, RATE, subtype="FLOAT")
            note = {"format": 1, "made_from": {"prompt": PROMPT}, "made": {}}
            (folder / f"clip{clip}.json").write_text(json.dumps(note))
    (root / "made/base/clip1.wav").unlink()
    (root / "made/base/elsewhere.wav").write_bytes(b"")
    return root


def noise(system: int, clip: int) -> np.ndarray:
    """Noise of its own for each system and clip; systems differ by 10 dB, one has a peak."""
    rng = np.random.default_rng([system, clip])
    audio = 0.5 * 10 ** (-system / 2) * rng.uniform(-1, 1, SECONDS * RATE)
    if (system, clip) == (2, 3):
        audio[1000] = 1.0
    return audio.astype(np.float32)


def compare(root: Path, *arguments: object) -> Result:
    words = ("-C", root, "train", "compare", *arguments)
    found = CliRunner().invoke(app, [str(word) for word in words])
    if isinstance(found.exception, OsslError):
        raise found.exception
    assert found.exit_code == 0, found.output
    return found


def folders(root: Path) -> list[Path]:
    return [root / "made/base", root / "made/run a/adapter", root / "made/run b/adapter"]


@pytest.fixture(scope="module")
def page(root: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The page, alone in a folder."""
    path = tmp_path_factory.mktemp("page") / "compare.html"
    found = json.loads(compare(root, *folders(root), "--out", path, "--json").stdout)
    assert found["systems"] == ["film", "made/base", "run a/adapter", "run b/adapter"]
    assert found["clips"] == ["clip0", "clip2", "clip3"]  # clip1 has no music of base
    assert any("elsewhere" in sentence for sentence in found["left_out"])
    assert [one.name for one in path.parent.iterdir()] == [path.name]
    return path


class Buttons(HTMLParser):
    """The buttons of each section of a page, and its embedded media."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.sections: list[list[dict[str, Any]]] = []
        self.tags: set[str] = set()
        self.feed(text)
        self.media = dict(
            re.findall(r'<script type="text/plain" id="(m\d+)" data-type="\S+">([^<]+)</', text)
        )

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        if tag == "section":
            self.sections.append([])
        if tag == "button":
            self.sections[-1].append(dict(attrs))

    def audio(self, button: dict[str, Any]) -> np.ndarray:
        data = base64.b64decode(self.media[button["data-embedded"]])
        audio, rate = soundfile.read(io.BytesIO(data), dtype="float32")
        assert rate == RATE
        return audio


def test_the_music_of_each_button_is_that_of_its_system_and_equally_loud(
    root: Path, page: Path
) -> None:
    found = Buttons(page.read_text())
    assert len(found.sections) == 3
    for clip, buttons in zip((0, 2, 3), found.sections, strict=True):
        assert [one["data-number"] for one in buttons] == ["1", "2", "3", "4"]
        sources = [music(SECONDS), *(noise(system, clip) for system in range(3))]
        levels = []
        for button, source in zip(buttons, sources, strict=True):
            heard = found.audio(button)
            assert len(heard) == SECONDS * RATE
            assert np.corrcoef(heard, source)[0, 1] > 0.99
            assert np.abs(heard).max() <= 10 ** (CEILING_DBFS / 20) + 1e-4
            levels.append(integrated(measured([heard[None]], RATE).power()))
        assert max(levels) - min(levels) < 0.1
        if clip == 3:  # one of its files would clip
            assert max(levels) < TARGET_LUFS - 1
        else:
            assert max(levels) == pytest.approx(TARGET_LUFS, abs=0.1)


def test_titles_and_prompts_of_others_are_text(page: Path) -> None:
    found = Buttons(page.read_text())
    assert "img" not in found.tags
    text = page.read_text()
    assert HOSTILE not in text
    assert "<script>alert" not in text
    assert not re.search(r'(?:src|href)="(?!data:|#)', text)


def test_another_system_goes_on_at_the_same_position_with_its_picture(
    page: Path, opened: Opened
) -> None:
    position = (
        "() => parseFloat(document.querySelector('.head').style.left || '0') / 100 * "
        + f"{SECONDS}"
    )
    with opened(page) as shown:
        assert shown.locator(".compare").count() == 3
        assert HOSTILE in (shown.locator("h2").last.text_content() or "")
        shown.get_by_role("button", name="film").first.click()
        shown.wait_for_function(PLAYS)
        shown.wait_for_timeout(1_500)
        before = 0.0
        for key, name in (("3", "run a/adapter"), ("2", "made/base"), ("1", "film")):
            shown.keyboard.press(key)
            shown.wait_for_function("() => document.querySelector('.on[aria-pressed=true]')")
            pressed = shown.locator("[aria-pressed=true]")
            assert pressed.count() == 1
            assert pressed.get_attribute("aria-label") == name
            shown.wait_for_timeout(700)
            heard, seen = shown.evaluate(
                f"() => [({position})(), document.querySelector('video').currentTime]"
            )
            assert heard > before + 0.3, "it goes on"
            assert abs(heard - seen) < 0.3, "sound and picture are in step"
            before = heard
        bar = shown.locator(".seek").first
        box = bar.bounding_box()
        bar.click(position={"x": box["width"] * 0.75, "y": 5})
        shown.wait_for_timeout(500)
        heard, seen = shown.evaluate(
            f"() => [({position})(), document.querySelector('video').currentTime]"
        )
        assert SECONDS * 0.75 - 0.2 < heard < SECONDS * 0.75 + 1.5
        assert abs(heard - seen) < 0.3
        shown.locator("h1").click()
        shown.keyboard.press(" ")
        shown.wait_for_function("() => document.querySelector('video').paused")
        assert shown.locator(".on").count() == 0
        # A clip further down plays from its start, and the first one stays silent.
        shown.locator(".compare").nth(2).get_by_role("button").nth(1).click()
        shown.wait_for_function("() => !document.querySelectorAll('video')[2].paused")
        assert shown.evaluate("() => document.querySelector('video').paused")
        assert shown.evaluate("() => document.querySelectorAll('video')[2].currentTime") < 2


def test_clips_are_chosen_by_the_seed_evenly_over_films(root: Path, tmp_path: Path) -> None:
    path = tmp_path / "compare.html"
    drawn = [
        json.loads(
            compare(root, folders(root)[1], "--clips", 3, "--seed", seed, "--out", path,
                    "--dry-run", "--json").stdout
        )["clips"]
        for seed in (0, 0, 1, 2, 3)
    ]  # fmt: skip
    assert drawn[0] == drawn[1]
    assert {tuple(names) for names in drawn} == {("clip0", "clip2", "clip3"),
                                                 ("clip1", "clip2", "clip3")}  # fmt: skip
    assert not list(tmp_path.iterdir())


def test_folders_get_the_shortest_names_that_differ(tmp_path: Path) -> None:
    paths = [tmp_path / name for name in ("x/film", "x/a/best", "y/a/best", "y/b/best")]
    assert system_names(paths[2:]) == ["a/best", "b/best"]
    assert system_names(paths[:1]) == ["film"]
    assert system_names(paths[:1], taken=["film"]) == ["x/film"]
    assert system_names([paths[3], tmp_path / "base"]) == ["best", "base"]
    assert system_names(paths[1:]) == ["x/a/best", "y/a/best", "y/b/best"]
    with pytest.raises(OsslError) as twice:
        system_names([paths[1], tmp_path / "x/../x/a/best"])
    assert twice.value.code == "name_twice"


def refused(root: Path, *arguments: object) -> str:
    with pytest.raises(OsslError) as error:
        compare(root, *arguments)
    assert error.value.hint
    return error.value.code


def test_what_cannot_be_compared_is_reported(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    base, out = root / "made/base", ("--out", tmp_path / "page.html")
    (tmp_path / "empty").mkdir()
    assert refused(root, tmp_path / "empty", *out) == "no_files"
    shutil.copy(base / "clip0.wav", tmp_path / "empty/other.wav")
    assert refused(root, tmp_path / "empty", *out) == "no_pairs"
    assert refused(root, base, *out, "--split", "test") == "split_empty"
    (tmp_path / "empty/clip0.wav").symlink_to(base / "clip0.wav")
    assert refused(root, tmp_path / "empty", *out) == "path_outside"
    (tmp_path / "short").mkdir()
    soundfile.write(tmp_path / "short/clip0.wav", np.zeros(RATE), RATE)
    assert refused(root, tmp_path / "short", *out) == "audio_unreadable"
    (root / "clip2.mp4").rename(tmp_path / "clip2.mp4")
    try:
        assert refused(root, base, *out, "--dry-run") == "file_missing"
    finally:
        (tmp_path / "clip2.mp4").rename(root / "clip2.mp4")
    monkeypatch.setattr(page_file, "LARGEST_PAGE", 1000)
    assert refused(root, base, *out) == "page_too_large"
    assert {path.name for path in tmp_path.iterdir()} == {"empty", "short"}


@pytest.mark.parametrize("small_disk", ["1500k"], indirect=True)
def test_a_full_disk_leaves_no_page(root: Path, small_disk: Path) -> None:
    assert refused(root, *folders(root), "--out", small_disk / "page.html") == "disk_full"
    assert not list(small_disk.iterdir())
