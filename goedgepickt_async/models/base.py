"""Common parts of all models: wire names, open enumerations, `UNSET`, `Secret`."""

from __future__ import annotations

import difflib
import enum
import hmac
import warnings
from collections.abc import Callable, Mapping
from typing import Annotated, Any, Final, Literal, Self, final
from zoneinfo import ZoneInfo

import attrs

from goedgepickt_async.errors import ConfigurationError

__all__ = [
    "AMSTERDAM",
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
    "optional_received",
    "optional_sent",
    "warn_unknown",
]

Identifier = Annotated[str, "identifier"]
"""A uuid: text that is not empty. Numbers are refused, because the text identifies a row."""

Label = Annotated[str, "label"]
"""Text in a list. Items of other types are kept as their JSON text."""

AMSTERDAM: Final = ZoneInfo("Europe/Amsterdam")
"""The time zone of the API's times without an offset (reference 4.5, A/B)."""

_KEY: Final = "goedgepickt_async.field"

Confidence = Literal["A", "A/B", "B", "B/C", "C"]
"""How sure a fact about the API is: `A` from the vendor or from code in production, `B` seen once, `C` a guess."""

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
"""The documents and programs that prove fields, by section of docs/reference/api-facts.md (some with a letter).

The page describes the documents and programs.
"""


@attrs.frozen
class FieldInfo:
    """The facts about one field of the API.

    Attributes:
        name: The key in responses, or the prefix if `is_flat`.
        aliases: Other keys for the same field in responses. They are tried in order if `name` is absent or null.
        sent: The key in requests, if it differs from the key in responses.
        is_flat: Whether the fields of the value are in the same JSON object, with a prefix.
        intern: Whether few different texts occur, so that equal texts are kept in memory once.
        confidence: How sure it is that the field exists with this type.
        source: The documents and programs that prove it.
        section: The section of docs/reference/api-facts.md that lists it.
        personal: Whether it can hold personal data; then no repr shows the field.
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

    @property
    def keys(self) -> tuple[str, ...]:
        """All keys in responses, the best one first."""
        return self.name, *self.aliases


def alias(
    name: str, *aliases: str, sent: str | None = None, intern: bool = False, known: str = "", personal: bool = False
) -> dict[str, Any]:
    """Return metadata for `attrs.field(metadata=…)`: see `FieldInfo`.

    `known` is the confidence and a key of `SOURCES`, such as `A/B 4.5`. Without `sent`, requests use `name`.
    """
    return {_KEY: FieldInfo(name, aliases, sent or name, intern=intern, personal=personal, **_known(known))}


def optional_received(
    name: str,
    *aliases: str,
    known: str,
    sent: str | None = None,
    intern: bool = False,
    personal: bool = False,
    repr: bool = True,  # noqa: A002  the name of attrs
) -> Any:
    """Return an attrs field of a response that may be absent: its default is None. For the arguments see `alias`.

    Type checkers see an attribute with a default, and take its declared type. A personal field is not in the repr.
    """
    metadata = alias(name, *aliases, sent=sent, intern=intern, known=known, personal=personal)
    return attrs.field(default=None, repr=repr and not personal, metadata=metadata)


def optional_sent(
    name: str,
    converter: Callable[[Any], Any],
    *,
    known: str,
    personal: bool = False,
    repr: bool = True,  # noqa: A002  the name of attrs
) -> Any:
    """Return an attrs field of a request that is not sent by default, whose values the converter checks.

    If the converter accepts other types than the declared one, use `attrs.field`: only then type checkers accept them.
    """
    metadata = alias(name, known=known, personal=personal)
    return attrs.field(default=UNSET, converter=converter, repr=repr and not personal, metadata=metadata)


def flatten(prefix: str, *, known: str = "", personal: bool = False) -> dict[str, Any]:
    """Return metadata for a field whose parts are flat: `flatten("billing")` collects `billingCity` and others."""
    return {_KEY: FieldInfo(prefix, (), prefix, is_flat=True, personal=personal, **_known(known))}


def _known(text: str) -> dict[str, Any]:
    confidence, _, key = text.partition(" ")
    return {"confidence": confidence, "section": key.rstrip("anpv"), "source": SOURCES[key]} if text else {}


def field_info(metadata: Mapping[Any, Any]) -> FieldInfo | None:
    """The `FieldInfo` in the metadata of a field, or None."""
    found = metadata.get(_KEY)
    return found if isinstance(found, FieldInfo) else None


_REMEMBERED: Final = 256
_LONGEST: Final = 64


class OpenEnum(enum.StrEnum):
    """A text enumeration that accepts unknown values.

    `OrderStatus("shiny_new")` is an `OrderStatus` that equals the text `"shiny_new"` and whose `is_known` is False.
    Iterating the class yields the known members only. Compare unknown values with `==`. A limited number of them is
    cached, so that a server cannot fill the memory.
    """

    @property
    def is_known(self) -> bool:
        """Whether this version of the SDK has a name for the value."""
        return type(self)._value2member_map_.get(self._value_) is self

    def __reduce_ex__(self, _protocol: object) -> tuple[Any, ...]:
        """Pickle by value. Some releases of Python pickle by name, and unknown values have no name."""
        return type(self), (self._value_,)

    def __copy__(self) -> Self:
        return self

    def __deepcopy__(self, _memo: object) -> Self:
        return self

    @classmethod
    def __get_pydantic_core_schema__(cls, _source: Any, _handler: Any) -> Any:
        """The schema for pydantic and FastAPI: any text."""
        from pydantic_core import core_schema  # noqa: PLC0415  only pydantic calls this

        return core_schema.no_info_after_validator_function(
            cls, core_schema.str_schema(), serialization=core_schema.plain_serializer_function_ser_schema(str)
        )

    @classmethod
    def __get_pydantic_json_schema__(cls, _schema: Any, _handler: Any) -> dict[str, Any]:
        """The JSON schema: text with the known values as examples. A closed list would refuse new values."""
        return {"type": "string", "title": cls.__name__, "examples": [member.value for member in cls]}

    @classmethod
    def _missing_(cls, value: object) -> Self | None:
        """Return the member-like value of an unknown text; None (and so a ValueError) for other types."""
        if not isinstance(value, str):
            return None
        value = str.__str__(value)  # of a subclass, such as numpy.str_
        known = _UNKNOWN.get((cls, value))
        if known is not None:
            return known  # type: ignore[return-value]  # the key contains the class
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
    """Warn about a value that this version does not know, because it may be misspelt.

    Each value is warned about once per process.

    A member of the enumeration, such as `OrderStatus("brand_new")`, does not warn.

    Args:
        cls: The enumeration.
        value: The value from the caller, or None.
        effect: The possible consequence of an unknown value, for the message.
        stacklevel: As for `warnings.warn`.

    Raises:
        ConfigurationError: The value is not a str.
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
    """An enumeration with one member, because type checkers narrow `x is UNSET` for enumerations."""

    # Serializers write the value of an enumeration. They refuse this value, instead of writing a number.
    UNSET = object()

    def __repr__(self) -> str:
        return "UNSET"

    def __reduce_ex__(self, _protocol: object) -> str:  # type: ignore[override]  # see object.__reduce__
        """Pickle by name, because the value cannot be pickled."""
        return "UNSET"

    def __bool__(self) -> Literal[False]:
        return False


Unset = Literal[_Unset.UNSET]
"""The type of `UNSET`, for annotations: `price: Decimal | None | Unset`."""

UNSET: Final = _Unset.UNSET
"""The default of fields that are not sent. The server keeps the present value. None empties the field."""


@final
class Secret:
    """A secret, such as a webhook's signing key. Printing, formatting and logging it shows `***`.

    It is not an attrs class, so serializers refuse it instead of writing `{}`.

    Args:
        value: The secret text.
    """

    __slots__ = ("_value",)
    _value: str

    def __init__(self, value: str) -> None:
        object.__setattr__(self, "_value", value)

    def __setattr__(self, name: str, value: object) -> None:
        """Raise AttributeError, because a secret is immutable."""
        raise AttributeError("a Secret cannot be changed")

    def __reduce__(self) -> tuple[type[Secret], tuple[str]]:
        return Secret, (self._value,)

    def reveal(self) -> str:
        """Return the secret text."""
        return self._value

    def __eq__(self, other: object) -> bool:
        """Compare in constant time. A `Secret` is never equal to a str."""
        if not isinstance(other, Secret):
            return NotImplemented
        return hmac.compare_digest(self._value.encode(), other._value.encode())

    def __hash__(self) -> int:
        return hash((Secret, self._value))

    def __repr__(self) -> str:
        return "Secret('***')"

    def __str__(self) -> str:
        return "***"


class OrderStatus(OpenEnum):
    """The status of an order (A). For creation the API accepts `OPEN`, `ON_HOLD` (A), `COMPLETED`, `CANCELLED` (B)."""

    OPEN = "open"
    READY_FOR_PICKING = "ready_for_picking"
    BACKORDER = "backorder"
    ON_HOLD = "on_hold"
    COMPLETED = "completed"
    CANCELLED = "cancelled"


OrderStatusName = Literal["open", "ready_for_picking", "backorder", "on_hold", "completed", "cancelled"]
"""The known values of `OrderStatus`, for completion in editors."""


class LineType(OpenEnum):
    """The kind of an order line (A/B): a plain line, the header of a bundle, or a part of a bundle."""

    NORMAL = "normal"
    PARENT = "parent"
    CHILD = "child"


class ProductType(OpenEnum):
    """The kind of a product (B): a plain product, a bundle or variant parent, or a part of a bundle or variant."""

    NORMAL = "normal"
    PARENT = "parent"
    CHILD = "child"


class ShipmentStatus(OpenEnum):
    """The status of a shipment (B). It can be empty (A/B)."""

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
"""The known values of `ShipmentStatus`, for completion in editors."""


class WebhookEvent(OpenEnum):
    """The events for subscriptions (A). An event for new shipments exists, but its name is unknown: pass it as text."""

    ORDER_STATUS_CHANGED = "order.statusChanged"
    PRODUCT_STOCK_CHANGED = "product.stockChanged"
