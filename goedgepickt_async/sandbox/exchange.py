"""One request and its answer on the wire, in the hands of a fault or of nobody in particular."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable

from aiohttp import web

from goedgepickt_async.sandbox.answers import Answer
from goedgepickt_async.sandbox.application import Application
from goedgepickt_async.sandbox.connections import Connections
from goedgepickt_async.sandbox.incoming import Incoming
from goedgepickt_async.sandbox.requests import RecordedRequest
from goedgepickt_async.sandbox.world import World

__all__ = ["Exchange", "seeded_latency"]


class Exchange:
    """What a fault can do with a request: have it answered as usual, answer it otherwise, wait, or hang up.

    Attributes:
        incoming: The request as the application sees it.
        request: The request as aiohttp has it.
        recorded: Its entry in the requests.
        world: The state of the sandbox.
        connections: What is known of the TCP connections.
    """

    def __init__(
        self,
        request: web.BaseRequest,
        incoming: Incoming,
        recorded: RecordedRequest,
        *,
        application: Application,
        world: World,
        connections: Connections,
        closing: asyncio.Event,
        latency: Callable[[], float],
    ) -> None:
        """Take the request and what is needed to answer it."""
        self.request = request
        self.incoming = incoming
        self.recorded = recorded
        self.world = world
        self.connections = connections
        self._application = application
        self._closing = closing
        self._latency = latency

    async def answer(self) -> Answer:
        """Let the application answer as it would without any fault; writes down what became of it."""
        outcome = await self._application.answer(self.incoming, self._handling_time)
        self.recorded.throttled = outcome.throttled
        self.recorded.applied = outcome.applied
        return outcome.answer

    def admit(self) -> Answer | None:
        """Let the application check route, key and throttle, and count it; None if the controller would run now."""
        outcome = self._application.admit(self.incoming)
        if outcome is None:
            return None
        self.recorded.throttled = outcome.throttled
        return outcome.answer

    def rate_headers(self) -> dict[str, str]:
        """Return the rate headers of an answer that is given now."""
        return self._application.rate_headers(self.incoming)

    async def pause(self, seconds: float | None) -> None:
        """Wait; for ever if no time is given. The sandbox's closing ends the wait at once."""
        try:
            async with asyncio.timeout(seconds):
                await self._closing.wait()
        except TimeoutError:
            return

    def reply(self, answer: Answer) -> web.Response:
        """Turn an answer into what is sent, and write its status down."""
        self.recorded.status = answer.status
        return web.Response(status=answer.status, body=answer.body, headers=answer.headers)

    def hang_up(self, *, flush: bool = False) -> web.Response:
        """Close the connection: at once, or after what was written has been sent.

        Returns:
            A response that can no longer be sent, for aiohttp to fail on quietly.
        """
        transport = self.request.transport
        if transport is not None and flush:
            transport.close()
        elif transport is not None:
            transport.abort()
        return web.Response()

    async def _handling_time(self) -> None:
        seconds = self._latency()
        if seconds > 0:
            await self.pause(seconds)


def seeded_latency(latency: float | tuple[float, float], seed: int) -> Callable[[], float]:
    """Return a function that draws handling times: always the same, or even between two bounds."""
    low, high = latency if isinstance(latency, tuple) else (latency, latency)
    draw = random.Random(seed)  # noqa: S311 - play data
    return lambda: draw.uniform(low, high)
