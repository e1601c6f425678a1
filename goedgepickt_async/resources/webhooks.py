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
from goedgepickt_async.errors import DecodeError, MultipleFoundError, ValidationError, without_frames
from goedgepickt_async.models import UNSET, NewWebhook, Secret, Unset, Webhook, WebhookEvent, Webshop
from goedgepickt_async.models.base import warn_unknown
from goedgepickt_async.models.validators import coerce_input
from goedgepickt_async.paging import OnUnreadable, Paginator
from goedgepickt_async.resources.base import Resource, create_or_lookup, not_proven, refused, request_to
from goedgepickt_async.text import MaskedStr
from goedgepickt_async.webhooks.events import EVENTS

__all__ = [
    "EnsuredWebhooks",
    "KeyedLock",
    "Webhooks",
    "checked_events",
    "checked_target",
    "diff",
    "same_target",
]

_EFFECT: Final = "you may get no deliveries"
_PORTS: Final = {"http": 80, "https": 443}


@attrs.frozen(kw_only=True)
class EnsuredWebhooks:
    """The result of `ensure`: the subscriptions of one target URL.

    Attributes:
        existing: Subscriptions that existed before. An event can have several of them.
        created: Subscriptions that `ensure` created.
        other_target: Subscriptions to the same events and webshops with another URL; they were not changed.
    """

    existing: tuple[Webhook, ...] = ()
    created: tuple[Webhook, ...] = ()
    other_target: tuple[Webhook, ...] = ()

    @property
    def webhooks(self) -> tuple[Webhook, ...]:
        """All subscriptions that deliver to the URL."""
        return self.existing + self.created

    @property
    def secrets(self) -> tuple[Secret, ...]:
        """The secrets that sign their deliveries, for `WebhookReceiver` and `verify`.

        Raises:
            DecodeError: A subscription in the response has no secret, so its deliveries cannot be verified.
        """
        secrets = [hook.secret for hook in self.webhooks if hook.secret is not None and hook.secret.reveal()]
        if len(secrets) < len(self.webhooks):
            missing = [hook.uuid for hook in self.webhooks if hook.secret is None or not hook.secret.reveal()]
            raise DecodeError(f"the API sent subscriptions without a secret: {', '.join(missing)}")
        return tuple(dict.fromkeys(secrets))


def diff(
    target: str, events: Sequence[WebhookEvent], webshops: Sequence[str], hooks: Iterable[Webhook]
) -> tuple[EnsuredWebhooks, list[tuple[WebhookEvent, str]]]:
    """Sort the present subscriptions, and find the missing ones."""
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
    missing = [pair for kind, pair in wanted.items() if kind not in found]
    return EnsuredWebhooks(existing=tuple(there), other_target=tuple(elsewhere)), missing


def same_target(one: str | None, other: str | None) -> bool:
    """Whether two URLs are equal, apart from differences without meaning, such as `HTTPS://Shop.test:443`."""
    return one == other or (one is not None and other is not None and _meaning(one) == _meaning(other))


def checked_target(url: str) -> str:
    """Return the URL for deliveries. It must be an http or https URL."""
    if not isinstance(url, str) or not url.isprintable() or " " in url:
        raise refused("url", "must be a str with a URL")
    parts = _split(url)
    if parts is None or parts.scheme not in _PORTS or not parts.hostname:
        raise refused("url", "must be an http or https URL with a host")
    if "#" in url:
        raise refused("url", "must not have a fragment")
    return url


def checked_events(events: WebhookEvent | str | Iterable[WebhookEvent | str]) -> list[WebhookEvent]:
    """Return each event once, in the given order. The name of an event in deliveries is refused."""
    named = _several(events, "events")
    mistaken = next((name for name in named if name in EVENTS), None)
    if mistaken is not None:
        subscription = EVENTS[mistaken].subscription
        raise refused("events", f"{mistaken} is the event name in deliveries; subscribe to {subscription}")
    for name in named:
        warn_unknown(WebhookEvent, name, effect=_EFFECT, stacklevel=5)
    return [WebhookEvent(name) for name in named]


def _several(given: Any, name: str) -> list[str]:
    values = [given] if isinstance(given, str) else list(given) if isinstance(given, Iterable) else []
    if not values:
        raise refused(name, "must have at least one item")
    if not all(isinstance(value, str) and value.strip() and value.isprintable() for value in values):
        raise refused(name, "must be text that is not empty")
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


_LOOK_AGAIN: Final = 0.02
"""The polling interval in seconds. Polling is enough, because calls of `ensure` are rare."""

_guard = threading.Lock()
_holders: dict[Hashable, asyncio.AbstractEventLoop] = {}


@attrs.define
class KeyedLock:
    """An async lock for several event loops. A loop that has ended does not block others.

    Attributes:
        key: The name of the lock; locks with different names are independent.
    """

    key: Hashable

    async def __aenter__(self) -> Self:
        """Wait for the lock."""
        while not self._take():  # noqa: ASYNC110  the others may be in other event loops
            await asyncio.sleep(_LOOK_AGAIN)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Release the lock."""
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
    """The webhook subscriptions of the account."""

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
        """Subscribe: `POST /webhooks` (A).

        A second request creates a second subscription, so there is no retry without a lookup.

        Args:
            event: The event, such as `"order.statusChanged"`; or a `NewWebhook`, or a mapping of its fields. An unknown
                event causes a warning.
            target_url: The URL for the deliveries. Leave it out with a `NewWebhook` or a mapping.
            webshop_uuid: The uuid of the webshop. UNSET: the webshop of the client.

        Returns:
            The subscription with the secret that signs its deliveries.

        Raises:
            ValidationError: The API or the client refuses a field. The client checks before it sends a request.
            OutcomeUnknownError: The server may have created the subscription.
        """
        if isinstance(event, NewWebhook | Mapping):
            given = coerce_input(NewWebhook, event)
            if target_url is not None:
                raise refused("target_url", "is given twice")
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
        """Create the missing subscriptions and keep the existing ones. You can call it repeatedly.

        It costs one request for each page of subscriptions, one for the webshops if they are not given, and one for each
        new subscription. Two calls in one process wait for each other. Two processes do not, so let one of them call it.
        If a subscription fails, earlier ones stay: call it again to continue.

        Args:
            url: The URL for the deliveries.
            events: One `WebhookEvent` or several, or their texts.
            webshops: The uuids of the webshops; None for all webshops of the account.

        Returns:
            The existing and the new subscriptions, those with another URL, and the secrets for `WebhookReceiver`. A
            subscription that the service has disabled looks like any other, because the API does not report that.

        Raises:
            ValidationError: The API or the client refuses a value. The client checks before it sends a request.
            OutcomeUnknownError: The server may have created a subscription that the lookup has not found so far.
            DecodeError: A subscription in the list has no event, webshop or target, and may be one of these.
        """
        try:
            target = MaskedStr(checked_target(url))  # it may hold a token, and error trackers collect local variables
        except ValidationError as error:
            del url
            raise without_frames(error) from None
        del url
        wanted = checked_events(events)
        chosen = None if webshops is None else _several(webshops, "webshops")
        async with KeyedLock(("webhooks", self._sender.settings.server, target)):
            if chosen is None:
                chosen = [webshop.uuid async for webshop in self._list("webshops.list", Webshop)]
            hooks = await self.list().collect()
            ensured, missing = diff(target, wanted, chosen, hooks)
            if any(_may_be(hook, event, webshop, target) for event, webshop in missing for hook in hooks):
                why = "a subscription of the list has no event, webshop or target, so it is not known what is missing"
                raise not_proven("/webhooks", why)
            created = [await self.create(event, target, webshop_uuid=webshop) for event, webshop in missing]
        return attrs.evolve(ensured, created=tuple(created))

    async def _find(self, new: NewWebhook) -> Webhook | None:
        found = [hook async for hook in self.list() if _is_same(hook, new)]
        if len(found) > 1:
            raise MultipleFoundError(f"{len(found)} such subscriptions", uuids=[hook.uuid for hook in found])
        return found[0] if found else None


def _is_same(hook: Webhook, new: NewWebhook) -> bool:
    same_webshop = (hook.webshop_uuid or "").casefold() == str(new.webshop_uuid).casefold()
    return hook.event == new.event and same_webshop and same_target(hook.target_url, new.target_url)


def _may_be(hook: Webhook, event: str, webshop: str, target: str) -> bool:
    """Whether it can be that subscription, as far as the fields that it has show."""
    return (
        hook.event in {None, event}
        and (hook.webshop_uuid or webshop).casefold() == webshop.casefold()
        and (hook.target_url is None or same_target(hook.target_url, target))
    )


def _webhook(data: Any) -> Webhook | None:
    return decode(data, Webhook) if data else None
