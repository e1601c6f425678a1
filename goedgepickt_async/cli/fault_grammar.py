"""Faults of a sandbox as text: `GET:/orders:500x3`.

SPEC   = FAULT ["," FAULT ...]
FAULT  = METHOD ":" PATH ":" WHAT ["=" SECONDS] ["x" TIMES | "%" N] ["+" AFTER]
METHOD = GET, POST, PUT, ... or *
PATH   = below the API's base, with * as a wildcard: /orders, /products/*, *
WHAT   = a status (500; 429 is a refusal by the throttle), or a name below
x3     = three times (once, if nothing is said); %2 = every second one, for ever; +5 = the first five go unharmed
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import attrs

from goedgepickt_async.cli.errors import UsageError

if TYPE_CHECKING:
    from goedgepickt_async.sandbox import Sandbox
    from goedgepickt_async.sandbox.faults import Fault

__all__ = ["FAULT_NAMES", "PlannedFault", "arm", "parse_faults"]

FAULT_NAMES = {
    "drop": "hang up without an answer",
    "drop-applied": "do it, then hang up without an answer",
    "kept-alive-drop": "answer, then hang up on the connection's next request",
    "cut": "hang up in the middle of the answer",
    "slow": "answer late: slow=2 is two seconds",
    "never": "never answer",
    "garbage": "answer with something that is not HTTP",
    "bad-utf": "answer with bytes that are not UTF-8",
    "html": "answer 200 with an HTML page",
    "empty": "answer 200 with nothing",
    "redirect": "answer 302 to another host",
}
"""What a fault can be, besides a status from 300 to 599."""

_WHAT = "|".join(sorted(FAULT_NAMES, key=len, reverse=True))
_FAULT = re.compile(
    rf"(?P<method>[A-Za-z]+|\*):(?P<path>/[^:,]*|\*):(?P<what>[345]\d\d|{_WHAT})"
    r"(?:=(?P<seconds>\d+(?:\.\d+)?))?(?:x(?P<times>[1-9]\d*)|%(?P<every>[1-9]\d*))?(?:\+(?P<after>\d+))?"
)


@attrs.frozen(kw_only=True)
class PlannedFault:
    """One fault to be played.

    Attributes:
        method: Of the requests it is for; `*` for any.
        path: Likewise, a pattern.
        what: A status, or one of `FAULT_NAMES`.
        seconds: How slow; None if it is not.
        times: On how many requests; None for ever.
        every: Only on every n-th of them.
        after: How many go unharmed before.
    """

    method: str
    path: str
    what: str
    seconds: float | None = None
    times: int | None = 1
    every: int = 1
    after: int = 0


@attrs.define
class _EveryNth:
    """Plays another fault on every n-th request that it gets, and lets the others through."""

    fault: Fault
    n: int
    seen: int = 0

    async def play(self, exchange: Any) -> Any:
        self.seen += 1
        if self.seen % self.n:
            return exchange.reply(await exchange.answer())
        return await self.fault.play(exchange)


def parse_faults(specs: Sequence[str]) -> list[PlannedFault]:
    """Read what `--faults` says.

    Raises:
        UsageError: One of them is none.
    """
    return [_parse(part) for spec in specs for part in spec.split(",") if part]


def arm(sandbox: Sandbox, planned: Sequence[PlannedFault]) -> None:
    """Have the sandbox play them. Those without end come last, or they would hide the others."""
    for fault in sorted(planned, key=lambda fault: fault.times is None):
        played = _make(fault)
        chosen = played if fault.every == 1 else _EveryNth(played, fault.every)
        sandbox.fail(fault.method, fault.path, chosen, times=fault.times, after=fault.after)


def _parse(text: str) -> PlannedFault:
    match = _FAULT.fullmatch(text)
    if match is None:
        raise UsageError(
            f"this is no fault: {text!r}; one is METHOD:PATH:WHAT, such as GET:/orders:500x3 or '*:*:drop%2'; "
            f"WHAT is a status or one of {', '.join(FAULT_NAMES)}"
        )
    if (match["what"] == "slow") != (match["seconds"] is not None):
        raise UsageError(f"seconds belong to slow, as in slow=2, and to nothing else: {text!r}")
    return PlannedFault(
        method=match["method"].upper(),
        path=match["path"],
        what=match["what"],
        seconds=float(match["seconds"]) if match["seconds"] else None,
        times=None if match["every"] else int(match["times"] or 1),
        every=int(match["every"] or 1),
        after=int(match["after"] or 0),
    )


def _make(planned: PlannedFault) -> Fault:
    from goedgepickt_async.sandbox import faults  # noqa: PLC0415  aiohttp comes with it

    makers: dict[str, Callable[[], Fault]] = {
        "429": faults.TooManyRequests,
        "drop": faults.Drop,
        "drop-applied": lambda: faults.Drop(applied=True),
        "kept-alive-drop": faults.KeptAliveDrop,
        "cut": faults.CutBody,
        "slow": lambda: faults.Slow(planned.seconds or 0.0),
        "never": faults.NeverAnswer,
        "garbage": faults.Garbage,
        "bad-utf": faults.InvalidUtf8,
        "html": lambda: faults.Status(200, body="<!doctype html><title>Inloggen</title>"),
        "empty": lambda: faults.Status(200, body=""),
        "redirect": lambda: faults.Redirect("https://elsewhere.example.test/login"),
    }
    make = makers.get(planned.what)
    return faults.Status(int(planned.what)) if make is None else make()
