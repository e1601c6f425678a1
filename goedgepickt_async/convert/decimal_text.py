"""How decimals are written."""

from __future__ import annotations

from decimal import Decimal
from typing import Final

__all__ = ["decimal_text"]

_WIDEST: Final = 64


def decimal_text(value: Decimal) -> str:
    """`12.34`, without an exponent unless spelling it out would take pages of zeros."""
    return f"{value:f}" if abs(value.adjusted()) < _WIDEST else str(value)
