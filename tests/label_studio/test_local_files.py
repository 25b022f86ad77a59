"""Label Studio serves clips from local files: only the clips, no other files of the corpus."""

from __future__ import annotations

import pytest

from ossl_builder.annotations.annotators import AnnotatorRegistry
from ossl_builder.engine import tables_io
from ossl_builder.label_studio import url_key
from ossl_builder.tables import CLIPS
from tests.command_result import RunCommand
from tests.e2e.label_studio_server import LabelStudio
from tests.label_studio.clip_corpus import made_up_corpus

# The SDK renews tokens by a method that pydantic wants replaced.
pytestmark = pytest.mark.filterwarnings("ignore:The `parse_obj` method")
CLIP = b"\0\0\0\x18ftypisom"


def test_clips_served_by_label_studio_itself(
    label_studio: LabelStudio, ossl_here: RunCommand, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LABEL_STUDIO_API_KEY", label_studio.token)
    root = label_studio.local_films.parent
    made_up_corpus(root, 60)  # two films
    for clip in tables_io.read_table(root / "manifests", CLIPS):
        path = root / clip.video_path
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(CLIP)
    url_key.load_key(root)
    key = AnnotatorRegistry.load(root)
    key.id_of("ann@example.org")
    key.save()

    def push(*more: object) -> int:
        options = ("--url", label_studio.url, "--title", "Local", "--address", "local-files")
        return ossl_here("-C", root, "label", "push", *options, *more).code

    for refused in (root, "/"):
        assert push("--document-root", refused) == 1
        assert label_studio.project_ids("Local") == []
    assert push() == 0
    (project_id,) = label_studio.project_ids("Local")
    ada = label_studio.sign_up("ada")
    addresses = [task["data"]["video"] for task in label_studio.tasks(project_id)]
    assert len(addresses) == 60
    for address in (addresses[0], addresses[-1]):
        assert address.startswith("/data/local-files/?d=film-00")
        served = ada.fetch(address)
        assert (served.status_code, served.content) == (200, CLIP)
    for name in ("annotators.csv", "serve.key"):
        assert (root / "annotations" / name).is_file()
        assert ada.fetch(f"/data/local-files/?d=../annotations/{name}").status_code != 200
    storage = {"project": project_id, "path": str(root / "annotations"), "use_blob_urls": True}
    ada.ask("POST", "/api/storages/localfiles/", code=400, json=storage)
    # A second push adds nothing.
    assert push() == 0
    listed = label_studio.owner.ask(
        "GET", "/api/storages/localfiles/", params={"project": project_id}
    )
    assert sorted(one["path"] for one in listed) == [
        str(root / "films" / film / "clips") for film in ("film-0000", "film-0001")
    ]
