"""Everything known of one film."""

from __future__ import annotations

from dataclasses import asdict
from datetime import date
from typing import Any

from ossl_builder.acquisition.shelf import Shelf
from ossl_builder.engine import records
from ossl_builder.pipeline import STAGES
from ossl_builder.rights.gate import refusal
from ossl_builder.stages.fetch import FETCH_STAGE
from ossl_builder.tables import FILMS, SOURCES
from ossl_builder.workspace import Corpus


def dossier(corpus: Corpus | None, film_id: str, today: date) -> dict[str, Any]:
    """What catalogue, corpus, file and records say of a film, as plain values.

    Returns:
        `film_id`, `verdict`, `refusal` (why it would not be built, or None), and one object each,
        empty if there is nothing to say: `catalogue`, `corpus` (as recorded), `film` (the row of
        the films table), `stages` (how each ended).

    Raises:
        OsslError: `film_unknown`.
    """
    shelf = Shelf(corpus)
    known = shelf.known(film_id)
    verdict = known.verdict(today)
    source = known.recorded
    film: dict[str, Any] = {}
    stages: dict[str, str] = {}
    if corpus is not None and source is not None:
        for stage in STAGES:
            record = records.read(corpus.root, stage.name, film_id)
            if record is None:
                continue
            said = f"{record.n_rows} rows" if record.state == "done" else record.message
            stages[stage.name] = f"{record.state} on {record.finished[:10]}: {said}"
            if stage is FETCH_STAGE and record.state == "done":
                film = FILMS.to_json(records.read_rows(corpus.root, stage, film_id)[0])
                film["verdict"] = verdict.word  # which no record has: it depends on the day
    return {
        "film_id": film_id,
        "verdict": f"{verdict.word}: {verdict.sentence}",
        "refusal": None if source is None else refusal(source, today),
        "catalogue": asdict(known.catalogued) if known.catalogued else {},
        "corpus": SOURCES.to_json(source) if source else {},
        "film": film,
        "stages": stages,
    }
