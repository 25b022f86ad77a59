"""Keep what model packages say about themselves out of a person's terminal."""

from __future__ import annotations

import contextlib
import logging
import warnings
from collections.abc import Iterator

TALKERS = ("xformers", "transformers", "audiocraft", "torch.distributed.elastic")


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Hold back progress bars, deprecations and hints of the model packages; errors still show."""
    from transformers.utils import logging as talk

    levels = {name: logging.getLogger(name).level for name in TALKERS}
    bars = talk.is_progress_bar_enabled()
    for name in TALKERS:
        logging.getLogger(name).setLevel(logging.ERROR)
    talk.disable_progress_bar()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        for name, level in levels.items():
            logging.getLogger(name).setLevel(level)
        if bars:
            talk.enable_progress_bar()
