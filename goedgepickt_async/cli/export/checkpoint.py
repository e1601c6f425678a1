"""The checkpoint of `--since-last`: which rows earlier exports brought, and how far one that was stopped came."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import attrs

from goedgepickt_async.cli.export.reach import Reach
from goedgepickt_async.cli.export.state import State, state_of
from goedgepickt_async.cli.outcome import UsageError
from goedgepickt_async.cli.private_files import state_directory, write_private

__all__ = ["Checkpoint", "Mark", "default_path", "fingerprint", "identity", "load", "save"]

_VERSION = 1


@attrs.frozen
class Mark:
    """How far one export came.

    Attributes:
        state: What it was asked for, and what it wrote.
        reach: The rows that it and those before it brought.
    """

    state: State
    reach: Reach


@attrs.frozen(kw_only=True)
class Checkpoint:
    """What is known between two exports.

    Attributes:
        account: A digest of the API key.
        done: Where the last export that came to its end ended.
        running: Where one came that has not ended, or was stopped.
        renaming: `running` is all that it wants to bring, and is whole in the file of this name: what is left is to
            give that file its own name.
    """

    account: str
    done: Mark | None = None
    running: Mark | None = None
    renaming: str | None = None


def fingerprint(api_key: str) -> str:
    """A digest that tells keys apart and gives none away: a key has some hundred random characters."""
    return hashlib.sha256(f"goedgepickt-async export\0{api_key}".encode()).hexdigest()[:16]


def identity(state: State) -> dict[str, str]:
    """What all exports with one checkpoint have in common, by the words for it."""
    filters = {option: value for option, value in state.filters.items() if option != "--lines"}
    return {"resource": state.resource, "server": state.source, **filters}


def default_path(state: State, account: str) -> Path:
    """Where the checkpoint of this export lies, unless its user says so."""
    named = json.dumps([identity(state), account], sort_keys=True)
    return state_directory() / f"export-{state.resource}-{hashlib.sha256(named.encode()).hexdigest()[:16]}.json"


def save(checkpoint: Checkpoint, path: Path) -> None:
    """Write it in the place of the one before.

    Raises:
        OSError: It cannot be written.
    """
    values = {
        "version": _VERSION,
        "account": checkpoint.account,
        "done": _dump(checkpoint.done),
        "running": _dump(checkpoint.running),
        "renaming": checkpoint.renaming,
    }
    write_private(path, json.dumps(values, separators=(",", ":")) + "\n")


def load(path: Path) -> Checkpoint | None:
    """Read it; None if there is none.

    Raises:
        UsageError: It is no such file, or one of another version.
    """
    try:
        values = json.loads(path.read_bytes())
        if not isinstance(values, dict) or "version" not in values:
            raise _no_checkpoint(path)
        if values["version"] != _VERSION:
            raise UsageError(f"{path} is of another version of goedgepickt-async; remove it to export all rows again")
        return Checkpoint(
            account=str(values["account"]),
            done=_mark(values["done"]),
            running=_mark(values["running"]),
            renaming=None if values["renaming"] is None else str(values["renaming"]),
        )
    except FileNotFoundError:
        return None
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        raise _no_checkpoint(path) from None


def _dump(mark: Mark | None) -> dict[str, Any] | None:
    return None if mark is None else {"state": attrs.asdict(mark.state), "reach": mark.reach.dump()}


def _mark(values: Any) -> Mark | None:
    return None if values is None else Mark(state_of(values["state"]), Reach.load(values["reach"]))


def _no_checkpoint(path: Path) -> UsageError:
    return UsageError(f"{path} is no checkpoint of --since-last; name another one with --checkpoint, or remove it")
