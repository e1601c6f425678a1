"""Which webhook subscriptions are wanted, and how the wanted stand to those that are there."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import product
from typing import Any, Final
from urllib.parse import SplitResult, urlsplit

import attrs

from goedgepickt_async.errors import DecodeError, Evidence, ValidationError
from goedgepickt_async.models import Secret, Webhook, WebhookEvent

__all__ = [
    "EnsuredWebhooks",
    "Standing",
    "checked_events",
    "checked_target",
    "checked_webshops",
    "compare",
    "same_target",
]

_OF_DELIVERIES: Final = {
    "orderStatusChanged": WebhookEvent.ORDER_STATUS_CHANGED,
    "stockUpdated": WebhookEvent.PRODUCT_STOCK_CHANGED,
    "compoundProductStockUpdated": WebhookEvent.PRODUCT_STOCK_CHANGED,
}
"""What the deliveries are called: other names than what is subscribed to (reference section 5, A)."""

_PORTS: Final = {"http": 80, "https": 443}


@attrs.frozen(kw_only=True)
class EnsuredWebhooks:
    """The subscriptions of one target URL, after `ensure`.

    Attributes:
        there: Those that were there before; more than one of a kind if somebody made it twice.
        created: Those that were made now.
        elsewhere: Those of the same events and webshops that point to another URL; they were left alone.
    """

    there: tuple[Webhook, ...] = ()
    created: tuple[Webhook, ...] = ()
    elsewhere: tuple[Webhook, ...] = ()

    @property
    def webhooks(self) -> tuple[Webhook, ...]:
        """All that deliver to the URL."""
        return self.there + self.created

    @property
    def secrets(self) -> tuple[Secret, ...]:
        """What their deliveries are signed with, as `WebhookReceiver` and `verify` take it; shown nowhere.

        Raises:
            DecodeError: The API gave a subscription without its secret; its deliveries could not be verified.
        """
        secrets = [hook.secret for hook in self.webhooks if hook.secret is not None and hook.secret.reveal()]
        if len(secrets) < len(self.webhooks):
            missing = [hook.uuid for hook in self.webhooks if hook.secret is None or not hook.secret.reveal()]
            raise DecodeError(f"subscriptions came without their secret: {', '.join(missing)}")
        return tuple(dict.fromkeys(secrets))


@attrs.frozen
class Standing:
    """How what is wanted stands to what is there."""

    there: tuple[Webhook, ...]
    elsewhere: tuple[Webhook, ...]
    missing: tuple[tuple[WebhookEvent, str], ...]


def compare(target: str, events: Sequence[WebhookEvent], webshops: Sequence[str], hooks: Iterable[Webhook]) -> Standing:
    """Sort what is there, and tell what is missing.

    Args:
        target: Where deliveries are to go.
        events: Of which kinds.
        webshops: Of which webshops, by uuid.
        hooks: All that are there.
    """
    wanted = {(event, webshop.casefold()): (event, webshop) for webshop, event in product(webshops, events)}
    there, elsewhere, found = [], [], set()
    for hook in hooks:
        kind = (hook.event, (hook.webshop_uuid or "").casefold())
        if kind not in wanted:
            continue
        if same_target(hook.target_url, target):
            there.append(hook)
            found.add(kind)
        else:
            elsewhere.append(hook)
    missing = tuple(pair for kind, pair in wanted.items() if kind not in found)
    return Standing(tuple(there), tuple(elsewhere), missing)


def same_target(one: str | None, other: str | None) -> bool:
    """Whether two URLs are one, written differently at most where that means nothing: `HTTPS://Shop.test:443`."""
    return one == other or (one is not None and other is not None and _meaning(one) == _meaning(other))


def checked_target(url: str) -> str:
    """A URL that deliveries can go to.

    Raises:
        ValidationError: It is none.
    """
    if not isinstance(url, str) or not url.isprintable() or " " in url:
        raise _refused("url", "must be the text of a URL")
    parts = _split(url)
    if parts is None or parts.scheme not in _PORTS or not parts.hostname:
        raise _refused("url", "must be a URL of http or https with a host")
    if "#" in url:
        raise _refused("url", "must have no fragment, which no delivery carries")
    return url


def checked_events(events: WebhookEvent | str | Iterable[WebhookEvent | str]) -> list[WebhookEvent]:
    """Each event once, in the order given.

    Raises:
        ValidationError: There is none, or one is no text, or the name of a delivery.
    """
    named = _several(events, "events")
    mistaken = next((name for name in named if name in _OF_DELIVERIES), None)
    if mistaken is not None:
        raise _refused("events", f"{mistaken} is what a delivery says; subscribe to {_OF_DELIVERIES[mistaken]}")
    return [WebhookEvent(name) for name in named]


def checked_webshops(webshops: str | Iterable[str]) -> list[str]:
    """Each uuid once, in the order given.

    Raises:
        ValidationError: There is none, or one is no text.
    """
    return _several(webshops, "webshops")


def _several(given: Any, name: str) -> list[str]:
    values = [given] if isinstance(given, str) else list(given) if isinstance(given, Iterable) else []
    if not values:
        raise _refused(name, "must name at least one")
    if not all(isinstance(value, str) and value.strip() and value.isprintable() for value in values):
        raise _refused(name, "must be text that is not empty")
    return list(dict.fromkeys(map(str, values)))


def _meaning(url: str) -> tuple[object, ...] | str:
    parts = _split(url)
    if parts is None:
        return url
    port = parts.port or _PORTS.get(parts.scheme)
    user = parts.netloc.rpartition("@")[0]
    return parts.scheme, user, parts.hostname, port, parts.path or "/", parts.query


def _split(url: str) -> SplitResult | None:
    try:
        parts = urlsplit(url)
        usable = parts.port != 0
    except ValueError:
        return None
    return parts if usable else None


def _refused(name: str, why: str) -> ValidationError:
    return ValidationError(f"{name}: {why}; nothing was sent", fields={name: [why]}, evidence=Evidence.NOT_SENT)
