"""Pages of other shapes than the usual one, made of its rows: what a payload can be like without being wrong."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any, Final

__all__ = ["SHAPES", "Reshape", "non_ascii", "spoilt", "without_unknown"]

Row = dict[str, Any]
Reshape = Callable[[Row, random.Random], Row]

_UNKNOWN: Final = frozenset({"internalRef", "isBusiness", "pickBatch", "customField1", "priorityScore"})
_MANY: Final = 25
_LINES: Final = 50
_NESTED: Final = ("products", "shipments")
_KEPT: Final = frozenset({"uuid", *_NESTED})
_KANA: Final = "東京都千代田区霞が関注文商品倉庫"


def without_unknown(row: Row, _: random.Random) -> Row:
    """No key that a model does not know."""
    return {key: value for key, value in row.items() if key not in _UNKNOWN}


def many_unknown(row: Row, _: random.Random) -> Row:
    """The same 25 unknown keys in each row."""
    return row | {f"customField{number}": "x" * number for number in range(2, _MANY)}


def differing_unknown(row: Row, rng: random.Random) -> Row:
    """25 unknown keys in each row, other ones in each: no two rows have the same shape."""
    return row | {f"attribute{rng.getrandbits(40):x}": "x" * number for number in range(_MANY)}


def shuffled(row: Row, rng: random.Random) -> Row:
    """The keys of each row in an order of their own, as no server is known to send them."""
    keys = list(row)
    rng.shuffle(keys)
    return {key: row[key] for key in keys}


def nulls(row: Row, _: random.Random) -> Row:
    """Null wherever null may be."""
    return {key: value if key == "uuid" else None for key, value in row.items()}


def sparse(row: Row, rng: random.Random) -> Row:
    """Each key but the id there or not, by lot."""
    return {key: value for key, value in row.items() if key in _KEPT or rng.random() < 0.5}


def numbers_as_text(value: Any, rng: random.Random) -> Any:
    """Every number as a string."""
    if isinstance(value, dict):
        return {key: numbers_as_text(below, rng) for key, below in value.items()}
    if isinstance(value, list):
        return [numbers_as_text(below, rng) for below in value]
    return value if isinstance(value, bool) or not isinstance(value, int) else str(value)


def many_lines(row: Row, rng: random.Random) -> Row:
    """Fifty lines in each order."""
    lines = row.get("products") or []
    return row if not lines else row | {"products": [dict(rng.choice(lines)) for _ in range(_LINES)]}


def non_ascii(row: Row, rng: random.Random) -> Row:
    """Free text in another script."""
    free = {"customerNote", "name", "description", "productName"}

    def other(key: str, value: Any) -> Any:
        if isinstance(value, list) and key in _NESTED:
            return [{inner: other(inner, below) for inner, below in part.items()} for part in value]
        is_free = key in free or key.endswith(("Name", "City", "Address", "Company"))
        return "".join(rng.choices(_KANA, k=12)) if is_free and isinstance(value, str) else value

    return {key: other(key, value) for key, value in row.items()}


def unknown_statuses(row: Row, rng: random.Random, *, number: int = 5) -> Row:
    """A status and types that no client has heard of."""
    lines = [line | {"type": f"kind_{rng.randrange(number)}"} for line in row.get("products") or []]
    known = "status" if "status" in row else "type"
    return row | {known: f"state_{rng.randrange(number)}"} | ({"products": lines} if lines else {})


def thousands_of_statuses(row: Row, rng: random.Random) -> Row:
    """As if somebody wrote free text where a status belongs."""
    return unknown_statuses(row, rng, number=10_000)


def odd_row(row: Row, rng: random.Random) -> Row:
    """Every hundredth row, about, has a value that is read only by the hooks: money as a float."""
    key = "totalPaid" if "totalPaid" in row else "price"
    return row | {key: 12.5} if rng.random() < 0.01 else row


def spoilt(row: Row) -> Row:
    """A row that cannot be read: three values are nonsense."""
    bad = {"totalPaid": "veel", "createDate": "gisteren", "price": "veel", "weight": "zwaar"}
    lines = [line | {"productQuantity": "abc"} for line in row.get("products") or []]
    return row | {key: value for key, value in bad.items() if key in row} | ({"products": lines} if lines else {})


SHAPES: Final[dict[str, Reshape]] = {
    "no unknown keys": without_unknown,
    "25 unknown keys, the same in each row": many_unknown,
    "25 unknown keys, others in each row": differing_unknown,
    "keys in another order in each row": shuffled,
    "half of the keys missing, by lot": sparse,
    "all nulls": nulls,
    "numbers as text": numbers_as_text,
    "50 lines": many_lines,
    "non-ASCII text": non_ascii,
    "unknown statuses": unknown_statuses,
    "thousands of unknown statuses": thousands_of_statuses,
    "an odd row in a hundred": odd_row,
}
