"""The key that addresses of clips are signed with: made once, kept out of git, read by nobody."""

from __future__ import annotations

import os
import secrets
from pathlib import Path

from ossl_builder.engine import files
from ossl_builder.errors import OsslError
from ossl_builder.labelling import records
from ossl_builder.labelling.annotators import keep_out_of_git

NAME = "serve.key"
LENGTH = 32  # bytes: as long as SHA-256's output, RFC 2104, section 3


def path_of(corpus: Path) -> Path:
    """Where a corpus' key lies."""
    return corpus / records.FOLDER / NAME


def of(corpus: Path) -> bytes:
    """A corpus' key; made, with mode 0600, when it is first asked for.

    Raises:
        OsslError: `address_key_damaged`.
    """
    path = path_of(corpus)
    if not path.exists():
        _make(path)
    try:
        key = bytes.fromhex(path.read_text(encoding="ascii"))
    except ValueError:
        key = b""
    if len(key) != LENGTH:
        raise OsslError(
            "address_key_damaged",
            f"{path} is not the key that `ossl label serve` wrote.",
            "Delete it, and renew all addresses with `ossl label relink`.",
        )
    return key


def _make(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    keep_out_of_git(path.parent)
    temporary = path.with_name(f".{NAME}.{os.getpid()}{files.TEMPORARY}")
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w") as stream:
        stream.write(f"{secrets.token_hex(LENGTH)}\n")
        stream.flush()
        os.fsync(stream.fileno())
    try:
        # A link, unlike a rename, does not replace the key that another process just made.
        path.hardlink_to(temporary)
    except FileExistsError:
        pass
    finally:
        temporary.unlink()
