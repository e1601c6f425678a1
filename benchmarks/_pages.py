"""Invented pages in the API's shapes: the same seed gives the same bytes. No real person is in them."""

from __future__ import annotations

import asyncio
import json
import multiprocessing
import random
from collections.abc import Callable, Generator
from contextlib import contextmanager
from datetime import datetime
from decimal import Decimal
from multiprocessing.connection import Connection
from typing import Any, Final

from aiohttp import web

Row = dict[str, Any]

_FIRST = ("Anna", "Daan", "Zoë", "Jeroen", "Noor", "Björn", "Thijs", "Femke")
_LAST = ("Voorbeeld", "Testers", "van den Proef", "Müller", "de Verzonnen")
_STREETS = ("Dorpsstraat", "Kerkweg", "Lange Nieuwstraat", "Industrieweg", "Stationsplein")
_CITIES = ("Utrecht", "'s-Hertogenbosch", "Liège", "Köln", "Groningen", "Antwerpen")
_WORDS = ("eiken", "tafel", "stoel", "lamp", "zwart", "wit", "metaal", "hout", "klein", "groot", "houder", "kabel")
_STATUSES = ("open", "ready_for_picking", "backorder", "on_hold", "completed", "cancelled", "awaiting_supplier")


def page(kind: str, rows: int, seed: int, reshape: Callable[[Row, random.Random], Row] | None = None) -> bytes:
    """One page of `orders` or `products` as the API would answer it; `reshape` can change each row."""
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


Fields = dict[str, Any]

_ADDRESS: Final = (
    "first_name",
    "last_name",
    "company",
    "address",
    "address2",
    "house_number",
    "housenumber_addition",
    "zipcode",
    "city",
    "country",
    "email",
    "phone",
)

LINE: Final[Fields] = {
    "product_uuid": str,
    "product_name": str,
    "sku": str,
    "product_quantity": int,
    "picked_quantity": int,
    "product_price": Decimal,
    "type": str,
}
PARCEL: Final[Fields] = {"track_trace_code": str, "track_trace_url": str, "create_date": datetime}
ORDER: Final[Fields] = {
    "uuid": str,
    "external_display_id": str,
    "order_number": str,
    "order_id": str,
    "status": str,
    "create_date": datetime,
    "finish_date": datetime,
    "shipped_date": datetime,
    "total_paid": Decimal,
    "payment_method": str,
    "shipping_method": str,
    "customer_note": str,
    "intern_comment": str,
    "webshop_name": str,
    "attention_needed": bool,
    "tags": list[str],
    **{f"{party}_{part}": str for party in ("billing", "shipping") for part in _ADDRESS},
}
"""Without `products` and `shipments`, lists of the classes of `LINE` and `PARCEL`."""

STOCK: Final[Fields] = {
    "free_stock": int,
    "total_stock": int,
    "reserved_stock": int,
    "unlimited_stock": bool,
    "minimal_stock": int,
    "fill_stock_to": int,
}
SUPPLIER: Final[Fields] = {"uuid": str, "supplier_sku": str}
PRODUCT: Final[Fields] = {
    "uuid": str,
    "sku": str,
    "name": str,
    "product_id": str,
    "ean": str,
    "barcode": str,
    "description": str,
    "internal_comment": str,
    "price": Decimal,
    "cost_price": Decimal,
    "tax_rate": Decimal,
    "weight": Decimal,
    "length": Decimal,
    "height": Decimal,
    "width": Decimal,
    "picture": str,
    "product_attributes": list[Any],
    "allow_backorders": bool,
    "type": str,
}
"""Without `supplier` and `stock`, of the classes of those names."""


def camel(name: str) -> str:
    """The wire name."""
    first, *others = name.split("_")
    return first + "".join(part.title() for part in others)


Reshape = Callable[[Row, random.Random], Row]

_UNKNOWN: Final = frozenset({"internalRef", "isBusiness", "pickBatch", "customField1", "priorityScore"})
_MANY: Final = 25
_LINES: Final = 50
_NESTED: Final = ("products", "shipments")
_KEPT: Final = frozenset({"uuid", *_NESTED})
_KANA: Final = "東京都千代田区霞が関注文商品倉庫"


def without_unknown(row: Row, _: random.Random) -> Row:
    """No key that a model does not know."""
    return {key: value for key, value in row.items() if key not in _UNKNOWN}


def many_unknown(row: Row, _: random.Random) -> Row:
    """The same 25 unknown keys in each row."""
    return row | {f"customField{number}": "x" * number for number in range(2, _MANY)}


def differing_unknown(row: Row, rng: random.Random) -> Row:
    """25 unknown keys in each row, other ones in each: no two rows have the same shape."""
    return row | {f"attribute{rng.getrandbits(40):x}": "x" * number for number in range(_MANY)}


def shuffled(row: Row, rng: random.Random) -> Row:
    """The keys of each row in a random order; no known server sends them so."""
    keys = list(row)
    rng.shuffle(keys)
    return {key: row[key] for key in keys}


def nulls(row: Row, _: random.Random) -> Row:
    """Null in every place that allows null."""
    return {key: value if key == "uuid" else None for key, value in row.items()}


def sparse(row: Row, rng: random.Random) -> Row:
    """Each key except the id is there or not, at random."""
    return {key: value for key, value in row.items() if key in _KEPT or rng.random() < 0.5}


def numbers_as_text(value: Any, rng: random.Random) -> Any:
    """Every number as a string."""
    if isinstance(value, dict):
        return {key: numbers_as_text(below, rng) for key, below in value.items()}
    if isinstance(value, list):
        return [numbers_as_text(below, rng) for below in value]
    return value if isinstance(value, bool) or not isinstance(value, int) else str(value)


def many_lines(row: Row, rng: random.Random) -> Row:
    """Fifty lines in each order."""
    lines = row.get("products") or []
    return row if not lines else row | {"products": [dict(rng.choice(lines)) for _ in range(_LINES)]}


def non_ascii(row: Row, rng: random.Random) -> Row:
    """Free text in another script."""
    free = {"customerNote", "name", "description", "productName"}

    def other(key: str, value: Any) -> Any:
        if isinstance(value, list) and key in _NESTED:
            return [{inner: other(inner, below) for inner, below in part.items()} for part in value]
        is_free = key in free or key.endswith(("Name", "City", "Address", "Company"))
        return "".join(rng.choices(_KANA, k=12)) if is_free and isinstance(value, str) else value

    return {key: other(key, value) for key, value in row.items()}


def unknown_statuses(row: Row, rng: random.Random, *, number: int = 5) -> Row:
    """A status and types that are unknown to every client."""
    lines = [line | {"type": f"kind_{rng.randrange(number)}"} for line in row.get("products") or []]
    known = "status" if "status" in row else "type"
    return row | {known: f"state_{rng.randrange(number)}"} | ({"products": lines} if lines else {})


def thousands_of_statuses(row: Row, rng: random.Random) -> Row:
    """Free text in place of a status."""
    return unknown_statuses(row, rng, number=10_000)


def odd_row(row: Row, rng: random.Random) -> Row:
    """Every hundredth row, about, has a value that is read only by the hooks: money as a float."""
    key = "totalPaid" if "totalPaid" in row else "price"
    return row | {key: 12.5} if rng.random() < 0.01 else row


def spoilt(row: Row) -> Row:
    """A row that cannot be read: three values are nonsense."""
    bad = {"totalPaid": "veel", "createDate": "gisteren", "price": "veel", "weight": "zwaar"}
    lines = [line | {"productQuantity": "abc"} for line in row.get("products") or []]
    return row | {key: value for key, value in bad.items() if key in row} | ({"products": lines} if lines else {})


SHAPES: Final[dict[str, Reshape]] = {
    "no unknown keys": without_unknown,
    "25 unknown keys, the same in each row": many_unknown,
    "25 unknown keys, others in each row": differing_unknown,
    "keys in another order in each row": shuffled,
    "half of the keys missing, by lot": sparse,
    "all nulls": nulls,
    "numbers as text": numbers_as_text,
    "50 lines": many_lines,
    "non-ASCII text": non_ascii,
    "unknown statuses": unknown_statuses,
    "thousands of unknown statuses": thousands_of_statuses,
    "an odd row in a hundred": odd_row,
}


_DISTINCT = 500
"""Rows in turn, but for their ids."""
_LARGEST = 100
_REACH = 10_000
_HEADERS = {"X-RateLimit-Limit": "150", "X-RateLimit-Remaining": "149"}


@contextmanager
def serve_pages(length: int) -> Generator[str]:
    """Serve lists of so many rows; gives the base URL."""
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    server = context.Process(target=_run, args=(theirs, length))
    server.start()
    try:
        yield f"http://127.0.0.1:{ours.recv()}"
    finally:
        ours.send(None)
        server.join(30)


def _run(pipe: Connection, length: int) -> None:
    asyncio.run(_serve(pipe, length))


async def _serve(pipe: Connection, length: int) -> None:
    application = web.Application()
    for kind in ("orders", "products"):
        application.router.add_get(f"/{kind}", _List(kind, length).answer)
    application.router.add_get("/tiny", _tiny)
    runner = web.AppRunner(application, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    pipe.send(runner.addresses[0][1])
    await asyncio.to_thread(pipe.recv)
    await runner.cleanup()


async def _tiny(_: web.Request) -> web.Response:
    return web.Response(body=b'{"items":[]}', content_type="application/json", headers=_HEADERS)


class _List:
    def __init__(self, kind: str, length: int) -> None:
        rng = random.Random(1)
        rows = [row(kind, rng) for _ in range(_DISTINCT)]
        self._ends = [_without_id(one) for one in rows]
        self._length = length

    async def answer(self, request: web.Request) -> web.Response:
        size = min(_LARGEST, int(request.query.get("perPage", 15)))
        number = int(request.query.get("page", 1))
        cursor = request.query.get("cursor")
        start = (number - 1) * size if cursor is None else int(cursor)
        if cursor is None and start >= _REACH:
            start = self._length
        end = min(start + size, self._length)
        if cursor is None:
            end = min(end, max(start, _REACH))
        rows = ",".join(f'{{"uuid":"{n:032x}"{self._ends[n % _DISTINCT]}' for n in range(start, end))
        last = -(-self._length // size)
        info = {"totalItems": self._length, "itemsPerPage": size, "currentPage": number, "lastPage": last}
        if end < self._length:
            info["cursor"] = str(end)  # type: ignore[assignment]  # the one that is not a number
        body = f'{{"items":[{rows}],"pageInfo":{json.dumps(info)}}}'.encode()
        return web.Response(body=body, content_type="application/json", headers=_HEADERS)


def _without_id(row: dict[str, object]) -> str:
    """The row's JSON after its first key, which is the id."""
    text = json.dumps(row, ensure_ascii=False, separators=(",", ":"))
    return text[text.index(",") :]
