"""The labelling page in headless Chromium, with a real Label Studio and real clips."""

from __future__ import annotations

import shutil
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from ossl_builder.annotations import records
from ossl_builder.annotations.records import Annotation
from tests.e2e.corpora import Ossl
from tests.e2e.label_studio_server import PASSWORD, LabelStudio
from tests.label_studio.clip_server import serving

FILM = "demo-sintel"
TITLE = "The page in a browser"
# Controls that a labeller clicks or types into.
CONTROLS = ".mood .lsf-choices label, .mood .text input, .lsf-bottombar button"

CHECKED = """() => [...document.querySelectorAll('.mood input:checked')].map(
    (input) => input.closest('label').textContent.trim())"""
PICTURE = "() => document.querySelector('.lsf-video-canvas canvas').toDataURL()"
HEARD = """() => {
    const video = document.querySelector('video');
    return video.currentTime > 1 && video.webkitAudioDecodedByteCount > 10000 && !video.muted;
}"""
SHOWN = """(controls) => [...document.querySelectorAll(controls)]
    .filter((control) => control.offsetParent !== null).length"""
# Controls that the mouse cannot reach without scrolling.
UNREACHABLE = """(controls) => [...document.querySelectorAll(controls)].filter((control) => {
    if (control.offsetParent === null) return false;
    const box = control.getBoundingClientRect();
    const at = [[0.1, 0.5], [0.5, 0.5], [0.5, 0.1], [0.5, 0.9], [0.9, 0.5]];
    return box.width < 8 || box.height < 8 || at.some(([across, down]) => {
        const top = document.elementFromPoint(
            box.left + across * box.width, box.top + down * box.height);
        return !top || !(control.contains(top) || top.contains(control) && top.tagName === 'LABEL');
    });
}).map((control) => control.textContent || control.placeholder || control.outerHTML)"""
# Elements that overflow their box or the window.
OVERFLOWING = """() => [...document.querySelectorAll(
        '.mood h4, .mood .lsf-choices, .mood .lsf-choice, .mood .lsf-hint')].filter((part) => {
    const box = part.getBoundingClientRect();
    return part.scrollWidth > part.clientWidth + 2 && part.clientWidth > 0
        || box.right > window.innerWidth || box.left < 0;
}).map((part) => part.textContent)"""
SCROLLING = """() => {
    const main = document.querySelector('.lsf-main-content');
    return [main.scrollHeight - main.clientHeight, main.scrollWidth - main.clientWidth];
}"""


@dataclass(frozen=True)
class LabellingSession:
    """A corpus with served and pushed clips, and the logged-in browser of a labeller."""

    corpus: Path
    address: str
    browser: Any
    logged_in: Any

    def page(self, width: int, height: int) -> Any:
        """Open the next task in a window of this size; wait until its clip can be played."""
        view = {"width": width, "height": height}
        page = self.browser.new_context(viewport=view, storage_state=self.logged_in).new_page()
        page.goto(self.address)
        self.wait_for_clip(page)
        return page

    @staticmethod
    def wait_for_clip(page: Any) -> None:
        page.wait_for_selector("video", state="attached", timeout=30_000)
        page.wait_for_function("() => document.querySelector('video').readyState >= 2")
        page.wait_for_selector(".lsf-bottombar button:has-text('Submit')")
        page.wait_for_load_state("networkidle")


@pytest.fixture(scope="module")
def session(
    ossl: Ossl,
    demo_corpus: Path,
    label_studio: LabelStudio,
    browser: Any,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[LabellingSession]:
    corpus = tmp_path_factory.mktemp("page") / "corpus"
    shutil.copytree(demo_corpus, corpus)
    email = label_studio.sign_up("browsing").email
    with serving(corpus) as clips, pytest.MonkeyPatch.context() as patch:
        patch.setenv("LABEL_STUDIO_API_KEY", label_studio.token)
        ossl(
            "-C", corpus, "label", "push", FILM, "--url", label_studio.url,
            "--clips-url", clips.base, "--title", TITLE,
        )  # fmt: skip
        (project,) = label_studio.project_ids(TITLE)
        page = browser.new_context().new_page()
        page.goto(f"{label_studio.url}/user/login/")
        page.fill("input[name=email]", email)
        page.fill("input[name=password]", PASSWORD)
        page.press("input[name=password]", "Enter")
        page.wait_for_url(lambda url: "login" not in url)
        logged_in = page.context.storage_state()
        page.context.close()
        address = f"{label_studio.url}/projects/{project}/data?labeling=1"
        yield LabellingSession(corpus, address, browser, logged_in)


@pytest.mark.parametrize(("width", "height"), [(1440, 1000), (1366, 768)])
def test_all_controls_are_visible_and_reachable(
    session: LabellingSession, width: int, height: int, tmp_path: Path
) -> None:
    page = session.page(width, height)
    page.screenshot(path=tmp_path / f"page-{width}x{height}.png")
    # 3 + 3 + 4 + 3 choices, three scales of 9, 10 words, 2 texts, and the buttons below.
    assert page.evaluate(SHOWN, CONTROLS) >= 13 + 27 + 10 + 2 + 2
    assert page.evaluate(UNREACHABLE, CONTROLS) == []
    assert page.evaluate(OVERFLOWING) == []
    down, across = page.evaluate(SCROLLING)
    assert down <= 20
    assert across <= 0
    canvas = page.locator(".lsf-video-canvas canvas").first.bounding_box()
    assert canvas["height"] >= height / 4
    # Optional questions are marked; a scale explains its two ends.
    headings = page.locator(".mood .question h4").all_inner_texts()
    assert sum("(optional)" in one for one in headings) == 1
    assert sum("…" in one and "1 " in one and "9 " in one for one in headings) == 3
    page.context.close()


def play(page: Any) -> None:
    """Press the play hotkey until the video plays; the page may not have bound it yet."""
    until = time.monotonic() + 30
    while page.evaluate("() => document.querySelector('video').paused"):
        assert time.monotonic() < until, "the keys that play do nothing"
        page.keyboard.press("Control+Alt+Space")
        page.wait_for_timeout(1000)


def test_a_clip_is_played_answered_by_keyboard_and_pulled(
    session: LabellingSession, ossl: Ossl
) -> None:
    page = session.page(1366, 768)
    complaints: list[str] = []
    page.on(
        "console",
        lambda message: complaints.append(message.text) if message.type == "error" else None,
    )
    still = page.evaluate(PICTURE)
    play(page)
    page.wait_for_function(HEARD)
    assert page.evaluate(PICTURE) != still
    page.keyboard.press("Control+Alt+Space")
    page.wait_for_function("() => document.querySelector('video').paused")

    # Hotkeys must still work after a click of the mouse.
    page.locator(".mood label").filter(has_text="faint").click()
    keys(page, "2 8 x w")
    page.keyboard.press("Control+Enter")
    warning = page.locator(".ant-modal")
    warning.wait_for()
    assert "Question 6 is not answered: Energy" in warning.inner_text()
    page.keyboard.press("Escape")
    warning.wait_for(state="detached")
    # The same number on two scales: neither clears the other.
    keys(page, "s Shift+H Shift+Digit5 Shift+Digit2")
    assert page.evaluate(CHECKED) == [
        "faint[6]", "no[8]", "Tense, angry, fearful: unpleasant, much energy[2]", "fairly[x]",
        "2[w]", "2[s]", "6[shift+h]", "sad[shift+2]", "angry[shift+5]",
    ]  # fmt: skip
    page.locator(".mood .text input").first.click()
    page.keyboard.type("Low strings, 2 slow chords")
    page.keyboard.press("Tab")
    page.keyboard.type("5 x")
    page.keyboard.press("Enter")
    assert len(page.evaluate(CHECKED)) == 9, "what is written answers no question"
    submit(page)
    first = pulled(session, ossl)
    assert len(first) == 1
    assert (first[0].annotator, first[0].state, first[0].source) == (
        "a01", "answered", "label-studio",
    )  # fmt: skip
    assert first[0].answers == {
        "music_audible": "faint",
        "speech_over_music": "no",
        "quadrant": "Q2",
        "confidence": "medium",
        "valence": 2,
        "energy": 2,
        "tension": 6,
        "mood_words": ("sad", "angry"),
        "caption": "Low strings, 2 slow chords",
        "comment": "5 x",
    }

    # The next task opens by itself; if there is no music, no further questions are shown.
    session.wait_for_clip(page)
    assert page.evaluate(CHECKED) == []
    keys(page, "5")
    page.locator(".mood .scale").first.wait_for(state="hidden")
    assert page.evaluate(SHOWN, ".mood label, .mood .text input") == 3 + 1
    submit(page)
    second = [one for one in pulled(session, ossl) if one not in first]
    assert [one.answers for one in second] == [{"music_audible": "none"}]

    session.wait_for_clip(page)
    with page.expect_response(lambda got: "/annotations" in got.url and got.ok):
        page.keyboard.press("Control+Space")
    assert sorted(one.state for one in pulled(session, ossl)) == ["answered", "answered", "skipped"]
    assert [one for one in complaints if "CORS" in one or "media" in one.lower()] == []
    page.context.close()


def keys(page: Any, pressed: str) -> None:
    for key in pressed.split():
        page.keyboard.press(key)
    # Wait one frame, so that the last key press is drawn.
    page.evaluate("() => new Promise((done) => requestAnimationFrame(() => setTimeout(done, 50)))")


def submit(page: Any) -> None:
    with page.expect_response(
        lambda got: "/annotations" in got.url and got.request.method == "POST"
    ) as answer:
        page.keyboard.press("Control+Enter")
    assert answer.value.status == 201
    page.wait_for_function("() => document.querySelectorAll('.mood input:checked').length === 0")


def pulled(session: LabellingSession, ossl: Ossl) -> tuple[Annotation, ...]:
    ossl("-C", session.corpus, "label", "pull")
    return records.read_film(session.corpus, FILM)
