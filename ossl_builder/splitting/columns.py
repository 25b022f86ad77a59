"""Columns of texts as numbers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


def coded(column: Any) -> tuple[tuple[str, ...], NDArray[np.int64]]:
    """The texts of an Arrow column, sorted, each once; and for each row the place of its text."""
    import numpy as np
    import pyarrow.compute as pc

    texts = tuple(sorted(pc.unique(column).to_pylist()))
    places = pc.index_in(column, value_set=_texts(texts))
    return texts, places.to_numpy().astype(np.int64)


def _texts(values: tuple[str, ...]) -> Any:
    import pyarrow as pa

    return pa.array(values, pa.string())
