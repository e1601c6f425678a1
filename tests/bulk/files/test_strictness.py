"""Ambiguous or wrong content of a file is refused with its line. Notes describe how the file was read."""

from __future__ import annotations

import gzip
import io
import json
import zipfile
from datetime import datetime
from decimal import Decimal
from typing import Any

import pytest
import xlsxwriter

from goedgepickt_async import InputFileError
from goedgepickt_async.bulk.files import FileRows, read_bytes
from goedgepickt_async.bulk.orders import normalize_order
from goedgepickt_async.bulk.values import Conflict
from tests.support.tables import each_row


def values(rows: FileRows) -> list[dict[str, Any]]:
    return [dict(row.values) for row in rows.rows]


ORDERS = "Ordernummer;Status;Land;Artikelnummer;Aantal\n"


@each_row(
    ("rows", "line", "why"),
    [
        ("1;open;NL;a;2\n2;open;NL;b;1\n1;open;NL;c;2\n", 4, "other orders between"),
        ("1;open;NL;a;2\n1;open;NL;a;2\n", 3, "equal to line 2"),
        ("1;open;NL;a;2\n1;open;BE;b;2\n", 3, "shipping country: differs"),
    ],
)
def test_an_order_that_may_be_a_duplicate_is_refused_with_its_line(rows: str, line: int, why: str) -> None:
    read = read_bytes((ORDERS + rows).encode(), "orders", name="o.csv")
    (problem,) = read.problems
    assert problem.startswith(f"o.csv:{line}: ")
    assert why in problem
    assert "1" not in {row["order_id"] for row in values(read)}


def test_each_bad_row_and_each_omitted_order_is_one_problem() -> None:
    rows = read_bytes(b"sku;naam;prijs\n#N/B;#N/B;1.234\n;x;1\nTotaal;12;\ngood;x;1\n", "products", name="p.csv")
    assert [problem.partition(": ")[0] for problem in rows.problems] == ["p.csv:2", "p.csv:3", "p.csv:4"]
    assert rows.problems[0].count("; ") == 2
    orders = read_bytes((ORDERS + "1;open;NL;a;x\n1;open;NL;b;y\n2;open;NL;c\n3;open;NL;c;1\n").encode(), "orders")
    assert [problem.rpartition("; ")[2] for problem in orders.problems] == [
        "order 1 is left out",
        "order 2 is left out",
    ]
    assert "line 3: Aantal" in orders.problems[0]
    assert "line 4: has 4 cells" in orders.problems[0]  # it can also be a line of order 1
    assert [row["order_id"] for row in values(orders)] == ["3"]


def test_the_fields_of_an_order_may_be_only_in_its_first_row() -> None:
    read = read_bytes((ORDERS + "1;open;NL;a;1\n1;;;b;2\n2;;NL;a;1\n").encode(), "orders")
    assert [(row["order_id"], row["status"], len(row["lines"])) for row in values(read)] == [("1", "open", 2)]
    assert "Status: is empty" in read.problems[0]


def test_the_words_of_shops_for_a_status_are_read_and_noted() -> None:
    words = {"processing": "open", "In behandeling": "open", "on-hold": "on_hold", "Verzonden": "completed",
             "geannuleerd": "cancelled", "Open": "open", "refunded": "refunded"}  # fmt: skip
    read = read_bytes((ORDERS + "".join(f"{n};{w};NL;a;1\n" for n, w in enumerate(words))).encode(), "orders")
    assert [row["status"] for row in values(read)] == list(words.values())
    expected = "'processing' as open, 'In behandeling' as open, 'on-hold' as on_hold, 'Verzonden' as completed, 'geannuleerd' as cancelled"
    assert read.notes == (f"status: read {expected}",)


def test_shopify_orders_that_are_cancelled_unpaid_or_refunded_are_reported_as_skipped() -> None:
    head = "Name,Email,Financial Status,Fulfillment Status,Cancelled at,Lineitem quantity,Lineitem name,Lineitem sku\n"
    rows = ("#1,a@example.test,paid,unfulfilled,,1,Mok,a", "#1,a@example.test,,,,2,Kom,b", "#2,,refunded,unfulfilled,,1,x,a",
            "#2,,,,,1,x,b", "#3,,paid,unfulfilled,2026-11-27,1,x,a", "#4,,pending,unfulfilled,,1,x,a")  # fmt: skip
    data = (head + "\n".join(rows) + "\n").encode()
    read = read_bytes(data, "orders", name="s.csv")
    assert [(row["order_id"], row["status"], len(row["lines"])) for row in values(read)] == [("#1", "open", 2)]
    assert [message.partition(": ")[0] for message in read.skipped] == ["s.csv:4", "s.csv:6", "s.csv:7"]
    with_status = read_bytes(data, "orders", constants={"status": "open"})
    assert [row["order_id"] for row in values(with_status)] == ["#1", "#4"]


@each_row(
    ("date", "read"),
    [("28-11-2026 9:05", "2026-11-28T09:05"), ("2026/11/28", "2026-11-28T00:00"), ("28 nov 2026", "2026-11-28T00:00"),
     ("28 november 2026 10:34", "2026-11-28T10:34"), ("Nov 28, 2026 1:34:19 PM", "2026-11-28T13:34"),
     ("28. März 2026", "2026-03-28T00:00"), ("28/11/2026", "2026-11-28T00:00"), ("28-11-26", None), ("46354", None),
     ("12/01/2026", None), ("31-02-2026", None), ("28 foo 2026", None), ("28-11-2026 13:05 PM", None)],
)  # fmt: skip
def test_a_date_is_read_if_it_can_mean_only_one_day(date: str, read: str | None) -> None:
    head, row = "Ordernummer;Datum;Status;Artikelnummer;Aantal\n", f"1;{date};open;a;1\n"
    rows = values(read_bytes((head + row).encode(), "orders"))
    assert [row["created_at"].isoformat()[:16] for row in rows] == ([] if read is None else [read])


@each_row("data", [b"sku;naam\n1;Caf\x82\n", b"sku;naam\n1;Caf\x8e\n", b"sku;naam\n1;cr\x8ame\n"])
def test_text_in_a_dos_or_old_mac_encoding_is_not_read_as_windows_1252(data: bytes) -> None:
    with pytest.raises(InputFileError, match="line 2: read as Windows-1252 it says"):
        read_bytes(data, "products")
    assert values(read_bytes(data, "products", encoding="cp850"))


def test_a_file_that_may_be_incomplete_or_has_no_rows_gets_a_note() -> None:
    assert "no line end" in read_bytes(b"sku;naam\n1;x\n2;Kle", "products").notes[0]
    assert read_bytes(b"sku;naam\n", "products").notes == ("it has no rows",)


@each_row(
    "head", ["sku;prijs;price", "sku;verkoopprijs;prijs", "sku;Reguliere prijs;prijs", "sku;prijs incl btw;adviesprijs"]
)
def test_two_possible_columns_for_the_price_are_refused(head: str) -> None:
    with pytest.raises(InputFileError, match="could both hold price"):
        read_bytes(f"{head}\nA;1;2\n".encode(), "products")


@each_row("head", ["sku,artikelnummer,stock", "Product code,Item number,stock"])
def test_two_possible_columns_for_the_sku_are_refused(head: str) -> None:
    with pytest.raises(InputFileError, match="could both hold sku"):
        read_bytes(f"{head}\na,b,1\n".encode(), "stock")


def test_unread_columns_that_look_like_a_price_or_stock_are_noted() -> None:
    read = read_bytes(b"sku;naam;prijs;Inkoopprijs;Actie\nA;x;1;2;3\n", "products")
    assert read.notes == ("not read: 'Inkoopprijs', 'Actie'",)


@each_row(
    ("data", "line"),
    [
        (b"sku;naam;prijs\nSB-0;Mok\nblauw;1,95\n", 2),
        (b"sku,name,price,\nSB-0,Blauwe mok,1,95\n", 2),
        (b"sku;naam;prijs\nA1;Mok;1\nA2;Bo", 3),
        (b"sku,name\na,b,c\n", 2),
    ],
)
def test_a_row_with_too_few_cells_or_a_value_without_a_name_is_bad(data: bytes, line: int) -> None:
    read = read_bytes(data, "products", name="p.csv")
    assert read.problems[0].startswith(f"p.csv:{line}: ")


def test_a_row_may_lack_cells_of_columns_that_are_not_read() -> None:
    assert values(read_bytes(b"sku,name,remark,more\na,b\n", "products")) == [{"sku": "a", "name": "b"}]


@each_row(
    "data", ["sku;naam\n1;théé\n2;cr\udce8me\n", "sku;naam\n1;€ 1\n2;half \udce2\udc82", "sku;naam\n1;x\udce8\n2;ü\n"]
)
def test_utf_8_with_a_bad_byte_is_refused_with_its_line(data: str) -> None:
    raw = data.encode("utf-8", "surrogateescape")
    line = 2 if "x\udce8" in data else 3
    with pytest.raises(InputFileError, match=f"line {line}: the byte 0x"):
        read_bytes(raw, "products")


def test_windows_1252_is_noted_and_utf_16_without_a_byte_order_mark_is_recognised() -> None:
    text = "sku;naam\n1;Crème\n"
    ansi = read_bytes(text.encode("cp1252"), "products")
    assert (values(ansi)[0]["name"], "Windows-1252" in ansi.notes[0]) == ("Crème", True)
    for encoding in ("utf-16-le", "utf-16-be"):
        assert values(read_bytes(text.encode(encoding), "products"))[0]["name"] == "Crème"
    assert read_bytes(text.encode(), "products").notes == ()


def test_the_error_for_a_wrong_encoding_names_the_given_encoding() -> None:
    with pytest.raises(InputFileError, match="not text in ascii"):
        read_bytes("sku;naam\n1;é\n".encode(), "products", encoding="ascii")
    with pytest.raises(InputFileError, match="unknown encoding 'utf-99'"):
        read_bytes(b"sku;naam\n1;x\n", "products", encoding="utf-99")


def test_a_gzip_file_and_a_zip_with_one_file_are_read() -> None:
    data = b"sku;voorraad\n0012;4\n"
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        archive.writestr("voorraad.csv", data)
    for file in (gzip.compress(data), packed.getvalue()):
        assert values(read_bytes(file, "stock")) == [{"sku": "0012", "level": 4}]
    with zipfile.ZipFile(packed, "a") as archive:
        archive.writestr("more.csv", data)
    with pytest.raises(InputFileError, match=r"^the file: it is a zip with 2 files"):
        read_bytes(packed.getvalue(), "stock")
    with pytest.raises(InputFileError, match="incomplete"):
        read_bytes(gzip.compress(data)[:-4], "stock")


@each_row(
    ("data", "why"),
    [(b'sku;naam\n1;"Mok\n2;x\n', "line 2: a quote is opened here and never closed"),
     (b'sku\tnaam\n1\t"Mok"x\n', "line 2: a quote within a cell is not doubled")],
)  # fmt: skip
def test_a_wrong_quote_is_explained_with_its_line(data: bytes, why: str) -> None:
    with pytest.raises(InputFileError, match=why):
        read_bytes(data, "products")


@each_row("data", [b"<html><table>", b"<?xml version='1.0'?><Workbook>", b" <table>"])
def test_an_html_or_xml_file_is_refused_with_its_format(data: bytes) -> None:
    with pytest.raises(InputFileError, match="HTML or XML"):
        read_bytes(data, "products")


@each_row(
    "text", ['[{"sku":"1","level":2}]', '{"items": [{"sku":"1","level":2}]}', '{\n "sku": "1",\n "level": 2\n}\n']
)
def test_a_json_array_or_object_is_read_like_json_lines(text: str) -> None:
    assert values(read_bytes(text.encode(), "stock")) == [{"sku": "1", "level": 2}]


def test_a_duplicate_key_in_json_is_refused() -> None:
    read = read_bytes(b'{"sku": "A", "sku": "B", "level": 1}\n', "stock", name="s.jsonl")
    assert read.problems == ("s.jsonl:1: has the key 'sku' twice",)


@each_row("error", ["#N/B", "#N/A", "#NAAM?", "#NAME?", "#VALUE!", "#WAARDE!", "#REF!", "#DIV/0!", "#NV", "####"])
def test_a_spreadsheet_error_in_a_cell_is_refused(error: str) -> None:
    read = read_bytes(f"sku;naam\nA;{error}\n{error};Mok\n".encode(), "products")
    assert len(read.problems) == 2
    assert all("spreadsheet error" in problem for problem in read.problems)


@each_row("sku", ["8E+12", "8.71E12", "8,71E+12", "1e+05"])
def test_a_number_that_a_spreadsheet_shortened_is_refused_as_sku(sku: str) -> None:
    assert "shortened" in read_bytes(f'sku;voorraad\n"{sku}";1\n'.encode(), "stock").problems[0]


@each_row(("cell", "sku"), [('"=""0012"""', "0012"), ("A-1\u200b", "A-1"), ("\u00a0A", "A"), ("'0012", "0012"),
                                           ("12E5", "12E5"), ("'-MIN-1", "-MIN-1")])  # fmt: skip
def test_characters_that_spreadsheets_add_to_an_identifier_are_removed(cell: str, sku: str) -> None:
    assert values(read_bytes(f"sku;voorraad\n{cell};1\n".encode(), "stock"))[0]["sku"] == sku


def test_the_apostrophe_of_a_name_is_kept() -> None:
    row = values(read_bytes(b"sku;naam\n1;'t Hart\n2;'80s lamp\n", "products"))
    assert [one["name"] for one in row] == ["'t Hart", "'80s lamp"]


@each_row(
    ("text", "iso"),
    [
        ("28-11-2026 9:05", "2026-11-28T09:05:00+01:00"),
        ("28/11/2026", "2026-11-28T00:00:00+01:00"),
        ("11/28/2026 14:00", "2026-11-28T14:00:00+01:00"),
        ("28.11.2026", "2026-11-28T00:00:00+01:00"),
        ("5/5/2026", "2026-05-05T00:00:00+02:00"),
        ("2026-11-27 10:34:19 +0100", "2026-11-27T10:34:19+01:00"),
        ("2026-07-01", "2026-07-01T00:00:00+02:00"),
    ],
)
def test_dates_in_dutch_and_other_common_formats_are_read(text: str, iso: str) -> None:
    read = read_bytes((ORDERS.replace("Land", "Besteldatum") + f"1;open;{text};a;1\n").encode(), "orders")
    assert values(read)[0]["created_at"] == datetime.fromisoformat(iso)


def test_an_ambiguous_date_is_refused_unless_the_order_of_day_and_month_is_given() -> None:
    data = (ORDERS.replace("Land", "Besteldatum") + "1;open;05/06/2026;a;1\n").encode()
    assert "is ambiguous" in read_bytes(data, "orders").problems[0]
    assert values(read_bytes(data, "orders", dates="dmy"))[0]["created_at"].month == 6
    assert values(read_bytes(data, "orders", dates="mdy"))[0]["created_at"].month == 5
    shown = read_bytes(data.replace(b"05/06/2026", b"28-11-26"), "orders").problems[0]
    assert "'28-11-26'" in shown


@each_row(("text", "code"), [("Nederland", "NL"), ("NLD", "NL"), ("België", "BE"), ("belgie", "BE"), ("the Netherlands", "NL"),
                                            ("Deutschland", "DE"), ("nl", "NL"), ("United Kingdom", "GB"), ("XX", "XX")])  # fmt: skip
def test_countries_are_read_by_name(text: str, code: str) -> None:
    read = read_bytes((ORDERS + f"1;open;{text};a;1\n").encode(), "orders")
    assert values(read)[0]["shipping"]["country"] == code


def test_constants_fill_missing_columns_and_percent_signs_are_read() -> None:
    data = b"Ordernummer;Artikelnummer;Aantal;BTW\n1;a;1;21%\n"
    with pytest.raises(InputFileError, match="--set status=VALUE"):
        read_bytes(data, "orders")
    (order,) = values(read_bytes(data, "orders", constants={"status": "open"}))
    assert (order["status"], order["lines"][0]["tax_rate"]) == ("open", Decimal(21))
    with pytest.raises(InputFileError, match="no field 'nope'"):
        read_bytes(data, "orders", constants={"nope": "x"})


def workbook(*sheets: tuple[str, Any]) -> bytes:
    stream = io.BytesIO()
    book = xlsxwriter.Workbook(stream, {"in_memory": True, "remove_timezone": True})
    day = book.add_format({"num_format": "dd-mm-yyyy"})
    for name, rows in sheets:
        sheet: Any = book.add_worksheet(name)
        for number, row in enumerate(rows):
            for place, value in enumerate(row):
                if isinstance(value, datetime):
                    sheet.write_datetime(number, place, value, day)
                elif isinstance(value, str) and value.startswith("=A"):
                    sheet.write_formula(number, place, value, value=value[-1])
                elif isinstance(value, str):
                    sheet.write_string(number, place, value)
                else:
                    sheet.write(number, place, value)
    book.close()
    return stream.getvalue()


def test_a_workbook_keeps_text_as_text_numbers_exact_and_dates_as_dates() -> None:
    rows = [["SKU", "Naam", "Prijs"], ["0012", "Mok", 12.1], [8710000000017, "'t Hart", 0.1 + 0.2], [], ["B", "x", 3]]
    read = read_bytes(workbook(("Blad1", rows), ("Leeg", [])), "products", name="p.xlsx")
    assert values(read) == [
        {"sku": "0012", "name": "Mok", "price": Decimal("12.1")},
        {"sku": "8710000000017", "name": "'t Hart", "price": Decimal("0.3")},
        {"sku": "B", "name": "x", "price": Decimal(3)},
    ]
    assert [row.line for row in read.rows] == [2, 3, 5]
    order = [["Ordernummer", "Status", "Besteldatum", "Artikelnummer", "Aantal"],
             [1001, "open", datetime(2026, 11, 28, 9, 5), "0012", 2]]  # fmt: skip  # noqa: DTZ001
    (read_order,) = values(read_bytes(workbook(("O", order)), "orders"))
    assert read_order["created_at"].isoformat() == "2026-11-28T09:05:00+01:00"
    assert (read_order["order_id"], read_order["lines"][0]["quantity"]) == ("1001", 2)


def test_a_workbook_with_several_sheets_needs_the_name_of_a_sheet() -> None:
    one, two = [["sku", "voorraad"], ["a", 1]], [["sku", "voorraad"], ["b", 2]]
    data = workbook(("Een", one), ("Twee", two))
    with pytest.raises(InputFileError, match="'Een', 'Twee'"):
        read_bytes(data, "stock")
    assert values(read_bytes(data, "stock", sheet="Twee")) == [{"sku": "b", "level": 2}]
    with pytest.raises(InputFileError, match="no sheet 'Drie'"):
        read_bytes(data, "stock", sheet="Drie")
    with pytest.raises(InputFileError, match="cannot be read"):
        read_bytes(b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + b"\0" * 600, "stock")


@each_row("order_id", ["[]", '{"a": 1}', "[1]", "null", "true", "5"])
def test_an_order_id_of_any_json_type_is_checked_by_the_plan(order_id: str) -> None:
    data = f'{{"order_id": {order_id}, "status": "open"}}\n'.encode()
    read = read_bytes(data, "orders", name="s.jsonl")
    assert [row.values["order_id"] for row in read.rows] == [json.loads(order_id)]
    conflict = normalize_order(read.rows[0].values, 0, webshop="w")
    assert isinstance(conflict, Conflict)
    assert "order_id" in conflict.reason
