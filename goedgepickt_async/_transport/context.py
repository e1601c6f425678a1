"""What a call is part of: a context variable that carries a job's lane, and who wants to know of it, into its calls."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar

import attrs

from goedgepickt_async.budget.slots import Lane

__all__ = ["CallContext", "current_context"]

_current: ContextVar[CallContext | None] = ContextVar("goedgepickt_async_call_context", default=None)


@attrs.define(kw_only=True, eq=False)
class CallContext:
    """A job that makes calls of the API.

    Attributes:
        lane: The lane of its calls, unless the client has a lane in its settings; None: the calls' own.
        before_write: Called each time just before the bytes of a write leave; what it raises keeps them here.
        requests: Requests that went out on the wire for it so far, those of contexts inside it too.
    """

    lane: Lane | None = None
    before_write: Callable[[], None] | None = None
    requests: int = 0
    _parent: CallContext | None = None

    @contextmanager
    def active(self) -> Iterator[CallContext]:
        """Calls in this block, and in tasks that are started in it, are part of it.

        Inside an context of a lower lane it goes in that lane too: a part of a bulk job is a bulk job.
        """
        self._parent = _current.get()
        if self._parent is not None and self._parent.lane is not None:
            self.lane = max(self._parent.lane, self.lane or Lane.INTERACTIVE)
        token = _current.set(self)
        try:
            yield self
        finally:
            _current.reset(token)

    def count_request(self) -> None:
        """A request of it is about to leave."""
        self.requests += 1
        if self._parent is not None:
            self._parent.count_request()


def current_context() -> CallContext | None:
    """What the running code is part of."""
    return _current.get()
