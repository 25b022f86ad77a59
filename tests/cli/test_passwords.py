"""A password in an address is never printed and never stored."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.command_result import RunCommand
from tests.exports.rights_corpus import rights_corpus

SECRET = "hunter2"
ADDRESSES = (
    f"http://me:{SECRET}@127.0.0.1:1/x",
    f"https://me:{SECRET}@host.invalid/film.mp4",
    f"http://{SECRET}@127.0.0.1:1",
    f"htp://me:{SECRET}@127.0.0.1:1",
    f"http://me:{SECRET}/@127.0.0.1:1",
    f"http://me:{SECRET}@[::1",
)


@pytest.mark.parametrize("address", ADDRESSES)
@pytest.mark.parametrize(
    "words",
    [
        ("label", "push", "--url"),
        ("label", "pull", "--url"),
        ("label", "push", "--url", "http://127.0.0.1:1", "--clips-url"),
        ("label", "push", "--url", "http://127.0.0.1:1", "--address"),
        ("label", "serve", "--host", "nowhere.invalid", "--public-url"),
        (
            "films", "add", "--id", "a", "--title", "A", "--basis", "licensed",
            "--evidence", "CC0",
        ),
    ],
    ids=" ".join,
)  # fmt: skip
def test_a_password_is_neither_printed_nor_stored(
    ossl_here: RunCommand,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    words: tuple[str, ...],
    address: str,
) -> None:
    monkeypatch.setenv("LABEL_STUDIO_API_KEY", "0" * 40)
    corpus = rights_corpus(tmp_path / "corpus", "expired")
    ended = ossl_here("-C", corpus, *words, address)
    assert ended.code == 1
    assert SECRET not in ended.out + ended.err
    kept = [path for path in corpus.rglob("*") if path.is_file()]
    assert not any(SECRET.encode() in path.read_bytes() for path in kept)


def test_an_at_sign_elsewhere_is_not_a_password(ossl_here: RunCommand, tmp_path: Path) -> None:
    corpus = rights_corpus(tmp_path / "corpus", "expired")
    (tmp_path / "me@home.mp4").touch()
    for number, name in enumerate(("https://example.org/@me/film", tmp_path / "me@home.mp4")):
        ended = ossl_here(
            "-C", corpus, "films", "add", name, "--id", f"a{number}", "--title", "A", "--basis",
            "licensed", "--evidence", "CC0",
        )  # fmt: skip
        assert ended.code == 0, ended.err
