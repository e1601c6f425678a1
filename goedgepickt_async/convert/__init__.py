"""Between the API's JSON and the models, both ways.

`parse` reads bytes, `decode` and `decode_rows` read models out of what it gave, `encode` writes the body of a request,
`to_plain` and `field_names` serve exports. `converters` gives the cattrs converters behind it, to register hooks on.
"""

from __future__ import annotations

from .decoding import decode, decode_rows
from .encoding import encode
from .naming import python_name
from .parsing import parse
from .plain import field_names, to_plain
from .registry import Converters, converters

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
