"""The fields of rows and the names of their columns, including the files of shops and other programs.

Names of columns are written without case and punctuation, separated by commas.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

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
    price,
    sku,
    text,
    whole,
)

__all__ = ["KINDS", "PROFILES", "Field", "Profile", "RowKind", "SkipRule", "detect"]

_PRODUCTS: Final = frozenset({"products", "stock"})
_STOCK: Final = frozenset({"stock"})
_ORDERS: Final = frozenset({"orders"})


_NONE: Final[Any] = ""


def _listed(names: str) -> tuple[str, ...]:
    return tuple(name.strip() for name in names.split(",") if name.strip())


def _each_listed(groups: Iterable[str]) -> tuple[tuple[str, ...], ...]:
    return tuple(map(_listed, groups))


def _columns(columns: Mapping[str, str]) -> dict[str, tuple[str, ...]]:
    return {name: _listed(names) for name, names in columns.items()}


@attrs.frozen(repr=False)
class SkipRule:
    """A rule for rows of a file that are skipped.

    Attributes:
        reason: The reason, for people.
        columns: The column that tells it, by its names in several languages.
        values: The words that match.
        empty: The columns that must be empty, if the file has them.
        filled: The column that must not be empty.
        kinds: The kinds of rows for which the rule applies.
        unless_given: The field that switches the rule off if the user passes it (`--set`, `--column`).
    """

    reason: str
    columns: tuple[str, ...] = attrs.field(default=_NONE, converter=_listed)
    values: tuple[str, ...] = attrs.field(default=_NONE, converter=_listed)
    empty: tuple[str, ...] = attrs.field(default=_NONE, converter=_listed, kw_only=True)
    filled: str = attrs.field(default="", kw_only=True)
    kinds: frozenset[str] = attrs.field(default=_PRODUCTS | _ORDERS, kw_only=True)
    unless_given: str = attrs.field(default="", kw_only=True)

    def applies(self, cells: Mapping[str, str]) -> bool:
        """Whether a row, its cells by column name without case and punctuation, is one of them."""
        if self.columns:
            told = (cells[name] for name in self.columns if name in cells)
            return any(word.strip() in self.values for word in next(told, "").casefold().split(","))
        if self.filled:
            return bool(cells.get(self.filled, ""))
        return all(not cells.get(name, "") for name in self.empty) and any(name in cells for name in self.empty)


@attrs.frozen(repr=False)
class Profile:
    """The files of one program.

    Attributes:
        name: The name for `--profile`.
        title: The name for people.
        kinds: What its files hold: `products` (also read for stock) or `orders`.
        detect: The groups of columns that identify the program: a file with all columns of one group is from it.
        columns: The columns of each field. The first one that a file has is used. Empty: the field is not read.
        skip: The rules for rows that are skipped and reported.
        carry: By a column that names a group, such as a handle: the columns that only one row of the group has.
        parents: Two columns, a row's id and the id of its parent. A row that is the parent of others is skipped, and a
            row inherits what its own cells lack.
        no_value: What a cell holds that has no value.
        ignored: Columns that look like a price or a stock but are not read.
        decimal: The decimal sign of the program, if it is always the same.
    """

    name: str
    title: str
    kinds: frozenset[str]
    detect: tuple[tuple[str, ...], ...] = attrs.field(converter=_each_listed)
    columns: Mapping[str, tuple[str, ...]] = attrs.field(converter=_columns)
    skip: tuple[SkipRule, ...] = ()
    carry: Mapping[str, tuple[str, ...]] = attrs.field(factory=dict, converter=_columns)
    parents: tuple[str, str] | None = None
    no_value: str | None = None
    ignored: tuple[str, ...] = attrs.field(default=_NONE, converter=_listed)
    decimal: str | None = None


def _for_each_address(columns: Mapping[str, str]) -> dict[str, str]:
    """The columns of both addresses, with `shipping` and with `billing` in place of `*`."""
    sides = ("shipping", "billing")
    return {f"{side}.{part}": names.replace("*", side) for side in sides for part, names in columns.items()}


_WOO_STOCK: Final = "stock, voorraad, lager, bestand, lagerbestand"
_UNPAID: Final = "an order that is not paid (include it with --set status=open)"

PROFILES: Final[tuple[Profile, ...]] = (
    Profile(
        "goedgepickt", "an export of this program", _PRODUCTS,
        detect=("uuid, sku, stock free stock, stock total stock",),
        columns={
            "sku": "sku",
            "name": "name",
            "price": "price",
            "product_id": "product id",
            "picture": "picture",
            "level": "stock free stock",
            "uuid": "uuid",
            "webshop_uuid": "",
        },
        skip=(
            SkipRule("a product without a SKU", empty="sku"),
            SkipRule("a product without a stock", empty="stock free stock", kinds=_STOCK),
        ),
        ignored=(
            "price, cost price, stock free stock, stock total stock, stock reserved stock, stock unlimited stock, "
            "stock minimal stock, stock, stock fill stock to, stock extra, allow backorders"
        ),
    ),
    Profile(
        "woocommerce", "WooCommerce", _PRODUCTS,
        detect=(
            "id, type, sku, regular price",
            "id, type, sku, reguliere prijs",
            "id, type, sku, normale prijs",
            "id, typ, artikelnummer, regulärer preis",
            "id, typ, sku, regulärer preis",
        ),
        columns={
            "sku": "sku, artikelnummer",
            "name": "name, naam",
            "price": "regular price, reguliere prijs, normale prijs, regulärer preis",
            "picture": "images, afbeeldingen, bilder",
            "level": _WOO_STOCK,
            "product_id": "id",
            "url": "",
            "stock_management": "",
        },
        skip=(
            SkipRule(
                "a variable, grouped, bundled or external product: other products are the goods",
                "type, typ", "variable, grouped, external, bundle, composite, woosb, variable-subscription",
            ),
            SkipRule("a virtual or downloadable product, which is not picked", "type, typ", "virtual, downloadable"),
            SkipRule(
                "a variation without its own stock: the shop counts all variations together",
                _WOO_STOCK, "parent", kinds=_STOCK,
            ),
            SkipRule("a product whose stock the shop does not count", empty=_WOO_STOCK, kinds=_STOCK),
        ),
        ignored=(
            "sale price, actieprijs, aanbiedingsprijs, angebotspreis, in stock, op voorraad, low stock amount, "
            "lage voorraad, lage voorraad hoeveelheid, backorders allowed, date sale price starts, "
            "date sale price ends, startdatum actieprijs, einddatum actieprijs, datum an dem angebotspreis beginnt, "
            "datum an dem angebotspreis endet, vorrätig, geringe lagermenge"
        ),
    ),
    Profile(
        "shopify", "Shopify", _PRODUCTS,
        detect=("handle, title, variant sku", "url handle, title, sku"),
        columns={
            "sku": "variant sku, sku",
            "name": "title",
            "price": "variant price, price",
            "picture": "variant image, variant image url",
            "level": "variant inventory qty, inventory quantity",
            "product_id": "",
            "url": "",
        },
        skip=(
            SkipRule("an image of the product, not a variant", empty="variant sku, variant price, sku, price"),
            SkipRule("a gift card: nothing to pick", "gift card", "true"),
            SkipRule(
                "a variant whose stock the shop does not count",
                empty="variant inventory qty, inventory quantity", kinds=_STOCK,
            ),
        ),
        carry={"handle": "title, gift card", "url handle": "title, gift card"},
        ignored=(
            "variant compare at price, variant inventory tracker, variant inventory policy, cost per item, "
            "compare at price, inventory tracker, continue selling when out of stock, unit price total measure, "
            "unit price total measure unit, unit price base measure, unit price base measure unit"
        ),
    ),
    Profile(
        "shopify-inventory", "Shopify inventory", _STOCK,
        detect=("handle, title, sku, location",),
        columns={
            "sku": "sku",
            "level": "available, available not editable",
        },
        skip=(
            SkipRule(
                "a variant that is not in stock at this location",
                "available, available not editable", "not stocked",
            ),
        ),
        ignored="on hand, on hand current, on hand new",
    ),
    Profile(
        "goedgepickt-orders", "an export of this program", _ORDERS,
        detect=("order id, order number, total paid",),
        columns={"order_id": "order id"},  # order_number is the number that the webshop shows
    ),
    Profile(
        "shopify-orders", "Shopify orders", _ORDERS,
        detect=("name, email, lineitem name, lineitem quantity", "name, lineitem sku, lineitem quantity"),
        columns={
            "order_id": "name",
            "created_at": "created at",
            "currency": "currency",
            "shipping_method": "shipping method",
            "payment_method": "payment method",
            "customer_note": "notes",
            "shipping_total": "shipping",
            "discount_total": "discount amount",
            "status": "status, fulfillment status",
            "shipping.email": "email",
            **_for_each_address({
                "name": "* name",
                "company": "* company",
                "address": "* address1, * street",
                "address2": "* address2",
                "zipcode": "* zip",
                "city": "* city",
                "country": "* country",
                "phone": "* phone",
            }),
            "shipping.phone": "shipping phone, phone",
            "line.sku": "lineitem sku",
            "line.product_name": "lineitem name",
            "line.quantity": "lineitem quantity",
            "line.unit_price_incl": "lineitem price",
            "line.tax_rate": "",
        },
        skip=(
            SkipRule("a cancelled order", filled="cancelled at"),
            SkipRule(_UNPAID, "financial status", "pending, expired", unless_given="status"),
            SkipRule(
                "an order that was refunded in part: the file does not say which lines (--set status=open takes it)",
                "financial status", "partially_refunded", unless_given="status",
            ),
            SkipRule("an order that was refunded", "financial status", "refunded, voided"),
        ),
        carry={"name": "cancelled at, financial status, fulfillment status, status"},
        ignored=(
            "subtotal, total, lineitem compare at price, lineitem discount, refunded amount, billing street, "
            "shipping street, tax 1 name, tax 2 name, tax 3 name, tax 4 name, tax 5 name"
        ),
    ),
    Profile(
        "woocommerce-orders", "WooCommerce orders", _ORDERS,
        detect=("order number, order status, item name", "order id, order status, item name"),
        columns={
            "order_id": "order number, order id",
            "created_at": "order date",
            "status": "order status",
            "currency": "order currency, currency",
            "customer_note": "customer note",
            "shipping_method": "shipping method title, shipping method",
            "payment_method": "payment method title, payment method",
            "shipping_total": "order shipping amount",
            "discount_total": "cart discount amount",
            **_for_each_address({
                "first_name": "first name *",
                "last_name": "last name *",
                "company": "company *",
                "address": "address 1 2 *, address 1 *, address *",
                "address2": "address 2 *",
                "zipcode": "postcode *",
                "city": "city *",
                "country": "country code *, country *",
                "email": "email *",
                "phone": "phone *",
            }),
            "line.sku": "sku",
            "line.product_name": "item name",
            "line.quantity": "quantity refund, quantity",
            "line.unit_price_incl": "",
            "line.tax_rate": "",
        },
        skip=(
            SkipRule(
                _UNPAID,
                "order status", "pending payment, pending, wachtend op betaling, zahlung ausstehend, failed",
                unless_given="status",
            ),
            SkipRule(
                "an order that was refunded, or is no order yet",
                "order status", "refunded, terugbetaald, rückerstattet, draft, checkout-draft",
            ),
        ),
        ignored=(
            "order total amount, order subtotal amount, order total tax amount, order refund amount, item cost, "
            "state code shipping, state code billing"
        ),
    ),
    Profile(
        "magento", "Magento", _PRODUCTS,
        detect=("sku, store view code", "sku, attribute set code, product type"),
        columns={
            "sku": "sku",
            "name": "name",
            "price": "price",
            "picture": "",  # a path within the shop
            "level": "qty",
            "url": "",
        },
        skip=(
            SkipRule("texts of another store view", filled="store view code"),
            SkipRule(
                "a configurable, bundled or grouped product: only its parts have stock",
                "product type", "configurable, bundle, grouped",
            ),
            SkipRule(
                "a virtual or downloadable product, which is not picked",
                "product type", "virtual, downloadable, giftcard",
            ),
        ),
        ignored=(
            "special price, special price from date, special price to date, map price, msrp price, out of stock qty, "
            "use config min qty, is qty decimal, allow backorders, is in stock, min cart qty, max cart qty, "
            "notify on stock below, manage stock, use config manage stock, display product options in, "
            "additional attributes, qty increments, enable qty increments, use config qty increments, "
            "use config enable qty inc, use config backorders, tier prices, bundle price type, bundle price view"
        ),
        no_value="__EMPTY__VALUE__",
        decimal=".",
    ),
    Profile(
        "lightspeed", "Lightspeed eCom", _PRODUCTS,
        detect=("internal id, internal variant id", "nl title short, sku", "nl title short, article code"),
        columns={
            "sku": "sku, article code",
            "name": "nl title short, nl title long, us title short, de title short, en title short",
            "price": "price",
            "product_id": "internal variant id, internal id",
            "picture": "images",
            "level": "stock level",
            "stock_management": "stock track",
            "url": "",
        },
        ignored="price cost, price old, price unit, stock min, stock alert, stock disable sold out",
    ),
    Profile(
        "shopware", "Shopware 6", _PRODUCTS,
        detect=("product number, stock, id", "product number, translations default name"),
        columns={
            "sku": "product number",
            "name": "name, translations default name",
            "price": "price gross, price default gross",
            "picture": "cover media url, cover",
            "level": "stock",
            "product_id": "id",
            "url": "",
        },
        ignored=(
            "price net, price default net, list price gross, list price net, purchase prices gross, "
            "purchase prices net, available stock, min purchase, max purchase"
        ),
        parents=("id", "parent id"),
        decimal=".",
    ),
    Profile(
        "prestashop", "PrestaShop", _PRODUCTS,
        detect=(
            "reference, price tax included",
            "reference, price tax excluded",
            "reference, active 0 1",
            "product id, reference, price tax excl",
            "product id, referentie, prijs excl btw",
        ),
        columns={
            "sku": "reference, referentie",
            "name": "name, naam",
            "price": "price tax included, final price, price tax incl, prijs incl btw",
            "picture": "image urls x y z, image urls",
            "level": "quantity, hoeveelheid",
            "product_id": "id, product id",
            "url": "",
        },
        ignored=(
            "wholesale price, on sale 0 1, minimal quantity, unit price, low stock level, price tax excl, "
            "prijs excl btw, discount amount"
        ),
    ),
    Profile(
        "bol", "bol.com offers", _PRODUCTS,
        detect=("offerid, ean, stockamount", "referencecode, stockamount", "offer id, reference code, stock amount"),
        columns={
            "sku": "referencecode, reference code",
            "name": "",
            "price": "bundlepricesprice, bundle prices price",
            "level": "stockamount, stock amount",
            "product_id": "",
        },
        skip=(
            SkipRule("stock that lies with bol.com (FBB)", "fulfilmenttype, fulfilment type", "fbb", kinds=_STOCK),
        ),
        ignored="correctedstock, corrected stock, managedbyretailer",
        decimal=".",
    ),
    Profile(
        "exact", "Exact Online", _PRODUCTS,
        detect=(
            "artikelcode, omschrijving, verkoopprijs",
            "code, omschrijving, verkoopprijs",
            "artikel code, omschrijving",
        ),
        columns={
            "sku": "artikelcode, artikel code, code",
            "name": "omschrijving",
            "price": "verkoopprijs, standaard verkoopprijs",
            "level": "voorraad, aanwezig, actuele voorraad",
        },
        ignored="inkoopprijs, kostprijs, minimumvoorraad, maximumvoorraad, kostprijs standaard",
    ),
    Profile(
        "google-merchant", "Google Merchant Center", _PRODUCTS,
        detect=("id, title, price, availability", "id, title, link, image link"),
        columns={
            "sku": "id",
            "name": "title",
            "price": "price",
            "picture": "image link",
            "level": "quantity, sell on google quantity",
            "url": "link",
        },
        ignored="sale price, sale price effective date, availability, cost of goods sold, unit pricing measure",
        decimal=".",
    ),
)  # fmt: skip
"""The first profile whose columns are in the file is used."""


def detect(kind: str, names: Sequence[str]) -> Profile | None:
    """Return the profile of a file with these columns, without case and punctuation; or None."""
    there = frozenset(names)
    for profile in PROFILES:
        if kind in profile.kinds and any(there.issuperset(group) for group in profile.detect):
            return profile
    return None


@attrs.frozen
class Field:
    """A field of a row.

    Attributes:
        read: The function that reads a cell.
        names: The names of its columns in tiers. The first tier that a file has is used. Two columns of one tier are
            refused.
        required: Whether each row must have it.
    """

    read: Reader
    names: tuple[tuple[str, ...], ...] = ()
    required: bool = False


@attrs.frozen
class RowKind:
    """A kind of rows.

    Attributes:
        fields: The fields by Python name; the fields of order lines start with `line.`.
        grouped: The field that groups rows, if several rows are one item.
    """

    fields: Mapping[str, Field]
    grouped: str | None = None


def _field(reader: Reader, *tiers: str, required: bool = False) -> Field:
    return Field(reader, _each_listed(tiers), required)


_SKU_NAMES: Final = (
    (
        "sku, variant sku, product sku, artikelnummer, artikelnr, artikel nr, art nr, artnr, artikelcode, "
        "article code, productcode, product code, product number, productnummer, item number, item code, "
        "article number, referentiecode"
    ),
    "code, reference, referentie",
)
_NAME_NAMES: Final = (
    "name, naam, productnaam, product name, product title, artikelnaam, title, titel",
    "nl title short, title short",
    "omschrijving, artikelomschrijving, productomschrijving",
)
_SKU: Final = _field(sku, *_SKU_NAMES, required=True)
_UUID: Final = Field(text)
"""GoedGepickt's id for the product, which distinguishes products with the same SKU."""
_PRODUCT: Final[Mapping[str, Field]] = {
    "sku": _SKU,
    "name": _field(text, *_NAME_NAMES),
    "price": _field(
        price,
        "price, prijs, regular price, variant price, verkoopprijs, price incl, prijs incl, prijs incl btw, "
        "price incl vat, verkoopprijs incl btw, reguliere prijs, normale prijs, adviesprijs, consumentenprijs, "
        "regulärer preis, preis, verkaufspreis",
    ),
    "product_id": _field(sku, "product id, productid", "internal variant id", "internal id", "entity id"),
    "picture": _field(link, "picture, image, images, image src, image url, afbeelding, afbeeldingen, foto"),
    "url": _field(link, "url, product url, permalink"),
    "stock_management": _field(flag, "stock management, manage stock, voorraadbeheer, voorraad bijhouden, stock track"),
    "webshop_uuid": _field(text, "webshop uuid"),
    "uuid": _UUID,
}
_LEVEL: Final = _field(
    whole,
    "level, free stock, vrije voorraad, stock free stock",
    "stock, voorraad, qty, quantity, stock quantity, aantal, available, voorraadniveau, variant inventory qty, "
    "stock level, on hand, inventory, lagerbestand, bestand, lager, stock amount, voorraad aantal, "
    "aantal op voorraad, in voorraad, hoeveelheid",
    "totale voorraad, total stock, stock total stock",
    required=True,
)
_PERSON: Final[Mapping[str, tuple[Reader, str]]] = {
    "first_name": (text, "first name, voornaam"),
    "last_name": (text, "last name, achternaam"),
    "company": (text, "company, bedrijf, bedrijfsnaam"),
    "address": (text, "address, address 1, straat, straatnaam, street, adres"),
    "address2": (text, "address2, address 2, adres 2"),
    "house_number": (text, "house number, huisnummer"),
    "house_number_addition": (text, "house number addition, toevoeging, huisnummer toevoeging"),
    "zipcode": (digits, "zipcode, zip, postcode, postal code"),
    "city": (text, "city, plaats, woonplaats, stad"),
    "country": (country, "country, land, landcode, country code"),
    "email": (text, "email, e mail, emailadres"),
    "phone": (digits, "phone, telefoon, telefoonnummer"),
}


def _addresses() -> dict[str, Field]:
    """`city` without a prefix belongs to the shipping address; columns of the billing address have a prefix."""
    found: dict[str, Field] = {}
    for part, (reader, names) in _PERSON.items():
        shipping = tuple(f"{side} {name}" for side in ("shipping", "verzend", "aflever") for name in _listed(names))
        billing = tuple(f"{side} {name}" for side in ("billing", "factuur") for name in _listed(names))
        found[f"shipping.{part}"] = Field(reader, (shipping, _listed(names)))
        found[f"billing.{part}"] = Field(reader, (billing,))
    for side in ("shipping", "billing"):
        found[f"{side}.name"] = _field(text, f"{side} name")
    return found


_ORDER: Final[Mapping[str, Field]] = {
    "order_id": _field(sku, "order id, ordernummer, bestelnummer, order number, ordernr", required=True),
    "display_id": _field(text, "display id, order display id"),
    "created_at": _field(moment, "created at, besteldatum, orderdatum, datum, date, order date, orderdate"),
    "finished_at": _field(moment, "finished at"),
    "status": _field(order_status, "status, order status, orderstatus, bestelstatus", required=True),
    "currency": _field(text, "currency, valuta"),
    "shipping_method": _field(text, "shipping method, verzendmethode"),
    "payment_method": _field(text, "payment method, betaalmethode, betaalwijze"),
    "invoice_number": _field(text, "invoice number, factuurnummer"),
    "customer_note": _field(text, "customer note, opmerking, opmerkingen, note"),
    "shipping_total": _field(amount, "shipping total, verzendkosten"),
    "shipping_tax": _field(amount, "shipping tax"),
    "discount_total": _field(amount, "discount total, korting"),
    "discount_tax": _field(amount, "discount tax"),
    "ignore_unknown_products": _field(flag, "ignore unknown products"),
    "webshop_uuid": _field(text, "webshop uuid"),
    "webshop_name": _field(text, "webshop name"),
    **_addresses(),
    "line.sku": _field(sku, "line sku, lineitem sku", *_SKU_NAMES, required=True),
    "line.product_name": _field(text, "line product name, lineitem name", *_NAME_NAMES),
    "line.quantity": _field(
        whole, "line quantity, lineitem quantity", "quantity, aantal, qty, hoeveelheid", required=True
    ),
    "line.tax_rate": _field(percentage, "line tax rate, tax rate, btw, btw percentage, btw tarief"),
    "line.unit_price_incl": _field(amount, "line unit price incl, unit price incl, stukprijs, prijs, lineitem price"),
    "line.unit_price_excl": _field(amount, "line unit price excl, unit price excl"),
    "line.line_item_id": _field(text, "line line item id, line item id"),
    "line.ean": _field(sku, "line ean, ean"),
}

KINDS: Final[Mapping[str, RowKind]] = {
    "products": RowKind(_PRODUCT),
    "stock": RowKind({"sku": _SKU, "level": _LEVEL, "uuid": _UUID}),
    "orders": RowKind(_ORDER, grouped="order_id"),
}
"""The kinds by their names in plans."""
