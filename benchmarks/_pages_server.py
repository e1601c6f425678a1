"""A server in a process of its own that answers pages of a list of any length from bytes made before, and a tiny body.

It knows page numbers, page sizes and, past 10,000 rows, cursors; it has no throttle, and its answers carry the headers
of one. What it costs is no part of any figure.
"""

from __future__ import annotations

import asyncio
import json
import multiprocessing
import random
from collections.abc import Generator
from contextlib import contextmanager
from multiprocessing.connection import Connection

from _payload import row
from aiohttp import web

__all__ = ["serve_pages"]

_DISTINCT = 500
"""Rows in turn, but for their ids."""
_LARGEST = 100
_REACH = 10_000
_HEADERS = {"X-RateLimit-Limit": "150", "X-RateLimit-Remaining": "149"}


@contextmanager
def serve_pages(length: int) -> Generator[str]:
    """Serve lists of so many rows; gives the base URL."""
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    server = context.Process(target=_run, args=(theirs, length))
    server.start()
    try:
        yield f"http://127.0.0.1:{ours.recv()}"
    finally:
        ours.send(None)
        server.join(30)


def _run(pipe: Connection, length: int) -> None:
    asyncio.run(_serve(pipe, length))


async def _serve(pipe: Connection, length: int) -> None:
    application = web.Application()
    for kind in ("orders", "products"):
        application.router.add_get(f"/{kind}", _List(kind, length).answer)
    application.router.add_get("/tiny", _tiny)
    runner = web.AppRunner(application, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    pipe.send(runner.addresses[0][1])
    await asyncio.to_thread(pipe.recv)
    await runner.cleanup()


async def _tiny(_: web.Request) -> web.Response:
    return web.Response(body=b'{"items":[]}', content_type="application/json", headers=_HEADERS)


class _List:
    def __init__(self, kind: str, length: int) -> None:
        rng = random.Random(1)
        rows = [row(kind, rng) for _ in range(_DISTINCT)]
        self._ends = [_without_id(one) for one in rows]
        self._length = length

    async def answer(self, request: web.Request) -> web.Response:
        size = min(_LARGEST, int(request.query.get("perPage", 15)))
        number = int(request.query.get("page", 1))
        cursor = request.query.get("cursor")
        start = (number - 1) * size if cursor is None else int(cursor)
        if cursor is None and start >= _REACH:
            start = self._length
        end = min(start + size, self._length)
        if cursor is None:
            end = min(end, max(start, _REACH))
        rows = ",".join(f'{{"uuid":"{n:032x}"{self._ends[n % _DISTINCT]}' for n in range(start, end))
        last = -(-self._length // size)
        info = {"totalItems": self._length, "itemsPerPage": size, "currentPage": number, "lastPage": last}
        if end < self._length:
            info["cursor"] = str(end)  # type: ignore[assignment]  # the one that is no number
        body = f'{{"items":[{rows}],"pageInfo":{json.dumps(info)}}}'.encode()
        return web.Response(body=body, content_type="application/json", headers=_HEADERS)


def _without_id(row: dict[str, object]) -> str:
    """The row's JSON after its first key, which is the id."""
    text = json.dumps(row, ensure_ascii=False, separators=(",", ":"))
    return text[text.index(",") :]
