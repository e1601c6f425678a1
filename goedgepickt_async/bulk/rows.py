"""Desired rows of whatever kind, as wishes in one form; those that are unfit, as conflicts with the reason. Pure."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, TypeVar

import attrs

from goedgepickt_async.bulk.planned import Conflict, Wish
from goedgepickt_async.errors import ValidationError
from goedgepickt_async.models import UNSET

__all__ = ["fields_of", "is_utf8", "refused", "without_doubles"]

T = TypeVar("T")


def fields_of(row: Any) -> dict[str, Any]:
    """The fields of a row that says something, by Python name.

    Raises:
        TypeError: It is neither a mapping nor an attrs object.
    """
    if isinstance(row, Mapping):
        named: Iterable[tuple[str, Any]] = ((str(name), value) for name, value in row.items())
    elif attrs.has(type(row)):
        named = ((field.name, getattr(row, field.name)) for field in attrs.fields(type(row)))
    else:
        raise TypeError(f"a row must be a mapping or an attrs object, not {type(row).__name__}")
    return {name: value for name, value in named if value is not UNSET}


def is_utf8(text: str) -> bool:
    """Whether it can be sent at all: half of a surrogate pair cannot."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def refused(error: ValidationError | TypeError, index: int, key: str = "") -> Conflict:
    """The conflict that an unfit row is."""
    if isinstance(error, TypeError):
        return Conflict(key=key, indexes=(index,), reason=str(error))
    fields = {name: "; ".join(texts) for name, texts in error.fields.items()}
    reason = "; ".join(f"{name}: {text}" for name, text in fields.items()) or error.message
    return Conflict(key=key, indexes=(index,), reason=reason, fields=fields)


def without_doubles(wishes: Iterable[Wish], noun: str) -> tuple[list[Wish], list[Conflict]]:
    """The wishes whose key nobody else has, and conflicts for the others: which of them is meant, nobody can tell.

    Args:
        wishes: All of them.
        noun: What the key is, for people.
    """
    by_key: dict[str, list[Wish]] = defaultdict(list)
    for wish in wishes:
        by_key[wish.key].append(wish)
    single = [same[0] for same in by_key.values() if len(same) == 1]
    return single, [_doubled(key, same, noun) for key, same in by_key.items() if len(same) > 1]


def _doubled(key: str, same: Sequence[Wish], noun: str) -> Conflict:
    return Conflict(
        key=key,
        indexes=tuple(wish.index for wish in same),
        reason=f"the same {noun} comes {len(same)} times in the input",
    )
