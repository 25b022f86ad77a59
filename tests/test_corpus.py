"""A corpus: created once, opened by its recipe, locked by one process at a time."""

import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from ossl_builder.corpus import create, open_corpus
from ossl_builder.errors import OsslError
from ossl_builder.tables import Source

SOURCE = Source(
    "dev", "Dev", 2020, "licensed", "CC-BY 3.0", "dev.mp4",
    alternates="", country="", licence="", sha256=None, is_claim=True, allow_unknown=False,
)  # fmt: skip


def code_of(call) -> str:  # type: ignore[no-untyped-def]
    with pytest.raises(OsslError) as caught:
        call()
    assert caught.value.hint
    return caught.value.code


def test_a_corpus_is_made_in_a_new_or_empty_folder_only(tmp_path: Path) -> None:
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "thesis.txt").write_text("x")
    create(tmp_path / "corpus")
    assert code_of(lambda: create(tmp_path / "corpus")) == "corpus_exists"
    assert code_of(lambda: create(tmp_path / "full")) == "folder_not_empty"
    assert code_of(lambda: open_corpus(tmp_path / "full")) == "no_corpus"


def test_films_are_recorded_listed_and_chosen(tmp_path: Path) -> None:
    create(tmp_path / "corpus")
    corpus = open_corpus(tmp_path / "corpus")
    corpus.record_source(SOURCE)
    assert corpus.film_ids() == ["dev"]
    assert corpus.source("dev") == SOURCE
    assert corpus.chosen([]) == corpus.chosen(["dev", "dev"]) == ["dev"]
    assert code_of(lambda: corpus.chosen(["nosuch"])) == "film_unknown"
    broken = replace(SOURCE, film_id="other", evidence=" ")
    assert code_of(lambda: corpus.record_source(replace(SOURCE, film_id="first"), broken))
    assert corpus.film_ids() == ["dev"], "of several, all or none are recorded"
    corpus.source_path("dev").write_text("{")
    assert code_of(lambda: corpus.source("dev")) == "source_damaged"


@pytest.mark.parametrize(
    "film_id", ["../x", "/etc", "a/b", "", ".", "-a", "a" * 65, "ä", "a b", "a\x00b", "a\n"]
)
def test_a_film_id_is_never_a_path(tmp_path: Path, film_id: str) -> None:
    create(tmp_path / "corpus")
    corpus = open_corpus(tmp_path / "corpus")
    assert code_of(lambda: corpus.source_path(film_id)) == "film_id_invalid"


HOLD = """
import sys
from pathlib import Path
from ossl_builder.corpus import open_corpus
with open_corpus(Path(sys.argv[1])).locked():
    print("held", flush=True)
    sys.stdin.read()
"""


def test_a_corpus_is_locked_by_one_process_until_it_dies(tmp_path: Path) -> None:
    create(tmp_path / "corpus")
    corpus = open_corpus(tmp_path / "corpus")
    with subprocess.Popen(
        [sys.executable, "-c", HOLD, str(corpus.root)],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
    ) as other:  # fmt: skip
        assert other.stdout is not None
        other.stdout.readline()
        assert code_of(lambda: corpus.locked().__enter__()) == "corpus_in_use"
        other.kill()
    with corpus.locked():
        assert corpus.root.is_dir()
