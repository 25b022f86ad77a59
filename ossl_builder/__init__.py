"""Build the Open Screen Soundtrack Library: film clips with their music, from films."""

__version__ = "0.1.0"
