"""`goedgepickt plan` and `goedgepickt apply`, as a shop owner runs them."""

from __future__ import annotations

import io
import json
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import attrs
import pytest

from goedgepickt_async.bulk import Plan, list_runs
from goedgepickt_async.bulk.runs import TargetLock
from goedgepickt_async.cli import plan as plan_module
from goedgepickt_async.cli.common import UsageError
from goedgepickt_async.cli.plan import parse_limit
from goedgepickt_async.sandbox import Sandbox, faults
from goedgepickt_async.testing import serving
from tests.support.tables import each_row

from .conftest import Finished, skip_waits

Inside = Callable[..., Finished]


@pytest.fixture
def sandbox(inside: Inside, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Sandbox]:
    with serving(Sandbox(orders=5, products=40, limit=None)) as running:
        monkeypatch.setenv("GOEDGEPICKT_API_KEY", running.api_key)
        monkeypatch.setenv("GOEDGEPICKT_BASE_URL", running.url)
        monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
        skip_waits(monkeypatch)
        monkeypatch.setenv("GOEDGEPICKT_WEBSHOP_UUID", str(running.world.webshops[0]["uuid"]))
        yield running


def writes(sandbox: Sandbox) -> int:
    return sum(recorded.method != "GET" for recorded in sandbox.requests)


def catalogue(tmp_path: Path, *rows: str) -> None:
    (tmp_path / "p.csv").write_text("\r\n".join(["artikelnr;naam;prijs", *rows, ""]), encoding="utf-8-sig")


@pytest.mark.slow
def test_a_plan_is_printed_and_nothing_is_sent(inside: Inside, sandbox: Sandbox, tmp_path: Path) -> None:
    catalogue(tmp_path, "NIEUW-1;Mok;12,34")
    done = inside("plan", "products", "p.csv")
    assert done.code == 0, done.err
    assert "NIEUW-1" in done.out.decode()
    assert "12.34" in done.out.decode()
    assert json.loads(inside("plan", "products", "p.csv", "--json").out)
    assert writes(sandbox) == 0


@pytest.mark.slow
def test_a_saved_plan_and_a_file_are_applied_once(inside: Inside, sandbox: Sandbox, tmp_path: Path) -> None:
    catalogue(tmp_path, "NIEUW-1;Mok;12,34", "0012;Kom;1,50")
    assert inside("plan", "products", "p.csv", "-o", "plan.json").code == 0
    assert inside("apply", "plan.json", "--dry-run").code == 0
    assert writes(sandbox) == 0
    done = inside("apply", "plan.json")
    assert done.code == 0, done.err
    assert writes(sandbox) == 2
    assert inside("apply", "plan.json").code == 0  # its journal has these writes
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
        message = done.err + done.out.decode()
        assert "p.csv:2: prijs: '1.234' is ambiguous" in message
        assert "p.csv:3: artikelnr: is empty" in message
        assert "2 of 2 rows" in done.err
    assert "--skip-bad" in done.err
    assert writes(sandbox) == 0


def test_skip_bad_applies_the_good_rows(inside: Inside, sandbox: Sandbox, tmp_path: Path) -> None:
    catalogue(tmp_path, "NIEUW-1;Mok;1,50", ";x;1", "DUB;a;1", "DUB;b;2")
    blocked = inside("apply", "p.csv", "--kind", "products", "--column", "sku=artikelnr")
    assert (blocked.code, writes(sandbox)) == (1, 0)
    done = inside("apply", "p.csv", "--kind", "products", "--skip-bad")
    assert done.code == 1
    assert "3 of 4 rows are left out: 1 that cannot be read, 2 in conflict" in done.err
    for place in ("p.csv:3: artikelnr: is empty", "p.csv:4 and p.csv:5"):
        assert place in done.err
    assert writes(sandbox) == 1


@pytest.mark.slow
def test_a_failed_write_is_reported_and_done_in_the_next_run(inside: Inside, sandbox: Sandbox, tmp_path: Path) -> None:
    catalogue(tmp_path, "NIEUW-1;Mok;1,50", "NIEUW-2;Kom;1,50")
    sandbox.fail("POST", "/products", faults.Status(403))
    failed = inside("apply", "p.csv", "--kind", "products")
    assert failed.code in {1, 3, 4}, failed.err
    done = inside("apply", "p.csv", "--kind", "products")
    assert done.code == 0, done.err
    assert {len(sandbox.world.products_with_sku(sku)) for sku in ("NIEUW-1", "NIEUW-2")} == {1}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("apply", "p.csv"), "pass the kind of its rows"),
        (("plan", "stock", "p.csv", "--mode", "set"), "--mode set needs --location"),
        (("plan", "products", "p.csv", "--column", "sku"), "must be FIELD=COLUMN"),
        (("plan", "suppliers", "p.csv"), "suppliers"),
    ],
)
@pytest.mark.usefixtures("sandbox")
def test_invalid_arguments_are_refused(
    inside: Inside, tmp_path: Path, arguments: tuple[str, ...], message: str
) -> None:
    catalogue(tmp_path, "NIEUW-1;Mok;1,50")
    done = inside(*arguments)
    assert (done.code, message in done.err) == (2, True), done.err


@pytest.mark.usefixtures("sandbox")
def test_a_missing_file_is_reported_in_one_line(inside: Inside) -> None:
    done = inside("apply", "nowhere.csv")
    assert (done.code, done.err.count("\n")) == (1, 1)


@pytest.mark.slow
def test_a_saved_plan_with_conflicts_needs_skip_bad_regardless_of_its_file_name(
    inside: Inside, sandbox: Sandbox, tmp_path: Path
) -> None:
    catalogue(tmp_path, "NIEUW-1;Mok;1,50", "DUB;a;1", "DUB;b;2")
    assert inside("plan", "products", "p.csv", "-o", "saved").code == 1
    blocked = inside("apply", "saved")
    assert (blocked.code, "2 of 3 rows are bad or in conflict; nothing was sent" in blocked.err) == (1, True)
    assert writes(sandbox) == 0
    done = inside("apply", "saved", "--skip-bad")
    assert (done.code, "2 of 3 rows are left out: 2 in conflict" in done.err) == (1, True)
    assert writes(sandbox) == 1


def test_a_rejected_write_is_planned_again_in_the_next_run(inside: Inside, sandbox: Sandbox, tmp_path: Path) -> None:
    catalogue(tmp_path, "NIEUW-1;Mok;1,50")
    sandbox.fail("POST", "/products", faults.Status(422, body=b'{"message": "no", "errors": {"name": ["no"]}}'))
    assert inside("apply", "p.csv", "--kind", "products").code == 1
    reads = len(sandbox.requests)
    done = inside("apply", "p.csv", "--kind", "products")
    assert (done.code, "goes on with" in done.err, len(sandbox.requests) > reads + 1) == (0, False, True)


@pytest.mark.slow
def test_an_unusable_journal_sends_nothing_and_suggests_no_second_run(
    inside: Inside, tmp_path: Path, sandbox: Sandbox
) -> None:
    catalogue(tmp_path, "NIEUW-1;Mok;1,50")
    (tmp_path / "other.csv").write_text("sku;price\n")
    for path in (".", "other.csv", "/dev/full", "nowhere/x"):
        done = inside("apply", "p.csv", "--kind", "products", "--journal", path)
        assert (done.code, "Run the command again" in done.err, writes(sandbox)) == (1, False, 0)


@pytest.mark.slow
def test_a_run_is_refused_while_another_run_writes_to_the_same_webshop(
    inside: Inside, sandbox: Sandbox, tmp_path: Path
) -> None:
    catalogue(tmp_path, "EERST-1;Mok;1,50")
    assert inside("apply", "p.csv", "--kind", "products").code == 0
    sandbox.requests.clear()
    catalogue(tmp_path, "NIEUW-1;Mok;1,50")
    assert inside("plan", "products", "p.csv", "-o", "plan.json").code == 0
    with TargetLock(list_runs()[0].target):
        for command in (("p.csv", "--kind", "products"), ("plan.json",)):
            done = inside("apply", *command)
            assert (done.code, "another run is writing" in done.err, writes(sandbox)) == (1, True, 0), done.err
    assert inside("apply", "p.csv", "--kind", "products").code == 0


def test_a_dry_run_prints_the_planned_writes(inside: Inside, sandbox: Sandbox, tmp_path: Path) -> None:
    catalogue(tmp_path, "NIEUW-1;Mok;1,50")
    done = inside("apply", "p.csv", "--kind", "products", "--dry-run")
    assert (done.code, "+ NIEUW-1" in done.out.decode(), writes(sandbox)) == (0, True, 0)


@pytest.mark.slow
def test_without_a_webshop_option_the_command_lists_the_webshops_and_stops(
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


@pytest.mark.slow
@pytest.mark.usefixtures("sandbox")
def test_an_unreachable_server_stops_the_run_early_and_the_run_can_continue(
    inside: Inside, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    catalogue(tmp_path, *(f"NIEUW-{number};Mok;1,50" for number in range(60)))
    assert inside("plan", "products", "p.csv", "-o", "plan.json").code == 0
    monkeypatch.setenv("GOEDGEPICKT_BASE_URL", "http://127.0.0.1:9/api/fulfilment/v1")
    done = inside("apply", "plan.json")
    assert (done.code, "Run the command again for the others" in done.err) == (4, True), done.err
    assert sum(line.startswith("NIEUW-") for line in done.err.splitlines()) == 10


@pytest.mark.slow
def test_a_key_without_write_access_stops_the_run_after_ten_failures(
    inside: Inside, sandbox: Sandbox, tmp_path: Path
) -> None:
    catalogue(tmp_path, *(f"NIEUW-{number};Mok;1,50" for number in range(60)))
    sandbox.fail("POST", "/products", faults.Status(403), times=40)
    done = inside("apply", "p.csv", "--kind", "products")
    assert (done.code, "10 writes in a row failed" in done.err) == (4, True), done.err
    assert writes(sandbox) < 40


# -- runs -----------------------------------------------------------------------------------------------------------


def interrupted(inside: Inside, sandbox: Sandbox, tmp_path: Path) -> None:
    """A run of sixty new products that stopped before it created a product."""
    catalogue(tmp_path, *(f"NIEUW-{number};Mok;1,50" for number in range(60)))
    sandbox.fail("POST", "/products", faults.Status(403), times=40)
    done = inside("apply", "p.csv", "--kind", "products")
    assert (done.code, "run 2" in done.err) == (4, True), done.err
    sandbox.clear_faults()
    sandbox.requests.clear()


def made(sandbox: Sandbox, prefix: str) -> int:
    return sum(str(product["sku"]).startswith(prefix) for product in sandbox.world.products)


@pytest.mark.slow
def test_an_interrupted_run_continues_after_its_file_is_renamed(
    inside: Inside, sandbox: Sandbox, tmp_path: Path
) -> None:
    interrupted(inside, sandbox, tmp_path)
    (tmp_path / "p.csv").rename(tmp_path / "renamed.csv")
    done = inside("apply", "renamed.csv", "--kind", "products")
    assert (done.code, "goes on with run" in done.err) == (0, True), done.err
    assert made(sandbox, "NIEUW-") == 60


@pytest.mark.slow
def test_another_file_is_refused_until_the_interrupted_run_is_continued_or_dropped(
    inside: Inside, sandbox: Sandbox, tmp_path: Path
) -> None:
    interrupted(inside, sandbox, tmp_path)
    catalogue(tmp_path, "ANDERS-1;Kom;2,50")
    refused = inside("apply", "p.csv", "--kind", "products")
    assert (refused.code, writes(sandbox)) == (1, 0)
    assert all(word in refused.err for word in ("--continue", "--look-up", "--drop", "goedgepickt runs 2"))
    both = inside("apply", "p.csv", "--kind", "products", "--continue", "--drop")
    assert (both.code, "cannot be combined" in both.err) == (2, True)
    done = inside("apply", "p.csv", "--kind", "products", "--continue")
    assert done.code == 0, done.err
    assert (made(sandbox, "NIEUW-"), made(sandbox, "ANDERS-")) == (60, 1)


@pytest.mark.slow
def test_an_interrupted_run_can_be_dropped(inside: Inside, sandbox: Sandbox, tmp_path: Path) -> None:
    interrupted(inside, sandbox, tmp_path)
    catalogue(tmp_path, "ANDERS-1;Kom;2,50")
    done = inside("apply", "p.csv", "--kind", "products", "--drop")
    assert (done.code, "dropped run" in done.err) == (0, True), done.err
    assert (made(sandbox, "NIEUW-"), made(sandbox, "ANDERS-")) == (0, 1)


@pytest.mark.slow
def test_runs_are_listed_shown_finished_and_dropped(inside: Inside, sandbox: Sandbox, tmp_path: Path) -> None:
    assert inside("runs").out == b""
    interrupted(inside, sandbox, tmp_path)
    (row,) = inside("runs", "--json").rows
    assert (row["state"], row["writes"], row["done"], row["source"]) == ("unfinished", 60, 0, "p.csv")
    assert row["id"] in inside("runs").out.decode()
    done = inside("runs", row["id"], "--continue")
    assert (done.code, made(sandbox, "NIEUW-")) == (0, 60), done.err
    changes = inside("runs", row["id"], "--json").rows
    assert [change["state"] for change in changes] == ["done"] * 60
    assert inside("runs", row["id"], "--drop").code == 2
    assert inside("runs", "--drop").code == 2
    assert inside("runs", "nope").code == 2


def test_a_damaged_record_of_a_run_is_reported_and_the_other_runs_are_listed(
    inside: Inside, sandbox: Sandbox, tmp_path: Path
) -> None:
    for price in ("1,50", "2,50"):
        catalogue(tmp_path, f"NIEUW-1;Mok;{price}")
        assert inside("apply", "p.csv", "--kind", "products").code == 0
    latest, first = list_runs()
    record = first.folder / f"{first.id}.json"
    record.write_text("{", encoding="utf-8")
    done = inside("runs", "--json")
    assert (done.code, [row["id"] for row in done.rows]) == (1, [latest.id])
    assert f"{record} is damaged" in done.err
    assert inside("runs", latest.id).code == 0
    assert (inside("runs", first.id).code, f"{record} is damaged" in inside("runs", first.id).err) == (1, True)
    before = writes(sandbox)
    refused = inside("apply", "p.csv", "--kind", "products")  # the damaged record may belong to an unfinished run
    assert (refused.code, writes(sandbox)) == (1, before), refused.err


@pytest.mark.slow
def test_a_run_records_the_old_and_new_values(inside: Inside, sandbox: Sandbox, tmp_path: Path) -> None:
    catalogue(tmp_path, "NIEUW-1;Mok;1,50")
    assert inside("apply", "p.csv", "--kind", "products").code == 0
    catalogue(tmp_path, "NIEUW-1;Mok;2,75")
    done = inside("apply", "p.csv", "--kind", "products")
    assert done.code == 0
    assert "price: 1.50 → 2.75" in done.err
    latest = inside("runs", "--json").rows[0]["id"]
    assert "1.50" in inside("runs", latest).out.decode()


# -- limits and reports ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("limit", "code"), [("1", 1), ("2", 0), ("99%", 1), ("100%", 0), ("0", 1)])
def test_more_changes_than_allowed_are_not_sent(
    inside: Inside, sandbox: Sandbox, tmp_path: Path, limit: str, code: int
) -> None:
    catalogue(tmp_path, "NIEUW-1;Mok;1,50", "NIEUW-2;Mok;1,50")
    done = inside("apply", "p.csv", "--kind", "products", "--max-changes", limit)
    assert (done.code, writes(sandbox)) == (code, 0 if code else 2), done.err


@each_row("text", ["", "x", "-1", "101%", "1.5", "%", "10 %x"])
def test_an_invalid_limit_is_refused(text: str) -> None:
    with pytest.raises(UsageError):
        parse_limit(text, 10)


def test_a_suspicious_plan_needs_the_yes_option(
    inside: Inside, sandbox: Sandbox, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    catalogue(tmp_path, "NIEUW-1;Mok;1,50")
    read = plan_module.PlanTask.plan

    async def suspicious(*arguments: Any) -> Plan:
        return attrs.evolve(await read(*arguments), notices=("all prices become 100 times as high",))

    monkeypatch.setattr(plan_module.PlanTask, "plan", suspicious)
    done = inside("apply", "p.csv", "--kind", "products")
    assert (done.code, "100 times" in done.err, "--yes" in done.err, writes(sandbox)) == (1, True, True, 0)
    assert inside("apply", "p.csv", "--kind", "products", "--yes").code == 0


@each_row(
    ("arguments", "message"),
    [
        (("plan", "stock", "p.csv", "--key", "product_id"), "--key is for products, not for stock"),
        (("plan", "stock", "p.csv", "--update-pictures"), "--update-pictures is for products"),
        (("plan", "stock", "p.csv", "--since", "2026-01-01"), "--since is for orders"),
        (("plan", "products", "p.csv", "--mode", "set"), "--mode is for stock"),
        (("plan", "products", "p.csv", "--location", "x"), "--location is for stock"),
        (("plan", "stock", "p.csv", "--one-location", "--location", "x"), "--one-location is for --mode set"),
        (("plan", "products", "p.csv", "--set", "price"), "FIELD=VALUE"),
        (("plan", "products", "p.csv", "--set", "price=1", "--set", "price=2"), "given twice"),
        (("plan", "stock", "p.csv", "--existing-only"), "--existing-only is for products"),
        (("plan", "products", "p.csv", "--existing-only", "--create-in", "x"), "cannot be combined"),
        (("plan", "products", "p.csv", "--create-in", "nope"), "the account has no webshop 'nope'"),
        (("plan", "products", "p.csv", "--create-in", "x", "--webshop", "y"), "leave out --webshop"),
        (("apply", "p.csv", "--kind", "products", "--drop", "--look-up"), "cannot be combined"),
        (("apply", "-"), "--kind"),
        (("plan", "stock", "s.csv", "--location", "nope"), "there is no pick location with this uuid or name"),
        (("plan", "stock", "s.csv", "--webshop", "nope"), "no webshop 'nope'"),
    ],
)
@pytest.mark.usefixtures("sandbox")
def test_options_of_another_kind_and_unknown_names_are_refused(
    inside: Inside, tmp_path: Path, arguments: tuple[str, ...], message: str
) -> None:
    catalogue(tmp_path, "NIEUW-1;Mok;1,50")
    (tmp_path / "s.csv").write_text("sku;voorraad\nSB-00000;5\n")
    done = inside(*arguments)
    assert (done.code, message in done.err) == (2, True), done.err


@pytest.mark.slow
@pytest.mark.usefixtures("sandbox")
def test_row_options_are_refused_for_a_saved_plan(inside: Inside, tmp_path: Path) -> None:
    catalogue(tmp_path, "NIEUW-1;Mok;1,50")
    assert inside("plan", "products", "p.csv", "-o", "plan.json").code == 0
    done = inside("apply", "plan.json", "--webshop", "x")
    assert (done.code, "--webshop is for rows" in done.err) == (2, True)
    assert inside("plan", "products", "p.csv", "-o", "nowhere/plan.json").code == 1


@pytest.mark.usefixtures("sandbox")
def test_a_location_and_a_webshop_can_be_given_by_name(inside: Inside, tmp_path: Path, sandbox: Sandbox) -> None:
    (tmp_path / "s.csv").write_text("sku;voorraad\nSB-00000;5\n")
    shop = str(sandbox.world.webshops[0]["name"]).upper()
    place = inside("export", "pick-locations").rows[0]["name"]
    done = inside("plan", "stock", "s.csv", "--webshop", shop, "--location", place.lower())
    assert shop.lower() in done.out.decode().lower(), done.err


def test_rows_can_come_from_stdin(inside: Inside, sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch) -> None:
    class Stdin:
        buffer = io.BytesIO(b"sku;naam\nNIEUW-1;Mok\n;x\n")

    monkeypatch.setattr(sys, "stdin", Stdin)
    done = inside("plan", "products", "-")
    assert (done.code, "stdin:3" in done.out.decode()) == (1, True), done.err
    assert writes(sandbox) == 0


@pytest.mark.slow
def test_the_json_output_reports_the_result_of_all_rows(inside: Inside, sandbox: Sandbox, tmp_path: Path) -> None:
    catalogue(tmp_path, "NIEUW-1;Mok;1,50", ";x;1", "DUB;a;1", "DUB;b;2", "FOUT;Kom;1,50")
    sandbox.fail(
        "POST", "/products", faults.Status(422, body=b'{"message": "no", "errors": {"name": ["no"]}}'), after=1
    )
    done = inside("apply", "p.csv", "--kind", "products", "--skip-bad", "--json")
    assert done.code == 1
    found = json.loads(done.out)
    assert (found["rows"], found["writes"], found["left_out"], found["refused"]) == (5, 2, 3, None)
    assert found["bad_rows"] == ["p.csv:3: artikelnr: is empty"]
    assert [conflict["where"] for conflict in found["conflicts"]] == [["p.csv:4", "p.csv:5"]]
    assert (found["counts"], len(found["failures"])) == ({"sent": 1, "failed": 1}, 1)
    assert "1 of 2 writes is done" in done.err
    refused = json.loads(inside("apply", "p.csv", "--kind", "products", "--json").out)
    assert (refused["counts"], "nothing was sent" in refused["refused"]) == ({}, True)


def test_a_dry_run_names_rows_that_would_be_left_out(inside: Inside, sandbox: Sandbox, tmp_path: Path) -> None:
    catalogue(tmp_path, "NIEUW-1;Mok;1,50", ";x;1")
    done = inside("apply", "p.csv", "--kind", "products", "--dry-run")
    assert (done.code, "p.csv:3" in done.out.decode(), writes(sandbox)) == (1, True, 0)
    assert "1 would be sent" in done.err


# -- how rows are read and compared ---------------------------------------------------------------------------------


def test_a_missing_product_is_not_created_with_existing_only(inside: Inside, sandbox: Sandbox, tmp_path: Path) -> None:
    catalogue(tmp_path, "NIEUW-1;Mok;1,50")
    done = inside("apply", "p.csv", "--kind", "products", "--existing-only", "--skip-bad")
    assert (done.code, "1 of 1 row is left out" in done.err, writes(sandbox)) == (1, True, 0), done.err


@pytest.mark.slow
def test_a_product_of_another_webshop_is_created_only_with_create_in(
    inside: Inside, sandbox: Sandbox, tmp_path: Path
) -> None:
    first, second = (str(shop["name"]) for shop in sandbox.world.webshops[:2])
    theirs = inside("export", "products", "--webshop", second).rows
    here = {row["sku"] for row in inside("export", "products", "--webshop", first).rows}
    sku = next(row["sku"] for row in theirs if row["sku"] and row["sku"] not in here)
    catalogue(tmp_path, f"{sku};Mok;1,50")
    refused = inside("apply", "p.csv", "--kind", "products")
    assert (refused.code, second in refused.err, writes(sandbox)) == (1, True, 0), refused.err
    two = inside("apply", "p.csv", "--kind", "products", "--create-in", first, "--webshop", second)
    assert (two.code, writes(sandbox)) == (2, 0)
    done = inside("apply", "p.csv", "--kind", "products", "--create-in", first)
    assert (done.code, writes(sandbox)) == (0, 1), done.err


@pytest.mark.slow
def test_a_value_can_be_set_for_all_rows_instead_of_a_column(inside: Inside, sandbox: Sandbox, tmp_path: Path) -> None:
    (tmp_path / "p.csv").write_text("sku;naam\nNIEUW-1;Mok\nNIEUW-2;Kom\n")
    done = inside("apply", "p.csv", "--kind", "products", "--set", "price=9,95")
    assert done.code == 0, done.err
    prices = {row["sku"]: row["price"] for row in inside("export", "products").rows}
    assert (prices["NIEUW-1"], prices["NIEUW-2"]) == ("9.95", "9.95")
    wrong = inside("plan", "products", "p.csv", "--set", "price=cheap")
    assert (wrong.code, "cheap" in wrong.err) == (1, True), wrong.err


@pytest.mark.usefixtures("sandbox")
def test_an_unknown_profile_is_refused_with_the_names_of_the_profiles(inside: Inside, tmp_path: Path) -> None:
    catalogue(tmp_path, "NIEUW-1;Mok;1,50")
    done = inside("plan", "products", "p.csv", "--profile", "nope")
    assert (done.code, "shopify" in done.err) == (2, True), done.err


ODD_NAMES = ["-10% korting; =1+1", "=SUM(A1)", "@home", "+31", "'t Hart", "zeg \"hallo\"; '=x", "regel een\nregel twee",
             "a|=b", "; =1", " =1"]  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize("options", [("p.csv",), ("p.csv", "--excel-csv"), ("p.xlsx",), ("p.jsonl",)], ids=str)
def test_a_plan_of_an_unedited_export_is_empty(inside: Inside, sandbox: Sandbox, options: tuple[str, ...]) -> None:
    shop = str(sandbox.world.webshops[0]["uuid"])
    for number, name in enumerate([*ODD_NAMES, "a twin"]):
        sandbox.world.add_product(sku=f"-odd {number % len(ODD_NAMES):04}", name=name)
    done = inside("export", "products", "--webshop", shop, "--output", *options)
    assert done.code == 0, done.err
    for kind in ("products", "stock"):
        plan = inside("plan", kind, options[0])
        assert plan.code == 0, plan.out.decode()
        assert "0 to create, 0 to change" in plan.out.decode()
        assert "There is nothing to send" in plan.out.decode()
