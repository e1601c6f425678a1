"""What all resources share: a call of the API, read into models."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, TypeVar

import attrs

from goedgepickt_async.budget.slots import Lane
from goedgepickt_async.convert import decode, decode_rows
from goedgepickt_async.errors import DecodeError, Evidence, ValidationError
from goedgepickt_async.models import PageInfo
from goedgepickt_async.models.unset import UNSET, Unset
from goedgepickt_async.paging import Fetch, ListSource, Paginator, RawPage
from goedgepickt_async.resources.reading import read
from goedgepickt_async.wire.pipeline import Sender
from goedgepickt_async.wire.request import Request, query_pairs

__all__ = ["Resource", "search"]

T = TypeVar("T")


class Resource:
    """One kind of thing that the API knows."""

    def __init__(self, sender: Sender) -> None:
        self._sender = sender

    async def _get(self, path: str, cls: type[T]) -> T:
        delivered = await self._sender.send(Request(path=path))
        return read(delivered, lambda data: decode(data, cls))

    def _list(
        self,
        path: str,
        cls: type[T],
        query: Mapping[str, Any] | None = None,
        *,
        keep: Callable[[T], bool] | None = None,
        kept_by: tuple[str, ...] = (),
        key: tuple[str, ...] = ("uuid",),
        by_date: bool = False,
    ) -> Paginator[T]:
        pairs = query_pairs(query or {})
        source = ListSource(
            path=path,
            query=pairs,
            identity=(self._sender.settings.server, path, *map("=".join, sorted(pairs)), *kept_by),
            reading=lambda: self._reading(path),
            decode=lambda rows: decode_rows(rows, cls),
            keep=keep,
            key=key,
            by_date=by_date,
            route=Request(path=path).route,
            told=self._sender.pipeline.hooks.page,
        )
        return Paginator(source)

    def _reading(self, path: str) -> Fetch:
        """Requests of one reading of a list; it ends with the session that it began on, and opens no other."""
        sender = self._sender.for_one_session()

        async def fetch(pairs: tuple[tuple[str, str], ...], lane: Lane) -> RawPage:
            delivered = await sender.send(Request(path=path, query=pairs), lane)
            return attrs.evolve(read(delivered, _raw_page), attempts=delivered.attempts)

        return fetch

    def _webshop(self, given: str | Unset | None) -> str:
        """The webshop that a write is for.

        Raises:
            ValidationError: Neither the call nor the client names one.
        """
        webshop = self._sender.settings.webshop_uuid if given is UNSET or given is None else given
        if not webshop:
            raise ValidationError(
                "webshop_uuid: is required; give it here, to the client, or in GOEDGEPICKT_WEBSHOP_UUID",
                fields={"webshop_uuid": ["is required"]},
                evidence=Evidence.NOT_SENT,
            )
        return webshop


def search(attribute: str, value: Any) -> dict[str, Any]:
    """The API's search of three (reference section 4.2: confidence A for a SKU); nothing if there is no value."""
    if value is None:
        return {}
    return {"searchAttribute": attribute, "searchDelimiter": "=", "searchValue": value}


def _raw_page(data: Any) -> RawPage:
    if not isinstance(data, Mapping):
        raise DecodeError("a list came without its wrapper", problems=["$: expected an object with items"])
    rows, info = data.get("items"), data.get("pageInfo")
    if rows is None:  # the reference, section 3: treat as empty (A)
        rows = []
    if not isinstance(rows, list):
        raise DecodeError("a list came without rows", problems=["$.items: expected a list"])
    return RawPage(rows=rows, info=decode(info or {}, PageInfo), has_info=bool(info))
