"""The values of bulk jobs: desired rows, decisions, planned writes, what was applied, and for which account."""

from __future__ import annotations

import enum
import hashlib
import hmac
import secrets
from collections.abc import Mapping
from typing import Any

import attrs

from goedgepickt_async.errors import JournalMismatchError
from goedgepickt_async.settings import Settings

__all__ = [
    "UNTOLD",
    "Account",
    "Action",
    "Applied",
    "Change",
    "Conflict",
    "How",
    "LeftAlone",
    "PlannedWrite",
    "Settled",
    "Unchanged",
    "Verdict",
    "Wish",
]

UNTOLD = "(not told)"
"""Stands for the present value of a field that the API takes and does not answer."""


class Action(enum.StrEnum):
    """What a planned write does."""

    CREATE = "create"
    """Makes something that is not there."""
    UPDATE = "update"
    """Sets fields of something that is there."""
    SET = "set"
    """Sets the quantity at a location."""
    MUTATE = "mutate"
    """Adds to the stock, or takes from it."""


@attrs.frozen(kw_only=True)
class Wish:
    """One desired row, checked and in one form.

    Attributes:
        key: What tells it apart: the SKU, the shop's id of the product or of the order.
        index: The row's place in the input, from 0.
        values: What is wanted, under Python names, as values that JSON takes. It may hold personal data.
    """

    key: str
    index: int
    values: Mapping[str, Any] = attrs.field(repr=False)


@attrs.frozen(kw_only=True)
class Change:
    """One field that will change; values as JSON takes them.

    Attributes:
        field: Its Python name.
        before: What is there; None for nothing, `UNTOLD` where the API does not say.
        after: What will be there.
    """

    field: str
    before: Any
    after: Any


@attrs.frozen(kw_only=True)
class PlannedWrite:
    """One write that a plan will make.

    Attributes:
        action: What it does.
        wish: What was wanted.
        uuid: Of the product that it changes; None for what is made new.
        name: What people call it; empty for orders, whose names are personal.
        changes: Field by field.
        seen: What else was read of it and is evidence later, such as the total stock.
    """

    action: Action
    wish: Wish
    uuid: str | None = None
    name: str = ""
    changes: tuple[Change, ...] = attrs.field(default=(), repr=False)
    seen: Mapping[str, Any] = attrs.field(factory=dict, repr=False)

    @property
    def key(self) -> str:
        """The SKU, or the shop's id."""
        return self.wish.key

    @property
    def index(self) -> int:
        """The row's place in the input, from 0."""
        return self.wish.index


@attrs.frozen(kw_only=True)
class Unchanged:
    """A row whose wish is fulfilled already."""

    key: str
    index: int
    uuid: str | None


@attrs.frozen(kw_only=True)
class LeftAlone:
    """A row that is deliberately not touched, and why."""

    key: str
    index: int
    uuid: str | None
    reason: str


@attrs.frozen(kw_only=True)
class Conflict:
    """Rows for which nothing can safely be done.

    Attributes:
        key: The SKU or the shop's id; empty where there is none.
        indexes: The places of the rows in the input, from 0.
        reason: Why; no personal data is in it.
        uuids: Of what is in the way at the server.
        fields: For a row that was refused: what is wrong with which field.
    """

    key: str
    indexes: tuple[int, ...]
    reason: str
    uuids: tuple[str, ...] = ()
    fields: Mapping[str, str] = attrs.field(factory=dict)


Verdict = PlannedWrite | Unchanged | LeftAlone | Conflict
"""What comparing one wish with what is there amounts to."""


@attrs.frozen
class Settled:
    """What the numbers say of a mutation whose answer was lost: done, not done, or (None) nobody can tell."""

    is_done: bool | None
    why: str = ""


class How(enum.StrEnum):
    """How a planned write came to be done."""

    SENT = "sent"
    """It was sent, and the server said success."""
    FOUND = "found"
    """It had been sent before, or somebody else did it: looking it up found it done."""
    JOURNAL = "journal"
    """The journal says that it was done; nothing was sent."""
    DRY_RUN = "dry_run"
    """Nothing was sent, as was asked for."""


@attrs.frozen(kw_only=True)
class Applied:
    """A planned write that is done.

    Attributes:
        how: How that came to be.
        uuid: Of what was made or changed, where the API told it.
    """

    how: How
    uuid: str | None = None


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
