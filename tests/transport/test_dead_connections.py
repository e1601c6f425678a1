"""Writes never go out on a pooled connection that the server has closed; against a server in a separate thread.

The server closes its connections while the test holds the event loop. So the loop cannot have read the end of them.
"""

import asyncio
import os
import signal
import socket
import ssl
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from aiohttp.abc import AbstractResolver

from goedgepickt_async import (
    ConnectFailedError,
    Evidence,
    GoedGepickt,
    GoedGepicktError,
    OutcomeUnknownError,
    RetryPolicy,
)
from goedgepickt_async._transport import session as transport_session
from tests.support.tables import each_row

Make = Callable[..., GoedGepickt]
WRITES = ("POST", "PUT", "PATCH")


class ThreadedServer:
    """Answers `{}` to each request; `close_connections` returns when they are closed."""

    def __init__(self, *, close_immediately: bool = False, tls: ssl.SSLContext | None = None) -> None:
        self.methods: list[str] = []
        self.connections: list[socket.socket] = []
        self._close_immediately = close_immediately
        self._tls = tls
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                connection, _ = self._listener.accept()
                threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        with suppress(OSError):
            if self._tls is not None:
                connection = self._tls.wrap_socket(connection, server_side=True)
            self.connections.append(connection)
            received = b""
            while True:
                while b"\r\n\r\n" not in received:
                    data = connection.recv(65536)
                    if not data:
                        return
                    received += data
                head, _, received = received.partition(b"\r\n\r\n")
                length = [line for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:")]
                wanted = int(length[0].split(b":")[1]) if length else 0
                while len(received) < wanted:
                    received += connection.recv(65536)
                received = received[wanted:]
                self.methods.append(head.split(b" ")[0].decode())
                connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{}")
                if self._close_immediately:
                    _close(connection)
                    return

    def close_connections(self) -> None:
        while self.connections:
            _close(self.connections.pop())

    def close(self) -> None:
        self._listener.close()
        self.close_connections()


def _close(connection: socket.socket) -> None:
    with suppress(OSError):
        connection.shutdown(socket.SHUT_RDWR)
    connection.close()


@contextmanager
def serving(*, close_immediately: bool = False) -> Iterator[tuple[ThreadedServer, str]]:
    server = ThreadedServer(close_immediately=close_immediately)
    try:
        yield server, f"http://127.0.0.1:{server.port}/api"
    finally:
        server.close()


@pytest.mark.parametrize("method", WRITES)
@pytest.mark.parametrize("quiet", [0.0, 0.05])
async def test_a_write_uses_a_new_connection_after_the_server_closed_while_the_loop_was_blocked(
    make_client: Make, method: str, quiet: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(transport_session, "_QUIET", quiet)
    with serving() as (server, url):
        client = make_client(url, retry=RetryPolicy(max_attempts=1))
        for _ in range(3):
            await client.request("GET", "/a")
            server.close_connections()
            answer = await client.request(method, "/b", json={"a": 1})
            assert answer.attempts == 1
            server.close_connections()
    assert [name for name in server.methods if name != "GET"] == [method] * 3


@pytest.mark.slow
async def test_a_write_directly_after_a_response_is_sent_if_the_server_closes_without_notice(
    make_client: Make,
) -> None:
    with serving(close_immediately=True) as (server, url):
        client = make_client(url, retry=RetryPolicy(base=0))  # a read may meet two closed connections in the pool
        for _ in range(50):
            await client.request("GET", "/a")
            await client.request("POST", "/b", json={})
    assert server.methods.count("POST") == 50


async def test_a_write_on_a_borrowed_session_is_sent_after_the_server_closed(make_client: Make) -> None:
    with serving() as (server, url):
        async with aiohttp.ClientSession() as http:
            client = make_client(url, session=http, retry=RetryPolicy(max_attempts=1))
            for _ in range(10):
                await client.request("GET", "/a")
                server.close_connections()
                await client.request("POST", "/b", json={})
                server.close_connections()
    assert server.methods.count("POST") == 10


@pytest.mark.parametrize("method", WRITES)
async def test_no_byte_is_written_to_a_connection_that_closes_directly_after_its_choice(
    make_client: Make, method: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def trust(_: object, connection: object, *__: object) -> object:
        server.close_connections()
        return connection

    with serving() as (server, url):
        client = make_client(url, retry=RetryPolicy(max_attempts=2, base=0))
        await client.request("GET", "/a")
        with monkeypatch.context() as patched:
            patched.setattr(transport_session._Connector, "_replace_doubtful", trust)
            answer = await client.request(method, "/b", json={"a": 1})
    assert server.methods.count(method) == 1
    assert answer.attempts == 1, "the attempt on the dead connection is none: no byte of it left"


async def test_a_connection_that_idled_for_long_is_not_used_for_a_write(
    make_client: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    """This also holds after a sleep of the machine, because one of the two clocks continues."""
    with serving() as (server, url):
        client = make_client(url)
        await client.request("GET", "/a")
        monkeypatch.setattr(transport_session, "_LONGEST_IDLE", -1.0)
        await client.request("GET", "/a")
        assert len(server.connections) == 1, "a read takes it"
        await client.request("POST", "/b", json={})
        assert len(server.connections) == 2


async def test_writes_share_connections_that_are_alive(make_client: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(transport_session, "_QUIET", 0.0)
    monkeypatch.setattr(transport_session, "_LONGEST_IDLE", 3600.0)
    with serving() as (server, url):
        client = make_client(url)
        for _ in range(10):
            await client.request("POST", "/b", json={})
        assert len(server.connections) == 1


async def test_a_write_stays_unknown_if_its_bytes_left_before_the_connection_closed(make_client: Make) -> None:
    """The guard does not make a write that may have been carried out look unsent."""
    listener = socket.create_server(("127.0.0.1", 0))

    def swallow() -> None:
        with suppress(OSError):
            while True:
                connection, _ = listener.accept()
                connection.recv(65536)
                _close(connection)

    threading.Thread(target=swallow, daemon=True).start()
    client = make_client(f"http://127.0.0.1:{listener.getsockname()[1]}/api")
    with pytest.raises(OutcomeUnknownError) as caught:
        await client.request("POST", "/b", json={})
    listener.close()
    assert (caught.value.evidence, caught.value.attempts) == (Evidence.UNKNOWN, 1)


CERTIFICATE = str(Path(__file__).parents[1] / "support" / "localhost.pem")
_CLIENT = """
import asyncio, os, signal, sys
from goedgepickt_async import GoedGepickt, LocalBudget, RetryPolicy

async def main():
    options = {"budget": LocalBudget(10**6, 1.0), "retry": RetryPolicy(max_attempts=1), "timeout": 600}
    for url in sys.argv[1:]:
        async with GoedGepickt("k", base_url=url, **options) as gg:
            for _ in range(3):
                await gg.request("GET", "/a")
                os.kill(os.getpid(), signal.SIGSTOP)
                await gg.request("POST", "/b", json={"a": 1})
                os.kill(os.getpid(), signal.SIGSTOP)

asyncio.run(main())
"""


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(signal, "SIGSTOP"), reason="no process can be stopped on this system")
def test_a_write_of_a_process_that_was_stopped_while_the_server_closed_is_sent() -> None:
    """Over TLS too. The process cannot have read the end of its connections."""
    servers = {"http": ThreadedServer(), "https": ThreadedServer(tls=server_context())}
    urls = [f"{scheme}://127.0.0.1:{server.port}/api" for scheme, server in servers.items()]
    environment = {"SSL_CERT_FILE": CERTIFICATE, "PATH": ""}
    with subprocess.Popen(
        [sys.executable, "-c", _CLIENT, *urls], env=environment, cwd=Path(__file__).parents[2]
    ) as child:
        status = os.waitpid(child.pid, os.WUNTRACED)[1]
        while os.WIFSTOPPED(status):
            for server in servers.values():
                server.close_connections()
            child.send_signal(signal.SIGCONT)
            status = os.waitpid(child.pid, os.WUNTRACED)[1]
        child.returncode = os.waitstatus_to_exitcode(status)
    for server in servers.values():
        server.close()
    assert child.returncode == 0
    assert [server.methods.count("POST") for server in servers.values()] == [3, 3]


def server_context() -> ssl.SSLContext:
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(CERTIFICATE)
    return tls


@each_row("idempotent", [True, False])
async def test_a_certificate_that_is_not_trusted_is_a_connect_failure(make_client: Make, idempotent: bool) -> None:
    server = ThreadedServer(tls=server_context())
    client = make_client(f"https://127.0.0.1:{server.port}/api", retry=RetryPolicy(max_attempts=1))
    with pytest.raises(ConnectFailedError, match=r"certificate.*self-signed") as caught:
        await client.request("POST", "/a", json={}, idempotent=idempotent)
    server.close()
    assert (caught.value.evidence, caught.value.attempts, server.methods) == (Evidence.NOT_SENT, 0, [])


class _Local(AbstractResolver):
    """Every name is this machine."""

    async def resolve(self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET) -> list[Any]:
        return [{"hostname": host, "host": "127.0.0.1", "port": port, "family": family, "proto": 0, "flags": 0}]

    async def close(self) -> None:
        pass


async def test_a_certificate_of_another_host_is_a_connect_failure(make_client: Make) -> None:
    server = ThreadedServer(tls=server_context())
    trusting = aiohttp.TCPConnector(ssl=ssl.create_default_context(cafile=CERTIFICATE), resolver=_Local())
    async with aiohttp.ClientSession(connector=trusting) as http:
        own = {"session": http, "retry": RetryPolicy(max_attempts=1)}
        assert (await make_client(f"https://localhost:{server.port}/api", **own).request("GET", "/a")).status == 200
        with pytest.raises(ConnectFailedError, match=r"certificate.*other\.example\.test") as caught:
            await make_client(f"https://other.example.test:{server.port}/api", **own).request("GET", "/a")
    server.close()
    assert caught.value.evidence is Evidence.NOT_SENT


async def test_a_tls_connection_to_a_port_without_tls_is_a_connect_failure(make_client: Make) -> None:
    async def refuse(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n")
        writer.close()

    async with await asyncio.start_server(refuse, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        client = make_client(f"https://127.0.0.1:{port}/api", retry=RetryPolicy(max_attempts=1))
        with pytest.raises(ConnectFailedError, match=r"SSL|TLS") as caught:
            await client.request("POST", "/a", json={})
    assert caught.value.evidence is Evidence.NOT_SENT


@each_row("method", ["GET", "POST"])
async def test_plain_http_to_a_port_that_speaks_tls_is_our_error(make_client: Make, method: str) -> None:
    server = ThreadedServer(tls=server_context())
    client = make_client(f"http://127.0.0.1:{server.port}/api", retry=RetryPolicy(max_attempts=1))
    with pytest.raises(GoedGepicktError) as caught:
        await client.request(method, "/a")
    server.close()
    assert caught.value.evidence is Evidence.UNKNOWN
