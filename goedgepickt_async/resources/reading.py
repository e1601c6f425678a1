"""From a delivered answer to a model, with the call's context on what goes wrong."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

from goedgepickt_async.errors import Evidence, GoedGepicktError
from goedgepickt_async.wire.pipeline import Delivered

__all__ = ["read"]

T = TypeVar("T")


def read(delivered: Delivered, reader: Callable[[Any], T]) -> T:
    """Read an answer's JSON; an error says which call it was."""
    try:
        return reader(delivered.data)
    except GoedGepicktError as error:
        error.evidence = Evidence.APPLIED
        error.attempts, error.method, error.path = delivered.attempts, delivered.request.method, delivered.request.path
        raise
