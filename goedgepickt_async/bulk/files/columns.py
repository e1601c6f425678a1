"""Which column holds which field."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from goedgepickt_async.bulk.files.kinds import Kind
from goedgepickt_async.errors import InputFileError

__all__ = ["match", "plain"]

_APART = re.compile(r"[\W_]+")


def plain(name: str) -> str:
    """A column's name without case and punctuation."""
    return _APART.sub(" ", name.casefold()).strip()


def match(kind: Kind, names: Sequence[str], said: Mapping[str, str]) -> dict[str, int]:
    """The place of the column that holds each field.

    Args:
        kind: Of the rows.
        names: Of the columns, as they stand in the file.
        said: By field, the column that its user says holds it; an empty one: none does.

    Raises:
        InputFileError: A column is not there, or two could be meant; or one that is required is missing.
    """
    for field in said:
        if field not in kind.fields:
            raise InputFileError(f"there is no field {field!r}; there are: {', '.join(kind.fields)}")
    found = {field: _said(field, said[field], names) for field in said if said[field]}
    taken = set(found.values())
    for field, spec in kind.fields.items():
        if field not in said:
            place = _known(field, spec.names, names, taken)
            if place is not None:
                found[field] = place
    missing = [field for field, spec in kind.fields.items() if spec.required and field not in found]
    if missing:
        there = ", ".join(repr(name) for name in names[:30])
        raise InputFileError(
            f"no column is known to hold {', '.join(missing)}; say which, as in --column {missing[0]}=NAME. "
            f"There are: {there}"
        )
    return found


def _said(field: str, column: str, names: Sequence[str]) -> int:
    places = [place for place, name in enumerate(names) if name == column]
    places = places or [place for place, name in enumerate(names) if plain(name) == plain(column)]
    if len(places) != 1:
        there = "there is no such column" if not places else "several columns are called so"
        raise InputFileError(f"--column {field}={column}: {there}")
    return places[0]


def _known(field: str, groups: Sequence[Sequence[str]], names: Sequence[str], taken: set[int]) -> int | None:
    own = plain(field)
    for group in ((own,), *groups):
        places = [place for place, name in enumerate(names) if plain(name) in group and place not in taken]
        if len(places) > 1:
            both = " and ".join(repr(names[place]) for place in places)
            raise InputFileError(
                f"{both} could both hold {field}; say which, as in --column {field}={names[places[0]]}"
            )
        if places:
            return places[0]
    return None
