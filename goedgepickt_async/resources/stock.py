"""Stock of products at their pick locations (reference section 4.3)."""

from __future__ import annotations

from collections.abc import AsyncIterable, Iterable, Mapping
from typing import TYPE_CHECKING, Any, Literal

import attrs

from goedgepickt_async.convert import decode_rows
from goedgepickt_async.errors import Evidence, ValidationError
from goedgepickt_async.models import StockLocation
from goedgepickt_async.resources.base import Resource, create_or_lookup, parse_result, request_to, rows_in
from goedgepickt_async.text import masked

if TYPE_CHECKING:
    from goedgepickt_async.bulk.plan import Plan

__all__ = ["Stock"]


Levels = Mapping[str, int | str]
LevelRows = Iterable[tuple[str, int | str]] | AsyncIterable[tuple[str, int | str]]


class Stock(Resource):
    """The stock at pick locations. GoedGepickt manages it, and a shop copies the free stock."""

    async def get(self, product_uuid: str) -> list[StockLocation]:
        """Return the stock of a product at each pick location: `GET /products/{uuid}/stock` (A).

        Raises:
            NotFoundError: The product does not exist.
        """
        request = attrs.evolve(request_to("stock.get", uuid=product_uuid), read=_rows)
        return parse_result(await self._sender.send(request), _locations)

    async def mutate(
        self, product_uuid: str, quantity: int, *, reason: str | None = None, pick_location_uuid: str | None = None
    ) -> None:
        """Increase or reduce the stock: `PUT /products/{uuid}/stock-mutation` (A/B).

        It is never retried if the outcome is unknown.

        Args:
            product_uuid: The uuid of the product.
            quantity: The number of pieces to add; negative to remove.
            reason: The text in GoedGepickt's stock log.
            pick_location_uuid: The uuid of the pick location. None: GoedGepickt chooses.

        Raises:
            OutcomeUnknownError: The server may have changed the stock, and the API has no request that tells.
            NotFoundError: The product does not exist.
            ValidationError: The API refuses the request, or the quantity is 0 or not a whole number (then nothing was
                sent).
        """
        reason = masked(reason)
        if _whole(quantity, "quantity") == 0:
            raise _refused("quantity", "must not be 0")
        body = {"mutation": quantity, "mutationReason": reason, "pickLocationUuid": pick_location_uuid}
        body = {name: value for name, value in body.items() if value is not None}
        await self._sender.send(request_to("stock.mutate", body, uuid=product_uuid))

    async def set(
        self, product_uuid: str, pick_location_uuid: str, quantity: int, *, reason: str | None = None
    ) -> None:
        """Set the quantity at a location: `PUT /products/{uuid}/stock/{pickLocationUuid}` (A/B).

        Args:
            product_uuid: The uuid of the product.
            pick_location_uuid: The uuid of the pick location, which must be linked to the product.
            quantity: The number of pieces to set.
            reason: The text in GoedGepickt's stock log.

        Raises:
            NotFoundError: The product or the location does not exist.
            ValidationError: The API refuses the request, or the quantity is negative or not a whole number (then
                nothing was sent).
        """
        reason = masked(reason)
        body: dict[str, Any] = {"stockQuantity": _not_negative(quantity, "quantity")}
        if reason is not None:
            body["reason"] = reason
        request = request_to("stock.set", body, uuid=product_uuid, pickLocationUuid=pick_location_uuid)
        await self._sender.send(request)

    async def link(
        self, product_uuid: str, pick_location_uuid: str, *, quantity: int = 0, priority: int | None = None
    ) -> None:
        """Link a product to a location: `POST /products/{uuid}/stock/{pickLocationUuid}` (A/B).

        The effect of a second request is unknown, so an unknown outcome is looked up.

        Args:
            product_uuid: The uuid of the product.
            pick_location_uuid: The uuid of the pick location.
            quantity: The number of pieces at the location.
            priority: The priority of this location among the product's locations.

        Raises:
            OutcomeUnknownError: The server may have linked them.
            NotFoundError: The product or the location does not exist.
            ValidationError: The API refuses the request, or a number is not valid (then nothing was sent).
        """
        body = {"stockQuantity": _not_negative(quantity, "quantity")}
        if priority is not None:
            body["priority"] = _whole(priority, "priority")
        request = request_to("stock.link", body, uuid=product_uuid, pickLocationUuid=pick_location_uuid)
        await create_or_lookup(
            self._sender, request, lambda _: True, lambda: self._is_linked(product_uuid, pick_location_uuid, body)
        )

    async def _is_linked(self, product_uuid: str, pick_location_uuid: str, body: dict[str, int]) -> bool | None:
        for location in await self.get(product_uuid):
            there = {"stockQuantity": location.quantity, "priority": location.priority}
            if location.pick_location_uuid == pick_location_uuid and body.items() <= there.items():
                return True
        return None

    async def plan(
        self,
        levels: Levels | LevelRows,
        *,
        mode: Literal["set", "free"] = "free",
        location: str | None = None,
        one_location: bool = False,
        webshop_uuid: str | None = None,
        reason: str | None = None,
    ) -> Plan:
        """Compare the wanted stock with the present stock.

        Args:
            levels: A mapping of SKU -> number of pieces, or pairs of both. Pairs with the same SKU twice are reported
                as a conflict.
            mode: `"free"` sets the free stock, by mutations; `"set"` sets the stock at `location`.
            location: The uuid of a pick location. Required for `"set"`; for `"free"`, None lets GoedGepickt choose.
            one_location: For `"set"`: whether these products are at this location only. Then their totals are enough.
                By default the locations of each product are read, with one request per product.
            webshop_uuid: The uuid or name of the webshop. None: the webshop of the client, or the only webshop of the
                account.
            reason: The text in GoedGepickt's stock log.

        Raises:
            ConfigurationError: The mode is unknown or needs a location; or the webshop does not exist; or the account
                has several webshops and `webshop` is None.
            GoedGepicktError: The present stock could not be read.
        """
        from goedgepickt_async.bulk import planner  # noqa: PLC0415  bulk is built on the resources

        reason = masked(reason)
        rows = levels.items() if isinstance(levels, Mapping) else levels
        return await planner.make_plan(
            self._sender, "stock", rows, webshop=webshop_uuid, mode=mode, location=location,
            one_location=one_location, reason=reason,
        )  # fmt: skip


def _rows(data: Any) -> list[Any]:
    return rows_in(data, "stockLocations")


def _locations(rows: list[Any]) -> list[StockLocation]:
    return decode_rows(rows, StockLocation, path="$.stockLocations")


def _whole(value: int, name: str) -> int:
    if isinstance(value, bool) or not isinstance(value, int):
        raise _refused(name, "must be a whole number")
    return value


def _not_negative(value: int, name: str) -> int:
    if _whole(value, name) < 0:
        raise _refused(name, "must not be negative")
    return value


def _refused(name: str, why: str) -> ValidationError:
    return ValidationError(f"{name}: {why}; nothing was sent", fields={name: [why]}, evidence=Evidence.NOT_SENT)
