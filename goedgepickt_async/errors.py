"""Every way in which a call can fail, as one tree of exceptions.

Each is a `GoedGepicktError`. No exception of aiohttp, cattrs or the standard library's network modules leaves this
package. No message, repr or argument holds an API key or personal data. `APIError.body` has the body of the response; it is
not shown anywhere.
"""

from __future__ import annotations

import enum
import json
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any

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


class Evidence(enum.StrEnum):
    """What is known about a request when a call ends in an error."""

    NOT_SENT = "not_sent"
    """No byte was sent: there was no connection, or the request waited for the budget."""
    REJECTED = "rejected"
    """The server's throttle refused it (429) before it did anything."""
    UNKNOWN = "unknown"
    """It was sent, and nothing trustworthy came back: it may have been carried out, or be carried out later."""
    APPLIED = "applied"
    """The status says success, but the response cannot be read."""
    FINAL = "final"
    """The server responded, and would respond the same again."""


class GoedGepicktError(Exception):
    """The root of the tree.

    Attributes:
        evidence: What is known about the request; None if there was no request.
        attempts: The number of requests sent, with those that aiohttp sent again.
        method: The HTTP method, or None.
        path: The path below the base URL, without the query, or None.
        resume: Where a list can be taken up again (`Paginator.pages(resume=…)`); only on errors out of lists.
        resume_after: The token that continues after the page that cannot be read, without that page's rows. Only on a
            `DecodeError` of a list whose rows arrived.
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
        """Whole again after pickling and copying: process pools and task queues send errors on."""
        return _made_again, (type(self), self.args), self.__dict__

    def to_dict(self) -> dict[str, Any]:
        """The class's name, the message and the attributes, as values that JSON takes. A body is left out."""
        plain = {name: value for name, value in vars(self).items() if name not in {"body", "__notes__"}}
        return {"type": type(self).__name__, **json.loads(json.dumps(plain, default=str))}

    @staticmethod
    def from_dict(data: Mapping[str, Any]) -> GoedGepicktError:
        """The error that `to_dict` wrote; one of an unknown class is a `GoedGepicktError` that names the class.

        Raises:
            ConfigurationError: `to_dict` did not write this.
        """
        if not isinstance(data, Mapping) or not isinstance(data.get("message"), str):
            raise ConfigurationError("this is no error that was saved with to_dict")
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
            raise ConfigurationError("this is no error that was saved with to_dict") from None
        error = _made_again(kind, (message,))
        error.__dict__.update({**vars(GoedGepicktError(message)), "body": None, **values})
        return error

    def __str__(self) -> str:
        """The message, and which call it was."""
        if self.method is None:
            return self.message
        tries = f", {self.attempts} attempts" if self.attempts > 1 else ""
        return f"{self.message} ({self.method} {self.path}{tries})"


def _made_again(kind: type[GoedGepicktError], args: tuple[Any, ...]) -> GoedGepicktError:
    """Return an error without its attributes, which pickle sets: the arguments of `__init__` differ."""
    error = kind.__new__(kind)
    error.args = args  # a TimeoutError leaves that to `__init__`
    return error


def without_frames(error: GoedGepicktError) -> GoedGepicktError:
    """The error without the traceback and the errors before it, as the frames in them hold rows of the answer.

    Error trackers collect the local variables of all frames. Raise what this returns outside the handler.
    """
    error.__cause__ = error.__context__ = None
    return error.with_traceback(None)


class ConfigurationError(GoedGepicktError, ValueError):
    """The client was given something it cannot work with: no key, a bad base URL, a resume token of another list."""


class BudgetExhaustedError(GoedGepicktError):
    """The request would have to wait longer for the rate limit than the caller allows; nothing was sent.

    Attributes:
        wait: Seconds until the request could probably have gone.
    """

    def __init__(self, message: str, *, wait: float, **context: Any) -> None:
        super().__init__(message, **context)
        self.wait = wait


class TransportError(GoedGepicktError):
    """The network did not carry the request there and the answer back."""


class ConnectFailedError(TransportError):
    """No connection was made (DNS, refused, TLS, timeout while connecting); the request was never sent."""


class ClientClosedError(TransportError):
    """The client was closed while the call was in progress; `evidence` tells whether the request had been sent."""


class ConnectionLostError(TransportError):
    """The connection broke after the request was sent."""


class RequestTimeoutError(TransportError, TimeoutError):
    """No whole answer came in time; `evidence` tells whether the request had been sent."""


class OutcomeUnknownError(GoedGepicktError):
    """A write was sent, it is not known whether it was carried out, and it was not sent again.

    Attributes:
        body: What was sent, to finish by hand. It may hold personal data; it is in no message.
    """

    def __init__(self, message: str, *, body: Any = None, **context: Any) -> None:
        super().__init__(message, **context)
        self.body = body


class DecodeError(GoedGepicktError):
    """The server answered with something that is not what the API's reference describes.

    Attributes:
        problems: One line for each bad value, with where it stands, as `$.items[3].totalPaid: expected …`.
    """

    def __init__(self, message: str, *, problems: Sequence[str] = (), **context: Any) -> None:
        super().__init__(message, **context)
        self.problems: tuple[str, ...] = tuple(problems)


class PagingError(GoedGepicktError):
    """A list cannot be read whole; `resume` tells where it stopped."""


class MultipleFoundError(GoedGepicktError):
    """A search for the one thing found several; `uuids` names them."""

    def __init__(self, message: str, *, uuids: Sequence[str] = (), **context: Any) -> None:
        super().__init__(message, **context)
        self.uuids: tuple[str, ...] = tuple(uuids)


class BulkStoppedError(GoedGepicktError):
    """Too many items of a bulk job failed, so no further items were started. Started items were finished and reported.

    Attributes:
        done: Items that have an outcome.
        failed: How many of them failed.
    """

    def __init__(self, message: str, *, done: int, failed: int, **context: Any) -> None:
        super().__init__(message, **context)
        self.done = done
        self.failed = failed


class InputFileError(GoedGepicktError, ValueError):
    """A file of rows cannot be read, or some of its rows cannot.

    Attributes:
        problems: One line for each, with where it stands, as `stock.csv:12: voorraad: …`.
    """

    def __init__(self, message: str, *, problems: Sequence[str] = (), **context: Any) -> None:
        super().__init__(message, **context)
        self.problems: tuple[str, ...] = tuple(problems)


class ConflictError(GoedGepicktError):
    """What is at the server now is not what the plan was made from, so nothing was sent for this item."""


class JournalError(GoedGepicktError):
    """The journal of a plan that is applied cannot be used: damaged, of another version, on a full disk.

    No write is lost: recorded writes are in the journal, and a write that could not be recorded was not sent.
    """


class JournalBusyError(JournalError):
    """Another process, or another plan of this one, is using the journal."""


class JournalMismatchError(JournalError):
    """The journal is of another account, server or webshop."""


class WebhookVerificationError(GoedGepicktError):
    """A webhook delivery did not come from GoedGepickt, as far as its signature can tell."""


class InboxError(GoedGepicktError):
    """The inbox of a webhook receiver cannot keep or give what it should: a full disk, a file of something else."""


class APIError(GoedGepicktError):
    """The server answered, and the answer is not a success.

    Attributes:
        status: The HTTP status; None when the client refused the input itself, before a request was spent.
        body: The answer's parsed JSON, or its text; it may hold personal data.
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
        """What is wrong with which field, by Python field name (`billing.house_number`)."""
        return MappingProxyType(self._fields)


class AuthenticationError(APIError):
    """401: the API does not accept the key. A key of one API kind is refused by the other."""


class PermissionDeniedError(APIError):
    """403: the key is known but may not do this."""


class NotFoundError(APIError):
    """404: no such thing, or no such path."""


class AlreadyExistsError(APIError):
    """What was to be created is already there."""


class ValidationError(APIError):
    """422, or input that the client refused before a request was spent (`status` is None then)."""


class RateLimitedError(APIError):
    """429: the server's rate limit refused the request several times, although the budget allowed it.

    Attributes:
        retry_after: Seconds that the server asked to wait, if it did.
    """

    def __init__(self, message: str, *, retry_after: float | None = None, **context: Any) -> None:
        super().__init__(message, **context)
        self.retry_after = retry_after


class RedirectedError(APIError):
    """3xx: the server points elsewhere. It was not followed, and the key was not sent along."""


class ServerError(APIError):
    """5xx: the server or a gateway before it failed."""
