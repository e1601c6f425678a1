"""Conversion between the API's JSON and the models.

`parse` reads bytes as JSON. `decode` and `decode_rows` read models from JSON values. `encode` returns the body of a
request. `to_plain` and `field_names` are for exports. `converters` has the cattrs converters, where you can register
hooks.
"""

from __future__ import annotations

import importlib
import json
import math
import re
from codecs import BOM_UTF8
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final

from goedgepickt_async.errors import DecodeError

if TYPE_CHECKING:
    from goedgepickt_async.convert.converter import Converters, converters, decode, decode_rows
    from goedgepickt_async.convert.dump import encode, field_names, python_name, to_plain

__all__ = [
    "Converters",
    "converters",
    "decode",
    "decode_rows",
    "encode",
    "field_names",
    "parse",
    "python_name",
    "to_plain",
]


# Sending a request needs only `parse`. These import all models, and the second one imports cattrs.
_MODULES = ("dump", "converter")


def __getattr__(name: str) -> Any:
    """Import a public name when it is first used."""
    if name in __all__:
        for module in _MODULES:
            found = importlib.import_module(f"{__name__}.{module}")
            if name in found.__all__:
                value = globals()[name] = getattr(found, name)
                return value
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


_SURELY_64_BITS: Final = 18
_LEAST: Final = -(2**63)
_MOST: Final = 2**64 - 1

_ESCAPED_SURROGATE: Final = re.compile(rb"\\u[dD][89a-fA-F]")


def parse(body: bytes) -> Any:
    """Read JSON, with orjson if it is installed (extra `speed`), or else with the standard library.

    The results are equal.

    Args:
        body: The bytes in UTF-8, with or without a byte order mark.

    Returns:
        The value as dict, list, str, int, float, bool or None. A whole number of more than 64 bits is a float.

    Raises:
        DecodeError: The bytes are not JSON: empty, incomplete, not UTF-8, NaN or Infinity, or nested too deep. The
            message has the place of the problem, without the content.
    """
    # From a PHP file with a byte order mark; RFC 8259, section 8.1, allows readers to ignore it.
    body = body.removeprefix(BOM_UTF8)
    if not body:
        raise DecodeError("the response is empty, not JSON")
    try:
        return _LOADS(body)
    except RecursionError:
        problem = "is nested too deep"
    except ValueError as error:
        problem = f"is not valid JSON{_place_of(error)}"
    # Outside the handler, so that the parser's error with the whole text is not its context.
    raise DecodeError(f"the response of {len(body)} bytes {problem}")


def _place_of(error: ValueError) -> str:
    if isinstance(error, UnicodeDecodeError):
        return f": not UTF-8 at byte {error.start}"
    return f" at character {error.pos}" if isinstance(error, json.JSONDecodeError) else ""


def _standard_loads(body: bytes) -> Any:
    """`json.loads` that is as strict as orjson."""
    read = json.loads(body.decode(), parse_constant=_no_constant, parse_float=_finite, parse_int=_whole)
    if _ESCAPED_SURROGATE.search(body):
        # Half of a surrogate pair is refused, because it cannot be written to a file.
        json.dumps(read, ensure_ascii=False).encode()
    return read


def _no_constant(_: str) -> float:
    raise ValueError


def _finite(digits: str) -> float:
    number = float(digits)
    if math.isinf(number):
        raise ValueError
    return number


def _whole(digits: str) -> int | float:
    """Return an int, or a float if it has more than 64 bits, like orjson."""
    if len(digits) <= _SURELY_64_BITS:
        return int(digits)
    number = _finite(digits)  # first, because int() of thousands of digits is slow and then fails
    whole = int(digits)
    return whole if _LEAST <= whole <= _MOST else number


def _fastest_loads() -> Callable[[bytes], Any]:
    try:
        import orjson  # noqa: PLC0415 - the extra `speed` may not be installed
    except ImportError:
        return _standard_loads
    return orjson.loads


_LOADS: Final = _fastest_loads()
