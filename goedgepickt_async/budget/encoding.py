"""The encoding of a state: a header with version, sequence number, length and checksum, then 64-bit numbers."""

from __future__ import annotations

import struct
import sys
import zlib
from array import array
from typing import Final

__all__ = ["HEADER", "StateError", "StateVersionError", "length_of", "seal", "sequence_of", "unseal"]

_VERSION = 3
_HEADER: Final = struct.Struct("<4sHHQQI4x")  # magic, version, zero, epoch, sequence number, length, checksum
_MAGIC = b"GGB\0"
HEADER: Final = _HEADER.size
"""The number of bytes that identify a written state."""
_CHECKSUM: Final = HEADER - 4
"""The offset of the checksum, which is made while its own bytes are zero."""


class StateError(ValueError):
    """The bytes are not a valid state; the text has the reason."""


class StateVersionError(StateError):
    """The state was written by another version of this package."""


def seal(epoch: int, sequence: int, *numbers: array[int]) -> bytes:
    """Return the bytes of a state.

    Args:
        epoch: The number of the state's history.
        sequence: The number of its writes.
        numbers: Its numbers, in one or more arrays.
    """
    body = b"".join(numbers)
    if sys.byteorder != "little":
        body = _swapped(body)
    header = _HEADER.pack(_MAGIC, _VERSION, 0, epoch, sequence, len(body))
    return header[:_CHECKSUM] + zlib.crc32(header, zlib.crc32(body)).to_bytes(4, "little") + body


def unseal(data: bytes) -> tuple[int, int, bytes]:
    """Return the arguments of `seal`, with the numbers as bytes of this machine; later bytes are ignored.

    Raises:
        StateError: The bytes are damaged.
        StateVersionError: Another version wrote the bytes.
    """
    if len(data) < HEADER:
        raise StateError("it is too short")
    magic, version, _, epoch, sequence, length = _HEADER.unpack_from(data)
    body = data[HEADER : HEADER + length]
    checksum = zlib.crc32(data[:_CHECKSUM] + bytes(4), zlib.crc32(body))
    if magic != _MAGIC or len(body) < length or int.from_bytes(data[_CHECKSUM:HEADER], "little") != checksum:
        raise StateError("its checksum is wrong")
    if version != _VERSION:
        raise StateVersionError(f"it has format {version}, and this version reads format {_VERSION}")
    return epoch, sequence, body if sys.byteorder == "little" else _swapped(body)


def length_of(data: bytes) -> int:
    """The length of a state in bytes, by its first bytes; 0 if they are not the start of a state."""
    return HEADER + int(_HEADER.unpack_from(data)[5]) if _is_header(data) else 0


def sequence_of(data: bytes) -> int:
    """The number of writes of the state in these bytes; 0 if they are not the start of a state."""
    return int.from_bytes(data[16:24], "little") if _is_header(data) else 0


def _is_header(data: bytes) -> bool:
    return data[:4] == _MAGIC and len(data) >= HEADER


def _swapped(body: bytes) -> bytes:
    """Swap the byte order: a big-endian machine stores the numbers as little-endian."""
    numbers = array("q", body)
    numbers.byteswap()
    return numbers.tobytes()
