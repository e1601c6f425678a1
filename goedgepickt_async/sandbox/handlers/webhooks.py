"""POST /webhooks. Deliveries are made by a subscriber of the world."""

from __future__ import annotations

import re
from typing import Any, Final

from goedgepickt_async.sandbox import validation as check
from goedgepickt_async.sandbox.answers import Answer, json_answer
from goedgepickt_async.sandbox.handlers.common import checked
from goedgepickt_async.sandbox.requests import Incoming
from goedgepickt_async.sandbox.validation import BrokenRule, Field
from goedgepickt_async.sandbox.world import World

__all__ = ["Webhooks"]

# Not all names are known (that of "shipment created" is not), so the form is checked and not the name.
_EVENT: Final = re.compile(r"[a-z]+\.[a-z][A-Za-z]*")


class Webhooks:
    """The controllers of webhook subscriptions."""

    def __init__(self, world: World) -> None:
        """Take the world."""
        self._world = world
        self._fields = (
            Field("webshopUuid", check.known(world.webshops.find), required=True),
            Field("webhookEvent", _event, required=True),
            Field("targetUrl", check.url, required=True),
        )

    def create(self, request: Incoming) -> Answer:
        """POST /webhooks."""
        data = checked(self._fields, request)
        row = self._world.add_webhook(int(data["webshopUuid"]), data["webhookEvent"], data["targetUrl"])
        return json_answer(row)


def _event(value: Any) -> str:
    name = check.text(value)
    if not _EVENT.fullmatch(name):
        raise BrokenRule("in")
    return name
