"""What all models share: wire names, open enumerations, `UNSET`, `Secret`."""

from __future__ import annotations

import difflib
import enum
import hmac
import warnings
from collections.abc import Mapping
from typing import Annotated, Any, Final, Literal, Self, final

import attrs

from goedgepickt_async.errors import ConfigurationError

__all__ = [
    "SOURCES",
    "UNSET",
    "Confidence",
    "FieldInfo",
    "Identifier",
    "Label",
    "LineType",
    "OpenEnum",
    "OrderStatus",
    "OrderStatusName",
    "ProductType",
    "Secret",
    "ShipmentStatus",
    "ShipmentStatusName",
    "Unset",
    "WebhookEvent",
    "alias",
    "field_info",
    "flatten",
    "warn_unknown",
]

Identifier = Annotated[str, "identifier"]
"""A uuid: text that is never empty and never a number, because it identifies a row."""

Label = Annotated[str, "label"]
"""Text in a list whose items may have other types: other items are kept as their JSON text."""

_KEY: Final = "goedgepickt_async.field"


Confidence = Literal["A", "A/B", "B", "B/C", "C"]
"""How sure a fact of the API is: `A` the vendor, or code that runs in production; `B` seen once; `C` a guess."""

SOURCES: Final[Mapping[str, str]] = {
    "3": "Vendor, Vendure, Printlijst, Dura",
    "4.1": "Vendure, Dura",
    "4.2": "Vendure, Printlijst, AFAS bridge",
    "4.2a": "AFAS bridge",
    "4.2p": "Printlijst",
    "4.2v": "Vendure",
    "4.3": "Printlijst",
    "4.4": "Printlijst",
    "4.5": "Printlijst, Dura, Exporter",
    "4.5a": "AFAS bridge",
    "4.5n": "Vendure, AFAS bridge",
    "4.5v": "Vendure",
    "4.6": "Printlijst, Dura",
    "4.7": "Vendure",
    "6": "Help, Vendure",
}
"""Where fields are seen: section of docs/reference/api-facts.md, a letter if need be -> documents and programs.

That page describes them.
"""


@attrs.frozen
class FieldInfo:
    """What is known about one field of the API.

    Attributes:
        name: The key in answers, or the prefix if `is_flat`.
        aliases: Other keys that answers use for the same thing, tried in order when `name` is absent or null.
        sent: The key in requests, where it differs from the one in answers.
        is_flat: The value's fields are on the wire among this class's other fields, with a prefix.
        intern: Few different texts occur: equal ones are kept in memory once.
        confidence: How sure it is that the field exists with this type.
        source: The documents and programs that show it.
        section: The section of docs/reference/api-facts.md that lists it.
        personal: Whether it may hold personal data; such a field is in no repr.
    """

    name: str
    aliases: tuple[str, ...] = ()
    sent: str = ""
    is_flat: bool = False
    intern: bool = False
    confidence: Confidence | None = None
    source: str = ""
    section: str = ""
    personal: bool = False


def alias(
    name: str, *aliases: str, sent: str | None = None, intern: bool = False, known: str = "", personal: bool = False
) -> dict[str, Any]:
    """Metadata for `attrs.field(metadata=…)`.

    Args:
        name: The key in answers.
        *aliases: Its other spellings.
        sent: The key in requests; None: the same.
        intern: See `FieldInfo`.
        known: Confidence and a key of `SOURCES`, as `A/B 4.5`.
        personal: See `FieldInfo`.
    """
    return {_KEY: FieldInfo(name, aliases, sent or name, intern=intern, personal=personal, **_known(known))}


def flatten(prefix: str, *, known: str = "", personal: bool = False) -> dict[str, Any]:
    """Metadata for a field whose parts are flat in the object: `flatten("billing")` collects `billingCity` and others."""
    return {_KEY: FieldInfo(prefix, (), prefix, is_flat=True, personal=personal, **_known(known))}


def _known(text: str) -> dict[str, Any]:
    confidence, _, key = text.partition(" ")
    return {"confidence": confidence, "section": key.rstrip("anpv"), "source": SOURCES[key]} if text else {}


def field_info(metadata: Mapping[Any, Any]) -> FieldInfo | None:
    """The `FieldInfo` in a field's metadata, or None where the field has none."""
    found = metadata.get(_KEY)
    return found if isinstance(found, FieldInfo) else None


_REMEMBERED: Final = 256
_LONGEST: Final = 64


class OpenEnum(enum.StrEnum):
    """A text enumeration that takes unknown values too.

    `OrderStatus("shiny_new")` is an `OrderStatus` that equals the text `"shiny_new"` and whose `is_known` is False.
    Iterating the class yields the known members only. Compare unknown values with `==`. The first few hundred short
    ones are cached; the limit prevents that a server fills the memory.
    """

    @property
    def is_known(self) -> bool:
        """Whether this version of the SDK has a name for the value."""
        return type(self)._value2member_map_.get(self._value_) is self

    def __reduce_ex__(self, _protocol: object) -> tuple[Any, ...]:
        """By value: some releases of Python go by the name, which an unknown value has none of."""
        return type(self), (self._value_,)

    def __copy__(self) -> Self:
        return self

    def __deepcopy__(self, _memo: object) -> Self:
        return self

    @classmethod
    def __get_pydantic_core_schema__(cls, _source: Any, _handler: Any) -> Any:
        """For pydantic and FastAPI: any text."""
        from pydantic_core import core_schema  # noqa: PLC0415  only pydantic calls this

        return core_schema.no_info_after_validator_function(
            cls, core_schema.str_schema(), serialization=core_schema.plain_serializer_function_ser_schema(str)
        )

    @classmethod
    def __get_pydantic_json_schema__(cls, _schema: Any, _handler: Any) -> dict[str, Any]:
        """Text, with the known values as examples: a closed list would break on the first new one."""
        return {"type": "string", "title": cls.__name__, "examples": [member.value for member in cls]}

    @classmethod
    def _missing_(cls, value: object) -> Self | None:
        """Return the member-like value of an unknown text; None (and so a ValueError) for other types."""
        if type(value) is not str:
            return None
        known = _UNKNOWN.get((cls, value))
        if known is not None:
            return known  # type: ignore[return-value]  # the class is in the key
        member = str.__new__(cls, value)
        member._name_ = value
        member._value_ = value
        if len(_UNKNOWN) < _REMEMBERED and len(value) <= _LONGEST:
            _UNKNOWN[cls, value] = member
        return member


_UNKNOWN: Final[dict[tuple[type[OpenEnum], str], OpenEnum]] = {}
_warned: Final[set[tuple[type[OpenEnum], str]]] = set()


def warn_unknown(
    cls: type[OpenEnum], value: object, *, effect: str = "the list may be empty", stacklevel: int = 3
) -> None:
    """Warn of a text that this version does not know, once in a process: it may be misspelt.

    A value of an open enumeration, as `OrderStatus("brand_new")`, does not warn.

    Args:
        cls: The enumeration.
        value: The value of the caller, or None.
        effect: What an unknown value may lead to.
        stacklevel: As of `warnings.warn`.

    Raises:
        ConfigurationError: The value is not text.
    """
    if value is None or isinstance(value, OpenEnum):
        return
    if not isinstance(value, str):
        raise ConfigurationError(f"{cls.__name__} must be text, not {type(value).__name__}")
    if cls(value).is_known or (cls, value) in _warned or len(_warned) >= _REMEMBERED:
        return
    _warned.add((cls, str(value)))
    by_lower_case = {member.value.lower(): member.value for member in cls}
    nearest = difflib.get_close_matches(value[:_LONGEST].lower(), by_lower_case, 1, 0.5)
    hint = f"; did you mean {by_lower_case[nearest[0]]!r}?" if nearest else ""
    warnings.warn(
        f"{value[:_LONGEST]!r} is no {cls.__name__} that this version knows, so {effect}{hint}", stacklevel=stacklevel
    )


class _Unset(enum.Enum):
    """An enumeration of one member, because type checkers narrow `x is UNSET` on those."""

    # Serializers write an enumeration's value: of one that is no data they say so, instead of writing a number.
    UNSET = object()

    def __repr__(self) -> str:
        return "UNSET"

    def __reduce_ex__(self, _protocol: object) -> str:  # type: ignore[override]  # see object.__reduce__
        """By name: the value cannot be pickled."""
        return "UNSET"

    def __bool__(self) -> Literal[False]:
        return False


Unset = Literal[_Unset.UNSET]
"""The type of `UNSET`, for annotations: `price: Decimal | None | Unset`."""

UNSET: Final = _Unset.UNSET
"""The field is not sent, so the server leaves what it has. None, in contrast, empties it."""


@final
class Secret:
    """A secret, such as a webhook's signing key. Printing, formatting and logging it shows `***`.

    It is no attrs class, so that serializers that know those refuse it instead of writing `{}`.

    Args:
        value: The secret text.
    """

    __slots__ = ("_value",)
    _value: str

    def __init__(self, value: str) -> None:
        object.__setattr__(self, "_value", value)

    def __setattr__(self, name: str, value: object) -> None:
        """Refused: a secret is immutable."""
        raise AttributeError("a Secret cannot be changed")

    def __reduce__(self) -> tuple[type[Secret], tuple[str]]:
        """Pickled by value."""
        return Secret, (self._value,)

    def reveal(self) -> str:
        """The secret itself."""
        return self._value

    def __eq__(self, other: object) -> bool:
        """Compares in constant time; a `Secret` equals no plain text."""
        if not isinstance(other, Secret):
            return NotImplemented
        return hmac.compare_digest(self._value.encode(), other._value.encode())

    def __hash__(self) -> int:
        """Agrees with `==`."""
        return hash((Secret, self._value))

    def __repr__(self) -> str:
        """Never the secret."""
        return "Secret('***')"

    def __str__(self) -> str:
        """Never the secret."""
        return "***"


class OrderStatus(OpenEnum):
    """Where an order stands (A). For creation the API takes `OPEN`, `ON_HOLD` (A), `COMPLETED`, `CANCELLED` (B)."""

    OPEN = "open"
    READY_FOR_PICKING = "ready_for_picking"
    BACKORDER = "backorder"
    ON_HOLD = "on_hold"
    COMPLETED = "completed"
    CANCELLED = "cancelled"


OrderStatusName = Literal["open", "ready_for_picking", "backorder", "on_hold", "completed", "cancelled"]
"""The known values of `OrderStatus`, for editors to complete."""


class LineType(OpenEnum):
    """What an order line is (A/B): a plain one, the header of a bundle, or a part of one."""

    NORMAL = "normal"
    PARENT = "parent"
    CHILD = "child"


class ProductType(OpenEnum):
    """What a product is (B): a plain one, a bundle or variant parent, or a part of one."""

    NORMAL = "normal"
    PARENT = "parent"
    CHILD = "child"


class ShipmentStatus(OpenEnum):
    """Where a shipment stands (B). It can be empty (A/B)."""

    EMPTY = ""
    PENDING_REGISTERED = "pending_registered"
    REGISTERED = "registered"
    PENDING = "pending"
    SHIPPED = "shipped"
    IN_TRANSIT = "in_transit"
    OUT_FOR_DELIVERY = "out_for_delivery"
    DELIVERED_AT_RECIPIENT = "delivered_at_recipient"
    DELIVERED = "delivered"
    RETURNED = "returned"
    PROBLEM = "problem"
    NO_UPDATE_SUPPORTED = "no_update_supported"


ShipmentStatusName = Literal[
    "",
    "pending_registered",
    "registered",
    "pending",
    "shipped",
    "in_transit",
    "out_for_delivery",
    "delivered_at_recipient",
    "delivered",
    "returned",
    "problem",
    "no_update_supported",
]
"""The known values of `ShipmentStatus`, for editors to complete."""


class WebhookEvent(OpenEnum):
    """What one can subscribe to (A). An event for new shipments exists; its name is not known, so pass it as text."""

    ORDER_STATUS_CHANGED = "order.statusChanged"
    PRODUCT_STOCK_CHANGED = "product.stockChanged"
