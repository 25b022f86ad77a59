"""Which files `ossl label serve` hands out: the MP4s of the clips table, to who has an address."""

from __future__ import annotations

import time
from collections.abc import Mapping
from pathlib import Path
from threading import Lock

from ossl_builder.engine import manifests
from ossl_builder.engine.paths import existing, leads_inside
from ossl_builder.errors import OsslError
from ossl_builder.exchange import address_key, addresses
from ossl_builder.tables import CLIPS
from ossl_builder.tools.serving import Refused

ROUTE = "/clips/{film_id}/{clip_id}.mp4"
FILMS = "films"
NOT_HERE = Refused(404, "There is no such clip here.")


class ServedClips:
    """The clips of a corpus as they stand: a build that ends while they are served counts.

    Raises:
        OsslError: from the constructor: `table_missing`, `table_version`, `address_key_damaged`.
    """

    def __init__(self, corpus: Path) -> None:
        self._corpus = corpus
        self._key = address_key.of(corpus)
        self._lock = Lock()
        self._seen: tuple[int, int] | None = None
        self._paths: dict[tuple[str, str], str] = {}
        self._refresh()

    def __len__(self) -> int:
        """How many clips there are."""
        return len(self._paths)

    def find(self, names: Mapping[str, str], query: Mapping[str, str]) -> Path | Refused:
        """The file that a signed address means; see `tools.serving.Find`.

        The signature is looked at first: who has none does not learn which clips there are.
        """
        film_id, clip_id = names["film_id"], names["clip_id"]
        expires, signed = query.get("expires", ""), query.get("signature", "")
        why = addresses.refusal(self._key, film_id, clip_id, expires, signed, time.time())
        if why is not None:
            return Refused(403, why)
        with self._lock:
            try:
                self._refresh()
            except OsslError as error:
                return Refused(503, error.message)
            name = self._paths.get((film_id, clip_id))
        return NOT_HERE if name is None else self._file(name) or NOT_HERE

    def _refresh(self) -> None:
        folder = self._corpus / "manifests"
        try:
            stat = (folder / f"{CLIPS.name}.parquet").stat()
            seen = (stat.st_ino, stat.st_mtime_ns)
        except FileNotFoundError:  # reading it says so in a sentence
            seen = None
        if seen is not None and seen == self._seen:
            return
        rows = manifests.read_arrow(folder, CLIPS, ("film_id", "clip_id", "video_path")).to_pylist()
        self._paths = {(row["film_id"], row["clip_id"]): row["video_path"] for row in rows}
        self._seen = seen

    def _file(self, name: str) -> Path | None:
        """The file, if it is a real MP4 below `films`; a table may come from anywhere."""
        path = existing(self._corpus, name)
        if path is None or path.is_symlink() or not leads_inside(self._corpus / FILMS, path):
            return None
        real = path.resolve()
        return real if real.suffix == ".mp4" else None
