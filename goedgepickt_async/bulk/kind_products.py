"""Plans for products."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

from goedgepickt_async.bulk.judging_products import judge_product, wished_product
from goedgepickt_async.bulk.kinds import Kind
from goedgepickt_async.bulk.planned import Action, Conflict, PlannedWrite, Verdict, Wish
from goedgepickt_async.bulk.reading import read_products
from goedgepickt_async.errors import ConfigurationError
from goedgepickt_async.models import NewProduct, Product, ProductUpdate
from goedgepickt_async.resources import Products
from goedgepickt_async.wire.pipeline import Sender

__all__ = ["ProductKind"]


class ProductKind(Kind[tuple[Product, ...]]):
    """Products as they are wanted."""

    name: ClassVar[str] = "products"

    def __init__(self, sender: Sender, *, webshop: str, key: str = "sku", update_pictures: bool = False) -> None:
        if key not in {"sku", "product_id"}:
            raise ConfigurationError(f"key must be 'sku' or 'product_id', not {key!r}")
        self.noun = key
        self.webshop: str | None = webshop
        self._shop = webshop
        self.options: Mapping[str, Any] = {"key": key, "update_pictures": update_pictures}
        self._sender = sender
        self._products = Products(sender)
        self._key = key
        self._update_pictures = update_pictures

    def wish(self, row: Any, index: int) -> Wish | Conflict:
        """A desired row, checked and in one form."""
        return wished_product(row, index, key=self._key, webshop=self._shop)

    async def read(self, wishes: Sequence[Wish]) -> Mapping[str, tuple[Product, ...]]:
        """The products with these keys."""
        keys = {wish.key for wish in wishes}
        return await read_products(self._sender, keys, key=self._key, webshop=self._shop)

    def judge(self, wish: Wish, present: tuple[Product, ...] | None) -> Verdict:
        """Create, change, or leave it."""
        return judge_product(wish, present or (), webshop=self._shop, update_pictures=self._update_pictures)

    async def send(self, write: PlannedWrite) -> str | None:
        """Create or change it."""
        values = {change.field: change.after for change in write.changes}
        if write.action is Action.CREATE:
            return (await self._products.create(NewProduct(webshop_uuid=self._shop, **values))).uuid
        assert write.uuid is not None
        await self._products.update(write.uuid, ProductUpdate(webshop_uuid=self._shop, **values))
        return write.uuid
