"""Which clients share a budget by default: all those of one server."""

import pytest

from goedgepickt_async.budget import registry
from goedgepickt_async.budget.registry import shared_budget


@pytest.fixture(autouse=True)
def fresh(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(registry, "_budgets", {})


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("https://api.example.test/api/v1", "https://api.example.test/api/fulfilment/v1"),
        ("https://api.example.test/v1", "https://API.Example.TEST/v1"),
        ("https://api.example.test/v1", "https://api.example.test:443/v1"),
        ("http://api.example.test/v1", "http://api.example.test:80/v1"),
        ("https://api.example.test/v1", "http://api.example.test:443/v1"),
        ("https://api.example.test/v1", "https://api.example.test./v1"),
        ("http://127.0.0.1:8080/v1", "http://127.0.0.1:8080/v2"),
    ],
)
def test_one_server_has_one_budget_however_it_is_written(one: str, other: str) -> None:
    assert shared_budget(one, is_local="127" in one) is shared_budget(other, is_local="127" in other)
    assert shared_budget(one, is_local="127" in one).limit == 150


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("https://api.example.test", "https://other.example.test"),
        ("https://api.example.test", "https://api.example.test:8443"),
        ("https://api.example.test", "http://api.example.test"),
        ("http://127.0.0.1:8080", "http://127.0.0.1:8081"),
    ],
)
def test_two_servers_have_two_budgets(one: str, other: str) -> None:
    assert shared_budget(one, is_local="127" in one) is not shared_budget(other, is_local="127" in other)
