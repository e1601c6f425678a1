"""Names and random draws that can be computed from a row's number, so that no row has to be kept to be found."""

from __future__ import annotations

import re
from hashlib import blake2b
from typing import Final

__all__ = ["Identity"]

_UUID: Final = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}")


class Identity:
    """Derives everything random from one seed, by keyed hashing: the same in every process, for ever.

    A uuid is a keyed hash of the row's kind and number, with the number itself hidden in its last 48 bits. So a
    uuid can be turned back into the number, and a uuid that was never given out is recognised.
    """

    def __init__(self, seed: int) -> None:
        """Take the seed of the world."""
        self._key = blake2b(str(seed).encode(), digest_size=32).digest()

    def draw(self, kind: str, index: int) -> bytes:
        """Return 64 random bytes that belong to this row."""
        return blake2b(b"%s:%d" % (kind.encode(), index), key=self._key, digest_size=64).digest()

    def uuid(self, kind: str, index: int) -> str:
        """Return the uuid (version 4 in form) of row `index` of the kind."""
        tag = blake2b(b"uuid:%s:%d" % (kind.encode(), index), key=self._key, digest_size=10).hexdigest()
        variant = "89ab"[int(tag[15], 16) & 3]
        head = f"{tag[:8]}-{tag[8:12]}-4{tag[12:15]}-{variant}{tag[16:19]}"
        return f"{head}-{index ^ self._mask(kind, head):012x}"

    def index(self, kind: str, uuid: str) -> int | None:
        """Return the number of the row that has this uuid, or None if no row of the kind can have it."""
        uuid = uuid.lower()
        if not _UUID.fullmatch(uuid):
            return None
        index = int(uuid[24:], 16) ^ self._mask(kind, uuid[:23])
        return index if self.uuid(kind, index) == uuid else None

    def _mask(self, kind: str, head: str) -> int:
        return int.from_bytes(blake2b(f"mask:{kind}:{head}".encode(), key=self._key, digest_size=6).digest())
