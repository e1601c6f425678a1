"""What GoedGepickt sends and this version does not know: told once to each client, and never what it says of people."""

import gc
import itertools
import logging
import sys
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from goedgepickt_async import GoedGepickt, Hooks, Order, OrderStatus, logs
from goedgepickt_async.convert import decode, decode_rows
from goedgepickt_async.errors import DecodeError
from goedgepickt_async.sandbox import Sandbox, faults
from goedgepickt_async.webhooks import UnknownEvent, parse
from tests.observability.conftest import Heard

Make = Callable[..., GoedGepickt]
_fresh = (f"novelty{''.join(chr(97 + int(digit)) for digit in str(number))}" for number in itertools.count())


@pytest.fixture
def novel() -> str:
    """A name that no test used before: what was noticed once in a process is not noticed again."""
    return next(_fresh)


@pytest.fixture(autouse=True)
def _a_fresh_memory() -> Iterator[None]:
    before = dict(logs._seen)
    logs._seen.clear()
    yield
    logs._seen.clear()
    logs._seen.update(before)  # else no test would notice those things again in this process


def client(**hooks: Any) -> GoedGepickt:
    return GoedGepickt("a-key", base_url="http://127.0.0.1:9/x", hooks=Hooks(**hooks))


def drifts(heard: Heard, kind: str) -> list[tuple[str, str, str]]:
    return [(seen.model, seen.field, seen.value) for seen in heard.of("drift") if seen.kind == kind]


async def test_new_field_is_reported_once_for_many_rows(
    watched: GoedGepickt, heard: Heard, sandbox: Sandbox, novel: str
) -> None:
    rows = [{"uuid": f"o{number}", novel: "jan@example.test"} for number in range(300)]
    sandbox.fail("GET", "/orders", faults.Status(200, json={"items": rows[:100], "pageInfo": {"itemsPerPage": 100}}))
    await watched.orders.list().limit(50).collect()
    assert (("Order", novel, "")) in drifts(heard, "field")
    decode_rows(rows, Order)
    assert drifts(heard, "field").count(("Order", novel, "")) == 1
    assert "jan@example.test" not in str(heard.of("drift"))


def test_a_key_that_is_no_text_is_noticed_and_read(heard: Heard, novel: str) -> None:
    """JSON has none, but other formats have."""
    gg = client(drift=heard.hooks().drift)
    row: dict[Any, Any] = {"uuid": "a", 5: "five", novel: 1}
    for _ in range(3):
        assert decode(row, Order).extra == {5: "five", novel: 1}
    assert set(drifts(heard, "field")) == {("Order", "(not shown)", ""), ("Order", novel, "")}
    del gg


def test_a_key_of_any_length_is_noticed_without_being_kept() -> None:
    long = "k" * 100_000
    before = sys.getrefcount(long)
    logs.report_drift("field", "Order", field=long)
    assert list(logs._seen) == [logs.DriftDetected(kind="field", model="Order", field="(not shown)")]
    assert sys.getrefcount(long) == before


def test_new_status_is_reported_once(heard: Heard, novel: str) -> None:
    gg = client(drift=heard.hooks().drift)
    read = decode_rows([{"uuid": "a", "status": novel}] * 300, Order)
    assert read[0].status == OrderStatus(novel)
    assert drifts(heard, "value") == [("OrderStatus", "", novel)]
    assert gg.settings.api_key == "a-key"


def test_known_fields_and_values_are_no_drift(heard: Heard) -> None:
    gg = client(drift=heard.hooks().drift)
    decode({"uuid": "a", "status": "completed"}, Order)
    decode_rows([{"uuid": "a", "status": status.value} for status in OrderStatus], Order)
    assert heard.events == []
    del gg


def test_new_event_is_reported(heard: Heard, novel: str) -> None:
    gg = client(drift=heard.hooks().drift)
    body = f'{{"event": "{novel}", "email": "jan@example.test"}}'.encode()
    assert isinstance(parse(body), UnknownEvent)
    parse(body)
    assert drifts(heard, "event") == [("UnknownEvent", "", novel)]
    del gg


def test_value_of_wrong_type_is_reported_with_its_place(heard: Heard) -> None:
    gg = client(drift=heard.hooks().drift)
    rows: list[Any] = [{"uuid": "a"}, {"uuid": "b", "status": ["jan@example.test"]}]
    with pytest.raises(DecodeError):
        decode_rows(rows, Order)
    assert drifts(heard, "type") == [("Order", "items[].status", "")]
    assert "jan@example.test" not in str(heard.events)
    del gg


@pytest.mark.parametrize("odd", ["jan@example.test", "0612345678", "a" * 100, "Straße", "", "with\nline"])
def test_what_is_no_plain_word_is_not_shown(heard: Heard, odd: str) -> None:
    gg = client(drift=heard.hooks().drift)
    decode({"uuid": "a", odd: 1, "status": odd or "completed"}, Order)
    assert heard.events
    assert not odd or odd not in str(heard.events)
    del gg


def test_every_client_gets_each_report_once_also_one_that_comes_later(novel: str) -> None:
    early, late = Heard(), Heard()
    first = client(drift=early.hooks().drift)
    decode({"uuid": "a", novel: 1}, Order)
    second = client(drift=late.hooks().drift)
    decode({"uuid": "a", novel: 2}, Order)
    assert drifts(early, "field") == drifts(late, "field") == [("Order", novel, "")]
    del first, second


def test_deleted_client_gets_no_report(heard: Heard, novel: str) -> None:
    gg = client(drift=heard.hooks().drift)
    del gg
    gc.collect()
    decode({"uuid": "a", novel: 1}, Order)
    assert heard.events == []


def test_what_is_reported_is_limited_for_any_response(heard: Heard, records: list[logging.LogRecord]) -> None:
    gg = client(drift=heard.hooks().drift)
    for number in range(400):
        word = "x" + "".join(chr(97 + int(digit)) for digit in str(number))
        decode({"uuid": "a", word: 1}, Order)
    assert len(heard.events) == len(records) == len(logs._seen) == 256
    del gg


def test_it_is_logged_once_in_a_process(records: list[logging.LogRecord], novel: str) -> None:
    for _ in range(3):
        decode({"uuid": "a", novel: "jan@example.test"}, Order)
    (record,) = records
    assert record.gg_event == "drift.detected"  # type: ignore[attr-defined]  # all of ours have it
    assert (record.name, record.levelno) == ("goedgepickt_async.drift", logging.WARNING)
    assert novel in record.getMessage()
    assert "jan@example.test" not in record.getMessage()


def test_hooks_that_several_clients_share_get_each_report_once(heard: Heard, novel: str) -> None:
    hooks = heard.hooks()
    clients = [GoedGepickt("a-key", base_url="http://127.0.0.1:9/x", hooks=hooks) for _ in range(3)]
    decode({"uuid": "a", novel: 1}, Order)
    assert drifts(heard, "field") == [("Order", novel, "")]
    del clients
