"""How the clips of a corpus are addressed, as it was told once and is remembered."""

from __future__ import annotations

import dataclasses

from ossl_builder.exchange.addresses import Addresses, addresses_of
from ossl_builder.exchange.state import State
from ossl_builder.workspace import Corpus

SERVE, LOCAL_FILES = "serve", "local-files"


def chosen(state: State, address: str, clips_url: str, document_root: str) -> State:
    """Merge the given options into the state; an empty option leaves its value unchanged.

    Args:
        state: what is remembered.
        address: `serve`, `local-files`, or the address of a store.
        clips_url: the address at which labellers reach `ossl label serve`.
        document_root: Label Studio's document root, for local files.
    """
    if not address and (clips_url or document_root):
        # Both are said of one kind of address only.
        address = SERVE if clips_url else LOCAL_FILES
    return dataclasses.replace(
        state,
        address=address or state.address,
        clips_url=clips_url or state.clips_url,
        document_root=document_root or state.document_root,
    )


def addresses(corpus: Corpus, state: State) -> Addresses:
    """The addresses of a corpus' clips.

    Raises:
        OsslError: see `addresses_of`.
    """
    if state.address in ("", SERVE):
        return addresses_of(corpus.root, "serve", state.clips_url)
    if state.address == LOCAL_FILES:
        return addresses_of(corpus.root, "local-files", state.document_root)
    return addresses_of(corpus.root, "base", state.address)
