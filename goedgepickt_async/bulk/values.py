"""The values of bulk jobs: desired rows, decisions, planned writes, what was applied, and for which account."""

from __future__ import annotations

import enum
import hashlib
import hmac
import operator
import secrets
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, Final, TypeVar

import attrs
import cattrs

from goedgepickt_async.errors import ConfigurationError, JournalMismatchError
from goedgepickt_async.settings import Settings

__all__ = [
    "CONVERTER",
    "NOT_REPORTED",
    "Action",
    "Applied",
    "AppliedVia",
    "Change",
    "Conflict",
    "ConflictCode",
    "Decision",
    "DesiredRow",
    "PlanScope",
    "PlannedWrite",
    "Resolution",
    "RowSource",
    "Skipped",
    "Unchanged",
]

NOT_REPORTED = "(not reported)"
"""The present value of a field that the API takes and does not answer."""


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
class DesiredRow:
    """One desired row, checked and in one form.

    Attributes:
        key: What tells it apart: the SKU, the shop's id of the product or of the order.
        index: The row's place in the input, from 0.
        values: What is wanted, under Python names, as values that JSON takes. It may hold personal data.
        uuid: Of the product, where the input tells it, as exports do: it tells products with the same SKU apart.
    """

    key: str
    index: int
    values: Mapping[str, Any] = attrs.field(repr=False)
    uuid: str | None = attrs.field(default=None, eq=False)


@attrs.frozen(kw_only=True)
class Change:
    """One field that will change; values as JSON takes them.

    Attributes:
        field: Its Python name.
        before: What is there; None for an empty field, `NOT_REPORTED` where the API does not say.
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
        desired: What was wanted.
        uuid: Of the product that it changes; None for what is made new.
        name: What people call it; empty for orders, whose names are personal.
        changes: Field by field.
        seen: What else was read of it and is evidence later, such as the total stock.
    """

    action: Action
    desired: DesiredRow
    uuid: str | None = None
    name: str = ""
    changes: tuple[Change, ...] = attrs.field(default=(), repr=False)
    seen: Mapping[str, Any] = attrs.field(factory=dict, repr=False)

    @property
    def key(self) -> str:
        """The SKU, or the shop's id."""
        return self.desired.key

    @property
    def index(self) -> int:
        """The row's place in the input, from 0."""
        return self.desired.index

    def to_dict(self) -> dict[str, Any]:
        """The write as values that JSON takes; the values of an order hold personal data."""
        made: dict[str, Any] = CONVERTER.unstructure(self)
        return made

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> PlannedWrite:
        """The write that `to_dict` wrote.

        Raises:
            ConfigurationError: `to_dict` did not write this.
        """
        return _structure(data, cls)


@attrs.frozen(kw_only=True)
class Unchanged:
    """A row that is as desired already."""

    key: str
    index: int
    uuid: str | None


@attrs.frozen(kw_only=True)
class Skipped:
    """A row that is deliberately not touched, and why."""

    key: str
    index: int
    uuid: str | None
    reason: str


class ConflictCode(enum.StrEnum):
    """Why a row is in conflict, for programs."""

    BAD_ROW = "bad_row"
    """The row itself is unfit: a field is missing or wrong."""
    DUPLICATE = "duplicate"
    """The same key comes several times in the input."""
    AMBIGUOUS = "ambiguous"
    """Several things at the server have this key."""
    NOT_FOUND = "not_found"
    """Nothing has this key, and it cannot or must not be created."""
    OTHER_WEBSHOP = "other_webshop"
    """It exists, in another webshop than the plan's."""
    NEAR_MISS = "near_miss"
    """Nothing has exactly this key, and something has nearly the same one."""
    UNWRITABLE = "unwritable"
    """It exists, and cannot be written as asked."""


@attrs.frozen(kw_only=True)
class Conflict:
    """Rows for which nothing can safely be done.

    Attributes:
        key: The SKU or the shop's id; empty where it is missing.
        indexes: The places of the rows in the input, from 0.
        reason: Why; no personal data is in it.
        code: Why, for programs.
        uuids: Of what is in the way at the server.
        fields: For a row that was refused: what is wrong with which field.
    """

    key: str
    indexes: tuple[int, ...]
    reason: str
    code: ConflictCode = ConflictCode.BAD_ROW
    uuids: tuple[str, ...] = ()
    fields: Mapping[str, str] = attrs.field(factory=dict)


Decision = PlannedWrite | Unchanged | Skipped | Conflict
"""What comparing one desired row with the present state gives."""


@attrs.frozen
class Resolution:
    """What the numbers say of a mutation whose answer was lost: done, not done, or (None) unknown."""

    is_done: bool | None
    why: str = ""


class AppliedVia(enum.StrEnum):
    """How a planned write came to be done."""

    SENT = "sent"
    """It was sent, and the server answered with success."""
    FOUND = "found"
    """It had been sent before, or another program did it: a lookup found it done."""
    JOURNAL = "journal"
    """The journal says that it was done; nothing was sent."""
    DRY_RUN = "dry_run"
    """Nothing was sent, as was asked for."""


@attrs.frozen(kw_only=True)
class Applied:
    """A planned write that is done.

    Attributes:
        via: How that came to be.
        uuid: Of what was made or changed, where the API returned it.
    """

    via: AppliedVia
    uuid: str | None = None

    def to_dict(self) -> dict[str, Any]:
        """The value as JSON takes it."""
        return {"via": self.via.value, "uuid": self.uuid}

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Applied:
        """The value that `to_dict` wrote.

        Raises:
            ConfigurationError: `to_dict` did not write this.
        """
        return _structure(data, cls)


@attrs.frozen(kw_only=True)
class PlanScope:
    """What a plan or a journal is for: a server, a webshop and an API key. Only a keyed hash of the key is kept.

    Attributes:
        server: The API's host and path; a sandbox on this machine has the same one on every port.
        webshop: The uuid of the webshop; None: all.
        salt: What the hash is keyed with, in hexadecimal; another one for each scope that is recorded.
        key_hash: The keyed hash of the API key.
        webshop_name: What people call the webshop; empty where that was not asked.
        address: The API's whole URL, with the port; for people.
    """

    server: str
    webshop: str | None
    salt: str
    key_hash: str
    webshop_name: str = attrs.field(default="", eq=False)
    address: str = attrs.field(default="", eq=False)

    @classmethod
    def of(cls, settings: Settings, webshop: str | None, *, name: str = "", salt: str | None = None) -> PlanScope:
        """The scope that a client works in."""
        salt = secrets.token_hex(16) if salt is None else salt
        key_hash = hmac.new(salt.encode(), settings.api_key.encode(), hashlib.sha256).hexdigest()
        return cls(
            server=settings.server,
            webshop=webshop,
            salt=salt,
            key_hash=key_hash,
            webshop_name=name,
            address=settings.base_url,
        )

    def check(self, settings: Settings, webshop: str | None, what: str) -> None:
        """Check that a client works in this scope.

        Raises:
            JournalMismatchError: It does not.
        """
        other = self.of(settings, webshop, salt=self.salt)
        if other.server != self.server:
            raise JournalMismatchError(f"{what} is for another server: {self.server}, not {other.server}")
        if other.webshop != self.webshop:
            raise JournalMismatchError(f"{what} is for another webshop: {self.webshop}, not {other.webshop}")
        if not hmac.compare_digest(other.key_hash.encode(), self.key_hash.encode()):
            raise JournalMismatchError(f"{what} is for another account: it was made with another API key")

    @property
    def webshop_text(self) -> str:
        """The webshop as people know it."""
        if self.webshop is None:
            return "all webshops"
        return f"webshop {self.webshop_name!r} ({self.webshop})" if self.webshop_name else f"webshop {self.webshop}"


@attrs.frozen(kw_only=True)
class RowSource:
    """Where the rows of a plan came from: a file, and the line of each row.

    Attributes:
        name: The file's name.
        lines: The line where each row begins, by the row's place in the input.
        problems: The rows and cells that could not be read, as `stock.csv:12: voorraad: …`.
        skipped: Rows that are no rows of this kind, such as the image rows of a shop's products, and why.
    """

    name: str
    lines: tuple[int, ...] = attrs.field(default=(), repr=False)
    problems: tuple[str, ...] = attrs.field(default=(), repr=False)
    skipped: tuple[str, ...] = attrs.field(default=(), repr=False)

    def where(self, index: int) -> str:
        """The place of a row, as `stock.csv:12`."""
        return f"{self.name}:{self.lines[index]}" if index < len(self.lines) else f"row {index + 1}"


_T = TypeVar("_T")


def _structure(data: Any, cls: type[_T]) -> _T:
    try:
        return CONVERTER.structure(data, cls)
    except (cattrs.BaseValidationError, ValueError, LookupError, TypeError, AttributeError) as error:
        raise ConfigurationError(f"this is no {cls.__name__} that was saved: {type(error).__name__}") from None


def _exactly(cls: type) -> Callable[[Any, Any], Any]:
    """A structure function that takes values of one type and converts nothing."""

    def structure(value: Any, _: Any) -> Any:
        if not isinstance(value, cls) or (isinstance(value, bool) and cls is not bool):
            raise TypeError(f"must be {cls.__name__}")
        return value

    return structure


def _make_converter() -> cattrs.Converter:
    converter = cattrs.Converter(detailed_validation=False)
    for cls in (str, int, bool, float):
        # By identity: a hook for str would also serve its subclasses, the enumerations, too.
        converter.register_structure_hook_func(partial(operator.is_, cls), _exactly(cls))
    writes = cattrs.gen.make_dict_unstructure_fn(
        PlannedWrite, converter, desired=cattrs.override(omit=True), _cattrs_use_linecache=False
    )
    reads = cattrs.gen.make_dict_structure_fn(PlannedWrite, converter, _cattrs_detailed_validation=False)

    def flatten(write: PlannedWrite) -> dict[str, Any]:
        return {"key": write.key, "index": write.index, **writes(write), "desired": dict(write.desired.values)}

    def nest(data: Any, _: Any) -> PlannedWrite:
        row = {"key": data["key"], "index": data["index"], "values": data["desired"]}
        write: PlannedWrite = reads({**data, "desired": row}, PlannedWrite)
        _check_write(write)
        return write

    converter.register_unstructure_hook(PlannedWrite, flatten)
    converter.register_structure_hook(PlannedWrite, nest)
    return converter


def _check_write(write: PlannedWrite) -> None:
    """Refuse a write that cannot be one: a changed quantity is a whole number."""
    if write.action in {Action.MUTATE, Action.SET}:
        (change,) = write.changes
        whole = _exactly(int)
        whole(change.after, int)
        whole(write.desired.values["level"], int)
        if write.action is Action.MUTATE or change.before is not None:
            whole(change.before, int)
    if (write.uuid is None) != (write.action is Action.CREATE):
        raise ValueError("only what is created has no uuid")


CONVERTER: Final = _make_converter()
"""Between the values of plans and what JSON takes."""
