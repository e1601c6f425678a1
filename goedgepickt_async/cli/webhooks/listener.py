"""A small server that verifies deliveries and hands them on."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import UTC, datetime
from types import TracebackType
from typing import Final, Self

from aiohttp import web

from goedgepickt_async import Secret, WebhookVerificationError
from goedgepickt_async.cli.messages import note
from goedgepickt_async.cli.outcome import CommandError
from goedgepickt_async.webhooks import verify

__all__ = ["Listener"]

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
