"""The columns that files may have, by resource, and how their cells are read."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from datetime import datetime
from decimal import Decimal
from typing import Any, Final, TypeAlias
from zoneinfo import ZoneInfo

import attrs

__all__ = [
    "KINDS",
    "CellError",
    "Field",
    "Kind",
    "Reader",
    "amount",
    "country",
    "escape_cell",
    "flag",
    "link",
    "moment",
    "sku",
    "text",
    "unescape_cell",
    "whole",
]


class CellError(Exception):
    """A cell cannot be read; the text says why. It never leaves the package."""


Reader: TypeAlias = Callable[[Any, str | None], Any]
"""From a value that is not empty, and the decimal sign that was said, to what is kept."""

_DUTCH: Final = ZoneInfo("Europe/Amsterdam")
_SHORTENED: Final = re.compile(r"[0-9][.,][0-9]+E\+[0-9]{2,}", re.IGNORECASE)
_FLAGS: Final = {
    **dict.fromkeys(("1", "true", "yes", "ja", "waar", "aan", "on", "y", "j"), True),
    **dict.fromkeys(("0", "false", "no", "nee", "onwaar", "uit", "off", "n"), False),
}
_DUTCH_DAY: Final = re.compile(r"([0-9]{1,2})-([0-9]{1,2})-([0-9]{4})(?:[ T]+([0-9]{2}:[0-9]{2}(?::[0-9]{2})?))?")

# A spreadsheet takes a cell that begins like this for a formula; a quote or an apostrophe before it changes nothing
# for a reader that splits a cell at another separator than the writer quoted for.
_BEGINNING: Final = r"(?:^|(?<=[;,|\t\r\n]))"
_FORMULA: Final = r"(?=['\"]*[=+\-@\t\r\n\uff1d\uff0b\uff0d\uff20])"
_UNSAFE: Final = re.compile(_BEGINNING + _FORMULA)
_ESCAPED: Final = re.compile(_BEGINNING + "'" + _FORMULA)


def escape_cell(text: str) -> str:
    """A text that no spreadsheet runs as a formula: an apostrophe stands before each place that could begin one.

    Such places are the beginning of the text, and what follows any separator (`;`, `,`, `|`, a tab, a line end): a
    spreadsheet may split the cell there, whatever separator the file was written with.

    Args:
        text: What the cell is to say; `unescape_cell` gives it back.
    """
    return _UNSAFE.sub("'", text)


def unescape_cell(text: str) -> str:
    """The text that `escape_cell` was given.

    Args:
        text: The cell.
    """
    return _ESCAPED.sub("", text)


def text(value: Any, _: str | None = None) -> str:
    """Text as it stands; a whole number of JSON becomes text."""
    if isinstance(value, str):
        return value
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    raise CellError("must be text")


def sku(value: Any, _: str | None = None) -> str:
    """An identifier: leading zeros stay, and what a spreadsheet made of a long number is refused."""
    kept = text(value).strip()
    if _SHORTENED.fullmatch(kept):
        raise CellError(f"{kept!r} is what a spreadsheet made of a longer number; export that column as text")
    return kept


def amount(value: Any, decimal: str | None = None) -> Decimal:
    """An exact number."""
    if isinstance(value, Decimal | int) and not isinstance(value, bool):
        return Decimal(value)
    return parse_amount(text(value), decimal)


def whole(value: Any, decimal: str | None = None) -> int:
    """A whole number."""
    if isinstance(value, Decimal) and value == value.to_integral_value() and abs(value.adjusted()) < 30:
        return int(value)
    if isinstance(value, Decimal):
        raise CellError("must be a whole number")
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    return parse_whole(text(value), decimal)


def flag(value: Any, _: str | None = None) -> bool:
    """Yes or no, in Dutch or English."""
    if isinstance(value, bool):
        return value
    try:
        return _FLAGS[text(value).strip().lower()]
    except KeyError:
        raise CellError("must be yes or no (ja, nee, true, false, 1, 0)") from None


def link(value: Any, _: str | None = None) -> str:
    """A URL; the first one, where a shop lists several."""
    first = re.split(r",\s*(?=https?://)|\s*\|\s*|;\s*(?=https?://)", text(value).strip())[0]
    if not re.match(r"https?://\S+$", first):
        raise CellError("must be a URL that begins with http:// or https://")
    return first


def country(value: Any, _: str | None = None) -> str:
    """A country's code, upper-case."""
    return text(value).strip().upper()


def moment(value: Any, _: str | None = None) -> datetime:
    """ISO 8601, or day-month-year; without an offset it is Dutch local time."""
    kept = text(value).strip()
    try:
        dutch = _DUTCH_DAY.fullmatch(kept)
        if dutch is not None:
            kept = f"{dutch[3]}-{int(dutch[2]):02}-{int(dutch[1]):02} {dutch[4] or '00:00'}"
        read = datetime.fromisoformat(kept)
    except ValueError:
        raise CellError("must be a date such as 2026-11-25 or 25-11-2026, with or without a time") from None
    return read if read.tzinfo is not None else read.replace(tzinfo=_DUTCH)


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
    sku,
    (
        ("sku", "variant sku", "product sku"),
        ("artikelnummer", "artikelnr", "artikel nr", "art nr", "artnr", "artikelcode", "article code", "productcode"),
        ("product code", "item number", "item code", "article number", "productnummer", "code"),
    ),
    required=True,
)
_NAME: Final = Field(
    text,
    (
        ("name", "naam", "productnaam", "product name", "product title", "artikelnaam"),
        ("title", "titel", "nl title short", "title short", "nl title long", "title long"),
        ("omschrijving", "artikelomschrijving", "productomschrijving"),
    ),
)
_PRICE: Final = Field(
    amount,
    (
        ("price", "prijs", "regular price", "variant price"),
        ("verkoopprijs", "price incl", "prijs incl", "prijs incl btw", "price incl vat", "verkoopprijs incl btw"),
    ),
)
_LEVEL: Final = Field(
    whole,
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
    "product_id": Field(sku, (("product id", "productid", "entity id"), ("internal variant id", "internal id"))),
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
    "zipcode": (text, ("zipcode", "zip", "postcode", "postal code")),
    "city": (text, ("city", "plaats", "woonplaats", "stad")),
    "country": (country, ("country", "land", "landcode", "country code")),
    "email": (text, ("email", "e mail", "emailadres")),
    "phone": (text, ("phone", "telefoon", "telefoonnummer")),
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
    "order_id": _named(sku, "order id", "ordernummer", "bestelnummer", "order number", "ordernr", required=True),
    "display_id": _named(text, "display id", "order display id"),
    "created_at": _named(moment, "created at", "besteldatum", "orderdatum", "datum", "date", "order date"),
    "finished_at": _named(moment, "finished at"),
    "status": _named(text, "status", "order status"),
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
    "line.tax_rate": _named(amount, "line tax rate", "tax rate", "btw", "btw percentage"),
    "line.unit_price_incl": _named(amount, "line unit price incl", "unit price incl", "stukprijs", "prijs"),
    "line.unit_price_excl": _named(amount, "line unit price excl", "unit price excl"),
    "line.line_item_id": _named(text, "line line item id", "line item id"),
    "line.ean": _named(sku, "line ean", "ean"),
}

KINDS: Final[Mapping[str, Kind]] = {
    "products": Kind(_PRODUCT),
    "stock": Kind({"sku": _SKU, "level": _LEVEL}),
    "orders": Kind(_ORDER, grouped="order_id"),
}
"""By the names that plans have."""


_LONGEST: Final = 40
_CURRENCY: Final = re.compile(r"^(?:€|EUR)\s*|\s*(?:€|EUR)$", re.IGNORECASE)
_SPACES: Final = re.compile("(?<=[0-9])[ \u00a0\u2009\u202f'](?=[0-9]{3}(?![0-9]))")
_NO_CENTS: Final = re.compile(r",-{1,2}$")
_PLAIN: Final = re.compile(r"[+-]?[0-9]+", re.ASCII)
_ONE: Final = re.compile(r"([+-]?)([0-9]+)([.,])([0-9]+)", re.ASCII)
_GROUPS: Final = re.compile(r"[+-]?[0-9]{1,3}(?:([.,])[0-9]{3})(?:\1[0-9]{3})*", re.ASCII)
_MIXED: Final = re.compile(r"[+-]?[0-9]{1,3}(?:([.,])[0-9]{3})(?:\1[0-9]{3})*(?!\1)([.,])[0-9]+", re.ASCII)


def parse_amount(text: str, decimal: str | None = None) -> Decimal:
    """An exact number: `12.34`, `12,34`, `1.234,56`, `1,234.56`, `€ 12,34`, `12,-`.

    Args:
        text: What stands in the cell.
        decimal: The sign before the decimals, `,` or `.`; None: as the number shows.

    Raises:
        CellError: It is no number, or `1.234` and the like, which is one thing here and another there.
    """
    if len(text) > _LONGEST:
        raise CellError("is too long for a number")
    kept = _SPACES.sub("", _CURRENCY.sub("", text.strip()))
    if _NO_CENTS.search(kept):
        kept, decimal = _NO_CENTS.sub("", kept), decimal or ","
    if _PLAIN.fullmatch(kept):
        return Decimal(kept)
    mixed = _MIXED.fullmatch(kept)
    if mixed is not None and decimal in {None, mixed[2]}:
        return _decimal(kept, thousands=mixed[1], point=mixed[2])
    return _of_one_sign(kept, text, decimal)


def parse_whole(text: str, decimal: str | None = None) -> int:
    """A parse_whole number; decimals may be there if they are nothing but zeros, as in `5.0000`.

    Raises:
        CellError: It is none, or can be read in two ways.
    """
    number = parse_amount(text, decimal)
    if number != number.to_integral_value():
        raise CellError(f"must be a parse_whole number, not {text.strip()!r}")
    return int(number)


def _of_one_sign(kept: str, text: str, decimal: str | None) -> Decimal:
    groups, one = _GROUPS.fullmatch(kept), _ONE.fullmatch(kept)
    if groups is not None and (decimal is not None or one is None):
        if groups[1] != decimal:
            return _decimal(kept, thousands=groups[1], point=None)
        if one is not None:
            return _decimal(kept, thousands=None, point=groups[1])
    elif one is not None and decimal in {None, one[3]}:
        if decimal is None and groups is not None and one[2] != "0":
            raise CellError(
                f"{text.strip()!r} can mean two numbers: say which sign stands before decimals (--decimal , or .)"
            )
        return _decimal(kept, thousands=None, point=one[3])
    raise CellError(f"{text.strip()!r} is no number")


def _decimal(kept: str, *, thousands: str | None, point: str | None) -> Decimal:
    bare = kept.replace(thousands, "") if thousands else kept
    return Decimal(bare.replace(point, ".") if point else bare)
