"""Plans as text that reads like a diff, for those who have to say yes to it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any, Final

from goedgepickt_async.bulk.plan import Plan
from goedgepickt_async.bulk.planned import UNTOLD, Action, Change, Conflict, PlannedWrite

__all__ = ["render"]

Where = Callable[[int], str]

_ONE_LINE: Final = frozenset({"orders"})
_LONGEST: Final = 120


def render(plan: Plan, *, limit: int | None, where: Where) -> str:
    """The plan: a summary, then what is made (`+`), changed (`~`), in conflict (`!`) and left alone (`=`)."""
    lines = [_title(plan), _summary(plan)]
    blocks = [
        [_write(plan, write) for write in plan.creates],
        [_write(plan, write) for write in plan.updates],
        [_conflict(conflict, where) for conflict in plan.conflicts],
        [f"= {_name(row.key)}  {where(row.index)}: left alone: {row.reason}" for row in plan.left_alone],
    ]
    for block in blocks:
        if block:
            lines += ["", *_at_most(block, limit)]
    return "\n".join(lines) + "\n"


def _title(plan: Plan) -> str:
    webshop = "all webshops" if plan.account.webshop is None else f"webshop {plan.account.webshop}"
    read_at = plan.read_at.astimezone().strftime("%Y-%m-%d %H:%M:%S %Z")
    return f"Plan for {plan.kind} of {webshop} at {plan.account.server}, as it was on {read_at}"


def _summary(plan: Plan) -> str:
    counts = [
        f"{len(plan.creates):,} to create",
        f"{len(plan.updates):,} to change",
        f"{len(plan.unchanged):,} unchanged",
    ]
    if plan.left_alone:
        counts.append(f"{len(plan.left_alone):,} left alone")
    if plan.conflicts:
        counts.append(f"{len(plan.conflicts):,} in conflict, for which nothing is sent")
    if not plan.requests:
        return f"{', '.join(counts)}: there is nothing to send."
    requests = "1 request" if plan.requests == 1 else f"{plan.requests:,} requests"
    return f"{', '.join(counts)}: {requests}, {_duration(plan.minutes)}."


def _duration(minutes: float) -> str:
    if minutes < 1:
        return "less than a minute"
    return "about a minute" if minutes < 1.5 else f"about {minutes:,.0f} minutes"


def _write(plan: Plan, write: PlannedWrite) -> str:
    head = f"{'+' if write.action is Action.CREATE else '~'} {_name(write.key)}"
    is_named = any(change.field == "name" for change in write.changes)
    if write.name and not (is_named and write.action is Action.CREATE):
        head += f"  {_printable(write.name)}"
    shown = [_change(write, change) for change in write.changes if change.field != "sku" or write.uuid is not None]
    if plan.kind in _ONE_LINE or len(shown) == 1:
        return f"{head}  {', '.join(shown)}"
    return "\n".join([head, *(f"      {change}" for change in shown)])


def _change(write: PlannedWrite, change: Change) -> str:
    label = change.field.replace("_", " ")
    if write.action is Action.CREATE:
        return f"{label}: {_value(change.after)}"
    text = f"{label}: {_value(change.before)} → {_value(change.after)}"
    return f"{text}  ({change.after - change.before:+d})" if write.action is Action.MUTATE else text


def _conflict(conflict: Conflict, where: Where) -> str:
    rows = _and([where(index) for index in conflict.indexes])
    return f"! {_name(conflict.key)}  {rows}: {conflict.reason}"


def _name(key: str) -> str:
    return _printable(key) or "(empty)"


def _value(value: Any) -> str:
    if value is None:
        return "(nothing)"
    if value is True or value is False:
        return "yes" if value else "no"
    text = _printable(str(value))
    if value == UNTOLD or not isinstance(value, str) or _is_plain(text):
        return text
    return f'"{text}"'


def _is_plain(text: str) -> bool:
    """A number, a word or a URL: quotes would only be in the way."""
    return bool(text) and " " not in text and not text.startswith('"')


def _printable(text: str) -> str:
    """Without what a terminal would obey, and not longer than a line."""
    shown = "".join(char if char.isprintable() else f"\\x{ord(char):02x}" for char in text)
    return shown if len(shown) <= _LONGEST else f"{shown[: _LONGEST - 1]}…"


def _at_most(block: Sequence[str], limit: int | None) -> Iterator[str]:
    yield from block if limit is None else block[:limit]
    if limit is not None and len(block) > limit:
        yield f"  … and {len(block) - limit:,} more"


def _and(parts: Sequence[str]) -> str:
    most = 5
    if len(parts) > most:
        return f"{', '.join(parts[:most])} and {len(parts) - most} more"
    return " and ".join(filter(None, [", ".join(parts[:-1]), parts[-1]]))
