"""Invalid responses of a server: impossible times, unexpected JSON; and incomplete tokens."""

from __future__ import annotations

import base64
import json
from datetime import datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from ossl_builder.annotations import label_schema
from ossl_builder.annotations.annotators import AnnotatorRegistry
from ossl_builder.corpus import open_corpus
from ossl_builder.errors import OsslError
from ossl_builder.label_studio import client, pull, state, task_api
from ossl_builder.label_studio.client import Server
from ossl_builder.label_studio.project_api import User
from ossl_builder.label_studio.task_api import annotated_task_of
from ossl_builder.label_studio.three_way_merge import TaskMerger
from ossl_builder.net.retry import RetryPolicy, TransferError
from tests.annotations.people import ANSWERS
from tests.label_studio.clip_corpus import made_up_corpus

MOODS = label_schema.bundled()
TODAY = "2026-01-02T03:04:05Z"


def result(name: str, answer: Any) -> dict[str, Any]:
    return {"from_name": name, "value": {"choices": [str(answer)]}}


def task(clip_id: str, changed: dict[str, Any] | None = None, **fields: Any) -> SimpleNamespace:
    given = {
        "id": 4, "completed_by": 1, "updated_at": TODAY, "was_cancelled": False,
        "result": [result(name, answer) for name, answer in ANSWERS.items()],
    }  # fmt: skip
    data = {"clip_id": clip_id, "film_id": "film-0000", "schema": "mood-1"}
    values = {"id": 1, "data": data, "annotations": [given | (changed or {})],
              "updated_at": TODAY, "created_at": TODAY}  # fmt: skip
    return SimpleNamespace(**(values | fields))


@pytest.fixture
def merger(tmp_path: Path) -> TaskMerger:
    made_up_corpus(tmp_path / "corpus", 1)
    corpus = open_corpus(tmp_path / "corpus")
    people = {1: User("ann@example.org", "")}
    return TaskMerger(corpus, MOODS, people, None, AnnotatorRegistry.load(corpus.root), {})


CLIP = "film-0000_0-10000"
IMPOSSIBLE = ["9999-12-31T23:59:59-12:00", "9999-01-01T00:00:00Z", "0001-01-01T00:00:00+14:00",
              "1066-10-14T00:00:00Z", "yesterday", ""]  # fmt: skip


@pytest.mark.parametrize("moment", IMPOSSIBLE)
def test_an_annotation_with_an_impossible_time_is_invalid(merger: TaskMerger, moment: str) -> None:
    merger.merge_task(annotated_task_of(task(CLIP, {"updated_at": moment})))
    assert merger.to_write == []
    (remark,) = merger.report.invalid
    assert "time of its last change" in remark.why
    merger.merge_task(annotated_task_of(task(CLIP)))
    assert [one.updated_at for one in merger.to_write] == [TODAY]


def server_with(*tasks: SimpleNamespace) -> Server:
    """A server whose SDK returns these tasks."""
    listed = SimpleNamespace(list=lambda **_: SimpleNamespace(items=list(tasks)))
    sdk_client = SimpleNamespace(tasks=listed, users=SimpleNamespace(list=lambda: []))
    return Server("http://127.0.0.1:1", "x", sdk_client, RetryPolicy(tries=1))


@pytest.mark.parametrize("moment", ["9999-12-31T23:59:59-12:00", "9999-01-01T00:00:00+00:00"])
def test_the_cursor_is_never_in_the_future(moment: str) -> None:
    odd = SimpleNamespace(
        id=1, data={}, updated_at=datetime.fromisoformat(moment), overlap=1, is_labeled=False,
        total_annotations=0, cancelled_annotations=0,
    )  # fmt: skip
    assert task_api.newest_change(server_with(odd), 1) == ""


@pytest.mark.parametrize(
    "fields",
    [
        {"id": "x"},
        {"id": None},
        {"annotations": [{"id": 1, "completed_by": {"name": "x"}}]},
        {"annotations": [{"completed_by": 1}]},
        {"annotations": [7]},
        {"data": 7},
    ],
)
def test_an_invalid_task_gives_no_traceback(fields: dict[str, Any]) -> None:
    with pytest.raises(TransferError) as caught:
        list(task_api.changed_tasks(server_with(task(CLIP, **fields)), 1, ""))
    assert caught.value.kind == "dropped"


def test_deeply_nested_json_gives_no_traceback() -> None:
    def nested() -> Any:
        return json.loads("[" * 100_000)

    with pytest.raises(TransferError) as caught:
        server_with().call_once(nested)
    assert caught.value.kind == "dropped"


def test_an_invalid_cursor_is_reported_as_damage(tmp_path: Path) -> None:
    made_up_corpus(tmp_path / "corpus", 1)
    state.save(tmp_path / "corpus", state.State("abc", cursor="x"))
    with pytest.raises(OsslError) as caught:
        state.load(tmp_path / "corpus")
    assert caught.value.code == "label_state_damaged"
    assert pull._before_cursor("2026-01-01T00:01:00.000000Z") == "2026-01-01T00:00:30.000000Z"


def part(value: Any) -> str:
    return base64.urlsafe_b64encode(json.dumps(value).encode()).decode().rstrip("=")


WHOLE = f"{part({'alg': 'HS256', 'typ': 'JWT'})}.{part({'exp': 1, 'user_id': 1})}.{'s' * 43}"
LEGACY = "0123456789abcdef0123456789abcdef01234567"


@pytest.mark.parametrize(
    "token",
    [
        WHOLE[:-1], WHOLE[:-20], WHOLE.rpartition(".")[0], WHOLE.rpartition(".")[0] + ".",
        WHOLE.split(".")[0], WHOLE[5:], WHOLE.partition(".")[2], WHOLE[:30] + WHOLE[45:],
        LEGACY[:-1], LEGACY[:8], LEGACY + "0", f"{LEGACY[:20]} {LEGACY[20:]}", "tokén", "a\nb",
        WHOLE.replace(".", " "),
    ],
)  # fmt: skip
def test_an_incomplete_token_is_reported(token: str) -> None:
    with pytest.raises(OsslError) as caught:
        client.connect("http://127.0.0.1:1", token)
    assert caught.value.code == "token_incomplete"
    assert token not in str(caught.value)


def test_complete_tokens_are_sent() -> None:
    for token in (LEGACY, "somebody-elses-kind-of-token"):
        assert client.connect("http://127.0.0.1:1", token).token == token
    assert client.incomplete_token_error(WHOLE) is None
