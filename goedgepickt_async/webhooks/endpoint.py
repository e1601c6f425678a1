"""The endpoint: from the bytes of a delivery to a response. It knows no framework; its only effect is `Intake.put`."""

from __future__ import annotations

import asyncio
import inspect
import time
from collections import Counter
from collections.abc import AsyncIterable, Awaitable, Callable, Iterable, Mapping
from typing import Any, Final, Protocol

import attrs

from goedgepickt_async.errors import ConfigurationError, DecodeError, GoedGepicktError, WebhookVerificationError
from goedgepickt_async.logs import tell
from goedgepickt_async.models import Secret, WebhookEvent
from goedgepickt_async.webhooks.events import Event, parse
from goedgepickt_async.webhooks.handlers import HandlerRegistry
from goedgepickt_async.webhooks.inbox import Intake
from goedgepickt_async.webhooks.signature import Bytes, Secrets, verify

__all__ = [
    "DeliveryEndpoint",
    "DeliveryReceiver",
    "ReceiverSnapshot",
    "RejectionLog",
    "SecretSource",
    "SecretStore",
    "Stats",
    "WebhookResponse",
]

# -- responses ------------------------------------------------------------------------------------------------------


@attrs.frozen
class WebhookResponse:
    """How to answer a delivery.

    Attributes:
        status: The HTTP status. Only exactly 200 is a success for the service; otherwise it tries again (A).
        text: The body, as plain text. It contains no details.
    """

    status: int
    text: str


ACCEPTED: Final = WebhookResponse(200, "accepted")
INCOMPLETE: Final = WebhookResponse(400, "the body is incomplete")
NOT_JSON: Final = WebhookResponse(400, "the body is not JSON")
NOT_SIGNED: Final = WebhookResponse(401, "the signature is missing or wrong")
TOO_SLOW: Final = WebhookResponse(408, "the body took too long")
TOO_LARGE: Final = WebhookResponse(413, "the body is too large")
UNAVAILABLE: Final = WebhookResponse(503, "try again later")


class DeliveryReceiver(Protocol):
    """What adapters need of a `WebhookReceiver`."""

    async def receive_chunks(self, chunks: AsyncIterable[bytes], signature: str | bytes | None) -> WebhookResponse:
        """Verify a delivery whose body arrives in chunks, store it, and return the response."""
        ...


# -- statistics and log ---------------------------------------------------------------------------------------------


@attrs.frozen(kw_only=True)
class ReceiverSnapshot:
    """What a receiver of this process has done since it was created.

    Attributes:
        accepted: Deliveries answered with 200.
        unmatched: Accepted deliveries for which there is no handler.
        duplicates: Accepted deliveries that added nothing, because an equal one was waiting.
        refused: Deliveries answered with another status, by status.
        handled: Handler calls that succeeded.
        retried: Handler calls that failed and will be repeated.
        given_up: Handler calls that failed for the last time.
        running: Handlers that are running now.
    """

    accepted: int
    unmatched: int
    duplicates: int
    refused: dict[int, int]
    handled: int
    retried: int
    given_up: int
    running: int


@attrs.define
class Stats:
    """The counters behind `ReceiverSnapshot`."""

    accepted: int = 0
    unmatched: int = 0
    duplicates: int = 0
    refused: Counter[int] = attrs.field(factory=Counter)
    handled: int = 0
    retried: int = 0
    given_up: int = 0
    running: int = 0

    def snapshot(self) -> ReceiverSnapshot:
        """The current values."""
        values = attrs.asdict(self, recurse=False)
        return ReceiverSnapshot(**{**values, "refused": dict(self.refused)})


_LOG_INTERVAL: Final = 60.0


class RejectionLog:
    """Logs refused deliveries, each status once a minute, with their number; never a body or a secret.

    Args:
        clock: A monotonic clock, in seconds; for tests.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._next: dict[int, float] = {}
        self._unlogged: dict[int, int] = {}

    def note(self, status: int, why: str) -> None:
        """Count one refused delivery, and log it if its turn has come.

        Args:
            status: The status of the response.
            why: The reason, without content of the delivery.
        """
        self._unlogged[status] = self._unlogged.get(status, 0) + 1
        now = self._clock()
        if now < self._next.get(status, now):
            return
        self._next[status] = now + _LOG_INTERVAL
        count = self._unlogged.pop(status)
        since = f"{count} deliveries" if count > 1 else "a delivery"
        tell("webhook.refused", since=since, count=count, status=status, why=why)


# -- secrets --------------------------------------------------------------------------------------------------------

SecretsByEvent = Mapping[WebhookEvent, Secrets] | Mapping[str, Secrets]
SecretSource = Secrets | SecretsByEvent | Callable[[], "Secrets | SecretsByEvent | Awaitable[Secrets | SecretsByEvent]"]
"""Secrets; a mapping from subscription to secrets; or a function, sync or async, that returns either per delivery."""


class SecretStore:
    """The secrets of a receiver.

    Raises:
        ConfigurationError: There is no secret, or a value of another type.
    """

    def __init__(self, source: SecretSource) -> None:
        if not callable(source):
            _check_secrets(source)
            source = _copied(source)
        self._source = source

    def __repr__(self) -> str:
        return "<SecretStore>"

    async def verify(self, body: bytes, signature: str | bytes | None) -> Any:
        """Verify a body with all current secrets.

        Returns:
            The secrets, for `verify_event`.

        Raises:
            WebhookVerificationError: The signature matches no secret.
        """
        secrets: Any = self._source
        if callable(secrets):
            secrets = secrets()
            if inspect.isawaitable(secrets):
                secrets = await secrets
        verify(body, signature, _flat(secrets))
        return secrets

    def verify_event(self, event: Event, secrets: Any, body: bytes, signature: str | bytes | None) -> None:
        """If secrets are given by subscription, verify with those of this event. An unknown event may have any.

        Raises:
            WebhookVerificationError: The secret belongs to another subscription.
        """
        if isinstance(secrets, Mapping) and event.subscription is not None:
            verify(body, signature, secrets.get(event.subscription, ()))


def _flat(secrets: Any) -> Any:
    """The secrets of all subscriptions."""
    if not isinstance(secrets, Mapping):
        return secrets
    return [secret for some in secrets.values() for secret in _several(some)]


def _several(secrets: Any) -> Iterable[Any]:
    return [secrets] if isinstance(secrets, (str, Secret)) or not isinstance(secrets, Iterable) else secrets


def _copied(secrets: Any) -> Any:
    """A copy, so that a generator can be read twice and later changes by the caller have no effect."""
    if isinstance(secrets, Mapping):
        return {str(event): tuple(_several(some)) for event, some in secrets.items()}
    return tuple(_several(secrets))


def _check_secrets(secrets: Any) -> None:
    if isinstance(secrets, Iterable) and not isinstance(secrets, (str, Mapping, list, tuple, set, frozenset)):
        raise ConfigurationError("give webhook secrets as text, a list, a mapping by event, or a function")
    every = list(_several(_flat(secrets)))
    texts = [secret.reveal() if isinstance(secret, Secret) else secret for secret in every]
    if not texts or not all(isinstance(text, str) and text for text in texts):
        raise ConfigurationError("a webhook receiver needs at least one secret, and no secret may be empty")


# -- the endpoint ---------------------------------------------------------------------------------------------------


class DeliveryEndpoint:
    """Receives deliveries.

    Args:
        secrets: The secrets.
        handlers: Which handlers get which events.
        inbox: Where deliveries are stored before they are answered.
        stats: The counters.
        log: The log of refused deliveries.
        max_body: The largest body, in bytes.
        body_timeout: Seconds until a body must be complete.
        is_open: Whether the entries of the inbox will be handled.
    """

    def __init__(
        self,
        secrets: SecretStore,
        handlers: HandlerRegistry,
        inbox: Intake,
        stats: Stats,
        log: RejectionLog,
        *,
        max_body: int,
        body_timeout: float,
        is_open: Callable[[], bool],
    ) -> None:
        self.secrets = secrets
        self.inbox = inbox
        self._handlers = handlers
        self._stats = stats
        self._log = log
        self._max_body = max_body
        self._body_timeout = body_timeout
        self._is_open = is_open

    async def receive(self, body: Bytes, signature: str | bytes | None) -> WebhookResponse:
        """Verify the body, store it, and return the response. It never raises an `Exception`."""
        if len(body) > self._max_body:
            return self._refuse(TOO_LARGE, f"more than {self._max_body} bytes")
        try:
            return await self._accept(bytes(body), signature)
        except WebhookVerificationError as error:
            return self._refuse(NOT_SIGNED, str(error))
        except DecodeError as error:
            return self._refuse(NOT_JSON, str(error))
        except Exception as error:  # noqa: BLE001  the inbox, or a user's function for secrets, may raise anything
            why = str(error) if isinstance(error, GoedGepicktError) else type(error).__name__  # may contain a secret
            return self._refuse(UNAVAILABLE, f"it could not be stored ({why})")

    async def receive_chunks(self, chunks: AsyncIterable[bytes], signature: str | bytes | None) -> WebhookResponse:
        """Like `receive`, with a body in chunks. No more than `max_body` bytes are kept, whatever its stated length."""
        body = bytearray()
        try:
            async with asyncio.timeout(self._body_timeout):
                async for chunk in chunks:
                    body += chunk
                    if len(body) > self._max_body:
                        break
        except TimeoutError:
            return self._refuse(TOO_SLOW, f"the body was not complete after {self._body_timeout:g} s")
        except Exception as error:  # noqa: BLE001  each framework has its own error for a lost connection
            return self._refuse(INCOMPLETE, f"the body ended early ({type(error).__name__})")
        finally:
            if (close := getattr(chunks, "aclose", None)) is not None:
                await close()
        return await self.receive(body, signature)

    async def _accept(self, body: bytes, signature: str | bytes | None) -> WebhookResponse:
        secrets = await self.secrets.verify(body, signature)
        event = parse(body)
        self.secrets.verify_event(event, secrets, body, signature)
        entries = self._handlers.entries(event, body)
        if not entries:
            self._stats.unmatched += 1
        elif not self._is_open():
            return self._refuse(UNAVAILABLE, "the receiver is not running, and its inbox is not durable")
        elif not await self.inbox.put(entries):
            self._stats.duplicates += 1
        self._stats.accepted += 1
        return ACCEPTED

    def _refuse(self, response: WebhookResponse, why: str) -> WebhookResponse:
        self._stats.refused[response.status] += 1
        self._log.note(response.status, why)
        return response
