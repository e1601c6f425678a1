"""Reads cells: text, identifiers, decimal numbers, dates, countries. Ambiguous values are refused."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable
from datetime import datetime
from decimal import Decimal
from typing import Any, Final, TypeAlias

import attrs

from goedgepickt_async.models.base import AMSTERDAM

__all__ = [
    "CellError",
    "Notation",
    "Reader",
    "amount",
    "country",
    "digits",
    "escape_cell",
    "flag",
    "link",
    "moment",
    "order_status",
    "percentage",
    "sku",
    "text",
    "unescape_cell",
    "whole",
]


class CellError(Exception):
    """Private: a cell cannot be read; the text has the reason."""


@attrs.frozen(kw_only=True)
class Notation:
    """The user's options for reading cells.

    Attributes:
        decimal: The decimal sign, `,` or `.`; None refuses ambiguous numbers.
        dates: The order of the parts of a date, `dmy` or `mdy`; None refuses ambiguous dates.
    """

    decimal: str | None = None
    dates: str | None = None


Reader: TypeAlias = Callable[[Any, Notation], Any]
"""A function that converts a value that is not empty."""

_NOTHING_SAID: Final = Notation()
_LONGEST: Final = 40
"""The most digits of a number."""

_SHORTENED: Final = re.compile(r"[0-9]+(?:[.,][0-9]+E\+?|E\+)[0-9]+", re.IGNORECASE)
_SPREADSHEET_ERROR: Final = re.compile(
    r"#(?:N/?[BAV]|NAAM\?|NAME\?|VALUE!|WAARDE!|WERT!|VALEUR!|REF!|VERW!|BEZUG!|DIV/0!|DEEL/0!|NULL!|LEEG!|NUM!|GETAL!"
    r"|ZAHL!|NOMBRE!|SPILL!|OVERLOOP!|ÜBERLAUF!|CALC!|BEREKENEN!|GETTING_DATA|#+)",
    re.IGNORECASE,
)
_AS_TEXT: Final = re.compile(r'="([^"]*)"')
_QUOTED: Final = re.compile(r"^'(?=\+?[0-9])")
"""The apostrophe that makes a spreadsheet read digits as text."""
_NO_VALUE: Final = frozenset({"NULL", "\\N", "(null)", "[NULL]", "NaN", "nan", "None", "undefined", "[object Object]"})
"""How programs and databases write that there is no value."""
_SEVERAL: Final = re.compile(r"[\t\r\n\v\f]")
_TOTALS: Final = frozenset({"totaal", "subtotaal", "eindtotaal", "total", "subtotal", "grand total", "gesamt", "summe"})
_FLAGS: Final = {
    **dict.fromkeys(("1", "true", "yes", "ja", "waar", "aan", "on", "y", "j"), True),
    **dict.fromkeys(("0", "false", "no", "nee", "onwaar", "uit", "off", "n"), False),
}

# A spreadsheet reads a cell with this start as a formula. A quote, an apostrophe or a blank before it does not prevent
# that, because the reader may split the cell at another separator.
_BEGINNING: Final = r"(?:^|(?<=[;,|\t\r\n]))"
_FORMULA: Final = r"(?=['\" \u00a0]*[=+\-@\t\r\n\uff1d\uff0b\uff0d\uff20])"
_UNSAFE: Final = re.compile(_BEGINNING + _FORMULA)
_ESCAPED: Final = re.compile(_BEGINNING + "'" + _FORMULA)


def escape_cell(text: str) -> str:
    """Return a text that a spreadsheet does not run as a formula: each possible start gets an apostrophe.

    Possible starts are the beginning of the text and each position after a separator: `;`, `,`, `|`, a tab, a line end.
    A spreadsheet may split the cell there.

    Args:
        text: The text of the cell; `unescape_cell` returns it.
    """
    return _UNSAFE.sub("'", text)


def unescape_cell(text: str) -> str:
    """Return the original text of `escape_cell`.

    Args:
        text: The cell.
    """
    return _ESCAPED.sub("", text)


def text(value: Any, _: Notation = _NOTHING_SAID) -> str:
    """Text without blanks around it; a number of JSON or of a workbook becomes text, a spreadsheet error is refused."""
    if isinstance(value, str):
        kept = value.strip()
        if _SPREADSHEET_ERROR.fullmatch(kept):
            raise CellError(f"{kept} is a spreadsheet error, not a value")
        if kept in _NO_VALUE:
            raise CellError(f"{kept} is how a program writes that there is no value; leave the cell empty")
        return kept
    if isinstance(value, Decimal) and value.is_finite():
        return format(value, "f")
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    raise CellError("must be text")


def sku(value: Any, _: Notation = _NOTHING_SAID) -> str:
    """Read an identifier: leading zeros are kept, and numbers that a spreadsheet has changed are refused."""
    whole_text = text(value)
    if several := _SEVERAL.search(whole_text):
        what = "a tab" if several[0] == "\t" else "a line end"
        raise CellError(f"{_shown(whole_text)} has {what} in it: is it several values, or is a quote missing?")
    kept = "".join(char for char in whole_text if unicodedata.category(char) not in {"Cf", "Cc"}).strip()
    as_text = _AS_TEXT.fullmatch(kept)
    kept = as_text[1].strip() if as_text else _QUOTED.sub("", kept)
    if _SPREADSHEET_ERROR.fullmatch(kept):
        raise CellError(f"{kept} is a spreadsheet error, not a value")
    if _SHORTENED.fullmatch(kept):
        raise CellError(f"{kept!r} is a long number that a spreadsheet has shortened; export this column as text")
    if kept.casefold().rstrip(":") in _TOTALS:
        raise CellError(f"{kept!r} looks like a totals row, not a product; remove this row")
    return kept


def digits(value: Any, _: Notation = _NOTHING_SAID) -> str:
    """Read text that can be digits, such as a zip code or a phone number, without the apostrophe of a spreadsheet."""
    return _QUOTED.sub("", text(value))


def percentage(value: Any, notation: Notation = _NOTHING_SAID) -> Decimal:
    """Read a decimal number, with or without a percent sign."""
    return amount(value.strip().removesuffix("%").rstrip() if isinstance(value, str) else value, notation)


def amount(value: Any, notation: Notation = _NOTHING_SAID) -> Decimal:
    """Read a decimal number."""
    if isinstance(value, Decimal | int) and not isinstance(value, bool):
        return Decimal(value)
    return parse_amount(text(value), notation.decimal)


def price(value: Any, notation: Notation = _NOTHING_SAID) -> Decimal:
    """An exact number that is not negative."""
    if (number := amount(value, notation)) < 0:
        raise CellError(f"{number} is negative, which no price is")
    return number


def whole(value: Any, notation: Notation = _NOTHING_SAID) -> int:
    """Read a whole number. Decimals are allowed if they are zeros, as in `5.0000`."""
    if isinstance(value, Decimal) and not (value.is_finite() and abs(value.adjusted()) < _LONGEST):
        raise CellError("must be a whole number")
    number = amount(value, notation)
    if number != number.to_integral_value():
        raise CellError(f"must be a whole number, not {text(value)!r}")
    return int(number)


def flag(value: Any, _: Notation = _NOTHING_SAID) -> bool:
    """Read yes or no, in Dutch or English."""
    if isinstance(value, bool):
        return value
    try:
        return _FLAGS[text(value).lower()]
    except KeyError:
        raise CellError("must be yes or no (ja, nee, true, false, 1, 0)") from None


def link(value: Any, _: Notation = _NOTHING_SAID) -> str:
    """Read a URL; if a shop lists several, the first one."""
    first = re.split(r",\s*(?=https?://)|\s*\|\s*|;\s*(?=https?://)", text(value))[0]
    if not re.match(r"https?://\S+$", first):
        raise CellError("must be a URL that begins with http:// or https://")
    return first


_COUNTRIES: Final = {
    name: code
    for code, names in {
        "AT": "oostenrijk austria österreich aut",
        "BE": "belgië belgie belgium belgique belgien bel",
        "BG": "bulgarije bulgaria bgr",
        "CH": "zwitserland switzerland schweiz suisse che",
        "CZ": "tsjechië tsjechie czechia tschechien cze",
        "DE": "duitsland germany deutschland allemagne deu",
        "DK": "denemarken denmark dänemark danmark dnk",
        "EE": "estland estonia est",
        "ES": "spanje spain spanien españa esp",
        "FI": "finland finnland suomi fin",
        "FR": "frankrijk france frankreich fra",
        "GB": "engeland gbr uk groot-brittannië united-kingdom verenigd-koninkrijk great-britain",
        "GR": "griekenland greece griechenland grc",
        "HR": "kroatië kroatie croatia kroatien hrv",
        "HU": "hongarije hungary ungarn hun",
        "IE": "ierland ireland irland irl",
        "IT": "italië italie italy italien italia ita",
        "LT": "litouwen lithuania litauen ltu",
        "LU": "luxemburg luxembourg lux",
        "LV": "letland latvia lettland lva",
        "MT": "malta mlt",
        "NL": "nederland netherlands the-netherlands holland niederlande pays-bas nld",
        "NO": "noorwegen norway norwegen norge nor",
        "PL": "polen poland polska pol",
        "PT": "portugal prt",
        "RO": "roemenië roemenie romania rumänien rou",
        "SE": "zweden sweden schweden sverige swe",
        "SI": "slovenië slovenie slovenia slowenien svn",
        "SK": "slowakije slovakia slowakei svk",
        "US": "usa verenigde-staten united-states",
    }.items()
    for name in names.split()
}
"""Names of countries as shops write them: Dutch, English, German, French, and codes of three letters."""


def country(value: Any, _: Notation = _NOTHING_SAID) -> str:
    """Read a country as its code of two letters, also from its name or its code of three letters."""
    kept = text(value)
    return _COUNTRIES.get("-".join(kept.casefold().split()), kept.upper())


_STATUSES: Final = {
    word: status
    for status, words in {
        "open": ("open", "processing", "wc-processing", "in behandeling", "in bearbeitung", "unfulfilled", "nieuw", "new"),
        "on_hold": ("on_hold", "on hold", "on-hold", "wc-on-hold", "in de wacht", "holded"),
        "completed": (
            "completed", "complete", "wc-completed", "afgerond", "voltooid", "abgeschlossen", "verzonden", "shipped",
            "fulfilled", "versendet",
        ),
        "cancelled": ("cancelled", "canceled", "wc-cancelled", "geannuleerd", "storniert"),
    }.items()
    for word in words
}  # fmt: skip
"""The words of shops for the statuses of new orders. Unpaid, failed and refunded orders have none of these statuses."""


def order_status(value: Any, _: Notation = _NOTHING_SAID) -> str:
    """Read the status of a new order, also from the words of shops. The plan refuses other values."""
    kept = text(value)
    return _STATUSES.get(kept.casefold(), kept)


_MONTHS: Final = {
    name: number
    for number, names in enumerate(
        (
            "jan januari january januar", "feb februari february februar", "mrt maart mar march mär märz",
            "apr april", "mei may mai", "jun juni june", "jul juli july", "aug augustus august",
            "sep sept september", "okt oktober oct october", "nov november", "dec december dez dezember",
        ),
        start=1,
    )
    for name in names.split()
}  # fmt: skip
_TIME: Final = r"(?:[ T,]+(?P<hour>[0-9]{1,2}):(?P<minute>[0-9]{2})(?::(?P<second>[0-9]{2}))?(?:\s*(?P<half>[AP]M))?)?"
_YEAR_FIRST: Final = re.compile(r"(?P<year>[0-9]{4})/(?P<month>[0-9]{1,2})/(?P<day>[0-9]{1,2})" + _TIME, re.ASCII)
_NAMED_MONTH: Final = re.compile(
    r"(?:(?P<day>[0-9]{1,2})[. -]+(?P<month>[^\W\d_]+)\.?|(?P<month2>[^\W\d_]+)\.?[ -]+(?P<day2>[0-9]{1,2}))"
    r"[, -]+(?P<year>[0-9]{4})" + _TIME,
    re.IGNORECASE,
)
_DATE: Final = re.compile(
    r"(?P<one>[0-9]{1,2})(?P<sign>[-/.])(?P<two>[0-9]{1,2})(?P=sign)(?P<year>[0-9]{4})" + _TIME, re.IGNORECASE
)
_SPACED_OFFSET: Final = re.compile(r"(?<=[0-9])\s+(?=[+-][0-9]{2}:?[0-9]{2}$)")


def moment(value: Any, notation: Notation = _NOTHING_SAID) -> datetime:
    """Read a date and time: ISO 8601, or day, month and year. Without an offset it is Dutch local time.

    `28-11-2026` and `28.11.2026` start with the day, as in the Netherlands and Germany. With slashes, the month may be
    first, so `05/06/2026` is refused without the option for the order.
    """
    if isinstance(value, datetime):
        return value if value.tzinfo is not None else value.replace(tzinfo=AMSTERDAM)
    kept = text(value)
    try:
        read = _written_out(kept, notation) or datetime.fromisoformat(_SPACED_OFFSET.sub("", kept))
    except ValueError:
        raise CellError(
            f"{_shown(kept)} is not a date such as 2026-11-25, 25-11-2026 or 25-11-2026 9:05, with or without a time"
        ) from None
    return read if read.tzinfo is not None else read.replace(tzinfo=AMSTERDAM)


def _written_out(kept: str, notation: Notation) -> datetime | None:
    """Read a date that is not ISO 8601, without a time zone; None for ISO 8601."""
    if written := _DATE.fullmatch(kept):
        day, month = _day_and_month(written, kept, notation)
    elif written := _YEAR_FIRST.fullmatch(kept):
        day, month = int(written["day"]), int(written["month"])
    elif written := _NAMED_MONTH.fullmatch(kept):
        day = int(written["day"] or written["day2"])
        month = _MONTHS.get((written["month"] or written["month2"]).casefold(), 0)
    else:
        return None
    hour, half = int(written["hour"] or 0), (written["half"] or "").upper()
    if half:
        if not 1 <= hour <= 12:
            raise ValueError
        hour = hour % 12 + (12 if half == "PM" else 0)
    return datetime(int(written["year"]), month, day, hour, int(written["minute"] or 0), int(written["second"] or 0))  # noqa: DTZ001  the caller adds the zone


def _day_and_month(written: re.Match[str], kept: str, notation: Notation) -> tuple[int, int]:
    one, two = int(written["one"]), int(written["two"])
    order = notation.dates
    if order is None:
        if written["sign"] == "/" and one <= 12 and two <= 12 and one != two:
            raise CellError(f"{kept!r} is ambiguous: pass the order of day and month (--dates dmy or --dates mdy)")
        order = "mdy" if written["sign"] == "/" and two > 12 else "dmy"
    return (one, two) if order == "dmy" else (two, one)


def _shown(kept: str) -> str:
    return repr(kept if len(kept) <= 30 else f"{kept[:29]}…")


_CURRENCY: Final = re.compile(r"^(?:€|EUR)\s*|\s*(?:€|EUR)$", re.IGNORECASE)
_SPACES: Final = re.compile("(?<=[0-9])[ \u00a0\u2009\u202f'](?=[0-9]{3}(?![0-9]))")
_NO_CENTS: Final = re.compile(r",-{1,2}$")
_PLAIN: Final = re.compile(r"[+-]?[0-9]+", re.ASCII)
_ONE: Final = re.compile(r"([+-]?)([0-9]+)([.,])([0-9]+)", re.ASCII)
_GROUPS: Final = re.compile(r"[+-]?[0-9]{1,3}(?:([.,])[0-9]{3})(?:\1[0-9]{3})*", re.ASCII)
_MIXED: Final = re.compile(r"[+-]?[0-9]{1,3}(?:([.,])[0-9]{3})(?:\1[0-9]{3})*(?!\1)([.,])[0-9]+", re.ASCII)


def parse_amount(text: str, decimal: str | None = None) -> Decimal:
    """Read a decimal number: `12.34`, `12,34`, `1.234,56`, `1,234.56`, `€ 12,34`, `12,-`.

    Without the decimal sign, `,` or `.`, an ambiguous text such as `1.234` is refused.
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


def _of_one_sign(kept: str, text: str, decimal: str | None) -> Decimal:
    groups, one = _GROUPS.fullmatch(kept), _ONE.fullmatch(kept)
    if groups is not None and (decimal is not None or one is None):
        if groups[1] != decimal:
            return _decimal(kept, thousands=groups[1], point=None)
        if one is not None:
            return _decimal(kept, thousands=None, point=groups[1])
    elif one is not None and decimal in {None, one[3]}:
        if decimal is None and groups is not None and one[2] != "0":
            raise CellError(f"{text.strip()!r} is ambiguous: pass the decimal sign (--decimal , or --decimal .)")
        return _decimal(kept, thousands=None, point=one[3])
    raise CellError(f"{text.strip()!r} is not a number")


def _decimal(kept: str, *, thousands: str | None, point: str | None) -> Decimal:
    bare = kept.replace(thousands, "") if thousands else kept
    return Decimal(bare.replace(point, ".") if point else bare)
