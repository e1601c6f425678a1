"""The meaning of a response or a transport failure: one pure function and one table of statuses.

A verdict has the evidence, the error class, the outcome for the budget, and whether to retry. Errors have the keys
`error`, `errorMessage`, `message` or Laravel's `errors` (reference section 7, confidence A/B).
"""

from __future__ import annotations

import json
import re
import ssl
from collections.abc import Callable, Mapping
from http import HTTPStatus
from typing import Any, Final
from urllib.parse import urlsplit

import aiohttp
import attrs

from goedgepickt_async._transport.request import AttemptResult, Idempotency, RawResponse, Request, TransportFailure
from goedgepickt_async.budget.protocol import (
    Answered,
    Lost,
    Outcome,
    Refused,
    parse_retry_after,
)
from goedgepickt_async.convert import parse
from goedgepickt_async.errors import (
    AlreadyExistsError,
    APIError,
    AuthenticationError,
    ConnectFailedError,
    ConnectionLostError,
    DecodeError,
    Evidence,
    GoedGepicktError,
    NotFoundError,
    PermissionDeniedError,
    RateLimitedError,
    RedirectedError,
    RequestTimeoutError,
    ServerError,
    TransportError,
    ValidationError,
)
from goedgepickt_async.text import limited_fields, mask_personal, printable

__all__ = [
    "DISCONNECTING",
    "EndedError",
    "Verdict",
    "budget_outcome",
    "describe",
    "evidence_at_headers",
    "failure_of",
    "has_error_body",
    "is_error",
    "judge",
    "may_send_again",
]


@attrs.frozen
class _Row:
    """The meaning of a status.

    Attributes:
        evidence: What is known about the effect of the request. None for a success, where the body decides.
        error: The class of the package's error.
        is_gateways: Whether a gateway may have sent the status; the application may count the request later.
        disconnect: Whether the connection must be closed.
    """

    evidence: Evidence | None
    error: type[APIError] = APIError
    is_gateways: bool = False
    disconnect: bool = False


_SUCCESS: Final = _Row(None)
_REDIRECT: Final = _Row(Evidence.FINAL, RedirectedError)
_DONE_ELSEWHERE: Final = _Row(Evidence.UNKNOWN, RedirectedError)
_REFUSED: Final = _Row(Evidence.FINAL)
_SERVER_ERROR: Final = _Row(Evidence.UNKNOWN, ServerError, is_gateways=True)
_STATUSES: Final[Mapping[int, _Row]] = {
    # RFC 9110, 15.4.4: the response to a request that was carried out, such as a POST, is at another URL. Frameworks send
    # 302 with this meaning, such as Laravel's `redirect()`.
    HTTPStatus.FOUND: _DONE_ELSEWHERE,
    HTTPStatus.SEE_OTHER: _DONE_ELSEWHERE,
    HTTPStatus.UNAUTHORIZED: _Row(Evidence.FINAL, AuthenticationError),
    HTTPStatus.FORBIDDEN: _Row(Evidence.FINAL, PermissionDeniedError),
    HTTPStatus.NOT_FOUND: _Row(Evidence.FINAL, NotFoundError),
    # RFC 9110, 15.5.9: the request may be repeated on a new connection. A gateway can send 408 for a forwarded request,
    # too.
    HTTPStatus.REQUEST_TIMEOUT: _Row(Evidence.UNKNOWN, is_gateways=True, disconnect=True),
    # RFC 9110, 15.5.20: not for this server. RFC 8470, 5.2: too early. Neither was acted on.
    HTTPStatus.MISDIRECTED_REQUEST: _Row(Evidence.REJECTED, is_gateways=True, disconnect=True),
    HTTPStatus.TOO_EARLY: _Row(Evidence.REJECTED, is_gateways=True),
    HTTPStatus.UNPROCESSABLE_ENTITY: _Row(Evidence.FINAL, ValidationError),
    HTTPStatus.TOO_MANY_REQUESTS: _Row(Evidence.REJECTED, RateLimitedError),
}


def _row(status: int) -> _Row:
    if 200 <= status < 300:
        return _SUCCESS
    if not 200 <= status < 500:
        return _SERVER_ERROR
    return _STATUSES.get(status) or (_REDIRECT if 300 <= status < 400 else _REFUSED)


DISCONNECTING: Final = frozenset(int(status) for status, row in _STATUSES.items() if row.disconnect)
"""Statuses after which the connection is closed."""


def evidence_at_headers(status: int) -> Evidence:
    """What is known about a request if its response breaks off after the headers."""
    evidence = _row(status).evidence
    if evidence is None:
        return Evidence.APPLIED
    return evidence if evidence is Evidence.REJECTED else Evidence.UNKNOWN


def budget_outcome(status: int, headers: Mapping[str, str], limit: int) -> Outcome:
    """Return the outcome for the budget from the headers of a response.

    The server's counter is `X-RateLimit-Limit` and `-Remaining` (reference section 2: A on a 429, B elsewhere). It
    counts only if its limit is the limit of the budget.
    """
    if status == 429:
        return Refused(parse_retry_after(headers))
    remaining = _number(headers.get("X-RateLimit-Remaining"))
    if remaining is None:
        return Lost() if _row(status).is_gateways else Answered()
    if _number(headers.get("X-RateLimit-Limit")) != limit:  # the header of another rate limiter
        return Answered()
    # Laravel before 12.40 can send a negative number. A number above the limit is wrong.
    return Answered(limit - min(limit, max(0, remaining)))


def _number(text: str | None) -> int | None:
    """The whole number in a header; None if it is absent or not a number."""
    try:
        return int(text) if text is not None and len(text) < 20 else None
    except ValueError:
        return None


def may_send_again(evidence: Evidence, idempotency: Idempotency) -> bool:
    """Whether a request with this evidence may be retried."""
    if evidence in {Evidence.UNKNOWN, Evidence.APPLIED}:
        return idempotency is not Idempotency.NON_IDEMPOTENT
    return evidence is not Evidence.FINAL


@attrs.frozen(kw_only=True)
class Verdict:
    """The result of one attempt.

    Attributes:
        error: The error; None: a success.
        data: The data of a success, as `Request.read` returns it; None if the body is empty.
        evidence: What is known about the effect of the request. None: a success.
        is_throttled: Whether the server sent a 429. The call keeps its place in the queue and is retried after the
            budget's pause.
        pause_budget: Whether only the body shows the 429, so that the budget does not know it yet.
        may_send_again: Whether the call may be retried.
        retry_after: The seconds from `Retry-After`.
    """

    error: GoedGepicktError | None = None
    data: Any = attrs.field(default=None, repr=False)
    evidence: Evidence | None = None
    is_throttled: bool = False
    pause_budget: bool = False
    may_send_again: bool = False
    retry_after: float | None = None


def judge(result: AttemptResult, request: Request, *, secret: str, attempts: int) -> Verdict:
    """Return the verdict on one attempt. The secret, the API key, is removed from texts of the server."""
    if isinstance(result, TransportFailure):
        error = result.error(result.message, evidence=result.evidence, **request.where(attempts))
        error.__cause__ = result.cause
        return _failed(error, request)
    unreadable = None
    if not is_error(result):
        body = result.body
        try:
            data = None if request.may_be_empty and not body.strip() else parse(body)
            if not has_error_body(data):
                return Verdict(data=data if request.read is None else request.read(data))
        except DecodeError as exc:
            unreadable = _unreadable(result, exc, request, attempts)
    if unreadable is not None:
        return _failed(unreadable, request)
    return _failed(_error_from_response(result, request, secret, attempts), request, result)


def _failed(error: GoedGepicktError, request: Request, response: RawResponse | None = None) -> Verdict:
    evidence = error.evidence or Evidence.UNKNOWN
    is_throttled = isinstance(error, RateLimitedError) and evidence is Evidence.REJECTED
    return Verdict(
        error=error,
        evidence=evidence,
        is_throttled=is_throttled,
        pause_budget=is_throttled and response is not None and response.status != HTTPStatus.TOO_MANY_REQUESTS,
        may_send_again=may_send_again(evidence, request.idempotency),
        retry_after=None if response is None else parse_retry_after(response.headers),
    )


def is_error(response: RawResponse) -> bool:
    """Whether the response is an error, by its status or a rate limit message (reference section 2, B)."""
    if not 200 <= response.status < 300:
        return True
    body = response.body
    return len(body) <= _LONGEST_THROTTLE_TEXT and _THROTTLED.encode() in body.lower() and _is_from_throttle(response)


def has_error_body(data: Any) -> bool:
    """Whether a body with a success status is an error.

    A `message` alone is not an error, because creates have one too.
    """
    if not isinstance(data, Mapping) or "items" in data or "uuid" in data or "orderUuid" in data:
        return False
    return any(data.get(key) for key in ("error", "errorMessage", "errors"))


def _unreadable(response: RawResponse, cause: DecodeError, request: Request, attempts: int) -> DecodeError:
    message, evidence = cause.message, Evidence.APPLIED
    # Without problems, the body is not JSON. Otherwise it is JSON that does not belong to this request.
    if not cause.problems and "html" in response.headers.get("Content-Type", "").lower():
        message = "the response is a web page instead of JSON: check base_url"
        if request.idempotency is not Idempotency.NON_IDEMPOTENT:
            evidence = Evidence.FINAL  # a retry would get the same web page again
    return DecodeError(message, problems=cause.problems, evidence=evidence, **request.where(attempts))


# -- errors out of responses


_THROTTLED: Final = "too many attempts"
_THROTTLE_KEYS: Final = {"message", "error", "errorMessage", "exception", "file", "line", "trace", "status", "code"}
"""The keys of Laravel's 429 response, including its debug mode."""
_LONGEST_THROTTLE_TEXT: Final = 10_000
_LONGEST_BODY: Final = 1 << 18
"""The largest error body in bytes that is parsed. Of a longer body, the first part is kept as text."""
_EXISTS: Final = "already exists"
_HINT: Final = "check the API key. The fulfilment API and the account API have different keys: see `api=`"


def _error_from_response(response: RawResponse, request: Request, secret: str, attempts: int) -> APIError:
    status, row = response.status, _row(response.status)
    body = _without_secret(response.body, secret)
    fields = _fields(body, request.field_name)
    text = mask_personal(_message_of(body, fields))
    details: dict[str, Any] = {"status": status, "fields": fields, "body": body, **request.where(attempts)}
    if status == HTTPStatus.TOO_MANY_REQUESTS or _is_from_throttle(response):
        # After a success status the outcome of a write is uncertain, so the text does not decide it.
        evidence = Evidence.UNKNOWN if row.evidence is None else Evidence.REJECTED
        return RateLimitedError(
            text or "the server's rate limit refused the request",
            retry_after=parse_retry_after(response.headers),
            evidence=evidence,
            **details,
        )
    details["evidence"] = row.evidence or Evidence.FINAL
    if row.error is RedirectedError:
        if request.idempotency is Idempotency.SAFE:
            details["evidence"] = Evidence.FINAL  # a retry would be redirected, too
        host = _host_of(response.headers.get("Location", ""), secret)
        return RedirectedError(
            f"the server redirects to {host}. The client does not follow redirects: check base_url", **details
        )
    error = row.error
    if status < 500 and _EXISTS in text.lower():
        error = AlreadyExistsError
    text = text or (f"HTTP {status}" if row.evidence else f"HTTP {status}, but the body reports an error")
    if error in {AuthenticationError, PermissionDeniedError}:
        text = f"{text} ({_HINT})"
    return error(text, **details)


def _host_of(location: str, secret: str) -> str:
    """The target of a redirect, without credentials."""
    try:
        host = urlsplit(location[:2_000]).hostname
    except ValueError:
        return "a text that is not a URL"
    return printable(host.replace(secret.lower(), "***"), 255) if host else "another path"


def _is_from_throttle(response: RawResponse) -> bool:
    """Whether the body is a rate limit message, and not another message about attempts."""
    body = response.body
    if len(body) > _LONGEST_THROTTLE_TEXT or _THROTTLED.encode() not in body.lower():
        return False
    parsed = _parsed(body)
    if not isinstance(parsed, Mapping) or parsed.keys() - _THROTTLE_KEYS:
        return False
    texts = (parsed.get(key) for key in ("message", "error", "errorMessage"))
    return any(isinstance(text, str) and text.strip(" .!").lower() == _THROTTLED for text in texts)


def _parsed(body: bytes) -> Any:
    try:
        return json.loads(body)
    except (ValueError, RecursionError):
        return body.decode(errors="replace")


def _without_secret(body: bytes, secret: str) -> Any:
    """The body as JSON, or as text if it is not JSON, too long or nested too deep. The key is removed."""
    if len(body) > _LONGEST_BODY:
        return body[:_LONGEST_BODY].decode(errors="replace").replace(secret, "***")
    try:
        return _strike_out(_parsed(body), secret)
    except RecursionError:
        return body.decode(errors="replace").replace(secret, "***")


def _strike_out(value: Any, secret: str) -> Any:
    match value:
        case str():
            return value.replace(secret, "***") if secret else value
        case dict():
            return {_strike_out(key, secret): _strike_out(inner, secret) for key, inner in value.items()}
        case list():
            return [_strike_out(inner, secret) for inner in value]
    return value


def _message_of(body: Any, fields: Mapping[str, list[str]]) -> str:
    if not isinstance(body, Mapping):
        return ""  # HTML is not a readable message
    for key in ("message", "error", "errorMessage"):
        if isinstance(body.get(key), str) and body[key]:
            return str(body[key])
    return "; ".join(text for texts in fields.values() for text in texts if text)


def _fields(body: Any, field_name: Callable[[str], str]) -> dict[str, list[str]]:
    """The problem of each field. Their number is limited, and the rest is counted."""
    errors = body.get("errors") if isinstance(body, Mapping) else None
    return limited_fields(errors, field_name, _as_text) if isinstance(errors, Mapping) else {}


def _as_text(value: Any) -> str:
    if value is None:
        return ""
    return f"({type(value).__name__})" if isinstance(value, list | dict) else mask_personal(str(value))


# -- failures of the transport


class EndedError(Exception):
    """Private: an attempt ended without a usable response, for a known reason.

    Its evidence is None if it does not differ from the call's evidence.
    """

    def __init__(self, error: type[TransportError], message: str, evidence: Evidence | None = None) -> None:
        super().__init__(message)
        self.error = error
        self.message = message
        self.evidence = evidence


def failure_of(
    exc: Exception,
    *,
    sent: bool,
    head: tuple[int, Mapping[str, str]] | None,
    evidence: Evidence,
    timeout: float,
    proxy: str | None,
) -> AttemptResult:
    """Translate an exception of an attempt.

    Args:
        exc: The exception, of this package, of aiohttp or of the operating system.
        sent: Whether the request was sent.
        head: The status and headers of the response, if they arrived.
        evidence: The evidence of the request so far.
        timeout: The attempt's timeout in seconds, for the message.
        proxy: The proxy, without its credentials.

    Returns:
        The failure, or the response if its status is enough without the body.
    """
    if isinstance(exc, EndedError):
        return TransportFailure(evidence=exc.evidence or evidence, error=exc.error, message=exc.message)
    error: type[TransportError] = ConnectionLostError
    if isinstance(exc, TimeoutError):
        if head is not None and not 200 <= head[0] < 300:
            return RawResponse(status=head[0], headers=head[1], body=b"")  # only the status matters
        error, message = RequestTimeoutError, f"the request timed out: no complete response within {timeout:g} s"
        if not sent:
            error, message = ConnectFailedError, "connecting timed out"
    elif not isinstance(exc, aiohttp.ClientError | OSError):
        # A middleware or tracer of the user's session raised it, or aiohttp because the session is closed.
        error = error if sent else ConnectFailedError
        message = f"the aiohttp session, or a middleware or tracer of it, raised {type(exc).__name__}"
    elif not sent:
        way = "" if proxy is None else f" through the proxy {proxy}"
        error, message = ConnectFailedError, f"cannot connect{way}: {describe(exc)}"
    elif isinstance(exc, aiohttp.ClientResponseError | aiohttp.ClientPayloadError):
        message = f"the response is not valid HTTP: {describe(exc)}"
    else:
        message = f"the connection closed before the complete response arrived: {describe(exc)}"
    return TransportFailure(evidence=evidence, error=error, message=message, cause=_bare(exc))


def _bare(exc: BaseException | None) -> BaseException | None:
    """The operating system's error that caused a failure, without traceback, because its frames hold the request.

    Exceptions of aiohttp are dropped, because they hold the request's headers or the proxy's password.
    """
    seen: BaseException | None = exc
    for _ in range(5):
        if seen is None or (isinstance(seen, aiohttp.ClientError) and not isinstance(seen, ssl.SSLError)):
            seen = getattr(seen, "__cause__", None) or getattr(seen, "__context__", None)
        elif isinstance(seen, OSError):
            return type(seen)(*seen.args) if type(seen).__module__ in {"builtins", "ssl", "socket"} else None
        else:
            break
    return None


def describe(exc: BaseException) -> str:
    """A message for an exception of aiohttp or the operating system, without headers and keys.

    The attributes of these exceptions differ between versions, so each is read with a default.
    """
    reason = getattr(exc, "strerror", None) or _of_server(exc) or ""
    os_error = getattr(exc, "__cause__", None)
    if not reason and isinstance(os_error, OSError):
        reason = getattr(os_error, "verify_message", None) or os_error.strerror or type(os_error).__name__
    if isinstance(exc, aiohttp.InvalidURL):
        return "the host in base_url is not valid"
    if isinstance(exc, aiohttp.ClientConnectorDNSError):
        return f"the host {printable(str(getattr(exc, 'host', '?')), 255)!r} has no address"
    place = ""
    if isinstance(exc, aiohttp.ClientConnectorError | aiohttp.ClientConnectorCertificateError):
        host, port = getattr(exc, "host", None), getattr(exc, "port", None)
        place = f"{printable(str(host), 255)}:{port}: " if host else ""
    if isinstance(exc, aiohttp.ClientConnectorCertificateError):
        certificate = getattr(exc, "certificate_error", None) or os_error
        reason = f"certificate verification failed: {getattr(certificate, 'verify_message', None) or reason or 'TLS'}"
    reason = printable(str(reason), 200)
    return f"{place}{reason}" if reason else f"{place}{type(exc).__name__}"


def _of_server(exc: BaseException) -> str:
    """Return aiohttp's reason without the quoted bytes, which may be personal data."""
    status = getattr(exc, "status", 0)
    if isinstance(exc, aiohttp.ClientHttpProxyError):
        hint = ": the proxy requires credentials (user:password@ in its URL)" if status == 407 else ""
        return f"the proxy answered {status} {_unquoted(getattr(exc, 'message', ''))}{hint}"
    if isinstance(exc, aiohttp.ClientPayloadError):
        cause = exc.__cause__
        return _unquoted(getattr(cause, "message", None) or str(exc).partition("message:")[2] or str(exc))
    if isinstance(exc, aiohttp.ClientResponseError):
        return _unquoted(getattr(exc, "message", ""))
    if isinstance(exc, aiohttp.ServerDisconnectedError):
        message = getattr(exc, "message", None)
        return (
            _unquoted(message)
            if isinstance(message, str)
            else "the server closed the connection before the headers were complete"
        )
    return ""


def _unquoted(text: object) -> str:
    """The text up to the first quotation."""
    return _QUOTED.split(printable(str(text), 300))[0].rstrip(" :<^")


_QUOTED = re.compile(r"\bb?['\"]|[ =]['\"]|\{")
