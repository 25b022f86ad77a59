"""Imports follow the order of the layers, and heavy packages are imported late."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import ossl_builder

ROOT = Path(ossl_builder.__file__).parent

# Each layer may import those below it; modules of one layer may import each other.
LAYERS = (
    ("cli",),
    ("demo", "catalogue", "label_studio", "exports", "imports", "report"),
    ("pipeline",),
    ("config", "corpus"),
    ("annotations", "splits"),
    ("stages",),
    ("media", "models", "net"),
    ("separator", "engine"),
    ("rights",),
    ("tables",),
    ("files", "csv_cells", "query", "templates"),
    ("parse",),
    ("errors",),
)
RANK = {name: rank for rank, layer in enumerate(reversed(LAYERS)) for name in layer}
# The only modules that load the training package, and only when they are called.
MOUNTING = ("train.py", "demo.py")
# External packages, and the only modules that may import each.
OUTSIDE = {
    "av": ("media/", "pipeline/doctor.py"),
    "scenedetect": ("models/scenedetect.py",),
    "demucs": ("models/", "separator/"),
    "ffmpeg": ("media/ffmpeg.py",),
    "yt_dlp": ("net/ytdlp.py",),
    "label_studio_sdk": ("label_studio/client.py",),
    "httpx": ("net/", "label_studio/"),
    "starlette": ("label_studio/serve.py",),
    "uvicorn": ("label_studio/",),
    "itsdangerous": ("label_studio/url_key.py",),
    "duckdb": ("query.py",),
    "transformers": ("models/",),
    "jinja2": ("templates.py",),
}


def modules() -> list[Path]:
    return sorted(ROOT.rglob("*.py"))


def imported(path: Path) -> list[str]:
    found = []
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found += [name.name for name in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module:
            found += [f"{node.module}.{name.name}" for name in node.names]
    return found


def layer_of(parts: tuple[str, ...]) -> str:
    return parts[0].removesuffix(".py")


@pytest.mark.parametrize("path", modules(), ids=lambda path: str(path.relative_to(ROOT)))
def test_imports_follow_the_order_of_the_layers(path: Path) -> None:
    here = layer_of(path.relative_to(ROOT).parts)
    if here == "__init__":
        return
    assert here in RANK, f"{here} has no layer"
    for name in imported(path):
        parts = name.split(".")
        assert parts[0] != "ossl_train" or path.name in MOUNTING, f"{here} imports {name}"
        if parts[0] == "ossl_builder" and len(parts) > 1 and parts[1] != "__version__":
            assert RANK[parts[1]] <= RANK[here], f"{here} imports {name}"


@pytest.mark.parametrize("path", modules(), ids=lambda path: str(path.relative_to(ROOT)))
def test_external_packages_are_imported_in_one_place(path: Path) -> None:
    name = path.relative_to(ROOT).as_posix()
    for module in imported(path):
        for allowed in OUTSIDE.get(module.split(".")[0], ("",)):
            if name.startswith(allowed):
                break
        else:
            raise AssertionError(f"{name} imports {module}")


def test_the_command_line_starts_without_heavy_packages() -> None:
    heavy = "torch pandas pyarrow numpy scipy av cv2 scenedetect demucs yt_dlp soundfile rich"
    code = (
        "import sys, ossl_builder.cli.main; "
        f"print([name for name in {heavy.split()} if name in sys.modules])"
    )
    result = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    ).stdout
    assert result.strip() == "[]"
