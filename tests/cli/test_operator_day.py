"""A day of an operator: each intended write is made once, and the screen says all that was not done.

The sandbox's record of requests is the judge.
"""

from __future__ import annotations

import asyncio
import os
import signal
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import attrs
import pytest

from goedgepickt_async.bulk import list_runs
from goedgepickt_async.sandbox import Sandbox, faults
from goedgepickt_async.testing import serving
from tests.support.waiting import until_in_thread

from .conftest import Finished, Goedgepickt, skip_waits

pytestmark = pytest.mark.slow

HEAD = "Ordernummer;Besteldatum;Status;Achternaam;Straat;Huisnummer;Postcode;Plaats;Land;Artikelnummer;Productnaam;Aantal;BTW"
Inside = Callable[..., Finished]


@attrs.define
class Interrupt:
    """Carry the request out, and press Ctrl-C before it is answered."""

    number: int = signal.SIGINT

    async def play(self, exchange: Any) -> Any:
        await exchange.answer()
        os.kill(os.getpid(), self.number)
        await exchange.pause(None)
        return exchange.hang_up()


@attrs.define
class Meanwhile:
    """Have a colleague run a command while the request is in progress."""

    command: Callable[[], Finished]
    seen: list[Finished] = attrs.field(factory=list)

    async def play(self, exchange: Any) -> Any:
        self.seen.append(await asyncio.to_thread(self.command))
        return exchange.reply(await exchange.answer())


@pytest.fixture
def sandbox(inside: Inside, monkeypatch: pytest.MonkeyPatch) -> Iterator[Sandbox]:
    with serving(Sandbox(orders=5, products=60, webshops=2, seed=3, limit=None, oddities=False)) as running:
        monkeypatch.setenv("GOEDGEPICKT_API_KEY", running.api_key)
        monkeypatch.setenv("GOEDGEPICKT_BASE_URL", running.url)
        monkeypatch.setenv("GOEDGEPICKT_WEBSHOP_UUID", str(running.world.webshops[0]["uuid"]))
        skip_waits(monkeypatch)
        yield running


def orders(path: Path, *ids: str, quantity: object = 2) -> None:
    rows = [f"{name};20-11-2026;open;A;Straat;1;3511 AB;Utrecht;NL;SB-00000;Mok;{quantity};21" for name in ids]
    path.write_text("\n".join([HEAD, *rows, ""]))


def levels(path: Path, wanted: Mapping[str, int]) -> None:
    path.write_text("\n".join(["sku;voorraad", *(f"{sku};{level}" for sku, level in wanted.items()), ""]))


def free_stock(inside: Inside) -> dict[str, int]:
    """By SKU, of the first webshop's products whose stock can be written."""
    rows = inside("export", "products", "--webshop", os.environ["GOEDGEPICKT_WEBSHOP_UUID"]).rows
    return {
        row["sku"]: row["stock"]["free_stock"]
        for row in rows
        if row["type"] == "normal" and row["stock"] and not row["stock"]["unlimited_stock"]
    }


def writes(sandbox: Sandbox) -> list[Any]:
    return [recorded for recorded in sandbox.requests if recorded.method != "GET" and recorded.applied]


def created(sandbox: Sandbox) -> Counter[str]:
    """How often each order was created."""
    return Counter(str(recorded.body["orderId"]) for recorded in writes(sandbox) if recorded.path == "/orders")


def test_orders_of_a_day_are_each_created_once(
    inside: Inside, sandbox: Sandbox, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ids = [f"DAG-{number}" for number in range(30)]
    apply = ("--kind", "orders")

    # The wrong file and a bad one: nothing is sent, and the line is named.
    levels(tmp_path / "stock.csv", {"SB-00000": 3})
    wrong = inside("apply", "stock.csv", *apply)
    assert (wrong.code, "no column is known to hold order_id" in wrong.err) == (1, True), wrong.err
    orders(tmp_path / "day.csv", *ids)
    text = (tmp_path / "day.csv").read_text()
    (tmp_path / "day.csv").write_text(text.replace("DAG-3;20-11-2026", "DAG-3;31-11-2026"))
    bad = inside("apply", "day.csv", *apply)
    assert (bad.code, "day.csv:5: Besteldatum" in bad.err, "order DAG-3 is left out" in bad.err) == (1, True, True)
    assert "1 of 30 orders is bad or in conflict; nothing was sent" in bad.err
    assert writes(sandbox) == []

    # Corrected, and stopped in the middle of a write.
    orders(tmp_path / "day.csv", *ids)
    sandbox.fail("POST", "/orders", Interrupt(), after=2)
    stopped = inside("apply", "day.csv", *apply)
    assert (stopped.code, "in progress and will be looked up" in stopped.err) == (4, True), stopped.err
    assert " of 30 writes are done" in stopped.err
    before = len(writes(sandbox))

    # A colleague's file of the same shop has to wait; the other shop's orders have not.
    orders(tmp_path / "other.csv", "ANDER-1")
    refused = inside("apply", "other.csv", *apply)
    assert (refused.code, len(writes(sandbox))) == (1, before)
    assert all(word in refused.err for word in ("nothing was sent", "day.csv", "--continue", "--look-up", "--drop"))
    looked = inside("apply", "other.csv", *apply, "--dry-run")
    assert (looked.code, "not finished: run" in looked.err, len(writes(sandbox))) == (0, True, before)
    second = str(sandbox.world.webshops[1]["name"])
    assert inside("apply", "other.csv", *apply, "--webshop", second).code == 0

    # The same rows continue under another name, stopped once more; then nothing is left to do.
    (tmp_path / "day.csv").rename(tmp_path / "again.csv")
    sandbox.fail("POST", "/orders", Interrupt(signal.SIGTERM), after=1)
    assert inside("apply", "again.csv", *apply).code == 4
    done = inside("apply", "again.csv", *apply)
    assert (done.code, "30 of 30 writes are done" in done.err) == (0, True), done.err
    recorded_runs = len(list_runs())
    repeated = inside("apply", "again.csv", *apply)
    assert len(list_runs()) == recorded_runs, "a run without a write is not kept"
    assert (repeated.code, "nothing to send: 30 orders were right already" in repeated.err) == (0, True), repeated.err

    # Two exports behind each other, and a colleague with a copy of the file while a write is in progress.
    orders(tmp_path / "twice.csv", "TWEE-7", "TWEE-8", "TWEE-7")
    assert inside("apply", "twice.csv", *apply, "--skip-bad").code == 1
    orders(tmp_path / "copy.csv", "TWEE-9")
    colleague = Meanwhile(lambda: inside("apply", "copy.csv", *apply))
    sandbox.fail("POST", "/orders", colleague)
    orders(tmp_path / "mine.csv", "TWEE-9")
    inside("apply", "mine.csv", *apply)
    (theirs,) = colleague.seen
    assert (theirs.code, "another run is writing" in theirs.err, "nothing was sent" in theirs.err) == (1, True, True)

    # The other key's account, or another webshop, is never gone on with.
    monkeypatch.setenv("GOEDGEPICKT_WEBSHOP_UUID", str(sandbox.world.webshops[1]["uuid"]))
    assert inside("apply", "copy.csv", *apply).code == 0
    assert created(sandbox) == Counter({**dict.fromkeys([*ids, "ANDER-1", "TWEE-8"], 1), "TWEE-9": 2})
    shops = [recorded.body["webshopUuid"] for recorded in writes(sandbox) if recorded.body["orderId"] == "TWEE-9"]
    assert shops == [str(shop["uuid"]) for shop in sandbox.world.webshops]


def test_stock_of_a_day_ends_at_the_last_file_after_any_interruption(
    inside: Inside, goedgepickt: Goedgepickt, sandbox: Sandbox, tmp_path: Path
) -> None:
    stock = free_stock(inside)
    skus = list(stock)[:8]
    apply = ("--kind", "stock")

    def now() -> dict[str, int]:
        found = free_stock(inside)
        return {sku: found[sku] for sku in skus}

    morning = {sku: stock[sku] + 3 for sku in skus}
    evening = {sku: level + 50 for sku, level in morning.items()}

    # Stopped; corrected, which has to wait; looked up, corrected, and gone back to the first.
    levels(tmp_path / "stock.csv", morning)
    sandbox.fail("PUT", "*/stock-mutation", Interrupt(), after=2)
    assert inside("apply", "stock.csv", *apply).code == 4
    (run,) = list_runs()
    assert (run.done, run.counts["unknown"]) == (len(writes(sandbox)) - run.counts["unknown"], run.counts["unknown"])
    levels(tmp_path / "stock.csv", evening)
    before = len(writes(sandbox))
    assert (inside("apply", "stock.csv", *apply).code, len(writes(sandbox))) == (1, before)
    looked_up = inside("runs", run.id, "--look-up")
    assert (looked_up.code, len(writes(sandbox))) == (0, before), looked_up.err
    (run,) = list_runs()
    assert (run.state, run.done) == ("dropped", before)
    assert inside("apply", "stock.csv", *apply).code == 0
    assert now() == evening
    levels(tmp_path / "stock.csv", morning)
    assert inside("apply", "stock.csv", *apply).code == 0
    assert now() == morning

    # Killed: the record says what was done, and another file may give the run up.
    levels(tmp_path / "stock.csv", evening)
    sandbox.fail("PUT", "*/stock-mutation", faults.NeverAnswer(applied=True), after=3)
    environment = {
        name: os.environ[name]
        for name in ("GOEDGEPICKT_API_KEY", "GOEDGEPICKT_BASE_URL", "GOEDGEPICKT_WEBSHOP_UUID", "XDG_STATE_HOME")
    }
    before = len(writes(sandbox))
    process = goedgepickt.start("apply", "stock.csv", *apply, **environment)
    until_in_thread(lambda: len(writes(sandbox)) >= before + 4)
    process.kill()
    process.communicate()
    killed = next(run for run in list_runs() if run.state == "unfinished")
    # A write is recorded before it is sent: the kill may come between the two.
    assert len(writes(sandbox)) - before <= killed.done + killed.counts.get("unknown", 0) <= len(skus)
    levels(tmp_path / "other.csv", morning)
    done = inside("apply", "other.csv", *apply, "--look-up")
    assert done.code == 0, done.err
    assert now() == morning

    # Wrong shop, barcodes and zeroes: nothing is sent.
    before = len(writes(sandbox))
    second = str(sandbox.world.webshops[1]["name"])
    wrong = inside("apply", "stock.csv", *apply, "--webshop", second)
    assert (wrong.code, "of another webshop" in wrong.err, "8 of 8 rows are bad" in wrong.err) == (1, True, True)
    levels(tmp_path / "stock.csv", dict.fromkeys(skus, 0))
    assert "stocks become 0" in inside("apply", "stock.csv", *apply).err
    levels(tmp_path / "stock.csv", {skus[0]: 8712345678906})
    assert inside("apply", "stock.csv", *apply).code == 1
    levels(tmp_path / "stock.csv", evening)
    assert "--max-changes 3" in inside("apply", "stock.csv", *apply, "--max-changes", "3").err
    assert len(writes(sandbox)) == before
    assert now() == morning


def test_a_plan_that_was_carried_out_and_a_damaged_journal_write_nothing(
    inside: Inside, sandbox: Sandbox, tmp_path: Path
) -> None:
    stock = dict(list(free_stock(inside).items())[:3])
    for name, more in (("first.csv", 3), ("second.csv", 9)):
        levels(tmp_path / name, {sku: level + more for sku, level in stock.items()})
    assert inside("plan", "stock", "first.csv", "--output", "plan.json").code == 0
    assert inside("apply", "plan.json").code == 0
    assert inside("apply", "second.csv", "--kind", "stock").code == 0
    before = len(writes(sandbox))
    again = inside("apply", "plan.json")
    assert "nothing was sent: this plan was carried out before" in again.err
    list_runs()[0].journal_path.write_bytes(b"no database")
    damaged = inside("apply", "first.csv", "--kind", "stock")
    assert (damaged.code, "is damaged" in damaged.err, "move it away" in damaged.err) == (1, True, True), damaged.err
    assert len(writes(sandbox)) == before
