"""Prepares text of servers and users for messages, logs and terminals: one line, printable, without personal data.

All functions take time in proportion to `limit` for any text, and never raise.
"""

from __future__ import annotations

import html
import itertools
import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final, TypeVar

__all__ = [
    "MOST_LEVELS",
    "MaskedBytes",
    "MaskedStr",
    "as_name",
    "for_terminal",
    "html_table",
    "limited_fields",
    "mask_personal",
    "masked",
    "nests_too_deep",
    "printable",
    "safe_repr",
    "shown",
]

_WORD: Final = re.compile(r"[^\s<>\"',;]+")
_DIGITS: Final = re.compile(r"\+?\d[\d ()./-]{6,64}\d")
_SEARCHED: Final = 2_000
"""The number of characters that are searched for personal data; no message shows more."""
_LONGEST_WORD: Final = 320
"""An e-mail address has at most 320 characters."""


def printable(text: str, limit: int = _SEARCHED) -> str:
    """Return the text on one line, without control characters, bidirectional overrides and lone surrogates.

    Each run of white space and unprintable characters becomes one space.

    Args:
        text: Any text.
        limit: The largest number of characters to keep; a cut text ends with `…`.
    """
    start = text[: limit + 1]
    if not start.isprintable():
        start = "".join(char if char.isprintable() else " " for char in start)
    if "  " in start or start[:1] == " " or start[-1:] == " ":
        start = " ".join(start.split())
    return start if len(text) <= limit else start[:limit] + "…"


def for_terminal(text: str) -> str:
    r"""Return the text with escaped control characters, so that it cannot control a terminal.

    Control characters, bidirectional overrides and lone surrogates become escapes such as `\u001b`. So JSON stays the same
    JSON. Line ends and tabs are kept.
    """
    return text if _PLAIN(text) else _CONTROLS.sub(_escape, text)


_PLAIN: Final = re.compile(r"[\n\t\x20-\x7e]*").fullmatch
_CONTROLS: Final = re.compile(r"[^\n\t\x20-\x7e]")


def _escape(match: re.Match[str]) -> str:
    char = match[0]
    if char.isprintable():
        return char
    units = char.encode("utf-16-be", "surrogatepass").hex()
    return "".join(f"\\u{units[at : at + 4]}" for at in range(0, len(units), 4))


def shown(value: object) -> str:
    """The repr of a caller's value for a message: short and printable; or the type's name if there is no repr."""
    try:
        return printable(repr(value), 60)
    except Exception:  # noqa: BLE001  the caller's class may raise anything
        return type(value).__name__


def as_name(name: object) -> str:
    """The name of a caller's field: a text as it is, and any other value as `shown`."""
    return str(name) if isinstance(name, str) else shown(name)


_MOST_FIELDS: Final = 100
_MOST_TEXTS: Final = 10


def limited_fields(
    fields: Mapping[Any, Any], name_of: Callable[[str], str] = str, text_of: Callable[[Any], str] = str
) -> dict[str, list[str]]:
    """The problem or problems of each field, for an error: printable, and few. The rest is counted.

    The two functions convert the name of a field and a problem to text.
    """
    limited = {
        printable(name_of(str(name)[:200]), 200): _limited_texts(problems, text_of)
        for name, problems in itertools.islice(fields.items(), _MOST_FIELDS)
    }
    if len(fields) > _MOST_FIELDS:
        limited["…"] = [f"and {len(fields) - _MOST_FIELDS:,} more fields"]
    return limited


def _limited_texts(problems: Any, text_of: Callable[[Any], str]) -> list[str]:
    every = problems if isinstance(problems, list | tuple) else [problems]
    shown = [printable(text_of(problem), 300) for problem in every[:_MOST_TEXTS]]
    return shown if len(every) <= _MOST_TEXTS else [*shown, f"and {len(every) - _MOST_TEXTS:,} more"]


MOST_LEVELS: Final = 100
"""The deepest nesting of JSON values in a model. Copies and serializers need several calls for each level."""


def nests_too_deep(value: object) -> bool:
    """Whether lists and dicts are nested in more than `MOST_LEVELS` levels."""
    level = [value]
    for _ in range(MOST_LEVELS + 1):
        level = [
            part
            for each in level
            if isinstance(each, dict | list)
            for part in (each.values() if isinstance(each, dict) else each)
        ]
        if not level:
            return False
    return True


def html_table(caption: str, rows: Iterable[Iterable[object]]) -> str:
    """A table for notebooks; in each row the first cell is its heading. All texts are escaped."""
    made = []
    for row in rows:
        first, *others = (html.escape(str(cell)) for cell in row)
        made.append(f"<tr><th>{first}</th>{''.join(f'<td>{cell}</td>' for cell in others)}</tr>")
    return f"<table><caption>{html.escape(caption)}</caption>{''.join(made)}</table>"


def mask_personal(text: str, limit: int = 300) -> str:
    """Return a printable text with `…` in place of e-mail addresses and telephone numbers.

    Args:
        text: Any text. Only the first 2,000 characters are kept and searched.
        limit: The largest number of characters to keep.
    """
    start = text[:_SEARCHED]
    if len(text) > _SEARCHED:  # the last word may be the first half of an address
        head, space, tail = start.rpartition(" ")
        start = head if space and len(tail) < _LONGEST_WORD else start
    start = printable(start)
    start = _DIGITS.sub("…", _WORD.sub(_without_address, start))
    return start if len(start) <= limit and len(text) <= _SEARCHED else start[:limit] + "…"


def _without_address(match: re.Match[str]) -> str:
    word = match[0]
    return "…" if "@" in word[1:-1] else word


class MaskedStr(str):
    """A secret text: its repr does not show it.

    Error trackers show the reprs of local variables. `str()` and formatting return the secret itself.
    """

    __slots__ = ()

    def __repr__(self) -> str:
        return "'***'"

    def __reduce__(self) -> tuple[Any, ...]:
        """Keep the class after pickling and copying."""
        return MaskedStr, (str.__str__(self),)


def masked(text: Any) -> Any:
    """A text as `MaskedStr`, and any other value as it is."""
    return MaskedStr(text) if isinstance(text, str) else text


class MaskedBytes(bytes):
    """Bytes that may hold personal data, such as a request's body: the repr shows only their number."""

    __slots__ = ()

    def __repr__(self) -> str:
        return f"<{len(self)} bytes>"


_T = TypeVar("_T")


def safe_repr(cls: type[_T]) -> type[_T]:
    """A class decorator: `repr()` works even if `__init__` raised or has not finished.

    Debuggers, test runners and error trackers take the repr of `self` in the frame of such an `__init__`.
    """
    whole: Callable[[_T], str] = cls.__repr__

    def __repr__(self: _T) -> str:  # noqa: N807  it becomes one
        try:
            return whole(self)
        except AttributeError:
            return f"<{type(self).__name__}, half made>"

    cls.__repr__ = __repr__  # type: ignore[assignment]
    return cls
