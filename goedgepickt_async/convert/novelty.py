"""Says so when an answer holds what the models do not know. Nothing of it runs for an object of a shape that was seen."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any, Final

from goedgepickt_async.drift import notice
from goedgepickt_async.models import OpenEnum

__all__ = ["notice_misfit", "notice_unknown", "notice_value"]

_INDEX: Final = re.compile(r"\[[0-9]+\]")


def notice_unknown(keys: Iterable[str], cls: type) -> None:
    """Keys of an object that no field of its class takes."""
    for key in keys:
        notice("field", cls.__name__, field=key)


def notice_value(member: OpenEnum) -> None:
    """A value of an open enumeration, if it is none of the known ones."""
    if not member.is_known:
        notice("value", type(member).__name__, value=member.value)


def notice_misfit(cls: Any, problems: Iterable[str]) -> None:
    """Values that could not be read, by their places; a place in a list loses its number."""
    for problem in problems:
        place = _INDEX.sub("[]", problem.partition(":")[0].removeprefix("$").removeprefix("."))
        notice("type", getattr(cls, "__name__", str(cls)), field=place)
