"""From plain JSON values to models: fast, and once more in detail when that fails."""

from __future__ import annotations

from typing import Any, Final, TypeVar, cast

from goedgepickt_async.convert.explain import problems_of
from goedgepickt_async.convert.mismatch import kind_of
from goedgepickt_async.convert.novelty import notice_misfit
from goedgepickt_async.convert.registry import converters
from goedgepickt_async.errors import DecodeError

__all__ = ["decode", "decode_rows"]

_T = TypeVar("_T")
_SHOWN: Final = 5


def decode(data: Any, cls: type[_T]) -> _T:
    """Reads one object of an answer.

    Args:
        data: Plain JSON values, as `parse` gives them.
        cls: The model to read, or anything that the converters have a hook for.

    Returns:
        The model.

    Raises:
        DecodeError: It does not fit; `problems` has a line for each bad value, in wire names.
    """
    fast, _ = converters()
    try:
        return cast("_T", fast.get_structure_hook(cls)(data, cls))
    except Exception:  # noqa: BLE001, S110 - whatever surprised it, the detailed path names it
        pass
    rows, problems = _explained([data], cls, "$", is_list=False)
    if problems:
        raise _refusal(cls, problems)
    return rows[0]


def decode_rows(rows: Any, cls: type[_T], *, path: str = "$.items") -> list[_T]:
    """Reads the rows of one page.

    Args:
        rows: The list, or None where the API left it out: that means no rows (A).
        cls: The model of a row.
        path: Where the list stands in the answer, for the problems.

    Returns:
        The models, in order.

    Raises:
        DecodeError: It is no list, or rows do not fit; `problems` has a line for each bad value, with its index.
    """
    if rows is None:
        return []
    if rows.__class__ is not list:
        raise _refusal(cls, [f"{path}: expected a list, got {kind_of(rows)}"])
    fast, _ = converters()
    hook = fast.get_structure_hook(cls)
    read_all = getattr(hook, "read_all", None)
    try:
        return read_all(rows) if read_all is not None else [hook(row, cls) for row in rows]
    except Exception:  # noqa: BLE001, S110 - whatever surprised it, the detailed path names it
        pass
    read, problems = _explained(rows, cls, path, is_list=True)
    if problems:
        raise _refusal(cls, problems)
    return read


def _explained(rows: list[Any], cls: type[_T], path: str, *, is_list: bool) -> tuple[list[_T], list[str]]:
    """What can be read of the rows, and what the detailed path has against the others.

    It is asked about those rows alone that the fast path refuses by themselves: it takes ten times as long.
    """
    fast, explain = converters()
    hook = fast.get_structure_hook(cls)
    read: list[_T] = []
    problems: list[str] = []
    for index, row in enumerate(rows):
        try:
            read.append(hook(row, cls))
            continue
        except Exception:  # noqa: BLE001, S110 - the detailed path tells why
            pass
        try:
            read.append(explain.structure(row, cls))
        except Exception as error:  # noqa: BLE001 - a user's hook may raise anything
            problems.extend(problems_of(error, f"{path}[{index}]" if is_list else path))
    return read, problems


def _refusal(cls: Any, problems: list[str]) -> DecodeError:
    notice_misfit(cls, problems)
    shown = "; ".join(problems[:_SHOWN])
    more = f"; and {len(problems) - _SHOWN} more" if len(problems) > _SHOWN else ""
    name = getattr(cls, "__name__", str(cls))
    return DecodeError(f"the answer cannot be read as {name}: {shown}{more}", problems=problems)
