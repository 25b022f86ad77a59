"""Whether a file can be had from an address: its first byte is asked for."""

from __future__ import annotations

SAID_LENGTH = 120


def why_unreachable(address: str, timeout_s: float = 5.0) -> str | None:
    """Why an address gives no file, as a clause; None: it gives one.

    Args:
        address: of `http` or `https`.
        timeout_s: an answer that takes longer is given up.
    """
    import urllib.error
    import urllib.request
    from http.client import HTTPException

    request = urllib.request.Request(address, headers={"Range": "bytes=0-0"})
    try:
        with urllib.request.urlopen(request, timeout=timeout_s) as response:
            response.read(1)
    except urllib.error.HTTPError as error:
        with error:
            text = " ".join(error.read(4 * SAID_LENGTH).decode("utf-8", "replace").split())
        shown = "" if text.startswith("<") else f" ({text[:SAID_LENGTH]})" * bool(text)
        return f"it answers {error.code}{shown}"
    except TimeoutError:
        return f"it does not answer within {timeout_s:g} s"
    except (OSError, HTTPException, ValueError) as error:
        return f"it cannot be reached ({getattr(error, 'reason', None) or error})"
    return None
