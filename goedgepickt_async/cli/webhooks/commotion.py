"""Something that happens, for `listen --sandbox`: stock moves and orders come in."""

from __future__ import annotations

import asyncio
import itertools
from typing import TYPE_CHECKING

from goedgepickt_async import Address, NewOrder, NewOrderLine

if TYPE_CHECKING:
    from goedgepickt_async import GoedGepickt

__all__ = ["make_commotion"]

_EVERY = 0.5
"""Seconds; half of what the rate limit allows."""


async def make_commotion(client: GoedGepickt) -> None:
    """Change something twice a second, for ever. Only ever for a sandbox: these are real writes."""
    products = await client.products.list().collect(limit=20)
    webshops = await client.webshops.list().collect()
    for number in itertools.count(1):
        if number % 3 and products:
            product = products[number % len(products)]
            await client.stock.mutate(product.uuid, number % 5 - 6, reason="commotion")
        else:
            await client.orders.create(_order(number, webshops[number % len(webshops)].uuid))
        await asyncio.sleep(_EVERY)


def _order(number: int, webshop_uuid: str) -> NewOrder:
    return NewOrder(
        webshop_uuid=webshop_uuid,
        order_id=f"DEMO-{number}",
        status="open",
        shipping=Address(first_name="Sien", last_name="Voorbeeld", house_number="12", city="Utrecht", country="NL"),
        lines=[NewOrderLine(sku="SB-00000", product_name="Mok", quantity=1, tax_rate="21")],
    )
