"""The known facts about the API as data: general facts, and the confidence of each field.

Endpoints and filters are in `endpoints.py`, events in `webhooks/events.py`. `python -m goedgepickt_async.contract.facts`
prints docs/reference/api-facts.md from these tables.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from types import MappingProxyType
from typing import Any, Final, cast

import attrs

from goedgepickt_async import models
from goedgepickt_async._transport.request import Idempotency
from goedgepickt_async.endpoints import ENDPOINTS
from goedgepickt_async.models.base import Confidence, FieldInfo, field_info
from goedgepickt_async.webhooks.events import EVENTS

__all__ = ["FACTS", "Fact", "FieldFact", "described", "enumerations", "event_facts", "field_facts", "reference_page"]


@attrs.frozen
class Fact:
    """A general fact of the API.

    Attributes:
        id: The name in reports, such as `list.default-size`.
        statement: The assumption.
        confidence: How sure it is: `A` the vendor, or code that runs in production; `B` seen once; `C` inference.
        source: The documents and programs that show it.
        shown_by: The way to check it: `reads`, `writes`, `throttling`, `deliveries`, or `-` if no request can show it.
    """

    id: str
    statement: str
    confidence: Confidence
    source: str
    shown_by: str = "-"

    @property
    def probed(self) -> bool:
        """Whether `goedgepickt probe` can check it, which only reads."""
        return self.shown_by == "reads"


@attrs.frozen
class FieldFact:
    """A field of a model or of an event, and how sure it is.

    Attributes:
        model: The name of the class.
        name: The key on the wire; for the parts of an address without `billing` or `shipping`.
        confidence: How sure the field is.
        source: The documents and programs that show it.
        section: The section of the page that lists it.
    """

    model: str
    name: str
    confidence: Confidence
    source: str
    section: str


_TABLE: Final = """\
base.account            | A   | -          | Account API: `https://account.goedgepickt.nl/api/v1`. | Vendor, Vendure, Printlijst
base.fulfilment         | B   | -          | Fulfilment API: `https://account.goedgepickt.nl/api/fulfilment/v1`. | Vendor names the API; the path was seen once
key.kinds               | A   | reads      | A key of one API is refused by the other. | Vendor
key.wrong-kind          | C   | reads      | That refusal is HTTP 401. | no document; 401, 403 and 404 are possible
key.bearer              | A   | -          | `Authorization: Bearer <key>`; the key is well over 255 characters. | Vendor, Help, Vendure
key.webshops            | A   | writes     | One key covers all webshops; `webshopUuid` says which one a write is for. | Vendure, Dura
base.same-shapes        | C   | -          | Both APIs have the same resources and shapes. | Vendor shows it for `GET /products` alone
format.success          | A   | reads      | JSON in and out; success is 200, for creates too. | Vendor, Printlijst
format.single           | A   | reads      | A single object has no wrapper. | Printlijst, Dura
format.head             | C   | reads      | `HEAD` is answered as `GET` is, without a body. | inference from Laravel
limit.number            | A   | reads      | 150 requests per IP over all endpoints and keys. | Vendor
limit.window            | B   | throttling | The limit is per minute. | inference from Laravel
limit.fixed             | C   | throttling | The window is fixed and begins with its first request. | inference from Laravel
limit.refusal           | A   | throttling | Above it: 429, `Too Many Attempts.`, `Retry-After`, `X-RateLimit-Limit`, `-Remaining`, `-Reset`. | Vendor, Laravel
limit.headers           | B   | reads      | Other answers carry `X-RateLimit-Limit` and `-Remaining`. | inference from Laravel
limit.counts            | C   | reads      | `X-RateLimit-Remaining` falls with each request. | inference from Laravel
limit.text              | B   | throttling | The throttle's text comes with other statuses too. | Printlijst looks for it
list.shape              | A   | reads      | A list is `{"items": […], "pageInfo": {…}}`. | Vendure, Printlijst, Dura
list.page-info          | A   | reads      | Every list has a `pageInfo`. | Printlijst, Dura
list.numbers            | A   | reads      | The numbers of `pageInfo` are JSON numbers. | Printlijst, Dura
list.per-page           | A   | reads      | `perPage` sets the size of a page; `page` counts from 1. | Vendor, Vendure, Dura
list.default-size       | B   | reads      | Without `perPage` a page holds 15 rows. | Dura
list.largest-size       | A/B | reads      | A page holds 100 rows at most; a larger `perPage` is cut. | Vendure, Printlijst; Dura says 50
list.items-per-page     | B   | reads      | `itemsPerPage` says the size that was given. | inference from Laravel
list.disjoint           | A/B | reads      | No row is on two pages. | Vendure, Dura
list.past-the-end       | A   | reads      | A page past the end is 200 without rows. | Vendure, Dura
list.empty-items        | C   | reads      | A page without rows still has `items`. | Vendure guards against the opposite
list.total-items        | C   | reads      | `totalItems` counts the rows. Nothing rests on it. | Dura and Printlijst saw otherwise
list.last-page          | C   | reads      | `lastPage` is the last page with rows. Nothing rests on it. | Dura and Printlijst saw otherwise
list.order              | A/B | reads      | Lists come oldest first. | Dura, Printlijst
list.order-by           | A/B | reads      | Orders obey `orderBy=createDate`, `orderByDirection`. | Exporter
list.reach              | B   | reads      | Page numbers reach 10,000 results. | Dura
list.cursor             | B   | reads      | `pageInfo.cursor`, sent as `cursor`, leads to the rows that follow. | Dura
list.created-after      | A   | reads      | `createdAfter=YYYY-MM-DD` has the rows of that day and later. | Dura, Printlijst
list.created-after-zone | C   | reads      | That day is a Dutch one. | inference from the dates that Dura reads
list.future             | C   | reads      | `createdAfter` with a day to come gives no rows. | inference from what Dura counts
filter.webshop          | B   | reads      | `webshopUuid` filters products and orders. | Dura
filter.search           | A   | reads      | `searchAttribute`, `searchDelimiter` (`=`), `searchValue` filter purely. | Vendure
filter.orderstatus      | B   | reads      | `orderstatus` lets orders of other statuses through. | Printlijst
filter.unknown          | C   | reads      | An unknown `searchAttribute` is refused with 422. | inference from Laravel
filter.others           | C   | reads      | Orders can be searched by attributes that no client uses, such as `externalDisplayId`. | no document
product.sku             | A   | writes     | A SKU is not unique, can be empty, and can look like a number. | Vendure
product.exists          | A   | writes     | Creating a product that exists fails with `already exists`. | Vendure
product.answer          | B   | writes     | A product write answers `{"items": [product]}`, a bare product or `[]`. | Vendure
product.placeholder     | A   | -          | A `picture` with `image_placeholder` in its URL is none. | Vendure
product.pictures        | A   | -          | Pictures must not be sent again and again. | Vendure's changelog quotes the complaint
stock.mutation          | A   | writes     | `stock-mutation` adds: sent twice, it counts twice. | Printlijst, AFAS bridge
order.answer            | B   | writes     | A create answers the uuid in one of five shapes; 200 may also be empty. | Vendure, AFAS bridge
order.twice             | C   | writes     | What a second order with the same `orderId` does is not known. | no document
order.house-number      | A   | writes     | House numbers are sent as text; numbers are refused. | Vendure's changelog
order.country           | A   | writes     | Countries are upper-case codes of ISO 3166-1 alpha-2. | Vendure
order.unknown-sku       | B   | writes     | A line with an unknown SKU blocks the order, unless told to ignore it. | Vendure
webhook.once            | A   | writes     | A second subscription like the first makes two. | Vendure
format.date-time        | A/B | reads      | Date-times are ISO; without an offset they are Dutch time. | Dura, Printlijst
format.date-style       | C   | reads      | All date-times are `YYYY-MM-DD HH:mm:ss`, with neither `T` nor offset. | inference from Laravel
format.amount           | B   | reads      | Amounts are decimals as text, or null. | Vendure, Dura
format.flag             | B   | reads      | Flags are booleans or 0 and 1. | Vendure, Dura
format.rows             | A/B | reads      | Rows are as the models of this version read them. | Vendure, Printlijst, Dura, Exporter
fields.open             | C   | reads      | Answers hold fields that no table has. | no document
values.open             | C   | reads      | Enumerations have values that no table has. | no document
delivery.signature      | A   | deliveries | `Signature` is the lower-case hexadecimal HMAC-SHA256 of the raw body. | Vendure
delivery.no-id          | A   | deliveries | No time, number or webshop in a delivery: no order, no replay protection. | Vendure
delivery.attempts       | A   | deliveries | All but exactly 200 is a failure; ten attempts, with growing pauses. | Help
delivery.disabled       | A   | deliveries | A receiver that keeps failing, or is slow, is disabled. | Help
delivery.shipments      | A   | deliveries | An event for new shipments exists; its name is not known. | Help
error.envelope          | A/B | reads      | An error is JSON with `message`, `error` or `errorMessage`; `errors` has texts by field. | Vendure, Printlijst
error.key               | A   | reads      | An unknown key is 401. | Printlijst
error.uuid              | A   | reads      | An unknown uuid is 404. | Printlijst
error.input             | B   | reads      | Refused input is 422. | inference from Laravel
error.language          | A   | writes     | Texts are Dutch, with the field's name in English words. | Vendure
"""
"""A line for each: id, confidence, what can show it, statement, source."""


def _facts() -> Iterator[Fact]:
    for line in _TABLE.splitlines():
        name, confidence, shown_by, statement, source = (part.strip() for part in line.split(" | "))
        yield Fact(name, statement, cast("Confidence", confidence), source, shown_by)


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

_ENUMERATIONS: Final[dict[str, tuple[Confidence, str]]] = {
    "OrderStatus": ("A", "Vendure, Printlijst"),
    "LineType": ("A/B", "Printlijst"),
    "ProductType": ("B", "Printlijst"),
    "ShipmentStatus": ("B", "Printlijst"),
    "WebhookEvent": ("A", "Vendure"),
}


def described(cls: type[Any]) -> Iterator[tuple[attrs.Attribute[Any], FieldInfo]]:
    """The fields of a model that are on the wire."""
    for field in attrs.fields(attrs.resolve_types(cls)):
        info = field_info(field.metadata)
        if info is not None:
            yield field, info


def field_facts(cls: type[Any]) -> Iterator[FieldFact]:
    """The fields of a model or event; confidence and source are in their metadata."""
    for _, info in described(cls):
        if info.confidence is not None:
            name = f"{info.name}*" if info.is_flat else info.name
            yield FieldFact(cls.__name__, name, info.confidence, info.source, info.section)


def event_facts() -> Iterator[Fact]:
    """The events of deliveries."""
    for name, cls in EVENTS.items():
        yield Fact(f"event.{name}", f"`{name}`, for `{cls.subscription}`.", "A", "Help, Vendure")


def enumerations() -> dict[str, tuple[tuple[str, ...], Confidence, str]]:
    """The known values of each open enumeration, how sure they are, and their source."""
    return {name: (tuple(m.value for m in getattr(models, name)), *sure) for name, sure in _ENUMERATIONS.items()}


_LETTERS: Final = {
    "A": "the vendor's text, or code of others that demonstrably runs in production",
    "A/B": "seen in several places, in part without proof",
    "B": "seen once, or without proof that it worked",
    "C": "inference, or a guess of another author; it is read if it appears, and nothing depends on it",
}
DOCUMENTS: Final[Mapping[str, str]] = {
    "Vendor": "the vendor's introductions to the fulfilment API and the account API",
    "Help": "the vendor's help centre",
    "Vendure": "the plugin of the Vendure shop system, in production since 2022",
    "Printlijst": "a print shop's application",
    "Dura": "a connector of a fulfilment house with about 180 webshops",
    "Exporter": "a program that exports orders for route planning",
    "AFAS bridge": "a bridge to the bookkeeping system AFAS",
    "Laravel": "the framework of the service; conclusions from it are inference",
}
"""The sources of all facts."""

_INTRODUCTION: Final = """\
<!-- Generated by `python -m goedgepickt_async.contract.facts`; edit the tables there. -->
# What is known about the API

GoedGepickt publishes an introduction to its API, but no specification. This page is generated from the tables of the
package. Docstrings call it "the reference" and name its sections. [How sure are we?](../concepts/how-sure.md) explains
what that means for you.

{letters}

The column "source" names the documents and programs that prove a fact. The letter is the confidence.

{sources}

The sources of a field are the sources of its object. Nothing was tried on the live service. `goedgepickt probe` checks
the facts whose column "shown by" says *reads*.

Endpoints without evidence have no method. Call them with `gg.request("GET", "/suppliers")`, under the same budget and
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
    letters = _table("letter", "the basis of a fact", {f"**{letter}**": text for letter, text in _LETTERS.items()})
    introduction = _INTRODUCTION.format(letters=letters, sources=_table("source", "what it is", DOCUMENTS))
    return "\n".join([introduction, *_lines()]).rstrip() + "\n"


def _table(left: str, right: str, rows: Mapping[str, str]) -> str:
    return "\n".join([f"| {left} | {right} |", "|---|---|", *(f"| {name} | {text} |" for name, text in rows.items())])


def _lines() -> Iterator[str]:
    for title, prefixes in _SECTIONS:
        yield f"## {title}\n"
        rows = [fact for fact in FACTS.values() if fact.id.startswith(prefixes)]
        yield "| fact | confidence | source | id | shown by |\n|---|---|---|---|---|"
        for fact in [*rows, *(event_facts() if title.startswith("6") else ())]:
            yield f"| {fact.statement} | {fact.confidence} | {fact.source} | `{fact.id}` | {fact.shown_by} |"
        yield ""
        if title.startswith("4"):
            yield from _endpoint_lines()
        if title.startswith("5"):
            yield "| enumeration, open | known values | confidence | source |\n|---|---|---|---|"
            for name, (values, sure, source) in enumerations().items():
                yield f"| `{name}` | {', '.join(f'`{value}`' for value in values if value)} | {sure} | {source} |"
            yield ""
        if title.startswith(("3", "6")):
            yield from _field_lines(title[0])


def _endpoint_lines() -> Iterator[str]:
    yield "| method and path | offered as | confidence | source | safe to send twice? | note |\n|---|---|---|---|---|---|"
    for one in ENDPOINTS.values():
        sure = f"{one.confidence} | {one.source} | {_TWICE[one.idempotency]}"
        yield f"| `{one.method} {one.path}` | `{one.operation}` | {sure} | {one.note} |".replace("|  |", "| |")
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
    """For each class of a section: its fields by confidence and source."""
    yield "| class | fields on the wire | confidence | source |\n|---|---|---|---|"
    for cls in (*(getattr(models, name) for name in models.__all__), *EVENTS.values()):
        by_source: dict[tuple[str, str], list[str]] = {}
        for fact in field_facts(cls) if attrs.has(cls) else ():
            if fact.section == section:
                by_source.setdefault((fact.confidence, fact.source), []).append(f"`{fact.name}`")
        for (sure, source), names in sorted(by_source.items()):
            yield f"| `{cls.__name__}` | {', '.join(names)} | {sure} | {source} |"
    yield ""


if __name__ == "__main__":
    sys.stdout.write(reference_page())
