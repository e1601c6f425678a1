"""The command in this process, or in a separate process for tests of signals, streams or the end of the interpreter."""

from __future__ import annotations

import contextlib
import json
import os
import pty
import signal
import subprocess
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, cast

import attrs
import pytest

import goedgepickt_async
from goedgepickt_async.bulk.apply import PlanRunner
from goedgepickt_async.cli import main
from goedgepickt_async.testing import unlimited_budget
from tests.support import command_options  # noqa: F401  a command in this process is quicker
from tests.support.waiting import SAFETY
from tests.support.warm import CLOSED, Interpreter, Process

_ROOT = Path(goedgepickt_async.__file__).parents[1]


@attrs.frozen
class Finished:
    """A command that ended."""

    code: int
    out: bytes
    err: str

    @property
    def rows(self) -> list[dict[str, Any]]:
        return jsonl(self.out)


def jsonl(data: bytes) -> list[dict[str, Any]]:
    """The rows of JSON Lines; the last one must be whole too."""
    assert data == b"" or data.endswith(b"\n")
    return [json.loads(line) for line in data.split(b"\n")[:-1]]


def uuids(rows: list[dict[str, Any]]) -> list[str]:
    return [row["uuid"] for row in rows]


def skip_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    """Remove the waits for the rate limit and for a write that the server may still be handling."""

    async def settled_immediately(*_: object) -> None:
        pass

    monkeypatch.setattr("goedgepickt_async.client.select_budget", lambda *_, **__: unlimited_budget())
    monkeypatch.setattr(PlanRunner, "_wait_until_settled", settled_immediately)


@attrs.frozen
class Goedgepickt:
    """Runs `goedgepickt` in a separate directory. Its environment has only the settings of a test.

    A call runs it in this process, from any thread: a new interpreter takes as much time as dozens of commands.
    """

    folder: Path
    _inside: Callable[..., Finished]
    _interpreter: Callable[[], Interpreter]
    started: list[Process] = attrs.field(factory=list)

    def __call__(self, *arguments: str, **environment: str) -> Finished:
        return self._inside(*arguments, **environment)

    def process(self, *arguments: str, **environment: str) -> Finished:
        """Run it in a separate process."""
        return self.finish(self.start(*arguments, **environment))

    def feed(self, stdin: bytes, *arguments: str) -> Finished:
        """Run it with something on stdin."""
        return self.finish(self._start("-m", "goedgepickt_async", *arguments, stdin=subprocess.PIPE), stdin)

    def with_closed(self, closed: Sequence[str], *arguments: str) -> Finished:
        """Run it with some standard streams closed, as `>&-` does in a shell."""
        streams: dict[str, Any] = dict.fromkeys(closed, CLOSED)
        return self.finish(self._start("-m", "goedgepickt_async", *arguments, **streams))

    def python(self, code: str, *arguments: str) -> Finished:
        """Run Python code with arguments, in a separate process."""
        return self.finish(self._start("-c", code, *arguments))

    def cold(self, *command: str) -> Finished:
        """Run a command that starts an interpreter which has imported nothing yet."""
        done = subprocess.run(
            command, cwd=self.folder, env=_environment({}), capture_output=True, timeout=SAFETY, check=False
        )
        return Finished(done.returncode, done.stdout, done.stderr.decode())

    def start(self, *arguments: str, **environment: str) -> Process:
        """Start it. At the end of the test it is killed, if it still runs."""
        return self._start("-m", "goedgepickt_async", *arguments, environment=environment)

    def start_on(self, terminal: int, *arguments: str, **environment: str) -> Process:
        """Start it with this terminal for its stdout."""
        return self._start("-m", "goedgepickt_async", *arguments, environment=environment, stdout=terminal)

    def on_terminal(self, *arguments: str, **environment: str) -> tuple[Process, bytes]:
        """Run it on a terminal until it closes the terminal, and return what it printed."""
        ours, theirs = pty.openpty()
        streams = dict.fromkeys(("stdin", "stdout", "stderr"), theirs)
        process = self._start("-m", "goedgepickt_async", *arguments, environment=environment, **streams)
        os.close(theirs)
        printed = bytearray()
        with contextlib.suppress(OSError):  # Linux returns EIO when the other side is closed
            while part := os.read(ours, 65536):
                printed += part
        os.close(ours)
        return process, bytes(printed)

    def _start(self, *arguments: str, environment: Mapping[str, str] | None = None, **streams: int) -> Process:
        env = _environment(environment or {})
        process = self._interpreter().start(*arguments, cwd=self.folder, env=env, **streams)
        self.started.append(process)
        return process

    def finish(self, process: Process, stdin: bytes = b"") -> Finished:
        """Wait for its end."""
        out, err = process.communicate(stdin)
        return Finished(process.wait(), out, err.decode())

    def read(self, name: str) -> bytes:
        return (self.folder / name).read_bytes()


def _environment(more: Mapping[str, str]) -> dict[str, str]:
    ours = {name: value for name, value in os.environ.items() if not name.startswith("GOEDGEPICKT_")}
    return ours | {"PYTHONPATH": str(_ROOT), "PYTHONWARNINGS": "error", "COLUMNS": "100", **more}


@pytest.fixture
def inside(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfdbinary: pytest.CaptureFixture[bytes]
) -> Callable[..., Finished]:
    """Runs the command in this process, which is faster; its working directory is `tmp_path`."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "100")
    monkeypatch.setattr("goedgepickt_async._transport.pipeline.backoff", lambda *_: 0.001)  # no test checks the pause
    for name in [name for name in os.environ if name.startswith("GOEDGEPICKT_")]:
        monkeypatch.delenv(name)

    def run(*arguments: str, **environment: str) -> Finished:
        with pytest.MonkeyPatch.context() as patch:
            for name, value in environment.items():
                patch.setenv(name, value)
            if threading.current_thread() is not threading.main_thread():
                patch.setattr(signal, "signal", lambda *_: None)  # only the main thread can set signal handlers
            code = main(arguments)
        seen = capfdbinary.readouterr()
        return Finished(int(code), seen.out, seen.err.decode())

    return run


@pytest.fixture
def goedgepickt(
    request: pytest.FixtureRequest, tmp_path: Path, inside: Callable[..., Finished]
) -> Iterator[Goedgepickt]:
    command = Goedgepickt(tmp_path, inside, lambda: cast(Interpreter, request.getfixturevalue("warm")))
    yield command
    for process in command.started:
        process.kill()
        process.communicate()
