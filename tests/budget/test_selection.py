"""Which budget a client uses: by default, by GOEDGEPICKT_BUDGET, by argument; the same one however it is said."""

from pathlib import Path
from typing import Any

import pytest

from goedgepickt_async import ConfigurationError, GoedGepickt, HostBudget, LocalBudget, RedisBudget
from goedgepickt_async.budget import describe_budget, select_budget
from goedgepickt_async.budget.selection import VARIABLE
from tests.support.tables import each_row

REAL = "https://account.goedgepickt.nl/api/v1"


@pytest.fixture(autouse=True)
def nothing_is_set(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(VARIABLE, raising=False)


def test_the_default_and_an_explicit_host_budget_are_the_same_file(monkeypatch: pytest.MonkeyPatch) -> None:
    paths = {HostBudget().path, HostBudget(share=100).path}
    for api in ("fulfilment", "account"):
        budget = GoedGepickt("key", api=api).budget
        assert isinstance(budget, HostBudget)
        paths.add(budget.path)
    monkeypatch.setenv(VARIABLE, "host")
    chosen = GoedGepickt("key").budget
    assert isinstance(chosen, HostBudget)
    assert paths == {chosen.path}


def test_the_environment_and_an_explicit_redis_budget_are_the_same_key(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("redis")
    url = "redis://:secret@redis.example.test:6380/2"
    monkeypatch.setenv(VARIABLE, url)
    chosen, explicit = GoedGepickt("key").budget, RedisBudget(url=url)
    assert isinstance(chosen, RedisBudget)
    assert chosen.snapshot().place == explicit.snapshot().place
    assert "secret" not in describe_budget(chosen) + repr(chosen)


@each_row(
    ("one", "other"),
    [
        (REAL, "https://account.goedgepickt.nl:443"),
        (REAL, "https://ACCOUNT.goedgepickt.nl./x"),
        ("http://api.example.test", "http://api.example.test:80/"),
    ],
)
def test_one_server_has_one_budget_however_its_url_is_spelled(one: str, other: str) -> None:
    assert select_budget(server=one) is select_budget(server=other)


@each_row("other", ["https://sandbox.example.test", "https://account.goedgepickt.nl:8443"])
def test_servers_do_not_share_a_budget(other: str) -> None:
    one, another = select_budget("host", server=REAL), select_budget("host", server=other)
    assert isinstance(one, HostBudget)
    assert isinstance(another, HostBudget)
    assert one.path != another.path


def test_a_directory_can_be_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(VARIABLE, f"host:{tmp_path}")
    budget = GoedGepickt("key").budget
    assert isinstance(budget, HostBudget)
    assert budget.path.parent == tmp_path
    assert budget.path.name == HostBudget().path.name


def test_a_server_on_this_machine_has_a_local_budget_unless_another_is_chosen(monkeypatch: pytest.MonkeyPatch) -> None:
    assert isinstance(GoedGepickt("key", base_url="http://127.0.0.1:8080").budget, LocalBudget)
    monkeypatch.setenv(VARIABLE, "host")
    assert isinstance(GoedGepickt("key", base_url="http://127.0.0.1:8080").budget, HostBudget)
    monkeypatch.setenv(VARIABLE, "local")
    assert isinstance(GoedGepickt("key").budget, LocalBudget)


@each_row(
    "choice",
    [
        "hosts",
        "host:relative",
        "http://x",
        "redis",
        "memcached://:secret@x",
        "file:///x",
        "redis:nothing",
        "redis://",
        "redis://:secret@",
        "rediss:///0",
        "redis://x/y",
        "unix://",
    ],
)
def test_an_unknown_choice_is_refused_with_the_forms_and_without_its_password(choice: str) -> None:
    with pytest.raises(ConfigurationError, match="host:/path") as caught:
        select_budget(choice)
    assert "secret" not in str(caught.value)


async def test_one_line_tells_kind_place_share_and_sharers(tmp_path: Path) -> None:
    budget = HostBudget(share=100, directory=tmp_path)
    line = describe_budget(budget)
    assert line.startswith(f"host, {tmp_path}")
    assert "100 of 150 requests in 60 s" in line
    assert "1 process shares it" in line


def test_the_pytest_fixtures_use_no_budget_of_the_environment(
    monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest
) -> None:
    monkeypatch.setenv(VARIABLE, "redis://redis.example.test/0")
    assert isinstance(request.getfixturevalue("goedgepickt_budget"), LocalBudget)


NAN, INFINITE = float("nan"), float("inf")
OF_EACH = [
    (
        {"limit": "redis://:geheim@cache.example.test"},
        "limit must be a whole number of at least 1 .*, not str; every arg",
    ),
    ({"limit": 1.5}, "limit must be a whole number .*, not float"),
    ({"limit": True}, "limit must be a whole number .*, not bool"),
    ({"limit": 0}, "limit must be .*, not 0"),
    ({"limit": 10**30}, "limit must be .* at most 1,000,000,000, not 1e[+]30"),
    ({"period": "60"}, "period must be a number of more than 0 .*, not str"),
    ({"period": 0}, "period must be .*, not 0"),
    ({"period": NAN}, "period must be .*, not nan"),
    ({"period": 1e300}, "period must be .*, not 1e[+]300"),
    ({"share": 0}, "share must be .*, not 0"),
    ({"share": 151}, "share must be at most the limit of 150, not 151"),
    ({"safety_margin": -1}, "safety_margin must be a number of at least 0 .*, not -1"),
    ({"late_arrival": INFINITE}, "late_arrival must be .*, not inf"),
    ({"headroom": -1}, "headroom must be a whole number of at least 0 .*, not -1"),
    ({"interactive_interval": 0}, "interactive_interval must be .*, not 0"),
    ({"use_server_counter": "no"}, "use_server_counter must be True or False, not str"),
]
OF_SHARED = [
    ({"fallback": 0}, "fallback must be a number of more than 0 and at most 1, not 0"),
    ({"fallback": 1.5}, "fallback must be .*, not 1.5"),
    ({"fallback": "1"}, "fallback must be .*, not str"),
    ({"name": ""}, "name must be text that is not empty"),
    ({"name": 3}, "name must be text"),
    ({"directory": "budget"}, "directory must be an absolute path"),
    ({"directory": 3}, "directory must be an absolute path"),
]
OF_REDIS = [
    ({"retry_every": 0}, "retry_every must be .*, not 0"),
    ({"patience": NAN}, "patience must be .*, not nan"),
    ({"name": "a{b}"}, "name must have no braces"),
    ({"url": 3}, "url must be text, not int"),
    ({"url": None}, "needs either url or client"),
    ({"url": "http://127.0.0.1:1"}, "url= is not a Redis URL"),
    ({"client": lambda: None}, "needs either url or client"),
]


@each_row(
    ("budget", "options", "message"),
    [(LocalBudget, *row) for row in OF_EACH]
    + [(HostBudget, *row) for row in OF_EACH + OF_SHARED]
    + [(RedisBudget, *row) for row in OF_EACH + OF_SHARED + OF_REDIS],
)
def test_a_setting_that_is_not_valid_is_named_with_what_is(budget: Any, options: dict[str, Any], message: str) -> None:
    place = {"url": "redis://127.0.0.1:1"} if budget is RedisBudget else {}
    with pytest.raises(ConfigurationError, match=f"^.*{message}") as caught:
        budget(**place | options)
    assert "geheim" not in str(caught.value)
