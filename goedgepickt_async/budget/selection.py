"""The selection of a budget by argument, command-line option or `GOEDGEPICKT_BUDGET`."""

from __future__ import annotations

import os
import threading
from pathlib import Path
from urllib.parse import urlsplit

from goedgepickt_async.budget.host import DEFAULT_NAME, HostBudget
from goedgepickt_async.budget.local import LocalBudget
from goedgepickt_async.budget.protocol import Budget
from goedgepickt_async.errors import ConfigurationError

__all__ = ["VARIABLE", "describe_budget", "select_budget"]

VARIABLE = "GOEDGEPICKT_BUDGET"
_FORMS = "local, host, host:/path/to/a/directory, redis://host:6379/0 or rediss://host:6379/0"

_lock = threading.Lock()
_budgets: dict[tuple[str, str], Budget] = {}


def select_budget(choice: str | None = None, *, server: str = "", is_loopback: bool = False) -> Budget:
    """Return the budget for a server. The same choice returns the same object in this process.

    Args:
        choice: `"local"`, `"host"`, `"host:/path"`, `"redis://…"` or `"rediss://…"`; None: the value of
            `GOEDGEPICKT_BUDGET`. Default: `"host"`, or `"local"` for a server on this machine.
        server: The base URL or its host; by default the real server.
        is_loopback: Whether the server is on this machine, such as a sandbox, whose port changes at each start.

    Raises:
        ConfigurationError: The choice is not valid, or the extra `redis` is not installed.
    """
    where = "budget" if choice is not None else VARIABLE
    chosen = (choice if choice is not None else os.environ.get(VARIABLE, "")).strip()
    chosen = chosen or ("local" if is_loopback else "host")
    name = _name_of(server)
    with _lock:
        budget = _budgets.get((chosen, name))
        if budget is None:
            budget = _budgets[chosen, name] = _made(chosen, name, where)
        return budget


def describe_budget(budget: Budget) -> str:
    """Describe a budget in one line: kind, place of the state, share of the limit, number of processes."""
    now = budget.snapshot()
    share = now.limit if now.share is None else now.share
    parts = [now.kind or type(budget).__name__, now.place, f"{share} of {now.limit} requests in {now.period:g} s"]
    if now.kind in {"host", "redis"}:
        parts.append(f"{now.sharers} {'process shares' if now.sharers == 1 else 'processes share'} it")
    if now.problem:
        parts.append(f"cannot be used at the moment: {now.problem}")
    return ", ".join(part for part in parts if part)


def _made(chosen: str, name: str, where: str) -> Budget:
    kind, _, rest = chosen.partition(":")
    if chosen == "local":
        return LocalBudget()
    if chosen == "host":
        return HostBudget(name=name)
    if kind == "host" and Path(rest).is_absolute():
        return HostBudget(name=name, directory=rest)
    if kind in {"redis", "rediss", "unix"} and "://" in chosen and _names_a_place(chosen):
        from goedgepickt_async.budget.redis import DEFAULT_KEY, RedisBudget  # noqa: PLC0415  needs the extra

        return RedisBudget(url=chosen, name=DEFAULT_KEY if name == DEFAULT_NAME else f"{DEFAULT_KEY}:{name}")
    shown = f"{kind}://…" if "://" in chosen else chosen  # a URL can contain a password
    raise ConfigurationError(f"{where} is {shown!r}, and must be {_FORMS}")


def _names_a_place(url: str) -> bool:
    """Whether the URL has a host and a valid database number, because redis-py would use defaults for them."""
    parts = urlsplit(url)
    if parts.scheme == "unix":
        return len(parts.path) > 1
    return bool(parts.hostname) and (parts.path.strip("/") or "0").isdecimal()


def _name_of(server: str) -> str:
    if not server:
        return DEFAULT_NAME
    parts = urlsplit(server if "//" in server else f"//{server}")
    host = (parts.hostname or "").rstrip(".")
    usual = {"http": 80, "https": 443, "": None}.get(parts.scheme)
    return host if parts.port in (None, usual) else f"{host}:{parts.port}"


def _after_fork_in_child() -> None:
    global _lock  # noqa: PLW0603  another thread of the parent may have held it
    _lock = threading.Lock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork_in_child)
