"""An asyncio client for GoedGepickt that keeps the rate limit, reads complete lists and creates no order twice."""

from __future__ import annotations

import importlib

__version__ = "0.1.0.dev0"
"""The version. No other place has it."""

# Each public name is listed once, in the stub next to this file: `from goedgepickt_async.MODULE import NAME as NAME`.
# Reading the stub is faster than importing these modules.
_STUB = __spec__.loader.get_data(__file__.removesuffix("py") + "pyi").decode()  # type: ignore[union-attr]
_HOMES = {line.split()[3]: line.split()[1] for line in _STUB.splitlines() if line.startswith("from ")}

__all__ = sorted([*_HOMES, "__version__"])  # noqa: PLE0605  # pyright: ignore[reportUnsupportedDunderAll]


def __getattr__(name: str) -> object:
    """Import a public name when it is first used."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    home = _HOMES[name]
    if home == __name__:
        return importlib.import_module(f"{home}.{name}")
    value = globals()[name] = getattr(importlib.import_module(home), name)
    return value


def __dir__() -> list[str]:
    return __all__
