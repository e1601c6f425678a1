"""What a hook raises when a wire value is not what its field takes; never with the value in it."""

from __future__ import annotations

from typing import Any, Final, NoReturn

__all__ = ["Mismatch", "kind_of", "mismatch"]

_KINDS: Final[dict[type, str]] = {
    str: "text",
    int: "a number",
    float: "a number",
    bool: "true/false",
    type(None): "null",
    list: "a list",
    dict: "an object",
}


class Mismatch(ValueError):  # noqa: N818 - it never leaves the package
    """One wire value does not fit; the message says what was expected and what kind of thing came."""


def kind_of(value: Any) -> str:
    """What JSON calls a value. The value itself may be personal and is never shown."""
    return _KINDS.get(type(value), "something that is not JSON")


def mismatch(wanted: str, value: Any) -> NoReturn:
    """Raises the `Mismatch` for a value that is not `wanted`."""
    raise Mismatch(f"expected {wanted}, got {kind_of(value)}")
