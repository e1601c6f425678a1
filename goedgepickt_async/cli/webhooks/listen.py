"""The `webhooks listen` command: a small server that verifies deliveries and prints them."""

from __future__ import annotations

import asyncio
import itertools
import json
import sys
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Final, Self

from aiohttp import web

from goedgepickt_async import (
    Address,
    DecodeError,
    NewOrder,
    NewOrderLine,
    Secret,
    WebhookEvent,
    WebhookVerificationError,
)
from goedgepickt_async.cli.connect import ServerOptions, connect
from goedgepickt_async.cli.errors import CommandError, Exit, UsageError, note
from goedgepickt_async.cli.webhooks.recording import Recorder, signing_secrets
from goedgepickt_async.convert import to_plain
from goedgepickt_async.webhooks import UnknownEvent, parse, verify

if TYPE_CHECKING:
    from goedgepickt_async import GoedGepickt

__all__ = ["as_row", "listen"]


async def listen(host: str, port: int, record: Path | None, count: int | None, server: ServerOptions) -> int:
    """Listen until stopped, or until enough came.

    Args:
        host: The address to listen on.
        port: The port.
        record: Where to record to; None is nowhere.
        count: How many verified deliveries are enough; None is never.
        server: With its sandbox, there is something to hear.

    Returns:
        The exit code.

    Raises:
        CommandError: It cannot listen there, or cannot record.
        UsageError: There is no secret, or an option makes no sense.
    """
    _check(port, count, server)
    secrets = [] if server.sandbox else signing_secrets()
    recorder = None if record is None else Recorder(record)

    def take(at: datetime, signature: str, body: bytes) -> None:
        if recorder is not None:
            recorder.add(at, signature, body)
        _print({"at": at.isoformat(timespec="milliseconds"), **as_row(body)})

    try:
        async with Listener(host, port, take) as listener:
            listener.secrets = secrets
            await _listen(listener, count, server)
    finally:
        if recorder is not None:
            recorder.close()
    return Exit.DONE


def as_row(body: bytes) -> dict[str, Any]:
    """A verified delivery as it is printed: its event and that one's fields, by their Python names."""
    try:
        event = parse(body)
    except DecodeError:
        return {"event": None, "body": body.decode(errors="backslashreplace")}
    if isinstance(event, UnknownEvent):
        return {"event": event.name, "data": event.data}
    return {"event": event.wire_name, **to_plain(event)}


def _check(port: int, count: int | None, server: ServerOptions) -> None:
    server.check()
    if not 0 <= port <= 65_535:
        raise UsageError("--port is a number from 0 to 65535")
    if count is not None and count < 1:
        raise UsageError("--count is at least 1")
    if not server.sandbox and (server.api or server.base_url):
        raise UsageError("listening asks no API; --api and --base-url are for --sandbox and for the other commands")


async def _listen(listener: Listener, count: int | None, server: ServerOptions) -> None:
    try:
        if server.sandbox:
            await _listen_to_a_sandbox(listener, count, server)
        else:
            number = len(listener.secrets)
            _greet(listener, "1 secret" if number == 1 else f"{number} secrets")
            await listener.wait(count)
    except asyncio.CancelledError:
        pass  # that is how it ends
    note(f"{listener.taken} verified, {listener.refused} refused")


async def _listen_to_a_sandbox(listener: Listener, count: int | None, server: ServerOptions) -> None:
    async with connect(server) as connection:
        done = await connection.client.webhooks.ensure(listener.url, list(WebhookEvent))
        listener.secrets = list(done.secrets)
        _greet(listener, "the sandbox's secrets")
        try:
            async with asyncio.TaskGroup() as group:
                traffic = group.create_task(demo_traffic(connection.client))
                await listener.wait(count)
                traffic.cancel()
        except ExceptionGroup as failures:
            raise failures.exceptions[0] from None


def _greet(listener: Listener, secrets: str) -> None:
    note(f"listening on {listener.url} with {secrets}; Ctrl-C ends it")


def _print(row: dict[str, Any]) -> None:
    sys.stdout.buffer.write(f"{json.dumps(row, ensure_ascii=False)}\n".encode(errors="backslashreplace"))
    sys.stdout.buffer.flush()


_LARGEST: Final = 256 * 1024

Take = Callable[[datetime, str, bytes], None]
"""Takes a verified delivery: when it came, its signature, its body."""


class Listener:
    """Answers 200 to what is verified, once it was taken; 401 to a bad signature, 413 to what is too large.

    Args:
        host: The address to listen on.
        port: The port; 0 is a free one.
        take: Called with each verified delivery, before it is answered; what it raises ends the listening.

    Attributes:
        secrets: What deliveries are signed with.
        taken: How many were verified.
        refused: How many were not.
    """

    def __init__(self, host: str, port: int, take: Take) -> None:
        self.secrets: list[Secret] = []
        self.taken: int = 0
        self.refused: int = 0
        self._host = host
        self._port = port
        self._take = take
        self._enough: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._count: int | None = None
        # A compressed body is not unpacked: what is signed is what came.
        server = web.Server(self._handle, access_log=None, auto_decompress=False)
        self._runner = web.ServerRunner(server, shutdown_timeout=2.0)

    @property
    def url(self) -> str:
        """Where it listens."""
        host = f"[{self._host}]" if ":" in self._host else self._host
        return f"http://{host}:{self._runner.addresses[0][1]}/"

    async def __aenter__(self) -> Self:
        """Listen.

        Raises:
            CommandError: It cannot listen there.
        """
        await self._runner.setup()
        try:
            await web.TCPSite(self._runner, self._host, self._port).start()
        except OSError as error:
            await self._runner.cleanup()
            raise CommandError(f"cannot listen on {self._host}:{self._port}: {error.strerror or error}") from None
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stop."""
        if not self._enough.cancel() and not self._enough.cancelled():
            self._enough.exception()  # whether or not anybody still waited for it
        await self._runner.cleanup()

    async def wait(self, count: int | None) -> None:
        """Wait until so many were taken; for ever if it is None.

        Raises:
            CommandError: One could not be taken.
            OSError: Likewise.
        """
        self._count = count
        await self._enough

    async def _handle(self, request: web.BaseRequest) -> web.Response:
        if request.method != "POST":
            return web.Response(status=405, headers={"Allow": "POST"})
        try:
            body = await _read(request)
        except (ConnectionError, web.RequestPayloadError):
            return web.Response(status=400)  # nobody reads it
        if body is None:
            return self._refuse(413, f"it is larger than {_LARGEST:,} bytes")
        signature = request.headers.get("Signature")
        try:
            verify(body, signature, self.secrets)
        except WebhookVerificationError as error:
            return self._refuse(401, error.message)
        assert signature is not None
        return self._accept(signature, body)

    def _accept(self, signature: str, body: bytes) -> web.Response:
        if self._enough.done():
            return web.Response(status=503)
        try:
            self._take(datetime.now(UTC), signature, body)
        except (CommandError, OSError) as error:
            self._enough.set_exception(error)
            return web.Response(status=503)  # not safe here, so it is to be sent again
        self.taken += 1
        if self.taken == self._count:
            self._enough.set_result(None)
        return web.Response()

    def _refuse(self, status: int, why: str) -> web.Response:
        self.refused += 1
        note(f"refused with {status}: {why}")
        return web.Response(status=status)


async def _read(request: web.BaseRequest) -> bytes | None:
    """The body, with or without a length; None if it is too large."""
    body = bytearray()
    async for piece in request.content.iter_any():
        body += piece
        if len(body) > _LARGEST:
            return None
    return bytes(body)


_DEMO_INTERVAL = 0.5
"""Seconds; half of what the rate limit allows."""


async def demo_traffic(client: GoedGepickt) -> None:
    """Change something twice a second, for ever. Only ever for a sandbox: these are real writes."""
    products = await client.products.list().collect(limit=20)
    webshops = await client.webshops.list().collect()
    for number in itertools.count(1):
        if number % 3 and products:
            product = products[number % len(products)]
            await client.stock.mutate(product.uuid, number % 5 - 6, reason="demo")
        else:
            await client.orders.create(_order(number, webshops[number % len(webshops)].uuid))
        await asyncio.sleep(_DEMO_INTERVAL)


def _order(number: int, webshop_uuid: str) -> NewOrder:
    return NewOrder(
        webshop_uuid=webshop_uuid,
        order_id=f"DEMO-{number}",
        status="open",
        shipping=Address(first_name="Sien", last_name="Voorbeeld", house_number="12", city="Utrecht", country="NL"),
        lines=[NewOrderLine(sku="SB-00000", product_name="Mok", quantity=1, tax_rate="21")],
    )
