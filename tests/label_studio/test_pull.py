"""`ossl label pull` from a real server: validation, conflicts, and no lost records."""

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
from tests.command_result import CommandResult, RunCommand
from tests.e2e.label_studio_server import LabelStudio, Person
from tests.label_studio.clip_corpus import made_up_corpus

# The SDK renews tokens by a method that pydantic wants replaced.
pytestmark = pytest.mark.filterwarnings("ignore:The `parse_obj` method")

SCHEMA = label_schema.bundled()
ANSWERS = {
    "music_audible": "clear", "speech_over_music": "no", "quadrant": "Q1", "valence": 8,
    "energy": 7, "tension": 3, "confidence": "high",
}  # fmt: skip
SAD = ANSWERS | {"quadrant": "Q3", "valence": 2, "energy": 2}


@dataclasses.dataclass
class LabelEnvironment:
    """A pushed corpus of three clips, and two labellers."""

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
        """Change a local record, like an import or an editor would."""
        before = self.records()[self.clips[at], "a01"]
        after = dataclasses.replace(before, answers=before.answers | answers)
        with self.corpus.locked():
            records.upsert(self.corpus.root, [after])
        return after


@pytest.fixture
def env(
    label_studio: LabelStudio,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    request: pytest.FixtureRequest,
) -> Iterator[LabelEnvironment]:
    monkeypatch.setenv(project.TOKEN_VARIABLE, label_studio.token)
    root = tmp_path / request.node.name[-40:]
    clips = made_up_corpus(root, 3)
    corpus = open_corpus(root)
    people = [label_studio.sign_up(name) for name in ("ada", "ben")]
    with project.connected(corpus, label_studio.url) as server:
        made = LabelEnvironment(corpus, server, label_studio, clips, *people)
        made.push()
        yield made


def test_only_changes_are_pulled_and_deletions_are_detected(env: LabelEnvironment) -> None:
    first = env.ada.annotate(env.task(0), ANSWERS)
    second = env.ada.annotate(env.task(1), ANSWERS)
    env.ben.skip(env.task(0))
    report = env.pull()
    assert (report.new, report.skipped, report.withdrawn) == (2, 1, 0)
    assert env.records()[env.clips[0], "a01"].answers == ANSWERS
    assert {one.state for one in env.records().values()} == {"answered", "skipped"}
    # Nothing changed: tasks within the overlap of the cursor are read, and nothing is written.
    before = records.path_of(env.corpus.root, "film-0000").read_bytes()
    again = env.pull()
    assert (again.new, again.changed, again.skipped, again.withdrawn) == (0, 0, 0, 0)
    assert records.path_of(env.corpus.root, "film-0000").read_bytes() == before
    env.ada.edit(first, SAD)
    env.ada.delete(second)
    report = env.pull()
    assert (report.new, report.changed, report.withdrawn) == (0, 1, 1)
    assert report.withdrawn_records == [(env.clips[1], "a01")]
    assert env.records()[env.clips[0], "a01"].answers == SAD
    withdrawn = env.records()[env.clips[1], "a01"]
    assert (withdrawn.state, withdrawn.answers) == ("withdrawn", ANSWERS)
    env.ada.annotate(env.task(1), SAD)
    assert env.pull().changed == 1
    assert env.records()[env.clips[1], "a01"].state == "answered"


def test_invalid_answers_from_the_server_are_not_stored(env: LabelEnvironment) -> None:
    wrong = env.ada.annotate(env.task(0), ANSWERS | {"valence": 55})
    env.ada.annotate(env.task(1), {"music_audible": "clear"})
    env.ben.annotate(env.task(0), SAD | {"quadrant": "Q1"})
    env.ben.annotate(env.task(1), ANSWERS)
    newest = env.ben.annotate(env.task(1), SAD)
    assert newest
    report = env.pull()
    reasons = {(one.clip_id, one.annotator): one.why for one in report.invalid}
    assert "valence is 55" in reasons[env.clips[0], "a01"]
    assert "quadrant is not answered" in reasons[env.clips[1], "a01"]
    assert len(reasons) == 2
    assert {(one.clip_id, one.annotator) for one in report.flags} == {(env.clips[0], "a02")}
    # Of two answers by one person the newer one counts.
    assert env.records()[env.clips[1], "a02"].answers == SAD
    assert {key[1] for key in env.records()} == {"a02"}
    # They are reported again until they are corrected, whatever the cursor is.
    root, future = env.corpus.root, "2999-01-01T00:00:00.000000Z"
    state.save(root, dataclasses.replace(state.load(root), cursor=future))
    assert len(env.pull().invalid) == 2
    state.save(root, dataclasses.replace(state.load(root), cursor=""))
    env.ada.edit(wrong, ANSWERS)
    report = env.pull()
    assert (report.new, len(report.invalid)) == (1, 1)


def test_a_local_and_a_remote_change_are_a_conflict_that_the_user_resolves(
    env: LabelEnvironment,
) -> None:
    given = [env.ada.annotate(env.task(at), ANSWERS) for at in (0, 1, 2)]
    env.pull()
    here = env.change_here(0, confidence="low")
    only_here = env.change_here(1, confidence="low")
    env.ada.edit(given[0], SAD)
    env.ada.edit(given[2], SAD)
    for _ in range(2):  # the conflict remains until it is resolved
        report = env.pull()
        (conflict,) = report.conflicts
        assert (conflict.clip_id, conflict.annotator) == (env.clips[0], "a01")
        assert (conflict.local, conflict.remote.answers) == (here, SAD)
    assert env.records()[env.clips[0], "a01"] == here
    assert env.records()[env.clips[1], "a01"] == only_here
    assert env.records()[env.clips[2], "a01"].answers == SAD
    assert not env.pull(side="local").conflicts
    assert env.records()[env.clips[0], "a01"] == here
    assert not env.pull().conflicts
    env.ada.edit(given[0], ANSWERS | {"valence": 9})
    assert len(env.pull().conflicts) == 1
    assert env.pull(side="server").changed == 1
    assert env.records()[env.clips[0], "a01"].answers["valence"] == 9
    env.change_here(0, confidence="low")
    env.ada.delete(given[0])
    assert len(env.pull().conflicts) == 1
    assert env.records()[env.clips[0], "a01"].state == "answered"


def test_records_are_kept_when_the_server_loses_tasks(env: LabelEnvironment) -> None:
    for at in (0, 1):
        env.ada.annotate(env.task(at), ANSWERS)
    env.pull()
    before = env.records()
    env.studio.owner.ask("DELETE", f"/api/tasks/{env.task(1)}/")
    assert env.pull().gone == [env.clips[1]]
    # The task is created again without its answers: that is not a withdrawal.
    assert len(env.push().plan.missing) == 1
    assert env.pull().withdrawn == 0
    assert env.pull(is_full=True).withdrawn == 0
    assert env.records() == before
    env.studio.owner.ask("DELETE", f"/api/projects/{env.project_id}/")
    with pytest.raises(OsslError, match="All pulled annotations are kept") as told:
        env.pull()
    assert told.value.code == "project_gone"
    with pytest.raises(OsslError, match="--new"):
        env.push()
    env.push(is_new=True)
    assert env.studio.clip_ids(env.project_id) == env.clips
    assert env.pull().withdrawn == 0
    assert env.records() == before


def test_names_from_the_server_are_not_used_as_paths(env: LabelEnvironment) -> None:
    data = {"video": "x", "fps": 25, "clip_id": "c", "schema": SCHEMA.version}
    strange = [
        {"data": data | {"film_id": "../../escaped"}},
        {"data": data | {"film_id": "film-0000", "clip_id": "old", "schema": "mood-0"}},
        {"data": data | {"clip_id": ["c"], "film_id": "film-0000"}},
    ]
    env.studio.owner.ask("POST", f"/api/projects/{env.project_id}/import", json=strange)
    known = len(env.clips)
    for task in env.studio.tasks(env.project_id)[known:]:
        env.ada.annotate(task["id"], ANSWERS)
    report = env.pull()
    assert (report.new, report.foreign) == (0, 2)
    assert [one.why for one in report.invalid] == ["the answers are for mood-0, not for mood-1"]
    assert not list(env.corpus.root.parent.rglob("escaped*"))


def test_a_project_with_another_schema_or_corpus_is_refused(
    env: LabelEnvironment, tmp_path: Path
) -> None:
    found = project.project_of(env.server, env.corpus)
    other = dataclasses.replace(SCHEMA, version="mood-2")
    with pytest.raises(OsslError, match="asks the questions of mood-1") as told:
        project.find_or_create_project(
            env.server, env.corpus, state.load(env.corpus.root), ProjectOptions(), other
        )
    assert told.value.code == "schema_differs"
    made_up_corpus(tmp_path / "other", 1)
    stranger = open_corpus(tmp_path / "other")
    with pytest.raises(OsslError, match="which this corpus did not create") as told:
        project.find_or_create_project(
            env.server, stranger, state.load(stranger.root),
            ProjectOptions(title=found.title), SCHEMA,
        )  # fmt: skip
    assert f"--project {found.project_id}" in told.value.hint
    # Without the state file, the project is found by the id that the user gives.
    (env.corpus.root / records.FOLDER / state.FILE_NAME).unlink()
    env.push(project_id=found.project_id)
    assert env.studio.clip_ids(found.project_id) == env.clips


def test_relink_changes_only_addresses(env: LabelEnvironment) -> None:
    env.ada.annotate(env.task(0), ANSWERS)
    before = {one["id"]: one["data"] for one in env.studio.tasks(env.project_id)}
    found = project.project_of(env.server, env.corpus)
    moved = make_clip_urls(env.corpus.root, "base", "https://store.example.org/corpus")
    clips = clip_urls.clips_of(env.corpus, ())
    wanted, right = task_updates.plan_url_changes(env.server, found, clips, moved)
    assert (len(wanted), right) == (3, 0)
    for one in wanted:
        task_updates.change_url(env.server, one)
    assert task_updates.plan_url_changes(env.server, found, clips, moved) == ([], 3)
    for task in env.studio.tasks(env.project_id):
        assert task["data"]["video"].startswith("https://store.example.org/corpus/films/")
        assert task["data"] == before[task["id"]] | {"video": task["data"]["video"]}
    assert env.pull().new == 1


def test_the_overlap_of_an_existing_project_can_be_changed(env: LabelEnvironment) -> None:
    found = project.project_of(env.server, env.corpus)
    assert found.overlap == 2
    # One of the tasks already waits for a third answer: the server would leave out the others.
    env.push(overlap=1)
    env.studio.owner.ask("PATCH", f"/api/tasks/{env.task(1)}/", json={"overlap": 2})
    env.ada.annotate(env.task(0), ANSWERS)
    env.push(overlap=3)
    assert project.project_of(env.server, env.corpus).overlap == 3
    assert [task["overlap"] for task in env.studio.tasks(env.project_id)] == [3, 3, 3]
    assert env.ben.next_task(env.project_id) == env.task(0)
    env.push()
    assert project.project_of(env.server, env.corpus).overlap == 3


def test_a_very_long_comment_is_refused_at_once(env: LabelEnvironment) -> None:
    env.ada.annotate(env.task(0), ANSWERS | {"comment": "a" * 60_000})
    started = time.monotonic()
    report = env.pull()
    assert time.monotonic() - started < 5
    assert [remark.why for remark in report.invalid] == [
        "comment has 60000 characters, more than 2000"
    ]
    assert not env.records()


def test_the_clip_address_is_remembered(env: LabelEnvironment, ossl_here: RunCommand) -> None:
    def addresses() -> set[str]:
        tasks = env.studio.tasks(env.project_id)
        return {task["data"]["video"].split("/clips/")[0].split("/films/")[0] for task in tasks}

    def label(*arguments: str) -> CommandResult:
        done = ossl_here("-C", env.corpus.root, "label", *arguments)
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
    env.studio.owner.ask("DELETE", f"/api/tasks/{env.task(2)}/")
    done = label("push")
    assert addresses() == {"https://store.example.org/corpus"}
    assert "Clips cannot be read from https://store.example.org" in done.err
    label("relink", "--address", "serve")
    assert addresses() == {"http://clips.example.org:81"}


def test_a_third_annotator_is_requested_where_two_disagree_most(env: LabelEnvironment) -> None:
    for at in (0, 1):
        env.ada.annotate(env.task(at), ANSWERS)
        env.ben.annotate(env.task(at), ANSWERS if at == 0 else SAD)
    cyd = env.studio.sign_up("cyd")
    env.studio.owner.ask("DELETE", f"/api/tasks/{env.task(2)}/")
    assert cyd.next_task(env.project_id) is None
    env.pull()
    found = project.project_of(env.server, env.corpus)
    for is_new in (True, False):  # a second request does not add another annotator
        (asked,) = task_updates.plan_extra_annotators(env.server, found, env.corpus, SCHEMA, 5)
        assert (asked.clip_id, asked.n_annotators, asked.is_new) == (env.clips[1], 2, is_new)
        task_updates.request_extra_annotator(env.server, asked)
    assert cyd.next_task(env.project_id) == env.task(1)
    env.ben.ask("GET", f"/api/projects/{env.project_id}/next", code=404)


def test_errors_contain_no_secrets(env: LabelEnvironment, monkeypatch: pytest.MonkeyPatch) -> None:
    for token, expected in (
        ("0123456789abcdef0123456789abcdef01234567", "refuses the legacy token"),
        (f"{env.studio.token[:-4]}abcd", "refuses the personal access token"),
    ):
        monkeypatch.setenv(project.TOKEN_VARIABLE, token)
        with pytest.raises(OsslError) as told, project.connected(env.corpus) as server:
            project.find_project(server, env.corpus, state.load(env.corpus.root), ProjectOptions())
        assert told.value.code == "token_refused"
        assert expected in told.value.message
        shown = str(told.value).lower()
        assert "cookie" not in shown
        assert token not in shown
    monkeypatch.delenv(project.TOKEN_VARIABLE)
    with pytest.raises(OsslError, match="LABEL_STUDIO_API_KEY is not set"):  # noqa: SIM117
        with project.connected(env.corpus):
            pass
