"""What comes back from a real server: checked, one per annotator, nothing lost, no guesses."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from ossl_builder.annotations import label_schema, records
from ossl_builder.annotations.records import Annotation
from ossl_builder.corpus import Corpus, open_corpus
from ossl_builder.errors import OsslError
from ossl_builder.label_studio import clip_urls, project, state, task_updates
from ossl_builder.label_studio import pull as pull_annotations
from ossl_builder.label_studio import push as push_tasks
from ossl_builder.label_studio.client import Server
from ossl_builder.label_studio.clip_urls import make_clip_urls
from ossl_builder.label_studio.project import ProjectOptions
from ossl_builder.label_studio.three_way_merge import PullReport
from tests.e2e.label_studio_server import LabelStudio, Person
from tests.label_studio.made_up import made_up_corpus
from tests.said import Run, Said

# The SDK renews tokens by a method that pydantic wants replaced.
pytestmark = pytest.mark.filterwarnings("ignore:The `parse_obj` method")

SCHEMA = label_schema.bundled()
ANSWERS = {
    "music_audible": "clear", "speech_over_music": "no", "quadrant": "Q1", "valence": 8,
    "energy": 7, "tension": 3, "confidence": "high",
}  # fmt: skip
SAD = ANSWERS | {"quadrant": "Q3", "valence": 2, "energy": 2}


@dataclasses.dataclass
class Desk:
    """A corpus of three clips, pushed; two labellers."""

    corpus: Corpus
    server: Server
    studio: LabelStudio
    clips: list[str]
    ada: Person
    ben: Person

    @property
    def project_id(self) -> int:
        found = state.load(self.corpus.root).project_id
        assert found is not None
        return found

    def push(self, **options: Any) -> push_tasks.PushResult:
        urls = make_clip_urls(self.corpus.root)
        with self.corpus.locked():
            return push_tasks.push(
                self.server, self.corpus, (), urls, ProjectOptions(**options), SCHEMA
            )

    def pull(self, **how: Any) -> PullReport:
        found = project.project_of(self.server, self.corpus)
        with self.corpus.locked():
            last = state.load(self.corpus.root)
            return pull_annotations.pull(self.server, self.corpus, last, found, SCHEMA, **how)

    def task(self, at: int) -> int:
        wanted = self.clips[at]
        tasks = self.studio.tasks(self.project_id)
        return next(one["id"] for one in tasks if one["data"]["clip_id"] == wanted)

    def records(self) -> dict[tuple[str, str], Annotation]:
        return {one.key: one for one in records.read_all(self.corpus.root)}

    def change_here(self, at: int, **answers: Any) -> Annotation:
        """What an import, or somebody with an editor, does."""
        before = self.records()[self.clips[at], "a01"]
        after = dataclasses.replace(before, answers=before.answers | answers)
        with self.corpus.locked():
            records.upsert(self.corpus.root, [after])
        return after


@pytest.fixture
def desk(
    label_studio: LabelStudio,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    request: pytest.FixtureRequest,
) -> Iterator[Desk]:
    monkeypatch.setenv(project.TOKEN_VARIABLE, label_studio.token)
    root = tmp_path / request.node.name[-40:]
    clips = made_up_corpus(root, 3)
    corpus = open_corpus(root)
    people = [label_studio.sign_up(name) for name in ("ada", "ben")]
    with project.connected(corpus, label_studio.url) as server:
        made = Desk(corpus, server, label_studio, clips, *people)
        made.push()
        yield made


def test_only_changes_are_pulled_and_deletions_are_seen(desk: Desk) -> None:
    first = desk.ada.annotate(desk.task(0), ANSWERS)
    second = desk.ada.annotate(desk.task(1), ANSWERS)
    desk.ben.skip(desk.task(0))
    report = desk.pull()
    assert (report.new, report.skipped, report.withdrawn) == (2, 1, 0)
    assert desk.records()[desk.clips[0], "a01"].answers == ANSWERS
    assert {one.state for one in desk.records().values()} == {"answered", "skipped"}
    # Nothing changed: tasks within the overlap of the cursor are read, and nothing is written.
    before = records.path_of(desk.corpus.root, "film-0000").read_bytes()
    again = desk.pull()
    assert (again.new, again.changed, again.skipped, again.withdrawn) == (0, 0, 0, 0)
    assert records.path_of(desk.corpus.root, "film-0000").read_bytes() == before
    desk.ada.edit(first, SAD)
    desk.ada.delete(second)
    report = desk.pull()
    assert (report.new, report.changed, report.withdrawn) == (0, 1, 1)
    assert report.withdrawn_records == [(desk.clips[1], "a01")]
    assert desk.records()[desk.clips[0], "a01"].answers == SAD
    withdrawn = desk.records()[desk.clips[1], "a01"]
    assert (withdrawn.state, withdrawn.answers) == ("withdrawn", ANSWERS)
    desk.ada.annotate(desk.task(1), SAD)
    assert desk.pull().changed == 1
    assert desk.records()[desk.clips[1], "a01"].state == "answered"


def test_what_the_server_did_not_check_is_kept_out(desk: Desk) -> None:
    wrong = desk.ada.annotate(desk.task(0), ANSWERS | {"valence": 55})
    desk.ada.annotate(desk.task(1), {"music_audible": "clear"})
    desk.ben.annotate(desk.task(0), SAD | {"quadrant": "Q1"})
    desk.ben.annotate(desk.task(1), ANSWERS)
    newest = desk.ben.annotate(desk.task(1), SAD)
    assert newest
    report = desk.pull()
    said = {(one.clip_id, one.annotator): one.why for one in report.invalid}
    assert "valence is 55" in said[desk.clips[0], "a01"]
    assert "quadrant is not answered" in said[desk.clips[1], "a01"]
    assert len(said) == 2
    assert {(one.clip_id, one.annotator) for one in report.flags} == {(desk.clips[0], "a02")}
    # Of two answers by one person the newer one counts.
    assert desk.records()[desk.clips[1], "a02"].answers == SAD
    assert {key[1] for key in desk.records()} == {"a02"}
    # They are reported again until they are corrected, whatever the cursor.
    root, future = desk.corpus.root, "2999-01-01T00:00:00.000000Z"
    state.save(root, dataclasses.replace(state.load(root), cursor=future))
    assert len(desk.pull().invalid) == 2
    state.save(root, dataclasses.replace(state.load(root), cursor=""))
    desk.ada.edit(wrong, ANSWERS)
    report = desk.pull()
    assert (report.new, len(report.invalid)) == (1, 1)


def test_changed_here_and_there_is_a_conflict_that_a_person_settles(desk: Desk) -> None:
    given = [desk.ada.annotate(desk.task(at), ANSWERS) for at in (0, 1, 2)]
    desk.pull()
    here = desk.change_here(0, confidence="low")
    only_here = desk.change_here(1, confidence="low")
    desk.ada.edit(given[0], SAD)
    desk.ada.edit(given[2], SAD)
    for _ in range(2):  # it stays one until it is settled
        report = desk.pull()
        (conflict,) = report.conflicts
        assert (conflict.clip_id, conflict.annotator) == (desk.clips[0], "a01")
        assert (conflict.local, conflict.remote.answers) == (here, SAD)
    assert desk.records()[desk.clips[0], "a01"] == here
    assert desk.records()[desk.clips[1], "a01"] == only_here
    assert desk.records()[desk.clips[2], "a01"].answers == SAD
    assert not desk.pull(side="local").conflicts
    assert desk.records()[desk.clips[0], "a01"] == here
    assert not desk.pull().conflicts
    desk.ada.edit(given[0], ANSWERS | {"valence": 9})
    assert len(desk.pull().conflicts) == 1
    assert desk.pull(side="server").changed == 1
    assert desk.records()[desk.clips[0], "a01"].answers["valence"] == 9
    desk.change_here(0, confidence="low")
    desk.ada.delete(given[0])
    assert len(desk.pull().conflicts) == 1
    assert desk.records()[desk.clips[0], "a01"].state == "answered"


def test_what_the_server_lost_stays_here(desk: Desk) -> None:
    for at in (0, 1):
        desk.ada.annotate(desk.task(at), ANSWERS)
    desk.pull()
    before = desk.records()
    desk.studio.owner.ask("DELETE", f"/api/tasks/{desk.task(1)}/")
    assert desk.pull().gone == [desk.clips[1]]
    # The task is made anew, without its answers: that is no withdrawal.
    assert len(desk.push().plan.missing) == 1
    assert desk.pull().withdrawn == 0
    assert desk.pull(is_full=True).withdrawn == 0
    assert desk.records() == before
    desk.studio.owner.ask("DELETE", f"/api/projects/{desk.project_id}/")
    with pytest.raises(OsslError, match="All pulled annotations are kept") as told:
        desk.pull()
    assert told.value.code == "project_gone"
    with pytest.raises(OsslError, match="--new"):
        desk.push()
    desk.push(is_new=True)
    assert desk.studio.clip_ids(desk.project_id) == desk.clips
    assert desk.pull().withdrawn == 0
    assert desk.records() == before


def test_names_from_the_server_lead_nowhere(desk: Desk) -> None:
    data = {"video": "x", "fps": 25, "clip_id": "c", "schema": SCHEMA.version}
    strange = [
        {"data": data | {"film_id": "../../escaped"}},
        {"data": data | {"film_id": "film-0000", "clip_id": "old", "schema": "mood-0"}},
        {"data": data | {"clip_id": ["c"], "film_id": "film-0000"}},
    ]
    desk.studio.owner.ask("POST", f"/api/projects/{desk.project_id}/import", json=strange)
    known = len(desk.clips)
    for task in desk.studio.tasks(desk.project_id)[known:]:
        desk.ada.annotate(task["id"], ANSWERS)
    report = desk.pull()
    assert (report.new, report.foreign) == (0, 2)
    assert [one.why for one in report.invalid] == ["the answers are for mood-0, not for mood-1"]
    assert not list(desk.corpus.root.parent.rglob("escaped*"))


def test_a_project_of_other_questions_or_another_corpus_is_refused(
    desk: Desk, tmp_path: Path
) -> None:
    found = project.project_of(desk.server, desk.corpus)
    other = dataclasses.replace(SCHEMA, version="mood-2")
    with pytest.raises(OsslError, match="asks the questions of mood-1") as told:
        project.find_or_create_project(
            desk.server, desk.corpus, state.load(desk.corpus.root), ProjectOptions(), other
        )
    assert told.value.code == "schema_differs"
    made_up_corpus(tmp_path / "other", 1)
    stranger = open_corpus(tmp_path / "other")
    with pytest.raises(OsslError, match="which this corpus did not create") as told:
        project.find_or_create_project(
            desk.server, stranger, state.load(stranger.root),
            ProjectOptions(title=found.title), SCHEMA,
        )  # fmt: skip
    assert f"--project {found.project_id}" in told.value.hint
    # Without what was remembered it is found again when somebody says which it is.
    (desk.corpus.root / records.FOLDER / state.FILE_NAME).unlink()
    desk.push(project_id=found.project_id)
    assert desk.studio.clip_ids(found.project_id) == desk.clips


def test_relink_changes_addresses_and_nothing_else(desk: Desk) -> None:
    desk.ada.annotate(desk.task(0), ANSWERS)
    before = {one["id"]: one["data"] for one in desk.studio.tasks(desk.project_id)}
    found = project.project_of(desk.server, desk.corpus)
    moved = make_clip_urls(desk.corpus.root, "base", "https://store.example.org/corpus")
    clips = clip_urls.clips_of(desk.corpus, ())
    wanted, right = task_updates.plan_url_changes(desk.server, found, clips, moved)
    assert (len(wanted), right) == (3, 0)
    for one in wanted:
        task_updates.change_url(desk.server, one)
    assert task_updates.plan_url_changes(desk.server, found, clips, moved) == ([], 3)
    for task in desk.studio.tasks(desk.project_id):
        assert task["data"]["video"].startswith("https://store.example.org/corpus/films/")
        assert task["data"] == before[task["id"]] | {"video": task["data"]["video"]}
    assert desk.pull().new == 1


def test_opinions_of_an_existing_project_can_be_changed(desk: Desk) -> None:
    found = project.project_of(desk.server, desk.corpus)
    assert found.overlap == 2
    # One of the tasks already waits for a third answer: the server would leave out the others.
    desk.push(overlap=1)
    desk.studio.owner.ask("PATCH", f"/api/tasks/{desk.task(1)}/", json={"overlap": 2})
    desk.ada.annotate(desk.task(0), ANSWERS)
    desk.push(overlap=3)
    assert project.project_of(desk.server, desk.corpus).overlap == 3
    assert [task["overlap"] for task in desk.studio.tasks(desk.project_id)] == [3, 3, 3]
    assert desk.ben.next_task(desk.project_id) == desk.task(0)
    desk.push()
    assert project.project_of(desk.server, desk.corpus).overlap == 3


def test_a_very_long_comment_is_refused_at_once(desk: Desk) -> None:
    desk.ada.annotate(desk.task(0), ANSWERS | {"comment": "a" * 60_000})
    started = time.monotonic()
    report = desk.pull()
    assert time.monotonic() - started < 5
    assert [remark.why for remark in report.invalid] == [
        "comment has 60000 characters, more than 2000"
    ]
    assert not desk.records()


def test_where_clips_are_is_told_once(desk: Desk, ossl_here: Run) -> None:
    def addresses() -> set[str]:
        tasks = desk.studio.tasks(desk.project_id)
        return {task["data"]["video"].split("/clips/")[0].split("/films/")[0] for task in tasks}

    def label(*arguments: str) -> Said:
        done = ossl_here("-C", desk.corpus.root, "label", *arguments)
        assert done.code == 0, done.err
        return done

    assert addresses() == {"http://127.0.0.1:8081"}
    label("relink", "--clips-url", "http://clips.example.org:81", "--dry-run")
    label("relink")
    assert addresses() == {"http://127.0.0.1:8081"}
    label("relink", "--clips-url", "http://clips.example.org:81")
    assert addresses() == {"http://clips.example.org:81"}
    label("relink")
    assert addresses() == {"http://clips.example.org:81"}
    label("relink", "--address", "https://store.example.org/corpus")
    assert addresses() == {"https://store.example.org/corpus"}
    desk.studio.owner.ask("DELETE", f"/api/tasks/{desk.task(2)}/")
    done = label("push")
    assert addresses() == {"https://store.example.org/corpus"}
    assert "Clips cannot be read from https://store.example.org" in done.err
    label("relink", "--address", "serve")
    assert addresses() == {"http://clips.example.org:81"}


def test_a_third_opinion_is_asked_where_two_disagree_most(desk: Desk) -> None:
    for at in (0, 1):
        desk.ada.annotate(desk.task(at), ANSWERS)
        desk.ben.annotate(desk.task(at), ANSWERS if at == 0 else SAD)
    cyd = desk.studio.sign_up("cyd")
    desk.studio.owner.ask("DELETE", f"/api/tasks/{desk.task(2)}/")
    assert cyd.next_task(desk.project_id) is None
    desk.pull()
    found = project.project_of(desk.server, desk.corpus)
    for is_new in (True, False):  # asked twice, it asks for one more all the same
        (asked,) = task_updates.plan_extra_annotators(desk.server, found, desk.corpus, SCHEMA, 5)
        assert (asked.clip_id, asked.n_annotators, asked.is_new) == (desk.clips[1], 2, is_new)
        task_updates.request_extra_annotator(desk.server, asked)
    assert cyd.next_task(desk.project_id) == desk.task(1)
    desk.ben.ask("GET", f"/api/projects/{desk.project_id}/next", code=404)


def test_refusals_are_sentences_without_secrets(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    for token, expected in (
        ("0123456789abcdef0123456789abcdef01234567", "refuses the legacy token"),
        (f"{desk.studio.token[:-4]}abcd", "refuses the personal access token"),
    ):
        monkeypatch.setenv(project.TOKEN_VARIABLE, token)
        with pytest.raises(OsslError) as told, project.connected(desk.corpus) as server:
            project.find_project(
                server, desk.corpus, state.load(desk.corpus.root), ProjectOptions()
            )
        assert told.value.code == "token_refused"
        assert expected in told.value.message
        shown = str(told.value).lower()
        assert "cookie" not in shown
        assert token not in shown
    monkeypatch.delenv(project.TOKEN_VARIABLE)
    with pytest.raises(OsslError, match="LABEL_STUDIO_API_KEY is not set"):  # noqa: SIM117
        with project.connected(desk.corpus):
            pass
