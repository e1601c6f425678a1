"""How a field is called on the wire, kept beside the field as attrs metadata."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Final

import attrs

__all__ = ["Identifier", "Label", "Wire", "flat", "wire", "wire_of"]

Identifier = Annotated[str, "identifier"]
"""A uuid: text that is never empty and never a number, because rows are told apart by it."""

Label = Annotated[str, "label"]
"""Text in a list whose items are not sure to be text: what is none is kept as its JSON text."""

_KEY: Final = "goedgepickt_async.wire"


@attrs.frozen
class Wire:
    """The wire names of one field.

    Attributes:
        name: The key in answers, or the prefix if `is_flat`.
        aliases: Other keys that answers use for the same thing, tried in order when `name` is absent or null.
        sent: The key in requests, where it differs from the one in answers.
        is_flat: The value is an object whose fields stand beside this class's other fields, behind the prefix.
        repeats: The same few texts come again and again: equal ones are held in memory once.
    """

    name: str
    aliases: tuple[str, ...] = ()
    sent: str = ""
    is_flat: bool = False
    repeats: bool = False


def wire(name: str, *aliases: str, sent: str | None = None, repeats: bool = False) -> dict[str, Any]:
    """Metadata for `attrs.field(metadata=…)`: the key in answers, its other spellings, the key in requests."""
    return {_KEY: Wire(name, aliases, sent or name, repeats=repeats)}


def flat(prefix: str) -> dict[str, Any]:
    """Metadata for a field whose parts lie flat in the object: `flat("billing")` gathers `billingCity` and the like."""
    return {_KEY: Wire(prefix, (), prefix, is_flat=True)}


def wire_of(metadata: Mapping[Any, Any]) -> Wire | None:
    """The `Wire` in a field's metadata, or None where the field has none."""
    found = metadata.get(_KEY)
    return found if isinstance(found, Wire) else None
