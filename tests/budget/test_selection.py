"""Which budget a client uses: by default, by GOEDGEPICKT_BUDGET, by argument; the same one however it is said."""

from pathlib import Path

import pytest

from goedgepickt_async import ConfigurationError, GoedGepickt, HostBudget, LocalBudget, RedisBudget
from goedgepickt_async.budget import describe_budget, select_budget
from goedgepickt_async.budget.selection import VARIABLE

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


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (REAL, "https://account.goedgepickt.nl:443"),
        (REAL, "https://ACCOUNT.goedgepickt.nl./x"),
        ("http://api.example.test", "http://api.example.test:80/"),
    ],
)
def test_one_server_has_one_budget_however_its_url_is_spelled(one: str, other: str) -> None:
    assert select_budget(server=one) is select_budget(server=other)


@pytest.mark.parametrize("other", ["https://sandbox.example.test", "https://account.goedgepickt.nl:8443"])
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


@pytest.mark.parametrize(
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
