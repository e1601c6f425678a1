"""The header `Signature`, as the service makes it; made here once more, so that a mistake of the client's would show."""

from __future__ import annotations

import hashlib
import hmac

__all__ = ["sign"]


def sign(body: bytes, secret: str) -> str:
    """Return lower-case hexadecimal HMAC-SHA256 of a body's bytes (reference section 6, A).

    Args:
        body: What is sent.
        secret: The subscription's own.
    """
    return hmac.new(secret.encode(), body, hashlib.sha256).hexdigest()
