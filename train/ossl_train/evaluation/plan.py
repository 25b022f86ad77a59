"""What an evaluation would do, without doing it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from ossl_builder.errors import OsslError
from ossl_train.evaluation import passt
from ossl_train.evaluation.clap import how_of
from ossl_train.evaluation.curves import MUSIC, PICTURE
from ossl_train.evaluation.kept import Kept
from ossl_train.evaluation.material import Material
from ossl_train.evaluation.model_folder import found_here
from ossl_train.evaluation.settings import Settings


def plan(material: Material, settings: Settings, kept: Kept) -> dict[str, Any]:
    """The work, by kind, with how many files' results are kept already.

    Returns:
        `work`: what, files, kept (None where that cannot be known), model; `left_out` and
        `problems`: sentences.
    """
    work: list[dict[str, Any]] = []
    problems: list[str] = []
    sides = [*material.generated.values(), *material.real.values()]
    if settings.clap is not None:
        how = None
        try:
            folder = found_here(settings.clap, settings.revision)
            how = None if folder is None else how_of(folder.digest())
            if folder is None:
                problems.append(
                    f"{settings.clap} is not on this machine: it would be downloaded first, or, "
                    "without a network, the run would end there."
                )
        except OsslError as error:
            problems.append(f"{error.message} {error.hint}")
        work.append(_work("CLAP vectors", sides, how, kept, settings.clap))
    if settings.with_kl:
        if not passt.is_installed():
            problems.append(f"{passt.NOT_INSTALLED} {passt.INSTALL}")
        pairs = [
            side[name] for name in material.pairs for side in (material.generated, material.real)
        ]
        work.append(_work("PaSST tags", pairs, None, kept, "PaSST"))
    if settings.with_picture and material.video:
        music = [*material.generated.values(), *(material.real[name] for name in material.pairs)]
        work.append(_work("music curves", music, MUSIC, kept, ""))
        work.append(_work("picture curves", material.video.values(), PICTURE, kept, ""))
    return {"work": work, "left_out": list(material.left_out), "problems": problems}


def _work(
    what: str, paths: Iterable[Path], how: Mapping[str, Any] | None, kept: Kept, model: str
) -> dict[str, Any]:
    there = [path for path in paths if path.is_file()]
    known = None if how is None else sum(kept.has(path, how) for path in there)
    return {"what": what, "files": len(there), "kept": known, "model": model}
