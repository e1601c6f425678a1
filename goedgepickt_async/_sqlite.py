"""`sqlite3`. On a Python without SQLite, the first use raises an error that explains how to install it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NoReturn

from goedgepickt_async.errors import ConfigurationError

__all__ = ["sqlite3"]


class _Error(Exception):
    """Replaces the error classes of sqlite3 where the module is missing."""


class _Missing:
    Error = DatabaseError = OperationalError = _Error

    def __getattr__(self, name: str) -> NoReturn:
        raise ConfigurationError(
            "this Python was built without SQLite (no module _sqlite3). Journals of plans and SqliteInbox need it. "
            "Install a Python with SQLite (before you build one, install libsqlite3-dev or sqlite-devel)"
        )


if TYPE_CHECKING:
    import sqlite3
else:
    try:
        import sqlite3
    except ModuleNotFoundError:
        sqlite3: Any = _Missing()
