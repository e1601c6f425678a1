"""`goedgepickt export`, as a user runs it."""

from __future__ import annotations

import asyncio
import csv
import errno
import io
import os
import socket
from collections.abc import Callable
from pathlib import Path

import pytest

from goedgepickt_async import GoedGepickt, Webhook
from goedgepickt_async.sandbox import Sandbox
from goedgepickt_async.testing import serving
from tests.support.tables import each_row

from .conftest import Finished, Goedgepickt, jsonl, uuids

Inside = Callable[..., Finished]
FAST = ("--sandbox", "--sandbox-rate", "off")


def rows_of_csv(data: bytes) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(data.decode(), newline="")))


@pytest.mark.slow
def test_every_row_is_exported_once(goedgepickt: Goedgepickt) -> None:
    done = goedgepickt("export", "orders", *FAST, "--sandbox-orders", "1001", "--output", "orders.jsonl")
    assert done.code == 0, done.err
    assert done.out == b""
    rows = jsonl(goedgepickt.read("orders.jsonl"))
    assert len(rows) == len(set(uuids(rows))) == 1_001
    assert done.err.splitlines()[-1].startswith("1,001 orders in ")
    assert done.err.endswith(" requests, 0 refusals\n")


@pytest.mark.slow
def test_with_a_rate_limit_no_request_is_refused(goedgepickt: Goedgepickt) -> None:
    done = goedgepickt(
        "export", "orders", "--sandbox", "--sandbox-orders", "510", "--sandbox-rate", "3/0.3", "-o", "o.jsonl"
    )
    assert done.code == 0, done.err
    assert len(set(uuids(jsonl(goedgepickt.read("o.jsonl"))))) == 510
    assert done.err.endswith(", 0 refusals\n")


def test_data_goes_to_stdout_and_messages_go_to_stderr(goedgepickt: Goedgepickt) -> None:
    done = goedgepickt("export", "products", *FAST, "--limit", "150", "--output", "-")
    assert done.code == 0
    assert len(set(uuids(done.rows))) == 150
    assert done.err.startswith("150 products in ")


@pytest.mark.slow
def test_a_csv_file_has_one_row_per_order_with_its_addresses_in_columns(inside: Inside, tmp_path: Path) -> None:
    done = inside("export", "orders", *FAST, "--sandbox-orders", "120", "-o", "orders.csv")
    assert done.code == 0, done.err
    rows = rows_of_csv((tmp_path / "orders.csv").read_bytes())
    plain = inside("export", "orders", *FAST, "--sandbox-orders", "120").rows
    assert [(row["uuid"], row["shipping.city"], row["total_paid"]) for row in rows] == [
        (order["uuid"], order["shipping"]["city"] or "", order["total_paid"] or "") for order in plain
    ]
    assert not any(name.startswith("line") for name in rows[0])


@pytest.mark.slow
def test_lines_writes_one_row_per_order_line_and_repeats_the_order(inside: Inside) -> None:
    options = (*FAST, "--sandbox-orders", "120")
    done = inside("export", "orders", *options, "--lines", "--format", "csv")
    assert done.code == 0, done.err
    rows = rows_of_csv(done.out)
    expected = [
        (order["uuid"], str(number), line["sku"] or "", "" if line["quantity"] is None else str(line["quantity"]))
        for order in inside("export", "orders", *options).rows
        for number, line in enumerate(order["lines"], start=1)
    ]
    assert [(row["uuid"], row["line.number"], row["line.sku"], row["line.quantity"]) for row in rows] == expected
    assert len(expected) > 120


def test_a_table_has_few_columns_and_one_line_per_row(inside: Inside) -> None:
    done = inside("export", "orders", *FAST, "--limit", "30", "--format", "table")
    assert done.code == 0, done.err
    lines = [line for line in done.out.decode().splitlines() if line.strip()]
    assert lines[0].split() == [
        "display_id",
        "status",
        "created_at",
        "total_paid",
        "shipping.city",
        "shipping.country",
        "webshop_name",
    ]
    assert len(lines) == 2 + 30


def test_filters_apply_to_the_exported_rows(inside: Inside) -> None:
    done = inside("export", "orders", *FAST, "--created-after", "2026-10-01", "--status", "backorder")
    assert done.code == 0, done.err
    assert done.rows
    assert all(row["status"] == "backorder" and row["created_at"] >= "2026-10-01" for row in done.rows)


@pytest.mark.slow
def test_secrets_of_webhooks_are_masked(inside: Inside, monkeypatch: pytest.MonkeyPatch) -> None:
    # A sandbox starts without subscriptions, so the test creates one.
    async def subscribe(sandbox: Sandbox) -> Webhook:
        async with GoedGepickt(sandbox.api_key, base_url=sandbox.url) as gg:
            shop = await gg.webshops.list().first()
            assert shop is not None
            url = "https://hook.example.test/"
            return await gg.webhooks.create("order.statusChanged", url, webshop_uuid=shop.uuid)

    with serving(Sandbox(orders=1, products=1, limit=None)) as sandbox:
        made = asyncio.run(subscribe(sandbox))
        assert made.secret is not None
        monkeypatch.setenv("GOEDGEPICKT_API_KEY", sandbox.api_key)
        monkeypatch.setenv("GOEDGEPICKT_BASE_URL", sandbox.url)
        for form in ("jsonl", "csv", "table"):
            done = inside("export", "webhooks", "--format", form)
            assert made.uuid.encode() in done.out, done.err
            assert b"***" in done.out
            assert made.secret.reveal().encode() not in done.out + done.err.encode()


def test_an_empty_list_gives_a_valid_file(inside: Inside, tmp_path: Path) -> None:
    assert inside("export", "orders", *FAST, "--sandbox-orders", "0", "-o", "none.csv").code == 0
    assert rows_of_csv((tmp_path / "none.csv").read_bytes()) == []
    assert (tmp_path / "none.csv").read_bytes().startswith(b"uuid,display_id,")
    assert inside("export", "orders", *FAST, "--sandbox-orders", "0", "-o", "none.jsonl").code == 0
    assert (tmp_path / "none.jsonl").read_bytes() == b""


@each_row(
    ("options", "message"),
    [
        (
            ("webshops", "--status", "open"),
            "--status is not available for webshops; it is available for orders, shipments",
        ),
        (("products", "--created-after", "2026-01-01"), "--created-after is not available for products"),
        (("products", "--lines", "--format", "csv"), "--lines is not available for products"),
        (("orders", "--lines"), "add --format csv"),
        (("orders", "--limit", "0"), "--limit: 0 is less than 1"),
        (("orders", "--output", "orders.json"), "no format has the ending .json"),
        (("orders", "--output", "orders.csv.gz"), "no format has the ending .gz"),
        (("orders", "--output", "orders.tsv"), "no format has the ending .tsv"),
        (
            ("orders", "--output", "orders.jsonl", "--format", "csv"),
            ".jsonl is the ending of --format jsonl, not of csv",
        ),
        (("orders", "--output", "orders.xls", "--format", "xlsx"), ".xls is the ending of another format, not of xlsx"),
        (("orders", "--fields", "uuid,colour"), "orders have no field 'colour'"),
        (("orders", "--fields", "uuid,uuid"), "must be different names"),
        (("orders", "--excel-csv", "--format", "jsonl"), "pass one of them"),
        (("orders", "--format", "table", "--output", "orders.txt"), "a table is for the terminal"),
        (("orders", "--output", "same", "--resume", "./same"), "pass another file name"),
        (("order",), "pick-locations"),
        (("orders", "--created-after", "yesterday"), "--created-after"),
        (("orders", "--sandbox-rate", "150"), "requests/seconds"),
        (("orders", "--sandbox-faults", "GET:/orders:boom"), "not a valid fault"),
        (("orders", "--base-url", "http://x.example.test"), "leave out --base-url"),
    ],
)
def test_invalid_options_are_a_usage_error_with_the_reason(
    inside: Inside, options: tuple[str, ...], message: str
) -> None:
    done = inside("export", *options, "--sandbox")
    assert done.code == 2
    assert message in done.err
    assert done.err.count("\n") == 1
    assert done.out == b""


def test_without_a_key_an_old_file_does_not_change(inside: Inside, tmp_path: Path) -> None:
    (tmp_path / "orders.csv").write_text("old")
    done = inside("export", "orders", "-o", "orders.csv")
    assert done.code == 2
    assert "GOEDGEPICKT_API_KEY" in done.err
    assert done.err.count("\n") == 1
    assert (tmp_path / "orders.csv").read_bytes() == b"old"


def test_a_refused_key_gives_exit_code_3_and_an_old_file_does_not_change(inside: Inside, tmp_path: Path) -> None:
    (tmp_path / "orders.csv").write_text("old")
    done = inside("export", "orders", *FAST, "--sandbox-faults", "GET:/orders:401", "-o", "orders.csv")
    assert done.code == 3
    assert "the API refused the key" in done.err
    assert done.err.count("\n") == 1
    assert (tmp_path / "orders.csv").read_bytes() == b"old"


def test_an_unreachable_server_is_reported_in_one_line(goedgepickt: Goedgepickt) -> None:
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))  # it does not listen
        url = f"http://127.0.0.1:{bound.getsockname()[1]}/api/v1"
        done = goedgepickt("export", "orders", "--base-url", url, GOEDGEPICKT_API_KEY="a-key")
    assert done.code == 1
    assert "cannot connect" in done.err
    assert done.err.count("\n") == 1
    assert "a-key" not in done.err


def test_a_missing_directory_is_reported_before_the_first_request(inside: Inside) -> None:
    done = inside("export", "orders", *FAST, "--sandbox-faults", "*:*:500%1", "-o", "nowhere/orders.csv")
    assert done.code == 1
    assert "there is no directory" in done.err


def test_debug_shows_the_traceback(inside: Inside) -> None:
    done = inside("export", "orders", "--debug")
    assert done.code == 2
    assert "Traceback" in done.err


@pytest.mark.slow
def test_an_export_is_complete_after_faults(inside: Inside) -> None:
    faults = ("--sandbox-faults", "GET:/orders:500,GET:/orders:drop+3")
    done = inside("export", "orders", *FAST, *faults, "--sandbox-orders", "150", "--background")
    assert done.code == 0, done.err
    assert len(set(uuids(done.rows))) == 150


@pytest.mark.slow
def test_a_disk_that_is_full_before_the_first_row_is_reported_with_the_file_content(
    inside: Inside, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def write(file: int, data: bytes) -> int:
        if len(data) > 2_000 and file > 2:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return real(file, data)

    real = os.write
    monkeypatch.setattr("goedgepickt_async.cli.output.os.write", write)
    for old, gone in ((b"", False), (b"old", True)):
        (tmp_path / "o.csv").write_bytes(old)
        done = inside("export", "orders", *FAST, "--sandbox-orders", "30", "-o", "o.csv")
        assert (done.code, "No rows were written: o.csv holds only its header" in done.err) == (1, True), done.err
        assert ("old content was overwritten" in done.err) is gone
        assert (tmp_path / "o.csv").read_text().count("\n") == 1
