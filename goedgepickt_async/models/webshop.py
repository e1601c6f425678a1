"""A webshop of the account."""

from __future__ import annotations

from typing import Any

import attrs

from goedgepickt_async.models.wire_names import Identifier, wire

__all__ = ["Webshop"]


@attrs.frozen(kw_only=True, weakref_slot=False)
class Webshop:
    """One webshop (A); its `uuid` goes into the body of product, order and webhook writes."""

    uuid: Identifier = attrs.field(metadata=wire("uuid"))
    name: str | None = attrs.field(default=None, metadata=wire("name"))
    url: str | None = attrs.field(default=None, metadata=wire("url"))
    platform: str | None = attrs.field(default=None, metadata=wire("platform"))
    extra: dict[str, Any] = attrs.field(factory=dict, repr=False, hash=False)
