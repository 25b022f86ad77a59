"""Measures of generated music, as plain functions of arrays: numpy only, never infinite or NaN."""

from __future__ import annotations


class NotDefined(Exception):
    """A measure is not defined for these data; the message gives the reason."""
