"""Resume tokens: how far a list was read, as an opaque text that can be kept and handed in again."""

from __future__ import annotations

import base64
import binascii
import hashlib
import json
import zlib
from collections.abc import Sequence
from datetime import date
from typing import Any

import attrs

from goedgepickt_async.errors import ConfigurationError
from goedgepickt_async.paging.positions import REACH, Position

__all__ = ["read_token", "write_token"]

_VERSION = 1

_LONGEST = 10_000
"""Characters; one that we wrote has about two thousand."""


def write_token(identity: Sequence[str], position: Position) -> str:
    """The token for a position in a list; `identity` is what tells the list apart from others."""
    plain = [_VERSION, _fingerprint(identity), attrs.asdict(position, recurse=False)]
    packed = zlib.compress(json.dumps(plain, separators=(",", ":"), default=date.isoformat).encode(), level=1)
    return base64.urlsafe_b64encode(packed).decode().rstrip("=")


def read_token(token: str, identity: Sequence[str]) -> Position:
    """The position that a token tells.

    Raises:
        ConfigurationError: It is no token, one of another version of this package, or one of another list.
    """
    try:
        token = token[:_LONGEST]
        packed = base64.urlsafe_b64decode(token.strip() + "=" * (-len(token.strip()) % 4))
        unpacker = zlib.decompressobj()
        version, fingerprint, values = json.loads(unpacker.decompress(packed, _LONGEST))
        intact = unpacker.eof
    except (ValueError, TypeError, AttributeError, RecursionError, binascii.Error, zlib.error):
        raise ConfigurationError("this is no resume token, or not the whole of one") from None
    if not intact:
        raise ConfigurationError("this is not the whole of a resume token")
    if version != _VERSION:
        raise ConfigurationError("this resume token is of another version of goedgepickt-async")
    if fingerprint != _fingerprint(identity):
        raise ConfigurationError("this resume token is of another list, or of the same one with other filters")
    try:
        return _position(values)
    except (KeyError, TypeError, ValueError, OverflowError):
        raise ConfigurationError("this resume token is damaged") from None


def _position(values: dict[str, Any]) -> Position:
    whole = {name: int(values[name]) for name in ("covered", "rows", "pages")}
    position = Position(
        **whole,
        short=bool(values["short"]),
        cursor=None if values["cursor"] is None else str(values["cursor"]),
        window=_day(values["window"]),
        last_day=_day(values["last_day"]),
        first=_keys(values["first"]),
        seam=_keys(values["seam"]),
    )
    if not 0 <= position.covered <= REACH or position.rows < len(position.seam):
        raise ValueError
    return position


def _keys(values: object) -> tuple[str, ...]:
    if not isinstance(values, list) or not all(isinstance(value, str) for value in values):
        raise TypeError
    return tuple(values)


def _day(text: str | None) -> date | None:
    return None if text is None else date.fromisoformat(text)


def _fingerprint(identity: Sequence[str]) -> str:
    return hashlib.sha256(json.dumps(identity).encode()).hexdigest()[:16]
