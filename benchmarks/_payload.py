"""Invented pages in the API's shapes: the same seed gives the same bytes. No real person is in them."""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from typing import Any

__all__ = ["Row", "as_page", "page", "row"]

Row = dict[str, Any]

_FIRST = ("Anna", "Daan", "Zoë", "Jeroen", "Noor", "Björn", "Thijs", "Femke")
_LAST = ("Voorbeeld", "Testers", "van den Proef", "Müller", "de Verzonnen")
_STREETS = ("Dorpsstraat", "Kerkweg", "Lange Nieuwstraat", "Industrieweg", "Stationsplein")
_CITIES = ("Utrecht", "'s-Hertogenbosch", "Liège", "Köln", "Groningen", "Antwerpen")
_WORDS = ("eiken", "tafel", "stoel", "lamp", "zwart", "wit", "metaal", "hout", "klein", "groot", "houder", "kabel")
_STATUSES = ("open", "ready_for_picking", "backorder", "on_hold", "completed", "cancelled", "awaiting_supplier")


def page(kind: str, rows: int, seed: int, reshape: Callable[[Row, random.Random], Row] | None = None) -> bytes:
    """One page of `orders` or `products` as the API would answer it; `reshape` has a say in each row."""
    rng = random.Random(seed)
    made = [row(kind, rng) for _ in range(rows)]
    return as_page(made if reshape is None else [reshape(one, rng) for one in made])


def row(kind: str, rng: random.Random) -> Row:
    """One of `orders` or `products`."""
    return {"orders": _order, "products": _product}[kind](rng)


def as_page(rows: list[Row]) -> bytes:
    """The answer with these rows."""
    number = len(rows)
    info = {"totalItems": 40 * number, "itemsPerPage": number, "currentPage": 1, "lastPage": 40}
    return json.dumps({"items": rows, "pageInfo": info}, ensure_ascii=False, separators=(",", ":")).encode()


def _uuid(rng: random.Random) -> str:
    digits = f"{rng.getrandbits(128):032x}"
    return "-".join((digits[:8], digits[8:12], digits[12:16], digits[16:20], digits[20:]))


def _money(rng: random.Random, top: int) -> str:
    return f"{rng.randint(1, top)}.{rng.randint(0, 99):02}"


def _moment(rng: random.Random) -> str:
    day = f"2026-{rng.randint(1, 12):02}-{rng.randint(1, 28):02}"
    return f"{day} {rng.randint(0, 23):02}:{rng.randint(0, 59):02}:{rng.randint(0, 59):02}"


def _words(rng: random.Random, count: int) -> str:
    return " ".join(rng.choices(_WORDS, k=count))


def _address(rng: random.Random, prefix: str) -> dict[str, Any]:
    return {
        f"{prefix}FirstName": rng.choice(_FIRST),
        f"{prefix}LastName": rng.choice(_LAST),
        f"{prefix}Company": rng.choice((None, None, "Voorbeeld B.V.")),
        f"{prefix}Address": rng.choice(_STREETS),
        f"{prefix}Address2": None,
        f"{prefix}HouseNumber": str(rng.randint(1, 300)),
        f"{prefix}HousenumberAddition": rng.choice((None, None, "A", "bis")),
        f"{prefix}Zipcode": f"{rng.randint(1000, 9999)} AB",
        f"{prefix}City": rng.choice(_CITIES),
        f"{prefix}Country": rng.choice(("NL", "BE", "DE")),
        f"{prefix}Email": f"klant{rng.randint(1, 9999)}@example.test",
        f"{prefix}Phone": f"+3100000{rng.randint(1000, 9999)}",
    }


def _unknown(rng: random.Random) -> dict[str, Any]:
    return {
        "internalRef": _uuid(rng),
        "isBusiness": rng.random() < 0.2,
        "pickBatch": None,
        "customField1": "x" * rng.randint(0, 20),
        "priorityScore": rng.randint(0, 9),
    }


def _line(rng: random.Random) -> dict[str, Any]:
    return {
        "productUuid": _uuid(rng),
        "productName": _words(rng, 4),
        "sku": f"SKU-{rng.randint(1000, 99999)}",
        "productQuantity": rng.randint(1, 5),
        "pickedQuantity": rng.randint(0, 5),
        "productPrice": _money(rng, 90),
        "type": rng.choice(("normal", "normal", "parent", "child")),
    }


def _parcel(rng: random.Random) -> dict[str, Any]:
    code = f"3S{rng.randint(10**11, 10**12)}"
    return {"trackTraceCode": code, "trackTraceUrl": f"https://track.example.test/{code}", "createDate": _moment(rng)}


def _order(rng: random.Random) -> dict[str, Any]:
    is_done = rng.random() < 0.6
    return {
        "uuid": _uuid(rng),
        "externalDisplayId": f"#{rng.randint(1000, 99999)}",
        "orderNumber": f"ORD-{rng.randint(10**5, 10**6)}",
        "orderId": str(rng.randint(10**9, 10**10)),
        "status": rng.choice(_STATUSES),
        "createDate": _moment(rng),
        "finishDate": _moment(rng) if is_done else None,
        "shippedDate": _moment(rng) if is_done else None,
        "totalPaid": _money(rng, 400),
        "paymentMethod": rng.choice(("ideal", "bancontact", None)),
        "shippingMethod": "standaard",
        "customerNote": rng.choice((None, None, "Graag bij de buren afleveren.")),
        "internComment": None,
        "webshopName": "Voorbeeldwinkel",
        "attentionNeeded": rng.choice((0, 1)),
        "tags": rng.sample(("zakelijk", "spoed", "cadeau"), rng.randint(0, 2)),
        **_address(rng, "billing"),
        **_address(rng, "shipping"),
        "products": [_line(rng) for _ in range(rng.randint(2, 6))],
        "shipments": [_parcel(rng) for _ in range(rng.randint(1, 2) if is_done else 0)],
        **_unknown(rng),
    }


def _product(rng: random.Random) -> dict[str, Any]:
    free = rng.randint(-5, 500)
    return {
        "uuid": _uuid(rng),
        "sku": f"SKU-{rng.randint(1000, 99999)}",
        "name": _words(rng, 5),
        "productId": str(rng.randint(1, 10**7)),
        "ean": rng.choice((None, str(rng.randint(10**12, 10**13 - 1)))),
        "barcode": None,
        "description": rng.choice((None, _words(rng, 40))),
        "internalComment": None,
        "price": _money(rng, 200),
        "costPrice": _money(rng, 100),
        "taxRate": rng.choice(("21.00", "9.00")),
        "weight": rng.randint(10, 9000),
        "length": f"{rng.randint(1, 99)}.0",
        "height": f"{rng.randint(1, 99)}.5",
        "width": f"{rng.randint(1, 99)}.0",
        "picture": f"https://cdn.example.test/p/{_uuid(rng)}.jpg",
        "productAttributes": [{"name": "kleur", "value": rng.choice(_WORDS)} for _ in range(rng.randint(0, 3))],
        "supplier": {"uuid": _uuid(rng), "supplierSku": f"L-{rng.randint(1, 9999)}"},
        "allowBackorders": rng.random() < 0.5,
        "type": rng.choice(("normal", "parent", "child")),
        "stock": {
            "freeStock": free,
            "totalStock": free + 7,
            "reservedStock": 7,
            "unlimitedStock": 0,
            "minimalStock": 5,
            "fillStockTo": rng.choice((None, 50)),
        },
        **_unknown(rng),
    }
