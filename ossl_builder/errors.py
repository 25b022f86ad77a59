"""What can go wrong, as values: a stable code, a sentence, and what to do about it."""

from __future__ import annotations


class OsslError(Exception):
    """A failure that a person can act upon.

    Attributes:
        code: stable, lower-case, with underscores (``source_missing``); scripts may match it.
        message: one sentence: what happened, to which thing.
        hint: one sentence: what to do.
    """

    def __init__(self, code: str, message: str, hint: str = "") -> None:
        # A name of a file may hold bytes that are no text; what is written down must be UTF-8.
        message, hint = (_encodable(text) for text in (message, hint))
        super().__init__(f"{message} {hint}".strip())
        self.code = code
        self.message = message
        self.hint = hint

    def __reduce__(self) -> tuple[type[OsslError], tuple[str, str, str]]:
        # Exceptions cross process borders by pickle, which passes `args`: ours need three.
        return type(self), (self.code, self.message, self.hint)


def _encodable(text: str) -> str:
    return text.encode("utf-8", "backslashreplace").decode()


class Rejected(Exception):
    """An item that was understood and is not wanted: no fault, but a reason that is counted.

    Attributes:
        reason: stable, lower-case, with underscores (``no_audio``).
        message: one sentence.
    """

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(reason, _encodable(message))
        self.reason = reason
        self.message = _encodable(message)
