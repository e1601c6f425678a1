"""Products (reference section 4.2)."""

from __future__ import annotations

from collections.abc import AsyncIterable, Callable, Iterable, Mapping
from contextlib import aclosing
from typing import TYPE_CHECKING, Any, Literal

import attrs

from goedgepickt_async.convert import decode, encode
from goedgepickt_async.convert.hooks import as_list
from goedgepickt_async.errors import DecodeError, Evidence, MultipleFoundError, ValidationError
from goedgepickt_async.models import UNSET, NewProduct, Product, ProductUpdate
from goedgepickt_async.models.validators import coerce_input
from goedgepickt_async.paging import OnUnreadable, Paginator
from goedgepickt_async.resources.base import Resource, create_or_lookup, parse_result, request_to

if TYPE_CHECKING:
    from goedgepickt_async.bulk.plan import Plan

__all__ = ["Products"]


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
            webshop_uuid: Only this webshop's (B).
            sku: Only those with exactly this SKU (A); compared again here.
            supplier_uuid: Only this supplier's (A/B); compared again here where the answer names a supplier.
            on_unreadable: What becomes of a row that cannot be read: `"raise"` a `DecodeError`, or `"skip"` it (it is
                in `page.unreadable`), or a function that is called with each `UnreadableRow` that is skipped.

        Raises:
            ValidationError: Both a SKU and a supplier: the API searches for one thing at a time.
        """
        if sku is not None and supplier_uuid is not None:
            raise ValidationError("search by sku or by supplier_uuid, not by both", fields={"sku": ["one of the two"]})
        filters = {"webshop_uuid": webshop_uuid, "sku": sku, "supplier_uuid": supplier_uuid}
        return self._list(
            "products.list", Product, filters, predicate=_keep(sku, supplier_uuid), on_unreadable=on_unreadable
        )

    async def get(self, uuid: str) -> Product:
        """One product: `GET /products/{uuid}` (A).

        Raises:
            NotFoundError: No product has this uuid.
        """
        return await self._get("products.get", Product, uuid=uuid)

    async def find_by_sku(self, sku: str, *, webshop_uuid: str | None = None) -> Product | None:
        """The one product with this SKU, or None: the search of three (A).

        Raises:
            MultipleFoundError: Several have it; a SKU is not unique (A).
            ValidationError: The SKU is empty, which a search cannot find.
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
        """The products with this SKU: the search of three (A). A SKU is not unique (A); the first page of them will do.

        Raises:
            ValidationError: The SKU is empty, which a search cannot find.
            DecodeError: Products were found, and their SKU is missing.
        """
        if not isinstance(sku, str) or not sku:
            raise ValidationError("sku: must be text that is not empty", fields={"sku": ["must be text, not empty"]})
        found: list[Product] = []
        filters = {"sku": sku, "webshop_uuid": webshop_uuid}
        products = self._list("products.list", Product, filters, predicate=lambda product: product.sku in {sku, None})
        async with aclosing(products.pages()) as pages:
            async for page in pages:
                found += [product for product in page.items if product.sku == sku]
                if page.filtered == 0 and len(found) < len(page.items) and not found:
                    raise DecodeError(  # one of these rows may have the SKU, so its absence is not proven
                        "the search by SKU found a product whose SKU is missing",
                        evidence=Evidence.FINAL,
                        method="GET",
                        path="/products",
                    )
                if len(found) > 1 or page.filtered == 0:  # the server's search is exact: it has said all
                    break
        return tuple(found)

    async def create(self, product: NewProduct | Mapping[str, Any]) -> Product:
        """Create a product: `POST /products` (A).

        It is never blindly sent again. If its outcome is unknown, the product is looked up by its SKU. Name, price and the
        shop's own id must agree, too.

        Args:
            product: What to create; or a mapping of its fields' Python names.

        Raises:
            AlreadyExistsError: There is one with this SKU (A).
            ValidationError: The API refuses a field, or the client does before a request is sent.
            OutcomeUnknownError: It may or may not have been created.
        """
        product = coerce_input(NewProduct, product)
        webshop = self._webshop(product.webshop_uuid)
        request = request_to("products.create", encode(attrs.evolve(product, webshop_uuid=webshop)))
        return await create_or_lookup(
            self._sender, request, lambda data: _created(data, product.sku), lambda: self._find(product, webshop)
        )

    async def _find(self, new: NewProduct, webshop_uuid: str) -> Product | None:
        found = await self.find_by_sku(new.sku, webshop_uuid=webshop_uuid)
        if found is not None and not _is_same(found, new):
            raise MultipleFoundError("another product with this SKU is there", uuids=[found.uuid])
        return found

    async def update(self, uuid: str, changes: ProductUpdate | Mapping[str, Any]) -> Product | None:
        """Change a product: `PUT /products/{uuid}` (A); what is left UNSET stays as it is.

        Args:
            uuid: Which product.
            changes: The new values; or a mapping of their Python names.

        Returns:
            The product as the API answers it; None where it answers nothing that tells (B).

        Raises:
            NotFoundError: No product has this uuid.
            ValidationError: The API refuses a field, or the client does before a request is sent.
        """
        changes = coerce_input(ProductUpdate, changes)
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
        """Compare the products that are wanted with those that are there.

        Args:
            desired: `NewProduct`, `ProductUpdate`, a mapping of their fields' Python names, or an attrs object that
                has them. A field that is UNSET or missing is left as it is; None empties it.
            key: What tells a product apart.
            webshop_uuid: The webshop's uuid or name. None: the client's webshop, or the account's only one.
            update_pictures: Send a picture also to products that have one. Default: only to new products and in place of a
                placeholder, because GoedGepickt asks clients not to send them repeatedly (A).
            existing_only: Create no products; a missing one is a conflict.
            create_elsewhere: Create products that exist in another webshop of the account; by default they are conflicts.
            allow_similar: Create also what differs from an existing key only by case, leading zeros, blanks or
                invisible characters; else that is in conflict.

        Raises:
            ConfigurationError: There is no such webshop, or there are several and none is named.
            GoedGepicktError: The present state could not be read.
        """
        from goedgepickt_async.bulk import planner  # noqa: PLC0415  bulk is built on the resources

        return await planner.make_plan(
            self._sender, "products", desired, webshop=webshop_uuid, key=key, update_pictures=update_pictures,
            existing_only=existing_only, create_elsewhere=create_elsewhere, allow_similar=allow_similar,
        )  # fmt: skip


def _is_same(found: Product, new: NewProduct) -> bool:
    """Whether it can be the one that was just sent: one that existed before may have the same SKU."""
    sent = ((new.name, found.name), (new.price, found.price), (new.product_id, found.product_id))
    return all(wanted is UNSET or there is None or there == wanted for wanted, there in sent)


def _keep(sku: str | None, supplier_uuid: str | None) -> Callable[[Product], bool] | None:
    """The same search, here: a server that ignored it would otherwise answer the whole list."""
    if sku is not None:
        return lambda product: product.sku == sku
    if supplier_uuid is not None:
        return lambda product: product.supplier is None or product.supplier.uuid == supplier_uuid
    return None


def _product(data: Any) -> Product | None:
    """Seen as `{"items": [product]}`, a bare product, or an empty list (reference section 4.2, B).

    Returns:
        The product; None where the answer does not say, or names several.
    """
    if isinstance(data, Mapping) and "items" in data:
        data = as_list(data["items"])
    if isinstance(data, list):
        data = data[0] if len(data) == 1 else None
    if not isinstance(data, Mapping) or not data.get("uuid"):
        return None
    return decode(data, Product)


def _created(data: Any, sku: str) -> Product | None:
    """The product in the answer to a create; None if it is another one."""
    product = _product(data)
    return product if product is None or product.sku in {None, sku} else None


def _updated(data: Any, uuid: str) -> Product | None:
    """The product in the answer to an update.

    Raises:
        DecodeError: It is another product.
    """
    product = _product(data)
    if product is not None and product.uuid.casefold() != uuid.strip().casefold():
        raise DecodeError("the answer is about another product", problems=["$.uuid: expected the uuid in the path"])
    return product
