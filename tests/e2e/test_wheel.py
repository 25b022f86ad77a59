"""The wheel, installed in an environment without this checkout."""

import re
import subprocess
import sys
from pathlib import Path

from ossl_builder.demo.films import FILMS

ROOT = Path(__file__).parents[2]


def test_the_wheel_works_without_the_checkout(tmp_path: Path) -> None:
    def run(*command: object) -> str:
        done = subprocess.run(
            [str(part) for part in command], capture_output=True, text=True, check=False,
            cwd=tmp_path, stdin=subprocess.DEVNULL,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        return done.stdout

    run(sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--wheel-dir", ".", ROOT)
    (wheel,) = tmp_path.glob("*.whl")
    run(sys.executable, "-m", "venv", "clean")
    python = tmp_path / "clean/bin/python"
    run(python, "-m", "pip", "install", "--quiet", "-c", ROOT / "constraints.txt", wheel)
    ossl = tmp_path / "clean/bin/ossl"
    assert "Films in, clips with music out" in run(ossl, "--help")
    for command in ("build", "films", "scenes", "verify", "doctor"):
        assert "Usage" in run(ossl, command, "--help")
    run(ossl, "init", "corpus")
    run(
        ossl, "-C", "corpus", "films", "add", "dev.mp4", "--id", "dev", "--title", "Dev film",
        "--basis", "licensed", "--evidence", "CC-BY 3.0",
    )  # fmt: skip
    assert "Dev film" in run(ossl, "-C", "corpus", "films", "list", "--in-corpus")
    assert "steamboat-willie-1928" in run(ossl, "films", "list")
    files = run(python, "-m", "zipfile", "-l", wheel)
    assert "ossl_builder/separator/bundled.safetensors" in files
    assert "ossl_builder/separator/LICENSE-spleeter.txt" in files
    assert "ossl_builder/bundled/manifests/films.csv" in files
    assert "ossl_builder/bundled/manifests/recipes/ossl-v2.yaml" in files
    assert "ossl_builder/models/audioset_classes.csv" in files
    run(ossl, "init", "second", "--recipe", "ossl-v2")
    assert "ossl_builder/demo/films/CREDITS.md" in files
    for film in FILMS:
        assert f"ossl_builder/demo/films/{film.file}" in files
        assert f"ossl_builder/bundled/annotations/{film.claim.film_id}.jsonl" in files
    # The training code of the bundled separator is not in the wheel.
    assert not re.search(r"^(train/)?separator/", files, re.MULTILINE)
    assert "tests/" not in files
    assert wheel.stat().st_size < 25e6
