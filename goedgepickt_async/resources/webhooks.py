"""Webhook subscriptions (reference section 4.7)."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from goedgepickt_async.convert import decode, encode, python_name
from goedgepickt_async.errors import MultipleFoundError
from goedgepickt_async.models import UNSET, NewWebhook, Unset, Webhook, WebhookEvent, Webshop
from goedgepickt_async.paging import Paginator
from goedgepickt_async.resources.base import Resource
from goedgepickt_async.resources.lookup import create_once
from goedgepickt_async.resources.one_at_a_time import OneAtATime
from goedgepickt_async.resources.subscriptions import (
    EnsuredWebhooks,
    checked_events,
    checked_target,
    checked_webshops,
    compare,
    same_target,
)
from goedgepickt_async.wire.request import Request, Safety

__all__ = ["Webhooks"]


class Webhooks(Resource):
    """Where GoedGepickt reports changes to."""

    def list(self) -> Paginator[Webhook]:
        """All subscriptions of the account, whichever webshop they are of: `GET /webhooks` (A)."""
        return self._list("/webhooks", Webhook, key=("webhookUuid", "uuid"))

    async def create(self, event: WebhookEvent | str, target_url: str, *, webshop_uuid: str | Unset = UNSET) -> Webhook:
        """Subscribe: `POST /webhooks` (A). A second one makes a second subscription, so it is never blindly sent again.

        Args:
            event: What to report.
            target_url: Where to.
            webshop_uuid: Of which webshop; UNSET takes the client's.

        Returns:
            The subscription with its secret, which signs its deliveries.

        Raises:
            ValidationError: The API, or the client before a request was spent, refuses a field.
            OutcomeUnknownError: It may or may not have been created.
        """
        new = NewWebhook(webshop_uuid=self._webshop(webshop_uuid), event=event, target_url=target_url)
        request = Request(
            method="POST",
            path="/webhooks",
            body=encode(new),
            safety=Safety.ONCE,
            may_be_empty=True,
            rename=lambda name: python_name(NewWebhook, name),
        )
        return await create_once(self._sender, request, _webhook, lambda: self._find(new))

    async def ensure(
        self,
        url: str,
        events: WebhookEvent | str | Iterable[WebhookEvent | str],
        *,
        webshops: str | Iterable[str] | None = None,
    ) -> EnsuredWebhooks:
        """Subscribe to what is not subscribed to yet, and leave the rest: twice is once.

        It costs one request for each page of subscriptions, one for the webshops if they are not given, and one for
        each subscription that it makes. Two at once in one process wait for each other; two processes cannot, so let
        one of them do it. What it makes stays when a later one fails: call it again, and it goes on from there.

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
        async with OneAtATime(("webhooks", self._sender.settings.server, target)):
            if chosen is None:
                chosen = [webshop.uuid async for webshop in self._list("/webshops", Webshop)]
            standing = compare(target, wanted, chosen, await self.list().collect())
            created = [await self.create(event, target, webshop_uuid=webshop) for event, webshop in standing.missing]
        return EnsuredWebhooks(there=standing.there, created=tuple(created), elsewhere=standing.elsewhere)

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
