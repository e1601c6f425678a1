"""The processes of the soak: started, listened to, killed, ended."""

from __future__ import annotations

import asyncio
import json
import sys
from contextlib import suppress
from pathlib import Path
from typing import Any, Self

__all__ = ["Heard", "Workers"]

_WORKER = Path(__file__).with_name("_soak_worker.py")


class Heard:
    """What the processes said."""

    def __init__(self) -> None:
        self.waits: list[float] = []
        self.errors: list[str] = []
        self.trips = 0
        self.seconds = 0.0

    def hear(self, line: str) -> None:
        kind, _, rest = line.strip().partition(" ")
        if kind == "wait":
            self.waits.append(float(rest))
        elif kind == "trips":
            trips, seconds = rest.split()
            self.trips += int(trips)
            self.seconds += float(seconds)
        elif kind:
            self.errors.append(line.strip())

    @property
    def round_trip(self) -> float:
        """Mean seconds from a grant to the answer's headers."""
        return self.seconds / max(1, self.trips)


class Workers:
    """Several processes, each with a plan of its own."""

    def __init__(self, plans: list[dict[str, Any]]) -> None:
        self.heard = Heard()
        self.killed = 0
        self._plans = plans
        self._running: list[asyncio.subprocess.Process] = []
        self._listening: set[asyncio.Task[None]] = set()

    async def __aenter__(self) -> Self:
        for plan in self._plans:
            self._running.append(await self._start(plan))
        return self

    async def __aexit__(self, *_: object) -> None:
        """End them: by the end of their input, and those that don't hear by force."""
        for process in self._running:
            if process.returncode is not None:
                self.heard.errors.append(f"a process ended by itself with {process.returncode}")
            elif process.stdin is not None:
                process.stdin.close()
        for process in self._running:
            try:
                await asyncio.wait_for(process.wait(), 10)
            except TimeoutError:
                self.heard.errors.append("a process did not end")
                process.kill()
                await process.wait()
        await asyncio.gather(*self._listening)

    async def kill_and_restart(self, number: int) -> None:
        """`kill -9`, whatever it is doing, and another one with the same plan."""
        process = self._running[number]
        with suppress(ProcessLookupError):
            process.kill()
        await process.wait()
        self.killed += 1
        self._running[number] = await self._start(self._plans[number])

    async def _start(self, plan: dict[str, Any]) -> asyncio.subprocess.Process:
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            str(_WORKER),
            json.dumps(plan),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
        )
        listening = asyncio.create_task(self._listen(process))
        self._listening.add(listening)
        listening.add_done_callback(self._listening.discard)
        return process

    async def _listen(self, process: asyncio.subprocess.Process) -> None:
        assert process.stdout is not None
        async for line in process.stdout:
            self.heard.hear(line.decode())
