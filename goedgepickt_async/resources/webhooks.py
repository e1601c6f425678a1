"""Webhook subscriptions (reference section 4.7)."""

from __future__ import annotations

from typing import Any

from goedgepickt_async.convert import decode, encode, python_name
from goedgepickt_async.errors import MultipleFoundError
from goedgepickt_async.models import UNSET, NewWebhook, Unset, Webhook, WebhookEvent
from goedgepickt_async.paging import Paginator
from goedgepickt_async.resources.base import Resource
from goedgepickt_async.resources.lookup import create_once
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

    async def _find(self, new: NewWebhook) -> Webhook | None:
        found = [hook async for hook in self.list() if _is_same(hook, new)]
        if len(found) > 1:
            raise MultipleFoundError(f"{len(found)} such subscriptions", uuids=[hook.uuid for hook in found])
        return found[0] if found else None


def _is_same(hook: Webhook, new: NewWebhook) -> bool:
    return (hook.event, hook.target_url, hook.webshop_uuid) == (new.event, new.target_url, new.webshop_uuid)


def _webhook(data: Any) -> Webhook | None:
    return decode(data, Webhook) if data else None
