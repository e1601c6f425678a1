"""`goedgepickt plan` and `goedgepickt apply`, as a shop owner runs them."""

from __future__ import annotations

import inspect
import json
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from goedgepickt_async.bulk import Plan
from goedgepickt_async.sandbox import Sandbox, faults
from goedgepickt_async.testing import serving

from .conftest import Finished

Inside = Callable[..., Finished]
NO_PLANS_YET = "where" not in inspect.signature(Plan.render).parameters
needs_plans = pytest.mark.skipif(NO_PLANS_YET, reason="what is behind plans is not there yet")


@pytest.fixture
def sandbox(inside: Inside, monkeypatch: pytest.MonkeyPatch) -> Iterator[Sandbox]:
    with serving(Sandbox(orders=5, products=40, limit=None)) as running:
        monkeypatch.setenv("GOEDGEPICKT_API_KEY", running.api_key)
        monkeypatch.setenv("GOEDGEPICKT_BASE_URL", running.url)
        monkeypatch.setenv("GOEDGEPICKT_WEBSHOP_UUID", str(running.world.webshops[0]["uuid"]))
        yield running


def writes(sandbox: Sandbox) -> int:
    return sum(recorded.method != "GET" for recorded in sandbox.requests)


def catalogue(tmp_path: Path, *rows: str) -> None:
    (tmp_path / "p.csv").write_text("\r\n".join(["artikelnr;naam;prijs", *rows, ""]), encoding="utf-8-sig")


@needs_plans
def test_a_plan_is_printed_and_nothing_is_sent(inside: Inside, sandbox: Sandbox, tmp_path: Path) -> None:
    catalogue(tmp_path, "NIEUW-1;Mok;12,34")
    done = inside("plan", "products", "p.csv")
    assert done.code == 0, done.err
    assert "NIEUW-1" in done.out.decode()
    assert "12.34" in done.out.decode()
    assert json.loads(inside("plan", "products", "p.csv", "--json").out)
    assert writes(sandbox) == 0


@needs_plans
def test_a_saved_plan_and_a_file_are_applied_and_then_there_is_nothing_left(
    inside: Inside, sandbox: Sandbox, tmp_path: Path
) -> None:
    catalogue(tmp_path, "NIEUW-1;Mok;12,34", "0012;Kom;1,50")
    assert inside("plan", "products", "p.csv", "-o", "plan.json").code == 0
    assert inside("apply", "plan.json", "--dry-run").code == 0
    assert writes(sandbox) == 0
    done = inside("apply", "plan.json")
    assert done.code == 0, done.err
    assert writes(sandbox) == 2
    assert inside("apply", "plan.json").code == 0  # its journal knows
    done = inside("apply", "p.csv", "--kind", "products")
    assert done.code == 0, done.err
    assert "2 rows were right already" in done.err
    assert writes(sandbox) == 2
    assert {path.name for path in tmp_path.iterdir() if path.name.startswith("p.csv")} == {"p.csv"}


def test_bad_rows_are_named_and_nothing_is_sent(inside: Inside, sandbox: Sandbox, tmp_path: Path) -> None:
    catalogue(tmp_path, "NIEUW-1;Mok;1.234", ";x;1")
    for command in (("plan", "products", "p.csv"), ("apply", "p.csv", "--kind", "products")):
        done = inside(*command)
        assert done.code == 1
        assert "p.csv:2: prijs: '1.234' can mean two numbers" in done.err
        assert "p.csv:3: artikelnr: is empty" in done.err
        assert "--skip-bad" in done.err
    assert not sandbox.requests


@needs_plans
def test_with_skip_bad_the_others_are_done(inside: Inside, sandbox: Sandbox, tmp_path: Path) -> None:
    catalogue(tmp_path, "NIEUW-1;Mok;1,50", ";x;1", "DUB;a;1", "DUB;b;2")
    blocked = inside("apply", "p.csv", "--kind", "products", "--column", "sku=artikelnr")
    assert (blocked.code, writes(sandbox)) == (1, 0)
    done = inside("apply", "p.csv", "--kind", "products", "--skip-bad")
    assert done.code == 0, done.err
    assert writes(sandbox) == 1


@needs_plans
def test_a_write_that_fails_is_told_and_done_the_next_time(inside: Inside, sandbox: Sandbox, tmp_path: Path) -> None:
    catalogue(tmp_path, "NIEUW-1;Mok;1,50", "NIEUW-2;Kom;1,50")
    sandbox.fail("POST", "/products", faults.Status(403))
    failed = inside("apply", "p.csv", "--kind", "products")
    assert failed.code in {1, 3, 4}, failed.err
    done = inside("apply", "p.csv", "--kind", "products")
    assert done.code == 0, done.err
    assert {len(sandbox.world.products_with_sku(sku)) for sku in ("NIEUW-1", "NIEUW-2")} == {1}


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("apply", "p.csv"), "say what its rows are with --kind"),
        (("plan", "stock", "p.csv", "--mode", "set"), "--mode set needs --location"),
        (("plan", "products", "p.csv", "--column", "sku"), "it is FIELD=COLUMN"),
        (("plan", "suppliers", "p.csv"), "suppliers"),
    ],
)
@pytest.mark.usefixtures("sandbox")
def test_what_makes_no_sense_is_refused(inside: Inside, tmp_path: Path, arguments: tuple[str, ...], said: str) -> None:
    catalogue(tmp_path, "NIEUW-1;Mok;1,50")
    done = inside(*arguments)
    assert (done.code, said in done.err) == (2, True), done.err


@pytest.mark.usefixtures("sandbox")
def test_a_file_that_is_not_there_is_one_line(inside: Inside) -> None:
    done = inside("apply", "nowhere.csv")
    assert (done.code, done.err.count("\n")) == (1, 1)


def test_a_saved_plan_with_conflicts_sends_nothing_unless_told_to_whatever_its_name(
    inside: Inside, sandbox: Sandbox, tmp_path: Path
) -> None:
    catalogue(tmp_path, "NIEUW-1;Mok;1,50", "DUB;a;1", "DUB;b;2")
    assert inside("plan", "products", "p.csv", "-o", "saved").code == 1
    blocked = inside("apply", "saved")
    assert (blocked.code, "1 conflicts; nothing was sent" in blocked.err, writes(sandbox)) == (1, True, 0)
    assert inside("apply", "saved", "--skip-bad").code == 0
    assert writes(sandbox) == 1


def test_what_moved_is_planned_anew_the_next_time(inside: Inside, sandbox: Sandbox, tmp_path: Path) -> None:
    catalogue(tmp_path, "NIEUW-1;Mok;1,50")
    sandbox.fail("POST", "/products", faults.Status(422, body=b'{"message": "no", "errors": {"name": ["no"]}}'))
    assert inside("apply", "p.csv", "--kind", "products").code == 1
    reads = len(sandbox.requests)
    done = inside("apply", "p.csv", "--kind", "products")
    assert (done.code, "goes on with" in done.err, len(sandbox.requests) > reads + 1) == (0, False, True)


def test_a_journal_that_cannot_be_used_is_no_reason_to_try_again(
    inside: Inside, tmp_path: Path, sandbox: Sandbox
) -> None:
    catalogue(tmp_path, "NIEUW-1;Mok;1,50")
    for path in (".", "p.csv", "/dev/full", "nowhere/x"):
        done = inside("apply", "p.csv", "--kind", "products", "--journal", path)
        assert (done.code, "does what is left" in done.err, writes(sandbox)) == (1, False, 0)


def test_two_at_once_are_told_no_before_the_second_plans(inside: Inside, sandbox: Sandbox, tmp_path: Path) -> None:
    fcntl = pytest.importorskip("fcntl")
    catalogue(tmp_path, "NIEUW-1;Mok;1,50")
    with (tmp_path / "p.csv").open("rb") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        done = inside("apply", "p.csv", "--kind", "products")
        assert (done.code, "another process is applying" in done.err, len(sandbox.requests)) == (1, True, 0)
    assert inside("apply", "p.csv", "--kind", "products").code == 0


def test_a_dry_run_says_what_would_be_done(inside: Inside, sandbox: Sandbox, tmp_path: Path) -> None:
    catalogue(tmp_path, "NIEUW-1;Mok;1,50")
    done = inside("apply", "p.csv", "--kind", "products", "--dry-run")
    assert (done.code, "+ NIEUW-1" in done.out.decode(), writes(sandbox)) == (0, True, 0)


def test_of_several_webshops_none_is_guessed(
    inside: Inside, sandbox: Sandbox, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    catalogue(tmp_path, "NIEUW-1;Mok;1,50")
    monkeypatch.delenv("GOEDGEPICKT_WEBSHOP_UUID")
    uuids = [str(shop["uuid"]) for shop in sandbox.world.webshops]
    assert len(uuids) > 1
    for command in (("plan", "products", "p.csv"), ("apply", "p.csv", "--kind", "products")):
        done = inside(*command)
        assert (done.code, [uuid in done.err for uuid in uuids], writes(sandbox)) == (2, [True] * len(uuids), 0)
    assert inside("apply", "p.csv", "--kind", "products", "--webshop", uuids[1]).code == 0


@pytest.mark.usefixtures("sandbox")
def test_a_server_that_is_gone_ends_it_soon_and_resumably(
    inside: Inside, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    catalogue(tmp_path, *(f"NIEUW-{number};Mok;1,50" for number in range(60)))
    assert inside("plan", "products", "p.csv", "-o", "plan.json").code == 0
    monkeypatch.setenv("GOEDGEPICKT_BASE_URL", "http://127.0.0.1:9/api/fulfilment/v1")
    done = inside("apply", "plan.json")
    assert (done.code, "the same command does what is left" in done.err) == (4, True), done.err
    assert done.err.count("NIEUW-") == 10


def test_a_key_that_may_not_write_is_found_out_soon(inside: Inside, sandbox: Sandbox, tmp_path: Path) -> None:
    catalogue(tmp_path, *(f"NIEUW-{number};Mok;1,50" for number in range(60)))
    sandbox.fail("POST", "/products", faults.Status(403), times=40)
    done = inside("apply", "p.csv", "--kind", "products")
    assert (done.code, "10 writes in a row failed" in done.err) == (4, True), done.err
    assert writes(sandbox) < 40
