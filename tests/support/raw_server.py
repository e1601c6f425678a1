"""A server of bare sockets, for what no HTTP framework would do."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

Play = Callable[["Exchange"], Awaitable[None]]


class Exchange:
    """One request that arrived, and the connection that it arrived on."""

    def __init__(self, number: int, on_connection: int, head: bytes, writer: asyncio.StreamWriter) -> None:
        self.number = number  # of all requests, from 1
        self.on_connection = on_connection  # of those on this connection, from 1
        self.head = head.decode("latin-1")
        self.writer = writer

    @property
    def request_line(self) -> str:
        return self.head.split("\r\n", 1)[0]

    async def send(self, data: bytes) -> None:
        self.writer.write(data)
        await self.writer.drain()

    async def answer(self, body: bytes, status: str = "200 OK", *headers: str) -> None:
        lines = [f"HTTP/1.1 {status}", f"Content-Length: {len(body)}", "Content-Type: application/json", *headers]
        await self.send("\r\n".join(lines).encode() + b"\r\n\r\n" + body)

    def drop(self) -> None:
        self.writer.transport.abort()


class RawServer:
    """What has arrived, and where."""

    def __init__(self) -> None:
        self.arrivals: list[Exchange] = []
        self.url = ""
        self.stop_listening: Callable[[], None] = lambda: None


@asynccontextmanager
async def raw_server(play: Play) -> AsyncIterator[RawServer]:
    """Serve on loopback; `play` is called for each request."""
    state = RawServer()
    writers: set[asyncio.StreamWriter] = set()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writers.add(writer)
        count = 0
        try:
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                length = [line for line in head.split(b"\r\n") if line.lower().startswith(b"content-length:")]
                if length:
                    await reader.readexactly(int(length[0].split(b":")[1]))
                count += 1
                exchange = Exchange(len(state.arrivals) + 1, count, head, writer)
                state.arrivals.append(exchange)
                await play(exchange)
        except (OSError, asyncio.IncompleteReadError):
            pass
        finally:
            writers.discard(writer)
            writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    state.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/api/v1"
    state.stop_listening = server.close
    try:
        yield state
    finally:
        server.close()
        for writer in list(writers):
            writer.transport.abort()
        await asyncio.sleep(0)
