"""The OpenAPI 3.1 document of the GoedGepickt API, derived from the table of endpoints and the models.

Enumerations are open: `x-known-values` lists the known values. Each operation, parameter and field has its confidence
(`x-confidence`) and source (`x-source`).
"""

from __future__ import annotations

import types
import typing
from collections.abc import Iterator
from datetime import datetime
from decimal import Decimal
from typing import Any, Final

import attrs

from goedgepickt_async import __version__, models
from goedgepickt_async.contract.facts import FACTS, described
from goedgepickt_async.endpoints import ENDPOINTS, Endpoint, Filter
from goedgepickt_async.models import Address, OpenEnum, PageInfo, Secret
from goedgepickt_async.models.base import FieldInfo, Identifier, Label, Unset
from goedgepickt_async.models.validators import COUNTRY_CODES
from goedgepickt_async.webhooks.events import EVENTS, Event

__all__ = ["openapi"]

_Schema = dict[str, Any]

_SERVERS: Final = (
    (
        "https://account.goedgepickt.nl/api/fulfilment/v1",
        "Keys that are linked to a fulfilment customer.",
        "base.fulfilment",
    ),
    ("https://account.goedgepickt.nl/api/v1", "Keys of a webshop's or a fulfilment company's account.", "base.account"),
)


def _one_of(known: list[str]) -> _Schema:
    """Text with these values; others are refused or not known."""
    return {"type": "string", "pattern": f"^({'|'.join(known)})$", "x-known-values": known}


def _none_or_one_of(known: list[str]) -> _Schema:
    """The same for a query parameter, where an empty text has no effect."""
    return {**_one_of(known), "pattern": f"^({'|'.join(known)})?$"}


_URL: Final = r"^(https?://[A-Za-z0-9.-]+(:[0-9]{1,4})?(/[!-~]*)?)?$"
_SOME_TEXT: Final = r"\S"

_ERROR: Final[_Schema] = {
    "type": "object",
    "description": "The text is under `message`, `error` or `errorMessage`; `errors` has texts by field.",
    "properties": {
        "message": {"type": "string"},
        "error": {"type": ["string", "object", "boolean", "null"]},
        "errorMessage": {"type": "string"},
        "errors": {"type": "object", "additionalProperties": {"type": "array", "items": {"type": "string"}}},
    },
}
_REFUSALS: Final = (
    ("401", "Unauthenticated", "The key is unknown, or one of the other API.", "error.key"),
    ("403", "Forbidden", "The key has no permission for this request.", "key.wrong-kind"),
    ("404", "NotFound", "No object has this uuid.", "error.uuid"),
    ("422", "Refused", "The input is refused.", "error.input"),
)
_PLAIN_FIELDS: Final[dict[str, _Schema]] = {
    "stockQuantity": {"type": "integer", "minimum": 0},
    "priority": {"type": ["integer", "null"], "minimum": 0},
    "mutation": {"type": "integer", "description": "Signed: it is added to the stock."},
}
"""The fields of bodies without a model that are no text. The first field of such a body is required."""
_SENT_TEXTS: Final[dict[str, _Schema]] = {
    "Country": {"$ref": "#/components/schemas/Country"},
    "country": {"$ref": "#/components/schemas/Country"},
    "orderStatus": _one_of(["open", "on_hold", "completed", "cancelled"]),
    "webhookEvent": {"type": "string", "pattern": r"^[a-z]+\.[a-z][A-Za-z]*$"},
    "url": {"type": "string", "pattern": _URL},
    "picture": {"type": "string", "pattern": _URL},
    "targetUrl": {"type": "string", "pattern": _URL.replace(")?$", ")$")},
}
"""What texts must look like that are sent, by field."""


def openapi(*, server: str | None = None) -> dict[str, Any]:
    """Return the OpenAPI document, as values for `json.dumps`.

    Args:
        server: The base URL of another server, such as a sandbox; it is then listed before the two servers of GoedGepickt.

    Returns:
        A new document of OpenAPI 3.1.
    """
    components = _Components()
    servers = [{"url": url, "description": text, **_sure_of(fact)} for url, text, fact in _SERVERS]
    if server is not None:
        servers.insert(0, {"url": server})
    paths: dict[str, Any] = {}
    for endpoint in ENDPOINTS.values():
        paths.setdefault(endpoint.path, {})[endpoint.method.lower()] = _operation(endpoint, components)
    webhooks = {name: {"post": _delivery(name, event, components)} for name, event in EVENTS.items()}
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "GoedGepickt (unofficial)",
            "version": __version__,
            "description": "Derived from public evidence by goedgepickt-async; the vendor publishes no specification. "
            "`x-confidence`: A the vendor or proven clients, B seen once, C inference. "
            f"{FACTS['limit.number'].statement} {FACTS['limit.window'].statement}",
            "license": {"name": "MIT", "identifier": "MIT"},
        },
        "servers": servers,
        "security": [{"key": []}],
        "tags": [{"name": name} for name in dict.fromkeys(endpoint.resource for endpoint in ENDPOINTS.values())],
        "paths": paths,
        "webhooks": webhooks,
        "components": {
            "securitySchemes": {
                "key": {"type": "http", "scheme": "bearer", "description": FACTS["key.bearer"].statement}
            },
            "schemas": dict(sorted(components.schemas.items())),
            "responses": _responses(),
            "headers": _headers(),
        },
    }


def _sure_of(fact: str) -> _Schema:
    return {"x-confidence": FACTS[fact].confidence, "x-source": FACTS[fact].source}


def _headers() -> dict[str, Any]:
    whole: _Schema = {"type": "integer", "minimum": 0}
    texts = {
        "X-RateLimit-Limit": ("The number of requests in a window.", "limit.headers"),
        "X-RateLimit-Remaining": ("The remaining requests in the window.", "limit.headers"),
        "Retry-After": ("Seconds to wait; 0 is possible.", "limit.refusal"),
        "X-RateLimit-Reset": ("The end of the window, in Unix seconds.", "limit.refusal"),
    }
    return {name: {"description": text, "schema": whole, **_sure_of(fact)} for name, (text, fact) in texts.items()}


def _header_refs(*names: str) -> _Schema:
    return {name: {"$ref": f"#/components/headers/{name}"} for name in names}


def _responses() -> dict[str, Any]:
    body = {"application/json": {"schema": {"$ref": "#/components/schemas/Error"}}}
    made = {name: {"description": text, "content": body, **_sure_of(fact)} for _, name, text, fact in _REFUSALS}
    made["Throttled"] = {
        "description": FACTS["limit.refusal"].statement,
        "headers": _header_refs("Retry-After", "X-RateLimit-Limit", "X-RateLimit-Remaining", "X-RateLimit-Reset"),
        "content": body,
        **_sure_of("limit.refusal"),
    }
    made["Failure"] = {
        "description": "Any other refusal, and failures of the server: JSON, HTML or nothing.",
        "content": {**body, "text/html": {"schema": {"type": "string"}}},
    }
    return made


def _operation(endpoint: Endpoint, components: _Components) -> _Schema:
    parameters = list(_parameters(endpoint))
    refusals = [(status, name) for status, name, *_ in _REFUSALS if status != "404" or "{" in endpoint.path]
    made: _Schema = {
        "operationId": "_".join(endpoint.operation.split(".")[::-1]),
        "summary": endpoint.summary,
        "tags": [endpoint.resource],
        **({"description": endpoint.note} if endpoint.note else {}),
        **({"parameters": parameters} if parameters else {}),
        **_request_body(endpoint, components),
        "responses": {
            "200": {
                "description": "Done.",
                "headers": _header_refs("X-RateLimit-Limit", "X-RateLimit-Remaining"),
                "content": {"application/json": {"schema": _answer(endpoint, components)}},
            },
            **{status: {"$ref": f"#/components/responses/{name}"} for status, name in refusals},
            "429": {"$ref": "#/components/responses/Throttled"},
            "default": {"$ref": "#/components/responses/Failure"},
        },
        "x-confidence": endpoint.confidence,
        "x-source": endpoint.source,
        "x-idempotency": endpoint.idempotency.name.lower().replace("_", "-"),
    }
    return made


def _parameters(endpoint: Endpoint) -> Iterator[_Schema]:
    for name in (part[1:-1] for part in endpoint.path.split("/") if part.startswith("{")):
        yield {"name": name, "in": "path", "required": True, "schema": {"type": "string", "minLength": 1}}
    if not endpoint.is_list:
        return
    whole: _Schema = {"type": "integer", "minimum": 1}
    yield _query("page", whole, "From 1. Only a page without rows ends a list.", "list.per-page")
    yield _query("perPage", whole, FACTS["list.largest-size"].statement, "list.per-page")
    yield _query("cursor", {"type": "string"}, FACTS["list.cursor"].statement, "list.cursor")
    for name, value in endpoint.query:
        known = ["asc", "desc"] if name == "orderByDirection" else [value]
        yield _query(name, _none_or_one_of(known), FACTS["list.order-by"].statement, "list.order-by")
    searches = [by for by in endpoint.filters if by.is_search]
    for by in endpoint.filters:
        if not by.is_search:
            day: _Schema = {"type": "string", "format": "date"} if by.is_date else {"type": "string"}
            yield _of_filter(by, by.parameter, day)
    if searches:
        yield _of_filter(searches[0], "searchAttribute", _none_or_one_of([by.parameter for by in searches]))
        yield _of_filter(searches[0], "searchDelimiter", _none_or_one_of(["="]))
        yield _of_filter(searches[0], "searchValue", {"type": "string", **_values_of(searches)})


def _values_of(searches: list[Filter]) -> _Schema:
    """What an attribute's value may be, where that is known."""
    known = {by.parameter: [m.value for m in getattr(models, by.values)] for by in searches if by.values}
    return {"x-known-values-by-attribute": known} if known else {}


def _of_filter(by: Filter, name: str, schema: _Schema) -> _Schema:
    made: _Schema = {"name": name, "in": "query", "required": False, "schema": schema}
    if by.note:
        made["description"] = by.note
    return {**made, "x-confidence": by.confidence, "x-source": by.source}


def _query(name: str, schema: _Schema, text: str, fact: str) -> _Schema:
    return {"name": name, "in": "query", "required": False, "description": text, "schema": schema, **_sure_of(fact)}


def _request_body(endpoint: Endpoint, components: _Components) -> _Schema:
    if endpoint.body is not None:
        schema = components.ref(getattr(models, endpoint.body), is_sent=True)
    elif endpoint.fields:
        properties = {name: _PLAIN_FIELDS.get(name, {"type": ["string", "null"]}) for name, _ in endpoint.fields}
        sure = {"x-confidence": endpoint.confidence, "x-source": endpoint.source}
        schema = {
            "type": "object",
            "properties": {name: {**found, **sure} for name, found in properties.items()},
            "required": [endpoint.fields[0][0]],
        }
    else:
        return {}
    required = endpoint.operation != "products.update"
    return {"requestBody": {"required": required, "content": {"application/json": {"schema": schema}}}}


def _answer(endpoint: Endpoint, components: _Components) -> _Schema:
    """The schema of a success."""
    if endpoint.operation == "stock.get":
        rows = {"type": "array", "items": components.ref(models.StockLocation)}
        return {"type": "object", "properties": {"stockLocations": rows}, "required": ["stockLocations"]}
    if endpoint.operation == "orders.create":
        components.schemas["CreatedOrder"] = _created_order()
        reference = {"type": "object", "properties": {"uuid": {"type": "string", **_sure_of("order.answer")}}}
        components.schemas["OrderReference"] = {**reference, "required": ["uuid"]}
        return {"$ref": "#/components/schemas/CreatedOrder"}
    if endpoint.model is None:
        return {"type": "object", "properties": {"message": {"type": "string"}}}
    row = components.ref(getattr(models, endpoint.model))
    if endpoint.is_list:
        items = {"type": "array", "items": row}
        return {
            "type": "object",
            "properties": {"items": items, "pageInfo": components.ref(PageInfo)},
            "required": ["items"],
        }
    if endpoint.resource == "products" and endpoint.body:
        wrapped = {"type": "object", "properties": {"items": {"type": "array", "items": row}}, "required": ["items"]}
        return {"anyOf": [wrapped, row], **_sure_of("product.answer")}
    return row


def _created_order() -> _Schema:
    """Four shapes that name the uuid; the fifth is an empty body."""
    text: _Schema = {"type": "string"}
    inner: _Schema = {"$ref": "#/components/schemas/OrderReference"}
    shapes = [
        {"type": "object", "properties": {"message": text, name: schema}, "required": [name]}
        for name, schema in (("orderUuid", text), ("uuid", text), ("order", inner), ("data", inner))
    ]
    empty: _Schema = {"type": "object", "description": "The body may also be empty, or name no uuid."}
    return {"anyOf": [*shapes, empty], "description": FACTS["order.answer"].statement, **_sure_of("order.answer")}


def _delivery(name: str, event: type[Event], components: _Components) -> _Schema:
    schema = components.event(name, event)
    signature = {
        "name": "Signature",
        "in": "header",
        "required": True,
        "description": FACTS["delivery.signature"].statement,
        "schema": {"type": "string"},
        **_sure_of("delivery.signature"),
    }
    return {
        "operationId": f"on_{name}",
        "summary": f"Delivered for the subscription `{event.subscription}`.",
        "security": [],
        "parameters": [signature],
        "requestBody": {
            "required": True,
            "content": {"application/json": {"schema": schema, "example": {"event": name, **event.example}}},
        },
        "responses": {"200": {"description": FACTS["delivery.attempts"].statement}},
        "x-confidence": "A",
        "x-source": "Help, Vendure",
    }


class _Components:
    """The schemas of the models that are used, each made once."""

    def __init__(self) -> None:
        self.schemas: dict[str, Any] = {"Error": _ERROR}

    def ref(self, cls: type[Any], *, is_sent: bool = False) -> _Schema:
        """A reference to the model's schema, which is made where it is new."""
        if cls.__name__ not in self.schemas:
            self.schemas[cls.__name__] = {}  # it may refer to itself
            self.schemas[cls.__name__] = self._object(cls, is_sent=is_sent)
        return {"$ref": f"#/components/schemas/{cls.__name__}"}

    def event(self, name: str, cls: type[Event]) -> _Schema:
        """A reference to the schema of a delivery's body."""
        made = self._object(cls, is_sent=False)
        made["properties"] = {"event": {"const": name}, **made["properties"]}
        made["required"] = ["event", *made.get("required", ())]
        self.schemas[cls.__name__] = made
        return {"$ref": f"#/components/schemas/{cls.__name__}"}

    def _object(self, cls: type[Any], *, is_sent: bool) -> _Schema:
        properties: dict[str, Any] = {}
        required: list[str] = []
        for field, info in described(cls):
            sure = {"x-confidence": info.confidence, "x-source": info.source}
            name = info.sent if is_sent else info.name
            if info.is_flat:
                parts = (
                    (name + (part.sent if is_sent else part.name), kind, part) for kind, part in described(Address)
                )
                properties.update(
                    {key: {**self._field(kind.type, part, is_sent=is_sent), **sure} for key, kind, part in parts}
                )
                continue
            properties[name] = {**self._field(field.type, info, is_sent=is_sent), **sure}
            if info.aliases and not is_sent:
                properties[name]["x-also-called"] = list(info.aliases)
            if field.default is attrs.NOTHING and (is_sent or not info.aliases):
                required.append(name)
        if is_sent and cls.__name__ != "ProductUpdate" and "webshopUuid" in properties:
            required.insert(0, "webshopUuid")
        for name in required if is_sent else ():
            properties[name] = _never_empty(properties[name])
        text = (cls.__doc__ or cls.__name__).strip().partition("\n")[0]
        made = {"type": "object", "description": text, "properties": properties}
        return {**made, **({"required": required} if required else {}), "additionalProperties": True}

    def _field(self, kind: Any, info: FieldInfo, *, is_sent: bool) -> _Schema:
        schema = self._schema(kind, is_sent=is_sent)
        if not is_sent:
            return schema
        schema = {**schema, **_SENT_TEXTS.get(info.name, {})}
        if "$ref" in schema:
            if info.name in {"Country", "country"}:
                self.schemas["Country"] = _COUNTRY
            return {"anyOf": [{"$ref": schema["$ref"]}, {"type": "null"}]}
        kinds = schema["type"] if isinstance(schema["type"], list) else [schema["type"]]
        return {**schema, "type": list(dict.fromkeys([*kinds, "null"]))}

    def _schema(self, kind: Any, *, is_sent: bool) -> _Schema:
        origin, arguments = typing.get_origin(kind), typing.get_args(kind)
        if kind in {Identifier, Label} or kind is str or kind is Secret:
            # A number among texts, such as a SKU or a tag, is read as text.
            return {"type": "string"} if is_sent or kind == Identifier else {"type": ["string", "number"]}
        if origin in {typing.Union, types.UnionType}:
            return self._union(arguments, is_sent=is_sent)
        if origin is tuple:
            return {"type": "array", "items": self._schema(arguments[0], is_sent=is_sent)}
        if isinstance(kind, type) and issubclass(kind, OpenEnum):
            return {"type": "string", "x-known-values": [member.value for member in kind]}
        if isinstance(kind, type) and attrs.has(kind):
            return self.ref(kind, is_sent=is_sent)
        return dict(_SENT.get(kind, {}) if is_sent else _READ.get(kind, {}))

    def _union(self, arguments: tuple[Any, ...], *, is_sent: bool) -> _Schema:
        parts = [part for part in arguments if part is not type(None) and part != Unset]
        found = self._schema(parts[0], is_sent=is_sent)
        if type(None) not in arguments:
            return found
        if "$ref" in found:
            # The stock of a product was met as a bare number or numeric text too (C).
            others = ["null", "number", "string"] if parts[0] is models.ProductStock else ["null"]
            return {"anyOf": [found, *({"type": other} for other in others)]}
        if "type" in found:
            kinds = found["type"] if isinstance(found["type"], list) else [found["type"]]
            return {**found, "type": [*kinds, "null"]}
        return found


def _never_empty(schema: _Schema) -> _Schema:
    """Of a field that is required: neither null nor an empty text or list."""
    kinds = [kind for kind in schema["type"] if kind != "null"]
    limit: _Schema = {"minItems": 1} if kinds == ["array"] else {}
    if kinds == ["string"] and "pattern" not in schema:
        limit = {"pattern": _SOME_TEXT}
    return {**schema, "type": kinds[0] if len(kinds) == 1 else kinds, **limit}


_COUNTRY: Final[_Schema] = {
    "type": "string",
    "description": FACTS["order.country"].statement,
    "pattern": f"^({'|'.join(sorted(COUNTRY_CODES))})?$",
    **_sure_of("order.country"),
}
_MOMENT: Final[_Schema] = {"type": "string", "description": FACTS["format.date-time"].statement}
_AMOUNT: Final[_Schema] = {"type": ["string", "number"], "description": FACTS["format.amount"].statement}
_READ: Final[dict[Any, _Schema]] = {
    bool: {"type": ["boolean", "integer", "string"], "description": FACTS["format.flag"].statement},
    int: {"type": ["integer", "string"]},
    Decimal: _AMOUNT,
    datetime: _MOMENT,
}
"""What is read: numbers may be texts, flags may be numbers."""
_SENT: Final[dict[Any, _Schema]] = {
    bool: {"type": ["boolean", "integer"], "minimum": 0, "maximum": 1},
    int: {"type": "integer", "minimum": 1},
    Decimal: {"type": ["string", "number"], "pattern": r"^(-?[0-9]{1,12}(\.[0-9]{1,6})?)?$"},
    datetime: {
        "type": "string",
        "pattern": r"^(20[0-9]{2}-(0[1-9]|1[0-2])-(0[1-9]|[12][0-9]|3[01])[T ]([01][0-9]|2[0-3])(:[0-5][0-9]){2})?$",
        "description": "Dutch local time, `YYYY-MM-DD HH:mm:ss`.",
    },
}
