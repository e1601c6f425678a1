"""An answer that is no success, as an error of ours. Decides by status, but for the API's two markers in the text.

Shapes: reference section 7 (confidence A/B): `error`, `errorMessage`, `message`, and Laravel's `errors`.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from http import HTTPStatus
from typing import Any
from urllib.parse import urlsplit

from goedgepickt_async._transport.request import RawResponse
from goedgepickt_async.budget.protocol import parse_retry_after
from goedgepickt_async.errors import (
    AlreadyExistsError,
    APIError,
    AuthenticationError,
    Evidence,
    NotFoundError,
    PermissionDeniedError,
    RateLimitedError,
    RedirectedError,
    ServerError,
    ValidationError,
)

__all__ = ["error_from_response", "evidence_of", "has_error_body", "is_error"]

_THROTTLED = "too many attempts"
_EXISTS = "already exists"
_E_MAIL = re.compile(r"[^\s@<>\"']+@[^\s@<>\"']+")
_DIGITS = re.compile(r"\+?\d[\d ()./-]{6,}\d")
_LONGEST_TEXT = 300
_LONGEST_THROTTLE_TEXT = 10_000
_THROTTLE_KEYS = {"message", "error", "errorMessage", "exception", "file", "line", "trace", "status", "code"}
"""What Laravel's own answer has, in its debug mode too."""


def is_error(answer: RawResponse) -> bool:
    """Whether the status is no success, or the throttle speaks behind one (seen; reference section 2, B)."""
    return not 200 <= answer.status < 300 or _is_throttles(answer)


def evidence_of(answer: RawResponse) -> Evidence:
    """What a refusal says of the request's fate."""
    if answer.status == HTTPStatus.TOO_MANY_REQUESTS:
        return Evidence.REJECTED
    if _is_throttles(answer):
        # Behind a success nobody can be sure; a write that happens once is not to be risked on a text.
        return Evidence.UNKNOWN if answer.status < 300 else Evidence.REJECTED
    return Evidence.UNKNOWN if answer.status >= HTTPStatus.INTERNAL_SERVER_ERROR else Evidence.FINAL


def has_error_body(data: Any) -> bool:
    """Whether a body that came with a success status is an error; a `message` alone is none, creates carry one too."""
    if not isinstance(data, Mapping) or "items" in data or "uuid" in data or "orderUuid" in data:
        return False
    return any(data.get(key) for key in ("error", "errorMessage", "errors"))


def error_from_response(
    answer: RawResponse, *, secret: str, field_name: Callable[[str], str], attempts: int, method: str, path: str
) -> APIError:
    """The error that a refusal is.

    Args:
        answer: The answer.
        secret: The API key, which is struck out wherever the server repeats it.
        field_name: From a wire field's name to the Python one.
        attempts: For the error's context.
        method: Likewise.
        path: Likewise.
    """
    body = _without(secret, answer.body)
    text = _presentable(_texts_of(body))
    context = {
        "status": answer.status,
        "fields": _fields(body, field_name),
        "body": body,
        "attempts": attempts,
        "method": method,
        "path": path,
        "evidence": evidence_of(answer),
    }
    if answer.status == HTTPStatus.TOO_MANY_REQUESTS or _is_throttles(answer):
        return RateLimitedError(
            text or "the server's throttle refused the request",
            retry_after=parse_retry_after(answer.headers),
            **context,
        )
    if 300 <= answer.status < 400:
        host = _host_of(answer.headers.get("Location", ""), secret)
        return RedirectedError(f"the server redirects to {host}; that was not followed: is base_url right?", **context)
    return _by_status(answer.status, text)(text or f"HTTP {answer.status}", **context)


def _host_of(location: str, secret: str) -> str:
    """Where a redirect leads, without what it may have in front of the host."""
    try:
        host = urlsplit(location).hostname
    except ValueError:
        return "what is no URL"
    return str(_strike_out(host, secret.lower())) if host else "another path"


def _by_status(status: int, text: str) -> Callable[..., APIError]:
    if status >= HTTPStatus.INTERNAL_SERVER_ERROR:
        return ServerError
    return AlreadyExistsError if _EXISTS in text.lower() else _BY_STATUS.get(status, APIError)


def _with_hint(error: type[APIError]) -> Callable[..., APIError]:
    """A refused key says nothing of why: the likeliest reason is that it is one of the other API."""
    hint = "is the key right, and of this API? A key of the account API is refused by the fulfilment API and vice versa"

    def make(text: str, **context: Any) -> APIError:
        return error(f"{text} ({hint}: see `api=`)", **context)

    return make


_BY_STATUS: Mapping[int, Callable[..., APIError]] = {
    HTTPStatus.UNAUTHORIZED: _with_hint(AuthenticationError),
    HTTPStatus.FORBIDDEN: _with_hint(PermissionDeniedError),
    HTTPStatus.NOT_FOUND: NotFoundError,
    HTTPStatus.UNPROCESSABLE_ENTITY: ValidationError,
}


def _parsed(body: bytes) -> Any:
    try:
        return json.loads(body)
    except (ValueError, RecursionError):
        return body.decode(errors="replace")


def _is_throttles(answer: RawResponse) -> bool:
    """Whether the body is the throttle's own, and not one that happens to speak of attempts."""
    if len(answer.body) > _LONGEST_THROTTLE_TEXT or _THROTTLED.encode() not in answer.body.lower():
        return False
    body = _parsed(answer.body)
    if not isinstance(body, Mapping) or body.keys() - _THROTTLE_KEYS:
        return False
    texts = (body.get(key) for key in ("message", "error", "errorMessage"))
    return any(isinstance(text, str) and text.strip(" .!").lower() == _THROTTLED for text in texts)


def _texts_of(body: Any) -> str:
    if not isinstance(body, Mapping):
        return ""  # an HTML page or the like says nothing to people
    for key in ("message", "error", "errorMessage"):
        if isinstance(body.get(key), str) and body[key]:
            return str(body[key])
    return "; ".join(text for texts in _fields(body, str).values() for text in texts)


def _fields(body: Any, field_name: Callable[[str], str]) -> dict[str, list[str]]:
    errors = body.get("errors") if isinstance(body, Mapping) else None
    if not isinstance(errors, Mapping):
        return {}
    return {field_name(str(name)): _as_texts(texts) for name, texts in errors.items()}


def _as_texts(texts: Any) -> list[str]:
    return [_presentable(str(text)) for text in (texts if isinstance(texts, list) else [texts])]


def _presentable(text: str) -> str:
    """What may be shown: no addresses, no phone numbers, not endless."""
    text = _DIGITS.sub("…", _E_MAIL.sub("…", text))
    return text if len(text) <= _LONGEST_TEXT else text[:_LONGEST_TEXT] + "…"


def _without(secret: str, body: bytes) -> Any:
    """The body as JSON, or as text if it is none or nested absurdly deep; with the key struck out."""
    try:
        return _strike_out(_parsed(body), secret)
    except RecursionError:
        return _strike_out(body.decode(errors="replace"), secret)


def _strike_out(value: Any, secret: str) -> Any:
    """The body with the key struck out, should the server repeat it."""
    match value:
        case str():
            return value.replace(secret, "***") if secret else value
        case dict():
            return {_strike_out(key, secret): _strike_out(inner, secret) for key, inner in value.items()}
        case list():
            return [_strike_out(inner, secret) for inner in value]
    return value
