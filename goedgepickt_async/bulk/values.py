"""The values of bulk jobs: desired rows, decisions, planned writes, applied writes, and the scope of a plan."""

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
    "UNREADABLE",
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
"""The present value of a field that the API accepts but does not return."""
UNREADABLE: Final = (
    cattrs.BaseValidationError, ValueError, LookupError, TypeError, AttributeError, ArithmeticError, RecursionError,
)  # fmt: skip
"""What reading a damaged plan or record raises."""


class Action(enum.StrEnum):
    """The kind of a planned write."""

    CREATE = "create"
    """Create an object."""
    UPDATE = "update"
    """Set fields of an existing object."""
    SET = "set"
    """Set the quantity at a location."""
    MUTATE = "mutate"
    """Increase or reduce the stock."""


@attrs.frozen(kw_only=True)
class DesiredRow:
    """A checked desired row.

    Attributes:
        key: The key: the SKU, or the shop's id for the product or the order.
        index: The index of the row in the input, from 0.
        values: The desired values by Python name, as values for `json.dumps`. They may be personal data.
        uuid: The uuid of the product, if the input has it, as exports do. It distinguishes products with the same SKU.
    """

    key: str
    index: int
    values: Mapping[str, Any] = attrs.field(repr=False)
    uuid: str | None = attrs.field(default=None, eq=False)


@attrs.frozen(kw_only=True)
class Change:
    """A change of one field, with values for `json.dumps`.

    Attributes:
        field: The Python name of the field.
        before: The present value; None for an empty field, `NOT_REPORTED` if the API does not return it.
        after: The new value.
    """

    field: str
    before: Any
    after: Any


@attrs.frozen(kw_only=True)
class PlannedWrite:
    """A planned write.

    Attributes:
        action: The kind of the write.
        desired: The desired row.
        uuid: The uuid of the product to change; None for a new object.
        name: The name of the object; empty for orders, because their names are personal.
        changes: The changes of fields.
        seen: Other present values, which are evidence for a lookup, such as the total stock.
    """

    action: Action
    desired: DesiredRow
    uuid: str | None = None
    name: str = ""
    changes: tuple[Change, ...] = attrs.field(default=(), repr=False)
    seen: Mapping[str, Any] = attrs.field(factory=dict, repr=False)

    @property
    def key(self) -> str:
        """The SKU or the shop's id."""
        return self.desired.key

    @property
    def index(self) -> int:
        """The index of the row in the input, from 0."""
        return self.desired.index

    def to_dict(self) -> dict[str, Any]:
        """Return the write as values for `json.dumps`. The values of an order contain personal data."""
        made: dict[str, Any] = CONVERTER.unstructure(self)
        return made

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> PlannedWrite:
        """Return the write from a result of `to_dict`.

        Raises:
            ConfigurationError: The value was not made by `to_dict`.
        """
        return _structure(data, cls)


@attrs.frozen(kw_only=True)
class Unchanged:
    """A row that already has the desired state."""

    key: str
    index: int
    uuid: str | None


@attrs.frozen(kw_only=True)
class Skipped:
    """A row that is skipped deliberately, with the reason."""

    key: str
    index: int
    uuid: str | None
    reason: str


class ConflictCode(enum.StrEnum):
    """The reason of a conflict, for programs."""

    BAD_ROW = "bad_row"
    """The row is not valid: a field is missing or wrong."""
    DUPLICATE = "duplicate"
    """The same key is several times in the input."""
    AMBIGUOUS = "ambiguous"
    """Several objects at the server have this key."""
    NOT_FOUND = "not_found"
    """No object has this key, and it cannot or must not be created."""
    OTHER_WEBSHOP = "other_webshop"
    """The object exists in another webshop than the plan's."""
    NEAR_MISS = "near_miss"
    """No object has exactly this key, but an object has nearly the same key."""
    UNWRITABLE = "unwritable"
    """The object exists, but the change is not possible."""


@attrs.frozen(kw_only=True)
class Conflict:
    """Rows for which no safe write is possible.

    Attributes:
        key: The SKU or the shop's id; empty if it is missing.
        indexes: The indexes of the rows in the input, from 0.
        reason: The reason, without personal data.
        code: The code of the reason, for programs.
        uuids: The uuids of the objects at the server that cause the conflict.
        fields: The problems by field, for a row that is not valid.
    """

    key: str
    indexes: tuple[int, ...]
    reason: str
    code: ConflictCode = ConflictCode.BAD_ROW
    uuids: tuple[str, ...] = ()
    fields: Mapping[str, str] = attrs.field(factory=dict)


Decision = PlannedWrite | Unchanged | Skipped | Conflict
"""The decision about one desired row."""


@attrs.frozen
class Resolution:
    """Whether a mutation with a lost response was carried out: True, False, or None for unknown."""

    is_done: bool | None
    why: str = ""


class AppliedVia(enum.StrEnum):
    """How a planned write was done."""

    SENT = "sent"
    """The write was sent, and the response was a success."""
    FOUND = "found"
    """A lookup found that the write was done before, or by another program."""
    JOURNAL = "journal"
    """The journal has the write as done; nothing was sent."""
    DRY_RUN = "dry_run"
    """Nothing was sent, because `dry_run` was set."""


@attrs.frozen(kw_only=True)
class Applied:
    """The result of a planned write.

    Attributes:
        via: How the write was done.
        uuid: The uuid of the created or changed object, if the API returned it.
    """

    via: AppliedVia
    uuid: str | None = None

    def to_dict(self) -> dict[str, Any]:
        """Return the value for `json.dumps`."""
        return {"via": self.via.value, "uuid": self.uuid}

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Applied:
        """Return the value from a result of `to_dict`.

        Raises:
            ConfigurationError: The value was not made by `to_dict`.
        """
        return _structure(data, cls)


@attrs.frozen(kw_only=True)
class PlanScope:
    """The scope of a plan or a journal: a server, a webshop and an API key. Only a keyed hash of the key is stored.

    Attributes:
        server: The API's host and path; a sandbox on this machine has the same one on every port.
        webshop: The uuid of the webshop; None for all webshops.
        salt: The random key of the hash in hexadecimal; each recorded scope has another one.
        key_hash: The keyed hash of the API key.
        webshop_name: The name of the webshop; empty if it was not read.
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
        """Return the scope of a client."""
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
        """Check that a client has this scope.

        Raises:
            JournalMismatchError: The client has another scope.
        """
        other = self.of(settings, webshop, salt=self.salt)
        if other.server != self.server:
            raise JournalMismatchError(f"{what} is for another server: {self.server}, not {other.server}")
        if other.webshop != self.webshop:
            raise JournalMismatchError(f"{what} is for another webshop: {self.webshop}, not {other.webshop}")
        if not hmac.compare_digest(other.key_hash.encode(), self.key_hash.encode()):
            raise JournalMismatchError(f"{what} belongs to another account: it was made with another API key")

    @property
    def webshop_text(self) -> str:
        """The name or the uuid of the webshop."""
        if self.webshop is None:
            return "all webshops"
        return f"webshop {self.webshop_name!r} ({self.webshop})" if self.webshop_name else f"webshop {self.webshop}"


@attrs.frozen(kw_only=True)
class RowSource:
    """The source of a plan's rows: a file, and the line of each row.

    Attributes:
        name: The name of the file.
        lines: The first line of each row, by the index of the row in the input.
        problems: The problems of rows and cells, such as `stock.csv:12: voorraad: …`.
        skipped: The skipped rows and the reasons, such as the image rows of a shop's products.
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
    except UNREADABLE as error:
        raise ConfigurationError(f"not a saved {cls.__name__}: {type(error).__name__}") from None


def _exactly(cls: type) -> Callable[[Any, Any], Any]:
    """Return a structure function that accepts only values of one type."""

    def structure(value: Any, _: Any) -> Any:
        if not isinstance(value, cls) or (isinstance(value, bool) and cls is not bool):
            raise TypeError(f"must be {cls.__name__}")
        return value

    return structure


def _make_converter() -> cattrs.Converter:
    converter = cattrs.Converter(detailed_validation=False)
    for cls in (str, int, bool, float):
        # By identity, because a hook for str would also be used for its subclasses, the enumerations.
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
    """Refuse a write that is not valid: a changed quantity is a whole number."""
    if write.action in {Action.MUTATE, Action.SET}:
        (change,) = write.changes
        whole = _exactly(int)
        whole(change.after, int)
        whole(write.desired.values["level"], int)
        if write.action is Action.MUTATE or change.before is not None:
            whole(change.before, int)
    if (write.uuid is None) != (write.action is Action.CREATE):
        raise ValueError("only a write of kind create has no uuid")


CONVERTER: Final = _make_converter()
"""The converter between the values of plans and JSON."""
