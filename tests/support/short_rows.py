"""Orders and products of a sandbox with few fields, for tests that check only which rows come."""

from __future__ import annotations

from goedgepickt_async.sandbox import Sandbox
from goedgepickt_async.sandbox.world.table import Row, write_moment

__all__ = ["shorten_rows"]


def shorten_rows(sandbox: Sandbox) -> Sandbox:
    """Serve orders and products with their ids, and orders also with status and date."""
    world = sandbox.world

    def order(index: int) -> Row:
        created = write_moment(world.order_created(index))
        return {"uuid": world.orders.uuid(index), "status": world.order_status(index), "createDate": created}

    world.orders.row = order  # type: ignore[method-assign]
    world.products.row = lambda index: {"uuid": world.products.uuid(index)}  # type: ignore[method-assign]
    return sandbox
