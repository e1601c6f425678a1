"""Processes that start in milliseconds: each is forked from an interpreter that has already imported the package.

Such a process has its own arguments, environment, streams and signals, and ends as any interpreter does. What matters
before `main` runs needs a new interpreter, such as which modules are imported.
"""

from __future__ import annotations

import array
import contextlib
import gc
import importlib
import io
import json
import logging
import os
import runpy
import selectors
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import IO, Any, Self

from tests.support.waiting import SAFETY

__all__ = ["CLOSED", "Interpreter", "Process"]

CLOSED = -9
"""For a standard stream whose descriptor is closed when the process starts."""

_ROOT = Path(__file__).parents[2]
_HEAD = 8


class Interpreter:
    """An interpreter that has imported some modules, and turns into processes.

    Args:
        modules: What it imports; `MODULE:FUNCTION` calls the function as well.
        environment: Its environment while it imports them; each process gets its own.
    """

    def __init__(self, modules: Sequence[str], environment: Mapping[str, str]) -> None:
        self._folder = tempfile.TemporaryDirectory(prefix="warm")
        self._address = str(Path(self._folder.name) / "socket")
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.support.warm", self._address, *modules],
            cwd=_ROOT,
            env={**environment, "PYTHONPATH": str(_ROOT)},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )

    def __enter__(self) -> Self:
        assert self._process.stdout is not None
        assert self._process.stdout.readline() == b"ready\n"
        return self

    def __exit__(self, *_: object) -> None:
        self._process.communicate(timeout=SAFETY)  # the end of its stdin ends it
        self._folder.cleanup()

    def start(
        self,
        *arguments: str,
        cwd: Path,
        env: Mapping[str, str],
        stdin: int = subprocess.DEVNULL,
        stdout: int = subprocess.PIPE,
        stderr: int = subprocess.PIPE,
    ) -> Process:
        """Start a process.

        Args:
            arguments: As for `python`: `-m MODULE ...` or `-c CODE ...`.
            cwd: Its working directory.
            env: Its environment.
            stdin: `subprocess.PIPE`, `subprocess.DEVNULL`, `CLOSED` or a descriptor; so are `stdout` and `stderr`.
        """
        streams: list[IO[bytes] | None] = []
        theirs, ours_too = [], []
        for number, wanted in enumerate((stdin, stdout, stderr)):
            stream = None
            if wanted == subprocess.PIPE:
                reading, writing = os.pipe()
                their, our, mode = (reading, writing, "wb") if number == 0 else (writing, reading, "rb")
                stream = os.fdopen(our, mode)
                ours_too.append(their)
            elif wanted in (subprocess.DEVNULL, CLOSED):
                their = os.open(os.devnull, os.O_RDWR)
                ours_too.append(their)
            else:
                their = wanted
            theirs.append(their)
            streams.append(stream)
        hang_up = signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN
        closed = [number for number, wanted in enumerate((stdin, stdout, stderr)) if wanted == CLOSED]
        asked = {"arguments": arguments, "cwd": str(cwd), "env": dict(env), "hang_up": hang_up, "closed": closed}
        request = json.dumps(asked).encode()
        connection = socket.socket(socket.AF_UNIX)
        connection.connect(self._address)
        connection.sendmsg(
            [len(request).to_bytes(_HEAD, "big")], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", theirs))]
        )
        connection.sendall(request)
        for descriptor in ours_too:
            os.close(descriptor)
        return Process(arguments, connection, *streams)


class Process:
    """A process; what is used of `subprocess.Popen` is here under the same name."""

    def __init__(
        self,
        arguments: Sequence[str],
        connection: socket.socket,
        stdin: IO[bytes] | None,
        stdout: IO[bytes] | None,
        stderr: IO[bytes] | None,
    ) -> None:
        self.args = arguments
        self.stdin, self.stdout, self.stderr = stdin, stdout, stderr
        self.returncode: int | None = None
        self._connection = connection
        self.pid = self._read(SAFETY)

    def _read(self, timeout: float) -> int:
        self._connection.settimeout(timeout)
        try:
            number = self._connection.recv(_HEAD, socket.MSG_WAITALL)
        except (TimeoutError, BlockingIOError):
            raise subprocess.TimeoutExpired(self.args, timeout) from None
        assert len(number) == _HEAD, "the interpreter that is forked is gone"
        return int.from_bytes(number, "big", signed=True)

    def poll(self) -> int | None:
        """The exit code, if it has ended."""
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.wait(0)
        return self.returncode

    def wait(self, timeout: float = SAFETY) -> int:
        """Wait for its end.

        Raises:
            subprocess.TimeoutExpired: It has not ended by then.
        """
        if self.returncode is None:
            self.returncode = self._read(timeout)
            self._connection.close()
        return self.returncode

    def send_signal(self, number: int) -> None:
        """Send it a signal, unless it has ended."""
        if self.poll() is None:
            os.kill(self.pid, number)

    def kill(self) -> None:
        """End it with SIGKILL."""
        self.send_signal(signal.SIGKILL)

    def communicate(self, data: bytes | None = None, timeout: float = SAFETY) -> tuple[bytes, bytes]:
        """Feed it, read what it prints until it prints no more, and wait for its end."""
        printed: dict[str, bytes] = {}

        def read(name: str, stream: IO[bytes]) -> None:
            printed[name] = stream.read()

        threads = [
            threading.Thread(target=read, args=(name, stream))
            for name, stream in (("out", self.stdout), ("err", self.stderr))
            if stream is not None and not stream.closed
        ]
        for thread in threads:
            thread.start()
        if self.stdin is not None and not self.stdin.closed:
            with contextlib.suppress(BrokenPipeError), self.stdin:
                self.stdin.write(data or b"")
        for thread in threads:
            thread.join(timeout)
        self.wait(timeout)
        for stream in (self.stdout, self.stderr):
            if stream is not None:
                stream.close()
        return printed.get("out", b""), printed.get("err", b"")


# -- the interpreter that is forked -----------------------------------------------------------------------------------


def _serve(address: str) -> dict[str, Any] | None:
    """Fork for each request; in the new process, what it is to do; in the old one None, once its stdin has ended."""
    waking, wake = os.pipe()
    os.set_blocking(wake, False)
    signal.set_wakeup_fd(wake)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    running: dict[int, socket.socket] = {}
    with socket.socket(socket.AF_UNIX) as listener, selectors.DefaultSelector() as selector:
        listener.bind(address)
        listener.listen(64)
        for source in (listener, waking, sys.stdin.fileno()):
            selector.register(source, selectors.EVENT_READ)
        os.write(1, b"ready\n")
        while True:
            ready = {key.fileobj for key, _ in selector.select()}
            if waking in ready:
                os.read(waking, 4096)
                _tell_of_the_dead(running)
            if sys.stdin.fileno() in ready:
                for pid in running:
                    os.kill(pid, signal.SIGKILL)
                return None
            if listener in ready:
                connection = listener.accept()[0]
                request, streams = _receive(connection)
                pid = os.fork()
                if pid == 0:
                    _let_go((waking, wake), [connection, *running.values()], streams)
                    return request
                for stream in streams:
                    os.close(stream)
                running[pid] = connection
                connection.sendall(pid.to_bytes(_HEAD, "big", signed=True))


def _let_go(pipe: tuple[int, int], connections: list[socket.socket], streams: list[int]) -> None:
    """In the new process: keep nothing of the old one, and have the streams that were sent for one's own."""
    signal.set_wakeup_fd(-1)
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    for connection in connections:
        connection.close()
    for descriptor in pipe:
        os.close(descriptor)
    for number, stream in enumerate(streams):
        os.dup2(stream, number)
        os.close(stream)


def _receive(connection: socket.socket) -> tuple[dict[str, Any], list[int]]:
    """A request, and the descriptors of its streams."""
    head, streams, _, _ = socket.recv_fds(connection, _HEAD, 3)
    text = connection.recv(int.from_bytes(head, "big"), socket.MSG_WAITALL)
    return json.loads(text), streams


def _tell_of_the_dead(running: dict[int, socket.socket]) -> None:
    """Say the exit code of each process that has ended."""
    while running:
        pid, status = os.waitpid(-1, os.WNOHANG)
        if pid == 0:
            return
        with contextlib.suppress(OSError), running.pop(pid) as connection:
            connection.sendall(os.waitstatus_to_exitcode(status).to_bytes(_HEAD, "big", signed=True))


def _file(number: int, *, closed: bool) -> IO[bytes] | None:
    """A standard stream without buffered text; closed, it is None, as in a new interpreter."""
    if closed:
        os.close(number)
        return None
    return open(number, "rb" if number == 0 else "wb", closefd=False)


def _text(file: Any, encoding: str, errors: str = "strict", *, line_buffering: bool = False) -> Any:
    return file and io.TextIOWrapper(file, encoding, errors, line_buffering=line_buffering)


def _become(request: dict[str, Any]) -> None:
    """Run what was asked for, as `python` does."""
    signal.signal(signal.SIGHUP, signal.SIG_DFL if request["hang_up"] else signal.SIG_IGN)
    os.chdir(request["cwd"])
    os.environ.clear()
    os.environ.update(request["env"])
    if os.environ.get("PYTHONWARNINGS") == "error":
        warnings.simplefilter("error")
    name, _, errors = os.environ.get("PYTHONIOENCODING", "utf-8").partition(":")
    files = [_file(number, closed=number in request["closed"]) for number in range(3)]
    sys.stdin = _text(files[0], name)
    sys.stdout = _text(files[1], name, errors or "strict", line_buffering=os.isatty(1))
    sys.stderr = _text(files[2], name, "backslashreplace", line_buffering=True)
    kind, what, *arguments = request["arguments"]
    if kind == "-m":
        sys.argv = [what, *arguments]
        runpy.run_module(what, run_name="__main__", alter_sys=True)
    else:
        sys.argv = [kind, *arguments]
        exec(compile(what, "<string>", "exec"), {"__name__": "__main__"})


def _main() -> None:
    for name in sys.argv[2:]:
        module, _, function = name.partition(":")
        imported = importlib.import_module(module)
        if function:
            getattr(imported, function)()
    gc.collect()
    gc.freeze()  # so that a collection in a new process copies no memory
    request = _serve(sys.argv[1])
    if request is not None:
        _become(request)


if __name__ == "__main__":
    # asyncio's debug mode reports each slow callback: that depends on the machine.
    logging.getLogger("asyncio").addFilter(lambda record: not record.getMessage().startswith("Executing "))
    _main()
