"""Three annotators who disagree, on a real Label Studio server: from clips to labels and splits."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from ossl_builder.annotations import label_config, label_schema
from tests.e2e.corpora import Ossl, linked, rows
from tests.e2e.label_studio_server import LabelStudio

TITLE = "Demo moods"
HAPPY = {
    "music_audible": "clear", "speech_over_music": "no", "quadrant": "Q1", "valence": 8,
    "energy": 7, "tension": 3, "confidence": "high", "mood_words": ("happy", "funny"),
}  # fmt: skip
SAD = HAPPY | {"quadrant": "Q3", "valence": 2, "energy": 2, "mood_words": ("sad",)}
TENSE = HAPPY | {"quadrant": "Q2", "valence": 2, "energy": 8, "tension": 9, "mood_words": ()}


@pytest.fixture
def corpus(demo_corpus: Path, tmp_path: Path) -> Path:
    """A writable copy of the demo corpus with hard links; files are replaced, not written into."""
    linked(demo_corpus, tmp_path / "corpus")
    return tmp_path / "corpus"


def test_three_people_label_the_demo_corpus(
    corpus: Path, label_studio: LabelStudio, ossl: Ossl, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LABEL_STUDIO_API_KEY", label_studio.token)

    def label(*arguments: object, code: int = 0) -> Any:
        output = ossl("-C", corpus, "label", *arguments, "--json", code=code).stdout
        return json.loads(output)

    clips = rows(corpus, "clips")
    ids = sorted(clip["clip_id"] for clip in clips)

    # Push: every clip once, one film first, the rest with the second push.
    url = ("--url", label_studio.url)
    foreseen = label("push", *url, "--title", TITLE, "--dry-run")
    assert (foreseen["sent"], label_studio.project_ids(TITLE)) == (len(ids), [])
    assert 0 < label("push", "demo-sintel", *url, "--title", TITLE)["sent"] < len(ids)
    assert label("push")["sent"] + label_studio_clips(label_studio, "demo-sintel") == len(ids)
    assert label("push")["sent"] == 0
    (project_id,) = label_studio.project_ids(TITLE)
    assert label_studio.clip_ids(project_id) == ids
    tasks = {task["data"]["clip_id"]: task for task in label_studio.tasks(project_id)}
    for clip in clips:
        data = tasks[clip["clip_id"]]["data"]
        assert data["video"].startswith("http://127.0.0.1:8081/clips/")
        assert "signature=" in data["video"]
        assert (data["film_id"], data["start_s"]) == (clip["film_id"], clip["start_s"])
        assert data["fps"] == pytest.approx(clip["fps"])
        assert data["schema"] == "mood-1"
        assert data["film_title"] != clip["film_id"]
    made = label_studio.owner.ask("GET", f"/api/projects/{project_id}/")
    assert made["label_config"] == label_config.label_config(label_schema.bundled()).strip()
    assert (made["show_collab_predictions"], made["maximum_annotations"]) == (False, 2)

    # Three people: two agree on all but the second clip, the third answers four clips.
    ada, ben, cyd = (label_studio.sign_up(name) for name in ("ada", "ben", "cyd"))
    number = {clip_id: tasks[clip_id]["id"] for clip_id in ids}
    given = {}
    for at, clip_id in enumerate(ids):
        answers = SAD if clip_id.startswith("demo-sintel") else HAPPY
        given["ada", at] = ada.annotate(number[clip_id], answers)
        if at == 0:
            ben.skip(number[clip_id])
        else:
            given["ben", at] = ben.annotate(number[clip_id], TENSE if at == 1 else answers)
    given["cyd", 2] = cyd.annotate(number[ids[2]], TENSE)
    given["cyd", 3] = cyd.annotate(number[ids[3]], SAD | {"quadrant": "Q1", "caption": "Violins."})
    cyd.annotate(number[ids[4]], HAPPY | {"tension": 12})

    report = label("pull")
    assert (report["new"], report["skipped"]) == (2 * len(ids) - 1 + 2, 1)
    assert [one["clip_id"] for one in report["invalid"]] == [ids[4]]
    assert "tension is 12" in report["invalid"][0]["why"]
    assert {one["clip_id"] for one in report["flags"]} == {ids[3]}
    by = {one["why"]: one["annotator"] for one in report["invalid"]}
    assert set(by.values()) == {"a03"}

    # One annotator changes an answer, one deletes an answer.
    ada.edit(given["ada", 1], TENSE)
    cyd.delete(given["cyd", 2])
    report = label("pull")
    assert (report["new"], report["changed"], report["withdrawn"]) == (0, 1, 1)
    assert "a01" in (corpus / "annotations" / "annotators.csv").read_text()
    published = list((corpus / "annotations").glob("*.jsonl"))
    assert published
    assert not any(b"@" in path.read_bytes() for path in published)

    # A conflict: a local record changes, and the annotator changes the same answer on the server.
    path = corpus / "annotations" / f"{film_of(clips)[ids[5]]}.jsonl"
    lines = path.read_text().splitlines(keepends=True)
    (at,) = [n for n, line in enumerate(lines) if ids[5] in line and '"a01"' in line]
    lines[at] = lines[at].replace('"confidence": "high"', '"confidence": "low"')
    path.write_text("".join(lines))
    ada.edit(given["ada", 5], TENSE)
    (conflict,) = label("pull", code=3)["conflicts"]
    assert (conflict["clip_id"], conflict["annotator"]) == (ids[5], "a01")
    assert path.read_text() == "".join(lines)
    assert label("pull", "--take", "local")["conflicts"] == []
    assert path.read_text() == "".join(lines)

    # Progress and agreement.
    status = label("status", *url)
    films = {film["film_id"]: film for film in status["films"]}
    assert sum(film["tasks"] for film in films.values()) == len(ids)
    assert sum(film["annotations"] for film in films.values()) == 2 * len(ids) - 1 + 1
    people = {one["annotator"]: one for one in status["annotators"]}
    assert people["a01"]["answered"] == len(ids)
    assert people["a02"]["skipped"] == 1
    assert people["a03"]["withdrawn"] == 1
    agreed = {one["question"]: one for one in label("agreement")["questions"] if not one["film_id"]}
    assert 0 < agreed["quadrant"]["alpha"] < 1

    # A third annotation where two disagree most: the server gives that clip to the third person.
    (asked,) = label("push", "--needs-more", 1)["needs_more"]
    assert asked["clip_id"] == ids[3]
    dan = label_studio.sign_up("dan")
    assert dan.next_task(project_id) in (number[ids[3]], number[ids[0]])

    # Labels, and a split by film.
    label("merge")
    labels = {row["clip_id"]: row for row in rows(corpus, "labels")}
    assert set(labels) == set(ids)
    assert (labels[ids[1]]["quadrant"], labels[ids[1]]["n_annotators"]) == ("Q2", 2)
    assert (labels[ids[0]]["n_annotators"], labels[ids[0]]["n_skipped"]) == (1, 1)
    assert labels[ids[3]]["caption"] == "Violins."
    json.loads(ossl("-C", corpus, "split", "--json").stdout)
    splits = {row["film_id"]: row["split"] for row in rows(corpus, "splits")}
    assert set(splits) == {clip["film_id"] for clip in clips}

    # Pre-labels go into a separate project, marked as predictions.
    pushed = label("push", "--new", "--title", "Demo check", "--predictions", "--address",
                   "https://store.example.org/demo")  # fmt: skip
    assert pushed["with_prelabels"] == len(ids)
    second = label_studio.owner.ask("GET", f"/api/projects/{pushed['project_id']}/")
    assert (second["show_collab_predictions"], second["total_annotations_number"]) == (True, 0)
    assert second["total_predictions_number"] == len(ids)
    # That project has no answers: records that were pulled before do not change.
    before = [path.read_bytes() for path in published]
    assert label("pull")["withdrawn"] == 0
    assert [path.read_bytes() for path in published] == before


def film_of(clips: list[dict[str, Any]]) -> dict[str, str]:
    """Map clip id to film id."""
    return {clip["clip_id"]: clip["film_id"] for clip in clips}


def label_studio_clips(server: LabelStudio, film_id: str) -> int:
    """How many clips of a film the project has."""
    (project_id,) = server.project_ids(TITLE)
    return sum(one.startswith(film_id) for one in server.clip_ids(project_id))
