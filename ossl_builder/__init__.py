"""Rebuild the Open Screen Soundtrack Library: films in, clips with music out."""

__version__ = "0.1.0"
