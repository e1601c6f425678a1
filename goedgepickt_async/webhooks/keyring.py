"""Which secrets a delivery may be signed with, now and for its event."""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Callable, Iterable, Mapping
from typing import Any, Final

from goedgepickt_async.errors import ConfigurationError
from goedgepickt_async.models import Secret, WebhookEvent
from goedgepickt_async.webhooks.events import CompoundProductStockUpdated, Event, OrderStatusChanged, StockUpdated
from goedgepickt_async.webhooks.signature import Secrets, verify

__all__ = ["Keyring", "SecretSource"]

SecretsByEvent = Mapping[WebhookEvent, Secrets] | Mapping[str, Secrets]
SecretSource = Secrets | SecretsByEvent | Callable[[], "Secrets | SecretsByEvent | Awaitable[Secrets | SecretsByEvent]"]
"""Secrets; or by the event that was subscribed to; or a function, sync or async, that gives either for each delivery."""

_SUBSCRIPTION: Final[dict[type[Event], WebhookEvent]] = {
    OrderStatusChanged: WebhookEvent.ORDER_STATUS_CHANGED,
    StockUpdated: WebhookEvent.PRODUCT_STOCK_CHANGED,
    CompoundProductStockUpdated: WebhookEvent.PRODUCT_STOCK_CHANGED,
}


class Keyring:
    """The secrets of a receiver.

    Raises:
        ConfigurationError: There is none, or something else than secrets.
    """

    def __init__(self, source: SecretSource) -> None:
        if not callable(source):
            _check(source)
            source = _copied(source)
        self._source = source

    def __repr__(self) -> str:
        return "<Keyring>"

    async def verify(self, body: bytes, signature: str | bytes | None) -> Any:
        """Returns the secrets by which the body was verified, all that there are now.

        Raises:
            WebhookVerificationError: It was signed with none of them.
        """
        secrets: Any = self._source
        if callable(secrets):
            secrets = secrets()
            if inspect.isawaitable(secrets):
                secrets = await secrets
        verify(body, signature, _all(secrets))
        return secrets

    def verify_event(self, event: Event, secrets: Any, body: bytes, signature: str | bytes | None) -> None:
        """Where secrets are told apart by event: that it was one of this event's. What is unknown may have any.

        Raises:
            WebhookVerificationError: It was not.
        """
        subscription = _SUBSCRIPTION.get(type(event))
        if isinstance(secrets, Mapping) and subscription is not None:
            verify(body, signature, secrets.get(subscription, ()))


def _all(secrets: Any) -> Any:
    """The secrets of all events, flat."""
    if not isinstance(secrets, Mapping):
        return secrets
    return [secret for some in secrets.values() for secret in _several(some)]


def _several(secrets: Any) -> Iterable[Any]:
    return [secrets] if isinstance(secrets, (str, Secret)) or not isinstance(secrets, Iterable) else secrets


def _copied(secrets: Any) -> Any:
    """So that a generator can be read twice, and nobody changes it behind our back."""
    if isinstance(secrets, Mapping):
        return {str(event): tuple(_several(some)) for event, some in secrets.items()}
    return tuple(_several(secrets))


def _check(secrets: Any) -> None:
    if isinstance(secrets, Iterable) and not isinstance(secrets, (str, Mapping, list, tuple, set, frozenset)):
        raise ConfigurationError("give webhook secrets as text, a list, a mapping by event, or a function")
    every = list(_several(_all(secrets)))
    texts = [secret.reveal() if isinstance(secret, Secret) else secret for secret in every]
    if not texts or not all(isinstance(text, str) and text for text in texts):
        raise ConfigurationError("a webhook receiver needs at least one secret, and none that is empty or no text")
