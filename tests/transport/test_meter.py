"""The calls of the meter to the budget, for each request on the wire; against plain sockets."""

import asyncio
import traceback
from collections.abc import Awaitable, Callable, Iterator
from contextlib import suppress
from typing import Any

import aiohttp
import pytest

from goedgepickt_async import (
    ConnectionLostError,
    GoedGepickt,
    GoedGepicktError,
    LocalBudget,
    OutcomeUnknownError,
    RateLimitedError,
    RequestTimeoutError,
    RetryPolicy,
    ServerError,
)
from goedgepickt_async.budget.protocol import Answered, Budget, Lost, NeverSent, Refused
from goedgepickt_async.budget.slots import Lane
from tests.support.raw_server import Exchange, raw_server
from tests.support.recording_budget import Asked, RecordingBudget
from tests.support.tables import each_row
from tests.support.virtual import loop_nanoseconds

pytestmark = pytest.mark.virtual_time

Make = Callable[..., GoedGepickt]
Play = Callable[[Exchange], Awaitable[None]]
ONE_TRY = RetryPolicy(max_attempts=1, max_refusals=0)
KEY = "a-secret-key-of-the-tests"


def rate(limit: int | str, remaining: int | str) -> tuple[str, str]:
    return f"X-RateLimit-Limit: {limit}", f"X-RateLimit-Remaining: {remaining}"


def answering(status: str, *headers: str, body: bytes = b"{}") -> Play:
    async def play(exchange: Exchange) -> None:
        await exchange.answer(body, status, *headers)

    return play


async def settled_with(make_client: Make, play: Play, **options: Any) -> RecordingBudget:
    """The budget after one attempt at a GET."""
    budget = RecordingBudget()
    async with raw_server(play) as server:
        client = make_client(server.url, **({"budget": budget, "retry": ONE_TRY, "timeout": 5} | options))
        with suppress(GoedGepicktError):
            await client.request("GET", "/a")
        await client.close()
    return budget


def test_the_budget_that_records_is_a_budget() -> None:
    assert isinstance(RecordingBudget(), Budget)


@each_row(
    ("status", "headers", "outcome"),
    [
        ("200 OK", rate(150, 149), Answered(1)),
        ("200 OK", rate(150, 0), Answered(150)),
        ("200 OK", rate(150, -3), Answered(150)),
        ("200 OK", ("x-ratelimit-limit: 150", "x-ratelimit-remaining: 100"), Answered(50)),
        ("200 OK", rate(60, 3), Answered(None)),
        ("200 OK", rate("much", "little"), Answered(None)),
        ("200 OK", (), Answered(None)),
        ("302 Found", ("Location: /login",), Answered(None)),
        ("404 Not Found", rate(150, 100), Answered(50)),
        ("422 Unprocessable", (), Answered(None)),
        ("500 Server Error", rate(150, 100), Answered(50)),
        ("503 Service Unavailable", rate(60, 10), Answered(None)),
        ("500 Server Error", (), Lost()),
        ("502 Bad Gateway", (), Lost()),
        ("503 Service Unavailable", ("Retry-After: 1",), Lost()),
        ("504 Gateway Timeout", (), Lost()),
        ("599 Whatever", (), Lost()),
        ("429 Too Many Requests", ("Retry-After: 7", *rate(150, 0)), Refused(7)),
        ("429 Too Many Requests", ("Retry-After: 0",), Refused(0)),
        ("429 Too Many Requests", ("Retry-After: soon",), Refused(None)),
        ("429 Too Many Requests", (), Refused(None)),
        (
            "429 Too Many Requests",
            ("Retry-After: Wed, 21 Oct 1998 07:28:09 GMT", "Date: Wed, 21 Oct 1998 07:28:00 GMT"),
            Refused(9),
        ),
        ("429 Too Many Requests", ("Retry-After: 99999999",), Refused(99999999)),
    ],
)
async def test_the_status_and_headers_of_a_response_settle_the_slot(
    make_client: Make, status: str, headers: tuple[str, ...], outcome: object
) -> None:
    budget = await settled_with(make_client, answering(status, *headers))
    assert budget.outcomes == [outcome]


async def test_a_gateway_error_holds_the_slot_while_the_request_may_still_be_counted(make_client: Make) -> None:
    budget = LocalBudget(1, 60, clock=loop_nanoseconds(), safety_margin=1, late_arrival=30, use_server_counter=False)
    async with raw_server(answering("502 Bad Gateway")) as server:
        with pytest.raises(ServerError):
            await make_client(server.url, budget=budget, retry=ONE_TRY).request("GET", "/a")
    assert (budget.snapshot().next_free_in or 0) > 85


async def test_a_request_is_lost_after_sending_and_never_sent_without_a_connection(make_client: Make) -> None:
    async def drop(exchange: Exchange) -> None:
        exchange.drop()

    budget = await settled_with(make_client, drop)
    assert set(budget.outcomes) == {Lost()}
    assert len(budget.outcomes) == 2  # aiohttp sends a GET again by itself
    async with raw_server(drop) as server:
        url = server.url
    unreachable = RecordingBudget()
    with pytest.raises(GoedGepicktError):
        await make_client(url, budget=unreachable, retry=ONE_TRY).request("GET", "/a")
    assert unreachable.outcomes == [NeverSent()]


@each_row("sent", [True, False])
async def test_a_call_that_is_cancelled_settles_its_slot(make_client: Make, sent: bool) -> None:
    arrived = asyncio.Event()

    async def silence(_: Exchange) -> None:
        arrived.set()

    budget = RecordingBudget()
    async with raw_server(silence) as server:
        call = asyncio.create_task(make_client(server.url, budget=budget).request("GET", "/a"))
        await budget.has_granted.wait()
        if sent:
            await arrived.wait()
        call.cancel()
        await asyncio.wait([call])
    assert budget.outcomes == [Lost() if sent else NeverSent()]


async def test_a_slot_is_settled_at_the_headers_not_at_the_end_of_the_body(make_client: Make) -> None:
    budget = RecordingBudget()

    async def play(exchange: Exchange) -> None:
        await exchange.send(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{")
        await budget.has_settled.wait()
        await exchange.send(b"}")

    async with raw_server(play) as server:
        answer = await make_client(server.url, budget=budget, timeout=2, retry=ONE_TRY).request("GET", "/a")
    assert answer.json == {}
    assert budget.outcomes == [Answered(None)]


async def test_an_incomplete_body_does_not_change_the_outcome_of_the_slot(make_client: Make) -> None:
    async def play(exchange: Exchange) -> None:
        await exchange.send(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{")
        exchange.drop()

    budget = await settled_with(make_client, play)
    assert Answered(None) in budget.outcomes


async def test_the_budget_gets_the_timeout_of_an_attempt(make_client: Make) -> None:
    budget = await settled_with(make_client, answering("200 OK"), timeout=3.5)
    assert budget.asked == [Asked(Lane.INTERACTIVE, 3.5, None, None)]


@each_row("lane", Lane)
async def test_the_budget_gets_the_lane_and_the_longest_wait_of_the_settings(make_client: Make, lane: Lane) -> None:
    budget = await settled_with(make_client, answering("200 OK"), lane=lane.name, max_wait=2.5)
    (asked,) = budget.asked
    assert asked.lane is lane
    assert 2 < (asked.max_wait or 0) <= 2.5


@each_row("status", ["429 Too Many Requests", "503 Service Unavailable"])
async def test_a_call_that_is_sent_again_keeps_its_place(make_client: Make, status: str) -> None:
    async def play(exchange: Exchange) -> None:
        if exchange.number < 3:
            await exchange.answer(b"", status, "Retry-After: 0")
        else:
            await exchange.answer(b"{}")

    budget = RecordingBudget()
    async with raw_server(play) as server:
        answer = await make_client(server.url, budget=budget).request("GET", "/a")
    assert answer.attempts == 3
    assert [asked.place for asked in budget.asked] == [None, 101, 101]


async def test_a_request_that_aiohttp_sends_again_keeps_its_place(make_client: Make) -> None:
    async def play(exchange: Exchange) -> None:
        if exchange.number == 2:
            exchange.drop()
        else:
            await exchange.answer(b"{}")

    budget = RecordingBudget()
    async with raw_server(play) as server:
        client = make_client(server.url, budget=budget)
        await client.request("GET", "/a")
        await client.request("GET", "/a")
    assert budget.outcomes == [Answered(None), Lost(), Answered(None)]
    assert [asked.place for asked in budget.asked] == [None, None, 102]


async def test_two_calls_have_two_places(make_client: Make) -> None:
    budget = RecordingBudget()
    async with raw_server(answering("200 OK")) as server:
        client = make_client(server.url, budget=budget)
        await asyncio.gather(*(client.request("GET", "/a") for _ in range(5)))
    assert [asked.place for asked in budget.asked] == [None] * 5


async def test_the_throttle_text_with_another_status_pauses_the_budget_for_its_retry_after(make_client: Make) -> None:
    """The slot was settled at the headers; the text comes after."""

    async def play(exchange: Exchange) -> None:
        if exchange.number == 1:
            await exchange.answer(b'{"message": "Too Many Attempts."}', "403 Forbidden", "Retry-After: 4")
        else:
            await exchange.answer(b"{}")

    budget = RecordingBudget()
    async with raw_server(play) as server:
        await make_client(server.url, budget=budget).request("POST", "/a", json={})
    assert budget.pauses == [4]
    assert budget.outcomes == [Answered(None), Answered(None)]


async def test_a_429_pauses_the_budget_once(make_client: Make) -> None:
    async def play(exchange: Exchange) -> None:
        if exchange.number == 1:
            await exchange.answer(b'{"message": "Too Many Attempts."}', "429 Too Many Requests", "Retry-After: 4")
        else:
            await exchange.answer(b"{}")

    budget = RecordingBudget()
    async with raw_server(play) as server:
        await make_client(server.url, budget=budget).request("POST", "/a", json={})
    assert budget.pauses == []
    assert budget.outcomes == [Refused(4), Answered(None)]


async def test_a_server_error_with_too_long_a_pause_is_raised_immediately(make_client: Make) -> None:
    async with raw_server(answering("503 Service Unavailable", "Retry-After: 121")) as server:
        async with asyncio.timeout(2):
            with pytest.raises(ServerError):
                await make_client(server.url, retry=RetryPolicy(base=0.001)).request("GET", "/a")
    assert len(server.arrivals) == 1


async def test_a_429_with_too_long_a_pause_is_raised_immediately(make_client: Make) -> None:
    async with raw_server(answering("429 Too Many Requests", "Retry-After: 121")) as server:
        with pytest.raises(RateLimitedError) as caught:
            await make_client(server.url, budget=RecordingBudget()).request("GET", "/a")
    assert caught.value.retry_after == 121
    assert len(server.arrivals) == 1


def chained(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        yield from chained(error.__context__)
        error = error.__cause__


def shown(error: BaseException) -> str:
    """All visible parts of an exception: its traceback, and the attributes of each exception in the chain."""
    parts = traceback.format_exception(error)
    for link in chained(error):
        parts += [repr(link), str(link), repr(link.args), repr(vars(link))]
        info = getattr(link, "request_info", None)
        parts.append(repr(getattr(info, "headers", None)))
    return "\n".join(parts)


async def _no_http(exchange: Exchange) -> None:
    await exchange.send(b"\x00\x01\x02 what is this?\r\n\r\n")
    exchange.drop()


async def _bad_chunks(exchange: Exchange) -> None:
    await exchange.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\nhello\r\n")
    exchange.drop()


async def _bad_gzip(exchange: Exchange) -> None:
    await exchange.answer(b"no gzip at all", "200 OK", "Content-Encoding: gzip")


async def _drop(exchange: Exchange) -> None:
    exchange.drop()


async def _silence(_: Exchange) -> None:
    await asyncio.sleep(0)


@each_row("play", [_no_http, _bad_chunks, _bad_gzip, _drop, _silence, answering("500 Error")])
@each_row("method", ["GET", "POST"])
async def test_no_exception_in_the_chain_holds_the_key(make_client: Make, play: Play, method: str) -> None:
    async with raw_server(play) as server:
        client = make_client(server.url, KEY, timeout=0.1, retry=ONE_TRY)
        with pytest.raises((ConnectionLostError, RequestTimeoutError, ServerError, OutcomeUnknownError)) as caught:
            await client.request(method, "/a")
    assert KEY not in shown(caught.value)


async def test_control_aiohttps_own_exception_holds_the_key() -> None:
    async with raw_server(_no_http) as server, aiohttp.ClientSession() as session:
        with pytest.raises(aiohttp.ClientResponseError) as caught:
            await session.get(server.url, headers={"Authorization": f"Bearer {KEY}"})
    assert KEY in shown(caught.value)
