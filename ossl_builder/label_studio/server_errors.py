"""What Label Studio's refusals mean, in sentences: tokens of both kinds, limits, mistakes."""

from __future__ import annotations

import base64
import re
from collections.abc import Mapping
from typing import Any

from ossl_builder import parse
from ossl_builder.errors import OsslError
from ossl_builder.net.retry import TransferError, asked_wait_s

WHERE = "Account & Settings → Personal Access Token"
SAID_LENGTH = 300
JWT_PARTS = 3
HS256_LENGTH = 43  # characters of base64url for 32 bytes
LEGACY_LENGTH = 40


def url_invalid(url: str) -> OsslError:
    """The error for what is no address of a server."""
    return OsslError(
        "server_url_invalid",
        f"{url!r} is no address of a Label Studio server.",
        "Give one such as http://127.0.0.1:8080 with --url.",
    )


def token_problem(token: str) -> OsslError | None:
    """The error for a token that cannot be whole; None: it may be.

    A personal access token is a JWT (RFC 7519): three parts in base64url with dots between them,
    the last one of 32 bytes where its first says HS256. A legacy token has 40 hexadecimal digits.
    """
    why = None
    parts = token.split(".")
    if not re.fullmatch(r"[!-~]+", token):
        why = "it holds characters that no token has, such as a space or a line end"
    elif re.fullmatch(r"[0-9a-f]+", token):
        if len(token) != LEGACY_LENGTH:
            why = f"a legacy token has {LEGACY_LENGTH} characters, this one {len(token)}"
    elif len(parts) != JWT_PARTS or not all(parts):
        if token.startswith("eyJ") or len(parts) > 1:
            why = f"it has {sum(map(bool, parts))} of the three parts, with dots between them"
    elif not token.startswith("eyJ"):
        why = "its beginning is missing"
    elif _decoded(parts[0]).get("alg") == "HS256" and len(parts[2]) != HS256_LENGTH:
        why = f"its last part has {len(parts[2])} of {HS256_LENGTH} characters"
    elif not _decoded(parts[0]) or not _decoded(parts[1]):
        why = "a part of it is cut"
    if why is None:
        return None
    return OsslError(
        "token_incomplete",
        f"The token in LABEL_STUDIO_API_KEY was not copied whole: {why}.",
        f"Copy it again, with the copy button under {WHERE}.",
    )


def _decoded(part: str) -> dict[str, Any]:
    """What a part of a JWT holds; nothing if it cannot be read."""
    try:
        found = parse.json_value(base64.urlsafe_b64decode(part + "=" * (-len(part) % 4)))
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}


def setback_of(
    url: str, token: str, status: int | None, body: Any, headers: Mapping[str, str] | None
) -> TransferError | OsslError:
    """What a refusal means.

    Returns:
        An OsslError where asking again is of no use (`token_refused`, `not_allowed`,
        `request_refused`); else a Setback, with status and `Retry-After`. A 404 is a Setback: what
        is missing is for the caller to say.
    """
    said = _said(body)
    if status == 401:
        return _token_refused(url, token, said)
    if status == 403:
        return OsslError(
            "not_allowed",
            f"Label Studio at {url} does not allow this{f' ({said})' if said else ''}.",
            "Use the token of a user who may manage the project.",
        )
    if status is not None and 400 <= status < 500 and status not in (404, 408, 409, 425, 429):
        return OsslError(
            "request_refused",
            f"Label Studio at {url} refused with {status}{f': {said}' if said else ''}.",
            "Nothing was changed by it.",
        )
    asked = {name.lower(): value for name, value in (headers or {}).items()}.get("retry-after")
    return TransferError(
        "status", f"answered {status}{f' ({said})' if said else ''}", status, asked_wait_s(asked)
    )


def _token_refused(url: str, token: str, said: str) -> OsslError:
    reason = f" ({said.rstrip('.')})" if said else ""
    if token.count(".") == 2:  # a JWT has three parts
        return OsslError(
            "token_refused",
            f"Label Studio at {url} refuses the personal access token{reason}.",
            f"It has expired, was revoked, or is another server's: make a new one under {WHERE}, "
            "and put it into LABEL_STUDIO_API_KEY.",
        )
    return OsslError(
        "token_refused",
        f"Label Studio at {url} refuses the legacy token{reason}.",
        f"Servers as installed take personal access tokens only (three parts, with dots): make one "
        f"under {WHERE}, and put it into LABEL_STUDIO_API_KEY. An administrator may also allow "
        "legacy tokens, under Organization → Access Token Settings.",
    )


def _said(body: Any) -> str:
    """The server's own sentence. Never the whole answer: it may hold cookies and addresses."""
    if not isinstance(body, dict):
        return ""
    parts = [body.get("detail"), body.get("validation_errors")]
    text = "; ".join(str(part) for part in parts if part)
    return " ".join(text.split())[:SAID_LENGTH]
