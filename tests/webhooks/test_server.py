"""The server of a receiver: what callers without a secret cost it, and that others are still served."""

import asyncio
import gzip
import logging
import socket
import ssl
import zlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from goedgepickt_async import ConfigurationError
from goedgepickt_async.webhooks import DeliveryEndpoint, ReceivedDelivery, WebhookResponse, sign
from goedgepickt_async.webhooks.server import _MAX_RECEIVED, DeliveryServer, _Connections, _source
from tests.support.tables import each_row
from tests.webhooks.support import SECRET, Clock, stock, until

BODY = stock()


class Accepted:
    """An endpoint that writes down what it accepted, and its server."""

    def __init__(self, **options: Any) -> None:
        self.came: list[ReceivedDelivery] = []
        self.endpoint = DeliveryEndpoint(SECRET, self._accept, **options)

    async def _accept(self, delivery: ReceivedDelivery) -> WebhookResponse:
        self.came.append(delivery)
        return WebhookResponse(200, "accepted")

    @asynccontextmanager
    async def serving(self, **options: Any) -> AsyncIterator[int]:
        async with DeliveryServer(self.endpoint, path="/hook", **options) as server:
            yield int(server.url.split(":")[2].split("/")[0])


def request(body: bytes, signature: str | None = None, *headers: str, length: int | None = None) -> bytes:
    lines = [
        "POST /hook HTTP/1.1",
        "Host: x",
        f"Signature: {sign(body, SECRET) if signature is None else signature}",
        f"Content-Length: {len(body) if length is None else length}",
        *headers,
    ]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


async def send(port: int, data: bytes, source: str = "127.0.0.1") -> int:
    """The status of the answer; 0 if the connection was closed without one."""
    async with asyncio.timeout(30):
        reader, writer = await asyncio.open_connection("127.0.0.1", port, local_addr=(source, 0))
        try:
            writer.write(data)
            answer = await reader.read(12)
        except ConnectionError:
            return 0
        finally:
            writer.close()
        return int(answer[9:12] or 0)


def is_closed(reader: asyncio.StreamReader) -> bool:
    return reader.at_eof() or reader.exception() is not None


@each_row("secret", [SECRET, "another"])
async def test_a_caller_that_closes_its_half_after_the_request_is_answered(secret: str) -> None:
    accepted = Accepted()
    async with accepted.serving() as port, asyncio.timeout(30):
        for data in (request(BODY, sign(BODY, secret)), request(BODY, sign(BODY, secret), length=len(BODY) + 1)):
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(data)
            writer.write_eof()
            answer = await reader.read()
            writer.close()
            is_whole = data == request(BODY, sign(BODY, secret))
            assert answer[9:12] == (b"" if not is_whole else b"200" if secret == SECRET else b"401")
    assert [one.body for one in accepted.came] == ([BODY] if secret == SECRET else [])


async def test_it_answers_and_keeps_the_connection() -> None:
    accepted = Accepted()
    async with accepted.serving() as port:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        for _ in range(3):
            writer.write(request(BODY))
            assert (await reader.readuntil(b"accepted")).startswith(b"HTTP/1.1 200")
        writer.close()
    assert [one.body for one in accepted.came] == [BODY] * 3


@pytest.mark.parametrize("sent", [b"", b"POST /hook HTTP/1.1\r\nX:", b"POST /hook HTTP/1.1\r\nHost: x\r\n"])
async def test_connections_that_send_no_request_do_not_keep_others_out(
    sent: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    accepted = Accepted()
    async with accepted.serving(max_connections=20) as port:
        idle = []
        for _ in range(100):
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(sent)
            idle.append((reader, writer))
        for _ in range(20):
            assert await send(port, request(BODY)) == 200
        await until(lambda: sum(is_closed(reader) for reader, _ in idle) >= 80)
        for _, writer in idle:
            writer.close()
    assert len(caplog.records) <= 1, caplog.text


async def test_connections_that_never_finish_a_body_do_not_keep_others_out() -> None:
    accepted = Accepted()
    async with accepted.serving(max_connections=10) as port:
        writers = []
        for _ in range(40):
            _, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(request(b"{", "0" * 64, length=1000))
            writers.append(writer)
        for _ in range(10):
            assert await send(port, request(BODY)) == 200
        for writer in writers:
            writer.close()


async def test_a_connection_without_complete_headers_is_closed_after_a_while() -> None:
    accepted = Accepted()
    async with accepted.serving(header_timeout=0.2) as port:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(b"POST /hook HTTP/1.1\r\nHost:")
        async with asyncio.timeout(30):
            while not reader.at_eof():  # a few bytes now and then do not help
                writer.write(b" x")
                await asyncio.sleep(0.02)
                if reader.exception() is not None:
                    break
        writer.close()


async def test_a_body_that_takes_too_long_is_a_408() -> None:
    accepted = Accepted(body_timeout=0.1)
    async with accepted.serving() as port:
        assert await send(port, request(b"{", "0" * 64, length=1000)) == 408


@each_row("tls", [False, True])
async def test_a_first_request_is_accepted_however_it_is_cut_and_written(tls: bool) -> None:
    accepted = Accepted()
    context = None
    if tls:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(Path(__file__).parents[1] / "support" / "localhost.pem")
    client = ssl._create_unverified_context() if tls else None
    whole = request(BODY)
    chunked = request(b"", sign(BODY, SECRET), "Transfer-Encoding: chunked").replace(b"Content-Length: 0\r\n", b"")
    chunked += b"%x\r\n%b\r\n0\r\n\r\n" % (len(BODY), BODY)
    ways = [
        [whole],
        [whole[number : number + 1] for number in range(len(whole))],
        [whole[:-1], whole[-1:]],
        [whole.replace(b"Signature: ", b"sIGNATURE:\t").replace(b"/hook", b"/hook?a=b")],
        [whole.replace(b"/hook", b"/%68ook")],
        [whole.replace(b"/hook", b"http://x/hook")],
        [whole.replace(b"1.1", b"1.0", 1)],
        [chunked],
    ]
    async with DeliveryServer(accepted.endpoint, path="/hook", ssl_context=context) as server:
        port = int(server.url.split(":")[2].split("/")[0])
        for way in ways:
            reader, writer = await asyncio.open_connection("127.0.0.1", port, ssl=client)
            for data in way:
                writer.write(data)
                await writer.drain()
                await asyncio.sleep(0)
            assert (await reader.readuntil(b"\r\n")).endswith(b"200 OK\r\n"), way
            writer.close()
        reader, writer = await asyncio.open_connection("127.0.0.1", port, ssl=client)
        writer.write(request(BODY, None, "Expect: 100-continue").removesuffix(BODY))
        assert b" 100 " in await reader.readuntil(b"\r\n\r\n")
        writer.write(BODY)
        assert b" 200 " in await reader.readuntil(b"\r\n")
        writer.close()
    assert [one.body for one in accepted.came] == [BODY] * (len(ways) + 1)


@pytest.mark.parametrize("headers", [(), ("Expect: 100-continue",), ("Transfer-Encoding: chunked",)])
async def test_bodies_that_are_never_finished_do_not_fill_the_memory(
    monkeypatch: pytest.MonkeyPatch, headers: tuple[str, ...]
) -> None:
    monkeypatch.setattr("goedgepickt_async.webhooks.server._MAX_RECEIVED", 100_000)
    accepted = Accepted(body_timeout=3600.0)
    body = b"x" * 20_000
    data = request(body, "0" * 64, *headers, length=30_000)
    if "Transfer-Encoding: chunked" in headers:
        data = data.replace(b"Content-Length: 30000\r\n", b"").replace(body, b"%x\r\n" % len(body) + body + b"\r\n")
    async with accepted.serving() as port:
        streams = [await asyncio.open_connection("127.0.0.1", port) for _ in range(20)]
        for _, writer in streams:
            writer.write(data)
            assert await send(port, request(BODY)) == 200
        ends = [asyncio.ensure_future(reader.read()) for reader, _ in streams]
        await until(lambda: sum(end.done() for end in ends) >= 14)
        for _, writer in streams:
            writer.close()
        await asyncio.gather(*ends, return_exceptions=True)


def test_bytes_that_are_not_kept_any_more_count_no_longer() -> None:
    connections = _Connections(8, Clock())
    one, other = (connections.add(name, lambda: None) for name in "ab")
    assert one is not None
    assert other is not None
    for _ in range(10):
        connections.count(one, _MAX_RECEIVED)
        connections.release(one)
    other.received += b"x" * 10
    connections.count(other, 10)
    assert (connections.take_received(other), other.size) == (b"x" * 10, 0)
    connections.count(one, _MAX_RECEIVED)
    assert len(connections) == 2
    connections.count(other, 1)
    assert (len(connections), one.size) == (1, 0)


async def test_a_caller_with_http_1_0_is_sent_no_100() -> None:
    """RFC 9110, section 10.1.1."""
    accepted = Accepted()
    async with accepted.serving() as port:
        assert await send(port, request(BODY, None, "Expect: 100-continue").replace(b"1.1", b"1.0", 1)) == 200


async def test_an_empty_line_before_the_request_line_is_ignored() -> None:
    """RFC 9112, section 2.2: a server should ignore at least one empty line there."""
    accepted = Accepted()
    async with accepted.serving() as port:
        assert await send(port, b"\r\n" + request(BODY)) == 200
        assert await send(port, b"\r\n" + request(BODY, "0" * 64)) == 401


async def test_a_connection_that_delivered_outlives_those_that_did_not() -> None:
    accepted = Accepted()
    async with accepted.serving(max_connections=8) as port:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(request(BODY))
        await reader.readuntil(b"accepted")
        idle = [(await asyncio.open_connection("127.0.0.1", port))[1] for _ in range(50)]
        assert await send(port, request(BODY)) == 200
        writer.write(request(BODY))
        await reader.readuntil(b"accepted")
        for one in (writer, *idle):
            one.close()
    assert len(accepted.came) == 3


def test_connections_of_an_address_that_delivered_are_closed_after_all_others() -> None:
    clock, closed = Clock(), set()
    connections = _Connections(10, clock)

    def add(address: str) -> Any:
        clock.now += 1
        return connections.add(address, lambda: closed.add(address))

    genuine = add("genuine")
    connections.remember(genuine)
    connections.remove(genuine)
    add("genuine")
    for number in range(1000):
        add(f"attacker-{number}")
    assert closed == {f"attacker-{number}" for number in range(991)}
    for number in range(2000):  # old addresses are forgotten
        connections.remember(add(f"attacker-{number}"))
    assert len(connections._signers) == 1000


def test_an_ipv6_network_counts_as_one_address() -> None:
    assert _source(("2001:db8::1%eth0", 1, 0, 0)) == _source(("2001:db8:0:0:ffff::2", 2, 0, 0))
    assert _source(("2001:db8::1", 1, 0, 0)) != _source(("2001:db8:0:1::1", 1, 0, 0))
    assert _source(("127.0.0.1", 1)) != _source(("127.0.0.2", 1))


def test_the_oldest_idle_connection_goes_first_and_one_in_use_never() -> None:
    clock, closed = Clock(), []
    connections = _Connections(4, clock)

    def add(address: str, name: str) -> Any:
        clock.now += 1
        return connections.add(address, lambda: closed.append(name))

    busy, reading = add("a", "busy"), add("b", "reading")
    connections.enter(busy, "busy")
    connections.enter(reading, "reading")
    assert add("c", "third") is not None
    assert add("d", "fourth") is not None
    assert add("e", "fifth") is not None
    assert closed == ["third"]
    for number in range(10):
        assert add(f"f{number}", "idle") is not None
    assert "busy" not in closed
    for connection in list(connections._open):
        connections.enter(connection, "busy")
    assert add("g", "late") is None, "all are in use"


def test_one_address_cannot_push_out_other_addresses() -> None:
    clock, closed = Clock(), []
    connections = _Connections(10, clock)
    others = [connections.add(f"other-{number}", lambda: closed.append("other")) for number in range(5)]
    for _ in range(100):
        clock.now += 1
        assert connections.add("attacker", lambda: closed.append("attacker"))
    assert len(others) == 5
    assert set(closed) == {"attacker"}
    assert len(connections) == 10


async def test_ten_thousand_connections_leave_nothing_behind() -> None:
    connections = _Connections(10, Clock())
    for number in range(10_000):
        connection = connections.add(str(number), lambda: None)
        assert connection is not None
        if number % 2:
            connections.remove(connection)
            connections.remove(connection)
    assert len(connections) <= 10
    assert sum(connections._by_address.values()) == len(connections)
    assert len(connections._by_address) <= 10


# -- what is compressed, and what is malformed --------------------------------------------------------------------


@each_row(("encoding", "window"), [("gzip", 31), ("deflate", 15)])
async def test_a_compressed_body_is_verified_as_it_arrived_and_then_decompressed(encoding: str, window: int) -> None:
    compressor = zlib.compressobj(9, zlib.DEFLATED, window)
    compressed = compressor.compress(BODY) + compressor.flush()
    accepted = Accepted()
    async with accepted.serving() as port:
        header = f"Content-Encoding: {encoding}"
        assert await send(port, request(compressed, None, header)) == 200
        assert await send(port, request(compressed, sign(BODY, SECRET), header)) == 401
    (one,) = accepted.came
    assert (one.body, one.raw_body) == (BODY, compressed)


@each_row(
    ("body", "encoding", "status"),
    [
        (gzip.compress(b"0" * 300_000, mtime=0), "gzip", 413),
        (gzip.compress(BODY, mtime=0)[:-9], "gzip", 400),
        (gzip.compress(BODY, mtime=0) + b"more", "gzip", 400),
        (b"not compressed", "gzip", 400),
        (BODY, "br", 415),
        (BODY, "gzip, gzip", 415),
        (BODY, "identity", 200),
    ],
)
async def test_a_signed_body_is_decompressed_within_the_limit_only(body: bytes, encoding: str, status: int) -> None:
    accepted = Accepted()
    async with accepted.serving() as port:
        assert await send(port, request(body, None, f"Content-Encoding: {encoding}")) == status


@pytest.mark.slow
async def test_an_unsigned_bomb_is_not_decompressed(monkeypatch: pytest.MonkeyPatch) -> None:
    compressor = zlib.compressobj(9, zlib.DEFLATED, 31)
    bomb = (compressor.compress(bytes(10_000_000)) + compressor.flush()) * 10  # 100 MB, in ten members
    accepted = Accepted()
    monkeypatch.setattr(zlib, "decompressobj", pytest.fail)
    async with accepted.serving() as port:
        for _ in range(10):
            assert await send(port, request(bomb, "0" * 64, "Content-Encoding: gzip")) == 401
        assert await send(port, request(bomb * 3, "0" * 64, "Content-Encoding: gzip")) in {413, 0}
        assert await send(port, request(BODY)) == 200


@pytest.mark.parametrize(
    "data",
    [
        b"\x00\x01\x02\r\n\r\n",
        b"GET\r\n\r\n",
        b"POST /hook HTTP/9.9\r\n\r\n",
        request(BODY, "0" * 64, "Content-Length: 7"),
        request(BODY, "0" * 64, "Transfer-Encoding: chunked"),
        b"POST /hook HTTP/1.1\r\nHost: x\r\nContent-Length: -1\r\n\r\n",
        b"POST /hook HTTP/1.1\r\nHost: x\r\n" + b"X: " + b"y" * 100_000 + b"\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(200) + b"\r\n\r\n",
    ],
)
async def test_malformed_requests_write_one_line_per_minute_and_no_traceback(
    data: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    accepted = Accepted()
    async with accepted.serving() as port:
        for _ in range(20):
            assert await send(port, data) in {400, 401, 0}
        assert await send(port, request(BODY)) == 200
    records = [record for record in caplog.records if record.name != "asyncio"]
    assert len(records) <= 1, caplog.text
    assert "Traceback" not in caplog.text


@each_row(
    ("data", "status"),
    [
        (b"GET /hook HTTP/1.1\r\nHost: x\r\n\r\n", 405),
        (b"POST /other HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n", 404),
        (request(BODY, ""), 401),
        (request(BODY, "0" * 64), 401),
        (request(b"x" * 300_000, "0" * 64), 413),
    ],
)
async def test_a_caller_that_gets_it_wrong_keeps_no_connection(data: bytes, status: int) -> None:
    accepted = Accepted()
    async with accepted.serving() as port, asyncio.timeout(30):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(data)
        answer = await reader.read()  # until it is closed
        assert int(answer[9:12]) == status
        writer.close()


# -- the rest -----------------------------------------------------------------------------------------------------


async def test_it_is_found_at_each_address_of_its_host() -> None:
    accepted = Accepted()
    async with DeliveryServer(accepted.endpoint, "localhost", path=None) as server:
        port = int(server.url.split(":")[2].rstrip("/"))
        infos = await asyncio.get_running_loop().getaddrinfo("localhost", port, type=socket.SOCK_STREAM)
        for host in {str(info[4][0]) for info in infos}:
            _, writer = await asyncio.open_connection(host, port)
            writer.close()


async def test_what_is_in_flight_is_answered_when_it_stops() -> None:
    waiting, go_on = asyncio.Event(), asyncio.Event()

    async def accept(_: ReceivedDelivery) -> WebhookResponse:
        waiting.set()
        await go_on.wait()
        return WebhookResponse(200, "accepted")

    async with DeliveryServer(DeliveryEndpoint(SECRET, accept), path="/hook") as server:
        port = int(server.url.split(":")[2].split("/")[0])
        _, idle = await asyncio.open_connection("127.0.0.1", port)
        sending = asyncio.create_task(send(port, request(BODY)))
        await waiting.wait()
        asyncio.get_running_loop().call_later(0.1, go_on.set)
    assert await sending == 200
    idle.close()
    with pytest.raises(ConnectionError):
        await send(port, request(BODY))


@each_row(
    "options",
    [
        *({"max_connections": number} for number in (0, -1, True, "many", 2.5)),
        *({"port": port} for port in (-1, 65_536, "80", 80.5, True)),
        *({"path": path} for path in ("", "hook", "/a b", "/hook?a=b", "/hook#a", b"/hook", 5)),
        *({"host": host} for host in ("a..b.example.test", "x" * 300, "no\0name", None, 5)),
    ],
    ids=str,
)
async def test_where_it_cannot_listen_is_refused(options: dict[str, Any]) -> None:
    with pytest.raises(ConfigurationError):
        async with DeliveryServer(Accepted().endpoint, **options):
            pass


async def test_evicted_connections_are_reported_once(caplog: pytest.LogCaptureFixture) -> None:
    accepted = Accepted()
    async with accepted.serving(max_connections=2, header_timeout=2.0) as port:
        writers = [(await asyncio.open_connection("127.0.0.1", port))[1] for _ in range(30)]
        await until(lambda: "connections" in caplog.text, 30)
        for writer in writers:
            writer.close()
    assert len(caplog.records) == 1
