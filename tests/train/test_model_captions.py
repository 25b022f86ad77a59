"""Captions by a model in prompts: only if the recipe asks, never before a person's, recorded."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import pytest
from ossl_train.data.codes import PromptsSettings, caption_model, prompt_of
from ossl_train.data.source import read_source
from ossl_train.data.storage import TEXT_TABLE
from ossl_train.training.run_folder import shaping_settings

from ossl_builder.engine import records
from ossl_builder.engine.tables_io import read_table, write_corpus_table
from ossl_builder.errors import OsslError
from ossl_builder.tables import CAPTIONS, LABELS, Caption
from tests.command_result import RunCommand
from tests.films.long_clips import ClipSpec, corpus_of
from tests.train.labelled_corpus import LABEL, clips_of, opened, recipe_for, store_all

ON = "prompts.model_captions=true"
BY_MODEL = Caption(
    film_id="f", clip_id="c", caption="a man rides.", model="tiny", revision=None, digest="0" * 64,
    n_frames=4, max_tokens=40, instruction="", video_sha256="0" * 64,
)  # fmt: skip
BY_PERSON = dataclasses.replace(LABEL, caption="A slow waltz.", caption_source="annotator")


@pytest.fixture
def root(tiny_models: Path, tmp_path: Path) -> Path:
    """Four clips: the second has a caption by a person, the last no label; all have a model's."""
    made = [ClipSpec(film, 6) for film in ("one", "one", "two", "two")]
    folder = corpus_of(tmp_path / "corpus", made, tiny_models)
    put_captions(folder)
    return folder


def put_captions(root: Path, text: str = "a man rides.") -> None:
    rows = [
        dataclasses.replace(
            BY_MODEL, film_id=clip.film_id, clip_id=clip.clip_id, video_sha256=clip.video_sha256,
            caption=text,
        )
        for clip in clips_of(root)
    ]  # fmt: skip
    write_corpus_table(root, CAPTIONS, rows)


def stored_prompts(root: Path) -> dict[str, tuple[str, str | None]]:
    from ossl_train.data.codes import TEXT_STAGE

    assert TEXT_STAGE.writes is TEXT_TABLE
    rows = [row for film in ("one", "two") for row in records.read_rows(root, TEXT_STAGE, film)]
    return {row.clip_id: (row.prompt, row.caption_model) for row in rows}


@pytest.mark.parametrize(
    ("label", "settings", "prompt", "model"),
    [
        (LABEL, {}, "a film soundtrack for a happy scene.", None),
        (
            LABEL,
            {"model_captions": True},
            "a film soundtrack for a happy scene. a man rides.",
            "tiny",
        ),
        (None, {"model_captions": True}, "a film soundtrack. a man rides.", "tiny"),
        (
            BY_PERSON,
            {"model_captions": True},
            "a film soundtrack for a happy scene. A slow waltz.",
            None,
        ),
        (
            LABEL,
            {"model_captions": True, "use_captions": False},
            "a film soundtrack for a happy scene.",
            None,
        ),
        (LABEL, {"model_captions": True, "use_labels": False}, "a film soundtrack.", None),
    ],
)
def test_a_persons_caption_is_preferred_and_the_recipe_decides(
    label: object, settings: dict[str, bool], prompt: str, model: str | None
) -> None:
    chosen = PromptsSettings(**settings)
    assert prompt_of(label, chosen, BY_MODEL) == prompt  # type: ignore[arg-type]
    assert caption_model(label, chosen, BY_MODEL) == model  # type: ignore[arg-type]


def test_prompts_with_captions_of_a_model_are_stored_with_its_name(root: Path) -> None:
    store_all(root)
    off = stored_prompts(root)
    assert {model for _, model in off.values()} == {None}
    assert not any("rides" in prompt for prompt, _ in off.values())
    assert CAPTIONS.name not in read_source(root).checksums
    store_all(root, ON)
    happy = "a film soundtrack for a happy scene."
    assert stored_prompts(root) == {
        "clip0": (f"{happy} a man rides.", "tiny"),
        "clip1": (f"{happy} Brass and drums.", None),
        "clip2": (f"{happy} a man rides.", "tiny"),
        "clip3": ("a film soundtrack. a man rides.", "tiny"),
    }
    assert set(opened(root, "train", ON).prompts) == {
        one for one, _ in stored_prompts(root).values()
    }
    assert CAPTIONS.name in read_source(root, model_captions=True).checksums
    assert shaping_settings(recipe_for(root, ON))["prompts.model_captions"] is True


def test_another_caption_of_the_model_makes_only_its_prompts_stale(root: Path) -> None:
    store_all(root, ON)
    put_captions(root, "a red sea.")
    with pytest.raises(OsslError) as caught:
        opened(root, "train", ON)
    assert caught.value.code == "text_stale"
    store_all(root, ON)
    assert "a film soundtrack. a red sea." in opened(root, "train", ON).prompts


def test_a_stale_caption_is_not_used(root: Path) -> None:
    rows: list[Caption] = read_table(root / "manifests", CAPTIONS)
    rows[0] = dataclasses.replace(rows[0], video_sha256="f" * 64)
    write_corpus_table(root, CAPTIONS, rows)
    clips = read_source(root, model_captions=True).clips
    assert [one.model_caption is None for one in clips] == [True, False, False, False]


def test_captions_of_a_model_need_no_person(root: Path) -> None:
    (root / f"manifests/{LABELS.name}.parquet").unlink()
    store_all(root, ON)
    assert set(stored_prompts(root).values()) == {("a film soundtrack. a man rides.", "tiny")}
    with pytest.raises(OsslError) as caught:
        store_all(root)
    assert caught.value.code == "table_missing"


def test_without_the_table_the_error_names_the_command(root: Path) -> None:
    (root / f"manifests/{CAPTIONS.name}.parquet").unlink()
    with pytest.raises(OsslError, match="captions") as caught:
        store_all(root, ON)
    assert "ossl label caption" in caught.value.hint


@pytest.mark.usefixtures("one_thread")
def test_generated_music_names_the_model_of_its_prompt(root: Path, ossl_here: RunCommand) -> None:
    out = root / "out"
    result = ossl_here(
        "-C", root, "train", "generate", "--recipe", "tiny_cpu", "--set", ON, "--split", "train",
        "--alpha", 0, "--text-guidance", 1, "--no-mux", "--out", out, "--set",
        f"model.source={root / 'train/models/musicgen'}",
    )  # fmt: skip
    assert result.code == 0, result.err
    notes = {path.stem: json.loads(path.read_text())["made_from"] for path in out.glob("*.json")}
    assert {name: note.get("caption_model") for name, note in notes.items()} == {
        "clip0": "tiny", "clip1": None, "clip2": "tiny", "clip3": "tiny",
    }  # fmt: skip
    assert notes["clip3"]["prompt"] == "a film soundtrack. a man rides."
    assert "Brass" in notes["clip1"]["prompt"]
