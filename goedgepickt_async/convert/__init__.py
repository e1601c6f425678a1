"""Between the API's JSON and the models, both ways.

`parse` reads bytes, `decode` and `decode_rows` read models out of what it gave, `encode` writes the body of a request,
`to_plain` and `field_names` serve exports. `converters` gives the cattrs converters behind it, to register hooks on.
The module `nothing` lists the odd values that are taken for "nothing said" instead of being refused.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from goedgepickt_async.convert.converter import Converters, converters, decode, decode_rows
    from goedgepickt_async.convert.dump import encode, field_names, python_name, to_plain
    from goedgepickt_async.convert.json import parse

# Where each name lives. `parse` alone is needed to send a request; the rest brings in cattrs and all models.
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
