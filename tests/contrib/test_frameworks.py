"""Models in other people's frameworks, written as docs/concepts/models.md says."""

from __future__ import annotations

import json
from datetime import timedelta
from decimal import Decimal
from typing import Annotated, Any

import pytest

from goedgepickt_async import NewOrder, Order, Product, ValidationError
from goedgepickt_async.contrib.arrow import to_batch
from goedgepickt_async.testing import order, product
from tests.models.test_serialization import ask

BODY = {"order_id": "S", "status": "open", "lines": [{"sku": "a", "product_name": "b", "quantity": 1}]}


async def test_litestar_gives_models_and_takes_their_dicts() -> None:
    litestar = pytest.importorskip("litestar")

    async def read() -> list[Product]:
        return [product(1), product(2)]

    async def make(data: dict[str, Any]) -> dict[str, Any]:
        try:
            return NewOrder.from_dict(data).to_dict()
        except ValidationError as error:
            raise litestar.exceptions.ClientException(str(error)) from None

    for function, returned in ((read, list[Product]), (make, dict[str, Any])):
        function.__annotations__["return"] = returned
    make.__annotations__["data"] = Annotated[dict[str, Any], litestar.params.Body()]
    app = litestar.Litestar([litestar.get("/products")(read), litestar.post("/orders")(make)])
    status, text = await ask(app, "GET", "/products")
    assert status == 200
    assert [Product.from_dict(row) for row in json.loads(text)] == [product(1), product(2)]
    status, text = await ask(app, "POST", "/orders", BODY)
    assert (status, json.loads(text)) == (201, BODY)
    status, text = await ask(app, "POST", "/orders", {**BODY, "lines": []})
    assert status == 400
    assert "lines" in text
    status, text = await ask(app, "GET", "/schema/openapi.json")
    assert status == 200


def test_a_celery_task_takes_and_gives_dicts_through_json() -> None:
    celery = pytest.importorskip("celery")
    app = celery.Celery(broker="memory://", backend="cache+memory://")
    app.conf.update(task_always_eager=True, task_store_eager_result=True, task_serializer="json")

    @app.task  # type: ignore[untyped-decorator]
    def label(data: dict[str, Any]) -> dict[str, Any]:
        return Order.from_dict(json.loads(json.dumps(data))).to_dict()

    assert Order.from_dict(label.delay(order(3).to_dict()).get()) == order(3)


async def test_a_taskiq_task_takes_and_gives_dicts() -> None:
    taskiq = pytest.importorskip("taskiq")
    broker = taskiq.InMemoryBroker()

    @broker.task  # type: ignore[untyped-decorator]
    async def label(data: dict[str, Any]) -> dict[str, Any]:
        return Order.from_dict(data).to_dict()

    sent = await label.kiq(order(3).to_dict())
    result = await sent.wait_result(timeout=60)
    assert Order.from_dict(result.return_value) == order(3)


def test_pandas_and_polars_hold_times_of_one_zone_and_exact_amounts() -> None:
    pandas, polars = pytest.importorskip("pandas"), pytest.importorskip("polars")
    orders = [order(number, total_paid=Decimal("0.1")) for number in range(3)]
    # One list has times before and after the clocks change, and in UTC on the wire.
    orders.append(order(9, created_at=(orders[0].created_at or 0) - timedelta(days=120)))  # type: ignore[operator]
    assert str(pandas.to_datetime([one.created_at for one in orders]).dtype).endswith("Europe/Amsterdam]")
    frame = pandas.DataFrame([one.to_dict() for one in orders])
    assert list(frame["uuid"]) == [one.uuid for one in orders]
    batch = to_batch("orders", orders)
    assert list(batch.to_pandas()["total_paid"])[:3] == [Decimal("0.100000")] * 3
    table = polars.from_arrow(batch)
    assert table["created_at"].to_list() == [one.created_at for one in orders]
    assert table["lines"][0][0]["quantity"] == 1
    assert len(polars.DataFrame([one.to_dict() for one in orders])) == 4
