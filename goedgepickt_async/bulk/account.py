"""Which account a plan or a journal is of, without a key that could be read out of it."""

from __future__ import annotations

import hashlib
import hmac
import secrets
from collections.abc import Mapping
from typing import Any

import attrs

from goedgepickt_async.errors import JournalMismatchError
from goedgepickt_async.settings import Settings

__all__ = ["Account"]


@attrs.frozen(kw_only=True)
class Account:
    """A server, a webshop and a key, of which only a keyed hash is kept.

    Attributes:
        server: The API's host and path.
        webshop: The uuid of the webshop; None: all.
        salt: What the hash is keyed with, in hexadecimal; another one for each account that is written down.
        mark: The hash of the API key.
    """

    server: str
    webshop: str | None
    salt: str
    mark: str

    @classmethod
    def of(cls, settings: Settings, webshop: str | None, *, salt: str | None = None) -> Account:
        """The account that a client works for."""
        salt = secrets.token_hex(16) if salt is None else salt
        mark = hmac.new(salt.encode(), settings.api_key.encode(), hashlib.sha256).hexdigest()
        return cls(server=settings.server, webshop=webshop, salt=salt, mark=mark)

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Account:
        """An account that was written down."""
        webshop = data["webshop"]
        return cls(
            server=str(data["server"]),
            webshop=None if webshop is None else str(webshop),
            salt=str(data["salt"]),
            mark=str(data["mark"]),
        )

    def as_dict(self) -> dict[str, Any]:
        """To be written down."""
        return attrs.asdict(self)

    def check(self, settings: Settings, webshop: str | None, what: str) -> None:
        """Whether a client works for it.

        Raises:
            JournalMismatchError: It does not.
        """
        other = self.of(settings, webshop, salt=self.salt)
        if other.server != self.server:
            raise JournalMismatchError(f"{what} is for another server: {self.server}, not {other.server}")
        if other.webshop != self.webshop:
            raise JournalMismatchError(f"{what} is for another webshop")
        if not hmac.compare_digest(other.mark, self.mark):
            raise JournalMismatchError(f"{what} is for another account: it was made with another API key")
