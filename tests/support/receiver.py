"""A receiver of webhook deliveries that returns the given statuses and records the deliveries."""

import asyncio
import hashlib
import hmac
import json
from collections.abc import AsyncIterator, Iterable, Iterator
from contextlib import asynccontextmanager
from itertools import chain, repeat
from typing import Any

import attrs
from aiohttp import web


@attrs.frozen
class Came:
    """One request that came."""

    body: bytes
    signature: str
    headers: dict[str, str]

    @property
    def json(self) -> dict[str, Any]:
        said: dict[str, Any] = json.loads(self.body)
        return said

    def is_signed_with(self, secret: str) -> bool:
        return hmac.new(secret.encode(), self.body, hashlib.sha256).hexdigest() == self.signature


@attrs.define
class Receiver:
    """Answers with the statuses that it was given, and then with 200; for the status None it sends no response."""

    port: int = 0
    came: list[Came] = attrs.field(factory=list)
    statuses: Iterator[int | None] = attrs.field(factory=lambda: repeat(200))
    location: str = ""
    silent: asyncio.Event = attrs.field(factory=asyncio.Event)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/hook"

    @property
    def events(self) -> list[str]:
        return [came.json["event"] for came in self.came]

    def answer(self, statuses: Iterable[int | None]) -> None:
        self.statuses = chain(statuses, repeat(200))

    async def _handle(self, request: web.Request) -> web.Response:
        body = await request.read()
        self.came.append(Came(body, request.headers.get("Signature", ""), dict(request.headers)))
        status = next(self.statuses)
        if status is None:
            await self.silent.wait()
        headers = {"Location": self.location} if self.location else {}
        return web.Response(status=status or 200, headers=headers)


@asynccontextmanager
async def receiving() -> AsyncIterator[Receiver]:
    """A receiver on a free port of this machine."""
    receiver = Receiver()
    server = web.ServerRunner(web.Server(receiver._handle, access_log=None))  # type: ignore[arg-type]  # it needs no more
    await server.setup()
    site = web.TCPSite(server, "127.0.0.1", 0)
    await site.start()
    receiver.port = server.addresses[0][1]
    try:
        yield receiver
    finally:
        receiver.silent.set()
        await server.cleanup()
