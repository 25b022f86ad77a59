"""How sources misbehave: what the server does, one entry for each row of the documentation."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from tests.misbehaving import Answer

PAGE = b"<!DOCTYPE html><html><body>This film is not available.</body></html>"


@dataclass(frozen=True)
class Misbehaviour:
    """What a source does.

    Attributes:
        does: description in the documentation's table.
        answers: for the film's file; `OTHER` as content stands for another film of the same size,
            `HALF` for the first half of it.
        first: for the metadata document of an item, or the first look at a site.
        stated: what the metadata document says of the film, where that is not true.
        settings: of the fetch.
        wrong_pin: the checksum pinned is of another file.
        waits_s: minimum of the longest pause between two requests.
    """

    does: str
    answers: tuple[Answer, ...] = (Answer(),)
    first: tuple[Answer, ...] = ()
    stated: dict[str, Any] = field(default_factory=dict)
    settings: dict[str, Any] = field(default_factory=dict)
    wrong_pin: bool = False
    waits_s: float = 0.0


OTHER = b"other"
HALF = b"half"
NO_RANGES = Answer(has_ranges=False)
BUSY = Answer(503)
SLOW = Answer(bytes_per_s=20_000)
NO_STALL = {"stall_s": 0.4}
NO_TRICKLE = {"min_kbps": 400.0, "slow_s": 0.4}


def after(seconds: int) -> tuple[tuple[str, str], ...]:
    return (("Retry-After", str(seconds)),)


MISBEHAVIOURS = (
    Misbehaviour("behaves"),
    Misbehaviour("drops the connection midway, once", (Answer(stop_at=0.5), Answer())),
    Misbehaviour(
        "drops it midway, once, and knows no ranges",
        (Answer(stop_at=0.5, has_ranges=False), NO_RANGES),
    ),
    Misbehaviour(
        "drops it midway, once, and marks no versions (no ETag, no date)",
        (Answer(stop_at=0.5, has_marks=False), Answer(has_marks=False)),
    ),
    Misbehaviour("drops it midway, always", (Answer(stop_at=0.5),)),
    Misbehaviour("stalls midway, once", (Answer(stall_at=0.5), Answer()), settings=NO_STALL),
    Misbehaviour("stalls midway, always", (Answer(stall_at=0.5),), settings=NO_STALL),
    Misbehaviour("trickles, once", (SLOW, Answer()), settings=NO_TRICKLE),
    Misbehaviour("trickles, always", (SLOW,), settings=NO_TRICKLE),
    Misbehaviour("answers 503 to the download, twice", (BUSY, BUSY, Answer())),
    Misbehaviour("answers 503 to the download, always", (BUSY,)),
    Misbehaviour("answers 503 to the first question, twice", first=(BUSY, BUSY)),
    Misbehaviour("answers 503 to the first question, always", first=(BUSY,) * 99),
    Misbehaviour("answers 429 with Retry-After: 1", (Answer(429, after(1)), Answer()), waits_s=1.0),
    Misbehaviour(
        "answers 429 with Retry-After: 1 to the first question",
        first=(Answer(429, after(1)),),
        waits_s=1.0,
    ),
    Misbehaviour(
        "answers 429 with a Retry-After beyond `fetch.max_wait_s`", (Answer(429, after(3600)),)
    ),
    Misbehaviour("sends half the file, and says that is all", (Answer(content=HALF),)),
    Misbehaviour("has another film after a drop", (Answer(stop_at=0.5), Answer(content=OTHER))),
    Misbehaviour(
        "has another film after a drop, and marks no versions",
        (Answer(stop_at=0.5, has_marks=False), Answer(content=OTHER, has_marks=False)),
    ),
    Misbehaviour("sends a page of the web as video/mp4", (Answer(content=PAGE),)),
    Misbehaviour("answers 404 to the download", (Answer(404),)),
    Misbehaviour("answers 403 to the download", (Answer(403),)),
    Misbehaviour("answers 404 to the first question", first=(Answer(404),) * 99),
    Misbehaviour(
        "answers the first question with a page",
        first=(Answer(content=PAGE, content_type="text/html"),) * 99,
    ),
    Misbehaviour(
        "has another file than the checksum says", stated={"sha1": "0" * 40}, wrong_pin=True
    ),
    Misbehaviour("states another length (by more than 2 s)", stated={"length": "0:09"}),
    Misbehaviour("sends from address to address without end", (Answer(302, (("Location", ""),)),)),
    Misbehaviour("has a file larger than `fetch.max_gb`", settings={"max_gb": 1e-4}),
    Misbehaviour(
        "sends more than `fetch.max_gb`, without saying so",
        (Answer(has_length=False),),
        stated={"size": None},
        settings={"max_gb": 1e-4},
    ),
)
