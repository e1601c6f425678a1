"""Models are equal after dicts, JSON, pydantic and FastAPI. Data that does not fit the model is refused."""

from __future__ import annotations

import copy
import enum
import functools
import json
import pickle
from decimal import Decimal
from typing import Annotated, Any

import attrs
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from goedgepickt_async import models
from goedgepickt_async.convert import decode
from goedgepickt_async.endpoints import ENDPOINTS
from goedgepickt_async.errors import DecodeError, ValidationError
from goedgepickt_async.models import UNSET, NewOrder, NewOrderLine, Order, ProductUpdate, Secret, Webhook
from goedgepickt_async.models.serialization import Model
from goedgepickt_async.testing.strategies import for_model
from tests.support.fuzz import examples
from tests.support.tables import each_row

ALL = sorted(
    (thing for name in models.__all__ if isinstance(thing := getattr(models, name), type) and issubclass(thing, Model)),
    key=lambda cls: cls.__name__,
)


@functools.cache
def some(name: str) -> st.SearchStrategy[Any]:
    return for_model(getattr(models, name))


@functools.cache
def adapter_of(name: str) -> Any:
    return pytest.importorskip("pydantic").TypeAdapter(getattr(models, name))


def through_json(plain: Any) -> Any:
    return json.loads(json.dumps(plain))


def through_orjson(plain: Any) -> Any:
    orjson = pytest.importorskip("orjson")
    return orjson.loads(orjson.dumps(plain))


def through_msgspec(plain: Any) -> Any:
    msgspec = pytest.importorskip("msgspec")
    return msgspec.msgpack.decode(msgspec.msgpack.encode(msgspec.json.decode(msgspec.json.encode(plain))))


@pytest.mark.slow
@pytest.mark.parametrize("cls", ALL, ids=lambda cls: cls.__name__)
@given(data=st.data())
@settings(max_examples=examples(5))
def test_every_model_is_equal_after_every_serializer(cls: type[Model], data: st.DataObject) -> None:
    model = data.draw(some(cls.__name__))
    plain = model.to_dict(show_secrets=True)
    for through in (through_json, through_orjson, through_msgspec):
        assert through(plain) == plain
        assert cls.from_dict(through(plain)) == model
    assert cls.from_json(model.to_json(show_secrets=True)) == model
    assert cls.from_dict(plain).to_dict(show_secrets=True) == plain
    for again in (pickle.loads(pickle.dumps(model)), copy.copy(model), copy.deepcopy(model)):
        assert again == model
        assert again.to_dict(show_secrets=True) == plain
    if cls is not models.Address:  # an address has wire names only after a prefix
        assert cls.from_dict(through_json(model.to_dict(wire=True, show_secrets=True)), wire=True) == model
    adapter = adapter_of(cls.__name__)
    assert adapter.validate_python(model) is model
    assert adapter.validate_python(plain) == model
    if "***" not in (masked := adapter.dump_json(model)).decode():
        assert adapter.validate_json(masked) == model


def test_every_model_is_tested() -> None:
    tested = {cls.__name__ for cls in ALL}
    assert tested > {"Order", "Product", "Shipment", "Webhook", "NewOrder", "PageInfo", "Address", "StockLocation"}
    assert tested >= {name for endpoint in ENDPOINTS.values() for name in (endpoint.model, endpoint.body) if name} - {
        "CreatedOrder"
    }


@each_row(
    ("cls", "data", "path"),
    [
        (Order, {"externalDisplayId": "#1", "uuid": "o"}, "externalDisplayId"),
        (Order, {}, "uuid"),
        (Order, {"uuid": 5}, "uuid"),
        (Order, {"uuid": "o", "total_paid": 1.5}, "total_paid"),
        (Order, {"uuid": "o", "total_paid": "1,5"}, "total_paid"),
        (Order, {"uuid": "o", "created_at": "gisteren"}, "created_at"),
        (Order, {"uuid": "o", "lines": [{"quantity": "2"}]}, "lines[0].quantity"),
        (Order, {"uuid": "o", "lines": {"0": {}}}, "lines"),
        (Order, {"uuid": "o", "shipping": {"citty": "x"}}, "shipping.citty"),
        (Order, {"uuid": "o", "attention_needed": 1}, "attention_needed"),
        (Order, [], ""),
        (Order, "o", ""),
        (Order, None, ""),
        (NewOrderLine, {"sku": "a", "product_name": "x", "quantity": 0}, "quantity"),
        (NewOrder, {"order_id": "S"}, "lines"),
        (Webhook, {"uuid": "h", "secret": "***"}, "secret"),
    ],
)
def test_data_that_does_not_fit_the_model_is_refused_with_its_place(cls: type[Model], data: Any, path: str) -> None:
    with pytest.raises(ValidationError) as caught:
        cls.from_dict(data)
    assert path in caught.value.fields
    with pytest.raises(ValidationError):
        cls.from_json(json.dumps(data))


@each_row("text", ["", "{", "nee", b"\xff", "null", "[" * 100_000])
def test_a_text_that_is_not_a_json_object_is_refused(text: str | bytes) -> None:
    with pytest.raises(ValidationError):
        Order.from_json(text)


@pytest.mark.parametrize("cls", [Order, models.Product, models.Shipment, Webhook, models.StockLocation])
@given(data=st.data())
@settings(max_examples=3)
def test_a_model_with_python_names_is_refused_as_a_response_of_the_api(cls: type[Model], data: st.DataObject) -> None:
    plain = data.draw(some(cls.__name__)).to_dict(show_secrets=True)
    with pytest.raises(DecodeError, match=f"use {cls.__name__}.from_dict"):
        decode(plain, cls)


def test_the_error_for_names_of_the_api_suggests_wire_true() -> None:
    with pytest.raises(ValidationError, match="pass wire=True"):
        Order.from_dict({"uuid": "o", "externalDisplayId": "#1"})


def test_a_secret_is_serialized_as_asterisks() -> None:
    hook = Webhook(uuid="h", secret=Secret("geheim"))
    assert hook.to_dict()["secret"] == "***"
    assert "geheim" not in hook.to_json() + repr(hook) + hook._repr_html_()


def test_every_serializer_refuses_unset() -> None:
    change = attrs.asdict(ProductUpdate(price="1.50"))
    with pytest.raises(TypeError):
        json.dumps(change, default=lambda value: value.value if isinstance(value, enum.Enum) else json.loads(value))
    msgspec = pytest.importorskip("msgspec")
    for unfit in (ProductUpdate(price="1.50"), Webhook(uuid="h", secret=Secret("geheim"))):
        with pytest.raises(TypeError):
            msgspec.json.encode(unfit)
    orjson = pytest.importorskip("orjson")
    with pytest.raises(TypeError):
        orjson.dumps(change)
    pydantic = pytest.importorskip("pydantic")
    with pytest.raises(ValueError, match="serialize"):
        pydantic.TypeAdapter(dict[str, Any]).dump_json(change)
    assert copy.deepcopy(UNSET) is UNSET


def test_a_repr_is_shortened_and_shows_no_personal_data() -> None:
    order = Order(uuid="o-1", customer_note="<b>Geheim</b>", shipping=models.Address(city="Geheim", country="NL"))
    assert repr(order).startswith("Order(uuid='o-1', ")
    assert repr(order).endswith(", …)")
    assert repr(models.Webshop(uuid="w")).endswith(", …)")
    assert "Geheim" not in repr(order) + order._repr_html_() + str(list(order.__rich_repr__()))
    assert "<script>" not in Order(uuid="<script>")._repr_html_()


def test_rich_shows_the_same_fields_as_repr() -> None:
    pretty = pytest.importorskip("rich.pretty")
    shown = pretty.pretty_repr(Order(uuid="o-1", customer_note="Geheim"), max_width=500)
    assert "o-1" in shown
    assert "Geheim" not in shown
    assert "…" in shown


async def ask(app: Any, method: str, path: str, body: Any = None) -> tuple[int, str]:
    """One request to an ASGI application: the status and the text of its response."""
    sent: list[dict[str, Any]] = []

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": b"" if body is None else json.dumps(body).encode(), "more_body": False}

    async def send(message: dict[str, Any]) -> None:
        sent.append(message)

    scope = {
        "type": "http",
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "method": method,
        "scheme": "http",
        "path": path,
        "raw_path": path.encode(),
        "query_string": b"",
        "root_path": "",
        "headers": [(b"content-type", b"application/json"), (b"host", b"example.test")],
        "client": ("127.0.0.1", 1),
        "server": ("example.test", 80),
    }
    await app(scope, receive, send)
    return sent[0]["status"], b"".join(message.get("body", b"") for message in sent[1:]).decode()


async def test_fastapi_accepts_and_returns_models_and_its_schema_keeps_enumerations_open() -> None:
    fastapi = pytest.importorskip("fastapi")
    app = fastapi.FastAPI()

    async def read() -> Order:
        return Order(uuid="o-1", total_paid=Decimal("1.50"), status=models.OrderStatus("quantum"))

    async def make(order: NewOrder) -> list[NewOrderLine]:
        return list(order.lines)

    # Without an annotation, FastAPI accepts only pydantic models as bodies.
    make.__annotations__["order"] = Annotated[NewOrder, fastapi.Body()]

    app.get("/o")(read)
    app.post("/n")(make)
    _, text = await ask(app, "GET", "/o")
    assert Order.from_dict(json.loads(text)) == Order(
        uuid="o-1", total_paid=Decimal("1.50"), status=models.OrderStatus("quantum")
    )
    body = {"order_id": "S", "status": "open", "lines": [{"sku": "a", "product_name": "b", "quantity": 1}]}
    _, text = await ask(app, "POST", "/n", body)
    assert json.loads(text) == [{"sku": "a", "product_name": "b", "quantity": 1}]
    status, text = await ask(app, "POST", "/n", {**body, "lines": []})
    assert status == 422
    assert "lines" in text
    status, text = await ask(app, "GET", "/openapi.json")
    assert status == 200
    assert '"enum"' not in text
    assert "ready_for_picking" in text


def test_pydantic_models_can_contain_models_of_this_package() -> None:
    pydantic = pytest.importorskip("pydantic")
    holder = pydantic.create_model("Holder", order=(Order, ...), status=(models.OrderStatus, ...))
    held = holder(order={"uuid": "o-1", "total_paid": "2"}, status="quantum")
    assert held.order == Order(uuid="o-1", total_paid=Decimal(2))
    assert not held.status.is_known
    assert holder.model_validate_json(held.model_dump_json()) == held
    with pytest.raises(pydantic.ValidationError):
        holder(order={"uuid": "o-1", "nonsense": 1}, status="open")
