"""How far an export came: a small JSON file, replaced as a whole after each page."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import attrs

from goedgepickt_async.cli.outcome import UsageError
from goedgepickt_async.cli.private_files import write_private

__all__ = ["State", "load", "refuse_difference", "save", "state_of"]

_VERSION = 1


@attrs.frozen(kw_only=True)
class State:
    """How far an export came, and what it was asked for.

    Attributes:
        resource: What is exported.
        source: From where.
        filters: By option, as text; limits and `--lines` among them.
        format: `jsonl` or `csv`.
        output: The file's absolute path, or `-`.
        offset: Bytes of the output up to the end of the last whole page.
        tail: Tells whether the output is still the one that was written.
        token: Where the list is taken up again; None: at its beginning.
        rows: Items so far.
        read: Items that were read for them; more, if some were left out.
    """

    resource: str
    source: str
    filters: dict[str, str]
    format: str
    output: str
    offset: int = 0
    tail: str | None = None
    token: str | None = None
    rows: int = 0
    read: int = 0


def save(state: State, path: Path) -> None:
    """Write it in the place of the one before; whoever is killed here leaves one of the two."""
    write_private(path, json.dumps({"version": _VERSION, **attrs.asdict(state)}, indent=1) + "\n")


def load(path: Path) -> State | None:
    """Read it; None if there is none.

    Raises:
        UsageError: It is no such file, or one of another version.
    """
    try:
        values = json.loads(path.read_bytes())
    except FileNotFoundError:
        return None
    except ValueError:
        raise _no_state(path) from None
    if not isinstance(values, dict) or "version" not in values:
        raise _no_state(path)
    if values.pop("version") != _VERSION:
        raise UsageError(f"{path} is of another version of goedgepickt-async; start the export afresh")
    try:
        return state_of(values)
    except ValueError:
        raise _no_state(path) from None


def state_of(values: Any) -> State:
    """The state that `attrs.asdict` made these values from.

    Raises:
        ValueError: They are something else.
    """
    if not isinstance(values, dict) or not _is_sound(values):
        raise ValueError
    return State(**values)


def refuse_difference(before: State, now: State, otherwise: str = "start afresh without its resume file") -> None:
    """Refuse to go on with anything but the same export.

    Args:
        before: The export so far.
        now: What is asked for.
        otherwise: What can be done instead of giving the same options.

    Raises:
        UsageError: It says which option differs.
    """
    names = {"resource": "the resource", "source": "the server", "format": "--format", "output": "--output"}
    pairs = [(said, getattr(before, name), getattr(now, name)) for name, said in names.items()]
    options = sorted(before.filters.keys() | now.filters.keys())
    pairs += [
        (option, before.filters.get(option, "not given"), now.filters.get(option, "not given")) for option in options
    ]
    for said, old, new in pairs:
        if old != new:
            raise UsageError(
                f"the export cannot go on so: {said} was {old} and is now {new}; give the same options, or {otherwise}"
            )


def _is_sound(values: dict[str, Any]) -> bool:
    numbers = ("offset", "rows", "read")
    return (
        values.keys() == {field.name for field in attrs.fields(State)}
        and isinstance(values["filters"], dict)
        and all(isinstance(values[name], int) and values[name] >= 0 for name in numbers)
        and isinstance(values["token"], str | None)
    )


def _no_state(path: Path) -> UsageError:
    return UsageError(f"{path} is no resume file of an export; name another one with --resume, or remove it")
