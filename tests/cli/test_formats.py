"""Spreadsheets, selected columns, file permissions, and what is derived from the tables."""

from __future__ import annotations

import csv
import io
import os
import stat
import tempfile
import time
from collections.abc import Callable
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from goedgepickt_async import Order, Product
from goedgepickt_async.cli import formats
from goedgepickt_async.cli.formats import FORMATS, CsvEncoder, cell
from goedgepickt_async.cli.progress import ExportProgress, RequestCounter
from goedgepickt_async.cli.resources import RESOURCES, Selection
from goedgepickt_async.endpoints import ENDPOINTS
from goedgepickt_async.sandbox import Sandbox, faults
from goedgepickt_async.testing import serving, unlimited_budget

from .conftest import Finished, jsonl

Inside = Callable[..., Finished]
FAST = ("--sandbox", "--sandbox-rate", "off", "--sandbox-orders", "120", "--sandbox-products", "60")
calamine = pytest.importorskip("python_calamine")


def sheets(path: Path) -> dict[str, list[list[Any]]]:
    book = calamine.CalamineWorkbook.from_path(str(path))
    return {name: book.get_sheet_by_name(name).to_python() for name in book.sheet_names}


def workbook(folder: Path, items: list[Any], spec: str) -> dict[str, list[list[Any]]]:
    encoder = formats.ExcelEncoder(Selection(spec=RESOURCES[spec]))
    try:
        (folder / "x.xlsx").write_bytes(encoder.head + encoder.encode(items) + b"".join(encoder.foot()))
    finally:
        encoder.close()
    return sheets(folder / "x.xlsx")


@pytest.mark.slow
def test_a_workbook_has_the_rows_of_the_csv_file(inside: Inside, tmp_path: Path) -> None:
    done = inside("export", "products", *FAST, "-o", "p.xlsx")
    assert done.code == 0, done.err
    assert inside("export", "products", *FAST, "-o", "p.csv").code == 0
    (rows,) = sheets(tmp_path / "p.xlsx").values()
    plain = list(csv.reader(io.StringIO((tmp_path / "p.csv").read_text(), newline="")))
    sku, price = plain[0].index("sku"), plain[0].index("price")
    assert rows[0] == plain[0]
    assert [row[sku] for row in rows] == [row[sku] for row in plain]
    assert [row[price] for row in rows[1:]] == [float(row[price]) if row[price] else "" for row in plain[1:]]
    assert not list(tmp_path.glob("*.part"))


def test_text_in_a_workbook_stays_text_and_is_never_a_formula(tmp_path: Path) -> None:
    texts = ["0012", "=1+1", "-MIN-1", "8712345678901", "1-2", "http://x.example.test/", "a\x07b", "\ud83d", "\uffff"]
    products = [Product(uuid="u", sku=text, name=text) for text in texts]
    rows = workbook(tmp_path, products, "products")["products"]
    column = rows[0].index("sku")
    assert [row[column] for row in rows[1:6]] == texts[:5]
    assert all(isinstance(row[column], str) for row in rows)
    assert b"<f>" not in (tmp_path / "x.xlsx").read_bytes()


def test_numbers_and_times_in_a_workbook_are_numbers_and_dutch_times(tmp_path: Path) -> None:
    order = Order(uuid="u", created_at=datetime(2026, 7, 1, 10, tzinfo=UTC), total_paid=Decimal("12.50"))
    long = Order(uuid="v", total_paid=Decimal("1234567890123.456789"), created_at=datetime(1800, 1, 1, tzinfo=UTC))
    head, first, second = workbook(tmp_path, [order, long], "orders")["orders"]
    created, paid = head.index("created_at"), head.index("total_paid")
    assert first[created] == datetime(2026, 7, 1, 12)  # noqa: DTZ001  Excel has no time zones
    assert first[paid] == 12.5
    assert second[paid] == "1234567890123.456789"
    assert second[created].startswith("1800-01-01")


def test_numbers_of_up_to_15_digits_are_exact_in_excel() -> None:
    assert formats._is_exact(Decimal("123456789012.345"))
    assert not formats._is_exact(Decimal("1234567890123.456"))
    assert not any(formats._is_exact(Decimal(absurd)) for absurd in ("NaN", "1E+400", "1E-400"))


def test_a_workbook_has_absurd_numbers_as_text_and_the_last_times_of_the_calendar(tmp_path: Path) -> None:
    order = Order(uuid="u", created_at=datetime(9999, 12, 31, 23, 30, tzinfo=UTC), total_paid=Decimal("1E+999999999"))
    head, row = workbook(tmp_path, [order], "orders")["orders"]
    assert row[head.index("total_paid")] == "1E+999999999"
    assert row[head.index("created_at")] == datetime(9999, 12, 31, 23, 30)  # noqa: DTZ001  Excel has no time zones


def test_rows_past_the_limit_of_a_sheet_continue_in_another_sheet(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(formats, "_ROWS_IN_A_SHEET", 4)
    found = workbook(tmp_path, [Product(uuid=str(number)) for number in range(7)], "products")
    assert list(found) == ["products", "products 2", "products 3"]
    assert [row[0] for rows in found.values() for row in rows[1:]] == [str(number) for number in range(7)]


def test_cells_that_are_too_long_for_excel_are_cut_off_and_counted(tmp_path: Path) -> None:
    encoder = formats.ExcelEncoder(Selection(spec=RESOURCES["products"]))
    fitting, longer = "x" * 32_767, "x" * 32_768
    encoder.encode([Product(uuid="u", description=text) for text in (fitting, longer, "😀" * 16_383, "😀" * 16_384)])
    assert encoder.remark is not None
    assert encoder.remark.startswith("2 cells were cut off")
    encoder.close()


@pytest.mark.slow
def test_a_stopped_export_to_a_workbook_leaves_no_new_files(
    inside: Inside, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "temporary").mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "temporary"))
    (tmp_path / "o.xlsx").write_bytes(b"old")
    done = inside("export", "orders", *FAST, "--sandbox-faults", "GET:/orders:404+1", "-o", "o.xlsx")
    assert done.code == 1
    assert "Nothing was written" in done.err
    assert (tmp_path / "o.xlsx").read_bytes() == b"old"
    assert list((tmp_path / "temporary").iterdir()) == []


def test_csv_for_a_dutch_spreadsheet_has_semicolons_decimal_commas_and_a_byte_order_mark(
    inside: Inside, tmp_path: Path
) -> None:
    done = inside("export", "products", *FAST, "-o", "p.csv", "--excel-csv")
    assert done.code == 0, done.err
    data = (tmp_path / "p.csv").read_bytes()
    assert data.startswith(b"\xef\xbb\xbfuuid;")
    rows = list(csv.DictReader(io.StringIO(data.decode("utf-8-sig"), newline=""), delimiter=";"))
    plain = inside("export", "products", *FAST, "--format", "csv").out.decode()
    expected = list(csv.DictReader(io.StringIO(plain, newline="")))
    assert [row["price"].replace(",", ".") for row in rows] == [row["price"] for row in expected]
    assert any("," in row["price"] for row in rows)


def test_decimals_and_times_have_the_notation_of_a_dutch_spreadsheet() -> None:
    assert cell(Decimal("-1.50"), decimal=",") == "-1,50"
    assert cell(datetime(2026, 7, 1, 10, tzinfo=UTC), decimal=",") == "2026-07-01 12:00:00"
    assert cell(3, decimal=",") == "3"


@pytest.mark.parametrize("form", ["jsonl", "csv", "excel-csv", "table"])
def test_an_export_has_only_the_selected_fields_in_their_order(inside: Inside, form: str) -> None:
    done = inside("export", "orders", *FAST, "--limit", "5", "--format", form, "--fields", "shipping.city, uuid")
    assert done.code == 0, done.err
    if form == "jsonl":
        assert [list(row) for row in done.rows] == [["shipping.city", "uuid"]] * 5
    else:
        head = done.out.decode("utf-8-sig").strip().splitlines()[0]
        assert head.replace(";", " ").replace(",", " ").split() == ["shipping.city", "uuid"]


@pytest.mark.slow
@pytest.mark.parametrize(("resource", "mode"), [("orders", 0o600), ("shipments", 0o600), ("products", 0o644)])
@pytest.mark.parametrize("ending", ["csv", "jsonl", "xlsx", "parquet"])
def test_only_the_owner_can_read_a_new_file_with_personal_data(
    inside: Inside, tmp_path: Path, resource: str, mode: int, ending: str
) -> None:
    before = os.umask(0o022)
    try:
        assert inside("export", resource, *FAST, "--limit", "1", "-o", f"x.{ending}").code == 0
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / f"x.{ending}").stat().st_mode) == mode


@pytest.mark.slow
@pytest.mark.parametrize("ending", ["csv", "xlsx", "parquet"])
def test_an_old_file_keeps_its_mode(inside: Inside, tmp_path: Path, ending: str) -> None:
    path = tmp_path / f"x.{ending}"
    path.write_bytes(b"")
    path.chmod(0o640)
    assert inside("export", "orders", *FAST, "--limit", "1", "-o", path.name).code == 0
    assert stat.S_IMODE(path.stat().st_mode) == 0o640


@pytest.mark.parametrize("ending", ["xlsx", "parquet"])
@pytest.mark.parametrize("link", [os.symlink, os.link])
def test_a_link_at_the_name_of_the_temporary_file_is_refused(
    inside: Inside, tmp_path: Path, ending: str, link: Callable[[Path, Path], None]
) -> None:
    (tmp_path / "precious").write_bytes(b"precious")
    link(tmp_path / "precious", tmp_path / f"x.{ending}.part")
    done = inside("export", "orders", *FAST, "-o", f"x.{ending}")
    assert done.code == 2, done.err
    assert "is a link or belongs to another user" in done.err
    assert (tmp_path / "precious").read_bytes() == b"precious"


@pytest.mark.parametrize("ending", ["csv", "xlsx", "parquet"])
def test_a_link_at_the_name_of_the_output_file_is_followed(inside: Inside, tmp_path: Path, ending: str) -> None:
    (tmp_path / "there").mkdir()
    (tmp_path / f"x.{ending}").symlink_to(tmp_path / "there" / f"x.{ending}")
    assert inside("export", "products", *FAST, "--limit", "1", "-o", f"x.{ending}").code == 0
    assert (tmp_path / f"x.{ending}").is_symlink()
    assert (tmp_path / "there" / f"x.{ending}").stat().st_size > 0


@pytest.mark.slow
def test_products_of_one_webshop_can_be_selected_by_its_name(inside: Inside) -> None:
    shop = inside("export", "webshops", *FAST).rows[1]
    everything = inside("export", "products", *FAST).rows
    by_name = inside("export", "products", *FAST, "--webshop", shop["name"].upper())
    assert by_name.code == 0, by_name.err
    assert 0 < len(by_name.rows) < len(everything)
    assert inside("export", "products", *FAST, "--webshop", shop["uuid"]).rows == by_name.rows
    wrong = inside("export", "products", *FAST, "--webshop", "nope")
    assert (wrong.code, shop["name"] in wrong.err) == (2, True)


@pytest.mark.slow
def test_an_unknown_status_is_reported_with_the_closest_status(inside: Inside) -> None:
    done = inside("export", "orders", *FAST, "--status", "Compelted")
    assert done.code == 0
    assert "did you mean completed?" in done.err
    assert "did you mean" not in inside("export", "orders", *FAST, "--status", "completed").err


@pytest.mark.slow
def test_every_list_of_the_api_can_be_exported(inside: Inside) -> None:
    lists = {endpoint.resource for endpoint in ENDPOINTS.values() if endpoint.operation.endswith(".list")}
    assert {name.replace("-", "_") for name in RESOURCES} == lists
    for name, spec in RESOURCES.items():
        done = inside("export", name, *FAST, "--limit", "3", "--format", "csv")
        assert done.code == 0, done.err
        assert done.out.decode().splitlines()[0].split(",") == spec.columns()


@pytest.mark.slow
def test_every_format_and_resource_is_in_the_help_and_the_reference(inside: Inside) -> None:
    page = (Path(__file__).parents[2] / "docs/reference/command-line.md").read_text()
    text = inside("export", "--help", COLUMNS="200").out.decode()
    for name in (*FORMATS, *RESOURCES):
        assert name in text
        assert f"`{name}`" in page


def test_without_a_terminal_the_progress_is_one_line_every_30_seconds(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    class Page:
        items = (1,) * 100
        filtered = 0
        unreadable = ()

        class info:  # noqa: N801
            total_items = 1_000

    now = [0.0]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    progress: Any = ExportProgress("orders", unlimited_budget(), RequestCounter())
    for _ in range(7):
        now[0] += 10
        progress.saw(Page)
    lines = capfd.readouterr().err.splitlines()
    assert [line.split(",")[0] for line in lines] == ["300 of 1", "600 of 1"]


def test_a_csv_encoder_with_fields_and_lines_has_only_the_selected_columns() -> None:
    encoder = CsvEncoder(Selection(spec=RESOURCES["orders"], lines=True, fields=("uuid", "line.sku")))
    assert encoder.head == b"uuid,line.sku\r\n"


def broken_orders(sandbox: Sandbox, number: int) -> list[str]:
    """Add this number of unreadable orders between good orders, and return their uuids."""
    broken = []
    for _ in range(number):
        broken.append(str(sandbox.world.add_order(totalPaid={"no": "amount"})["uuid"]))
        sandbox.world.add_order()
    return broken


@pytest.mark.slow
def test_unreadable_rows_stop_an_export_or_are_written_to_a_separate_file(
    inside: Inside, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with serving(Sandbox(orders=66, products=5, limit=None, per_page_max=20)) as sandbox:
        monkeypatch.setenv("GOEDGEPICKT_API_KEY", sandbox.api_key)
        monkeypatch.setenv("GOEDGEPICKT_BASE_URL", sandbox.url)
        broken = broken_orders(sandbox, 4)
        stopped = inside("export", "orders", "-o", "o.jsonl")
        assert (stopped.code, "--skip-unreadable skips such rows" in stopped.err) == (4, True), stopped.err
        for _ in range(2):  # the second export starts again
            done = inside("export", "orders", "-o", "o.jsonl", "--skip-unreadable")
            assert done.code == 1
            assert "4 rows could not be read and are not in the output: see o.jsonl.unreadable.jsonl" in done.err
            kept = [row["uuid"] for row in jsonl((tmp_path / "o.jsonl").read_bytes())]
            assert len(kept) == len(set(kept)) == 70
            assert not set(kept) & set(broken)
            aside = jsonl((tmp_path / "o.jsonl.unreadable.jsonl").read_bytes())
            assert sorted(row["id"] for row in aside) == sorted(broken)
            assert all(row["problems"] and row["row"]["totalPaid"] == {"no": "amount"} for row in aside)
        assert stat.S_IMODE((tmp_path / "o.jsonl.unreadable.jsonl").stat().st_mode) == 0o600
        refused = inside("export", "orders", "--skip-unreadable")
        assert (refused.code, "needs --output FILE" in refused.err) == (2, True)


@pytest.mark.slow
def test_unreadable_rows_are_written_once_when_a_stopped_export_continues(
    inside: Inside, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with serving(Sandbox(orders=66, products=5, limit=None, per_page_max=20)) as sandbox:
        monkeypatch.setenv("GOEDGEPICKT_API_KEY", sandbox.api_key)
        monkeypatch.setenv("GOEDGEPICKT_BASE_URL", sandbox.url)
        broken_orders(sandbox, 3)
        options = ("orders", "-o", "o.csv", "--resume", "state", "--skip-unreadable")
        sandbox.fail("GET", "/orders", faults.Status(404), after=3)
        assert inside("export", *options).code == 4
        assert inside("export", *options).code == 1
        aside = jsonl((tmp_path / "o.csv.unreadable.jsonl").read_bytes())
        assert len(aside) == len({row["id"] for row in aside}) == 3
