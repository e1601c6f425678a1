"""API keys of the two kinds, made from the seed."""

from __future__ import annotations

import json
from base64 import urlsafe_b64encode
from hashlib import shake_256

__all__ = ["make_key"]


def make_key(seed: int, kind: str) -> str:
    """Return the key of one kind: in form a long JSON Web Token, as the real service gives (over 255 characters).

    The same seed gives the same key, so that what was printed once stays valid after a restart. It is signed by
    nobody and opens nothing but a sandbox.
    """
    jti = shake_256(f"jti:{seed}:{kind}".encode()).hexdigest(40)
    signature = shake_256(f"signature:{seed}:{kind}".encode()).digest(256)
    payload = {"aud": "1", "jti": jti, "iat": 1_767_225_600, "sub": "1", "scopes": [kind]}
    parts = (_json({"typ": "JWT", "alg": "RS256"}), _json(payload), signature)
    return ".".join(urlsafe_b64encode(part).rstrip(b"=").decode() for part in parts)


def _json(value: object) -> bytes:
    return json.dumps(value, separators=(",", ":")).encode()
