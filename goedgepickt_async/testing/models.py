"""Models and webhook deliveries for tests, with invented, complete and constant data, in Python and in the API's form."""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any, Final, TypeVar

import attrs

from goedgepickt_async import models
from goedgepickt_async.convert import decode
from goedgepickt_async.models import (
    Address,
    LineType,
    LinkedOrder,
    OpenEnum,
    Order,
    OrderLine,
    OrderShipment,
    OrderStatus,
    PickLocation,
    Product,
    ProductStock,
    ProductType,
    Secret,
    Shipment,
    ShipmentStatus,
    StockLocation,
    Supplier,
    Webhook,
    WebhookEvent,
    Webshop,
)
from goedgepickt_async.models.base import FieldInfo, field_info
from goedgepickt_async.sandbox.deliveries import php_json
from goedgepickt_async.webhooks import (
    CompoundProductStockUpdated,
    Event,
    OrderStatusChanged,
    StockUpdated,
    UnknownEvent,
    sign,
)

__all__ = [
    "SignedDelivery",
    "address",
    "changed",
    "compound_product_stock_updated",
    "identifier",
    "order",
    "order_line",
    "order_shipment",
    "order_status_changed",
    "pick_location",
    "product",
    "shipment",
    "signed_delivery",
    "stock_location",
    "stock_updated",
    "to_wire",
    "webhook",
    "webshop",
    "without_personal_data",
]

T = TypeVar("T")


def to_wire(model: Any) -> dict[str, Any]:
    """Return a model in the API's form, as values for `json.dumps`.

    Decimals are texts, as the API writes money; instants carry their offset; what is in `extra` is at the top level.

    Args:
        model: An `Order`, a `Product`, a `Shipment`, or another attrs class of this package that is read.

    Returns:
        A new dict with the API's names. Reading it returns an equal model.

    Raises:
        TypeError: The object is not a model that the API sends.
    """
    if not attrs.has(type(model)):
        raise TypeError(f"{type(model).__name__} is no model")
    body: dict[str, Any] = {}
    for name, wire in _wires(type(model)).items():
        body |= _written(wire, getattr(model, name))
    return body | getattr(model, "extra", {})


def without_personal_data(data: Any) -> Any:
    """An answer or a request body, such as a recording keeps: its shape stays, and personal texts become `***`.

    A text stays where its key is known to hold nothing personal, such as `status`, `sku` or `createDate`. All other texts
    are replaced, also under unknown keys and in webhook secrets. Numbers and booleans stay.

    Args:
        data: JSON values with the API's names.

    Returns:
        A copy.
    """
    if isinstance(data, dict):
        return {
            key: "***" if isinstance(value, str) and value and key not in _HARMLESS else without_personal_data(value)
            for key, value in data.items()
        }
    return [without_personal_data(part) for part in data] if isinstance(data, list) else data


def _harmless() -> frozenset[str]:
    """The wire names of fields that hold nothing personal and no secret, in any model."""
    kept: set[str] = set()
    dropped = {"webhookSecret", "targetUrl", "message", "tags"}
    for cls in (getattr(models, name) for name in models.__all__):
        wires = _wires(cls).values() if attrs.has(cls) and cls is not Address else ()
        for wire in wires:
            (dropped if wire.personal or wire.is_flat else kept).update({wire.name, wire.sent, *wire.aliases})
    return frozenset(kept - dropped)


def changed(model: T, changes: Mapping[str, Any]) -> T:
    """Return a model with replaced fields. The result is checked like a response, so it is always valid.

    Args:
        model: A model that is read.
        changes: Field names and values, in the field's type or as JSON. For a field that holds a model, a mapping changes
            that model. `extra` has the unknown keys.

    Raises:
        TypeError: The field does not exist.
        DecodeError: The API cannot send this value.
    """
    cls = type(model)
    wires = _wires(cls)
    unknown = sorted(changes.keys() - wires.keys() - {"extra"})
    if unknown:
        raise TypeError(f"{cls.__name__} has no {', '.join(unknown)}; it has {', '.join(sorted(wires))}")
    body = to_wire(model)
    for name in wires.keys() & changes.keys():
        present, value = getattr(model, name), changes[name]
        if isinstance(value, Mapping) and attrs.has(type(present)):
            value = changed(present, value)
        body |= _written(wires[name], value)
    return decode(body | changes.get("extra", {}), cls)


def _wires(cls: Any) -> dict[str, FieldInfo]:
    found = {field.name: field_info(field.metadata) for field in attrs.fields(cls)}
    return {name: wire for name, wire in found.items() if wire is not None}


def _written(wire: FieldInfo, value: Any) -> dict[str, Any]:
    if not wire.is_flat:
        return {wire.name: _json(value)}
    return {wire.name + key: part for key, part in to_wire(value).items()}


def _json(value: Any) -> Any:
    match value:
        case Decimal():
            return format(value, "f")
        case datetime():
            return value.isoformat()
        case OpenEnum():
            return value.value
        case Secret():
            return value.reveal()
        case tuple() | list():
            return [_json(part) for part in value]
    return to_wire(value) if attrs.has(type(value)) else value


_HARMLESS: Final = _harmless()
_ALL: Final = uuid.UUID("6b1f5d0e-64a3-4b57-9d0e-2f1c0a7be001")
_FIRST_DAY: Final = datetime(2026, 11, 2, 8, 30, tzinfo=UTC)
_PEOPLE: Final = (("Sanne", "Voorbeeld"), ("Daan", "Proef"), ("Lotte", "Verzonnen"), ("Bram", "Toets"))
_PLACES: Final = (("Dorpsstraat", "1234 AB", "Ergenshuizen"), ("Kade", "5678 CD", "Nergensdam"))


def identifier(kind: str, number: int) -> str:
    """The uuid of the thing of a kind (`"order"`, `"product"`, …) and number."""
    return str(uuid.uuid5(_ALL, f"{kind} {number}"))


def address(number: int = 1, /, **fields: Any) -> Address:
    """Return an invented address."""
    first, last = _PEOPLE[number % len(_PEOPLE)]
    street, zipcode, city = _PLACES[number % len(_PLACES)]
    made = Address(
        first_name=first,
        last_name=last,
        address=street,
        house_number=str(number),
        zipcode=zipcode,
        city=city,
        country="NL",
        email=f"{first.lower()}{number}@example.test",
        phone="+31000000000",
    )
    return changed(made, fields)


def order_line(number: int = 1, /, **fields: Any) -> OrderLine:
    """A line of an order, with one piece of the product of that number."""
    made = OrderLine(
        product_uuid=identifier("product", number),
        product_name=_product_name(number),
        sku=_sku(number),
        quantity=1,
        picked_quantity=0,
        price=_price(number),
        type=LineType.NORMAL,
    )
    return changed(made, fields)


def order_shipment(number: int = 1, /, **fields: Any) -> OrderShipment:
    """A parcel of an order, as the order shows it."""
    made = OrderShipment(
        track_trace_code=_code(number),
        track_trace_url=f"https://track.example.test/{_code(number)}",
        created_at=_day(number) + timedelta(hours=5),
    )
    return changed(made, fields)


def order(number: int = 1, /, **fields: Any) -> Order:
    """An order of one line, ready for picking.

    Args:
        number: The number, which selects the data.
        fields: Fields of `Order`. `billing` and `shipping` take a mapping that changes the address; `lines` and
            `shipments` take models, or mappings that change lines of `order_line`: `lines=[{"quantity": 3}]`.

    Raises:
        TypeError: The field does not exist.
        DecodeError: The API cannot send a value.
    """
    fields = _with_models(fields, lines=order_line, shipments=order_shipment)
    made = Order(
        uuid=identifier("order", number),
        display_id=f"#{1000 + number}",
        order_number=str(1000 + number),
        order_id=f"shop-{number}",
        status=OrderStatus.READY_FOR_PICKING,
        created_at=_day(number),
        total_paid=_price(1),
        payment_method="ideal",
        shipping_method="Standaard",
        webshop_name="Webshop 1",
        attention_needed=False,
        billing=address(number),
        shipping=address(number),
        lines=(order_line(1),),
    )
    return changed(made, fields)


def product(number: int = 1, /, **fields: Any) -> Product:
    """A product with ten pieces, two of them reserved.

    Args:
        number: The number, which selects the data.
        fields: Fields of `Product`. `stock` and `supplier` take a mapping that changes them: `stock={"free_stock": 0}`.

    Raises:
        TypeError: The field does not exist.
        DecodeError: The API cannot send a value.
    """
    made = Product(
        uuid=identifier("product", number),
        sku=_sku(number),
        name=_product_name(number),
        type=ProductType.NORMAL,
        product_id=f"shop-{number}",
        price=_price(number),
        cost_price=_price(number) / 2,
        tax_rate=Decimal(21),
        weight=Decimal(250),
        picture=f"https://shop.example.test/{number}.jpg",
        product_attributes=[],
        supplier=Supplier(uuid=identifier("supplier", 1), supplier_sku=f"LEV-{number}"),
        allow_backorders=True,
        stock=ProductStock(
            free_stock=8, total_stock=10, reserved_stock=2, unlimited_stock=False, minimal_stock=0, fill_stock_to=0
        ),
    )
    return changed(made, fields)


def shipment(number: int = 1, /, **fields: Any) -> Shipment:
    """A shipment on its way, of the order of that number."""
    recipient = address(number)
    made = Shipment(
        uuid=identifier("shipment", number),
        status=ShipmentStatus.IN_TRANSIT,
        created_at=_day(number) + timedelta(hours=5),
        shipping_method="Standaard",
        track_trace_code=_code(number),
        track_trace_url=f"https://track.example.test/{_code(number)}",
        reference_text=f"#{1000 + number}",
        shipping_first_name=recipient.first_name,
        shipping_last_name=recipient.last_name,
        shipping_city=recipient.city,
        linked_order=LinkedOrder(uuid=identifier("order", number)),
    )
    return changed(made, fields)


def webshop(number: int = 1, /, **fields: Any) -> Webshop:
    """A webshop."""
    made = Webshop(
        uuid=identifier("webshop", number),
        name=f"Webshop {number}",
        url=f"https://shop{number}.example.test",
        platform="custom",
    )
    return changed(made, fields)


def pick_location(number: int = 1, /, **fields: Any) -> PickLocation:
    """A place in the warehouse."""
    return changed(PickLocation(uuid=identifier("pick location", number), name=f"A-{number:02d}"), fields)


def stock_location(number: int = 1, /, **fields: Any) -> StockLocation:
    """Ten pieces of a product in the pick location of that number."""
    made = StockLocation(
        pick_location_uuid=identifier("pick location", number),
        pick_location_name=f"A-{number:02d}",
        quantity=10,
        priority=1,
    )
    return changed(made, fields)


def webhook(number: int = 1, /, **fields: Any) -> Webhook:
    """A subscription to changes of stock; its secret is `"secret-1"` for the first, and so on."""
    made = Webhook(
        uuid=identifier("webhook", number),
        event=WebhookEvent.PRODUCT_STOCK_CHANGED,
        secret=Secret(f"secret-{number}"),
        target_url=f"https://shop{number}.example.test/webhooks",
        webshop_name=f"Webshop {number}",
        webshop_uuid=identifier("webshop", number),
    )
    return changed(made, fields)


def _with_models(fields: Mapping[str, Any], **factories: Any) -> dict[str, Any]:
    """The fields, with models in the place of mappings in lists."""
    made = dict(fields)
    for name in factories.keys() & fields.keys():
        if isinstance(fields[name], Iterable):
            made[name] = [
                factories[name](place, **row) if isinstance(row, Mapping) else row
                for place, row in enumerate(fields[name], 1)
            ]
    return made


def _day(number: int) -> datetime:
    return _FIRST_DAY + timedelta(minutes=number)


def _sku(number: int) -> str:
    return f"SKU-{number:04d}"


def _code(number: int) -> str:
    return f"3SZZ{number:09d}"


def _price(number: int) -> Decimal:
    return Decimal(1000 + 250 * (number % 40)) / 100


def _product_name(number: int) -> str:
    return f"Artikel {number}"


# -- webhook deliveries -------------------------------------------------------------------------------------------------


@attrs.frozen(kw_only=True)
class SignedDelivery:
    """A signed delivery.

    Attributes:
        body: The bytes that are signed.
        headers: The content type, and the signature (A).
    """

    body: bytes
    headers: dict[str, str]

    @property
    def signature(self) -> str:
        """The value of the header `Signature`."""
        return self.headers["Signature"]


def signed_delivery(event: Event | Mapping[str, Any] | bytes, secret: str | Secret) -> SignedDelivery:
    """A delivery of an event, signed with a subscription's secret.

    Args:
        event: An event of `goedgepickt_async.webhooks`, the whole JSON, or bytes (valid or not).
        secret: The secret. A secret that differs from the receiver's makes a forged delivery.

    Raises:
        ConfigurationError: The secret is empty.
    """
    body = event if isinstance(event, bytes) else php_json(_payload(event) if isinstance(event, Event) else event)
    return SignedDelivery(body=body, headers={"Content-Type": "application/json", "Signature": sign(body, secret)})


def order_status_changed(number: int = 1, /, **fields: Any) -> OrderStatusChanged:
    """The order with this number (see `order`) is completed."""
    made = OrderStatusChanged(
        order_uuid=identifier("order", number), order_number=f"shop-{number}", new_status=OrderStatus.COMPLETED
    )
    return changed(made, fields)


def stock_updated(number: int = 1, /, **fields: Any) -> StockUpdated:
    """The product with this number (see `product`) has eight pieces left."""
    made = StockUpdated(product_uuid=identifier("product", number), product_sku=_sku(number), new_stock=8)
    return changed(made, fields)


def compound_product_stock_updated(number: int = 1, /, **fields: Any) -> CompoundProductStockUpdated:
    """The same event for a product that consists of other products."""
    made = CompoundProductStockUpdated(
        product_uuid=identifier("product", number), product_sku=_sku(number), new_stock=8
    )
    return changed(made, fields)


def _payload(event: Event) -> Any:
    if isinstance(event, UnknownEvent):
        return event.data
    payload = {"event": event.wire_name, **to_wire(event)}
    if payload.get("newStock") is not None:
        payload["newStock"] = str(payload["newStock"])  # the service writes it as text (A)
    return payload
