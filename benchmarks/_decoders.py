"""Ways from a page's bytes to its rows; each imports its library when it is made, as each has a process of its own."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from _fields import LINE, ORDER, PARCEL, PRODUCT, STOCK, SUPPLIER, camel

__all__ = ["CHECKS", "DECODERS", "KEEPS", "OURS", "Decode"]

# ruff: noqa: PLC0415  a contender's library must not be in the process of another

Decode = Callable[[bytes], Any]
Make = Callable[[str], Decode]


def _ours(kind: str) -> Decode:
    """As a list reads its pages."""
    from goedgepickt_async.convert import decode_rows, parse
    from goedgepickt_async.models import Order, Product

    cls: type[Any] = {"orders": Order, "products": Product}[kind]
    return lambda body: decode_rows(parse(body)["items"], cls)


def _pydantic(extra: str) -> Make:
    """`alias_generator=to_camel`, optional fields, `model_validate_json` of the whole page: pydantic's fast way."""

    def make(kind: str) -> Decode:
        from pydantic import BaseModel, ConfigDict, create_model
        from pydantic.alias_generators import to_camel

        class Base(BaseModel):
            model_config = ConfigDict(alias_generator=to_camel, extra=extra)  # type: ignore[typeddict-item]  # by name

        def model(title: str, fields: dict[str, Any]) -> Any:
            optional: Any = {name: (tp | None, None) for name, tp in fields.items()}
            return create_model(title, __base__=Base, **optional)

        rows: Any = list[_row(kind, model)]  # type: ignore[misc]
        page = create_model("Page", __base__=Base, items=(rows, ...))
        return page.model_validate_json

    return make


def _msgspec(kind: str) -> Decode:
    """Structs with `rename="camel"` and one decoder for the page; 0 and 1 are no booleans to it, so they stay numbers."""
    import msgspec

    def struct(title: str, fields: dict[str, Any]) -> Any:
        lenient = {name: bool | int if tp is bool else tp for name, tp in fields.items()}
        return msgspec.defstruct(title, [(name, tp | None, None) for name, tp in lenient.items()], rename="camel")

    page = msgspec.defstruct("Page", [("items", list[_row(kind, struct)])])  # type: ignore[misc]
    return msgspec.json.Decoder(page).decode


def _from_dict(kind: str) -> Decode:
    """Dataclasses with a `from_dict`, above orjson."""
    import orjson
    from _from_dict import OrderRow, ProductRow

    read: Callable[[Any], Any] = {"orders": OrderRow.from_dict, "products": ProductRow.from_dict}[kind]
    return lambda body: [read(row) for row in orjson.loads(body)["items"]]


def _cattrs(kind: str) -> Decode:
    """attrs classes, renamed as cattrs' documentation shows, and the two hooks that one cannot do without."""
    from datetime import datetime
    from decimal import Decimal

    import attrs
    import orjson
    from cattrs import Converter
    from cattrs.gen import make_dict_structure_fn, override

    converter = Converter()
    converter.register_structure_hook(datetime, lambda value, _: datetime.fromisoformat(value))
    converter.register_structure_hook(Decimal, lambda value, _: Decimal(value))

    def renamed(cls: type[Any]) -> Any:
        names: Any = {field.name: override(rename=camel(field.name)) for field in attrs.fields(cls)}
        return make_dict_structure_fn(cls, converter, **names)

    converter.register_structure_hook_factory(attrs.has, renamed)

    def classes(title: str, fields: dict[str, Any]) -> Any:
        optional = {name: attrs.field(default=None, type=tp | None) for name, tp in fields.items()}
        return attrs.make_class(title, optional)

    rows: Any = list[_row(kind, classes)]  # type: ignore[misc]
    return lambda body: converter.structure(orjson.loads(body)["items"], rows)


def _row(kind: str, make: Callable[[str, dict[str, Any]], Any]) -> Any:
    """The class of a row and those below it, made by a contender's own function."""
    if kind == "orders":
        parts = {"products": list[make("Line", LINE)], "shipments": list[make("Parcel", PARCEL)]}  # type: ignore[misc]
        return make("Order", ORDER | parts)
    return make("Product", PRODUCT | {"supplier": make("Supplier", SUPPLIER), "stock": make("Stock", STOCK)})


OURS: Final = "ours"
DECODERS: Final[dict[str, Make]] = {
    OURS: _ours,
    'pydantic v2, `extra="allow"`': _pydantic("allow"),
    'pydantic v2, `extra="ignore"`': _pydantic("ignore"),
    "msgspec": _msgspec,
    "hand-written `from_dict`": _from_dict,
    "cattrs as documented": _cattrs,
}
KEEPS: Final = {OURS, 'pydantic v2, `extra="allow"`', "hand-written `from_dict`"}
"""Those that keep what they do not know."""
CHECKS: Final = {OURS, 'pydantic v2, `extra="allow"`', 'pydantic v2, `extra="ignore"`', "msgspec"}
"""Those that refuse what is of another type, or read it as the right one where it means that."""
