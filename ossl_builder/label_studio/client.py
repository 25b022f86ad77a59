"""Connect to a Label Studio server through its SDK, with retries and typed errors.

Requests that change nothing, or that give the same result when repeated, are retried. Requests
that create tasks are not: the server accepts duplicates, and a lost response does not show whether
the tasks were created (see `label_studio.push`).
"""

from __future__ import annotations

import base64
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar

from ossl_builder import parse
from ossl_builder.errors import OsslError
from ossl_builder.net.http import refuse_password
from ossl_builder.net.retry import RetryPolicy, TransferError, asked_wait_s

TIMEOUT_S = 60.0  # the server aborts a request after the same time
RETRY_POLICY = RetryPolicy(timeout_s=TIMEOUT_S, tries=5, wait_s=1.0, max_wait_s=120.0)
# For requests that must be sent only once: the SDK retries by default.
NO_SDK_RETRIES = {"max_retries": 0}
NOT_LABEL_STUDIO = "sent a response that is not from Label Studio"

TOKEN_PAGE = "Account & Settings → Personal Access Token"
MESSAGE_LENGTH = 300
JWT_PARTS = 3
HS256_LENGTH = 43  # characters of base64url for 32 bytes
LEGACY_LENGTH = 40

Response = TypeVar("Response")


@dataclass(frozen=True)
class Server:
    """A connection to a server; from `connect`.

    Attributes:
        url: the server's URL, without a slash at its end.
        token: the API token.
        client: the client of the Label Studio SDK.
        retry_policy: for requests that may be repeated.
    """

    url: str
    token: str = field(repr=False)
    client: Any = field(repr=False)
    retry_policy: RetryPolicy = RETRY_POLICY

    def call(self, request: Callable[[], Response]) -> Response:
        """Send a request, with retries; only for requests that may be repeated.

        Raises:
            TransferError: of the last attempt.
            OsslError: see `response_error`.
        """
        return self.retry_policy.call(lambda: self.call_once(request))

    def call_once(self, request: Callable[[], Response]) -> Response:
        """Send a request, without retries.

        Raises:
            TransferError: no response, or a temporary refusal.
            OsslError: see `response_error`.
        """
        import httpx
        from label_studio_sdk.core.api_error import ApiError

        try:
            return request()
        except ApiError as error:
            # str(error) would show cookies; use only its parts.
            raise response_error(
                self.url, self.token, error.status_code, error.body, error.headers
            ) from None
        except httpx.TimeoutException as error:
            raise TransferError("stalled", "did not answer in time") from error
        except httpx.ConnectError as error:
            raise TransferError("unreachable", "cannot be reached") from error
        except httpx.HTTPError as error:
            raise TransferError("dropped", "closed the connection") from error
        # The response is not JSON, is nested too deeply, or does not fit the SDK's models.
        except (ValueError, RecursionError) as error:
            raise TransferError("dropped", NOT_LABEL_STUDIO) from error


def connect(url: str, token: str, timeout_s: float = TIMEOUT_S) -> Server:
    """Create the client for a server. Nothing is sent yet.

    Args:
        url: the server's URL, as in the browser.
        token: a personal access token, or a legacy token if the server accepts those.
        timeout_s: longest wait for a response, in seconds.

    Raises:
        OsslError: `server_url_invalid`, `address_has_password`, `token_incomplete`,
            `token_refused`.
    """
    import httpx
    from label_studio_sdk import LabelStudio
    from label_studio_sdk.core.api_error import ApiError

    refuse_password(url, is_server=True)
    token_error = incomplete_token_error(token)
    if token_error is not None:
        raise token_error
    base_url = url.strip().rstrip("/")
    try:
        scheme = httpx.URL(base_url).scheme
    except httpx.InvalidURL as error:
        raise invalid_url_error(url) from error
    if scheme not in ("http", "https"):
        raise invalid_url_error(url)
    # `Server.call` does the retries. The slash keeps a path in the URL when tokens are renewed.
    try:
        client = LabelStudio(
            base_url=f"{base_url}/", api_key=token, timeout=timeout_s, max_retries=0
        )
    except ApiError as error:  # the SDK decodes the token at once
        raise response_error(
            base_url, token, error.status_code, error.body, error.headers
        ) from None
    return Server(base_url, token, client)


def none_if_missing(request: Callable[[], Response]) -> Response | None:
    """Return the result of a request; None if the server answers 404."""
    try:
        return request()
    except TransferError as error:
        if error.status == 404:
            return None
        raise


def invalid_url_error(url: str) -> OsslError:
    """Return the error for a URL that cannot be a server's."""
    return OsslError(
        "server_url_invalid",
        f"{url!r} is not the URL of a Label Studio server.",
        "Give a URL such as http://127.0.0.1:8080 with --url.",
    )


def incomplete_token_error(token: str) -> OsslError | None:
    """Return the error for a token that was cut or changed; None if it looks complete.

    A personal access token is a JWT (RFC 7519): three parts in base64url, separated by dots, the
    last of 32 bytes if the first names HS256. A legacy token has 40 hexadecimal digits.
    """
    problem = None
    parts = token.split(".")
    if not re.fullmatch(r"[!-~]+", token):
        problem = "it contains characters that no token has, such as a space or a line end"
    elif re.fullmatch(r"[0-9a-f]+", token):
        if len(token) != LEGACY_LENGTH:
            problem = f"a legacy token has {LEGACY_LENGTH} characters, this one has {len(token)}"
    elif len(parts) != JWT_PARTS or not all(parts):
        if token.startswith("eyJ") or len(parts) > 1:
            problem = f"it has {sum(map(bool, parts))} of the three parts that dots separate"
    elif not token.startswith("eyJ"):
        problem = "its beginning is missing"
    elif _decode_jwt_part(parts[0]).get("alg") == "HS256" and len(parts[2]) != HS256_LENGTH:
        problem = f"its last part has {len(parts[2])} of {HS256_LENGTH} characters"
    elif not _decode_jwt_part(parts[0]) or not _decode_jwt_part(parts[1]):
        problem = "one of its parts is cut"
    if problem is None:
        return None
    return OsslError(
        "token_incomplete",
        f"The token in LABEL_STUDIO_API_KEY is not complete: {problem}.",
        f"Copy it again with the copy button under {TOKEN_PAGE}.",
    )


def _decode_jwt_part(part: str) -> dict[str, Any]:
    """Decode a part of a JWT; an empty dictionary if that fails."""
    try:
        value = parse.json_value(base64.urlsafe_b64decode(part + "=" * (-len(part) % 4)))
    except ValueError:
        return {}
    return value if isinstance(value, dict) else {}


def response_error(
    url: str, token: str, status: int | None, body: Any, headers: Mapping[str, str] | None
) -> TransferError | OsslError:
    """Return the error for an HTTP status of 400 or more.

    Returns:
        An OsslError if a retry cannot help (`token_refused`, `not_allowed`, `request_refused`);
        else a TransferError with status and `Retry-After`. A 404 is a TransferError: the caller
        knows what is missing.
    """
    message = _server_message(body)
    if status == 401:
        return _token_refused_error(url, token, message)
    if status == 403:
        return OsslError(
            "not_allowed",
            f"Label Studio at {url} does not allow this{f' ({message})' if message else ''}.",
            "Use the token of a user who may manage the project.",
        )
    if status is not None and 400 <= status < 500 and status not in (404, 408, 409, 425, 429):
        return OsslError(
            "request_refused",
            f"Label Studio at {url} refused the request with status {status}"
            f"{f': {message}' if message else ''}.",
            "The request changed nothing.",
        )
    retry_after = {name.lower(): value for name, value in (headers or {}).items()}.get(
        "retry-after"
    )
    return TransferError(
        "status",
        f"answered {status}{f' ({message})' if message else ''}",
        status,
        asked_wait_s(retry_after),
    )


def _token_refused_error(url: str, token: str, message: str) -> OsslError:
    reason = f" ({message.rstrip('.')})" if message else ""
    if token.count(".") == JWT_PARTS - 1:
        return OsslError(
            "token_refused",
            f"Label Studio at {url} refuses the personal access token{reason}.",
            "The token has expired, was revoked, or belongs to another server. Create a new one "
            f"under {TOKEN_PAGE} and set LABEL_STUDIO_API_KEY to it.",
        )
    return OsslError(
        "token_refused",
        f"Label Studio at {url} refuses the legacy token{reason}.",
        "By default, servers accept only personal access tokens (three parts, separated by dots). "
        f"Create one under {TOKEN_PAGE} and set LABEL_STUDIO_API_KEY to it. Or an administrator "
        "can allow legacy tokens, under Organization → Access Token Settings.",
    )


def _server_message(body: Any) -> str:
    """Return the server's error message. Never the whole body: it may contain cookies and URLs."""
    if not isinstance(body, dict):
        return ""
    parts = [body.get("detail"), body.get("validation_errors")]
    text = "; ".join(str(part) for part in parts if part)
    return " ".join(text.split())[:MESSAGE_LENGTH]


def unreachable_error(server: Server, error: TransferError) -> OsslError:
    """Return the error for a request that failed after the last retry."""
    if error.status == 404:
        return OsslError(
            "project_gone",
            f"Label Studio at {server.url} {error.predicate}: the project was deleted meanwhile.",
            "All pulled annotations are kept. `ossl label push --new` creates a new project.",
        )
    wait = f" It asks to wait {error.asked_wait_s:.0f} s." if error.asked_wait_s else ""
    return OsslError(
        "server_unreachable",
        f"Label Studio at {server.url} {error.predicate}.{wait}",
        "Nothing is lost. Check that the server runs, then run the same command again.",
    )
