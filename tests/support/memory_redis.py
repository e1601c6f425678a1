"""A Redis of one key in memory, with latency in virtual time: what `RedisBudget` uses of it, and counts of it."""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from collections.abc import Callable
from typing import Any

__all__ = ["MemoryRedis"]


class MemoryRedis:
    """The server.

    Args:
        clock: Its time in nanoseconds.
        latency: The bounds of a round trip in seconds.
        seed: Of the latencies.

    Attributes:
        commands: How many of each were asked of it.
        is_away: Whether it refuses connections; those that are open break.
    """

    def __init__(self, clock: Callable[[], int], latency: tuple[float, float] = (0.0005, 0.002), seed: int = 0) -> None:
        self.commands: Counter[str] = Counter()
        self._is_away = False
        self._clock, self._latency, self._draw = clock, latency, random.Random(seed)
        self._state = b""
        self._subscribers: dict[asyncio.Queue[bool], str] = {}

    @property
    def is_away(self) -> bool:
        return self._is_away

    @is_away.setter
    def is_away(self, value: bool) -> None:
        self._is_away = value
        for queue in self._subscribers if value else ():
            queue.put_nowait(False)

    def flush(self) -> None:
        """Forget all."""
        self._state = b""

    def client(self) -> _Client:
        """A client of `redis.asyncio`, as far as it is used."""
        return _Client(self)

    async def _answer(self, *arguments: Any) -> Any:
        await asyncio.sleep(self._draw.uniform(*self._latency) / 2)
        if self.is_away:
            raise ConnectionError("Connection refused.")
        self.commands[arguments[0]] += 1
        reply = self._eval(*arguments[4:]) if arguments[0] == "EVAL" else self._publish(str(arguments[1]))
        await asyncio.sleep(self._draw.uniform(*self._latency) / 2)
        return reply

    def _eval(self, head: int, token: bytes, data: bytes, _keep: int, wake: str) -> list[Any]:
        """The script of `RedisBudget`."""
        seconds, rest = divmod(self._clock(), 1_000_000_000)
        if self._state[:head] != token:
            self.commands["lost race" if data else "read"] += 1
            return [0, seconds, rest // 1000, self._state]
        if data:
            self._state = data
        for sharer in filter(None, wake.split(",")):
            self._publish(f":wake:{sharer}")
        return [1, seconds, rest // 1000]

    def _publish(self, channel: str) -> int:
        queues = [queue for queue, name in self._subscribers.items() if name.endswith(channel)]
        for queue in queues:
            queue.put_nowait(True)
        return len(queues)


class _Client:
    def __init__(self, server: MemoryRedis) -> None:
        self._server = server

    async def execute_command(self, *arguments: Any, **_options: Any) -> Any:
        return await self._server._answer(*arguments)

    def pubsub(self) -> _PubSub:
        return _PubSub(self._server)

    async def aclose(self) -> None:
        pass


class _PubSub:
    def __init__(self, server: MemoryRedis) -> None:
        self._server = server
        self._queue: asyncio.Queue[bool] = asyncio.Queue()

    async def subscribe(self, channel: str) -> None:
        self._server._subscribers[self._queue] = channel

    async def get_message(self, **_options: Any) -> dict[str, bytes] | None:
        if not await self._queue.get():
            raise ConnectionError("Connection closed by server.")
        await asyncio.sleep(self._server._draw.uniform(*self._server._latency) / 2)
        return {"data": b""}

    async def aclose(self) -> None:
        self._server._subscribers.pop(self._queue, None)
