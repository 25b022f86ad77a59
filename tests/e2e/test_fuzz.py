"""300 damaged films: each ends with a state or an error code; finished films are consistent."""

from pathlib import Path

import pytest

from tests.e2e import fuzz
from tests.e2e.corpora import Ossl


@pytest.mark.slow
def test_damaged_films_fail_with_a_code_or_are_consistent(ossl: Ossl, tmp_path: Path) -> None:
    found = fuzz.build(ossl, tmp_path)
    print(fuzz.show(found))  # noqa: T201
    assert found.wrong == []
    assert sum(found.ends.values()) == fuzz.N_FILMS
    # There are many kinds of damage: some films can be built, some cannot.
    assert found.ends["done"] > 50
    assert len(found.ends) >= 4
