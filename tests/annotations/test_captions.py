"""Captions by a model: what it gets, what is kept of it, and that no figure of people changes."""

from __future__ import annotations

import dataclasses
import json
import shutil
from pathlib import Path

import av
import numpy as np
import pytest

from ossl_builder.annotations import captions, records
from ossl_builder.annotations.captions import CaptionSettings, clean_caption
from ossl_builder.engine import tables_io
from ossl_builder.engine.records import read as read_record
from ossl_builder.engine.schedule import Event, Finished
from ossl_builder.errors import OsslError
from ossl_builder.files import sha256_file
from ossl_builder.models import captioner
from ossl_builder.tables import CAPTIONS, CLIPS, FILMS, SPLITS, Clip, Split
from ossl_builder.tables.captions import MAX_CHARACTERS
from tests.annotations.people import annotation, clip, corpus_with
from tests.command_result import RunCommand
from tests.contract.test_tables import FILM
from tests.tiny_captioner import SPECIAL, WORDS, write_blip, write_llava, write_vit_gpt2

FPS, SECONDS, N_CLIPS = 5, 2, 3


def write_video(path: Path, seed: int) -> None:
    """Write 2 s in which each frame has other blocks of colour."""
    colours = np.random.default_rng(seed)
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=FPS)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        for _ in range(FPS * SECONDS):
            blocks = colours.integers(0, 255, (6, 8, 3), dtype=np.uint8)
            picture = np.kron(blocks, np.ones((8, 8, 1), np.uint8))
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        container.mux(stream.encode())


def with_video(root: Path, row: Clip, seed: int) -> Clip:
    """Return the row with a new video file."""
    name = f"films/f/{row.clip_id}-{seed}.mp4"
    (root / name).parent.mkdir(parents=True, exist_ok=True)
    write_video(root / name, seed)
    return dataclasses.replace(row, video_path=name, video_sha256=sha256_file(root / name))


@pytest.fixture
def corpus(tmp_path: Path) -> Path:
    """Three clips with annotations of two people; the first clip has a caption by a person."""
    root = corpus_with(tmp_path / "corpus", []).root
    rows = [with_video(root, clip(number), number) for number in range(N_CLIPS)]
    tables_io.write_corpus_table(root, CLIPS, rows)
    records.upsert(
        root,
        [
            annotation(0, "a01", caption="A slow waltz."),
            annotation(0, "a02", quadrant="Q2"),
            annotation(1, "a01"),
            annotation(1, "a02"),
        ],
    )
    return root


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_vit_gpt2(tmp_path_factory.mktemp("models") / "tiny-vit-gpt2", seed=3)


def work(root: Path, model: Path, **settings: object) -> captions.CaptionWork:
    chosen = CaptionSettings(model=str(model), device="cpu", **settings)
    return captions.work_of(root, chosen)


def ignore(clip_id: str, event: Event) -> None:
    """Show nothing."""


def clips_of(root: Path) -> list[Clip]:
    return tables_io.read_table(root / "manifests", CLIPS)


def test_a_caption_is_what_the_model_writes_about_the_middles_of_equal_parts(
    corpus: Path, model: Path
) -> None:
    import torch
    from transformers import AutoImageProcessor, AutoTokenizer, VisionEncoderDecoderModel

    captions.caption_clips(work(corpus, model, frames=3, max_tokens=6), ignore)
    rows = captions.current_captions(corpus / "manifests")
    network = VisionEncoderDecoderModel.from_pretrained(model)
    images, words = AutoImageProcessor.from_pretrained(model), AutoTokenizer.from_pretrained(model)
    written = set()
    for row in clips_of(corpus):
        with av.open(str(corpus / row.video_path)) as container:
            frames = [frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)]
        shown = [frames[int(FPS * SECONDS * part)] for part in (1 / 6, 3 / 6, 5 / 6)]
        pixels = images(shown, return_tensors="pt")["pixel_values"]
        with torch.inference_mode():
            tokens = network.generate(pixels, max_new_tokens=6, do_sample=False)
        texts = words.batch_decode(tokens, skip_special_tokens=True)
        caption = rows[row.film_id, row.clip_id]
        assert caption.caption == clean_caption(texts)
        assert (caption.model, caption.revision) == ("tiny-vit-gpt2", None)
        assert (caption.n_frames, caption.max_tokens, caption.instruction) == (3, 6, "")
        assert caption.digest == captioner.fingerprint(str(model), None)
        written.add(caption.caption)
    assert len(written) > 1, "the captions depend on the video"


@pytest.mark.parametrize(
    ("texts", "caption"),
    [
        (["a man  rides"], "a man rides."),
        (["a man.", "A man", "a sea!"], "a man. a sea!"),
        (["\x1b[31ma\x00 man\u202e\n\trides\u2028"], "[31ma man rides."),
        (["write to ann@example.com now"], "write to [address] now."),
        (["\ud800\ue000\u200b", " \n", "..."], ""),
        ([], ""),
    ],
)
def test_hostile_texts_are_cleaned(texts: list[str], caption: str) -> None:
    assert clean_caption(texts) == caption


def test_long_texts_end_after_a_whole_word() -> None:
    caption = clean_caption(["dog " * 10_000])
    assert len(caption) <= MAX_CHARACTERS
    assert set(caption.split()) == {"dog"}
    assert clean_caption(["x" * 1_000_000]) == "x" * MAX_CHARACTERS
    assert len(clean_caption(["a@b.cc" * 100_000])) <= MAX_CHARACTERS


def test_a_model_with_hostile_words_gives_a_caption_without_control_characters(
    corpus: Path, tmp_path: Path
) -> None:
    words = [f"\x1b]0;{word}\x07\u202e" for word in WORDS]
    model = write_vit_gpt2(tmp_path / "hostile", words, seed=3)
    captions.caption_clips(work(corpus, model), ignore)
    rows = captions.current_captions(corpus / "manifests").values()
    assert len(rows) == N_CLIPS
    assert all(row.caption.isprintable() and "]0;" in row.caption for row in rows)


def test_a_model_without_words_rejects_the_clip(
    corpus: Path, tmp_path: Path, ossl_here: RunCommand
) -> None:
    dots = [*SPECIAL, *("." * number for number in range(2, 8))]
    model = write_vit_gpt2(tmp_path / "wordless", dots, seed=3)
    result = ossl_here(
        "-C", corpus, "label", "caption", "--model", model, "--device", "cpu", "--json"
    )
    assert result.code == 1
    assert {(row["state"], row["code"]) for row in result.json} == {("rejected", "no_caption")}


def test_the_command_skips_what_is_up_to_date(
    corpus: Path, model: Path, ossl_here: RunCommand
) -> None:
    command = ("-C", corpus, "label", "caption", "--model", model, "--device", "cpu")
    planned = ossl_here(*command, "--dry-run", "--json")
    assert [row["action"] for row in planned.json] == ["run"] * N_CLIPS
    assert not (corpus / "manifests/captions.parquet").exists()
    first = ossl_here(*command, "--json")
    assert first.code == 0, first.err
    assert [row["clip_id"] for row in first.json] == [row.clip_id for row in clips_of(corpus)]
    assert all(row["caption"] and row["model"] == "tiny-vit-gpt2" for row in first.json)
    table = (corpus / "manifests/captions.parquet").read_bytes()
    heads = sorted((corpus / "records/captions").glob("*.json"))
    before = {path: path.stat().st_mtime_ns for path in heads}
    assert len(before) == 2 * N_CLIPS
    assert ossl_here(*command, "--json").json == first.json
    assert before == {path: path.stat().st_mtime_ns for path in heads}
    assert (corpus / "manifests/captions.parquet").read_bytes() == table
    actions = {row["why"] for row in ossl_here(*command, "--dry-run", "--json", "--frames", 2).json}
    assert actions == {"captions.frames was 4, is 2"}


def test_a_renamed_model_makes_nothing_stale_and_other_weights_do(
    corpus: Path, model: Path, tmp_path: Path
) -> None:
    captions.caption_clips(work(corpus, model), ignore)
    renamed = Path(shutil.copytree(model, tmp_path / "renamed"))
    assert {one.action for one in captions.plan(work(corpus, renamed))} == {"fresh"}
    other = write_vit_gpt2(tmp_path / "other", seed=4)
    decisions = captions.plan(work(corpus, other))
    assert {one.action for one in decisions} == {"run"}
    assert all(one.why.startswith("tool model was") for one in decisions)


def test_a_changed_clip_loses_its_caption_until_it_is_captioned_again(
    corpus: Path, model: Path
) -> None:
    captions.caption_clips(work(corpus, model), ignore)
    rows = clips_of(corpus)
    before = captions.current_captions(corpus / "manifests")
    rows[1] = with_video(corpus, rows[1], 77)
    tables_io.write_corpus_table(corpus, CLIPS, rows)
    key = (rows[1].film_id, rows[1].clip_id)
    assert captions.current_captions(corpus / "manifests").keys() == before.keys() - {key}
    whys = {one.item_id: one.why for one in captions.plan(work(corpus, model)) if one.why}
    assert whys == {rows[1].clip_id: "rows of clips changed"}
    captions.caption_clips(work(corpus, model), ignore)
    after = captions.current_captions(corpus / "manifests")
    assert after[key].video_sha256 == rows[1].video_sha256
    assert {k: row for k, row in after.items() if k != key} == {
        k: row for k, row in before.items() if k != key
    }


def test_a_stopped_run_goes_on_with_the_next_clip(corpus: Path, model: Path) -> None:
    def stop(clip_id: str, event: Event) -> None:
        if isinstance(event, Finished):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        captions.caption_clips(work(corpus, model), stop)
    assert len(captions.current_captions(corpus / "manifests")) == 1
    actions = [one.action for one in captions.plan(work(corpus, model))]
    assert actions == ["fresh", "run", "run"]
    captions.caption_clips(work(corpus, model), ignore)
    assert len(captions.current_captions(corpus / "manifests")) == N_CLIPS


def test_a_clip_that_cannot_be_read_fails_and_the_others_are_captioned(
    corpus: Path, model: Path, ossl_here: RunCommand
) -> None:
    broken = clips_of(corpus)[0]
    (corpus / broken.video_path).write_bytes(b"no video")
    result = ossl_here(
        "-C", corpus, "label", "caption", "--model", model, "--device", "cpu", "--json"
    )
    assert result.code == 3
    assert [row["state"] for row in result.json] == ["failed", "done", "done"]
    assert len(captions.current_captions(corpus / "manifests")) == N_CLIPS - 1


def test_figures_and_labels_of_people_do_not_change(
    corpus: Path, model: Path, ossl_here: RunCommand
) -> None:
    def figures() -> list[object]:
        merged = ossl_here("-C", corpus, "label", "merge", "--json").json
        agreement = ossl_here("-C", corpus, "label", "agreement", "--json").json
        return [merged, agreement, (corpus / "manifests/labels.parquet").read_bytes()]

    before, annotations = figures(), sorted((corpus / "annotations").iterdir())
    captions.caption_clips(work(corpus, model), ignore)
    assert figures() == before
    assert sorted((corpus / "annotations").iterdir()) == annotations


def test_exports_name_the_model_and_leave_stale_captions_out(
    corpus: Path, model: Path, tmp_path: Path, ossl_here: RunCommand
) -> None:
    captions.caption_clips(work(corpus, model), ignore)
    rows = clips_of(corpus)
    rows[2] = with_video(corpus, rows[2], 78)
    for row in rows:
        (corpus / row.music_path).write_bytes(b"")
    rows = [dataclasses.replace(row, music_sha256=sha256_file(corpus / "m")) for row in rows]
    tables_io.write_corpus_table(corpus, CLIPS, rows)
    tables_io.write_corpus_table(corpus, FILMS, [FILM])
    splits = [Split("f", "train", "by hand", "f", N_CLIPS, 6.0, "Q1", "short")]
    tables_io.write_corpus_table(corpus, SPLITS, splits)
    ossl_here("-C", corpus, "label", "merge")
    current = captions.current_captions(corpus / "manifests")
    assert len(current) == N_CLIPS - 1
    out = tmp_path / "parquet"
    result = ossl_here("-C", corpus, "export", "parquet", "--out", out, "--allow-unverified")
    assert result.code == 0, result.err
    exported = tables_io.read_table(out / "manifests", CAPTIONS)
    assert {(row.film_id, row.clip_id): row for row in exported} == current
    from ossl_builder.corpus import Corpus
    from ossl_builder.exports.samples import columns, samples
    from ossl_builder.exports.selection import select

    selection = select(Corpus(corpus), allow_unverified=True)
    assert "model_caption_model" in [name for name, _, _, _ in columns(selection)]
    found = [sample.facts for sample in samples(selection)]
    assert [facts["caption"] for facts in found] == ["A slow waltz.", None, None]
    for facts in found[:2]:
        row = current[facts["film_id"], facts["clip_id"]]
        assert facts["model_caption"] == row.caption
        assert facts["model_caption_model"] == "tiny-vit-gpt2"
    assert found[2]["model_caption"] is found[2]["model_caption_model"] is None


@pytest.mark.parametrize("write", [write_blip, write_llava])
def test_models_with_a_processor_write_captions(
    write: object, corpus: Path, tmp_path: Path
) -> None:
    assert callable(write)
    folder = write(tmp_path / "model")
    loaded = captioner.load(str(folder), None, "cpu")
    assert loaded.takes_instruction is (write is write_llava)
    frames = [
        np.random.default_rng(seed).integers(0, 255, (48, 64, 3), np.uint8) for seed in (1, 2)
    ]
    texts = loaded.texts(frames, "Describe frames", 5)
    assert len(texts) == (1 if write is write_llava else 2)
    assert set(" ".join(texts).split()) <= set(WORDS)
    captions.caption_clips(work(corpus, folder), ignore)
    rows = captions.current_captions(corpus / "manifests").values()
    assert len(rows) == N_CLIPS
    wanted = captions.INSTRUCTION if write is write_llava else ""
    assert {row.instruction for row in rows} == {wanted}


def damage(folder: Path, how: str) -> None:
    import torch
    from safetensors.torch import load_file, save_file

    weights = folder / "model.safetensors"
    if how == "pickle":
        torch.save(load_file(weights), folder / "pytorch_model.bin")
        weights.unlink()
    elif how == "weights missing":
        tensors = load_file(weights)
        tensors.pop(next(name for name in tensors if "layernorm" in name))
        save_file(tensors, weights, metadata={"format": "pt"})
    elif how == "cut off":
        weights.write_bytes(weights.read_bytes()[:1000])
    elif how == "code":
        config = json.loads((folder / "config.json").read_text())
        config |= {"model_type": "mine", "auto_map": {"AutoConfig": "mine.Mine"}}
        (folder / "config.json").write_text(json.dumps(config))
        (folder / "mine.py").write_text(f"open({str(folder / 'marker')!r}, 'w')\n")
    elif how == "no tokenizer":
        for path in folder.glob("tokenizer*"):
            path.unlink()


@pytest.mark.parametrize("how", ["pickle", "weights missing", "cut off", "code", "no tokenizer"])
def test_other_models_are_refused_and_run_no_code(
    how: str, corpus: Path, model: Path, tmp_path: Path
) -> None:
    folder = Path(shutil.copytree(model, tmp_path / "model"))
    damage(folder, how)
    with pytest.raises(OsslError) as caught:
        captions.caption_clips(work(corpus, folder), ignore)
    assert caught.value.code == "model_invalid"
    assert not (folder / "marker").exists()
    assert read_record(corpus, "captions", clips_of(corpus)[0].clip_id) is None
