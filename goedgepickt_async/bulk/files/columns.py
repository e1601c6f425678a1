"""Which column of a file holds which field: as its user says, as a profile knows, or by its name; never guessed."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Final

from goedgepickt_async.bulk.files.fields import RowKind
from goedgepickt_async.bulk.files.profiles import Profile
from goedgepickt_async.errors import InputFileError

__all__ = ["match", "plain", "unread"]

_APART: Final = re.compile(r"[\W_]+")
_LOOKS_LIKE: Final = re.compile(
    r"prijs|price|preis|\bprix\b|bedrag|actie|\bsale\b|voorraad|stock|\bqty\b|quantity|inventory|bestand|\blager|aantal"
)
_SHOWN_COLUMNS: Final = 30


def plain(name: object) -> str:
    """A column's name without case and punctuation."""
    return _APART.sub(" ", str(name).casefold()).strip()


def match(
    kind: RowKind,
    names: Sequence[str],
    explicit: Mapping[str, str],
    profile: Profile | None,
    constants: Mapping[str, str],
) -> dict[str, int]:
    """The place of the column that holds each field.

    Args:
        kind: Of the rows.
        names: Of the columns, as they stand in the file.
        explicit: By field, the column that its user says holds it; an empty one: none does.
        profile: What is known of such files.
        constants: Fields that have a value for all rows need no column.

    Raises:
        InputFileError: A column is not there, or two could be meant; or one that is required is missing.
    """
    for field in (*explicit, *constants):
        if field not in kind.fields:
            raise InputFileError(f"there is no field {field!r}; there are: {', '.join(kind.fields)}")
    found = {field: _explicit(field, explicit[field], names) for field in explicit if explicit[field]}
    taken = set(found.values())
    given = {*explicit, *constants}
    if profile is not None:
        for field, columns in profile.columns.items():
            place = None if field in given or field not in kind.fields else _first(columns, names, taken)
            if place is not None:
                found[field] = place
    taken = set(found.values())
    known = set(profile.columns) if profile is not None else set()
    for field, spec in kind.fields.items():
        if field not in given | known:
            place = _by_name(field, spec.names, names, taken)
            if place is not None:
                found[field] = place
    missing = [field for field, spec in kind.fields.items() if spec.required and field not in {*found, *constants}]
    if missing:
        there = ", ".join(repr(name) for name in names[:_SHOWN_COLUMNS])
        raise InputFileError(
            f"no column is known to hold {', '.join(missing)}; say which, as in --column {missing[0]}=NAME, "
            f"or give all rows one value, as in --set {missing[0]}=VALUE. There are: {there}"
        )
    return found


def unread(names: Sequence[str], taken: Mapping[str, int], profile: Profile | None) -> list[str]:
    """The columns that look like a price or a stock, and are not read."""
    known = set(profile.ignored) if profile is not None else set()
    places = set(taken.values())
    return [
        name
        for place, name in enumerate(names)
        if place not in places and plain(name) not in known and _LOOKS_LIKE.search(plain(name))
    ]


def _explicit(field: str, column: str, names: Sequence[str]) -> int:
    places = [place for place, name in enumerate(names) if name == column]
    places = places or [place for place, name in enumerate(names) if plain(name) == plain(column)]
    if len(places) != 1:
        there = "there is no such column" if not places else "several columns are called so"
        raise InputFileError(f"--column {field}={column}: {there}")
    return places[0]


def _first(columns: Sequence[str], names: Sequence[str], taken: set[int]) -> int | None:
    for column in columns:
        for place, name in enumerate(names):
            if plain(name) == column and place not in taken:
                return place
    return None


def _by_name(field: str, tiers: Sequence[Sequence[str]], names: Sequence[str], taken: set[int]) -> int | None:
    """The one column of the first tier that the file has; the field's own name is in the first."""
    own = plain(field)
    first, *others = tiers or ((),)
    for tier in ((own, *first), *others):
        places = [place for place, name in enumerate(names) if plain(name) in tier and place not in taken]
        if len(places) > 1:
            both = " and ".join(repr(names[place]) for place in places)
            raise InputFileError(
                f"{both} could both hold {field}; say which, as in --column {field}={names[places[0]]}"
            )
        if places:
            return places[0]
    return None
