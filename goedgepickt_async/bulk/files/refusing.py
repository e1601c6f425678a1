"""How a reader of cells says no."""

from __future__ import annotations

__all__ = ["CellError"]


class CellError(Exception):
    """A cell cannot be read; the text says why. It never leaves the package."""
