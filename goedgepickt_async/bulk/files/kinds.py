"""What rows of a kind may hold: the fields, how each is read, and the names that columns have in exports of shops.

Names are compared without case and punctuation. Those of a field stand in the order of their weight, in groups: a column
of an earlier group wins over one of a later; two of one group are refused.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import attrs

from goedgepickt_async.bulk.files import cells
from goedgepickt_async.bulk.files.cells import Reader

__all__ = ["KINDS", "Field", "Kind"]


@attrs.frozen
class Field:
    """One field.

    Attributes:
        read: How a cell is read.
        names: The columns that hold it, in groups, without case and punctuation.
        required: Whether a row without it is a bad one.
    """

    read: Reader
    names: tuple[tuple[str, ...], ...] = ()
    required: bool = False


@attrs.frozen
class Kind:
    """One kind of rows.

    Attributes:
        fields: By Python name; those of an order's lines begin with `line.`.
        grouped: The field that tells which rows belong together, if rows are parts.
    """

    fields: Mapping[str, Field]
    grouped: str | None = None


_SKU: Final = Field(
    cells.sku,
    (
        ("sku", "variant sku", "product sku"),
        ("artikelnummer", "artikelnr", "artikel nr", "art nr", "artnr", "artikelcode", "article code", "productcode"),
        ("product code", "item number", "item code", "article number", "productnummer", "code"),
    ),
    required=True,
)
_NAME: Final = Field(
    cells.text,
    (
        ("name", "naam", "productnaam", "product name", "product title", "artikelnaam"),
        ("title", "titel", "nl title short", "title short", "nl title long", "title long"),
        ("omschrijving", "artikelomschrijving", "productomschrijving"),
    ),
)
_PRICE: Final = Field(
    cells.amount,
    (
        ("price", "prijs", "regular price", "variant price"),
        ("verkoopprijs", "price incl", "prijs incl", "prijs incl btw", "price incl vat", "verkoopprijs incl btw"),
    ),
)
_LEVEL: Final = Field(
    cells.whole,
    (
        ("level", "free stock", "vrije voorraad", "stock free stock", "variant inventory qty", "stock level"),
        ("stock", "voorraad", "qty", "quantity", "stock quantity", "aantal", "available", "voorraadniveau"),
        ("on hand", "inventory", "totale voorraad", "total stock"),
    ),
    required=True,
)
_PRODUCT: Final[Mapping[str, Field]] = {
    "sku": _SKU,
    "name": _NAME,
    "price": _PRICE,
    "product_id": Field(cells.sku, (("product id", "productid", "entity id"), ("internal variant id", "internal id"))),
    "picture": Field(
        cells.link,
        (("picture", "image", "images", "image src", "image url", "afbeelding", "afbeeldingen", "foto"),),
    ),
    "url": Field(cells.link, (("url", "product url", "permalink"),)),
    "stock_management": Field(
        cells.flag,
        (("stock management", "manage stock", "voorraadbeheer", "voorraad bijhouden", "stock track"),),
    ),
    "webshop_uuid": Field(cells.text, (("webshop uuid",),)),
}


def _named(reader: Reader, *names: str, required: bool = False) -> Field:
    return Field(reader, (names,), required)


_PERSON: Final[Mapping[str, tuple[Reader, tuple[str, ...]]]] = {
    "first_name": (cells.text, ("first name", "voornaam")),
    "last_name": (cells.text, ("last name", "achternaam")),
    "company": (cells.text, ("company", "bedrijf", "bedrijfsnaam")),
    "address": (cells.text, ("address", "straat", "street", "adres")),
    "address2": (cells.text, ("address2", "address 2", "adres 2")),
    "house_number": (cells.text, ("house number", "huisnummer")),
    "house_number_addition": (cells.text, ("house number addition", "toevoeging", "huisnummer toevoeging")),
    "zipcode": (cells.text, ("zipcode", "zip", "postcode", "postal code")),
    "city": (cells.text, ("city", "plaats", "woonplaats", "stad")),
    "country": (cells.country, ("country", "land", "landcode", "country code")),
    "email": (cells.text, ("email", "e mail", "emailadres")),
    "phone": (cells.text, ("phone", "telefoon", "telefoonnummer")),
}


def _addresses() -> dict[str, Field]:
    """A bare `city` is of the shipping address; that of billing says so."""
    found: dict[str, Field] = {}
    for part, (reader, names) in _PERSON.items():
        shipping = tuple(f"{side} {name}" for side in ("shipping", "verzend", "aflever") for name in names)
        billing = tuple(f"{side} {name}" for side in ("billing", "factuur") for name in names)
        found[f"shipping.{part}"] = Field(reader, (shipping, names))
        found[f"billing.{part}"] = Field(reader, (billing,))
    return found


_ORDER: Final[Mapping[str, Field]] = {
    "order_id": _named(cells.sku, "order id", "ordernummer", "bestelnummer", "order number", "ordernr", required=True),
    "display_id": _named(cells.text, "display id", "order display id"),
    "created_at": _named(cells.moment, "created at", "besteldatum", "orderdatum", "datum", "date", "order date"),
    "finished_at": _named(cells.moment, "finished at"),
    "status": _named(cells.text, "status", "order status"),
    "currency": _named(cells.text, "currency", "valuta"),
    "shipping_method": _named(cells.text, "shipping method", "verzendmethode"),
    "payment_method": _named(cells.text, "payment method", "betaalmethode", "betaalwijze"),
    "invoice_number": _named(cells.text, "invoice number", "factuurnummer"),
    "customer_note": _named(cells.text, "customer note", "opmerking", "opmerkingen", "note"),
    "shipping_total": _named(cells.amount, "shipping total", "verzendkosten"),
    "shipping_tax": _named(cells.amount, "shipping tax"),
    "discount_total": _named(cells.amount, "discount total", "korting"),
    "discount_tax": _named(cells.amount, "discount tax"),
    "ignore_unknown_products": _named(cells.flag, "ignore unknown products"),
    "webshop_uuid": _named(cells.text, "webshop uuid"),
    **_addresses(),
    "line.sku": Field(cells.sku, (("line sku", "lineitem sku"), *_SKU.names), required=True),
    "line.product_name": Field(cells.text, (("line product name", "lineitem name"), *_NAME.names)),
    "line.quantity": Field(
        cells.whole,
        (("line quantity", "lineitem quantity"), ("quantity", "aantal", "qty")),
        required=True,
    ),
    "line.tax_rate": _named(cells.amount, "line tax rate", "tax rate", "btw", "btw percentage"),
    "line.unit_price_incl": _named(cells.amount, "line unit price incl", "unit price incl", "stukprijs", "prijs"),
    "line.unit_price_excl": _named(cells.amount, "line unit price excl", "unit price excl"),
    "line.line_item_id": _named(cells.text, "line line item id", "line item id"),
    "line.ean": _named(cells.sku, "line ean", "ean"),
}

KINDS: Final[Mapping[str, Kind]] = {
    "products": Kind(_PRODUCT),
    "stock": Kind({"sku": _SKU, "level": _LEVEL}),
    "orders": Kind(_ORDER, grouped="order_id"),
}
"""By the names that plans have."""
