"""What the doctor found out, as text for people."""

from __future__ import annotations

from collections.abc import Iterator

from goedgepickt_async.cli.doctor.findings import Budget, Clock, Findings, Probe
from goedgepickt_async.cli.messages import plain

__all__ = ["as_text"]

_WIDTH = 12
_SHOPS = 10
_NOTABLE_SKEW = 5.0


def as_text(findings: Findings) -> str:
    """The report."""
    return "\n".join(f"{title:<{_WIDTH}} {text}".rstrip() for title, text in _lines(findings)) + "\n"


def _lines(findings: Findings) -> Iterator[tuple[str, str]]:
    yield "versions", ", ".join(f"{name} {said}" for name, said in findings.versions.items())
    if findings.configured is None:
        yield "key", "missing: set GOEDGEPICKT_API_KEY to one made in GoedGepickt under Settings → GoedGepickt API"
        return
    yield from _of_probe(findings.configured, "API")
    if findings.other is not None:
        yield from _of_probe(findings.other, "other API")
        yield "advice", _advice(findings.other)


def _advice(other: Probe) -> str:
    if other.accepted and other.api:
        return f"the key is one of the {other.api} API: use --api {other.api}, or set GOEDGEPICKT_API={other.api}"
    return "neither API takes the key: was it copied whole, and does it still exist in GoedGepickt?"


def _of_probe(probe: Probe, title: str) -> Iterator[tuple[str, str]]:
    yield title, f"{probe.api or 'of another address'} ({probe.base_url})"
    if not probe.accepted:
        yield ("key" if probe.refused else "problem"), probe.error or ""
        return
    yield "key", "accepted"
    yield from _of_shops(probe)
    if probe.budget is not None:
        yield "budget", _of_budget(probe.budget)
    if probe.round_trip is not None:
        yield "round trip", f"{probe.round_trip * 1000:.0f} ms, the connection's set-up included"
    yield "clock", _of_clock(probe.clock)


def _of_shops(probe: Probe) -> Iterator[tuple[str, str]]:
    number = max(len(probe.webshops), probe.webshops_in_all or 0)
    yield "webshops", str(number)
    for shop in probe.webshops[:_SHOPS]:
        yield "", f"{shop.uuid}  {plain(shop.name or '(no name)')}"
    if number > _SHOPS:
        yield "", f"… and {number - _SHOPS} more: goedgepickt export webshops"


def _of_budget(budget: Budget) -> str:
    ours = f"{budget.used} of {budget.limit} requests used, {budget.free} free now, per {budget.period:g} s"
    if not budget.free and budget.next_free_in is not None:
        ours += f"; the next in {budget.next_free_in:.0f} s"
    told = budget.server_limit is not None and budget.server_remaining is not None
    theirs = (
        f"the server says {budget.server_remaining} of {budget.server_limit} left"
        if told
        else "the server says nothing"
    )
    others = "somebody else sends from this IP too" if budget.foreign_traffic else "nobody else seen on this IP"
    return f"{ours}; {theirs}; {others}"


def _of_clock(clock: Clock | None) -> str:
    if clock is None:
        return "the server tells no time"
    if abs(clock.ahead) <= clock.uncertainty:
        return f"agrees with the server's within {clock.uncertainty:.1f} s"
    side = "ahead of" if clock.ahead > 0 else "behind"
    warning = "; is this machine's clock right?" if abs(clock.ahead) > _NOTABLE_SKEW else ""
    return f"the server's is {abs(clock.ahead):.1f} s {side} ours (±{clock.uncertainty:.1f} s){warning}"
