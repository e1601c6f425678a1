"""The signature of a delivery: HMAC-SHA256 over the bytes of the body, exactly as they arrived (A). No IO.

Error trackers collect the local variables of each frame that an exception passes. So no function that raises has a
secret among its local variables. A function that has secrets returns a reason as text, and its caller raises the error.
"""

from __future__ import annotations

import hmac
import re
from collections.abc import Iterable, Mapping
from typing import Final

from goedgepickt_async.errors import ConfigurationError, WebhookVerificationError
from goedgepickt_async.models import Secret

__all__ = ["HEADER", "Bytes", "Secrets", "digest_of", "matches", "no_match", "sign", "usable_secrets", "verify"]

HEADER: Final = "Signature"
"""The request header that holds the signature (A)."""

Bytes = bytes | bytearray | memoryview
"""A body as it arrived."""

Secrets = str | Secret | Iterable[str | Secret]
"""One secret or several: each subscription has its own (A), and during a rotation there are two."""

_HEX: Final = re.compile(r"[0-9a-fA-F]{64}", re.ASCII)


def sign(body: Bytes, secret: str | Secret) -> str:
    """Returns the signature of a body, as the service makes it.

    Args:
        body: The bytes that are sent.
        secret: The secret of the subscription.

    Returns:
        64 lower-case hexadecimal digits.

    Raises:
        ConfigurationError: The secret is empty or not text.
    """
    signature = _signature(body, secret)
    del secret
    if signature is None:
        raise ConfigurationError("the secret of a webhook must be text that is not empty")
    return signature


def verify(body: Bytes, signature: str | bytes | None, secrets: Secrets) -> None:
    """Returns if the body was signed with one of the secrets; raises otherwise. The comparison takes constant time.

    Args:
        body: The bytes as they arrived. JSON that was parsed and serialized again never matches (A).
        signature: The value of the `Signature` header, in upper or lower case; None without that header.
        secrets: One secret or several. An empty one matches nothing, since anyone can sign with it.

    Raises:
        WebhookVerificationError: The signature is missing or wrong. No other exception is raised, for any input.
    """
    problem = _problem(body, signature, secrets)
    del secrets, body
    if problem is not None:
        raise WebhookVerificationError(problem)


def digest_of(signature: object) -> bytes | str:
    """The bytes of a signature; or, if it cannot be one, the reason as text."""
    if signature is None:
        return f"the delivery has no {HEADER} header"
    text = signature.decode("latin-1") if isinstance(signature, bytes) else signature
    if not isinstance(text, str) or _HEX.fullmatch(text) is None:
        return "the signature is not 64 hexadecimal digits"
    return bytes.fromhex(text)


def usable_secrets(secrets: object) -> tuple[Secret, ...]:
    """One secret or several, each as a `Secret`. An empty one is left out, since anyone can sign with it."""
    several = secrets if isinstance(secrets, Iterable) and not isinstance(secrets, (str, bytes)) else [secrets]
    return tuple(secret if isinstance(secret, Secret) else Secret(str(secret)) for secret in several if _key(secret))


def no_match(number: int) -> str:
    """Why a delivery is refused that matches none of this number of secrets."""
    if number == 0:
        return "there is no secret"
    return f"the signature is not made with {'the secret' if number == 1 else f'any of the {number} secrets'}"


def matches(body: bytes, digest: bytes, secrets: Iterable[Secret]) -> bool:
    """Whether a digest was made with one of the secrets. All are tried, so that the time tells nothing."""
    found = False
    for secret in secrets:
        found |= hmac.compare_digest(hmac.digest(_key(secret), body, "sha256"), digest)
    return found


def _signature(body: Bytes, secret: object) -> str | None:
    key = _key(secret)
    return hmac.digest(key, body, "sha256").hex() if key else None


def _problem(body: object, signature: object, secrets: object) -> str | None:
    """Why a delivery is refused; None if its signature is good."""
    message = _message(body)
    if message is None:
        return "only the raw bytes of a body can be verified, not a parsed object"
    digest = digest_of(signature)
    if isinstance(digest, str):
        return digest
    if isinstance(secrets, Mapping):  # its keys are names, which anyone can guess
        return "secrets by event are for a WebhookReceiver; verify takes one secret or several"
    usable = usable_secrets(secrets)
    return None if matches(message, digest, usable) else no_match(len(usable))


def _message(body: object) -> bytes | None:
    if isinstance(body, Bytes):
        try:
            return bytes(body)
        except ValueError:  # a memoryview that was released
            pass
    return None


def _key(secret: object) -> bytes:
    """The bytes of the key; empty if it is not a secret."""
    text = secret.reveal() if isinstance(secret, Secret) else secret
    return text.encode("utf-8", "surrogatepass") if isinstance(text, str) else b""
