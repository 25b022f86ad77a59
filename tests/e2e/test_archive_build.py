"""Build clips of three catalogue films from an Internet Archive on loopback with a failing node."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import pytest

from ossl_builder.tables.catalogue import load_catalogue
from tests.e2e.corpora import Ossl, rows
from tests.films import make_film
from tests.misbehaving import Answer, misbehaving

LICENCE = "http://creativecommons.org/publicdomain/mark/1.0/"


def test_three_films_of_the_archive_with_a_failing_node(
    ossl: Ossl, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    corpus = tmp_path / "corpus"
    ossl("init", corpus)
    chosen = [film for film in load_catalogue() if film.tier == "A" and "/" not in film.source][:3]
    bodies = {}
    with misbehaving() as archive:
        for number, film in enumerate(chosen):
            path = tmp_path / "film.mp4"
            truth = make_film(path, seconds=13 + number, audio_s=(0.0, 13 + number))
            bodies[film.film_id] = path.read_bytes()
            archive.put_item(
                film.source.removeprefix("ia:"), f"{film.title}.mp4", path.read_bytes(),
                # The Archive redirects to a node that is down; the next one drops a film midway.
                answers=(Answer(503),),
                nodes=((Answer(stop_at=0.5 if number == 1 else 1.0),), (Answer(),)),
                stated={"length": f"{truth.end_s:.2f}"},
                about={"licenseurl": LICENCE},
            )  # fmt: skip
        ossl("-C", corpus, "films", "add", *bodies)
        settings = {
            "fetch.archive_url": archive.address, "fetch.archive_node_url": "http://{server}",
            "fetch.min_kbps": 0, "fetch.wait_s": 0, "stems.model": "bundled",
        }  # fmt: skip
        given = [text for key, value in settings.items() for text in ("--set", f"{key}={value}")]
        ossl("-C", corpus, "build", *given, "--until", "scenes")
        # The films are fetched: none is requested again, and only missing stages run.
        n_asked = len(archive.asked)
        ossl("-C", corpus, "build", "--workers", 2, *given)
        assert len(archive.asked) == n_asked

    rows_of = {row["film_id"]: row for row in rows(corpus, "films")}
    assert sorted(rows_of) == sorted(bodies)
    for film in chosen:
        row, body = rows_of[film.film_id], bodies[film.film_id]
        path = corpus / row["path"]
        assert row["path"] == f"films/{film.film_id}/source/{film.film_id}.mp4"
        assert path.read_bytes() == body
        assert row["sha256"] == hashlib.sha256(body).hexdigest()
        assert row["original_sha1"] == hashlib.sha1(body).hexdigest()
        assert (row["basis"], row["evidence"]) == (film.pd_basis, film.pd_evidence)
        assert (row["is_claim"], row["country"]) == (False, film.country)
        assert (row["source"], row["licence_url"]) == (film.source, LICENCE)
        assert row["chosen_file"] == f"{film.title}.mp4"
        assert row["chosen_why"] == "the original video"
        document = json.loads(path.with_name("metadata.json").read_bytes())
        assert f"ia:{document['metadata']['identifier']}" == film.source
    assert {scene["film_id"] for scene in rows(corpus, "scenes")} == set(bodies)
    assert {clip["film_id"] for clip in rows(corpus, "clips")} == set(bodies)
    ossl("-C", corpus, "verify")
