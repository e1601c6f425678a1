"""Products and their stock: the classes that you receive and the classes that you send."""

from __future__ import annotations

import math
from decimal import Decimal
from typing import Any

import attrs

from goedgepickt_async.models.base import UNSET, Identifier, ProductType, Unset, alias, optional_received, optional_sent
from goedgepickt_async.models.serialization import Model
from goedgepickt_async.models.validators import (
    nullable_amount,
    nullable_text,
    optional_amount,
    optional_flag,
    optional_name,
    optional_text,
    request_model,
    text,
)

__all__ = ["NewProduct", "Product", "ProductStock", "ProductUpdate", "StockLocation", "Supplier"]


@attrs.frozen(kw_only=True, weakref_slot=False, repr=False)
class ProductStock(Model):
    """The stock of a product at all locations (A/B). If the API sends only a number, it is read as `free_stock` (C).

    Attributes:
        free_stock: The total minus the reserved stock. It can be negative. 0 means that nothing is free.
        unlimited_stock: Whether the stock is unlimited; then ignore the numbers.
    """

    free_stock: int | None = optional_received("freeStock", known="A/B 4.2")
    total_stock: int | None = optional_received("totalStock", known="A/B 4.2")
    reserved_stock: int | None = optional_received("reservedStock", known="A/B 4.2")
    unlimited_stock: bool | None = optional_received("unlimitedStock", known="A/B 4.2")
    minimal_stock: int | None = optional_received("minimalStock", known="A/B 4.2")
    fill_stock_to: int | None = optional_received("fillStockTo", known="A/B 4.2")
    extra: dict[str, Any] = attrs.field(factory=dict, repr=False, hash=False)

    @property
    def available(self) -> float | None:
        """The quantity that a shop can sell: infinite if unlimited, never below 0, None if the API sent no stock."""
        if self.unlimited_stock:
            return math.inf
        return None if self.free_stock is None else max(0, self.free_stock)


@attrs.frozen(kw_only=True, weakref_slot=False, repr=False)
class Supplier(Model):
    """A supplier of a product, with the supplier's number for it (B)."""

    uuid: str | None = optional_received("uuid", known="B 4.2a")
    supplier_sku: str | None = optional_received("supplierSku", known="B 4.2a")
    extra: dict[str, Any] = attrs.field(factory=dict, repr=False, hash=False)


@attrs.frozen(kw_only=True, weakref_slot=False, repr=False)
class Product(Model):
    """A product.

    Attributes:
        sku: The SKU. It can be empty, can look like a number, and is **not unique** (A).
        product_id: The shop's own id for the product (B).
        price: The price in the shop's currency. The API writes `price`, `cost_price` and `tax_rate` as text (B).
        weight: The weight, as the API sends it (B). The units of `weight`, `length`, `height` and `width` are not
            documented.
        picture: The URL of the picture or of a placeholder (A): see `has_picture`.
        product_attributes: The JSON values of the API, because the form of the elements is not known (B).
        extra: Keys of the API for which this class has no field.
    """

    uuid: Identifier = attrs.field(metadata=alias("uuid", known="A 4.2"))
    sku: str | None = optional_received("sku", known="A 4.2")
    name: str | None = optional_received("name", known="A 4.2")
    type: ProductType | None = optional_received("type", known="B 4.2p")
    product_id: str | None = optional_received("productId", known="B 4.2", repr=False)
    ean: str | None = optional_received("ean", known="A/B 4.2v", repr=False)
    barcode: str | None = optional_received("barcode", known="A/B 4.2v", repr=False)
    description: str | None = optional_received("description", known="A/B 4.2v", repr=False)
    internal_comment: str | None = optional_received("internalComment", known="A/B 4.2v", repr=False)
    price: Decimal | None = optional_received("price", known="B 4.2v", repr=False)
    cost_price: Decimal | None = optional_received("costPrice", known="B 4.2v", repr=False)
    tax_rate: Decimal | None = optional_received("taxRate", known="B 4.2v", repr=False)
    weight: Decimal | None = optional_received("weight", known="B 4.2v", repr=False)
    length: Decimal | None = optional_received("length", known="B 4.2v", repr=False)
    height: Decimal | None = optional_received("height", known="B 4.2v", repr=False)
    width: Decimal | None = optional_received("width", known="B 4.2v", repr=False)
    picture: str | None = optional_received("picture", known="A 4.2", repr=False)
    product_attributes: Any = attrs.field(
        default=None, repr=False, hash=False, metadata=alias("productAttributes", known="B 4.2v")
    )
    supplier: Supplier | None = optional_received("supplier", known="B 4.2a", repr=False)
    allow_backorders: bool | None = optional_received("allowBackorders", known="C 4.2p", repr=False)
    stock: ProductStock | None = optional_received("stock", known="A 4.2", repr=False)
    extra: dict[str, Any] = attrs.field(factory=dict, repr=False, hash=False)

    @property
    def has_picture(self) -> bool:
        """Whether it has a picture. A URL with `image_placeholder` is a placeholder (A)."""
        return bool(self.picture) and "image_placeholder" not in str(self.picture).lower()


@request_model
@attrs.frozen(kw_only=True, weakref_slot=False, repr=False)
class NewProduct(Model):
    """A new product (A). If it exists already, creating it raises `AlreadyExistsError` (A).

    Attributes:
        webshop_uuid: The uuid of the webshop. Default: the webshop of the client.
        product_id: The shop's own id for the product.
        stock_management: Whether GoedGepickt manages the stock of the product.
        picture: The URL of a picture.
        price: A Decimal, an int or a text such as `"12.34"`, with at most 12 digits before the point and 6 after it.
            Floats are refused.

    Raises:
        ValidationError: A value is missing or not valid; `fields` has the problem of each field.
    """

    webshop_uuid: str | Unset = optional_sent("webshopUuid", optional_name, known="A 4.2v")
    name: str = attrs.field(converter=text, metadata=alias("name", known="A 4.2v"))
    sku: str = attrs.field(converter=text, metadata=alias("sku", known="A 4.2v"))
    product_id: str | Unset = optional_sent("productId", optional_name, known="A 4.2v")
    stock_management: bool | Unset = optional_sent("stockManagement", optional_flag, known="A 4.2v", repr=False)
    url: str | Unset = optional_sent("url", optional_text, known="A 4.2v", repr=False)
    picture: str | Unset = optional_sent("picture", optional_text, known="A 4.2v", repr=False)
    price: Decimal | Unset = attrs.field(
        default=UNSET, converter=optional_amount, metadata=alias("price", known="A 4.2v")
    )


@request_model
@attrs.frozen(kw_only=True, weakref_slot=False, repr=False)
class ProductUpdate(Model):
    """The changes to a product (A). A field that is UNSET keeps its value; None empties it.

    Attributes:
        webshop_uuid: The uuid of the webshop. Default: the webshop of the client.
        picture: The URL of a new picture. Leave it UNSET if the picture has not changed: GoedGepickt asks clients not
            to send it each time (A).
        price: A Decimal, an int or a text such as `"12.34"`, with at most 12 digits before the point and 6 after it.
            Floats are refused.

    Raises:
        ValidationError: A value is not valid; `fields` has the problem of each field.
    """

    webshop_uuid: str | Unset = optional_sent("webshopUuid", optional_name, known="A 4.2v")
    name: str | Unset = optional_sent("name", optional_name, known="A 4.2v")
    sku: str | Unset = optional_sent("sku", optional_name, known="A 4.2v")
    product_id: str | Unset | None = optional_sent("productId", nullable_text, known="A 4.2v")
    stock_management: bool | Unset = optional_sent("stockManagement", optional_flag, known="A 4.2v")
    url: str | Unset | None = optional_sent("url", nullable_text, known="A 4.2v")
    picture: str | Unset | None = optional_sent("picture", nullable_text, known="A 4.2v")
    price: Decimal | Unset | None = attrs.field(
        default=UNSET, converter=nullable_amount, metadata=alias("price", known="A 4.2v")
    )


@attrs.frozen(kw_only=True, weakref_slot=False, repr=False)
class StockLocation(Model):
    """A row of `GET /products/{uuid}/stock` (A). The API's key is `picklocationUuid`, with a lower-case l."""

    pick_location_uuid: Identifier = attrs.field(metadata=alias("picklocationUuid", "pickLocationUuid", known="A 4.3"))
    pick_location_name: str | None = optional_received("picklocationName", "pickLocationName", known="A 4.3")
    quantity: int | None = optional_received("stockQuantity", known="A 4.3")
    priority: int | None = optional_received("stockPriority", known="A 4.3")
    extra: dict[str, Any] = attrs.field(factory=dict, repr=False, hash=False)
