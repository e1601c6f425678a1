"""A text that shows itself only when asked."""

from __future__ import annotations

import hmac
from typing import final

import attrs

__all__ = ["Secret"]


@final
@attrs.frozen(eq=False, repr=False, weakref_slot=False)
class Secret:
    """A secret, such as a webhook's signing key. Printing, formatting and logging it shows `***`.

    Args:
        value: The secret text.
    """

    _value: str

    def reveal(self) -> str:
        """The secret itself."""
        return self._value

    def __eq__(self, other: object) -> bool:
        """Compares in constant time; a `Secret` equals no plain text."""
        if not isinstance(other, Secret):
            return NotImplemented
        return hmac.compare_digest(self._value.encode(), other._value.encode())

    def __hash__(self) -> int:
        """Agrees with `==`."""
        return hash((Secret, self._value))

    def __repr__(self) -> str:
        """Never the secret."""
        return "Secret('***')"

    def __str__(self) -> str:
        """Never the secret."""
        return "***"
