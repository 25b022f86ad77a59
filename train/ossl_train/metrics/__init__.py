"""Measures of generated music, as plain functions of arrays: numpy only, never infinite or NaN."""

from __future__ import annotations


class NotDefined(Exception):
    """A measure that these data do not define; the message says why, in one sentence."""
