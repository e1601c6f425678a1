"""Files of rows: exports of shops are read, unreadable rows are reported, and no value is guessed."""

from __future__ import annotations

import contextlib
import csv
import io
import json
from decimal import Decimal
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from goedgepickt_async import InputFileError
from goedgepickt_async.bulk.files import FileRows, escape_cell, read_bytes, read_rows
from tests.support.tables import each_row

NAMES = (  # outer blanks are not part of a text
    st.text(st.characters(exclude_characters="\0\r\n", exclude_categories=["Cs", "Cc", "Cf"]), min_size=1)
    .map(str.strip)
    .filter(bool)
)


def values(rows: FileRows) -> list[dict[str, object]]:
    return [dict(row.values) for row in rows.rows]


@each_row(
    ("head", "row"),
    [
        (
            "ID,Type,SKU,Name,Published,Regular price,Images,Stock",
            "7,simple,0012,Mok,1,12.34,https://x.example.test/a.jpg,5",
        ),
        (
            "Handle,Title,Variant SKU,Variant Inventory Qty,Variant Price,Image Src",
            "mok,Mok,0012,5,12.34,https://x.example.test/a.jpg",
        ),
        ("sku,store_view_code,name,price,qty,is_in_stock", "0012,,Mok,12.3400,5.0000,1"),
        ("Internal_ID;Article_Code;SKU;NL_Title_Short;Price;Stock_Level", "9;x;0012;Mok;12,34;5"),
        ("Artikelnummer;Naam;Prijs;Voorraad", "0012;Mok;12,34;5"),
        ("artikelnr\tproductnaam\tverkoopprijs\taantal", "0012\tMok\t€ 12,34\t5"),
    ],
)
def test_exports_of_shops_are_read(head: str, row: str) -> None:
    data = f"{head}\r\n{row}\r\n".encode()
    (product,) = values(read_bytes(data, "products"))
    assert (product["sku"], product["name"], product["price"]) == ("0012", "Mok", Decimal("12.34"))
    assert values(read_bytes(data, "stock")) == [{"sku": "0012", "level": 5}]


SKUS = NAMES.filter(lambda text: not text.startswith(("'", "=")))
table = st.lists(st.tuples(SKUS, NAMES, st.integers(-999, 999)), max_size=8)


@given(
    table,
    st.sampled_from(";,\t|"),
    st.sampled_from(["\n", "\r\n"]),
    st.sampled_from(["utf-8", "utf-8-sig", "utf-16"]),
)
def test_written_rows_are_read_with_every_delimiter_line_end_and_encoding(
    rows: list[tuple[str, str, int]], delimiter: str, end: str, encoding: str
) -> None:
    buffer = io.StringIO(newline="")
    writer = csv.writer(buffer, delimiter=delimiter, lineterminator=end)
    writer.writerow(["sku", "name", "price"])
    writer.writerows([escape_cell(sku), escape_cell(name), price] for sku, name, price in rows)
    read = read_bytes(buffer.getvalue().encode(encoding), "products")
    if not read.problems:
        assert [(row["sku"], row["name"], row["price"]) for row in values(read)] == rows


@given(st.binary(max_size=300), st.sampled_from(["products", "stock", "orders"]))
def test_any_bytes_are_read_as_rows_or_raise_an_input_file_error(data: bytes, kind: str) -> None:
    with contextlib.suppress(InputFileError):
        read_bytes(data, kind)


@given(st.text(max_size=200), st.sampled_from(["products", "stock", "orders"]), st.booleans())
def test_any_text_below_a_valid_header_is_read_as_rows_or_raises_an_input_file_error(
    text: str, kind: str, as_json: bool
) -> None:
    head = "" if as_json else "order_id,sku,name,price,level,quantity,created_at\n"
    with contextlib.suppress(InputFileError):
        read_bytes((head + text).encode(errors="replace"), kind, as_json=as_json)


def test_a_bad_row_after_a_quoted_newline_is_reported_with_file_line_and_column() -> None:
    read = read_bytes(b'sku,name,price\na,"two\nlines",1\nb,x,1.234\n,y,2\nc,z,3,4\n', "products", name="p.csv")
    assert [row.line for row in read.rows] == [2]
    assert [problem.split(": ")[0] for problem in read.problems] == ["p.csv:4", "p.csv:5", "p.csv:6"]
    assert "price: '1.234' is ambiguous" in read.problems[0]
    assert "sku: is empty" in read.problems[1]
    with pytest.raises(InputFileError, match=r"p\.csv:4"):
        read.check()


def test_a_file_that_is_not_utf_8_is_read_as_windows_1252() -> None:
    assert values(read_bytes("sku;naam\n1;Crème €\n".encode("cp1252"), "products")) == [{"sku": "1", "name": "Crème €"}]


def test_a_number_that_a_spreadsheet_shortened_is_refused_as_sku() -> None:
    assert "shortened" in read_bytes(b"sku,stock\n8.71E+12,4\n", "stock").problems[0]


def test_two_possible_columns_are_refused_unless_one_of_them_is_given() -> None:
    data = b"Artikelnr,Artikelnummer,voorraad\na,b,1\n"
    with pytest.raises(InputFileError, match="could both hold sku"):
        read_bytes(data, "stock")
    assert values(read_bytes(data, "stock", columns={"sku": "Artikelnr"})) == [{"sku": "a", "level": 1}]


def test_the_error_for_an_unknown_header_names_its_columns_and_the_option_to_choose_one() -> None:
    with pytest.raises(InputFileError, match=r"--column sku=NAME.*'foo', 'bar'"):
        read_bytes(b"foo,bar\n1,2\n", "stock")


@each_row("columns", [{"nope": "sku"}, {"sku": "nope"}])
def test_a_mapping_of_a_missing_field_or_column_is_refused(columns: dict[str, str]) -> None:
    with pytest.raises(InputFileError):
        read_bytes(b"sku,stock\n1,2\n", "stock", columns=columns)


def test_json_lines_keep_null_and_exact_numbers() -> None:
    data = b'{"sku": "0012", "price": 12.10, "picture": null}\n{"sku": 5, "price": "1,50"}\n[1]\n{"sku": NaN}\n'
    read = read_bytes(data, "products", name="p.jsonl", as_json=True)
    assert values(read) == [
        {"sku": "0012", "price": Decimal("12.10"), "picture": None},
        {"sku": "5", "price": Decimal("1.5")},
    ]
    assert [problem.split(": ")[0] for problem in read.problems] == ["p.jsonl:3", "p.jsonl:4"]


def test_exports_of_this_package_are_read_as_stock() -> None:
    row = {"uuid": "u", "sku": "0012", "stock": {"free_stock": 7, "total_stock": 9}}
    assert values(read_bytes(json.dumps(row).encode(), "stock")) == [{"sku": "0012", "level": 7, "uuid": "u"}]
    assert values(read_bytes(b"sku,stock.free_stock,stock.total_stock\n0012,7,9\n", "stock"))[0]["level"] == 7


def test_rows_of_one_order_are_its_lines_and_must_agree() -> None:
    head = "ordernummer,status,voornaam,plaats,factuur plaats,sku,naam,aantal\n"
    rows = "S1,open,Sien,Ede,Zwolle,a,Mok,2\nS1,open,Sien,Ede,Zwolle,b,Kom,1\n"
    other = "S2,open,Bo,Ede,,c,Bord,1\n"
    read = read_bytes((head + rows + other).encode(), "orders", name="o.csv")
    assert not read.problems
    first, second = values(read)
    assert first["lines"] == [
        {"sku": "a", "product_name": "Mok", "quantity": 2},
        {"sku": "b", "product_name": "Kom", "quantity": 1},
    ]
    assert (first["shipping"], first["billing"]) == ({"first_name": "Sien", "city": "Ede"}, {"city": "Zwolle"})
    assert second["order_id"] == "S2"
    clash = read_bytes((head + rows + "S1,open,Piet,Ede,Zwolle,d,X,1\n").encode(), "orders", name="o.csv")
    assert clash.problems == (
        "o.csv:4: shipping first_name: differs from line 2, which has the same order id; order S1 is left out",
    )
    assert "Piet" not in repr(clash)


@each_row("bad", ["S1,open,X,half", "S1,open,X,1,1", ",open,X,1", "S1,closed,X,1", "S1,open,,1"])
def test_an_order_with_a_bad_line_is_left_out_completely(bad: str) -> None:
    rows = ["S1,open,A,1", bad, "S1,open,B,1", "S2,open,A,1"]
    read = read_bytes("\n".join(["order id,status,sku,aantal", *rows]).encode(), "orders", name="o.csv")
    assert [problem.split(":")[1] for problem in read.problems] == ["3"]
    assert [row["order_id"] for row in values(read)] == ["S2"]


def test_a_missing_file_raises_an_input_file_error(tmp_path: Path) -> None:
    with pytest.raises(InputFileError, match="No such file"):
        read_rows(tmp_path / "no.csv", "stock")
