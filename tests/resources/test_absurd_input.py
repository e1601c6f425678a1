"""An argument of any type and size is accepted or raises our error, with a short and printable message."""

from __future__ import annotations

import datetime as dt
import enum
import json
import re
from collections.abc import Awaitable, Callable
from decimal import Decimal
from pathlib import Path
from typing import Any, NoReturn

import attrs
import pytest

from goedgepickt_async import (
    ConfigurationError,
    GoedGepickt,
    GoedGepicktError,
    NewOrder,
    NewOrderLine,
    NewProduct,
    NewWebhook,
    OrderStatus,
    PickupLocation,
    ProductUpdate,
    RetryPolicy,
    ValidationError,
)
from goedgepickt_async.bulk import OutcomeStream
from goedgepickt_async.convert import encode
from goedgepickt_async.models import Unset
from goedgepickt_async.testing import unlimited_budget
from tests.support.raw_server import Exchange, raw_server
from tests.support.tables import each_row

pytestmark = pytest.mark.virtual_time


class Hostile:
    """Its methods raise."""

    def _raise(self, *_: object) -> NoReturn:
        raise RuntimeError

    __repr__ = __str__ = __eq__ = __hash__ = _raise


class Text(str):
    """As `numpy.str_`."""

    __slots__ = ()


class Number(enum.IntEnum):
    ONE = 1


VALUES: dict[str, Any] = {
    "None": None,
    "True": True,
    "a huge number": 10**5000,
    "infinity": 1e400,
    "a number that is none": Decimal("sNaN"),
    "empty": "",
    "a surrogate": "\ud800",
    "controls": "a\r\nX: y\x1b[2J\u202e",
    "a long text": "a" * 20_000,
    "a text of another class": Text("x"),
    "bytes": bytearray(b"x"),
    "a list": [],
    "a hostile object": Hostile(),
    "a list of it": [Hostile()],
    "a mapping": {"\ud800": 1, 1: 2, 10**5000: 3, "sku": Hostile()},
    "a moment": dt.datetime.min,  # noqa: DTZ901  a naive one
    "the last moment": dt.datetime.max.replace(tzinfo=dt.UTC),
    "a generator": (number for number in range(3)),
}
LINE = {"sku": "a", "product_name": "b", "quantity": 1, "tax_rate": "21"}
ORDER = {"order_id": "1", "status": "open", "lines": [LINE]}


async def drain(outcomes: OutcomeStream[Any, Any]) -> None:
    async with outcomes:
        async for _ in outcomes:
            str(outcomes)


async def apply(gg: GoedGepickt, **options: Any) -> None:
    await drain((await gg.stock.plan({})).apply(**options))


CALLS: dict[str, Callable[[GoedGepickt, Any], Awaitable[object]]] = {
    "get": lambda gg, value: gg.orders.get(value),
    "find_by_sku": lambda gg, value: gg.products.find_by_sku(value),
    "find_by_order_id": lambda gg, value: gg.orders.find_by_order_id(value),
    "status": lambda gg, value: gg.orders.list(status=value).first(),
    "created_after": lambda gg, value: gg.orders.list(created_after=value).first(),
    "on_unreadable": lambda gg, value: gg.orders.list(on_unreadable=value).first(),
    "limit": lambda gg, value: gg.orders.list().limit(value).first(),
    "resume": lambda gg, value: anext(aiter(gg.orders.list().pages(resume=value)), None),
    "order": lambda gg, value: gg.orders.create(value),
    "order id": lambda gg, value: gg.orders.create(ORDER | {"order_id": value}),
    "order status": lambda gg, value: gg.orders.create(ORDER | {"status": value}),
    "lines": lambda gg, value: gg.orders.create(ORDER | {"lines": value}),
    "line": lambda gg, value: gg.orders.create(ORDER | {"lines": [value]}),
    "line's values": lambda gg, value: gg.orders.create(ORDER | {"lines": [dict.fromkeys(LINE, value)]}),
    "address": lambda gg, value: gg.orders.create(ORDER | {"shipping": value}),
    "product": lambda gg, value: gg.products.update("u", value),
    "mutate": lambda gg, value: gg.stock.mutate(value, value, reason=value),
    "reason": lambda gg, value: gg.stock.mutate("u", 1, reason=value),
    "link": lambda gg, value: gg.stock.link("u", "l", priority=value),
    "ensure": lambda gg, value: gg.webhooks.ensure(value, value),
    "events": lambda gg, value: gg.webhooks.ensure("https://x.test/", value, webshops=value),
    "webhook": lambda gg, value: gg.webhooks.create(value, "https://x.test/"),
    "method": lambda gg, value: gg.request(value, "/x"),
    "path": lambda gg, value: gg.request("GET", value),
    "query": lambda gg, value: gg.request("GET", "/x", query=value),
    "parameter": lambda gg, value: gg.request("GET", "/x", query={"a": value}),
    "json": lambda gg, value: gg.request("PUT", "/x", json=value, idempotent=True),
    "headers": lambda gg, value: gg.request("GET", "/x", headers=value),
    "header": lambda gg, value: gg.request("GET", "/x", headers={"X-A": value}),
    "products.plan": lambda gg, value: gg.products.plan(value),
    "row of a plan": lambda gg, value: gg.products.plan([value]),
    "stock.plan": lambda gg, value: gg.stock.plan({"A": value}),
    "orders.plan": lambda gg, value: gg.orders.plan([value]),
    "since": lambda gg, value: gg.orders.plan([], since=value),
    "key of a plan": lambda gg, value: gg.products.plan([], key=value),
    "webshop of a plan": lambda gg, value: gg.products.plan([], webshop_uuid=value),
    "mode of a plan": lambda gg, value: gg.stock.plan({}, mode=value),
    "location of a plan": lambda gg, value: gg.stock.plan({}, location=value),
    "location": lambda gg, value: gg.stock.mutate("u", 1, pick_location_uuid=value),
    "stop": lambda gg, value: drain(gg.bulk.map(gg.orders.get, ["", "u"], stop=value)),
    "total": lambda gg, value: drain(gg.bulk.map(gg.orders.get, ["u"], total=value)),
    "start_run": lambda gg, value: gg.bulk.start_run(value),
    "resume_run": lambda gg, value: gg.bulk.resume_run(value),
    "journal": lambda gg, value: apply(gg, journal=value),
    "settle_after": lambda gg, value: apply(gg, settle_after=value),
    "max_age": lambda gg, value: apply(gg, max_age=value),
} | {
    f"option {name}": lambda gg, value, name=name: gg.with_options(**{name: value}).request("GET", "/x")
    for name in ("timeout", "max_wait", "deadline", "lane", "retry", "max_body", "user_agent", "headers")
}


def assert_short(error: GoedGepicktError) -> None:
    assert str(error).isprintable()
    assert len(str(error)) < 2_000
    fields = getattr(error, "fields", {})
    assert len(fields) <= 101
    assert all(len(name) <= 201 and len(texts) == 1 for name, texts in fields.items())


async def answer(exchange: Exchange) -> None:
    await exchange.answer(b'{"uuid": "u", "orderUuid": "o", "items": [], "pageInfo": {}}')


@pytest.mark.filterwarnings("ignore::UserWarning")  # a status that no version knows
@each_row("call", CALLS)
async def test_any_argument_is_accepted_or_raises_our_error(
    call: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / call).mkdir()
    monkeypatch.chdir(tmp_path / call)
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / call / "state"))
    async with (
        raw_server(answer) as server,
        GoedGepickt(
            "k", base_url=server.url, budget=unlimited_budget(), webshop_uuid="w", retry=RetryPolicy(base=0.0)
        ) as gg,
    ):
        for value in VALUES.values():
            try:
                await CALLS[call](gg, value)
            except GoedGepicktError as error:
                assert_short(error)


@each_row("name", ["max_attempts", "base", "cap", "max_refusals", "max_retry_after", "quota"])
def test_a_retry_policy_of_any_value_is_made_or_raises_our_error(name: str) -> None:
    values: list[Any] = [*VALUES.values(), -1, -0.5, float("nan")]
    for value in values:
        with pytest.raises(ConfigurationError, match=name) as caught:
            RetryPolicy(**{name: value})
        assert_short(caught.value)
    assert getattr(RetryPolicy(**{name: 3}), name) == 3


LEAST: dict[type[Any], dict[str, Any]] = {
    NewOrder: ORDER,
    NewOrderLine: LINE,
    NewProduct: {"name": "n", "sku": "s"},
    NewWebhook: {"event": "order.statusChanged", "target_url": "https://x.example.test/"},
    PickupLocation: {},
    ProductUpdate: {},
}
NUMERIC: dict[Any, list[Any]] = {
    int: [1],
    Decimal | Unset: [-1, 0, 1],
    Decimal | Unset | None: [None, -1, 0, 1],
}
NUMBERS: list[Any] = [-1, 0, 10**12, 1.5, float("nan"), "1e5", "1,5", " 1", "12.1234567", Decimal("1E+12"), Number.ONE]


@pytest.mark.filterwarnings("ignore::UserWarning")  # an event that no version knows
@each_row("cls", LEAST)
def test_a_writable_field_of_any_value_is_refused_by_its_name_or_can_be_sent(cls: type[Any]) -> None:
    for field in attrs.fields(attrs.resolve_types(cls)):
        accepted = []
        for value in [*VALUES.values(), *NUMBERS]:
            try:
                made = cls(**LEAST[cls] | {field.name: value})
            except ValidationError as error:
                assert_short(error)
                assert {re.split(r"[.[]", name)[0] for name in error.fields} == {field.name}
                continue
            accepted.append(value)
            assert json.loads(json.dumps(encode(made), allow_nan=False)) == encode(made)
            assert cls.from_json(made.to_json()) == made
        assert accepted == NUMERIC.get(field.type, accepted)


def test_a_text_of_another_class_is_an_open_value() -> None:
    text: str = Text("never-seen-before")
    status = OrderStatus(text)
    assert (type(status), type(status.value)) == (OrderStatus, str)


@each_row("blank", ["", " "])
async def test_a_blank_uuid_is_refused_and_does_not_mean_any(blank: str) -> None:
    async with GoedGepickt("k", webshop_uuid=blank) as gg:
        calls: list[Callable[[], Awaitable[object]]] = [
            lambda: gg.orders.list(webshop_uuid=blank).first(),
            lambda: gg.products.find_by_sku("A", webshop_uuid=blank),
            lambda: gg.products.list(supplier_uuid=blank).first(),
            lambda: gg.stock.mutate("u", 1, pick_location_uuid=blank),
            lambda: gg.stock.plan({"A": 1}, location=blank),
            lambda: gg.orders.create(ORDER),
        ]
        for call in calls:
            with pytest.raises((ConfigurationError, ValidationError), match=r"empty|required|uuid of"):
                await call()


async def test_fields_of_refused_input_are_limited_as_the_fields_of_a_response() -> None:
    many = {f"field {number}\x1b{'z' * 500}": 1 for number in range(5_000)}
    async with GoedGepickt("k", webshop_uuid="w") as gg:
        for order in (many, ORDER | {"shipping": many}):
            with pytest.raises(ValidationError) as caught:
                await gg.orders.create(order)
            assert_short(caught.value)
            assert "more fields" in str(caught.value.fields)
