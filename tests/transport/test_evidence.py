"""What is known about a request when things go wrong on the wire, and what is done about it; against bare sockets."""

import asyncio
import gc
import random
import socket
from asyncio import CancelledError
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from typing import Any

import aiohttp
import pytest

from goedgepickt_async import (
    APIError,
    BudgetExhaustedError,
    ConfigurationError,
    ConnectFailedError,
    ConnectionLostError,
    DecodeError,
    Evidence,
    GoedGepickt,
    GoedGepicktError,
    Hooks,
    Lane,
    LocalBudget,
    OutcomeUnknownError,
    RateLimitedError,
    RedirectedError,
    RequestTimeoutError,
    Response,
    RetryPolicy,
    ServerError,
    TransportError,
    ValidationError,
)
from tests.support.raw_server import Exchange, raw_server
from tests.support.recording_budget import RecordingBudget
from tests.support.tables import each_row
from tests.support.virtual import loop_nanoseconds

pytestmark = pytest.mark.virtual_time

Make = Callable[..., GoedGepickt]
KEY = "a-secret-key-of-the-tests"
ONE_TRY = RetryPolicy(max_attempts=1)

WRITES = [("POST", "/orders", False), ("PUT", "/products/a/stock-mutation", False)]


async def test_a_dropped_kept_alive_connection_costs_a_second_slot_when_aiohttp_sends_again(make_client: Make) -> None:
    async def play(exchange: Exchange) -> None:
        if exchange.number == 2:
            exchange.drop()
        else:
            await exchange.answer(b"{}")

    budget = LocalBudget(100, 60, clock=loop_nanoseconds(), use_server_counter=False)
    async with raw_server(play) as server:
        client = make_client(server.url, budget=budget)
        await client.request("GET", "/a")
        answer = await client.request("GET", "/a")
    assert len(server.arrivals) == 3
    assert answer.attempts == 2
    assert budget.snapshot().used == 3


@each_row(("method", "path", "idempotent"), WRITES)
async def test_a_write_on_a_dropped_kept_alive_connection_is_not_sent_again(
    make_client: Make, method: str, path: str, idempotent: bool
) -> None:
    async def play(exchange: Exchange) -> None:
        if exchange.number == 2:
            exchange.drop()
        else:
            await exchange.answer(b"{}")

    async with raw_server(play) as server:
        client = make_client(server.url)
        await client.request("GET", "/a")
        with pytest.raises(OutcomeUnknownError) as caught:
            await client.request(method, path, json={"a": 1}, idempotent=idempotent)
    assert len(server.arrivals) == 2
    assert caught.value.evidence is Evidence.UNKNOWN
    assert caught.value.body == {"a": 1}
    assert caught.value.attempts == 1


async def test_aiohttp_alone_sends_the_same_put_twice() -> None:
    """The control: the meter prevents this."""

    async def play(exchange: Exchange) -> None:
        if exchange.number == 2:
            exchange.drop()
        else:
            await exchange.answer(b"{}")

    async with raw_server(play) as server, aiohttp.ClientSession() as session:
        async with session.get(server.url):
            pass
        async with session.put(server.url, data=b"{}"):
            pass
    assert [exchange.request_line.split()[0] for exchange in server.arrivals] == ["GET", "PUT", "PUT"]


async def test_a_call_to_a_closed_port_is_reported_as_not_sent(make_client: Make) -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    budget = LocalBudget(10, 60, clock=loop_nanoseconds())
    client = make_client(f"http://127.0.0.1:{port}/api/v1", budget=budget)
    with pytest.raises(ConnectFailedError) as caught:
        await client.request("POST", "/orders", json={})
    assert caught.value.evidence is Evidence.NOT_SENT
    assert caught.value.attempts == 0
    assert budget.snapshot().used == 0


async def test_a_host_without_an_address_is_a_connect_failure(make_client: Make) -> None:
    client = make_client("https://nowhere.invalid/api/v1", retry=ONE_TRY)
    with pytest.raises(ConnectFailedError, match=r"nowhere\.invalid"):
        await client.request("GET", "/orders")


async def test_a_write_that_was_never_sent_is_sent_again(make_client: Make, unused_port: int) -> None:
    arrived = asyncio.Event()

    async def play(exchange: Exchange) -> None:
        arrived.set()
        await exchange.answer(b"{}")

    async def serve_late() -> None:
        await asyncio.sleep(0.05)
        async with asyncio.timeout(5):
            server = await asyncio.start_server(_serving(play), "127.0.0.1", unused_port)
            async with server:
                await arrived.wait()
                await asyncio.sleep(0.05)

    client = make_client(f"http://127.0.0.1:{unused_port}/x", retry=RetryPolicy(max_attempts=100, base=0.01, cap=0.02))
    async with asyncio.TaskGroup() as group:
        group.create_task(serve_late())
        answer = await client.request("POST", "/orders", json={})
        await client.close()
    assert answer.status == 200
    assert answer.attempts == 1


def _serving(play: Callable[[Exchange], Any]) -> Any:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        await play(Exchange(1, 1, head, writer))
        await asyncio.sleep(0.02)
        writer.close()

    return serve


@pytest.fixture
def unused_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


async def _silence(_: Exchange) -> None:
    await asyncio.sleep(0)


async def _drop(exchange: Exchange) -> None:
    exchange.drop()


async def _half_a_head(exchange: Exchange) -> None:
    await exchange.send(b"HTTP/1.1 200 OK\r\nContent-Le")
    exchange.drop()


async def _half_a_body(exchange: Exchange) -> None:
    await exchange.send(b'HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{"items": [')
    exchange.writer.write_eof()
    exchange.writer.close()


async def _no_http(exchange: Exchange) -> None:
    await exchange.send(b"\x00\x01\x02 what is this?\r\n\r\n")
    exchange.drop()


async def _bad_chunks(exchange: Exchange) -> None:
    await exchange.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\nhello\r\n")
    exchange.drop()


async def _bad_gzip(exchange: Exchange) -> None:
    await exchange.answer(b"no gzip at all", "200 OK", "Content-Encoding: gzip")


@each_row(
    ("play", "evidence", "error"),
    [
        (_silence, Evidence.UNKNOWN, RequestTimeoutError),
        (_drop, Evidence.UNKNOWN, ConnectionLostError),
        (_half_a_head, Evidence.UNKNOWN, ConnectionLostError),
        (_no_http, Evidence.UNKNOWN, ConnectionLostError),
        (_half_a_body, Evidence.APPLIED, ConnectionLostError),
        (_bad_chunks, Evidence.UNKNOWN, ConnectionLostError),
        (_bad_gzip, Evidence.APPLIED, ConnectionLostError),
    ],
)
async def test_without_a_complete_response_a_read_is_sent_again_and_a_write_is_unknown(
    make_client: Make, play: Callable[[Exchange], Any], evidence: Evidence, error: type[TransportError]
) -> None:
    async with raw_server(play) as server:
        client = make_client(server.url, timeout=0.1)
        with pytest.raises(error) as read:
            await client.request("GET", "/orders")
        assert read.value.evidence is evidence
        reads = len(server.arrivals)
        assert reads >= 4
        assert read.value.attempts == reads
        with pytest.raises(OutcomeUnknownError) as write:
            await client.request("POST", "/orders", json={})
        assert write.value.evidence is evidence
        assert len(server.arrivals) == reads + 1


async def test_a_response_that_never_ends_raises_a_timeout_error(make_client: Make) -> None:
    async def play(exchange: Exchange) -> None:
        await exchange.send(b"HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n[")
        for _ in range(100):
            await exchange.send(b" ")
            await asyncio.sleep(0.01)

    async with raw_server(play) as server:
        client = make_client(server.url, timeout=0.1, retry=ONE_TRY)
        with pytest.raises(RequestTimeoutError) as caught:
            await client.request("GET", "/orders")
    assert caught.value.evidence is Evidence.APPLIED


@pytest.mark.slow
async def test_an_answer_that_is_too_large_is_refused_before_it_fills_the_memory(make_client: Make) -> None:
    async def play(exchange: Exchange) -> None:
        await exchange.answer(b"[" + b" " * 20_000_000 + b"]")

    async with raw_server(play) as server:
        client = make_client(server.url, retry=ONE_TRY)
        with pytest.raises(TransportError, match="larger than 16777216 bytes"):
            await client.request("GET", "/orders")
        roomy = make_client(server.url, max_body=30_000_000)
        assert (await roomy.request("GET", "/orders")).json == []


@each_row("location", ["http://elsewhere.example.test/login", "/login", ""])
async def test_a_redirect_is_not_followed_and_the_key_is_not_sent_along(make_client: Make, location: str) -> None:
    async def play(exchange: Exchange) -> None:
        await exchange.answer(b"", "302 Found", f"Location: {location}")

    async with raw_server(play) as server:
        with pytest.raises(RedirectedError, match="redirects"):
            await make_client(server.url).request("GET", "/orders")
    assert len(server.arrivals) == 1


async def test_a_login_page_instead_of_json_says_to_look_at_the_base_url(make_client: Make) -> None:
    async def play(exchange: Exchange) -> None:
        await exchange.send(b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: 13\r\n\r\n<html></html>")

    async with raw_server(play) as server:
        with pytest.raises(DecodeError, match="base_url"):
            await make_client(server.url).request("GET", "/orders")
    assert len(server.arrivals) == 1


@each_row(
    "body",
    [
        b"",
        b"null",
        b"[]",
        b'"text"',
        b"12",
        b'{"items": 5}',
        b'{"items": [5]}',
        b'{"items": [{}]}',
        b'{"items',
        b"\xff\xfe",
    ],
)
async def test_a_list_of_another_shape_is_a_decode_error(make_client: Make, body: bytes) -> None:
    async def play(exchange: Exchange) -> None:
        await exchange.answer(body)

    async with raw_server(play) as server:
        with pytest.raises(DecodeError) as caught:
            await make_client(server.url).orders.list().collect()
    error = caught.value
    assert error.resume is not None
    assert (error.method, error.path, error.evidence) == ("GET", "/orders", Evidence.APPLIED)
    assert error.attempts >= 1


@each_row("body", [b'{"error": "mislukt"}', b'{"errorMessage": "mislukt"}', b'{"errors": {"x": ["mislukt"]}}'])
async def test_an_error_behind_a_success_status_is_an_error(make_client: Make, body: bytes) -> None:
    async def play(exchange: Exchange) -> None:
        await exchange.answer(body)

    async with raw_server(play) as server:
        with pytest.raises(APIError, match="mislukt") as caught:
            await make_client(server.url).orders.list().collect()
        assert caught.value.status == 200
        with pytest.raises(APIError, match="mislukt"):
            await make_client(server.url).request("POST", "/orders", json={})


@each_row(
    "headers",
    [
        (),
        ("Retry-After: 0",),
        ("Retry-After: -5",),
        ("Retry-After: soon",),
        ("Retry-After: Wed, 21 Oct 2026 07:28:00 GMT", "Date: Wed, 21 Oct 2026 07:28:00 GMT"),
    ],
)
@each_row("status", ["429 Too Many Requests", "403 Forbidden", "200 OK"])
async def test_a_throttled_call_is_sent_again_with_any_headers(
    make_client: Make, headers: tuple[str, ...], status: str
) -> None:
    async def play(exchange: Exchange) -> None:
        if exchange.number == 1:
            await exchange.answer(b'{\n    "message": "Too Many Attempts."\n}', status, *headers)
        else:
            await exchange.answer(b'{"fine": true}')

    async with raw_server(play) as server:
        client = make_client(server.url, budget=LocalBudget(100, 0.05, clock=loop_nanoseconds(), safety_margin=0.01))
        method = "GET" if status.startswith("200") else "POST"
        answer = await asyncio.wait_for(client.request(method, "/orders"), 5)
    assert answer.json == {"fine": True}
    assert len(server.arrivals) == 2
    assert client.budget.snapshot().throttled == (0 if status.startswith("200") else 1)


@each_row(
    ("status", "body"),
    [
        ("200 OK", b'{"message": "Too Many Attempts."}'),
        ("200 OK", b'{"message": "ok", "reason": "Too many attempts to pick it"}'),
        ("500 Error", b'{"message": "Too many attempts to connect to the database"}'),
    ],
)
async def test_a_write_is_not_sent_again_when_a_text_only_mentions_attempts(
    make_client: Make, status: str, body: bytes
) -> None:
    async def play(exchange: Exchange) -> None:
        await exchange.answer(body, status)

    async with raw_server(play) as server:
        client = make_client(server.url, budget=LocalBudget(100, 0.05, clock=loop_nanoseconds(), safety_margin=0.01))
        with suppress(OutcomeUnknownError):
            await client.stock.mutate("p", -1, reason="Too many attempts to pick it")
    assert len(server.arrivals) == 1
    assert client.budget.snapshot().throttled == 0


@each_row("ending", ["refused", "empty budget", "429", "404"])
async def test_an_error_has_the_evidence_of_the_attempt_that_may_have_done_most(make_client: Make, ending: str) -> None:
    async def play(exchange: Exchange) -> None:
        if exchange.number == 1:
            if ending == "refused":
                server.stop_listening()
            exchange.drop()
        elif ending == "429":
            await exchange.answer(b"", "429 Too Many Requests", "Retry-After: 999999")
        else:
            await exchange.answer(b"{}", "404 Not Found")

    budget = LocalBudget(1 if ending == "empty budget" else 100, 60, use_server_counter=False)
    retry = RetryPolicy(base=0.2, cap=0.2, max_attempts=2)
    async with raw_server(play) as server:
        client = make_client(server.url, budget=budget, retry=retry, max_wait=1)
        with pytest.raises(GoedGepicktError) as caught:
            await client.request("PUT", "/products/a", json={}, idempotent=True)
    assert caught.value.evidence is (Evidence.FINAL if ending == "404" else Evidence.UNKNOWN)
    assert caught.value.attempts == (1 if ending in {"refused", "empty budget"} else 2)


async def test_a_retry_after_beyond_the_deadline_raises_an_error_immediately(make_client: Make) -> None:
    async def play(exchange: Exchange) -> None:
        await exchange.answer(b"", "503 Service Unavailable", "Retry-After: 60")

    async with raw_server(play) as server:
        async with asyncio.timeout(1):
            with pytest.raises(ServerError):
                await make_client(server.url, deadline=30).request("GET", "/a")
    assert len(server.arrivals) == 1


async def test_a_retry_waits_for_the_retry_after_of_a_server_error(make_client: Make) -> None:
    async def play(exchange: Exchange) -> None:
        moment = asyncio.get_running_loop().time()
        arrived.append(moment)
        if exchange.number == 1:
            await exchange.answer(b"", "503 Service Unavailable", "Retry-After: 1")
        else:
            await exchange.answer(b"{}")

    arrived: list[float] = []
    async with raw_server(play) as server:
        await make_client(server.url).request("GET", "/a")
    assert arrived[1] - arrived[0] >= 0.99


async def test_max_wait_holds_for_calls_that_wait_for_other_calls_of_the_same_client(make_client: Make) -> None:
    async def play(exchange: Exchange) -> None:
        await exchange.answer(b"{}")

    async with raw_server(play) as server:
        client = make_client(
            server.url, budget=LocalBudget(3, 60, clock=loop_nanoseconds(), use_server_counter=False), concurrency=2
        )
        others = [asyncio.create_task(client.request("GET", "/a")) for _ in range(50)]
        await asyncio.sleep(0.1)
        async with asyncio.timeout(2):
            with pytest.raises(BudgetExhaustedError) as caught:
                await client.with_options(max_wait=0.2).request("GET", "/a")
        assert caught.value.wait > 60
        for other in others:
            other.cancel()
        await asyncio.wait(others)


async def test_a_refusal_without_a_complete_body_is_still_a_refusal(make_client: Make) -> None:
    async def play(exchange: Exchange) -> None:
        await exchange.send(b"HTTP/1.1 422 Unprocessable\r\nContent-Length: 100\r\n\r\n{")
        await asyncio.sleep(1)

    async with raw_server(play) as server:
        with pytest.raises(ValidationError) as caught:
            await make_client(server.url, timeout=0.1).request("POST", "/orders", json={})
    assert caught.value.evidence is Evidence.FINAL


async def test_an_answer_that_is_too_large_is_not_fetched_again(make_client: Make) -> None:
    async def play(exchange: Exchange) -> None:
        await exchange.answer(b" " * 5000)

    async with raw_server(play) as server:
        with pytest.raises(TransportError):
            await make_client(server.url, max_body=1000).request("GET", "/a")
    assert len(server.arrivals) == 1


async def test_a_huge_retry_after_raises_an_error_immediately(make_client: Make) -> None:
    async def play(exchange: Exchange) -> None:
        await exchange.answer(b"", "429 Too Many Requests", "Retry-After: 99999999")

    async with raw_server(play) as server:
        with pytest.raises(RateLimitedError) as caught:
            await make_client(server.url, budget=LocalBudget(100, 60, clock=loop_nanoseconds())).request(
                "GET", "/orders"
            )
    assert caught.value.retry_after == 99999999
    assert caught.value.evidence is Evidence.REJECTED


async def test_a_throttle_that_refuses_every_attempt_ends_in_an_error(make_client: Make) -> None:
    async def play(exchange: Exchange) -> None:
        await exchange.answer(b"", "429 Too Many Requests", "Retry-After: 0")

    async with raw_server(play) as server:
        client = make_client(
            server.url,
            budget=LocalBudget(100, 0.01, clock=loop_nanoseconds(), safety_margin=0.001),
            retry=RetryPolicy(max_refusals=3),
        )
        with pytest.raises(RateLimitedError):
            await client.request("GET", "/orders")
    assert len(server.arrivals) == 4


async def test_server_errors_of_a_read_are_retried_and_of_a_write_are_unknown(make_client: Make) -> None:
    async def play(exchange: Exchange) -> None:
        await exchange.answer(b"<h1>Bad gateway</h1>", "502 Bad Gateway")

    async with raw_server(play) as server:
        client = make_client(server.url)
        with pytest.raises(ServerError) as read:
            await client.request("GET", "/orders")
        assert (read.value.status, len(server.arrivals)) == (502, 4)
        with pytest.raises(OutcomeUnknownError):
            await client.request("POST", "/orders", json={})
        assert len(server.arrivals) == 5
        with pytest.raises(ServerError):
            await client.request("PUT", "/products/a", json={}, idempotent=True)
        assert len(server.arrivals) == 9


async def test_the_retry_quota_limits_the_requests_during_an_outage(make_client: Make) -> None:
    async def play(exchange: Exchange) -> None:
        await exchange.answer(b"", "503 Service Unavailable")

    async with raw_server(play) as server:
        client = make_client(server.url, retry=RetryPolicy(base=0, quota=10))
        results = await asyncio.gather(*(client.request("GET", "/a") for _ in range(40)), return_exceptions=True)
    assert all(isinstance(result, ServerError) for result in results)
    assert len(server.arrivals) == 40 + 10


async def test_a_deadline_ends_the_whole_call_with_its_evidence(make_client: Make) -> None:
    async with raw_server(_silence) as server:
        client = make_client(server.url, deadline=0.1)
        with pytest.raises(OutcomeUnknownError) as write:
            await client.request("POST", "/orders", json={})
        assert write.value.attempts == 1
        with pytest.raises(RequestTimeoutError) as read:
            await client.request("GET", "/orders")
        assert read.value.evidence is Evidence.UNKNOWN


async def test_a_wait_beyond_the_deadline_is_refused_immediately(make_client: Make) -> None:
    async def play(exchange: Exchange) -> None:
        await exchange.answer(b"{}")

    async with raw_server(play) as server:
        client = make_client(
            server.url, budget=LocalBudget(1, 60, clock=loop_nanoseconds(), use_server_counter=False), deadline=5
        )
        await client.request("GET", "/a")
        async with asyncio.timeout(1):
            with pytest.raises(BudgetExhaustedError) as caught:
                await client.request("POST", "/orders", json={})
    assert caught.value.evidence is Evidence.NOT_SENT
    assert caught.value.wait > 50
    assert (caught.value.method, caught.value.path) == ("POST", "/orders")


async def test_waiting_for_the_budget_does_not_use_up_the_timeout(make_client: Make) -> None:
    async def play(exchange: Exchange) -> None:
        await exchange.answer(b"{}")

    async with raw_server(play) as server:
        client = make_client(
            server.url,
            budget=LocalBudget(1, 0.3, clock=loop_nanoseconds(), safety_margin=0.0, use_server_counter=False),
            timeout=0.2,
            retry=ONE_TRY,
        )
        await client.request("GET", "/a")
        answer = await client.request("GET", "/a")
    assert answer.attempts == 1


ENDINGS = {
    "answered": b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}",
    "failed": b"HTTP/1.1 503 X\r\nContent-Length: 2\r\n\r\n{}",
    "throttled": b"HTTP/1.1 429 X\r\nRetry-After: 0\r\nContent-Length: 2\r\n\r\n{}",
    "dropped": b"",
    "cut": b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{",
}


def assert_paired(events: list[tuple[str, Any]]) -> None:
    """Each call and each request that began has ended, once and before the next one."""
    stories: dict[int, list[str]] = {}
    for name, event in events:
        stories.setdefault(event.call, []).append(name)
    for story in stories.values():
        assert (story[0], story[-1], story.count("call_finished")) == ("call_started", "call_finished", 1)
        assert story[1:-1:2] == ["request"] * (len(story) // 2 - 1)
        assert "request" not in story[2:-1:2]


@pytest.mark.parametrize("how", ["cancel", pytest.param("close", marks=pytest.mark.slow)])
@pytest.mark.parametrize("first", ENDINGS)
async def test_a_call_that_is_ended_after_any_step_of_the_loop_leaks_nothing(
    make_client: Make, first: str, how: str
) -> None:
    """All slots, permits, time limits and tasks end with the call."""
    seen: list[tuple[str, Any]] = []
    names = ("call_started", "request", "response", "request_failed", "call_finished")
    hooks = Hooks(**{name: partial(lambda name, event: seen.append((name, event)), name) for name in names})

    async def play(exchange: Exchange) -> None:
        answer = ENDINGS[first if exchange.number == begun + 1 else "answered"]
        await exchange.send(answer)
        if answer[-1:] != b"}":
            exchange.drop()

    async with raw_server(play) as server:
        has_ended, steps = False, 0
        while not has_ended:
            begun, steps = len(server.arrivals), steps + 1
            budget = RecordingBudget()
            client = make_client(server.url, budget=budget, hooks=hooks, concurrency=1, retry=RetryPolicy(base=0.0))
            tasks = [asyncio.create_task(client.request(method, "/a")) for method in ("GET", "POST")]
            for _ in range(steps):
                await asyncio.sleep(0)
            has_ended = all(task.done() for task in tasks)
            if how == "close":
                await client.close()
            for task in tasks:
                assert how == "close" or task.cancel() or task.done()
            ends = await asyncio.gather(*tasks, return_exceptions=True)
            assert {type(end) for end in ends if not isinstance(end, GoedGepicktError)} <= {Response, CancelledError}
            assert len(budget.settled) == len(budget.granted)
            for held in client._sender.pipeline.sessions._by_loop.values():
                assert not held.scopes
                assert held.limits[Lane.INTERACTIVE].take_free()
            await client.close()
        assert not [task for task in asyncio.all_tasks() if "goedgepickt_async/" in repr(task)]
    assert_paired(seen)


@each_row("status", ["401 Unauthorized", "422 Unprocessable", "500 Server Error"])
async def test_a_body_that_repeats_the_key_is_shown_nowhere(make_client: Make, status: str) -> None:
    async def play(exchange: Exchange) -> None:
        text = f'{{"message": "bad key {KEY}, ask jan@example.test", "errors": {{"{KEY}": ["{KEY}"]}}}}'
        await exchange.answer(text.encode(), status)

    async with raw_server(play) as server:
        client = make_client(server.url, KEY, retry=ONE_TRY)
        with pytest.raises(APIError) as caught:
            await client.request("GET", "/orders")
    error = caught.value
    shown = (
        f"{error!r} {error} {error.args} {error.body} {error.fields} {error.__cause__!r} {client!r} {client.settings!r}"
    )
    assert KEY not in shown
    assert "jan@" not in str(error)


@each_row("path", ["https://evil.example.test/x", "//evil.example.test/x", "/../x", "/%2e%2E/x", "/x?a=1", "/x#y"])
async def test_a_raw_path_cannot_send_the_key_to_another_host(make_client: Make, path: str) -> None:
    with pytest.raises(ConfigurationError):
        await make_client("http://127.0.0.1:9/api").request("GET", path)


@pytest.mark.slow
async def test_no_exception_of_another_library_escapes_from_random_bytes(make_client: Make) -> None:
    draw = random.Random(11)
    pieces = [
        b"HTTP/1.1 200 OK\r\n",
        b"HTTP/1.1 999 \r\n",
        b"Content-Length: -1\r\n",
        b"Content-Length: 5\r\n",
        b"\r\n",
        b"{}",
    ]
    pieces += [
        b"Transfer-Encoding: chunked\r\n",
        b"Content-Encoding: br\r\n",
        b"\xff\x00",
        b"Set-Cookie: ===\r\n",
        b"0\r\n\r\n",
    ]

    async def play(exchange: Exchange) -> None:
        await exchange.send(b"".join(draw.choices(pieces, k=draw.randint(1, 6))))
        exchange.drop()

    async with raw_server(play) as server:
        client = make_client(server.url, timeout=0.3, retry=RetryPolicy(max_attempts=1))
        for _ in range(150):
            try:
                await client.request("GET", "/a")
            except GoedGepicktError as error:
                assert error.evidence is not None
    gc.collect()


@each_row("status", ["400 Bad Request", "403 Forbidden", "429 X", "500 X", "503 Service Unavailable"])
@each_row("refusals", [0, 1, 3])
async def test_the_throttle_text_has_the_same_result_with_every_error_status(
    make_client: Make, status: str, refusals: int
) -> None:
    """The number of sent requests, the evidence and the class of the error agree."""

    async def play(exchange: Exchange) -> None:
        await exchange.answer(b'{"message": "Too Many Attempts."}', status, "Retry-After: 0")

    async with raw_server(play) as server:
        client = make_client(server.url, retry=RetryPolicy(max_refusals=refusals, base=0))
        with pytest.raises(RateLimitedError) as caught:
            await client.request("POST", "/orders", json={})
    assert caught.value.evidence is Evidence.REJECTED
    assert len(server.arrivals) == caught.value.attempts == refusals + 1


async def test_a_write_with_the_throttle_text_in_a_success_is_unknown_and_sent_once(make_client: Make) -> None:
    async def play(exchange: Exchange) -> None:
        await exchange.answer(b'{"message": "Too Many Attempts."}')

    async with raw_server(play) as server:
        with pytest.raises(OutcomeUnknownError) as caught:
            await make_client(server.url).request("POST", "/orders", json={})
    assert caught.value.evidence is Evidence.UNKNOWN
    assert len(server.arrivals) == caught.value.attempts == 1


@each_row(
    ("status", "method", "sent"),
    [
        ("408 Request Timeout", "GET", 2),
        ("408 Request Timeout", "POST", 1),
        ("421 Misdirected Request", "GET", 2),
        ("421 Misdirected Request", "POST", 2),
        ("425 Too Early", "GET", 2),
        ("425 Too Early", "POST", 2),
        ("520 X", "POST", 1),
        ("409 Conflict", "GET", 1),
    ],
)
async def test_the_evidence_of_a_status_decides_whether_the_request_is_sent_again(
    make_client: Make, status: str, method: str, sent: int
) -> None:
    async def play(exchange: Exchange) -> None:
        await exchange.answer(b"<html>", *([status] if exchange.number == 1 else []))

    async with raw_server(play) as server:
        with pytest.raises(GoedGepicktError):
            await make_client(server.url, retry=RetryPolicy(base=0, max_attempts=2)).request(method, "/a")
    assert len(server.arrivals) == sent


@each_row("status", ["408 Request Timeout", "421 Misdirected Request"])
async def test_after_a_status_about_the_connection_the_next_request_takes_another_one(
    make_client: Make, status: str
) -> None:
    async def play(exchange: Exchange) -> None:
        await exchange.answer(b"{}", *([status] if exchange.number == 1 else []))

    async with raw_server(play) as server:
        await make_client(server.url, retry=RetryPolicy(base=0)).request("GET", "/a")
    assert [arrival.on_connection for arrival in server.arrivals] == [1, 1]


async def test_a_response_without_a_request_is_not_used_for_the_next_request(make_client: Make) -> None:
    async def play(exchange: Exchange) -> None:
        await exchange.answer(b"{}")
        if exchange.number == 1:  # proxies do this on an idle connection before they close it
            await exchange.answer(b"<html>", "408 Request Timeout")
            unasked.set()

    unasked = asyncio.Event()
    async with raw_server(play) as server:
        client = make_client(server.url, retry=ONE_TRY)
        for method in ("GET", "GET", "POST"):
            assert (await client.request(method, "/a")).status == 200
            await unasked.wait()
            await asyncio.sleep(0.1)


@each_row(
    ("raw", "said"),
    [
        (b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nX-A: " + b"a" * 9000 + b"\r\n\r\n{}", "8190"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\n{}", "Content-Length"),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nZZ\r\n{}\r\n0\r\n\r\n", "chunk"),
        (b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 2\r\n\r\n{}", "gzip"),
        (b"HTTP/1.1 200 OK\r\nX A: jan@example.test " + KEY.encode() + b"\r\nContent-Length: 2\r\n\r\n{}", "header"),
        (b'{"items": [{"lastName": "De Vries", "key": "' + KEY.encode() + b'"}]}\r\n\r\n', "not valid HTTP"),
        (b"HTTP/1.1 200 OK\r\nX-Name: De Vries\r\n", "before the headers were complete"),
    ],
)
async def test_the_error_for_a_broken_response_names_the_problem_without_its_bytes(
    make_client: Make, raw: bytes, said: str
) -> None:
    async def play(exchange: Exchange) -> None:
        await exchange.send(raw)
        exchange.writer.close()

    async with raw_server(play) as server:
        with pytest.raises(ConnectionLostError) as caught:
            await make_client(server.url, KEY, retry=ONE_TRY).request("GET", "/a")
    assert said.lower() in str(caught.value).lower()
    shown = f"{caught.value} {caught.value!r} {caught.value.__cause__!r}"
    assert not any(text in shown for text in (KEY, "De Vries", "jan@example.test", "aaa"))
