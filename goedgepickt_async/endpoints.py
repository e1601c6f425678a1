"""The known endpoints of the GoedGepickt API, as one table.

The resources, the API reference, the OpenAPI document, the probe and the command line use this table.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import attrs

from goedgepickt_async._transport.request import Idempotency

if TYPE_CHECKING:  # the models take a while to import
    from goedgepickt_async.models.base import Confidence

__all__ = ["ENDPOINTS", "Endpoint", "Filter"]


@attrs.frozen(kw_only=True)
class Filter:
    """A filter of a list.

    Attributes:
        name: The argument of `list()`.
        parameter: The query parameter, or the value of `searchAttribute` if `is_search` is set.
        is_search: Whether it is sent as three parameters: `searchAttribute`, `searchDelimiter`, `searchValue`.
        values: The name of the open enumeration with its known values; None for free text, a uuid or a date.
        is_date: Whether the value is a day, `YYYY-MM-DD`.
        confidence: How sure the fact is.
        source: The documents and programs that prove it.
        note: What else is known.
    """

    name: str
    parameter: str
    is_search: bool = False
    values: str | None = None
    is_date: bool = False
    confidence: Confidence
    source: str
    note: str = ""


@attrs.frozen(kw_only=True)
class Endpoint:
    """One endpoint.

    Attributes:
        operation: The name in Python, such as `orders.list`.
        method: The HTTP method.
        path: The path below the base URL, with `{name}` for each id.
        summary: What it does.
        idempotency: Whether it may be sent twice: a property of the endpoint, not of the HTTP method.
        confidence: How sure it is that the endpoint exists and behaves as described.
        source: The documents and programs that prove it.
        model: The name of the response's model, or of the model of a list's items; None: the response has no useful
            content.
        body: The name of the request body's model; None: no body, or a body of plain `fields`.
        fields: For a body without a model: the API's field name -> the Python name.
        is_list: Whether the response is a list with `items` and `pageInfo`.
        filters: The filters of a list.
        query: Parameters that are always sent.
        keys: The fields that identify a row; the first one that a row has is used.
        by_date: Whether a list with more than 10,000 rows can be continued by date.
        note: What else is known.
    """

    operation: str
    method: str = "GET"
    path: str
    summary: str
    idempotency: Idempotency = Idempotency.SAFE
    confidence: Confidence
    source: str
    model: str | None = None
    body: str | None = None
    fields: tuple[tuple[str, str], ...] = ()
    is_list: bool = False
    filters: tuple[Filter, ...] = ()
    query: tuple[tuple[str, str], ...] = ()
    keys: tuple[str, ...] = ("uuid",)
    by_date: bool = False
    note: str = ""

    @property
    def resource(self) -> str:
        """The name of its resource, such as `orders`."""
        return self.operation.partition(".")[0]


_CREATED_AFTER: Final = Filter(
    name="created_after",
    parameter="createdAfter",
    is_date=True,
    confidence="A",
    source="Dura, Printlijst",
    note="A day, Dutch time. There is no upper bound.",
)
_WEBSHOP: Final = Filter(name="webshop_uuid", parameter="webshopUuid", confidence="B", source="Dura")
_STOCK: Final = "/products/{uuid}/stock"
_AT_LOCATION: Final = f"{_STOCK}/{{pickLocationUuid}}"

ENDPOINTS: Final[dict[str, Endpoint]] = {
    endpoint.operation: endpoint
    for endpoint in (
        Endpoint(
            operation="webshops.list",
            path="/webshops",
            summary="All webshops of the account.",
            confidence="A",
            source="Vendure, Dura",
            model="Webshop",
            is_list=True,
        ),
        Endpoint(
            operation="products.list",
            path="/products",
            summary="All products, oldest first.",
            confidence="A",
            source="Vendure, Dura",
            model="Product",
            is_list=True,
            filters=(
                _WEBSHOP,
                Filter(name="sku", parameter="sku", is_search=True, confidence="A", source="Vendure"),
                Filter(
                    name="supplier_uuid",
                    parameter="supplierUuid",
                    is_search=True,
                    confidence="A/B",
                    source="AFAS bridge",
                ),
            ),
            note="One search at a time. A SKU is not unique.",
        ),
        Endpoint(
            operation="products.get",
            path="/products/{uuid}",
            summary="One product.",
            confidence="A",
            source="Printlijst, Dura",
            model="Product",
        ),
        Endpoint(
            operation="products.create",
            method="POST",
            path="/products",
            summary="Create a product.",
            idempotency=Idempotency.NON_IDEMPOTENT,
            confidence="A",
            source="Vendure",
            model="Product",
            body="NewProduct",
            note="Creating a second product with the same SKU fails with `already exists`. The form of the response varies (B).",
        ),
        Endpoint(
            operation="products.update",
            method="PUT",
            path="/products/{uuid}",
            summary="Change a product; fields that are left out stay as they are.",
            idempotency=Idempotency.IDEMPOTENT,
            confidence="A",
            source="Vendure",
            model="Product",
            body="ProductUpdate",
            note="The form of the response varies (B).",
        ),
        Endpoint(
            operation="stock.get",
            path=_STOCK,
            summary="The quantity of a product at each pick location.",
            confidence="A",
            source="Printlijst",
            model="StockLocation",
        ),
        Endpoint(
            operation="stock.link",
            method="POST",
            path=_AT_LOCATION,
            summary="Link a product to a pick location.",
            idempotency=Idempotency.NON_IDEMPOTENT,
            confidence="A/B",
            source="Printlijst",
            fields=(("stockQuantity", "quantity"), ("priority", "priority")),
            note="The effect of a second request is unknown.",
        ),
        Endpoint(
            operation="stock.set",
            method="PUT",
            path=_AT_LOCATION,
            summary="Set the quantity of a product at a pick location.",
            idempotency=Idempotency.IDEMPOTENT,
            confidence="A/B",
            source="Printlijst",
            fields=(("stockQuantity", "quantity"), ("reason", "reason")),
        ),
        Endpoint(
            operation="stock.mutate",
            method="PUT",
            path="/products/{uuid}/stock-mutation",
            summary="Increase or reduce the stock of a product.",
            idempotency=Idempotency.NON_IDEMPOTENT,
            confidence="A/B",
            source="Printlijst, AFAS bridge",
            fields=(
                ("mutation", "quantity"),
                ("mutationReason", "reason"),
                ("pickLocationUuid", "pick_location_uuid"),
            ),
            note="A delta: not idempotent, although it is a PUT.",
        ),
        Endpoint(
            operation="pick_locations.list",
            path="/picklocations",
            summary="All pick locations.",
            confidence="A",
            source="Printlijst",
            model="PickLocation",
            is_list=True,
        ),
        Endpoint(
            operation="orders.list",
            path="/orders",
            summary="All orders, oldest first.",
            confidence="A",
            source="Printlijst, Dura, Exporter",
            model="Order",
            is_list=True,
            filters=(
                _CREATED_AFTER,
                Filter(
                    name="status",
                    parameter="status",
                    is_search=True,
                    values="OrderStatus",
                    confidence="A/B",
                    source="Exporter",
                    note="The response may also contain other orders (B), so the client filters again.",
                ),
                _WEBSHOP,
            ),
            query=(("orderBy", "createDate"), ("orderByDirection", "asc")),
            keys=("uuid", "orderUuid"),
            by_date=True,
        ),
        Endpoint(
            operation="orders.get",
            path="/orders/{uuid}",
            summary="One order.",
            confidence="A",
            source="Printlijst, Dura",
            model="Order",
        ),
        Endpoint(
            operation="orders.create",
            method="POST",
            path="/orders",
            summary="Create an order.",
            idempotency=Idempotency.NON_IDEMPOTENT,
            confidence="A",
            source="Vendure, AFAS bridge",
            model="CreatedOrder",
            body="NewOrder",
            note="The effect of a second request is unknown. The response has the uuid in one of five forms (B).",
        ),
        Endpoint(
            operation="shipments.list",
            path="/shipments",
            summary="All shipments, oldest first.",
            confidence="A",
            source="Printlijst, Dura",
            model="Shipment",
            is_list=True,
            filters=(_CREATED_AFTER,),
            # A shipment's uuid was seen once only (B): without one, its code tells it apart.
            keys=("uuid", "trackTraceCode", "externalId"),
            by_date=True,
        ),
        Endpoint(
            operation="webhooks.list",
            path="/webhooks",
            summary="All webhook subscriptions of the account.",
            confidence="A",
            source="Vendure",
            model="Webhook",
            is_list=True,
            keys=("webhookUuid", "uuid"),
        ),
        Endpoint(
            operation="webhooks.create",
            method="POST",
            path="/webhooks",
            summary="Subscribe a URL to an event of a webshop.",
            idempotency=Idempotency.NON_IDEMPOTENT,
            confidence="A",
            source="Vendure",
            model="Webhook",
            body="NewWebhook",
            note="A second request creates a second subscription. The response has the secret.",
        ),
    )
}
"""All endpoints, by operation."""
