"""Import of annotation files: formats, errors, and records that must not be replaced."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path
from typing import Any

import pytest

from ossl_builder.annotations import import_annotations, label_schema, records
from ossl_builder.annotations.import_annotations import ImportOptions, ImportPlan
from ossl_builder.annotations.label_config import results_of
from ossl_builder.errors import OsslError
from tests.annotations.people import ANSWERS, annotation, clip, corpus_with

MOODS = label_schema.bundled()
CLIPS = [clip(number) for number in range(4)]
ONE, TWO, THREE, _ = (one.clip_id for one in CLIPS)
HEADER = "clip_id,email,updated_at,music_audible,speech_over_music,quadrant,valence,energy,"
HEADER += "tension,confidence,mood_words,caption"
REST = "clear,no,Q1,7,7.0,4,high"


@pytest.fixture
def corpus(tmp_path: Path) -> Path:
    return corpus_with(tmp_path / "corpus", CLIPS).root


def write(folder: Path, name: str, content: str | list[Any]) -> Path:
    path = folder / name
    text = content if isinstance(content, str) else json.dumps(content)
    path.write_text(text, encoding="utf-8")
    return path


def import_file(corpus: Path, path: Path, **options: Any) -> ImportPlan:
    chosen = ImportOptions(**{"columns": {}, "people": {}, **options})
    planned = import_annotations.plan_import(corpus, CLIPS, MOODS, path, chosen)
    import_annotations.apply_import(corpus, planned)
    return planned


def records_of(corpus: Path) -> dict[tuple[str, str], Any]:
    return {one.key: one for one in records.read_all(corpus)}


def test_all_formats_give_the_same_records(tmp_path: Path) -> None:
    date = "2026-01-02T03:04:05Z"
    row = {"clip_id": ONE, "email": "Ann@x.org", "updated_at": date, **ANSWERS,
           "mood_words": ["happy", "epic"], "caption": "A march."}  # fmt: skip
    answers = {**ANSWERS, "mood_words": ("happy", "epic"), "caption": "A march."}
    result = results_of(MOODS, answers)
    person = {"id": 3, "email": "ann@x.org"}
    entry = {"completed_by": person, "result": result, "updated_at": "2026-01-02T05:04:05+02:00"}
    record = annotation(0, "a01", updated_at=date, mood_words=("happy", "epic"), caption="A march.")
    files = {
        "a.csv": f"{HEADER}\n{ONE},ann@X.org,{date},{REST},epic; happy,A march.\n",
        "b.jsonl": json.dumps(row) + "\n",
        "c.json": [{"id": 9, "data": {"clip_id": ONE}, "annotations": [entry]}],
        "d.jsonl": json.dumps(record.to_json()) + "\n",
        "e.json": [row],
    }
    found = []
    for name, content in files.items():
        root = corpus_with(tmp_path / name.replace(".", ""), CLIPS).root
        planned = import_file(root, write(tmp_path, name, content))
        assert (planned.added, planned.replaced, planned.unknown_clips) == (1, 0, ())
        found.append(records.path_of(root, "f").read_bytes())
        assert import_file(root, tmp_path / name).unchanged == 1
    assert len(set(found)) == 1
    record = json.loads(found[0])
    assert (record["annotator"], record["source"], record["updated_at"]) == ("a01", "import", date)


def test_export_with_skips_and_several_answers_of_one_annotator(
    corpus: Path, tmp_path: Path
) -> None:
    def entry(who: object, date: str, quadrant: str, **more: Any) -> dict[str, Any]:
        result = results_of(MOODS, {**ANSWERS, "quadrant": quadrant})
        return {"completed_by": who, "result": result, "updated_at": date, **more}

    tasks = [
        {"data": {"clip_id": ONE}, "annotations": [
            entry(5, "2026-01-03T00:00:00.2Z", "Q1"), entry(5, "2026-01-03T00:00:00.1Z", "Q2"),
            entry(6, "2026-01-01T00:00:00Z", "Q2", was_cancelled=True)]},
        {"data": {"clip_id": "gone_0-1"}, "annotations": [entry(5, "2026-01-01T00:00:00Z", "Q1")]},
    ]  # fmt: skip
    planned = import_file(corpus, write(tmp_path, "x.json", tasks), people={"5": "ann@x.org"})
    assert planned.unknown_clips == ("gone_0-1",)
    first, second = records_of(corpus).values()
    assert (first.answers["quadrant"], first.state) == ("Q1", "answered")
    assert (second.answers, second.state) == ({}, "skipped")
    assert planned.registry.people["a01"] == ("ann@x.org", "")


def test_all_errors_are_reported_at_once_and_nothing_is_written(
    corpus: Path, tmp_path: Path
) -> None:
    lines = [
        HEADER,
        f"{ONE},ann@x.org,,{REST},,",
        f"{TWO},ann@x.org,,{REST.replace('Q1', 'Q7')},,",
        f"{TWO},,,{REST.replace('7.0', '55')},,",
        f",bob@x.org,yesterday,{REST},dull,",
        f"{THREE},bob@x.org,,clear,,,,,,,,",
        f"{ONE},ANN@x.org,,{REST.replace('Q1', 'Q2')},,",
    ]
    path = write(tmp_path, "bad.csv", "\n".join(lines) + "\n")
    with pytest.raises(OsslError) as caught:
        import_file(corpus, path)
    assert caught.value.code == "import_invalid"
    for fault in (
        "row 3: quadrant is 'Q7', not one of Q1, Q2, Q3, Q4",
        "row 4: energy is 55", "row 4: it names no annotator",
        "row 5: mood_words contains 'dull'", "row 5: it has no clip_id", "row 5: 'yesterday'",
        "row 6: quadrant is not answered",
        "row 7: row 2 has the same clip, annotator and date",
    ):  # fmt: skip
        assert fault in caught.value.message
    assert not (corpus / "annotations").exists()


@pytest.mark.parametrize(
    ("name", "content", "code"),
    [
        ("x.xlsx", "x", "import_unreadable"),
        ("x.json", "{}", "import_unreadable"),
        ("x.jsonl", "{\n", "import_unreadable"),
        ("x.csv", "clip_id,quadrant\na,Q1,extra\n", "import_unreadable"),
        ("x.csv", "clip,quadrant\na,Q1\n", "import_columns"),
    ],
)
def test_unreadable_or_unsuitable_files_are_errors(
    corpus: Path, tmp_path: Path, name: str, content: str, code: str
) -> None:
    with pytest.raises(OsslError) as caught:
        import_file(corpus, write(tmp_path, name, content))
    assert caught.value.code == code


def test_separators_encodings_and_spaces_of_spreadsheets(tmp_path: Path) -> None:
    header = " clip_id , email,updated_at,music_audible,speech_over_music,quadrant , valence,"
    header += "energy,tension,confidence,caption"
    line = f"{ONE}, ann@x.org ,2026-01-02T03:04:05Z,clear,no,Q1,7,7,4,high,A march."
    text = f"{header}\n{line}\n"
    files = {
        "comma.csv": text.encode(),
        "semicolon.csv": text.replace(",", ";").encode("utf-8-sig"),
        "tab.csv": text.replace(",", "\t").encode(),
        "tab.tsv": text.replace(",", "\t").replace("\n", "\r\n").encode(),
        "marked.csv": text.replace(",", "\t").encode("utf-16"),
        "little.csv": text.encode("utf-16-le"),
        "big.csv": text.replace(",", ";").encode("utf-16-be"),
        "trailing.csv": text.replace("\n", ",,\n").encode(),
    }
    found = set()
    for name, content in files.items():
        root = corpus_with(tmp_path / name.replace(".", ""), CLIPS).root
        (tmp_path / name).write_bytes(content)
        planned = import_file(root, tmp_path / name)
        assert (planned.added, planned.unused_columns) == (1, ()), name
        found.add(records.path_of(root, "f").read_bytes())
    assert len(found) == 1


@pytest.mark.parametrize(
    ("header", "named"),
    [
        ("clip_id,annotator,quadrant,quadrant", "'quadrant'"),
        ("clip_id,annotator,quadrant, quadrant ", "'quadrant'"),
        ("clip_id;annotator;clip_id;quadrant", "'clip_id'"),
        ("clip_id,annotator,quadrant,page,page", "'page'"),
    ],
)
def test_a_duplicate_column_is_reported(
    corpus: Path, tmp_path: Path, header: str, named: str
) -> None:
    separator = ";" if ";" in header else ","
    line = separator.join([ONE, "a01", "Q2", "Q4", "x"][: header.count(separator) + 1])
    with pytest.raises(OsslError, match=named) as caught:
        import_file(corpus, write(tmp_path, "x.csv", f"{header}\n{line}\n"), partial=True)
    assert caught.value.code == "import_unreadable"
    assert not records_of(corpus)


def test_a_duplicate_json_key_is_reported(corpus: Path, tmp_path: Path) -> None:
    row = f'{{"clip_id": "{ONE}", "annotator": "a01", "quadrant": "Q1", "quadrant": "Q2"}}'
    for name, text in (("x.jsonl", row), ("x.json", f"[{row}]")):
        with pytest.raises(OsslError, match="quadrant is given twice"):
            import_file(corpus, write(tmp_path, name, text), partial=True)


def test_annotator_ids_in_a_file_are_not_given_to_others(corpus: Path, tmp_path: Path) -> None:
    text = f"clip_id,annotator,quadrant\n{ONE},Zed,Q2\n{TWO},a01,Q3\n{THREE},Kim,Q1\n"
    import_file(corpus, write(tmp_path, "x.csv", text), partial=True)
    assert sorted(records_of(corpus)) == sorted([(ONE, "a02"), (TWO, "a01"), (THREE, "a03")])


def task(number: int, clip_id: str = ONE, **changed: Any) -> dict[str, Any]:
    entry = {"completed_by": 1, "updated_at": "2026-01-01T00:00:00Z",
             "result": results_of(MOODS, ANSWERS)}  # fmt: skip
    return {"id": number, "data": {"clip_id": clip_id}, "annotations": [entry]} | changed


@pytest.mark.parametrize(
    "changed",
    [
        {"annotations": None},
        {"annotations": {}},
        {"annotations": ["x"]},
        {"annotations": [{"result": "x"}]},
        {"annotations": [{"result": ["x"]}]},
        {"annotations": [{"result": [{"from_name": "quadrant", "value": "Q1"}]}]},
        {"annotations": [{"result": [{"from_name": "quadrant", "value": {"choices": {}}}]}]},
        {"data": None},
        {"data": "x"},
    ],
)
def test_invalid_tasks_are_reported(corpus: Path, tmp_path: Path, changed: dict[str, Any]) -> None:
    odd = task(77, TWO) | changed
    if changed.get("annotations", 1) is None:
        del odd["annotations"]
    for tasks in ([task(3), odd], [odd, task(3)]):
        with pytest.raises(OsslError) as caught:
            import_file(corpus, write(tmp_path, "x.json", tasks), annotator="x")
        assert caught.value.code == "import_invalid"
        assert "task 77: " in caught.value.message
        assert "task 3: " not in caught.value.message


def test_a_control_with_two_answers_is_an_error(corpus: Path, tmp_path: Path) -> None:
    def twice(name: str, *values: list[str]) -> list[dict[str, Any]]:
        kind = "text" if name == "caption" else "choices"
        more = [{"from_name": name, "value": {kind: value}} for value in values]
        entry = {"completed_by": 1, "updated_at": "2026-01-01T00:00:00Z",
                 "result": [*results_of(MOODS, ANSWERS), *more]}  # fmt: skip
        return [task(5, annotations=[entry])]

    doubled = {
        "quadrant": [["Q2"]], "valence": [["3"]], "mood_words": [["happy"], ["epic"]],
        "caption": [["A march."], ["A waltz."]],
    }  # fmt: skip
    for name, values in doubled.items():
        with pytest.raises(OsslError, match=f"task 5: {name} ") as caught:
            import_file(corpus, write(tmp_path, "x.json", twice(name, *values)))
        assert caught.value.code == "import_invalid"
    assert import_file(corpus, write(tmp_path, "x.json", twice("quadrant", ["Q1"]))).added == 1


@pytest.mark.parametrize("name", ["x.json", "x.jsonl"])
@pytest.mark.parametrize("depth", [100, 900, 100_000])
def test_deeply_nested_json_is_an_error(
    corpus: Path, tmp_path: Path, name: str, depth: int
) -> None:
    deep = "[" * depth + "]" * depth
    row = f'{{"clip_id": "{ONE}", "annotator": "a01", "quadrant": {deep}}}'
    text = row if name == "x.jsonl" else f"[{row}]"
    with pytest.raises(OsslError, match="nested") as caught:
        import_file(corpus, write(tmp_path, name, text), partial=True)
    assert caught.value.code == "import_unreadable"


@pytest.mark.parametrize(
    "date",
    ["9999-12-31T23:59:59-12:00", "9999-01-01", "0001-01-01T00:00:00+14:00", "1066-10-14"],
)
def test_impossible_dates_are_errors(corpus: Path, tmp_path: Path, date: str) -> None:
    text = f"clip_id,annotator,updated_at,quadrant\n{ONE},a01,{date},Q2\n"
    with pytest.raises(OsslError, match=r"row 2: .* is not an ISO 8601 date") as caught:
        import_file(corpus, write(tmp_path, "x.csv", text), partial=True)
    assert caught.value.code == "import_invalid"


def test_a_named_pipe_is_refused_without_waiting(corpus: Path, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "x.csv")
    with pytest.raises(OsslError, match="no regular file") as caught:
        import_file(corpus, tmp_path / "x.csv")
    assert caught.value.code == "import_unreadable"


def test_long_values_are_cut_in_messages_and_handled_quickly(corpus: Path, tmp_path: Path) -> None:
    text = f"clip_id,annotator,quadrant,caption\n{ONE},a01,{'Q' * 60_000},{'a.' * 30_000}\n"
    started = time.monotonic()
    with pytest.raises(OsslError) as caught:
        import_file(corpus, write(tmp_path, "x.csv", text), partial=True)
    assert time.monotonic() - started < 2
    assert "caption has 60000 characters" in caught.value.message
    assert len(caught.value.message) < 600


def test_column_mapping_and_partial_answers(corpus: Path, tmp_path: Path) -> None:
    path = write(tmp_path, "moods.csv", f"id,mood,text,page\n{ONE},Q2,Low strings.,7\n")
    columns = {"clip_id": "id", "quadrant": "mood", "caption": "text"}
    with pytest.raises(OsslError, match="--partial"):
        import_file(corpus, path, columns=columns, annotator="OSSL")
    planned = import_file(corpus, path, columns=columns, annotator="OSSL", partial=True)
    assert planned.unused_columns == ("page",)
    (one,) = records_of(corpus).values()
    assert one.answers == {"quadrant": "Q2", "caption": "Low strings."}
    with pytest.raises(OsslError, match="no column 'tune'"):
        import_file(corpus, path, columns={**columns, "comment": "tune"})


def test_a_newer_record_is_never_replaced(corpus: Path, tmp_path: Path) -> None:
    day = "2026-03-0{}T00:00:00Z"
    records.upsert(corpus, [annotation(0, "a01", updated_at=day.format(5)), annotation(1, "a01")])

    def imported(number: int, quadrant: str, date: str) -> ImportPlan:
        line = json.dumps({"clip_id": CLIPS[number].clip_id, "annotator": "a01",
                           "updated_at": date, **ANSWERS, "quadrant": quadrant})  # fmt: skip
        return import_file(corpus, write(tmp_path, "x.jsonl", line))

    assert imported(0, "Q2", day.format(4)).kept == ((ONE, "a01"),)
    assert imported(0, "Q2", day.format(5)).kept == ((ONE, "a01"),)
    # A record without a date is not known to be newer than a record from Label Studio.
    assert imported(1, "Q2", "").kept == ((TWO, "a01"),)
    assert imported(0, "Q3", day.format(6)).replaced == 1
    assert records_of(corpus)[ONE, "a01"].answers["quadrant"] == "Q3"
    path = tmp_path / "x.jsonl"
    os.utime(path, (0, 0))
    assert imported(2, "Q4", "").added == 1
    assert [one.source for one in records_of(corpus).values()] == [
        "import",
        "label-studio",
        "import",
    ]
