"""Plans as JSON and back, for `goedgepickt plan --json` and for those who look at a plan today and apply it tomorrow."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final

from goedgepickt_async.bulk.account import Account
from goedgepickt_async.bulk.plan import Plan
from goedgepickt_async.bulk.planned import Action, Change, Conflict, LeftAlone, PlannedWrite, Unchanged, Wish
from goedgepickt_async.errors import ConfigurationError

__all__ = ["from_json", "mark", "to_dict", "to_json"]

_FORMAT: Final = "goedgepickt-async plan"
_VERSION: Final = 1


def to_json(plan: Plan) -> str:
    """The plan as text, one line for each write, so that two plans can be compared."""
    parts = to_dict(plan)
    lists = {name: parts.pop(name) for name in ("writes", "conflicts", "left_alone", "unchanged")}
    lines = [f"  {json.dumps(name)}: {json.dumps(value, ensure_ascii=False)}" for name, value in parts.items()]
    for name, rows in lists.items():
        inner = ",\n".join(f"    {json.dumps(row, ensure_ascii=False)}" for row in rows)
        lines.append(f"  {json.dumps(name)}: [\n{inner}\n  ]" if rows else f"  {json.dumps(name)}: []")
    return "{\n" + ",\n".join(lines) + "\n}\n"


def to_dict(plan: Plan) -> dict[str, Any]:
    """The plan as values that JSON takes."""
    return {
        "format": _FORMAT,
        "version": _VERSION,
        "kind": plan.kind,
        "options": dict(plan.options),
        "account": plan.account.as_dict(),
        "read_at": plan.read_at.isoformat(),
        "requests_read": plan.requests_read,
        "requests": plan.requests,
        "minutes": round(plan.minutes, 2),
        "rate": plan.rate,
        "writes": [_write_to(write) for write in plan.writes],
        "conflicts": [_conflict_to(conflict) for conflict in plan.conflicts],
        "left_alone": [
            {"key": row.key, "index": row.index, "uuid": row.uuid, "reason": row.reason} for row in plan.left_alone
        ],
        "unchanged": [{"key": row.key, "index": row.index, "uuid": row.uuid} for row in plan.unchanged],
    }


def from_json(text: str | bytes) -> Plan:
    """A plan that was saved.

    Raises:
        ConfigurationError: It is no plan, or one of another version.
    """
    try:
        data = json.loads(text)
        if data["format"] != _FORMAT:
            raise ValueError  # noqa: TRY301  told below
        version = data["version"]
    except (ValueError, LookupError, TypeError, RecursionError):
        raise ConfigurationError("this is no plan that was saved as JSON") from None
    if version != _VERSION:
        raise ConfigurationError(f"the plan is of version {version!r}, and this is a program for version {_VERSION}")
    try:
        return _plan_from(data)
    except (ValueError, LookupError, TypeError, AttributeError) as error:
        raise ConfigurationError(f"the plan is damaged: {type(error).__name__}") from None


def mark(plan: Plan) -> str:
    """A hash of what the plan will do, and of when it was made: the same content planned anew is another plan."""
    content = [
        plan.kind,
        dict(plan.options),
        plan.account.server,
        plan.account.webshop,
        plan.read_at.timestamp(),
        [_write_to(write) for write in plan.writes],
    ]
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


def _write_to(write: PlannedWrite) -> dict[str, Any]:
    return {
        "action": write.action.value,
        "key": write.key,
        "index": write.index,
        "uuid": write.uuid,
        "name": write.name,
        "changes": [
            {"field": change.field, "before": change.before, "after": change.after} for change in write.changes
        ],
        "wish": dict(write.wish.values),
        "seen": dict(write.seen),
    }


def _conflict_to(conflict: Conflict) -> dict[str, Any]:
    return {
        "key": conflict.key,
        "indexes": list(conflict.indexes),
        "reason": conflict.reason,
        "uuids": list(conflict.uuids),
        "fields": dict(conflict.fields),
    }


def _plan_from(data: Mapping[str, Any]) -> Plan:
    writes = tuple(_write_from(row) for row in data["writes"])
    read_at = datetime.fromisoformat(data["read_at"])
    if read_at.tzinfo is None or not isinstance(data["options"], dict):
        raise ValueError
    return Plan(
        kind=str(data["kind"]),
        options=data["options"],
        account=Account.from_dict(data["account"]),
        creates=tuple(write for write in writes if write.action is Action.CREATE),
        updates=tuple(write for write in writes if write.action is not Action.CREATE),
        unchanged=tuple(Unchanged(key=row["key"], index=row["index"], uuid=row["uuid"]) for row in data["unchanged"]),
        left_alone=tuple(
            LeftAlone(key=row["key"], index=row["index"], uuid=row["uuid"], reason=row["reason"])
            for row in data["left_alone"]
        ),
        conflicts=tuple(_conflict_from(row) for row in data["conflicts"]),
        read_at=read_at,
        requests_read=int(data["requests_read"]),
        rate=float(data["rate"]),
    )


def _write_from(row: Mapping[str, Any]) -> PlannedWrite:
    return PlannedWrite(
        action=Action(row["action"]),
        wish=Wish(key=str(row["key"]), index=int(row["index"]), values=dict(row["wish"])),
        uuid=None if row["uuid"] is None else str(row["uuid"]),
        name=str(row["name"]),
        changes=tuple(
            Change(field=str(change["field"]), before=change["before"], after=change["after"])
            for change in row["changes"]
        ),
        seen=dict(row["seen"]),
    )


def _conflict_from(row: Mapping[str, Any]) -> Conflict:
    return Conflict(
        key=str(row["key"]),
        indexes=tuple(map(int, row["indexes"])),
        reason=str(row["reason"]),
        uuids=tuple(map(str, row["uuids"])),
        fields=dict(row["fields"]),
    )
