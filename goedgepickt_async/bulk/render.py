"""A plan as text that reads like a diff."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any, Final

from goedgepickt_async.bulk.values import NOT_REPORTED, Action, Change, Conflict, PlannedWrite
from goedgepickt_async.text import for_terminal, printable

if TYPE_CHECKING:
    from goedgepickt_async.bulk.plan import Plan

__all__ = ["describe_counts", "render"]

Where = Callable[[int], str]

_ONE_LINE: Final = frozenset({"orders"})
_MAX_TEXT: Final = 120
_MAX_PLACES: Final = 5


def render(plan: Plan, *, limit: int | None, where: Where) -> str:
    """The plan: a summary, notices, then creates (`+`), changes (`~`), conflicts (`!`) and skipped rows (`=`)."""
    looked_at = [f"Looked at: {plan.looked_at}."] if plan.looked_at else []
    lines = [_title(plan), _summary(plan), *looked_at, *(f"Note: {_printable(notice, 400)}" for notice in plan.notices)]
    blocks = [
        [_write(plan, write) for write in plan.creates],
        [_write(plan, write) for write in plan.updates],
        [_conflict(conflict, where) for conflict in plan.conflicts],
        [f"! {_printable(problem, 400)}" for problem in plan.bad_rows],
        [
            *(f"= {_name(row.key)}  {where(row.index)}: skipped: {row.reason}" for row in plan.skipped),
            *(f"= {_printable(row, 400)}: skipped" for row in plan.skipped_rows),
        ],
    ]
    for block in blocks:
        if block:
            lines += ["", *_at_most(block, limit)]
    return "\n".join(lines) + "\n"


def describe_counts(plan: Plan) -> str:
    """How many rows were asked for and what becomes of them, such as `3 rows: 1 to create, 2 unchanged`."""
    counts = [
        f"{len(plan.creates):,} to create",
        f"{len(plan.updates):,} to change",
        f"{len(plan.unchanged):,} unchanged",
    ]
    if plan.skipped or plan.skipped_rows:
        counts.append(f"{len(plan.skipped) + len(plan.skipped_rows):,} skipped")
    if plan.conflicts:
        counts.append(f"{plan.rows_in_conflict:,} in conflict, for which nothing is sent")
    if plan.bad_rows:
        counts.append(f"{len(plan.bad_rows):,} that cannot be read")
    noun = "order" if plan.kind == "orders" else "row"
    return f"{plan.rows:,} {noun if plan.rows == 1 else f'{noun}s'}: {', '.join(counts)}"


def _title(plan: Plan) -> str:
    read_at = plan.read_at.astimezone().strftime("%Y-%m-%d %H:%M:%S %Z")
    webshop = _printable(plan.scope.webshop_text, 200)
    return f"Plan for {plan.kind} of {webshop} at {plan.scope.server}, as it was on {read_at}"


def _summary(plan: Plan) -> str:
    if not plan.requests:
        return f"{describe_counts(plan)}. There is nothing to send."
    requests = "1 request" if plan.requests == 1 else f"{plan.requests:,} requests"
    return f"{describe_counts(plan)}. It takes {requests}, {_duration(plan.minutes)}."


def _duration(minutes: float) -> str:
    if minutes < 1:
        return "less than a minute"
    return "about a minute" if minutes < 1.5 else f"about {minutes:,.0f} minutes"


def _write(plan: Plan, write: PlannedWrite) -> str:
    head = f"{'+' if write.action is Action.CREATE else '~'} {_name(write.key)}"
    has_name = any(change.field == "name" for change in write.changes)
    if write.name and not (has_name and write.action is Action.CREATE):
        head += f"  {_printable(write.name)}"
    shown = [_change(write, change) for change in write.changes if change.field != "sku" or write.uuid is not None]
    if plan.kind in _ONE_LINE or len(shown) == 1:
        return f"{head}  {', '.join(shown)}"
    return "\n".join([head, *(f"      {change}" for change in shown)])


def _change(write: PlannedWrite, change: Change) -> str:
    label = _printable(change.field.replace("_", " "))
    if write.action is Action.CREATE:
        return f"{label}: {_value(change.after)}"
    text = f"{label}: {_value(change.before)} → {_value(change.after)}"
    return f"{text}  ({change.after - change.before:+d})" if write.action is Action.MUTATE else text


def _conflict(conflict: Conflict, where: Where) -> str:
    rows = _and([where(index) for index in conflict.indexes])
    return f"! {_name(conflict.key)}  {rows}: {_printable(conflict.reason, 400)}"


def _name(key: str) -> str:
    return _printable(key) or "(empty)"


def _value(value: Any) -> str:
    if value is None:
        return "(nothing)"
    if value is True or value is False:
        return "yes" if value else "no"
    text = _printable(str(value))
    if value == NOT_REPORTED or not isinstance(value, str) or _is_plain(text):
        return text
    return f'"{text}"'


def _is_plain(text: str) -> bool:
    """Whether it is a number, a word or a URL, which needs no quotes."""
    return bool(text) and " " not in text and not text.startswith('"')


def _printable(text: str, most: int = _MAX_TEXT) -> str:
    """Without characters that control a terminal, and not longer than a line."""
    return printable(for_terminal(text), most - 1)


def _at_most(block: Sequence[str], limit: int | None) -> Iterator[str]:
    yield from block if limit is None else block[:limit]
    if limit is not None and len(block) > limit:
        yield f"  … and {len(block) - limit:,} more"


def _and(parts: Sequence[str]) -> str:
    if len(parts) > _MAX_PLACES:
        return f"{', '.join(parts[:_MAX_PLACES])} and {len(parts) - _MAX_PLACES} more"
    return " and ".join(filter(None, [", ".join(parts[:-1]), parts[-1]]))
