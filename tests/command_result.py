"""Result of an `ossl` command that ran in the test process."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class CommandResult:
    """Exit code, standard output, standard error."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)

    @property
    def flat_err(self) -> str:
        """Standard error on one line, without the box that the terminal draws around an error."""
        return " ".join(self.err.replace("│", " ").split())

    def problems(self) -> dict[str, str]:
        """Problems in the output of `ossl import --json`: path to reason."""
        return {one["path"]: one["why"] for one in self.json["problems"]}


# Type of a function that runs `ossl` in this process.
RunCommand = Callable[..., CommandResult]
