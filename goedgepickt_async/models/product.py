"""A product, its stock and its supplier, as the API answers them."""

from __future__ import annotations

import math
from decimal import Decimal
from typing import Any

import attrs

from goedgepickt_async.models.enumerations import ProductType
from goedgepickt_async.models.wire_names import Identifier, wire

__all__ = ["Product", "ProductStock", "Supplier"]


@attrs.frozen(kw_only=True, weakref_slot=False)
class ProductStock:
    """The stock of a product over all locations (A/B). A bare number on the wire is read as `free_stock` (C).

    Attributes:
        free_stock: Total minus reserved. It can be negative, and 0 is a real value.
        unlimited_stock: When true, the numbers mean nothing.
    """

    free_stock: int | None = attrs.field(default=None, metadata=wire("freeStock"))
    total_stock: int | None = attrs.field(default=None, metadata=wire("totalStock"))
    reserved_stock: int | None = attrs.field(default=None, metadata=wire("reservedStock"))
    unlimited_stock: bool | None = attrs.field(default=None, metadata=wire("unlimitedStock"))
    minimal_stock: int | None = attrs.field(default=None, metadata=wire("minimalStock"))
    fill_stock_to: int | None = attrs.field(default=None, metadata=wire("fillStockTo"))
    extra: dict[str, Any] = attrs.field(factory=dict, repr=False, hash=False)

    @property
    def available(self) -> float | None:
        """What a shop may sell: infinite if unlimited, never below 0, None if the API did not say."""
        if self.unlimited_stock:
            return math.inf
        return None if self.free_stock is None else max(0, self.free_stock)


@attrs.frozen(kw_only=True, weakref_slot=False)
class Supplier:
    """Who delivers a product, and under which number (B)."""

    uuid: str | None = attrs.field(default=None, metadata=wire("uuid"))
    supplier_sku: str | None = attrs.field(default=None, metadata=wire("supplierSku"))
    extra: dict[str, Any] = attrs.field(factory=dict, repr=False, hash=False)


@attrs.frozen(kw_only=True, weakref_slot=False)
class Product:
    """One product.

    Attributes:
        sku: Can be empty, can look like a number, and is **not unique** (A).
        product_id: The shop's own id (B).
        price: In the shop's currency; like `cost_price` and `tax_rate` a decimal that the API writes as text (B).
        weight: As the API gives it (B); the unit is not documented. So are `length`, `height` and `width`.
        picture: A URL (A), also of a placeholder: see `has_picture`.
        product_attributes: As it came; the shape of its elements is not known (B).
        extra: What the API sent and this class has no field for.
    """

    uuid: Identifier = attrs.field(metadata=wire("uuid"))
    sku: str | None = attrs.field(default=None, metadata=wire("sku"))
    name: str | None = attrs.field(default=None, metadata=wire("name"))
    type: ProductType | None = attrs.field(default=None, metadata=wire("type"))
    product_id: str | None = attrs.field(default=None, repr=False, metadata=wire("productId"))
    ean: str | None = attrs.field(default=None, repr=False, metadata=wire("ean"))
    barcode: str | None = attrs.field(default=None, repr=False, metadata=wire("barcode"))
    description: str | None = attrs.field(default=None, repr=False, metadata=wire("description"))
    internal_comment: str | None = attrs.field(default=None, repr=False, metadata=wire("internalComment"))
    price: Decimal | None = attrs.field(default=None, repr=False, metadata=wire("price"))
    cost_price: Decimal | None = attrs.field(default=None, repr=False, metadata=wire("costPrice"))
    tax_rate: Decimal | None = attrs.field(default=None, repr=False, metadata=wire("taxRate"))
    weight: Decimal | None = attrs.field(default=None, repr=False, metadata=wire("weight"))
    length: Decimal | None = attrs.field(default=None, repr=False, metadata=wire("length"))
    height: Decimal | None = attrs.field(default=None, repr=False, metadata=wire("height"))
    width: Decimal | None = attrs.field(default=None, repr=False, metadata=wire("width"))
    picture: str | None = attrs.field(default=None, repr=False, metadata=wire("picture"))
    product_attributes: Any = attrs.field(default=None, repr=False, hash=False, metadata=wire("productAttributes"))
    supplier: Supplier | None = attrs.field(default=None, repr=False, metadata=wire("supplier"))
    allow_backorders: bool | None = attrs.field(default=None, repr=False, metadata=wire("allowBackorders"))
    stock: ProductStock | None = attrs.field(default=None, repr=False, metadata=wire("stock"))
    extra: dict[str, Any] = attrs.field(factory=dict, repr=False, hash=False)

    @property
    def has_picture(self) -> bool:
        """Whether there is a picture of its own: a URL with `image_placeholder` in it means there is none (A)."""
        return bool(self.picture) and "image_placeholder" not in str(self.picture).lower()
