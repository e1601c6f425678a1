"""Resume tokens: how far a list was read, as an opaque text that can be kept and handed in again."""

from __future__ import annotations

import base64
import binascii
import hashlib
import json
import zlib
from datetime import date
from typing import Any

import attrs

from goedgepickt_async.errors import ConfigurationError
from goedgepickt_async.paging.positions import REACH, Position

__all__ = ["read_token", "write_token"]

_VERSION = 1


def write_token(path: str, query: tuple[tuple[str, str], ...], position: Position) -> str:
    """The token for a position in the list that a path and its filters make."""
    plain = [_VERSION, _fingerprint(path, query), attrs.asdict(position)]
    packed = zlib.compress(json.dumps(plain, separators=(",", ":"), default=date.isoformat).encode())
    return base64.urlsafe_b64encode(packed).decode().rstrip("=")


def read_token(token: str, path: str, query: tuple[tuple[str, str], ...]) -> Position:
    """The position that a token tells.

    Raises:
        ConfigurationError: It is no token, one of another version of this package, or one of another list.
    """
    try:
        packed = base64.urlsafe_b64decode(token.strip() + "=" * (-len(token.strip()) % 4))
        version, fingerprint, values = json.loads(zlib.decompress(packed))
    except (ValueError, TypeError, AttributeError, binascii.Error, zlib.error):
        raise ConfigurationError("this is no resume token, or not the whole of one") from None
    if version != _VERSION:
        raise ConfigurationError("this resume token is of another version of goedgepickt-async")
    if fingerprint != _fingerprint(path, query):
        raise ConfigurationError("this resume token is of another list, or of the same one with other filters")
    try:
        return _position(values)
    except (KeyError, TypeError, ValueError):
        raise ConfigurationError("this resume token is damaged") from None


def _position(values: dict[str, Any]) -> Position:
    whole = {name: int(values[name]) for name in ("covered", "per_page", "last_rows", "rows", "pages")}
    position = Position(
        **whole,
        cursor=None if values["cursor"] is None else str(values["cursor"]),
        window=_day(values["window"]),
        joining=bool(values["joining"]),
        last_day=_day(values["last_day"]),
        seam=tuple(map(str, values["seam"])),
    )
    if not 0 <= position.covered <= REACH or not 1 <= position.per_page <= REACH:
        raise ValueError
    return position


def _day(text: str | None) -> date | None:
    return None if text is None else date.fromisoformat(text)


def _fingerprint(path: str, query: tuple[tuple[str, str], ...]) -> str:
    return hashlib.sha256(json.dumps([path, *sorted(query)]).encode()).hexdigest()[:16]
