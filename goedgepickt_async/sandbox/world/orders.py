"""Generated orders and their shipments: few columns that lists filter on, and whole rows when they are read."""

from __future__ import annotations

import random
from array import array
from bisect import bisect_left
from collections.abc import Iterator
from functools import cached_property, lru_cache
from typing import Any, Final

from goedgepickt_async.sandbox.world.products import RESERVING, ProductMaker, euros
from goedgepickt_async.sandbox.world.table import (
    CARRIERS,
    CITIES,
    COMPANIES,
    FIRST_NAMES,
    LAST_NAMES,
    NOTES,
    PAYMENTS,
    SECOND_LINES,
    STREETS,
    TAGS,
    Calendar,
    Row,
    SeededIds,
    WorldSettings,
    write_moment,
)

STATUSES: Final = (
    "open",
    "ready_for_picking",
    "backorder",
    "on_hold",
    "completed",
    "cancelled",
    "awaiting_prescription",
)
"""Every status of a generated order; the last one is on no list of known ones."""

_UNKNOWN: Final = len(STATUSES) - 1
_READY: Final = STATUSES.index("ready_for_picking")
_COMPLETED: Final = STATUSES.index("completed")
# How one random byte becomes a status: long ago nearly all is done, of late all is in motion.
_OLD: Final = bytes([_COMPLETED] * 244 + [5] * 12)
_RECENT: Final = bytes([0] * 30 + [_READY] * 130 + [3] * 20 + [_COMPLETED] * 64 + [5] * 12)
_RECENT_SHARE: Final = 0.3
_RECENT_AT_MOST: Final = 20_000
"""Orders that are in progress at most, also in a large account."""
_NULLABLE: Final = ("LastName", "Address", "HouseNumber", "Zipcode", "City", "Country", "Email", "Phone")


class OrderMaker:
    """Makes order `index` from the seed. Status and webshop are one byte each; the rest is made when asked for."""

    def __init__(self, settings: WorldSettings, identity: SeededIds, products: ProductMaker) -> None:
        self._settings = settings
        self._identity = identity
        self._products = products
        self._odd = settings.oddities
        self._end = settings.end
        self._calendar = Calendar(self._end, settings.orders)
        self._statuses = self._draw_statuses()
        self._product = lru_cache(1024)(self._make_product)
        self._by_status: dict[str, array[int]] = {}
        shop_of_byte = bytes(byte % settings.webshops for byte in range(256))
        self._webshops = random.Random(settings.seed + 1).randbytes(settings.orders).translate(shop_of_byte)  # noqa: S311 - play data

    def _draw_statuses(self) -> bytearray:
        count = self._settings.orders
        recent = count - min(count - int(count * (1 - _RECENT_SHARE)), _RECENT_AT_MOST)
        raw = random.Random(self._settings.seed).randbytes(count)  # noqa: S311 - play data
        statuses = bytearray(raw[:recent].translate(_OLD) + raw[recent:].translate(_RECENT))
        if self._odd:
            places = range(36, count, 37)
            statuses[36::37] = bytes([_UNKNOWN]) * len(places)
        return statuses

    def status(self, index: int) -> str:
        return STATUSES[self._statuses[index]]

    def webshop(self, index: int) -> int:
        return self._webshops[index]

    def created(self, index: int) -> int:
        """Return the Unix second of its creation; it grows with the index."""
        return self._calendar.moment(index)

    def reserving(self) -> list[int]:
        """Return the orders that have stock reserved, oldest first."""
        codes = {STATUSES.index(name) for name in RESERVING}
        return [index for index, code in enumerate(self._statuses) if code in codes]

    def settle(self, index: int, status: str) -> None:
        """Give a generated order the status that its stock allows, before it is first read."""
        self._statuses[index] = STATUSES.index(status)

    def finished(self, index: int) -> int:
        """Return the Unix second at which a completed order left: a day later, or sooner near the end of history."""
        created = self.created(index)
        return created + min(86_400, (self._end - created) // 2)

    def needs(self, index: int) -> dict[int, int]:
        """Return the pieces that an order needs, by product: the sum of its lines without the headers of bundles."""
        needs: dict[int, int] = {}
        draw = self._identity.draw("order", index)
        for place, (product, quantity, kind) in enumerate(self._items(draw)):
            if kind != "parent" and not (place == 0 and self._begins_with_unknown(index)):
                needs[product] = needs.get(product, 0) + quantity
        return needs

    def _items(self, draw: bytes) -> Iterator[tuple[int, int, str]]:
        """Yield product, quantity and type of each line: the part of a bundle follows its header."""
        count = self._settings.products
        for step in range(1 + draw[0] % 4 if count else 0):
            product = int.from_bytes(draw[40 + 2 * step : 42 + 2 * step]) % count
            quantity = 1 + draw[50 + step] % 3
            if self._products.type(product) != "parent":
                yield product, quantity, "normal"
                continue
            yield product, quantity, "parent"
            part = self._products.part(product)
            if part is not None:
                yield part, quantity * 2, "child"

    def _begins_with_unknown(self, index: int) -> bool:
        """Whether the first line has no product, in an odd world."""
        return self._odd and index % 23 == 5

    @cached_property
    def completed(self) -> array[int]:
        """The indices of the orders that are generated as completed, four bytes each."""
        return array("I", (index for index, status in enumerate(self._statuses) if status == _COMPLETED))

    def status_counts(self) -> dict[str, int]:
        """How many orders are generated with each status."""
        return {name: self._statuses.count(code) for code, name in enumerate(STATUSES)}

    def with_status(self, status: str) -> array[int]:
        """Return the orders that are generated with a status; do not change the answer."""
        if status not in self._by_status:
            code = STATUSES.index(status) if status in STATUSES else -1
            self._by_status[status] = array("I", (index for index, other in enumerate(self._statuses) if other == code))
        return self._by_status[status]

    def order_id(self, index: int) -> str:
        """Return the id that the webshop gave it."""
        return str(10_000 + index)

    def display_id(self, index: int) -> str:
        """Return the id that people see; in an odd world it may start with a #."""
        return f"#{self.order_id(index)}" if self._odd and index % 3 == 0 else self.order_id(index)

    def with_number(self, number: str) -> list[int]:
        """Return the index of the order that has this text as its id or display id; at most one is generated."""
        digits = number.removeprefix("#")
        if not (digits.isascii() and digits.isdigit() and len(digits) < 12):
            return []
        index = int(digits) - 10_000
        return [index] if 0 <= index < self._settings.orders else []

    def row(self, index: int) -> Row:
        """Return the order as the API serves it, without webshop and shipments."""
        status = self.status(index)
        finished = self.finished(index) if status == "completed" else None
        row = self.invent(index, status, self.created(index), finished)
        return self._odd_row(index, row) if self._odd else row

    def invent(self, index: int, status: str, created: int, finished: int | None = None) -> Row:
        """Return an order of any number, tidy, with the status and the dates that are given."""
        draw = self._identity.draw("order", index)
        lines = self._lines(index, draw, picked=status == "completed")
        done = None if finished is None else write_moment(finished)
        return {
            "uuid": self._identity.uuid("order", index),
            "externalDisplayId": self.display_id(index),
            "orderNumber": self.order_id(index),
            "orderId": self.order_id(index),
            "status": status,
            "createDate": write_moment(created),
            "finishDate": done,
            "shippedDate": done,
            "totalPaid": _total(lines),
            "paymentMethod": PAYMENTS[draw[1] % len(PAYMENTS)],
            "shippingMethod": CARRIERS[draw[2] % len(CARRIERS)],
            "customerNote": NOTES[draw[3] % len(NOTES)] if draw[3] % 6 == 0 else None,
            "internComment": None,
            "attentionNeeded": draw[4] % 16 == 0,
            "tags": [TAGS[draw[5] % len(TAGS)]] if draw[5] % 4 == 0 else [],
            **_address("billing", draw[16:26], index, odd=self._odd),
            **_address("shipping", draw[16:26] if draw[6] % 4 else draw[26:36], index, odd=self._odd),
            "products": lines,
        }

    def _odd_row(self, index: int, row: Row) -> Row:
        row["attentionNeeded"] = (0, 1, "1", False, True)[index % 5]
        if index % 7 == 2:
            row["totalPaid"] = "" if index % 14 == 2 else None
        if index % 5 == 4:
            del row["orderNumber"], row["orderId"]
        if index % 8 == 3:
            row["fulfilmentHints"] = {"box": "M", "weightGrams": 1200}
            row["isGift"] = 1
        if index % 10 == 6:
            row["paymentMethod"] = None
        if index % 47 == 22:
            row["shippingMethod"] = None
        if index % 43 == 18:
            row["internComment"] = NOTES[index % len(NOTES)]
        if index % 41 == 20:
            row["finishDate"] = None
        if index % 31 == 8:
            row["shippedDate"] = None
        _make_addresses_odd(index, row)
        return row

    def _lines(self, index: int, draw: bytes, *, picked: bool) -> list[Row]:
        lines = [self._line(index, *item, picked=picked) for item in self._items(draw)]
        if lines and self._begins_with_unknown(index):
            lines[0]["productUuid"] = None
        return lines

    def _line(self, index: int, number: int, quantity: int, kind: str, *, picked: bool) -> Row:
        cents = 0 if kind == "child" else self._products.cents(number)
        return {
            **self._product(number),
            "productQuantity": quantity,
            "pickedQuantity": quantity if picked else 0,
            "productPrice": cents / 100 if self._odd and index % 2 and cents % 100 else euros(cents),
            "type": kind,
        }

    def _make_product(self, number: int) -> Row:
        return {
            "productUuid": self._identity.uuid("product", number),
            "productName": self._products.name(number),
            "sku": self._products.sku(number),
        }


def _total(lines: list[Row]) -> str:
    cents = sum(round(float(line["productPrice"]) * 100) * int(line["productQuantity"]) for line in lines)
    return euros(cents)


def _address(side: str, draw: bytes, index: int, *, odd: bool) -> Row:
    city, country = CITIES[draw[3] % len(CITIES)]
    return {
        f"{side}FirstName": None if odd and index % 9 == 7 else FIRST_NAMES[draw[0] % len(FIRST_NAMES)],
        f"{side}LastName": LAST_NAMES[draw[1] % len(LAST_NAMES)],
        f"{side}Company": COMPANIES[draw[2] % len(COMPANIES)] if draw[2] % 4 == 0 else None,
        f"{side}Address": STREETS[draw[4] % len(STREETS)],
        f"{side}Address2": None,
        f"{side}HouseNumber": str(1 + draw[5]),
        f"{side}HousenumberAddition": "ABC-"[draw[6] % 4] if draw[6] % 3 == 0 else None,
        f"{side}Zipcode": f"{1000 + draw[7] * 30} {chr(65 + draw[8] % 26)}{chr(65 + draw[9] % 26)}",
        f"{side}City": city,
        f"{side}Country": country,
        f"{side}Email": f"klant{index}@example.test",
        f"{side}Phone": f"+310000{index % 100_000:05d}",
    }


def _make_addresses_odd(index: int, row: Row) -> None:
    for side, place in (("billing", index % 59), ("shipping", (index + 29) % 59)):
        if place < len(_NULLABLE):
            row[f"{side}{_NULLABLE[place]}"] = None
        if place == len(_NULLABLE):
            row[f"{side}Address2"] = SECOND_LINES[index % len(SECOND_LINES)]


_STATUSES = (
    "delivered", "delivered", "delivered_at_recipient", "shipped", "in_transit", "out_for_delivery", "registered",
    "pending", "pending_registered", "returned", "problem", "no_update_supported",
)  # fmt: skip
_TRAVEL = 90_000
"""Seconds from a shipment's creation to its delivery."""


class ShipmentMaker:
    """Makes shipment `index` from the seed; shipments follow their orders in time."""

    def __init__(self, settings: WorldSettings, identity: SeededIds, orders: OrderMaker) -> None:
        self._identity = identity
        self._orders = orders
        self._odd = settings.oddities
        completed = orders.status_counts()["completed"]
        self.count: int = completed if settings.shipments is None else settings.shipments
        self._completed = completed
        self._end = settings.end
        self._calendar = Calendar(settings.end, self.count)

    def order(self, index: int) -> int | None:
        """Return the index of the order that it belongs to, or None if no order was ever completed."""
        if not self._completed:
            return None
        return self._orders.completed[index * self._completed // self.count]

    def of_order(self, order: int) -> range:
        """Return the indices of an order's shipments."""
        if not self._completed or not self.count:
            return range(0)
        rank = bisect_left(self._orders.completed, order)
        if rank == self._completed or self._orders.completed[rank] != order:
            return range(0)
        return range(-(-rank * self.count // self._completed), -(-(rank + 1) * self.count // self._completed))

    def created(self, index: int) -> int:
        """Return the Unix second of its creation; it never falls with the index."""
        order = self.order(index)
        if order is None:
            return self._calendar.moment(index)
        # A second for each parcel before it of the same order: shipments never change places.
        return max(self._orders.created(order), self._orders.finished(order) - 400) + index - self.of_order(order).start

    def status(self, index: int) -> str:
        """Return its status; in an odd world sometimes empty or one that is on no list."""
        if self._odd and index % 29 == 5:
            return ""
        if self._odd and index % 31 == 9:
            return "held_by_customs"
        status = _STATUSES[self._identity.draw("shipment", index)[0] % len(_STATUSES)]
        if status.startswith("delivered") and self.created(index) + _TRAVEL > self._end:
            return "in_transit"  # it cannot have arrived yet
        return status

    def parcel(self, index: int) -> Row:
        """Return the short form that an order shows of it."""
        code = track_trace_code(index)
        return {
            "trackTraceCode": code,
            "trackTraceUrl": track_trace_url(code),
            "createDate": write_moment(self.created(index)),
        }

    def row(self, index: int) -> Row:
        """Return the shipment as the API serves it."""
        draw, status, created = self._identity.draw("shipment", index), self.status(index), self.created(index)
        order = self.order(index)
        row = shipment_row(
            self._identity.uuid("shipment", index),
            {} if order is None else self._orders.row(order),
            status=status,
            createDate=write_moment(created),
            deliveredDate=write_moment(created + _TRAVEL) if status.startswith("delivered") else None,
            shippingMethod=CARRIERS[draw[1] % len(CARRIERS)],
            trackTraceCode=track_trace_code(index),
            externalId=f"EXT-{index}" if draw[2] % 3 else None,
        )
        if self._odd and index % 12 == 4:
            row["linkedOrder"] = None
            row["carrierService"] = "Brievenbus/24u"
        return row


def track_trace_code(index: int) -> str:
    """Return the code of shipment `index`."""
    return f"3SZB{index:09d}"


def track_trace_url(code: str) -> str:
    return f"https://track.example.test/{code}"


def shipment_row(uuid: str, order: Row, **fields: Any) -> Row:
    """Return a shipment of an order as the API serves it; without an order (`{}`) the order's fields are null."""
    return {
        "uuid": uuid,
        **{name: fields[name] for name in ("status", "createDate", "deliveredDate", "shippingMethod")},
        "trackTraceCode": fields["trackTraceCode"],
        "trackTraceUrl": track_trace_url(fields["trackTraceCode"]),
        "externalId": fields["externalId"],
        "referenceText": order.get("externalDisplayId"),
        **{name: order.get(name) for name in ("shippingFirstName", "shippingLastName", "shippingCity")},
        "linkedOrder": {"uuid": order["uuid"]} if order else None,
    }
