"""Conversion between the API's JSON and the models.

`parse` reads bytes as JSON. `decode` and `decode_rows` read models from JSON values. `encode` returns the body of a
request. `to_plain` and `field_names` are for exports. `converters` has the cattrs converters, where you can register
hooks.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from goedgepickt_async.convert.converter import Converters, converters, decode, decode_rows
    from goedgepickt_async.convert.dump import encode, field_names, python_name, to_plain
    from goedgepickt_async.convert.json import parse

# The module of each name. Sending a request needs only `parse`; the other modules import cattrs and all models.
_HOMES = {
    "Converters": "converter",
    "converters": "converter",
    "decode": "converter",
    "decode_rows": "converter",
    "encode": "dump",
    "field_names": "dump",
    "parse": "json",
    "python_name": "dump",
    "to_plain": "dump",
}

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


def __getattr__(name: str) -> Any:
    """Import a name when it is first used."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(importlib.import_module(f"{__name__}.{_HOMES[name]}"), name)
    globals()[name] = value
    return value
