"""An open enumeration is text, has known members, and takes values from the future."""

# pyright: reportUnnecessaryTypeIgnoreComment=true

from typing import assert_type

from goedgepickt_async import Order, OrderStatus, WebhookEvent


def of(order: Order) -> str:
    assert_type(order.status, OrderStatus | None)
    if order.status is None:
        return "none"
    assert_type(order.status.is_known, bool)
    assert_type(OrderStatus("shiny_new"), OrderStatus)
    if order.status == OrderStatus.COMPLETED:
        return "done"
    as_text: str = order.status
    return as_text


def members() -> list[OrderStatus]:
    return list(OrderStatus)


def mistakes(event: WebhookEvent) -> OrderStatus:
    if event == OrderStatus.SHINY_NEW:  # type: ignore[attr-defined]  # no such member
        return OrderStatus.COMPLETED
    return event  # type: ignore[return-value]  # of another enumeration
