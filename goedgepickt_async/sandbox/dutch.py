"""Laravel's validation texts in Dutch, with the field's name in English words, as the real service gives them."""

from __future__ import annotations

import re
from typing import Final

__all__ = ["TEXTS", "spoken_name", "validation_text"]

TEXTS: Final = {
    "required": "{field} is verplicht.",
    "string": "{field} moet een tekst zijn.",
    "integer": "{field} moet een getal zijn.",
    "numeric": "{field} moet een nummer zijn.",
    "boolean": "{field} moet ja of nee zijn.",
    "array": "{field} moet een array zijn.",
    "date": "{field} moet een datum bevatten.",
    "url": "{field} moet een geldige URL zijn.",
    "in": "{field} is ongeldig.",
    "exists": "{field} bestaat niet.",
    "min": "{field} moet minimaal {minimum} zijn.",
    "unique": "{field} is al in gebruik.",
}


def spoken_name(field: str) -> str:
    """Return a field's name in words, as Laravel makes it: `orderItems.0.sku` becomes `Order items.0.sku`."""
    snake = re.sub(r"(?<=[^A-Z_.])([A-Z])", r"_\1", field).lower()
    words = snake.replace("_", " ")
    return words[:1].upper() + words[1:]


def validation_text(rule: str, field: str, **values: object) -> str:
    """Return the text for a broken rule."""
    return TEXTS[rule].format(field=spoken_name(field), **values)
