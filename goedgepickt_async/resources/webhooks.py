"""`gg.webhooks`: webhook subscriptions."""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import Hashable, Iterable, Mapping, Sequence
from itertools import product
from types import TracebackType
from typing import Any, Final, Self
from urllib.parse import SplitResult, urlsplit

import attrs

from goedgepickt_async.convert import decode, encode
from goedgepickt_async.errors import DecodeError, Evidence, MultipleFoundError, ValidationError
from goedgepickt_async.models import UNSET, NewWebhook, Secret, Unset, Webhook, WebhookEvent, Webshop
from goedgepickt_async.models.base import warn_unknown
from goedgepickt_async.models.validators import coerce_input
from goedgepickt_async.paging import OnUnreadable, Paginator
from goedgepickt_async.resources.base import Resource, create_or_lookup, request_to
from goedgepickt_async.webhooks.events import EVENTS

__all__ = [
    "EnsuredWebhooks",
    "KeyedLock",
    "SubscriptionDiff",
    "Webhooks",
    "checked_events",
    "checked_target",
    "checked_webshops",
    "diff",
    "same_target",
]

_EFFECT: Final = "no delivery may come"
_PORTS: Final = {"http": 80, "https": 443}


@attrs.frozen(kw_only=True)
class EnsuredWebhooks:
    """The subscriptions of one target URL, after `ensure`.

    Attributes:
        existing: Subscriptions that existed; several for one event if it was subscribed twice.
        created: Subscriptions that were created now.
        other_target: Subscriptions to the same events and webshops with another URL; they were not changed.
    """

    existing: tuple[Webhook, ...] = ()
    created: tuple[Webhook, ...] = ()
    other_target: tuple[Webhook, ...] = ()

    @property
    def webhooks(self) -> tuple[Webhook, ...]:
        """All that deliver to the URL."""
        return self.existing + self.created

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
class SubscriptionDiff:
    """How what is wanted stands to what is there."""

    existing: tuple[Webhook, ...]
    other_target: tuple[Webhook, ...]
    missing: tuple[tuple[WebhookEvent, str], ...]


def diff(
    target: str, events: Sequence[WebhookEvent], webshops: Sequence[str], hooks: Iterable[Webhook]
) -> SubscriptionDiff:
    """Sort what is there, and tell what is missing.

    Args:
        target: Where deliveries are to go.
        events: The events.
        webshops: The uuids of the webshops.
        hooks: All existing subscriptions.
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
    return SubscriptionDiff(tuple(there), tuple(elsewhere), missing)


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
        ValidationError: It is empty, or an item is not text, or is the name of a delivery.
    """
    named = _several(events, "events")
    mistaken = next((name for name in named if name in EVENTS), None)
    if mistaken is not None:
        subscription = EVENTS[mistaken].subscription
        raise _refused("events", f"{mistaken} is the name in a delivery; subscribe to {subscription}")
    for name in named:
        warn_unknown(WebhookEvent, name, effect=_EFFECT, stacklevel=5)
    return [WebhookEvent(name) for name in named]


def checked_webshops(webshops: str | Iterable[str]) -> list[str]:
    """Each uuid once, in the order given.

    Raises:
        ValidationError: It is empty, or an item is not text.
    """
    return _several(webshops, "webshops")


def _several(given: Any, name: str) -> list[str]:
    values = [given] if isinstance(given, str) else list(given) if isinstance(given, Iterable) else []
    if not values:
        raise _refused(name, "must name at least one")
    if not all(isinstance(value, str) and value.strip() and value.isprintable() for value in values):
        raise _refused(name, "must be text that is not empty")
    return list(dict.fromkeys(values))


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


_LOOK_AGAIN: Final = 0.02
"""The polling interval in seconds. The work is rare, and polling cannot lose a wake-up."""

_guard = threading.Lock()
_holders: dict[Hashable, asyncio.AbstractEventLoop] = {}


@attrs.define
class KeyedLock:
    """An asynchronous context for one task at a time. A loop that has ended does not block others.

    Attributes:
        key: The name of the work; other keys are independent.
    """

    key: Hashable

    async def __aenter__(self) -> Self:
        """Wait for one's turn."""
        while not self._take():  # noqa: ASYNC110  the others may be in other event loops
            await asyncio.sleep(_LOOK_AGAIN)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Let the next one in."""
        with _guard:
            _holders.pop(self.key, None)

    def _take(self) -> bool:
        with _guard:
            holder = _holders.get(self.key)
            if holder is not None and not holder.is_closed():
                return False
            _holders[self.key] = asyncio.get_running_loop()
            return True


def _after_fork_in_child() -> None:
    global _guard  # noqa: PLW0603  another thread of the parent may have held it
    _guard = threading.Lock()
    _holders.clear()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork_in_child)


class Webhooks(Resource):
    """Where GoedGepickt reports changes to."""

    def list(self, *, on_unreadable: OnUnreadable = "raise") -> Paginator[Webhook]:
        """All subscriptions of the account, for all webshops: `GET /webhooks` (A).

        Args:
            on_unreadable: `"raise"`, `"skip"` or a function: see `products.list`.
        """
        return self._list("webhooks.list", Webhook, on_unreadable=on_unreadable)

    async def create(
        self,
        event: WebhookEvent | str | NewWebhook | Mapping[str, Any],
        target_url: str | None = None,
        *,
        webshop_uuid: str | Unset = UNSET,
    ) -> Webhook:
        """Subscribe: `POST /webhooks` (A). A second call makes a second subscription, so it is never blindly resent.

        Args:
            event: What to report, such as `"order.statusChanged"`; or a whole `NewWebhook`, or a mapping of its fields.
                An event that this version does not know warns once.
            target_url: The URL that deliveries go to. Leave it out with a `NewWebhook` or a mapping.
            webshop_uuid: The webshop. UNSET: the client's.

        Returns:
            The subscription with its secret, which signs its deliveries.

        Raises:
            ValidationError: The API, or the client before a request was spent, refuses a field.
            OutcomeUnknownError: It may or may not have been created.
        """
        if isinstance(event, NewWebhook | Mapping):
            given = coerce_input(NewWebhook, event)
            if target_url is not None:
                raise _refused("target_url", "is given twice")
            webshop_uuid = given.webshop_uuid if webshop_uuid is UNSET else webshop_uuid
        else:
            given = coerce_input(NewWebhook, {"event": event, "target_url": target_url})
        asked = event.get("event") if isinstance(event, Mapping) else event
        warn_unknown(WebhookEvent, None if isinstance(asked, NewWebhook) else asked, effect=_EFFECT)
        new = attrs.evolve(given, webshop_uuid=self._webshop(webshop_uuid))
        request = request_to("webhooks.create", encode(new))
        return await create_or_lookup(self._sender, request, _webhook, lambda: self._find(new))

    async def ensure(
        self,
        url: str,
        events: WebhookEvent | str | Iterable[WebhookEvent | str],
        *,
        webshops: str | Iterable[str] | None = None,
    ) -> EnsuredWebhooks:
        """Subscribe to what is not subscribed to yet, and leave the rest: twice is once.

        It costs one request for each page of subscriptions, one for the webshops if they are not given, and one for each
        new subscription. Two calls in one process wait for each other. Two processes do not, so let one of them call it.
        If a subscription fails, earlier ones stay: call it again to continue.

        Args:
            url: Where deliveries go.
            events: What to report: one or several `WebhookEvent`, or their text.
            webshops: The uuids of the webshops; None is all webshops of the account.

        Returns:
            What was there, what was made, what points elsewhere, and the secrets that `WebhookReceiver` takes. A
            subscription that the service has disabled looks like any other: the API does not tell.

        Raises:
            ValidationError: The API, or the client before a request was spent, refuses something.
            OutcomeUnknownError: One may or may not have been made; it was looked up and is not there, so far.
        """
        target, wanted = checked_target(url), checked_events(events)
        chosen = None if webshops is None else checked_webshops(webshops)
        async with KeyedLock(("webhooks", self._sender.settings.server, target)):
            if chosen is None:
                chosen = [webshop.uuid async for webshop in self._list("webshops.list", Webshop)]
            difference = diff(target, wanted, chosen, await self.list().collect())
            created = [await self.create(event, target, webshop_uuid=webshop) for event, webshop in difference.missing]
        return EnsuredWebhooks(
            existing=difference.existing, created=tuple(created), other_target=difference.other_target
        )

    async def _find(self, new: NewWebhook) -> Webhook | None:
        found = [hook async for hook in self.list() if _is_same(hook, new)]
        if len(found) > 1:
            raise MultipleFoundError(f"{len(found)} such subscriptions", uuids=[hook.uuid for hook in found])
        return found[0] if found else None


def _is_same(hook: Webhook, new: NewWebhook) -> bool:
    same_webshop = (hook.webshop_uuid or "").casefold() == str(new.webshop_uuid).casefold()
    return hook.event == new.event and same_webshop and same_target(hook.target_url, new.target_url)


def _webhook(data: Any) -> Webhook | None:
    return decode(data, Webhook) if data else None
