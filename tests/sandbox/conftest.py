"""A sandbox on a port and a plain aiohttp client for it, which knows nothing of the SDK."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from typing import Any

import aiohttp
import attrs
import pytest
from multidict import CIMultiDictProxy

from goedgepickt_async.sandbox import Sandbox


@attrs.frozen
class Reply:
    """What came back."""

    status: int
    headers: CIMultiDictProxy[str]
    raw: bytes

    @property
    def text(self) -> str:
        return self.raw.decode()

    @property
    def json(self) -> Any:
        return json.loads(self.raw)

    @property
    def items(self) -> list[dict[str, Any]]:
        items: list[dict[str, Any]] = self.json["items"]
        return items

    @property
    def info(self) -> dict[str, Any]:
        info: dict[str, Any] = self.json["pageInfo"]
        return info

    @property
    def errors(self) -> dict[str, list[str]]:
        errors: dict[str, list[str]] = self.json["errors"]
        return errors


@attrs.frozen
class Api:
    """A sandbox and a client of its fulfilment API."""

    sandbox: Sandbox
    session: aiohttp.ClientSession

    async def call(self, method: str, path: str, *, headers: dict[str, str] | None = None, **options: Any) -> Reply:
        url = path if path.startswith("http") else self.sandbox.url + path
        usual = {"Authorization": f"Bearer {self.sandbox.api_key}", "Accept": "application/json"}
        async with self.session.request(
            method, url, headers={**usual, **(headers or {})}, allow_redirects=False, **options
        ) as response:
            return Reply(response.status, response.headers, await response.read())

    async def get(self, path: str, **query: Any) -> Reply:
        return await self.call("GET", path, params={name: str(value) for name, value in query.items()})

    async def post(self, path: str, body: Any) -> Reply:
        return await self.call("POST", path, json=body)

    async def put(self, path: str, body: Any) -> Reply:
        return await self.call("PUT", path, json=body)

    def webshop(self, index: int = 0) -> str:
        return str(self.sandbox.world.webshops[index]["uuid"])

    def order_body(self, **changes: Any) -> dict[str, Any]:
        """The smallest order that is accepted, changed."""
        line = {"sku": "SB-00000", "productName": "Blauwe mok", "productQuantity": 1, "taxRate": 21}
        body = {"webshopUuid": self.webshop(), "orderId": "A-1", "orderStatus": "open", "orderItems": [line]}
        return {**body, **changes}


Serve = Callable[..., Awaitable[Api]]


@pytest.fixture
async def serve() -> AsyncIterator[Serve]:
    """Start sandboxes with any options; they and their clients are closed after the test."""
    async with AsyncExitStack() as stack:

        async def start(**options: Any) -> Api:
            sandbox = await stack.enter_async_context(Sandbox(**options))
            session = await stack.enter_async_context(aiohttp.ClientSession())
            return Api(sandbox, session)

        yield start


@pytest.fixture
async def api(serve: Serve) -> Api:
    """A small sandbox without a throttle."""
    return await serve(orders=120, products=60, limit=None)
