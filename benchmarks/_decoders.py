"""Ways from a page's bytes to its rows. Each imports its library when it is created, because each has its own process."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from typing import Any, Final, Self

from _pages import LINE, ORDER, PARCEL, PRODUCT, STOCK, SUPPLIER, camel

Json = dict[str, Any]


def _known(fields: Json, *others: str) -> frozenset[str]:
    return frozenset({*map(camel, fields), *others})


_LINE: Final = _known(LINE)
_PARCEL: Final = _known(PARCEL)
_ORDER: Final = _known(ORDER, "products", "shipments")
_STOCK: Final = _known(STOCK)
_SUPPLIER: Final = _known(SUPPLIER)
_PRODUCT: Final = _known(PRODUCT, "supplier", "stock")


def _moment(value: str | None) -> datetime | None:
    return None if value is None else datetime.fromisoformat(value)


def _decimal(value: Any) -> Decimal | None:
    return None if value is None else Decimal(value)


def _bool(value: Any) -> bool | None:
    return None if value is None else bool(value)


def _rest(data: Json, known: frozenset[str]) -> Json:
    return {key: value for key, value in data.items() if key not in known}


@dataclass(slots=True, kw_only=True)
class Line:
    product_uuid: str | None
    product_name: str | None
    sku: str | None
    product_quantity: int | None
    picked_quantity: int | None
    product_price: Decimal | None
    type: str | None
    additional_properties: Json = field(default_factory=dict)

    @classmethod
    def from_dict(cls, data: Json) -> Self:
        return cls(
            product_uuid=data.get("productUuid"),
            product_name=data.get("productName"),
            sku=data.get("sku"),
            product_quantity=data.get("productQuantity"),
            picked_quantity=data.get("pickedQuantity"),
            product_price=_decimal(data.get("productPrice")),
            type=data.get("type"),
            additional_properties=_rest(data, _LINE),
        )


@dataclass(slots=True, kw_only=True)
class Parcel:
    track_trace_code: str | None
    track_trace_url: str | None
    create_date: datetime | None
    additional_properties: Json = field(default_factory=dict)

    @classmethod
    def from_dict(cls, data: Json) -> Self:
        return cls(
            track_trace_code=data.get("trackTraceCode"),
            track_trace_url=data.get("trackTraceUrl"),
            create_date=_moment(data.get("createDate")),
            additional_properties=_rest(data, _PARCEL),
        )


@dataclass(slots=True, kw_only=True)
class OrderRow:
    uuid: str
    external_display_id: str | None
    order_number: str | None
    order_id: str | None
    status: str | None
    create_date: datetime | None
    finish_date: datetime | None
    shipped_date: datetime | None
    total_paid: Decimal | None
    payment_method: str | None
    shipping_method: str | None
    customer_note: str | None
    intern_comment: str | None
    webshop_name: str | None
    attention_needed: bool | None
    tags: list[str]
    billing_first_name: str | None
    billing_last_name: str | None
    billing_company: str | None
    billing_address: str | None
    billing_address2: str | None
    billing_house_number: str | None
    billing_housenumber_addition: str | None
    billing_zipcode: str | None
    billing_city: str | None
    billing_country: str | None
    billing_email: str | None
    billing_phone: str | None
    shipping_first_name: str | None
    shipping_last_name: str | None
    shipping_company: str | None
    shipping_address: str | None
    shipping_address2: str | None
    shipping_house_number: str | None
    shipping_housenumber_addition: str | None
    shipping_zipcode: str | None
    shipping_city: str | None
    shipping_country: str | None
    shipping_email: str | None
    shipping_phone: str | None
    products: list[Line]
    shipments: list[Parcel]
    additional_properties: Json = field(default_factory=dict)

    @classmethod
    def from_dict(cls, data: Json) -> Self:
        return cls(
            uuid=data["uuid"],
            external_display_id=data.get("externalDisplayId"),
            order_number=data.get("orderNumber"),
            order_id=data.get("orderId"),
            status=data.get("status"),
            create_date=_moment(data.get("createDate")),
            finish_date=_moment(data.get("finishDate")),
            shipped_date=_moment(data.get("shippedDate")),
            total_paid=_decimal(data.get("totalPaid") or None),
            payment_method=data.get("paymentMethod"),
            shipping_method=data.get("shippingMethod"),
            customer_note=data.get("customerNote"),
            intern_comment=data.get("internComment"),
            webshop_name=data.get("webshopName"),
            attention_needed=_bool(data.get("attentionNeeded")),
            tags=data.get("tags") or [],
            billing_first_name=data.get("billingFirstName"),
            billing_last_name=data.get("billingLastName"),
            billing_company=data.get("billingCompany"),
            billing_address=data.get("billingAddress"),
            billing_address2=data.get("billingAddress2"),
            billing_house_number=data.get("billingHouseNumber"),
            billing_housenumber_addition=data.get("billingHousenumberAddition"),
            billing_zipcode=data.get("billingZipcode"),
            billing_city=data.get("billingCity"),
            billing_country=data.get("billingCountry"),
            billing_email=data.get("billingEmail"),
            billing_phone=data.get("billingPhone"),
            shipping_first_name=data.get("shippingFirstName"),
            shipping_last_name=data.get("shippingLastName"),
            shipping_company=data.get("shippingCompany"),
            shipping_address=data.get("shippingAddress"),
            shipping_address2=data.get("shippingAddress2"),
            shipping_house_number=data.get("shippingHouseNumber"),
            shipping_housenumber_addition=data.get("shippingHousenumberAddition"),
            shipping_zipcode=data.get("shippingZipcode"),
            shipping_city=data.get("shippingCity"),
            shipping_country=data.get("shippingCountry"),
            shipping_email=data.get("shippingEmail"),
            shipping_phone=data.get("shippingPhone"),
            products=[Line.from_dict(line) for line in data.get("products") or []],
            shipments=[Parcel.from_dict(parcel) for parcel in data.get("shipments") or []],
            additional_properties=_rest(data, _ORDER),
        )


@dataclass(slots=True, kw_only=True)
class Stock:
    free_stock: int | None
    total_stock: int | None
    reserved_stock: int | None
    unlimited_stock: bool | None
    minimal_stock: int | None
    fill_stock_to: int | None
    additional_properties: Json = field(default_factory=dict)

    @classmethod
    def from_dict(cls, data: Json) -> Self:
        return cls(
            free_stock=data.get("freeStock"),
            total_stock=data.get("totalStock"),
            reserved_stock=data.get("reservedStock"),
            unlimited_stock=_bool(data.get("unlimitedStock")),
            minimal_stock=data.get("minimalStock"),
            fill_stock_to=data.get("fillStockTo"),
            additional_properties=_rest(data, _STOCK),
        )


@dataclass(slots=True, kw_only=True)
class SupplierRow:
    uuid: str | None
    supplier_sku: str | None
    additional_properties: Json = field(default_factory=dict)

    @classmethod
    def from_dict(cls, data: Json) -> Self:
        return cls(
            uuid=data.get("uuid"),
            supplier_sku=data.get("supplierSku"),
            additional_properties=_rest(data, _SUPPLIER),
        )


@dataclass(slots=True, kw_only=True)
class ProductRow:
    uuid: str
    sku: str | None
    name: str | None
    product_id: str | None
    ean: str | None
    barcode: str | None
    description: str | None
    internal_comment: str | None
    price: Decimal | None
    cost_price: Decimal | None
    tax_rate: Decimal | None
    weight: Decimal | None
    length: Decimal | None
    height: Decimal | None
    width: Decimal | None
    picture: str | None
    product_attributes: list[Any] | None
    supplier: SupplierRow | None
    allow_backorders: bool | None
    type: str | None
    stock: Stock | None
    additional_properties: Json = field(default_factory=dict)

    @classmethod
    def from_dict(cls, data: Json) -> Self:
        supplier, stock = data.get("supplier"), data.get("stock")
        return cls(
            uuid=data["uuid"],
            sku=data.get("sku"),
            name=data.get("name"),
            product_id=data.get("productId"),
            ean=data.get("ean"),
            barcode=data.get("barcode"),
            description=data.get("description"),
            internal_comment=data.get("internalComment"),
            price=_decimal(data.get("price")),
            cost_price=_decimal(data.get("costPrice")),
            tax_rate=_decimal(data.get("taxRate")),
            weight=_decimal(data.get("weight")),
            length=_decimal(data.get("length")),
            height=_decimal(data.get("height")),
            width=_decimal(data.get("width")),
            picture=data.get("picture"),
            product_attributes=data.get("productAttributes"),
            supplier=None if supplier is None else SupplierRow.from_dict(supplier),
            allow_backorders=_bool(data.get("allowBackorders")),
            type=data.get("type"),
            stock=None if stock is None else Stock.from_dict(stock),
            additional_properties=_rest(data, _PRODUCT),
        )


# ruff: noqa: PLC0415  a contender's library must not be in the process of another

Decode = Callable[[bytes], Any]
Make = Callable[[str], Decode]


def _ours(kind: str) -> Decode:
    """As a list reads its pages."""
    from goedgepickt_async.convert import decode_rows, parse
    from goedgepickt_async.models import Order, Product

    cls: type[Any] = {"orders": Order, "products": Product}[kind]
    return lambda body: decode_rows(parse(body)["items"], cls)


def _pydantic(extra: str) -> Make:
    """`alias_generator=to_camel`, optional fields, `model_validate_json` of the whole page: pydantic's fast way."""

    def make(kind: str) -> Decode:
        from pydantic import BaseModel, ConfigDict, create_model
        from pydantic.alias_generators import to_camel

        class Base(BaseModel):
            model_config = ConfigDict(alias_generator=to_camel, extra=extra)  # type: ignore[typeddict-item]  # by name

        def model(title: str, fields: dict[str, Any]) -> Any:
            optional: Any = {name: (tp | None, None) for name, tp in fields.items()}
            return create_model(title, __base__=Base, **optional)

        rows: Any = list[_row(kind, model)]  # type: ignore[misc]
        page = create_model("Page", __base__=Base, items=(rows, ...))
        return page.model_validate_json

    return make


def _msgspec(kind: str) -> Decode:
    """Structs with `rename="camel"` and one decoder for the page; 0 and 1 are no booleans to it, so they stay numbers."""
    import msgspec

    def struct(title: str, fields: dict[str, Any]) -> Any:
        lenient = {name: bool | int if tp is bool else tp for name, tp in fields.items()}
        return msgspec.defstruct(title, [(name, tp | None, None) for name, tp in lenient.items()], rename="camel")

    page = msgspec.defstruct("Page", [("items", list[_row(kind, struct)])])  # type: ignore[misc]
    return msgspec.json.Decoder(page).decode


def _from_dict(kind: str) -> Decode:
    """Dataclasses with a `from_dict`, above orjson."""
    import orjson
    from _decoders import OrderRow, ProductRow

    read: Callable[[Any], Any] = {"orders": OrderRow.from_dict, "products": ProductRow.from_dict}[kind]
    return lambda body: [read(row) for row in orjson.loads(body)["items"]]


def _cattrs(kind: str) -> Decode:
    """attrs classes, renamed as cattrs' documentation shows, and the two necessary hooks."""
    from datetime import datetime
    from decimal import Decimal

    import attrs
    import orjson
    from cattrs import Converter
    from cattrs.gen import make_dict_structure_fn, override

    converter = Converter()
    converter.register_structure_hook(datetime, lambda value, _: datetime.fromisoformat(value))
    converter.register_structure_hook(Decimal, lambda value, _: Decimal(value))

    def renamed(cls: type[Any]) -> Any:
        names: Any = {field.name: override(rename=camel(field.name)) for field in attrs.fields(cls)}
        return make_dict_structure_fn(cls, converter, **names)

    converter.register_structure_hook_factory(attrs.has, renamed)

    def classes(title: str, fields: dict[str, Any]) -> Any:
        optional = {name: attrs.field(default=None, type=tp | None) for name, tp in fields.items()}
        return attrs.make_class(title, optional)

    rows: Any = list[_row(kind, classes)]  # type: ignore[misc]
    return lambda body: converter.structure(orjson.loads(body)["items"], rows)


def _row(kind: str, make: Callable[[str, dict[str, Any]], Any]) -> Any:
    """The class of a row and those below it, made by a contender's own function."""
    if kind == "orders":
        parts = {"products": list[make("Line", LINE)], "shipments": list[make("Parcel", PARCEL)]}  # type: ignore[misc]
        return make("Order", ORDER | parts)
    return make("Product", PRODUCT | {"supplier": make("Supplier", SUPPLIER), "stock": make("Stock", STOCK)})


OURS: Final = "ours"
DECODERS: Final[dict[str, Make]] = {
    OURS: _ours,
    'pydantic v2, `extra="allow"`': _pydantic("allow"),
    'pydantic v2, `extra="ignore"`': _pydantic("ignore"),
    "msgspec": _msgspec,
    "hand-written `from_dict`": _from_dict,
    "cattrs as documented": _cattrs,
}
KEEPS: Final = {OURS, 'pydantic v2, `extra="allow"`', "hand-written `from_dict`"}
"""Contenders that keep unknown keys."""
CHECKS: Final = {OURS, 'pydantic v2, `extra="allow"`', 'pydantic v2, `extra="ignore"`', "msgspec"}
"""Contenders that refuse a value of another type, or convert it where its meaning is clear."""
