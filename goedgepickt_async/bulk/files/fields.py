"""The fields of products, stock and orders, and the columns that are known to hold them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import attrs

from goedgepickt_async.bulk.files.cells import (
    Reader,
    amount,
    country,
    digits,
    flag,
    link,
    moment,
    order_status,
    percentage,
    sku,
    text,
    whole,
)

__all__ = ["KINDS", "Field", "RowKind"]


@attrs.frozen
class Field:
    """One field.

    Attributes:
        read: How a cell is read.
        names: The columns that hold it, without case and punctuation, in tiers: the first tier that a file has counts,
            and two columns of one tier are refused.
        required: Whether a row without it is a bad one.
    """

    read: Reader
    names: tuple[tuple[str, ...], ...] = ()
    required: bool = False


@attrs.frozen
class RowKind:
    """One kind of rows.

    Attributes:
        fields: By Python name; those of an order's lines begin with `line.`.
        grouped: The field that tells which rows belong together, if rows are parts.
    """

    fields: Mapping[str, Field]
    grouped: str | None = None


_SKU: Final = Field(
    sku,
    (
        (
            "sku", "variant sku", "product sku", "artikelnummer", "artikelnr", "artikel nr", "art nr", "artnr",
            "artikelcode", "article code", "productcode", "product code", "product number", "productnummer",
            "item number", "item code", "article number", "referentiecode",
        ),
        ("code", "reference", "referentie"),
    ),
    required=True,
)  # fmt: skip
_NAME: Final = Field(
    text,
    (
        (
            "name", "naam", "productnaam", "product name", "product title", "artikelnaam", "title", "titel",
        ),
        ("nl title short", "title short"),
        ("omschrijving", "artikelomschrijving", "productomschrijving"),
    ),
)  # fmt: skip
_PRICE: Final = Field(
    amount,
    (
        (
            "price", "prijs", "regular price", "variant price", "verkoopprijs", "price incl", "prijs incl",
            "prijs incl btw", "price incl vat", "verkoopprijs incl btw", "reguliere prijs", "normale prijs",
            "adviesprijs", "consumentenprijs", "regulärer preis", "preis", "verkaufspreis",
        ),
    ),
)  # fmt: skip
_LEVEL: Final = Field(
    whole,
    (
        ("level", "free stock", "vrije voorraad", "stock free stock"),
        (
            "stock", "voorraad", "qty", "quantity", "stock quantity", "aantal", "available", "voorraadniveau",
            "variant inventory qty", "stock level", "on hand", "inventory", "lagerbestand", "bestand", "lager",
            "stock amount", "voorraad aantal", "aantal op voorraad", "in voorraad",
        ),
        ("totale voorraad", "total stock", "stock total stock"),
    ),
    required=True,
)  # fmt: skip
_UUID: Final = Field(text)
"""GoedGepickt's id of the product: it tells products with one SKU apart."""
_PRODUCT: Final[Mapping[str, Field]] = {
    "sku": _SKU,
    "name": _NAME,
    "price": _PRICE,
    "product_id": Field(sku, (("product id", "productid"), ("internal variant id",), ("internal id",), ("entity id",))),
    "picture": Field(
        link,
        (("picture", "image", "images", "image src", "image url", "afbeelding", "afbeeldingen", "foto"),),
    ),
    "url": Field(link, (("url", "product url", "permalink"),)),
    "stock_management": Field(
        flag,
        (("stock management", "manage stock", "voorraadbeheer", "voorraad bijhouden", "stock track"),),
    ),
    "webshop_uuid": Field(text, (("webshop uuid",),)),
    "uuid": _UUID,
}


def _named(reader: Reader, *names: str, required: bool = False) -> Field:
    return Field(reader, (names,), required)


_PERSON: Final[Mapping[str, tuple[Reader, tuple[str, ...]]]] = {
    "first_name": (text, ("first name", "voornaam")),
    "last_name": (text, ("last name", "achternaam")),
    "company": (text, ("company", "bedrijf", "bedrijfsnaam")),
    "address": (text, ("address", "straat", "street", "adres")),
    "address2": (text, ("address2", "address 2", "adres 2")),
    "house_number": (text, ("house number", "huisnummer")),
    "house_number_addition": (text, ("house number addition", "toevoeging", "huisnummer toevoeging")),
    "zipcode": (digits, ("zipcode", "zip", "postcode", "postal code")),
    "city": (text, ("city", "plaats", "woonplaats", "stad")),
    "country": (country, ("country", "land", "landcode", "country code")),
    "email": (text, ("email", "e mail", "emailadres")),
    "phone": (digits, ("phone", "telefoon", "telefoonnummer")),
}


def _addresses() -> dict[str, Field]:
    """A bare `city` is of the shipping address; that of billing says so."""
    found: dict[str, Field] = {}
    for part, (reader, names) in _PERSON.items():
        shipping = tuple(f"{side} {name}" for side in ("shipping", "verzend", "aflever") for name in names)
        billing = tuple(f"{side} {name}" for side in ("billing", "factuur") for name in names)
        found[f"shipping.{part}"] = Field(reader, (shipping, names))
        found[f"billing.{part}"] = Field(reader, (billing,))
    for side in ("shipping", "billing"):
        found[f"{side}.name"] = Field(text, ((f"{side} name",),))
    return found


_ORDER: Final[Mapping[str, Field]] = {
    "order_id": _named(sku, "order id", "ordernummer", "bestelnummer", "order number", "ordernr", required=True),
    "display_id": _named(text, "display id", "order display id"),
    "created_at": _named(moment, "created at", "besteldatum", "orderdatum", "datum", "date", "order date", "orderdate"),
    "finished_at": _named(moment, "finished at"),
    "status": _named(order_status, "status", "order status", "orderstatus", "bestelstatus", required=True),
    "currency": _named(text, "currency", "valuta"),
    "shipping_method": _named(text, "shipping method", "verzendmethode"),
    "payment_method": _named(text, "payment method", "betaalmethode", "betaalwijze"),
    "invoice_number": _named(text, "invoice number", "factuurnummer"),
    "customer_note": _named(text, "customer note", "opmerking", "opmerkingen", "note"),
    "shipping_total": _named(amount, "shipping total", "verzendkosten"),
    "shipping_tax": _named(amount, "shipping tax"),
    "discount_total": _named(amount, "discount total", "korting"),
    "discount_tax": _named(amount, "discount tax"),
    "ignore_unknown_products": _named(flag, "ignore unknown products"),
    "webshop_uuid": _named(text, "webshop uuid"),
    **_addresses(),
    "line.sku": Field(sku, (("line sku", "lineitem sku"), *_SKU.names), required=True),
    "line.product_name": Field(text, (("line product name", "lineitem name"), *_NAME.names)),
    "line.quantity": Field(
        whole,
        (("line quantity", "lineitem quantity"), ("quantity", "aantal", "qty")),
        required=True,
    ),
    "line.tax_rate": _named(percentage, "line tax rate", "tax rate", "btw", "btw percentage", "btw tarief"),
    "line.unit_price_incl": _named(
        amount, "line unit price incl", "unit price incl", "stukprijs", "prijs", "lineitem price"
    ),
    "line.unit_price_excl": _named(amount, "line unit price excl", "unit price excl"),
    "line.line_item_id": _named(text, "line line item id", "line item id"),
    "line.ean": _named(sku, "line ean", "ean"),
}

KINDS: Final[Mapping[str, RowKind]] = {
    "products": RowKind(_PRODUCT),
    "stock": RowKind({"sku": _SKU, "level": _LEVEL, "uuid": _UUID}),
    "orders": RowKind(_ORDER, grouped="order_id"),
}
"""By the names that plans have."""
