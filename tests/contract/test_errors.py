"""Every error code, reason and warning is listed once, used, and documented."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import ossl_builder
from ossl_builder.errors import CODES, REASONS, WARNINGS, as_markdown

ROOT = Path(ossl_builder.__file__).parent
SOURCES = (ROOT, ROOT.parent / "train" / "ossl_train")
KINDS = {"OsslError": CODES, "Rejected": REASONS, "Reject": REASONS, "Notice": WARNINGS}
# Codes that are built at run time from the kind of a store and a suffix.
STORES = {
    f"{kind}_{what}"
    for kind in ("features", "codes", "text")
    for what in ("missing", "mixed", "differ", "stale")
}


def calls() -> Iterator[tuple[Path, str, str]]:
    """File, class and code of each error, reject or warning whose code is a literal."""
    for path in (path for folder in SOURCES for path in sorted(folder.rglob("*.py"))):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name | ast.Attribute):
                name = node.func.id if isinstance(node.func, ast.Name) else node.func.attr
                code = node.args[0] if node.args else None
                if name in KINDS and isinstance(code, ast.Constant):
                    yield path, name, code.value
                elif name == "reject" and isinstance(code, ast.Constant):
                    yield path, "Reject", code.value


def test_every_code_is_listed() -> None:
    unknown = {(path.name, code) for path, name, code in calls() if code not in KINDS[name]}
    assert not unknown


def test_every_listed_code_is_used() -> None:
    texts = "\n".join(
        path.read_text(encoding="utf-8")
        for folder in SOURCES
        for path in folder.rglob("*.py")
        if path.name != "errors.py"
    )
    unused = [
        code
        for code in (*CODES, *REASONS, *WARNINGS)
        if f'"{code}"' not in texts and code not in STORES
    ]
    assert not unused


def test_every_meaning_is_a_sentence() -> None:
    for meaning in (*CODES.values(), *REASONS.values(), *WARNINGS.values()):
        assert meaning[0].isupper() or meaning[0] in "`-"
        assert meaning.endswith(".")


def test_the_page_of_codes_is_up_to_date() -> None:
    page = ROOT.parent / "docs" / "errors.md"
    assert page.read_text(encoding="utf-8") == as_markdown(), "run python -m ossl_builder.errors"
