"""The pages of a report in a real browser, compared with the media of the films."""

from __future__ import annotations

import json
import math
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.e2e.corpora import Ossl, rows
from tests.report.report_corpus import PHONE, Opened, copied

ADVANCED = "(id) => document.getElementById(id).currentTime > 0.4"
# Focusable elements; of a group of radio buttons, only the selected one is in the tab order.
USABLE = """() => [...document.querySelectorAll(
    'a, button, input, select, summary, video, [tabindex="0"]')].filter((one) =>
    one.checkVisibility() && !one.disabled && !(one.type === 'radio' && !one.checked)).length"""
FOCUSED = """() => {
    const one = document.activeElement;
    if (!one || one === document.body) return null;
    const shown = one.type === 'radio' ? one.nextElementSibling : one;
    window.found ??= new Set();
    window.found.add(one);
    return [window.found.size, one.outerHTML.slice(0, 80),
        one.matches(':focus-visible') && getComputedStyle(shown).outlineStyle !== 'none'];
}"""


def report(ossl: Ossl, corpus: Path) -> Path:
    ossl("-C", corpus, "report")
    return corpus / "report"


def click(page: Any, time_s: float, length_s: float, lane: str) -> None:
    """Click on a lane of the timeline where a film time is."""
    page.locator("#track").scroll_into_view_if_needed()
    track, beside = page.locator("#track").bounding_box(), page.locator(lane).bounding_box()
    x = track["x"] + time_s / length_s * track["width"]
    page.mouse.click(x, beside["y"] + beside["height"] / 2)


def image(data: bytes, width: int, height: int) -> np.ndarray:
    """Decode a PNG to an array."""
    import io

    import av

    with av.open(io.BytesIO(data)) as image:
        frame = next(image.decode(video=0)).reformat(width, height, "rgb24")
    return np.asarray(frame.to_ndarray(), float)


def film_frame(film: Path, time_s: float, width: int, height: int) -> np.ndarray:
    """The frame of the film at a time."""
    import av

    with av.open(str(film)) as container:
        container.seek(round(time_s * 1e6), backward=True)
        shown = None
        for frame in container.decode(video=0):
            if frame.time > time_s:
                break
            shown = frame
        assert shown is not None
        return np.asarray(shown.reformat(width, height, "rgb24").to_ndarray(), float)


def test_a_click_on_the_timeline_shows_the_right_scene_and_frame(
    ossl: Ossl, dev_corpus: Path, shared_media: Path, tmp_path: Path, opened: Opened
) -> None:
    truth = json.loads((shared_media / "mixfilm/truth.json").read_text())
    corpus = copied(dev_corpus, tmp_path / "corpus")
    clips = rows(corpus, "clips")
    length = rows(corpus, "films")[0]["duration_s"]
    with opened(report(ossl, corpus) / "film-dev.html") as page:
        page.evaluate("document.getElementById('video').controls = false")
        told = json.loads(page.locator("#film").text_content())
        for time_s in (20.0, 80.0, 160.0):
            click(page, time_s, length, ".clips")
            page.evaluate("document.getElementById('video').pause()")
            page.wait_for_timeout(300)  # until the page shows where the video was stopped
            now = float(page.locator("#track").get_attribute("aria-valuenow"))
            assert now == pytest.approx(time_s, abs=0.5)
            # The scene at that time begins and ends with the true shot.
            number = int(page.locator("#now-scene").text_content().split()[0])
            scene = told["scenes"][number - 1]
            cuts = truth["cut_times"]
            before = max(cut for cut in cuts if cut <= now)
            assert scene[1] == pytest.approx(before, abs=1 / 24), f"scene at {now}"
            # There is music, and the timeline shows it.
            assert any(cue["start"] <= now < cue["end"] for cue in truth["cues"])
            cue = told["cues"][int(page.locator("#now-cue").text_content().split()[0]) - 1]
            assert cue[1] <= now < cue[2]
            # The player shows the frame of that time.
            clip = next(row for row in clips if row["start_s"] <= now < row["end_s"])
            at = "() => document.getElementById('video').currentTime"
            page.wait_for_function("() => !document.getElementById('video').seeking")
            shown_s = clip["start_s"] + page.evaluate(at)
            assert shown_s == pytest.approx(now, abs=0.001)
            page.wait_for_timeout(200)  # until it is painted
            seen = image(page.locator("#video").screenshot(), 64, 36)
            film = film_frame(shared_media / "mixfilm/dev.mp4", shown_s, 64, 36)
            assert np.corrcoef(seen.ravel(), film.ravel())[0, 1] > 0.97
        # Without music there is no clip: the page shows the thumbnail of the scene.
        silent = next(
            at for at in range(round(length)) if not any(
                cue["start"] - 1 <= at <= cue["end"] + 1 for cue in truth["cues"])
        )  # fmt: skip
        click(page, silent + 0.5, length, ".scenes")
        assert page.locator("#now-cue").text_content() == "no music"
        assert page.locator("#now-clip").text_content() == "none here"
        assert page.locator("#still").is_visible()


def test_clips_play_with_every_audio_track_by_keyboard(labelled: Path, opened: Opened) -> None:
    with opened(labelled / "report/film-demo-sintel.html") as page:
        button = page.locator("[data-play]").nth(1)
        button.focus()
        page.keyboard.press("Enter")
        page.wait_for_function(ADVANCED, arg="video")
        assert button.get_attribute("aria-label") == "Pause 0:21 to 0:35"
        now = float(page.locator("#track").get_attribute("aria-valuenow"))
        assert 21.8 < now < 35.4
        head = page.locator("#head").bounding_box()
        clip = page.locator(".clips i.on").bounding_box()
        assert clip["x"] <= head["x"] <= clip["x"] + clip["width"]
        assert page.locator("tbody[aria-current]").get_attribute("id") == "demo-sintel_21875-35375"
        page.locator("[name=audio]:checked").focus()
        for audio in ("music", "dialogue"):
            page.keyboard.press("ArrowRight")
            page.wait_for_function(
                f"() => document.getElementById('audio').src.endsWith('.{audio}.flac')"
            )
            start = page.evaluate("document.getElementById('audio').currentTime")
            page.wait_for_function(
                "(start) => document.getElementById('audio').currentTime > start + 0.4", arg=start
            )
            assert page.evaluate("document.getElementById('video').muted")
        apart = page.evaluate(
            "Math.abs(document.getElementById('audio').currentTime"
            " - document.getElementById('video').currentTime)"
        )
        assert apart < 0.3
        button.focus()
        page.keyboard.press("Enter")
        page.wait_for_function("() => document.getElementById('audio').paused")
        page.locator("#track").focus()
        page.keyboard.press("Home")
        page.keyboard.press("PageDown")
        second = [row for row in rows(labelled, "scenes") if row["film_id"] == "demo-sintel"][1]
        now = float(page.locator("#track").get_attribute("aria-valuenow"))
        assert now == pytest.approx(second["start_s"], abs=0.001)  # the page has milliseconds
        assert "scene 2" in page.locator("#track").get_attribute("aria-valuetext")
        assert page.locator("#problem").text_content() == ""


@pytest.mark.parametrize("name", ["index.html", "film-demo-steamboat.html"])
@pytest.mark.parametrize("size", [PHONE, (1440, 1000)])
def test_all_controls_are_reachable_by_keyboard_and_nothing_is_too_wide(
    labelled: Path, opened: Opened, name: str, size: tuple[int, int]
) -> None:
    with opened(labelled / "report" / name, size) as page:
        page.evaluate("document.querySelectorAll('details').forEach(one => one.open = true)")
        wide = page.evaluate("[document.documentElement.scrollWidth, window.innerWidth]")
        assert wide[0] <= wide[1]
        reached, hidden = 0, []
        for _ in range(150):
            page.keyboard.press("Tab")
            focused = page.evaluate(FOCUSED)
            if focused is None:
                break
            reached = max(reached, focused[0])
            if not focused[2] and not focused[1].startswith("<video"):
                hidden.append(focused[1])
        assert reached == page.evaluate(USABLE)
        assert hidden == []
        headings = page.eval_on_selector_all("h1, h2, h3", "all => all.map(h => +h.tagName[1])")
        assert headings[0] == 1
        assert headings.count(1) == 1
        assert all(later - before <= 1 for before, later in pairwise(headings))
        unnamed = page.eval_on_selector_all(
            "svg[role=img]", "all => all.filter(s => !s.getAttribute('aria-labelledby')).length"
        )
        assert unnamed == 0


def test_films_are_found_sorted_and_filtered(labelled: Path, opened: Opened) -> None:
    names = "all => all.map(one => one.textContent)"
    with opened(labelled / "report/index.html") as page:
        found = "#film-table tbody th"
        llama, sintel, willie = (
            "Caminandes: Llama Drama (excerpt)", "Sintel (trailer)", "Steamboat Willie (excerpt)",
        )  # fmt: skip
        assert page.eval_on_selector_all(found, names) == [llama, sintel, willie]
        page.get_by_role("button", name="Film").click()
        assert page.eval_on_selector_all(found, names) == [llama, sintel, willie]
        page.get_by_role("button", name="Film").click()
        assert page.eval_on_selector_all(found, names) == [willie, sintel, llama]
        page.get_by_role("button", name="Clips").click()
        assert page.eval_on_selector_all(found, names) == [sintel, llama, willie]
        assert page.locator("[aria-sort=descending]").count() == 1
        page.get_by_label("Search").fill("willie ste")
        assert page.eval_on_selector_all(found, names) == [willie]
        assert page.locator("#shown").text_content() == "1 to 1 of 1 film"
        page.get_by_label("Search").fill("")
        page.locator("#split").select_option("train")
        assert page.locator(found).count() == 1
        page.get_by_role("link", name=page.locator(found).text_content()).click()
        page.wait_for_url("**/film-demo-*.html")


def luminance(colour: str) -> float:
    """Relative luminance as WCAG 2 has it, of `#rrggbb`."""
    parts = [int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)]
    linear = [
        part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts
    ]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_has_enough_contrast_in_both_colour_schemes(
    labelled: Path, opened: Opened, scheme: str
) -> None:
    with opened(labelled / "report/film-demo-sintel.html", color_scheme=scheme) as page:

        def colour(name: str) -> str:
            asked = "(name) => getComputedStyle(document.documentElement).getPropertyValue(name)"
            return str(page.evaluate(asked, f"--{name}")).strip()

        def contrast(ink: str, ground: str) -> float:
            low, high = sorted([luminance(colour(ink)), luminance(colour(ground))])
            return (high + 0.05) / (low + 0.05)

        for ink in ("ink", "soft", "accent", "warn"):
            for ground in ("ground", "raised", "sunk", "accent-ground"):
                assert contrast(ink, ground) >= 4.5, (ink, ground)
        assert contrast("on-accent", "accent") >= 4.5
        assert contrast("ink", "notice") >= 4.5
        for mark in ("Q1", "Q2", "Q3", "Q4", "none", "dialogue", "head", "edge"):
            assert contrast(mark, "ground") >= 3, mark
        for mood in ("Q1", "Q2", "Q3", "Q4"):
            assert contrast("ground", mood) >= 3, mood
        ground = page.evaluate("getComputedStyle(document.body).backgroundColor")
        bright = sum(int(part) for part in ground[4:-1].split(",")) / 3 / 255
        assert math.isclose(bright, 1, abs_tol=0.1) == (scheme == "light")
