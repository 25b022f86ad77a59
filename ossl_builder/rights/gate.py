"""What stands between a recorded film and its build: a verdict, or the user's own decision."""

from __future__ import annotations

from datetime import date

from ossl_builder.rights.recorded import verdict_of
from ossl_builder.tables import Source

# The reason under which refused films are counted.
REASON = "rights_unknown"


def refusal(source: Source, today: date) -> str | None:
    """Why a film is not to be built, and what to do about it; None: it may be built.

    It depends on the day, because terms end with a year. So it is asked at every build, and never
    recorded as a film's result.
    """
    if source.allow_unknown:
        return None
    verdict = verdict_of(source, today)
    if verdict.is_free:
        return None
    return (
        f"{verdict.sentence} Read `ossl films explain {source.film_id}`; to build it nevertheless: "
        f"`ossl films add {source.film_id} --allow-unverified`."
    )
