"""Faults for `Sandbox.fail`."""

from __future__ import annotations

import asyncio
import json
import random
import re
from asyncio import BaseTransport
from collections.abc import Callable, Mapping, Sequence
from fnmatch import fnmatchcase
from itertools import count
from typing import Any, Final, Protocol
from weakref import WeakKeyDictionary

import attrs
from aiohttp import web

from goedgepickt_async.sandbox.app import Answer, Application, Refusal, encode_json, error
from goedgepickt_async.sandbox.requests import Incoming, RecordedRequest
from goedgepickt_async.sandbox.world import World

__all__ = [
    "NAMED",
    "ChangeWorld",
    "CutBody",
    "Drop",
    "EchoAuthorization",
    "EveryNth",
    "Fault",
    "Garbage",
    "InvalidUtf8",
    "KeptAliveDrop",
    "NeverAnswer",
    "Redirect",
    "Slow",
    "SlowBody",
    "Sometimes",
    "Status",
    "TooManyRequests",
    "named_fault",
]


class Connections:
    """Numbers connections from 1, in the order of their first requests."""

    def __init__(self) -> None:
        self._numbers: WeakKeyDictionary[BaseTransport, int] = WeakKeyDictionary()
        self._next = count(1)
        self.faults: dict[int, Fault] = {}
        """The fault that the next request over a connection gets."""

    def number(self, transport: BaseTransport | None) -> int:
        """Return the number of a connection; 0 for one that is already gone."""
        if transport is None:
            return 0
        if transport not in self._numbers:
            self._numbers[transport] = next(self._next)
        return self._numbers[transport]


@attrs.frozen(kw_only=True)
class Exchange:
    """The tools of a fault for one request: pass it on, respond differently, wait, or close the connection.

    Attributes:
        incoming: The request for the application.
        request: The request of aiohttp.
        recorded: The record of the request.
        world: The state of the sandbox.
        connections: The TCP connections.
        application: What answers the request.
        closing: Is set when the sandbox closes.
        latency: Returns the seconds that the request takes.
    """

    incoming: Incoming
    request: web.BaseRequest
    recorded: RecordedRequest
    world: World
    connections: Connections
    application: Application
    closing: asyncio.Event
    latency: Callable[[], float]

    async def play(self, fault: Fault | None) -> web.StreamResponse:
        """Play a fault and record its name; without a fault, answer as usual."""
        self.recorded.fault = None if fault is None else type(fault).__name__
        return self.reply(await self.answer()) if fault is None else await fault.play(self)

    async def answer(self) -> Answer:
        """Let the application answer as it would without any fault, and record what happened to the request."""
        answer = await self.application.answer(self.incoming, self._handling_time)
        self.recorded.throttled, self.recorded.applied = answer.throttled, answer.applied
        return answer

    async def pause(self, seconds: float | None) -> None:
        """Wait; without a time until the sandbox closes, which ends every wait."""
        try:
            async with asyncio.timeout(seconds):
                await self.closing.wait()
        except TimeoutError:
            return

    def reply(self, answer: Answer) -> web.Response:
        """Return the response to send, and record it."""
        self.recorded.status = answer.status
        self.recorded.throttled |= answer.throttled
        return web.Response(status=answer.status, body=answer.body, headers=answer.headers)

    def stream(self, answer: Answer) -> web.StreamResponse:
        """Return a response whose body is sent in pieces, and record its status."""
        self.recorded.status = answer.status
        return web.StreamResponse(status=answer.status, headers=answer.headers)

    def hang_up(self, *, flush: bool = False) -> web.Response:
        """Close the connection: immediately, or after what was written has been sent.

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
        seconds = self.latency()
        if seconds > 0:
            await self.pause(seconds)


def seeded_latency(latency: float | tuple[float, float], seed: int) -> Callable[[], float]:
    """Return a function that draws handling times: always the same, or even between two bounds."""
    low, high = latency if isinstance(latency, tuple) else (latency, latency)
    draw = random.Random(seed)  # noqa: S311 - play data
    return lambda: draw.uniform(low, high)


_GATEWAY_STATUSES: Final = frozenset({413, 429, 502, 503, 504})
"""Statuses that are answered before Laravel sees the request, unless a fault says otherwise."""


class Fault(Protocol):
    """The base class of faults, which replace or change the normal response."""

    async def play(self, exchange: Exchange) -> web.StreamResponse:
        """Respond to the request, or close the connection and return any value."""
        ...


@attrs.frozen
class Status:
    """Respond with any status and body.

    Attributes:
        status: The HTTP status.
        json: The body as JSON. Without any body, it is Laravel's own error in JSON or HTML.
        body: The body as it is (an empty one too), as text or bytes, with `content_type`.
        content_type: The type of `body`.
        headers: More headers.
        applied: Whether the controller runs first, so that the write is carried out.
        counted: Whether the rate limiter counts the request (and can refuse it) and the response has its headers. None:
            not for a status of a gateway (413, 429, 502, 503, 504).
    """

    status: int
    json: Any = attrs.field(default=None, kw_only=True)
    body: str | bytes | None = attrs.field(default=None, kw_only=True)
    content_type: str = attrs.field(default="text/html; charset=UTF-8", kw_only=True)
    headers: Mapping[str, str] = attrs.field(kw_only=True, factory=dict)
    applied: bool = attrs.field(default=False, kw_only=True)
    counted: bool | None = attrs.field(default=None, kw_only=True)

    async def play(self, exchange: Exchange) -> web.StreamResponse:
        counted = self.counted if self.counted is not None else self.status not in _GATEWAY_STATUSES
        answer = self._answer(exchange)
        if self.applied:
            await exchange.answer()
        elif counted:
            try:
                exchange.application.admit(exchange.incoming)
            except Refusal as refusal:
                return exchange.reply(refusal.answer)
        headers = exchange.application.rate_headers(exchange.incoming) if counted else {}
        return exchange.reply(answer.with_headers(headers))

    def _answer(self, exchange: Exchange) -> Answer:
        if self.body is not None:
            body = self.body.encode() if isinstance(self.body, str) else self.body
            return Answer(self.status, body, {"Content-Type": self.content_type, **self.headers})
        if self.json is not None:
            return Answer(self.status, encode_json(self.json), {"Content-Type": "application/json", **self.headers})
        incoming = exchange.incoming
        if self.status in _GATEWAY_STATUSES:
            incoming = attrs.evolve(incoming, wants_json=False)
        return error(incoming, self.status, "Server Error").with_headers(self.headers)


@attrs.frozen(kw_only=True)
class TooManyRequests:
    """Respond with 429, as if another client on the same IP address used up the limit.

    Attributes:
        retry_after: The text of `Retry-After`, valid or not; None leaves it out.
        headers: Whether the other rate limit headers are sent.
        limit: The limit in these headers.
        body: The body, if it is not Laravel's own.
        status: The status; the throttle's text has been seen with others than 429.
    """

    retry_after: str | None = "1"
    headers: bool = True
    limit: int = 150
    body: str | None = None
    status: int = 429

    async def play(self, exchange: Exchange) -> web.StreamResponse:
        answer = error(exchange.incoming, self.status, "Too Many Attempts.")
        if self.body is not None:
            answer = attrs.evolve(answer, body=self.body.encode())
        headers: dict[str, str] = {}
        if self.headers:
            headers = {"X-RateLimit-Limit": str(self.limit), "X-RateLimit-Remaining": "0"}
            headers["X-RateLimit-Reset"] = str(int(exchange.recorded.at) + 1)
        if self.retry_after is not None:
            headers["Retry-After"] = self.retry_after
        return exchange.reply(answer.with_headers(headers))


@attrs.frozen(kw_only=True)
class CutBody:
    """Respond normally, but close the connection in the middle of the body.

    Attributes:
        share: The part of the body that is sent, from 0 to 1.
        chunked: Whether the body comes in chunks without its end, instead of shorter than its Content-Length.
    """

    share: float = 0.5
    chunked: bool = False

    async def play(self, exchange: Exchange) -> web.StreamResponse:
        answer = await exchange.answer()
        response = exchange.stream(answer)
        if self.chunked:
            response.enable_chunked_encoding()
        else:
            response.content_length = len(answer.body) + 1
        await response.prepare(exchange.request)
        await response.write(answer.body[: int(len(answer.body) * self.share)])
        exchange.hang_up(flush=True)
        return response


@attrs.frozen(kw_only=True)
class Drop:
    """Close the connection without a response.

    Attributes:
        applied: Whether the controller runs first, so that the write is carried out.
    """

    applied: bool = False

    async def play(self, exchange: Exchange) -> web.StreamResponse:
        if self.applied:
            await exchange.answer()
        return exchange.hang_up()


@attrs.frozen(kw_only=True)
class KeptAliveDrop:
    """Respond normally, then close the connection when the next request arrives on it.

    An idle timeout of a server that crosses a request looks like this. Many clients retry then, without an error.

    Attributes:
        applied: Whether the controller runs for that next request.
    """

    applied: bool = False

    async def play(self, exchange: Exchange) -> web.StreamResponse:
        exchange.connections.faults[exchange.recorded.connection] = Drop(applied=self.applied)
        return exchange.reply(await exchange.answer())


@attrs.frozen
class Slow:
    """Respond late.

    Attributes:
        seconds: The delay in seconds, after the controller ran.
    """

    seconds: float

    async def play(self, exchange: Exchange) -> web.StreamResponse:
        answer = await exchange.answer()
        await exchange.pause(self.seconds)
        return exchange.reply(answer)


@attrs.frozen
class SlowBody:
    """Send the headers immediately and the body in pieces.

    Attributes:
        seconds: The seconds for the whole body.
        pieces: The number of pieces.
    """

    seconds: float
    pieces: int = attrs.field(default=5, kw_only=True)

    async def play(self, exchange: Exchange) -> web.StreamResponse:
        answer = await exchange.answer()
        response = exchange.stream(answer)
        response.content_length = len(answer.body)
        await response.prepare(exchange.request)
        size = max(1, -(-len(answer.body) // self.pieces))
        for start in range(0, len(answer.body), size):
            await exchange.pause(self.seconds / self.pieces)
            await response.write(answer.body[start : start + size])
        return response


@attrs.frozen(kw_only=True)
class NeverAnswer:
    """Read the request and never respond.

    Attributes:
        applied: Whether the controller still runs.
    """

    applied: bool = False

    async def play(self, exchange: Exchange) -> web.StreamResponse:
        if self.applied:
            await exchange.answer()
        await exchange.pause(None)
        return exchange.hang_up()


@attrs.frozen(kw_only=True)
class Garbage:
    """Respond with bytes that are not HTTP.

    Attributes:
        data: The bytes that are sent before the connection closes.
        applied: Whether the controller runs before.
    """

    data: bytes = b"\x00\x01 this is not HTTP \xff\xfe\r\n\r\n"
    applied: bool = False

    async def play(self, exchange: Exchange) -> web.StreamResponse:
        if self.applied:
            await exchange.answer()
        transport = exchange.request.transport
        if transport is not None:
            transport.write(self.data)
        return exchange.hang_up(flush=True)


@attrs.frozen
class InvalidUtf8:
    """Respond normally, but with a byte in the JSON that is not valid UTF-8."""

    async def play(self, exchange: Exchange) -> web.StreamResponse:
        answer = await exchange.answer()
        spoiled = b'{"broken":"\xff\xfe",' + answer.body[1:]
        return exchange.reply(attrs.evolve(answer, body=spoiled))


@attrs.frozen
class Redirect:
    """Redirect to another URL, which can be on another host.

    Attributes:
        url: The target URL.
        status: The HTTP status, 3xx.
    """

    url: str
    status: int = 302

    async def play(self, exchange: Exchange) -> web.StreamResponse:
        return exchange.reply(Answer(self.status, b"", {"Location": self.url}))


@attrs.frozen(kw_only=True)
class EchoAuthorization:
    """Respond with an error whose body repeats the request's headers, including the API key.

    Attributes:
        status: The HTTP status; a 200 too is possible.
    """

    status: int = 500

    async def play(self, exchange: Exchange) -> web.StreamResponse:
        said = {"message": f"Bad request: Authorization: {exchange.request.headers.get('Authorization', '')}"}
        return exchange.reply(Answer(self.status, json.dumps(said).encode(), {"Content-Type": "application/json"}))


@attrs.define
class Sometimes:
    """Play one of several faults at random; the same seed and requests cause the same faults.

    Attributes:
        faults: The faults to choose from.
        share: The part of the requests with a fault, from 0 to 1.
        seed: The seed.
    """

    faults: Sequence[Fault]
    share: float = 0.1
    seed: int = 0
    _random: random.Random = attrs.field(
        init=False,
        repr=False,
        default=attrs.Factory(lambda self: random.Random(self.seed), takes_self=True),  # noqa: S311  no secret
    )

    async def play(self, exchange: Exchange) -> web.StreamResponse:
        is_played = self._random.random() < self.share
        return await exchange.play(self._random.choice(self.faults) if is_played else None)


@attrs.frozen
class ChangeWorld:
    """Change the state just before the response, as another user of the account would; then respond normally.

    Attributes:
        change: A function that gets the world. It runs in addition to other faults on the same request.
    """

    change: Callable[[World], object]

    async def play(self, exchange: Exchange) -> web.StreamResponse:
        self.change(exchange.world)
        return exchange.reply(await exchange.answer())


@attrs.define
class EveryNth:
    """Play another fault on every n-th request, and let the others pass.

    Attributes:
        fault: The fault.
        n: The interval n.
    """

    fault: Fault
    n: int
    _seen: int = attrs.field(init=False, default=0)

    async def play(self, exchange: Exchange) -> web.StreamResponse:
        self._seen += 1
        return await exchange.play(None if self._seen % self.n else self.fault)


NAMED: Final[dict[str, tuple[str, Callable[[float], Fault]]]] = {
    "drop": ("close the connection without a response", lambda _: Drop()),
    "drop-applied": ("carry it out, then close the connection without a response", lambda _: Drop(applied=True)),
    "kept-alive-drop": ("respond, then close the connection at its next request", lambda _: KeptAliveDrop()),
    "cut": ("close the connection in the middle of the response", lambda _: CutBody()),
    "slow": ("respond late: slow=2 is two seconds", Slow),
    "never": ("never respond", lambda _: NeverAnswer()),
    "garbage": ("respond with something that is not HTTP", lambda _: Garbage()),
    "bad-utf": ("respond with bytes that are not UTF-8", lambda _: InvalidUtf8()),
    "html": ("answer 200 with an HTML page", lambda _: Status(200, body="<!doctype html><title>Inloggen</title>")),
    "empty": ("answer 200 with nothing", lambda _: Status(200, body="")),
    "redirect": ("answer 302 to another host", lambda _: Redirect("https://elsewhere.example.test/login")),
}
"""The faults that have a name on the command line and in the control API: what each does, and how it is made."""


def named_fault(name: str, *, seconds: float = 1.0, every: int = 1) -> Fault:
    """Return a fault by its name.

    Args:
        name: One of `NAMED`, or a status from 300 to 599; `429` is a refusal as by the throttle.
        seconds: The delay of `slow` in seconds.
        every: The interval: only every n-th request has the fault.

    Raises:
        ValueError: No fault has this name.
    """
    made: Fault
    if name == "429":
        made = TooManyRequests()
    elif re.fullmatch("[345][0-9]{2}", name):
        made = Status(int(name))
    elif name in NAMED:
        made = NAMED[name][1](seconds)
    else:
        raise ValueError(f"there is no fault {name!r}; there are statuses from 300 to 599, and {', '.join(NAMED)}")
    return made if every == 1 else EveryNth(made, every)


@attrs.define
class ScheduledFault:
    """A fault that awaits its requests; see `Sandbox.fail`."""

    number: int
    method: str
    pattern: str
    fault: Fault
    times: int | None
    after: int
    said: str = ""
    matched: int = 0
    played: int = 0

    @property
    def is_pending(self) -> bool:
        """Whether it can still be played."""
        return self.times is None or self.played < self.times


class FaultSchedule:
    """The faults to come, in the order in which they were asked for."""

    def __init__(self) -> None:
        self._entries: list[ScheduledFault] = []
        self._numbers = count(1)

    def add(  # noqa: PLR0917
        self, method: str, pattern: str, fault: Fault, times: int | None, after: int, said: str = ""
    ) -> int:
        """Write down a fault and return its number; see `Sandbox.fail`."""
        number = next(self._numbers)
        self._entries.append(ScheduledFault(number, method.upper(), pattern, fault, times, after, said))
        return number

    def pending(self) -> list[ScheduledFault]:
        """Return the faults that can still be played, in the order in which they were asked for."""
        return [entry for entry in self._entries if entry.is_pending]

    def remove(self, number: int) -> bool:
        """Forget one fault; returns whether there was one of that number."""
        before = len(self._entries)
        self._entries = [entry for entry in self._entries if entry.number != number]
        return len(self._entries) < before

    def clear(self) -> None:
        """Forget all faults."""
        self._entries.clear()

    def take(self, method: str, path: str) -> tuple[list[ChangeWorld], Fault | None]:
        """Return the changes to make before this request, and the fault to play on it, if any.

        A request counts for every entry that matches it. Of several faults the first is played; changes of the world
        are all made.
        """
        changes: list[ChangeWorld] = []
        chosen: Fault | None = None
        for entry in self._entries:
            if entry.method not in {"*", method} or not fnmatchcase(path, entry.pattern):
                continue
            entry.matched += 1
            if entry.matched <= entry.after or not entry.is_pending:
                continue
            if isinstance(entry.fault, ChangeWorld):
                changes.append(entry.fault)
            elif chosen is None:
                chosen = entry.fault
            else:
                continue
            entry.played += 1
        return changes, chosen
