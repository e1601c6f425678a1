"""The signature of a delivery: HMAC-SHA256 over the bytes of the body, exactly as they came (A). No IO."""

from __future__ import annotations

import hmac
import re
from collections.abc import Iterable, Mapping
from typing import Final

from goedgepickt_async.errors import ConfigurationError, WebhookVerificationError
from goedgepickt_async.models import Secret

__all__ = ["HEADER", "Secrets", "sign", "verify"]

HEADER: Final = "Signature"
"""The request header that holds the signature (A)."""

Bytes = bytes | bytearray | memoryview
"""A body as it came."""

Secrets = str | Secret | Iterable[str | Secret]
"""One secret or several: each subscription has its own (A), and while one is rotated there are two."""

_HEX: Final = re.compile(r"[0-9a-fA-F]{64}", re.ASCII)


def sign(body: Bytes, secret: str | Secret) -> str:
    """The signature of a body, as the service makes it.

    Args:
        body: The bytes that are sent.
        secret: The secret of the subscription.

    Returns:
        64 lower-case hexadecimal digits.

    Raises:
        ConfigurationError: The secret is empty or no text.
    """
    key = _key(secret)
    if not key:
        raise ConfigurationError("a webhook's secret must be text that is not empty")
    return hmac.digest(key, body, "sha256").hex()


def verify(body: Bytes, signature: str | bytes | None, secrets: Secrets) -> None:
    """Returns if the body was signed with one of the secrets, in constant time; else it raises, whatever it was given.

    Args:
        body: The bytes as they came. JSON that was read and written again never matches (A).
        signature: The value of the header `Signature`, of either case; None if there was none.
        secrets: One secret or several. An empty one matches nothing: anybody can sign with it.

    Raises:
        WebhookVerificationError: It was not, or there is nothing to tell by. No other exception is raised.
    """
    message = _message(body)
    given = _digest(signature)
    keys = _keys(secrets)
    matches = False
    for key in keys:  # all of them: the time it takes tells nobody which one it was
        matches |= hmac.compare_digest(hmac.digest(key, message, "sha256"), given)
    if not matches:
        which = "the secret" if len(keys) == 1 else f"any of the {len(keys)} secrets"
        raise WebhookVerificationError(f"the signature is not made with {which}" if keys else "there is no secret")


def _message(body: object) -> bytes:
    if isinstance(body, Bytes):
        try:
            return bytes(body)
        except ValueError:  # a view that was released
            pass
    raise WebhookVerificationError("only the raw bytes of a body can be verified, not what a framework made of them")


def _digest(signature: object) -> bytes:
    if signature is None:
        raise WebhookVerificationError(f"the delivery has no {HEADER} header")
    text = signature.decode("latin-1") if isinstance(signature, bytes) else signature
    if not isinstance(text, str) or _HEX.fullmatch(text) is None:
        raise WebhookVerificationError("the signature is not 64 hexadecimal digits")
    return bytes.fromhex(text)


def _keys(secrets: object) -> list[bytes]:
    if isinstance(secrets, Mapping):  # its names are no secrets: whoever guesses them could sign
        raise WebhookVerificationError("secrets by event are for a WebhookReceiver; verify takes one or several")
    several = secrets if isinstance(secrets, Iterable) and not isinstance(secrets, (str, bytes)) else [secrets]
    return [key for key in map(_key, several) if key]


def _key(secret: object) -> bytes:
    """The key's bytes; empty for what is no secret."""
    text = secret.reveal() if isinstance(secret, Secret) else secret
    return text.encode("utf-8", "surrogatepass") if isinstance(text, str) else b""
