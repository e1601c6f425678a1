"""From models that are sent to the JSON body of a request."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from decimal import Decimal
from typing import Any

import attrs

from goedgepickt_async.convert.scalars import AMSTERDAM
from goedgepickt_async.models import UNSET, OpenEnum
from goedgepickt_async.models.outgoing import is_outgoing
from goedgepickt_async.models.wire_names import Wire, wire_of

__all__ = ["encode"]


def encode(model: Any) -> dict[str, Any]:
    """The body of a request, as values that JSON takes.

    Fields that are UNSET are left out, None is null. Decimals become text (`"12.34"`), instants Dutch local time
    (`2026-11-01 09:30:00`, A), addresses flat keys. The API takes no offset, so in the hour that comes twice in autumn
    two instants an hour apart are written alike.

    Args:
        model: A `NewOrder`, `NewProduct`, `ProductUpdate`, `NewWebhook` or another model that is sent.

    Returns:
        A new dict with wire names.

    Raises:
        TypeError: The model is one that is read, not sent.
    """
    if not is_outgoing(type(model)):
        raise TypeError(f"{type(model).__name__} is not a model that is sent")
    return _body_of(model)


def _body_of(model: Any) -> dict[str, Any]:
    body: dict[str, Any] = {}
    for wire, value in _sent(model):
        if wire.is_flat:
            body |= {wire.sent + part.sent: text for part, text in _sent(value) if text is not None}
        else:
            body[wire.sent] = _json(value)
    return body


def _sent(model: Any) -> Iterator[tuple[Wire, Any]]:
    for field in attrs.fields(type(model)):
        wire = wire_of(field.metadata)
        value = getattr(model, field.name)
        if wire is not None and value is not UNSET:
            yield wire, value


def _json(value: Any) -> Any:
    if isinstance(value, Decimal):
        return format(value, "f")
    if isinstance(value, datetime):
        return value.astimezone(AMSTERDAM).replace(tzinfo=None).isoformat(" ", "seconds")
    if isinstance(value, OpenEnum):
        return value.value
    if isinstance(value, tuple):
        return [_json(part) for part in value]
    return _body_of(value) if attrs.has(type(value)) else value
