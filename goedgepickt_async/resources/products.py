"""Products (reference section 4.2) and their stock at pick locations (section 4.3)."""

from __future__ import annotations

from collections.abc import AsyncIterable, Callable, Iterable, Mapping
from contextlib import aclosing
from typing import TYPE_CHECKING, Any, Literal

import attrs

from goedgepickt_async.convert import decode, decode_rows, encode
from goedgepickt_async.convert.hooks import as_list
from goedgepickt_async.errors import DecodeError, Evidence, MultipleFoundError, ValidationError, without_frames
from goedgepickt_async.models import UNSET, NewProduct, Product, ProductUpdate, StockLocation
from goedgepickt_async.models.validators import FieldError, coerce_input, whole
from goedgepickt_async.paging import OnUnreadable, Paginator
from goedgepickt_async.resources.base import (
    Resource,
    create_or_lookup,
    not_proven,
    parse_result,
    refused,
    request_to,
    rows_in,
)
from goedgepickt_async.text import masked

if TYPE_CHECKING:
    from goedgepickt_async.bulk.plan import Plan

__all__ = ["Products", "Stock"]


ProductRow = NewProduct | ProductUpdate | Mapping[str, Any] | Any


class Products(Resource):
    """The products of the account."""

    def list(
        self,
        *,
        webshop_uuid: str | None = None,
        sku: str | None = None,
        supplier_uuid: str | None = None,
        on_unreadable: OnUnreadable = "raise",
    ) -> Paginator[Product]:
        """All products, oldest first: `GET /products` (A).

        Args:
            webshop_uuid: Only products of this webshop (B).
            sku: Only products with exactly this SKU (A); the client filters again.
            supplier_uuid: Only products of this supplier (A/B); the client filters again if the response names a
                supplier.
            on_unreadable: What happens to a row that cannot be read. `"raise"` raises a `DecodeError`, and `"skip"`
                leaves it out (it is in `page.unreadable`). A function is called with each `UnreadableRow`, which is
                left out.

        Raises:
            ValidationError: Both a SKU and a supplier are given, but the API searches for one thing at a time.
        """
        if sku is not None and supplier_uuid is not None:
            raise ValidationError(
                "pass sku or supplier_uuid, not both", fields={"sku": ["is not allowed with the other"]}
            )
        filters = {"webshop_uuid": webshop_uuid, "sku": sku, "supplier_uuid": supplier_uuid}
        return self._list(
            "products.list", Product, filters, predicate=_keep(sku, supplier_uuid), on_unreadable=on_unreadable
        )

    async def get(self, uuid: str) -> Product:
        """Return one product: `GET /products/{uuid}` (A).

        Raises:
            NotFoundError: No product has this uuid.
        """
        return await self._get("products.get", Product, uuid=uuid)

    async def find_by_sku(self, sku: str, *, webshop_uuid: str | None = None) -> Product | None:
        """Return the product with this SKU, or None (A).

        Raises:
            MultipleFoundError: Several products have this SKU; a SKU is not unique (A).
            ValidationError: The SKU is empty.
        """
        found = await self.find_all_by_sku(sku, webshop_uuid=webshop_uuid)
        if len(found) > 1:
            uuids = [product.uuid for product in found]
            raise MultipleFoundError(
                f"{len(found)} products have the SKU {sku!r}",
                uuids=uuids,
                evidence=Evidence.FINAL,
                method="GET",
                path="/products",
            )
        return found[0] if found else None

    async def find_all_by_sku(self, sku: str, *, webshop_uuid: str | None = None) -> tuple[Product, ...]:
        """Return the products with this SKU from the first page of the search (A). A SKU is not unique (A).

        Raises:
            ValidationError: The SKU is empty.
            DecodeError: A product in the response has no SKU.
        """
        if not isinstance(sku, str) or not sku:
            raise ValidationError("sku must be text that is not empty", fields={"sku": ["must be text, not empty"]})
        found: list[Product] = []
        filters = {"sku": sku, "webshop_uuid": webshop_uuid}
        products = self._list("products.list", Product, filters, predicate=lambda product: product.sku in {sku, None})
        async with aclosing(products.pages()) as pages:
            async for page in pages:
                found += [product for product in page.items if product.sku == sku]
                if page.filtered == 0 and len(found) < len(page.items) and not found:
                    raise not_proven("/products", "the search by SKU found a product without a SKU")
                if len(found) > 1 or page.filtered == 0:  # the server's search is exact, so there are no more products
                    break
        return tuple(found)

    async def create(self, product: NewProduct | Mapping[str, Any]) -> Product:
        """Create a product: `POST /products` (A).

        There is no retry without a lookup. If the outcome is unknown, the product is looked up by its SKU. Its name,
        price and the shop's own id must be equal, too.

        Args:
            product: The product, or a mapping with the Python names of its fields.

        Raises:
            AlreadyExistsError: A product with this SKU exists already (A).
            ValidationError: The API or the client refuses a field. The client checks before it sends a request.
            OutcomeUnknownError: The server may have created the product.
        """
        try:
            product = coerce_input(NewProduct, product)
        except ValidationError as error:
            del product  # error trackers collect local variables
            raise without_frames(error) from None
        webshop = self._webshop(product.webshop_uuid)
        request = request_to("products.create", encode(attrs.evolve(product, webshop_uuid=webshop)))
        return await create_or_lookup(
            self._sender, request, lambda data: _created(data, product.sku), lambda: self._find(product, webshop)
        )

    async def _find(self, new: NewProduct, webshop_uuid: str) -> Product | None:
        found = await self.find_by_sku(new.sku, webshop_uuid=webshop_uuid)
        if found is not None and not _is_same(found, new):
            raise MultipleFoundError("another product with this SKU exists", uuids=[found.uuid])
        return found

    async def update(self, uuid: str, changes: ProductUpdate | Mapping[str, Any]) -> Product | None:
        """Change a product: `PUT /products/{uuid}` (A). Fields that are UNSET keep their values.

        Args:
            uuid: The uuid of the product.
            changes: The changes, or a mapping with the Python names of the fields.

        Returns:
            The product in the response; None if the response has no product (B).

        Raises:
            NotFoundError: No product has this uuid.
            ValidationError: The API or the client refuses a field. The client checks before it sends a request.
        """
        try:
            changes = coerce_input(ProductUpdate, changes)
        except ValidationError as error:
            del changes  # error trackers collect local variables
            raise without_frames(error) from None
        body = encode(attrs.evolve(changes, webshop_uuid=self._webshop(changes.webshop_uuid)))
        result = await self._sender.send(request_to("products.update", body, uuid=uuid))
        return parse_result(result, lambda data: _updated(data, uuid))

    async def plan(
        self,
        desired: Iterable[ProductRow] | AsyncIterable[ProductRow],
        *,
        key: Literal["sku", "product_id"] = "sku",
        webshop_uuid: str | None = None,
        update_pictures: bool = False,
        existing_only: bool = False,
        create_elsewhere: bool = False,
        allow_similar: bool = False,
    ) -> Plan:
        """Compare the wanted products with the present products.

        Args:
            desired: `NewProduct` or `ProductUpdate` objects, mappings with the Python names of their fields, or attrs
                objects with these fields. A field that is UNSET or missing keeps its value; None empties it.
            key: The field that identifies a product.
            webshop_uuid: The uuid or name of the webshop. None: the webshop of the client, or the only webshop of the
                account.
            update_pictures: Whether to replace existing pictures. By default a picture is sent only for a new product
                or in place of a placeholder. GoedGepickt asks clients not to send pictures repeatedly (A).
            existing_only: Whether to create no products; a missing product is a conflict.
            create_elsewhere: Whether to create products that exist in another webshop of the account; by default they
                are conflicts.
            allow_similar: Whether to create products whose key differs from an existing key only by case, leading
                zeros, blanks or invisible characters; by default they are conflicts.

        Raises:
            ConfigurationError: The webshop does not exist, or the account has several webshops and `webshop` is None.
            GoedGepicktError: The present products could not be read.
        """
        from goedgepickt_async.bulk import planner  # noqa: PLC0415  bulk is built on the resources

        return await planner.make_plan(
            self._sender, "products", desired, webshop=webshop_uuid, key=key, update_pictures=update_pictures,
            existing_only=existing_only, create_elsewhere=create_elsewhere, allow_similar=allow_similar,
        )  # fmt: skip


def _is_same(found: Product, new: NewProduct) -> bool:
    """Whether the found product can be the one that was sent: an older product can have the same SKU."""
    sent = ((new.name, found.name), (new.price, found.price), (new.product_id, found.product_id))
    return all(wanted is UNSET or there is None or there == wanted for wanted, there in sent)


def _keep(sku: str | None, supplier_uuid: str | None) -> Callable[[Product], bool] | None:
    """Whether a product fits the search, because a server may ignore the search."""
    if sku is not None:
        return lambda product: product.sku == sku
    if supplier_uuid is not None:
        return lambda product: product.supplier is None or product.supplier.uuid == supplier_uuid
    return None


def _product(data: Any) -> Product | None:
    """Return the only product: of `{"items": [product]}`, a product, or an empty list (reference section 4.2, B)."""
    if isinstance(data, Mapping) and "items" in data:
        data = as_list(data["items"])
    if isinstance(data, list):
        data = data[0] if len(data) == 1 else None
    if not isinstance(data, Mapping) or not data.get("uuid"):
        return None
    return decode(data, Product)


def _created(data: Any, sku: str) -> Product | None:
    """The product in the response to a create; None if it is another product."""
    product = _product(data)
    return product if product is None or product.sku in {None, sku} else None


def _updated(data: Any, uuid: str) -> Product | None:
    """Return the product in the response to an update. Another product is refused."""
    product = _product(data)
    if product is not None and product.uuid.casefold() != uuid.strip().casefold():
        raise DecodeError("the response has another product", problems=["$.uuid: expected the uuid in the path"])
    return product


# -- stock --------------------------------------------------------------------------------------------------------

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
            raise refused("quantity", "must not be 0")
        if pick_location_uuid is not None and not (isinstance(pick_location_uuid, str) and pick_location_uuid.strip()):
            raise refused("pick_location_uuid", "must be text that is not empty")
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
    try:
        return whole(value)
    except FieldError as error:
        (why,) = error.problems.values()
    raise refused(name, why)


def _not_negative(value: int, name: str) -> int:
    if _whole(value, name) < 0:
        raise refused(name, "must not be negative")
    return value
