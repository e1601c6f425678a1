"""The exceptions of the package, as one tree.

All are subclasses of `GoedGepicktError`. Calls never raise exceptions of aiohttp, cattrs or the standard library's
network modules. No message, repr or argument holds an API key or personal data. `APIError.body` has the body of the
response; it is not shown anywhere.
"""

from __future__ import annotations

import enum
import json
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any, Final

from goedgepickt_async.text import printable

__all__ = [
    "APIError",
    "AlreadyExistsError",
    "AuthenticationError",
    "BudgetExhaustedError",
    "BulkStoppedError",
    "ClientClosedError",
    "ConfigurationError",
    "ConflictError",
    "ConnectFailedError",
    "ConnectionLostError",
    "DecodeError",
    "Evidence",
    "GoedGepicktError",
    "InboxError",
    "InputFileError",
    "JournalBusyError",
    "JournalError",
    "JournalMismatchError",
    "MultipleFoundError",
    "NotFoundError",
    "OutcomeUnknownError",
    "PagingError",
    "PermissionDeniedError",
    "RateLimitedError",
    "RedirectedError",
    "RequestTimeoutError",
    "ServerError",
    "TransportError",
    "ValidationError",
    "WebhookVerificationError",
]


_LONGEST_PATH: Final = 300


class Evidence(enum.StrEnum):
    """What is known about the effect of a request when its call ends in an error."""

    NOT_SENT = "not_sent"
    """No byte was sent: there was no connection, or the request waited for the budget."""
    REJECTED = "rejected"
    """The server refused the request with a 429 and did not carry it out."""
    UNKNOWN = "unknown"
    """The request was sent, without a reliable response: the server may have carried it out, or may do so later."""
    APPLIED = "applied"
    """The status is a success, but the body of the response cannot be read."""
    FINAL = "final"
    """The server refused the request; the same request would be refused again."""


class GoedGepicktError(Exception):
    """The base class of all errors of this package.

    Attributes:
        evidence: What is known about the effect of the request; None if there was no request.
        attempts: The number of requests sent, including repeats by aiohttp.
        method: The HTTP method, or None.
        path: The path below the base URL, without the query, or None.
        resume: The resume token of a list (`Paginator.pages(resume=…)`); only on errors of lists.
        resume_after: The resume token that leaves out the page that cannot be read. Only on a `DecodeError` of a list
            whose rows arrived.
    """

    def __init__(
        self,
        message: str,
        *,
        evidence: Evidence | None = None,
        attempts: int = 0,
        method: str | None = None,
        path: str | None = None,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.evidence = evidence
        self.attempts = attempts
        self.method = method
        self.path = path
        self.resume: str | None = None
        self.resume_after: str | None = None

    def __reduce__(self) -> tuple[Any, ...]:
        """Support pickling and copying, because process pools and task queues pass errors on."""
        return _made_again, (type(self), self.args), self.__dict__

    def to_dict(self) -> dict[str, Any]:
        """The class name, the message and the attributes, as values for `json.dumps`. A body is left out."""
        plain = {name: value for name, value in vars(self).items() if name not in {"body", "__notes__"}}
        return {"type": type(self).__name__, **json.loads(json.dumps(plain, default=str))}

    @staticmethod
    def from_dict(data: Mapping[str, Any]) -> GoedGepicktError:
        """Return the error that `to_dict` wrote.

        An error of an unknown class becomes a `GoedGepicktError` that names the class.

        Raises:
            ConfigurationError: The value was not made by `to_dict`.
        """
        if not isinstance(data, Mapping) or not isinstance(data.get("message"), str):
            raise ConfigurationError("the value is not an error that was saved with to_dict")
        values: dict[str, Any] = {
            str(name): tuple(value) if isinstance(value, list) else value for name, value in data.items()
        }
        name, message = values.pop("type", None), values["message"]
        kind = globals().get(str(name))
        if not (isinstance(kind, type) and issubclass(kind, GoedGepicktError)):
            return GoedGepicktError(f"{name}: {message}")
        try:
            values["evidence"] = Evidence(values["evidence"]) if values.get("evidence") else None
            if issubclass(kind, APIError):
                values["_fields"] = {key: tuple(texts) for key, texts in values.get("_fields", {}).items()}
        except (ValueError, TypeError, AttributeError):
            raise ConfigurationError("the value is not an error that was saved with to_dict") from None
        error = _made_again(kind, (message,))
        error.__dict__.update({**vars(GoedGepicktError(message)), "body": None, **values})
        return error

    def __str__(self) -> str:
        """The message, with the method and path of the call."""
        if self.method is None:
            return self.message
        tries = f", {self.attempts} attempts" if self.attempts > 1 else ""
        return f"{self.message} ({self.method} {printable(str(self.path), _LONGEST_PATH)}{tries})"


def _made_again(kind: type[GoedGepicktError], args: tuple[Any, ...]) -> GoedGepicktError:
    """Return an error without its attributes, which pickle sets: the arguments of `__init__` differ."""
    error = kind.__new__(kind)
    error.args = args  # a TimeoutError leaves that to `__init__`
    return error


def without_frames(error: GoedGepicktError) -> GoedGepicktError:
    """The error without its traceback and causes, because their frames hold rows of the response.

    Error trackers collect the local variables of all frames. Raise what this returns outside the handler.
    """
    error.__cause__ = error.__context__ = None
    return error.with_traceback(None)


class ConfigurationError(GoedGepicktError, ValueError):
    """An argument or setting is not usable: no key, a wrong base URL, a resume token of another list."""


class BudgetExhaustedError(GoedGepicktError):
    """The wait for the rate limit would be longer than `max_wait` or the deadline allows; nothing was sent.

    Attributes:
        wait: The expected wait in seconds until the request could have been sent.
    """

    def __init__(self, message: str, *, wait: float, **context: Any) -> None:
        super().__init__(message, **context)
        self.wait = wait


class TransportError(GoedGepicktError):
    """The connection failed before a complete response arrived."""


class ConnectFailedError(TransportError):
    """No connection was made (DNS, refused, TLS, timeout while connecting); the request was never sent."""


class ClientClosedError(TransportError):
    """The client was closed while the call was in progress; `evidence` shows whether the request was sent."""


class ConnectionLostError(TransportError):
    """The connection broke after the request was sent."""


class RequestTimeoutError(TransportError, TimeoutError):
    """No complete response arrived before the timeout; `evidence` shows whether the request was sent."""


class OutcomeUnknownError(GoedGepicktError):
    """A write was sent and its outcome is unknown. It was not sent again.

    Attributes:
        body: The body that was sent, so that you can check the write. It may hold personal data, and no message shows
            it.
    """

    def __init__(self, message: str, *, body: Any = None, **context: Any) -> None:
        super().__init__(message, **context)
        self.body = body


class DecodeError(GoedGepicktError):
    """The response does not have the form that the API's reference describes.

    Attributes:
        problems: One line for each wrong value, with its place, such as `$.items[3].totalPaid: expected …`.
    """

    def __init__(self, message: str, *, problems: Sequence[str] = (), **context: Any) -> None:
        super().__init__(message, **context)
        self.problems: tuple[str, ...] = tuple(problems)


class PagingError(GoedGepicktError):
    """A list cannot be read completely; `resume` is the token to continue."""


class MultipleFoundError(GoedGepicktError):
    """A search for one object found several; `uuids` has their uuids."""

    def __init__(self, message: str, *, uuids: Sequence[str] = (), **context: Any) -> None:
        super().__init__(message, **context)
        self.uuids: tuple[str, ...] = tuple(uuids)


class BulkStoppedError(GoedGepicktError):
    """Too many items of a bulk job failed, so no further items were started. Started items were finished and reported.

    Attributes:
        done: The number of items that were finished.
        failed: The number of finished items that failed.
    """

    def __init__(self, message: str, *, done: int, failed: int, **context: Any) -> None:
        super().__init__(message, **context)
        self.done = done
        self.failed = failed


class InputFileError(GoedGepicktError, ValueError):
    """A file with rows, or some of its rows, cannot be read.

    Attributes:
        problems: One line for each problem, with its place, such as `stock.csv:12: voorraad: …`.
    """

    def __init__(self, message: str, *, problems: Sequence[str] = (), **context: Any) -> None:
        super().__init__(message, **context)
        self.problems: tuple[str, ...] = tuple(problems)


class ConflictError(GoedGepicktError):
    """The item has changed at the server since the plan was made. Nothing was sent for it."""


class JournalError(GoedGepicktError):
    """The journal of a plan cannot be used: it is damaged, has another version, or the disk is full.

    No write is lost: recorded writes are in the journal, and a write that could not be recorded was not sent.
    """


class JournalBusyError(JournalError):
    """Another process, or another plan in this process, uses the journal."""


class JournalMismatchError(JournalError):
    """The journal belongs to another account, server or webshop."""


class WebhookVerificationError(GoedGepicktError):
    """The signature of a webhook delivery is missing or wrong, so it may not come from GoedGepickt."""


class InboxError(GoedGepicktError):
    """The inbox cannot store or return deliveries: the disk is full, or the file is not an inbox."""


class APIError(GoedGepicktError):
    """The server responded with an error.

    Attributes:
        status: The HTTP status; None if the client refused the input and sent no request.
        body: The parsed JSON of the response, or its text; it may hold personal data.
    """

    def __init__(
        self,
        message: str,
        *,
        status: int | None = None,
        fields: Mapping[str, Sequence[str]] | None = None,
        body: Any = None,
        **context: Any,
    ) -> None:
        super().__init__(message, **context)
        self.status = status
        self._fields = {name: tuple(texts) for name, texts in (fields or {}).items()}
        self.body = body

    @property
    def fields(self) -> Mapping[str, tuple[str, ...]]:
        """The problems by Python field name, such as `billing.house_number`."""
        return MappingProxyType(self._fields)


class AuthenticationError(APIError):
    """401: the API does not accept the key. The fulfilment API and the account API have different keys."""


class PermissionDeniedError(APIError):
    """403: the key is valid, but has no permission for this request."""


class NotFoundError(APIError):
    """404: the object or the path does not exist."""


class AlreadyExistsError(APIError):
    """The object that you create exists already."""


class ValidationError(APIError):
    """422, or input that the client refused before it sent a request (then `status` is None)."""


class RateLimitedError(APIError):
    """429: the server's rate limit refused the request several times, although the budget allowed it.

    Attributes:
        retry_after: The seconds from the `Retry-After` header, or None.
    """

    def __init__(self, message: str, *, retry_after: float | None = None, **context: Any) -> None:
        super().__init__(message, **context)
        self.retry_after = retry_after


class RedirectedError(APIError):
    """3xx: the server redirects to another URL. The client did not follow it and did not send the key there."""


class ServerError(APIError):
    """5xx: the server, or a gateway in front of it, failed."""
