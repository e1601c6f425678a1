"""What is known of the API and how surely, as data: the general facts, and the confidence of each field.

Endpoints and filters are in `endpoints.py`, events in `webhooks/events.py`. `python -m goedgepickt_async.contract.facts`
prints docs/reference/api-facts.md from all of it.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from types import MappingProxyType
from typing import Any, Final

import attrs

from goedgepickt_async import models
from goedgepickt_async._transport.request import Idempotency
from goedgepickt_async.endpoints import ENDPOINTS, Confidence
from goedgepickt_async.models.base import field_info
from goedgepickt_async.webhooks.events import EVENTS

__all__ = ["FACTS", "Fact", "FieldFact", "enumerations", "event_facts", "field_facts", "reference_page"]


@attrs.frozen
class Fact:
    """A general fact of the API.

    Attributes:
        id: Its name in reports, such as `list.default-size`.
        statement: What is taken to be so.
        confidence: How sure it is: `A` the vendor, or several independent clients; `B` one client; `C` inference.
        source: Where it is from.
        probed: Whether `goedgepickt probe` can check it by reads alone.
    """

    id: str
    statement: str
    confidence: Confidence
    source: str
    probed: bool = False


@attrs.frozen
class FieldFact:
    """A field of a model or of an event, and how sure it is.

    Attributes:
        model: The name of the class.
        name: The key on the wire; for the parts of an address without `billing` or `shipping`.
        confidence: How sure the field is.
        source: Where it is from.
    """

    model: str
    name: str
    confidence: Confidence
    source: str


_SOURCES: Final[dict[str, str]] = {
    "A": "vendor's text, or code in production",
    "A/B": "several clients, in part without proof",
    "B": "seen once, or success not provable",
}
"""What a fact rests on where its line does not say more."""

_TABLE: Final = """\
base.account            | A   |       | Account API: `https://account.goedgepickt.nl/api/v1`.
base.fulfilment         | B   |       | Fulfilment API: `https://account.goedgepickt.nl/api/fulfilment/v1`. | the vendor names the API; the path was seen once
key.kinds               | A   | probe | A key of one API is refused by the other.
key.wrong-kind          | C   | probe | That refusal is HTTP 401. | guess: 401, 403 or 404
key.bearer              | A   |       | `Authorization: Bearer <key>`; the key is well over 255 characters.
key.webshops            | A   |       | One key covers all webshops; `webshopUuid` says which one a write is for.
base.same-shapes        | C   |       | Both APIs have the same resources and shapes. | seen for `GET /products` only
format.success          | A   | probe | JSON in and out; success is 200, for creates too.
format.single           | A   | probe | A single object has no wrapper.
limit.number            | A   | probe | 150 requests per IP over all endpoints and keys.
limit.window            | B   |       | The limit is per minute. | inferred from Laravel
limit.fixed             | C   |       | The window is fixed and begins with its first request. | inferred from Laravel
limit.refusal           | A   |       | Above it: 429, `Too Many Attempts.`, `Retry-After`, `X-RateLimit-Limit`, `-Remaining`, `-Reset`.
limit.headers           | B   | probe | Other answers carry `X-RateLimit-Limit` and `-Remaining`. | inferred from Laravel
limit.counts            | C   | probe | `X-RateLimit-Remaining` falls with each request. | inferred from Laravel
limit.text              | B   |       | The throttle's text comes with other statuses too. | clients that look for it
list.shape              | A   | probe | A list is `{"items": […], "pageInfo": {…}}`.
list.page-info          | A   | probe | Every list has a `pageInfo`.
list.per-page           | A   | probe | `perPage` sets the size of a page; `page` counts from 1.
list.default-size       | B   | probe | Without `perPage` a page holds 15 rows.
list.largest-size       | A/B | probe | A page holds 100 rows at most; a larger `perPage` is cut.
list.items-per-page     | B   | probe | `itemsPerPage` says the size that was given.
list.past-the-end       | A   | probe | A page past the end is 200 without rows.
list.empty-items        | C   | probe | A page without rows has `items` all the same. | a guard of one client
list.total-items        | C   | probe | `totalItems` counts the rows. Nothing rests on it. | two clients saw otherwise
list.last-page          | C   | probe | `lastPage` is the last page with rows. Nothing rests on it. | two clients saw otherwise
list.order              | A/B | probe | Lists come oldest first.
list.order-by           | A/B | probe | Orders obey `orderBy=createDate`, `orderByDirection`.
list.reach              | B   | probe | Page numbers reach 10,000 results.
list.cursor             | B   | probe | `pageInfo.cursor`, sent as `cursor`, leads to the rows that follow.
list.created-after      | A   | probe | `createdAfter=YYYY-MM-DD` has the rows of that day and later.
list.created-after-zone | C   | probe | That day is a Dutch one. | inference
list.future             | C   | probe | `createdAfter` with a day to come gives no rows. | inference
filter.webshop          | B   | probe | `webshopUuid` filters products and orders.
filter.search           | A   | probe | `searchAttribute`, `searchDelimiter` (`=`), `searchValue` filter purely.
filter.orderstatus      | B   | probe | `orderstatus` lets orders of other statuses through.
filter.unknown          | C   | probe | An unknown `searchAttribute` is refused with 422. | inferred from Laravel
filter.others           | C   | probe | Orders can be searched by attributes that nobody was seen to use, such as `externalDisplayId`. | inference
product.sku             | A   |       | A SKU is not unique, can be empty, and can look like a number.
product.exists          | A   |       | Creating a product that exists fails with `already exists`.
product.answer          | B   |       | A product write answers `{"items": [product]}`, a bare product or `[]`.
product.placeholder     | A   |       | A `picture` with `image_placeholder` in its URL is none.
product.pictures        | A   |       | Pictures must not be sent again and again. | complaint of the vendor
stock.mutation          | A   |       | `stock-mutation` adds: sent twice, it counts twice.
order.answer            | B   |       | A create answers the uuid in one of five shapes; 200 may also be empty.
order.twice             | C   |       | What a second order with the same `orderId` does is not known. | no source
order.house-number      | A   |       | House numbers are sent as text; numbers are refused.
order.country           | A   |       | Countries are upper-case codes of ISO 3166-1 alpha-2.
order.unknown-sku       | B   |       | A line with an unknown SKU blocks the order, unless told to ignore it.
webhook.once            | A   |       | A second subscription like the first makes two.
format.date-time        | A/B | probe | Date-times are ISO; without an offset they are Dutch time.
format.date-style       | C   | probe | All date-times are `YYYY-MM-DD HH:mm:ss`, with neither `T` nor offset. | inference
format.amount           | B   | probe | Amounts are decimals as text, or null.
format.flag             | B   | probe | Flags are booleans or 0 and 1.
format.rows             | A/B | probe | Rows are as the models of this version read them.
fields.open             | C   | probe | Answers hold fields that no table has. | inference
values.open             | C   | probe | Enumerations have values that no table has. | inference
delivery.signature      | A   |       | `Signature` is the lower-case hexadecimal HMAC-SHA256 of the raw body.
delivery.no-id          | A   |       | No time, number or webshop in a delivery: no order, no replay protection.
delivery.attempts       | A   |       | All but exactly 200 is a failure; ten attempts, with growing pauses.
delivery.disabled       | A   |       | A receiver that keeps failing, or is slow, is disabled.
delivery.shipments      | A   |       | An event for new shipments exists; its name is not known.
error.envelope          | A/B | probe | An error is JSON with `message`, `error` or `errorMessage`; `errors` has texts by field.
error.key               | A   | probe | An unknown key is 401.
error.uuid              | A   | probe | An unknown uuid is 404.
error.input             | B   | probe | Refused input is 422. | inferred from Laravel
error.language          | A   |       | Texts are Dutch, with the field's name in English words.
"""
"""A line for each: id, confidence, whether the probe checks it, statement; and the source where there is more to say."""


def _facts() -> Iterator[Fact]:
    for line in _TABLE.splitlines():
        name, confidence, probed, statement, *source = (part.strip() for part in line.split(" | "))
        yield Fact(
            name, statement, _CONFIDENCES[confidence], source[0] if source else _SOURCES[confidence], bool(probed)
        )


_CONFIDENCES: Final[dict[str, Confidence]] = {"A": "A", "A/B": "A/B", "B": "B", "B/C": "B/C", "C": "C"}
FACTS: Final[Mapping[str, Fact]] = MappingProxyType({fact.id: fact for fact in _facts()})
"""Every general fact, by id."""

_SECTIONS: Final = (
    ("1. Addresses, keys, format", ("base.", "key.", "format.success", "format.single")),
    ("2. Rate limit", ("limit.",)),
    ("3. Lists", ("list.",)),
    ("4. Endpoints", ("filter.", "product.", "stock.", "order.", "webhook.")),
    (
        "5. Enumerations and formats",
        ("format.date-", "format.amount", "format.flag", "format.rows", "fields.", "values."),
    ),
    ("6. Webhook deliveries", ("delivery.",)),
    ("7. Errors", ("error.",)),
)

_B_LINE: Final[tuple[str, ...]] = (
    "lineItemId", "productId", "ean", "productImage", "totalPriceIncl", "totalPriceExcl", "totalPriceTax",
    "unitPriceIncl", "unitPriceExcl", "unitPriceTax",
)  # fmt: skip
_MODELS: Final[dict[str, tuple[Confidence, str, dict[str, Confidence]]]] = {
    "Webshop": ("A", "4.1", {}),
    "Product": (
        "A/B",
        "4.2",
        {
            **dict.fromkeys(("uuid", "sku", "name", "picture", "stock"), "A"),
            **dict.fromkeys(("productId", "price", "costPrice", "taxRate", "weight", "length", "height", "width"), "B"),
            **dict.fromkeys(("productAttributes", "supplier", "type"), "B"),
            "allowBackorders": "C",
        },
    ),
    "ProductStock": ("A/B", "4.2", {}),
    "Supplier": ("B", "4.2", {}),
    "NewProduct": ("A", "4.2", {}),
    "ProductUpdate": ("A", "4.2", {}),
    "StockLocation": ("A", "4.3", {}),
    "PickLocation": ("A", "4.4", {}),
    "Address": ("A/B", "4.5", {}),
    "Order": (
        "A/B",
        "4.5",
        {
            **dict.fromkeys(("uuid", "externalDisplayId", "status", "totalPaid", "webshopName", "products"), "A"),
            **dict.fromkeys(("attentionNeeded", "tags"), "B"),
            **dict.fromkeys(("orderNumber", "orderId"), "C"),
        },
    ),
    "OrderLine": ("A/B", "4.5", {}),
    "OrderShipment": ("A/B", "4.5", {}),
    "NewOrder": ("A", "4.5", {"paidTotal": "B", "paidTax": "B", "pickupLocationData": "B"}),
    "NewOrderLine": ("A", "4.5", dict.fromkeys(_B_LINE, "B")),
    "PickupLocation": ("B", "4.5", {}),
    "Shipment": ("A/B", "4.6", {"uuid": "B"}),
    "LinkedOrder": ("A/B", "4.6", {}),
    "Webhook": ("A", "4.7", {}),
    "NewWebhook": ("A", "4.7", {}),
    "PageInfo": ("A", "3", {"totalItems": "B", "lastPage": "B", "cursor": "B"}),
    "OrderStatusChanged": ("A", "6", {}),
    "StockUpdated": ("A", "6", {}),
    "CompoundProductStockUpdated": ("A", "6", {}),
}
"""Class -> the confidence of its fields, their section, and the fields that differ."""

_ENUMERATIONS: Final[dict[str, Confidence]] = {
    "OrderStatus": "A",
    "LineType": "A/B",
    "ProductType": "B",
    "ShipmentStatus": "B",
    "WebhookEvent": "A",
}


def _certainty(cls: type[Any], name: str, info: Any) -> tuple[Confidence, str]:
    """What the field's metadata says, where it does; else what the table above says."""
    confidence, section, others = _MODELS[cls.__name__]
    said: Confidence = getattr(info, "confidence", None) or others.get(name, confidence)
    return said, getattr(info, "source", None) or f"reference {section}"


def field_facts(cls: type[Any]) -> Iterator[FieldFact]:
    """The fields of a model or event, each with its confidence and source."""
    for field in attrs.fields(cls):
        info = field_info(field.metadata)
        if info is not None:
            name = info.name if field.name not in {"billing", "shipping"} else f"{info.name}*"
            yield FieldFact(cls.__name__, name, *_certainty(cls, info.name, info))


def event_facts() -> Iterator[Fact]:
    """The events of deliveries."""
    for name, cls in EVENTS.items():
        yield Fact(f"event.{name}", f"`{name}`, for `{cls.subscription}`.", "A", "reference 6")


def enumerations() -> dict[str, tuple[tuple[str, ...], Confidence]]:
    """The known values of each open enumeration, and how sure they are."""
    return {name: (tuple(m.value for m in getattr(models, name)), sure) for name, sure in _ENUMERATIONS.items()}


_INTRODUCTION: Final = """\
<!-- Generated by `python -m goedgepickt_async.contract.facts`; edit the tables there. -->
# What is known of the API

GoedGepickt publishes an introduction to its API, and no specification. This page is made from the tables that the
package itself reads. Docstrings and the sandbox call it "the reference" and give its section numbers.
[How sure are we?](../concepts/how-sure.md) says what that means for you.

| letter | what a fact rests on |
|---|---|
| **A** | the vendor's text, or code of others that demonstrably runs in production |
| **A/B** | seen in several places, in part without proof |
| **B** | seen once, or seen where nobody can say whether it worked |
| **C** | inference, or another author's guess; it is read where it comes, and nothing is built on it |

The sources are the vendor's introductions to both APIs, the vendor's help centre, and code that others have published
or run: a plugin of a shop system, a print shop's application, a connector of a fulfilment house with some 180 webshops,
an exporter for route planning, and a bridge to a bookkeeping system. Nothing was tried on the live service.
`goedgepickt probe` checks the facts that are marked in the column "probe".

What has no evidence has no method. `gg.request("GET", "/suppliers")` reaches such things, under the same budget and
errors. Not evidenced: suppliers, purchase orders, returns, pick lists, users, any `DELETE`, changing or cancelling an
order.
"""

_TWICE: Final = {Idempotency.SAFE: "yes", Idempotency.IDEMPOTENT: "yes", Idempotency.NON_IDEMPOTENT: "no"}
_SUBJECTS: Final = (
    ("4.1", "Webshop"),
    ("4.2", "Product"),
    ("4.3", "Stock"),
    ("4.4", "Pick location"),
    ("4.5", "Order"),
    ("4.6", "Shipment"),
    ("4.7", "Webhook subscription"),
)


def reference_page() -> str:
    """docs/reference/api-facts.md, as Markdown."""
    return "\n".join([_INTRODUCTION, *_lines()]).rstrip() + "\n"


def _lines() -> Iterator[str]:
    for title, prefixes in _SECTIONS:
        yield f"## {title}\n"
        rows = [fact for fact in FACTS.values() if fact.id.startswith(prefixes)]
        yield "| fact | confidence | source | id | probe |\n|---|---|---|---|---|"
        for fact in [*rows, *(event_facts() if title.startswith("6") else ())]:
            probe = "yes" if fact.probed else ""
            yield f"| {fact.statement} | {fact.confidence} | {fact.source} | `{fact.id}` | {probe} |".replace(
                "|  |", "| |"
            )
        yield ""
        if title.startswith("4"):
            yield from _endpoint_lines()
        if title.startswith("5"):
            yield "| enumeration, open | known values | confidence |\n|---|---|---|"
            for name, (values, sure) in enumerations().items():
                yield f"| `{name}` | {', '.join(f'`{value}`' for value in values if value)} | {sure} |"
            yield ""
        if title.startswith(("3", "6")):
            yield from _field_lines(title[0])


def _endpoint_lines() -> Iterator[str]:
    yield "| method and path | offered as | confidence | safe to send twice? | note |\n|---|---|---|---|---|"
    for one in ENDPOINTS.values():
        row = f"| `{one.method} {one.path}` | `{one.operation}` | {one.confidence} | {_TWICE[one.idempotency]} | {one.note} |"
        yield row.replace("|  |", "| |")
    yield "\n| filter | sent as | confidence | source | note |\n|---|---|---|---|---|"
    for one in ENDPOINTS.values():
        for by in one.filters:
            sent = f"search by `{by.parameter}`" if by.is_search else f"`{by.parameter}`"
            row = f"| `{one.operation}({by.name}=…)` | {sent} | {by.confidence} | {by.source} | {by.note} |"
            yield row.replace("|  |", "| |")
    yield ""
    for number, title in _SUBJECTS:
        yield f"### {number} {title}\n"
        yield from _field_lines(number)


def _field_lines(section: str) -> Iterator[str]:
    """One line for each class of a section: its fields by confidence."""
    yield "| class | fields on the wire, by confidence |\n|---|---|"
    for name in (name for name, (_, place, _) in _MODELS.items() if place == section):
        cls = getattr(models, name, None) or next(event for event in EVENTS.values() if event.__name__ == name)
        by_confidence: dict[str, list[str]] = {}
        for fact in field_facts(cls):
            by_confidence.setdefault(fact.confidence, []).append(f"`{fact.name}`")
        parts = (f"{sure}: {', '.join(names)}" for sure, names in sorted(by_confidence.items()))
        yield f"| `{name}` | {'; '.join(parts)} |"
    yield ""


if __name__ == "__main__":
    sys.stdout.write(reference_page())
