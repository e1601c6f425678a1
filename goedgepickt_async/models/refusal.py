"""How a checker says no, and how many noes become one `ValidationError`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from goedgepickt_async.errors import Evidence, ValidationError

__all__ = ["Refused", "describe", "refuse"]

_SHOWN: Final = 6
_KINDS: Final[dict[type, str]] = {
    bool: "true/false",
    int: "a number",
    float: "a float",
    str: "text",
    bytes: "bytes",
    type(None): "None",
}


class Refused(Exception):  # noqa: N818 - it never leaves the package
    """A value is not fit to be sent.

    Args:
        problems: What is wrong, by path below the checked value; the path of the value itself is the empty text.
    """

    def __init__(self, problems: str | Mapping[str, str]) -> None:
        super().__init__()
        self.problems: Mapping[str, str] = {"": problems} if isinstance(problems, str) else problems

    def below(self, name: str) -> dict[str, str]:
        """The problems with paths that start at the field `name`."""
        return {join(name, path): text for path, text in self.problems.items()}


def join(name: str, path: str) -> str:
    """`lines` and `[2].quantity` are `lines[2].quantity`; `billing` and `country` are `billing.country`."""
    return name + path if not path or path.startswith("[") else f"{name}.{path}"


def describe(value: object) -> str:
    """What kind of thing a value is; never the value, which may be personal."""
    return _KINDS.get(type(value), type(value).__name__)


def refuse(cls: type[Any], problems: Mapping[str, str]) -> ValidationError:
    """The error for input that was refused before a request was spent on it, with every bad field in it."""
    lines = [f"{path}: {text}" if path else text for path, text in problems.items()]
    if len(lines) > _SHOWN:
        lines[_SHOWN:] = [f"and {len(lines) - _SHOWN} more"]
    return ValidationError(
        f"{cls.__name__} was refused before it was sent: {'; '.join(lines)}",
        fields={path: (text,) for path, text in problems.items()},
        evidence=Evidence.NOT_SENT,
    )
