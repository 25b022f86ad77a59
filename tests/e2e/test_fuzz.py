"""300 damaged films: each ends with a state or a code, and what is done agrees or warns."""

from pathlib import Path

import pytest

from tests.e2e import fuzz
from tests.e2e.corpora import Ossl


@pytest.mark.slow
def test_damaged_films_end_with_a_reason_or_agree(ossl: Ossl, tmp_path: Path) -> None:
    found = fuzz.build(ossl, tmp_path)
    print(fuzz.show(found))  # noqa: T201
    assert found.wrong == []
    assert sum(found.ends.values()) == fuzz.N_FILMS
    # The damage is of many kinds: some films are whole enough, some are not.
    assert found.ends["done"] > 50
    assert len(found.ends) >= 4
