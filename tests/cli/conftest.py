"""The command, run in this process; or as a process of its own, where signals, streams or an interpreter's end matter."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import attrs
import pytest

import goedgepickt_async
from goedgepickt_async.cli import main
from tests.support.waiting import SAFETY

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


@attrs.frozen
class Goedgepickt:
    """Runs `goedgepickt` in a directory of its own, with nothing set in its environment but what a test sets.

    A call runs it in this process, from any thread: starting an interpreter costs as much as dozens of commands do.
    """

    folder: Path
    _inside: Callable[..., Finished]
    started: list[subprocess.Popen[bytes]] = attrs.field(factory=list)

    def __call__(self, *arguments: str, **environment: str) -> Finished:
        return self._inside(*arguments, **environment)

    def process(self, *arguments: str, **environment: str) -> Finished:
        """Run it in a process of its own."""
        return self._run("-m", "goedgepickt_async", *arguments, environment=environment)

    def feed(self, stdin: bytes, *arguments: str) -> Finished:
        """Run it with something on stdin."""
        return self._run("-m", "goedgepickt_async", *arguments, stdin=stdin)

    def python(self, code: str, *arguments: str) -> Finished:
        """Run Python code with arguments."""
        return self._run("-c", code, *arguments)

    def _run(self, *arguments: str, stdin: bytes = b"", environment: Mapping[str, str] | None = None) -> Finished:
        done = subprocess.run(
            [sys.executable, *arguments],
            cwd=self.folder,
            env=_environment(environment or {}),
            input=stdin,
            capture_output=True,
            timeout=SAFETY,
            check=False,
        )
        return Finished(done.returncode, done.stdout, done.stderr.decode())

    def start(self, *arguments: str, **environment: str) -> subprocess.Popen[bytes]:
        """Start it; it is killed at the end of the test, if it is still there."""
        return self.start_on(subprocess.PIPE, *arguments, **environment)

    def start_on(self, stdout: int, *arguments: str, **environment: str) -> subprocess.Popen[bytes]:
        """Start it with this stdout."""
        process = subprocess.Popen(
            [sys.executable, "-m", "goedgepickt_async", *arguments],
            cwd=self.folder,
            env=_environment(environment),
            stdin=subprocess.DEVNULL,
            stdout=stdout,
            stderr=subprocess.PIPE,
        )
        self.started.append(process)
        return process

    def finish(self, process: subprocess.Popen[bytes]) -> Finished:
        """Wait for its end."""
        out, err = process.communicate(timeout=SAFETY)
        return Finished(process.returncode, out, err.decode())

    def read(self, name: str) -> bytes:
        return (self.folder / name).read_bytes()


def _environment(more: Mapping[str, str]) -> dict[str, str]:
    ours = {name: value for name, value in os.environ.items() if not name.startswith("GOEDGEPICKT_")}
    return ours | {"PYTHONPATH": str(_ROOT), "PYTHONWARNINGS": "error", "COLUMNS": "100", **more}


@pytest.fixture
def inside(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfdbinary: pytest.CaptureFixture[bytes]
) -> Callable[..., Finished]:
    """Runs the command in this process, which is quicker; its working directory is `tmp_path`."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "100")
    for name in [name for name in os.environ if name.startswith("GOEDGEPICKT_")]:
        monkeypatch.delenv(name)

    def run(*arguments: str, **environment: str) -> Finished:
        with pytest.MonkeyPatch.context() as patch:
            for name, value in environment.items():
                patch.setenv(name, value)
            if threading.current_thread() is not threading.main_thread():
                patch.setattr(signal, "signal", lambda *_: None)  # only the main thread may listen to signals
            code = main(arguments)
        seen = capfdbinary.readouterr()
        return Finished(int(code), seen.out, seen.err.decode())

    return run


@pytest.fixture
def goedgepickt(tmp_path: Path, inside: Callable[..., Finished]) -> Iterator[Goedgepickt]:
    command = Goedgepickt(tmp_path, inside)
    yield command
    for process in command.started:
        if process.poll() is None:
            process.send_signal(signal.SIGKILL)
        process.communicate()
