"""Complete files as shops and other programs export them: made-up data in the public layouts."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from goedgepickt_async.bulk.files import FileRows, read_bytes, read_rows
from goedgepickt_async.bulk.files.fields import PROFILES
from goedgepickt_async.bulk.orders import new_order
from goedgepickt_async.errors import InputFileError
from goedgepickt_async.models import Address
from tests.support.tables import each_row

SHOPS = Path(__file__).parent / "shops"

# File, profile, name and price of 0012, the other SKU and its price, number of skipped rows.
PRODUCTS = [
    ("woocommerce_en.csv", "woocommerce", "Mok, blauw", "12.50", "woo-tee-red", "20", 4),
    ("woocommerce_nl.csv", "woocommerce", "Mok, blauw", "12.50", "shirt-rood", "20", 1),
    ("woocommerce_de.csv", "woocommerce", "Tasse, blau", "12.50", "hemd-rot", "20", 1),
    ("shopify_products.csv", "shopify", "Mok, blauw", "12.50", "shirt-rood", "20", 2),
    ("magento.csv", "magento", "Mok, blauw", "12.50", "shirt-rood", "20", 3),
    ("lightspeed.csv", "lightspeed", "Mok, blauw", "12.50", "shirt-rood", "20", 0),
    ("shopware.csv", "shopware", "Mok, blauw", "12.50", "shirt-rood", "20", 0),
    ("prestashop.csv", "prestashop", "Mok, blauw", None, "shirt-rood", None, 0),
    ("bol.csv", "bol", None, "12.50", "shirt-rood", "20", 0),
    ("exact.csv", "exact", "Mok, blauw", "12.50", "shirt-rood", "1020", 0),
    ("google_merchant.tsv", "google-merchant", "Mok, blauw", "12.50", "shirt-rood", "20", 0),
    ("dutch_list.csv", "", "Mok, blauw", "12.50", "shirt-rood", "1020", 0),
]


def by_sku(rows: FileRows) -> dict[str, Any]:
    return {row.values["sku"]: row.values for row in rows.rows}


@each_row("case", PRODUCTS, ids=lambda case: str(case[0]))
def test_products_of_a_complete_file_are_read_with_its_profile(case: tuple[Any, ...]) -> None:
    file, profile, name, price, other, other_price, skipped = case
    read = read_rows(SHOPS / file, "products")
    read.check()
    assert (read.profile, len(read.skipped)) == (profile, skipped)
    found = by_sku(read)
    assert found["0012"].get("name") == name
    assert found["0012"].get("price") == (None if price is None else Decimal(price))
    assert found[other].get("price") == (None if other_price is None else Decimal(other_price))
    assert not any("virtual" in sku or sku in {"shirt", "woo-tee", "woo-gift"} for sku in found)


@each_row("file", [row[0] for row in PRODUCTS if not row[0].startswith("google")])
def test_stock_of_a_complete_file_is_read(file: str) -> None:
    read = read_rows(SHOPS / file, "stock")
    read.check()
    levels = {row.values["sku"]: row.values["level"] for row in read.rows}
    assert levels.pop("0012") == 7
    assert 3 in levels.values()


def test_the_picture_of_a_shopify_product_is_the_picture_of_its_variant() -> None:
    found = by_sku(read_rows(SHOPS / "shopify_products.csv", "products"))
    assert found["shirt-blauw"]["picture"] == "https://cdn.example.test/s-blauw.jpg"
    assert found["shirt-blauw"]["name"] == "Shirt"
    assert "picture" not in found["0012"]


def test_orders_of_shopify_are_read_with_their_lines_and_receivers() -> None:
    read = read_rows(SHOPS / "shopify_orders.csv", "orders", constants={"status": "open"})
    read.check()
    assert read.profile == "shopify-orders"
    orders: list[Any] = [new_order(row.values) for row in read.rows]
    first, second = orders
    assert [(line.sku, line.quantity) for line in first.lines] == [("0012", 2), ("shirt-rood", 1)]
    assert (first.order_id, first.shipping.first_name, first.shipping.last_name) == ("#1001", "Sien", "van Voorbeeld")
    assert (first.shipping.zipcode, first.shipping.phone) == ("3511AB", "+31600000000")
    assert first.lines[0].unit_price_incl == Decimal("12.50")
    assert (second.shipping.last_name, second.shipping.country) == ("Bo", "BE")


def test_a_price_without_tax_is_noted_and_not_read() -> None:
    read = read_rows(SHOPS / "prestashop.csv", "products")
    assert "price" not in read.columns
    assert any("Price tax excluded" in note for note in read.notes)


@each_row("kind", ["products", "stock"])
def test_a_profile_can_be_chosen_or_disabled(kind: str) -> None:
    chosen = read_rows(SHOPS / "woocommerce_nl.csv", kind, profile="woocommerce")
    assert chosen.profile == "woocommerce"
    off = read_rows(SHOPS / "woocommerce_nl.csv", kind, profile="none", columns={"sku": "SKU"})
    assert (off.profile, off.skipped) == ("", ())


# Kind; content of a file with another layout; expected values by SKU; skipped rows; refused rows.
QUIRKS: Mapping[str, tuple[str, str, dict[str, Any], list[str], list[str]]] = {
    "woocommerce, stock that the shop does not count": (
        "stock",
        (
            "ID,Type,SKU,Name,Stock,Regular price\n1,variation,t-m,Tee M,4,20\n2,variation,t-l,Tee L,parent,20\n"
            "3,simple,mok,Mok,,5\n4,bundle,set,Set,3,5\n5,simple,bad,Bad,veel,5\n"
        ),
        {"t-m": 4},
        ["3: a variation without", "4: a product whose stock", "5: a variable, grouped, bundled"],
        ["6: Stock: 'veel' is not a number"],
    ),
    "shopify, the row with the title below its variants": (
        "products",
        (
            "Handle,Title,Variant SKU,Variant Price,Image Src,Gift Card\nt,,t-m,20,,\nt,Tee,t-s,21,,false\n"
            "t,,,,https://c.example.test/2.jpg,\ng,Bon,bon-10,10,,true\ng,,bon-25,25,,\n"
        ),
        {"t-m": ("Tee", "20"), "t-s": ("Tee", "21")},
        ["4: an image", "5: a gift card", "6: a gift card"],
        [],
    ),
    "shopify, its layout of 2025": (
        "products",
        (
            "Title,URL handle,SKU,Price,Compare-at price,Product image URL\nTee,t,t-s,20,30,https://c.example.test/1.jpg\n"
            ",t,t-m,21,,\n,t,,,,https://c.example.test/2.jpg\n"
        ),
        {"t-s": ("Tee", "20"), "t-m": ("Tee", "21")},
        ["4: an image"],
        [],
    ),
    "shopify, its inventory": (
        "stock",
        (
            "Handle,Title,SKU,Location,Committed (not editable),Available (not editable),On hand (current)\n"
            "t,Tee,t-s,Utrecht,2,3,5\nt,Tee,t-m,Utrecht,0,not stocked,not stocked\n"
        ),
        {"t-s": 3},
        ["3: a variant that is not in stock"],
        [],
    ),
    "magento, paths of pictures and its word for no value": (
        "products",
        (
            "sku,store_view_code,product_type,name,price,base_image\nm-1,,simple,Tas,34.000,/m/b/1.jpg\n"
            "m-2,,simple,__EMPTY__VALUE__,5.0,\nm-3,,giftcard,Bon,5.0,\n"
        ),
        {"m-1": ("Tas", "34.000"), "m-2": (None, "5.0")},
        ["4: a virtual or downloadable product"],
        [],
    ),
    "shopware, a parent below and above its variants": (
        "products",
        "id;parent_id;product_number;stock;name;price_gross\nb2;b1;h-1;4;;\nb1;;h;0;Hemd;20\nb3;b1;h-2;6;Hemd lang;22\n",
        {"h-1": ("Hemd", "20"), "h-2": ("Hemd lang", "22")},
        ["3: the parent of other rows"],
        [],
    ),
    "lightspeed, an empty column of SKUs": (
        "stock",
        "Internal_ID;Internal_Variant_ID;NL_Title_Short;Stock_Level;Article_Code;SKU\n1;2;Fiets;5;F-1;\n",
        {"F-1": 5},
        [],
        [],
    ),
    "bol.com, stock in a warehouse of bol.com": (
        "stock",
        "offerId,ean,stockAmount,fulfilmentType,referenceCode\n1,87,7,FBR,mok\n2,88,55,FBB,bord\n3,89,1,FBR,\n",
        {"mok": 7},
        ["3: stock that lies with bol.com"],
        ["4: referenceCode: is empty"],
    ),
    "prestashop, its Dutch list": (
        "stock",
        "Product-ID;Naam;Referentie;Prijs (excl. btw);Prijs (incl. btw);Hoeveelheid\n1;Mok;mok;10,33;12,50;7\n",
        {"mok": 7},
        [],
        [],
    ),
    "exact, a title above the head": (
        "products",
        "Artikelen;;\nAdministratie: 12 - Voorbeeld;;\n\nArtikelcode;Omschrijving;Verkoopprijs\nmok;Mok;12,50\nTotaal;;12,50\n",
        {"mok": ("Mok", "12.50")},
        [],
        ["6: Artikelcode: 'Totaal' looks like"],
    ),
    "a list with a row of another delimiter, and odd values": (
        "products",
        'sku,prijs\nmok,"12,50"\nbord;13,50\nNULL,5\nkom,-5\n"A1\nA2",5\n',
        {"mok": (None, "12.50")},
        [],
        [
            "3: 'bord;13' has the delimiter",
            "4: sku: NULL is",
            "5: prijs: -5 is negative",
            "6: sku: 'A1\\nA2' has a line end",
        ],
    ),
}


@each_row("name", QUIRKS)
def test_rows_of_other_layouts_are_read_skipped_or_refused_by_line(name: str) -> None:
    kind, text, wanted, skipped, refused = QUIRKS[name]
    read = read_bytes(text.encode(), kind, name="f")
    found = by_sku(read)
    if kind == "stock":
        assert {sku: values["level"] for sku, values in found.items()} == wanted
    else:
        assert {sku: (values.get("name"), f"{values['price']}") for sku, values in found.items()} == wanted
    for messages, expected in ((read.skipped, skipped), (read.problems, refused)):
        assert len(messages) == len(expected), messages
        assert all(line.startswith(f"f:{part}") for line, part in zip(messages, expected, strict=True)), messages


def test_a_file_whose_only_known_column_is_the_sku_is_refused() -> None:
    with pytest.raises(InputFileError, match="only the sku is read"):
        read_bytes(b"sku;oude prijs;nieuwe prijs\nmok;12,50;13,95\n", "products")


def test_orders_of_woocommerce_have_the_receiver_of_the_shipping_columns() -> None:
    head = "Order Number,Order Status,Order Date,First Name (Billing),City (Billing),Last Name (Shipping),Address 1&2 (Shipping),"
    row = "Processing,2026-11-27 09:05,Ada,Utrecht,Bo,Weg 2,"
    lines = [
        head + "City (Shipping),Country Code (Shipping),SKU,Item Name,Quantity (- Refund),Item Cost",
        f"9001,{row}Gent,BE,mok,Mok,2,12.50",
        f"9001,{row}Gent,BE,bord,Bord,1,9",
        f"9002,{row.replace('Processing', 'Pending payment')}Gent,BE,mok,Mok,2,12.50",
        f"9003,{row.replace('Processing', 'Refunded')}Gent,BE,mok,Mok,2,12.50",
    ]
    read = read_bytes("\n".join([*lines, ""]).encode(), "orders")
    read.check()
    (order,) = [new_order(row.values) for row in read.rows]
    assert isinstance(order.shipping, Address)
    assert (order.order_id, order.status, order.shipping.city, order.shipping.address) == (
        "9001",
        "open",
        "Gent",
        "Weg 2",
    )
    assert [(line.sku, line.quantity) for line in order.lines] == [("mok", 2), ("bord", 1)]
    assert [line.split(": ")[0] for line in read.skipped] == ["the file:4", "the file:5"]


def test_unread_columns_that_look_like_an_address_are_noted() -> None:
    read = read_bytes(b"ordernummer;status;artikelnummer;aantal;Postcode ontvanger\n1;open;mok;1;3511\n", "orders")
    assert any("'Postcode ontvanger'" in note for note in read.notes)
    assert any("no column is read as an address" in note for note in read.notes)


def test_a_partly_refunded_order_of_shopify_is_skipped_unless_its_status_is_given() -> None:
    text = b"Name,Email,Financial Status,Fulfillment Status,Lineitem quantity,Lineitem name,Lineitem sku\n#1,a@example.test,partially_refunded,unfulfilled,2,Mok,mok\n"
    assert len(read_bytes(text, "orders").skipped) == 1
    assert len(read_bytes(text, "orders", constants={"status": "open"}).rows) == 1


def test_an_export_of_orders_has_its_order_id_in_the_column_of_this_name() -> None:
    lines = ["uuid,order_number,order_id,status,total_paid,line.sku,line.quantity", "u,1001,S-1,open,9.95,mok,1", ""]
    read = read_bytes("\n".join(lines).encode(), "orders")
    assert (read.profile, [row.values["order_id"] for row in read.rows]) == ("goedgepickt-orders", ["S-1"])


def test_each_profile_is_tested_with_a_complete_file() -> None:
    tested = {row[1] for row in PRODUCTS}
    tested |= {"shopify-orders", "goedgepickt", "goedgepickt-orders", "shopify-inventory", "woocommerce-orders"}
    assert {profile.name for profile in PROFILES} <= tested
