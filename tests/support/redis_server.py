"""A real redis-server for the tests: on loopback, on a free port, without persistence; can be killed and restarted."""

from __future__ import annotations

import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

EXECUTABLE = shutil.which("redis-server")

needs_redis = pytest.mark.skipif(EXECUTABLE is None, reason="there is no redis-server on this system")


class RedisServer:
    """One server; it keeps its port over restarts, and loses all data, because it saves nothing.

    Args:
        folder: Its working directory.
        options: More words of its command line.
    """

    def __init__(self, folder: Path, *options: str) -> None:
        self._folder = folder
        self._options = options
        self._process: subprocess.Popen[bytes] | None = None
        self.port = 0

    @property
    def url(self) -> str:
        return f"redis://127.0.0.1:{self.port}/0"

    @property
    def is_up(self) -> bool:
        return self._process is not None

    def start(self) -> None:
        """Start it, on a port that is found free at the first time."""
        for _ in range(5):
            self.port = self.port or _free_port()
            self._launch()
            if self._comes_up():
                return
            self.kill()
            self.port = 0  # another program took the port first
        raise RuntimeError("redis-server does not start")

    def kill(self) -> None:
        """End it as a power cut would."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    def hang(self) -> None:
        """Keep its connections and send no responses."""
        self._signal(signal.SIGSTOP)

    def go_on(self) -> None:
        """End `hang`."""
        self._signal(signal.SIGCONT)

    def command(self, *words: str) -> bytes:
        """Send one command; the first bytes of the answer."""
        with socket.create_connection(("127.0.0.1", self.port), 60) as connection:
            connection.sendall(b"".join([b"*%d\r\n" % len(words), *(_bulk(word) for word in words)]))
            return connection.recv(65536)

    def _signal(self, number: signal.Signals) -> None:
        assert self._process is not None
        self._process.send_signal(number)

    def _launch(self) -> None:
        assert EXECUTABLE is not None
        options = f"--port {self.port} --bind 127.0.0.1 --appendonly no --databases 1 --maxmemory-policy noeviction"
        if "--sentinel" in self._options:
            options = f"--port {self.port} --bind 127.0.0.1"
        else:
            options += " --save "
        self._process = subprocess.Popen(
            [EXECUTABLE, *self._options, *options.split(" "), "--dir", str(self._folder)],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )

    def _comes_up(self) -> bool:
        assert self._process is not None
        until = time.monotonic() + 240
        while self._process.poll() is None and time.monotonic() < until:
            try:
                if self.command("PING").startswith(b"+PONG"):
                    return True
            except OSError:
                time.sleep(0.01)
        return False


@contextmanager
def redis_server(folder: Path, *options: str) -> Iterator[RedisServer]:
    """A server for as long as the block lasts."""
    server = RedisServer(folder, *options)
    try:
        server.start()
        yield server
    finally:
        server.kill()


def _bulk(word: str) -> bytes:
    data = word.encode()
    return b"$%d\r\n%s\r\n" % (len(data), data)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
