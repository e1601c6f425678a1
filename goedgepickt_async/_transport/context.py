"""The context of a call: a context variable with the job that it belongs to."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Final

import attrs

from goedgepickt_async._transport.request import RawResponse
from goedgepickt_async.budget.slots import Lane

__all__ = ["CallContext", "current_context"]

_current: Final[ContextVar[CallContext | None]] = ContextVar("goedgepickt_async_call_context", default=None)

current_context: Final = _current.get
"""The job of the running code, or None."""


@attrs.define(kw_only=True, eq=False)
class CallContext:
    """A job that makes API calls.

    Attributes:
        lane: The lane of its calls, unless the client has a lane in its settings; None: the lane of each call.
        on_response: A function that gets the response of each successful call.
        before_write: A coroutine function that is awaited before each write is sent; its exception prevents the
            sending.
        requests: The number of requests sent for this job so far, including inner jobs.
    """

    lane: Lane | None = None
    before_write: Callable[[], Awaitable[None]] | None = None
    on_response: Callable[[RawResponse], None] | None = None
    requests: int = 0
    _parent: CallContext | None = None

    @contextmanager
    def active(self) -> Iterator[CallContext]:
        """Calls in this block, and in tasks that start in it, belong to this job.

        An inner job uses the lower of the two lanes: a part of a bulk job is a bulk job.
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
        """A request of this job is about to be sent."""
        self.requests += 1
        if self._parent is not None:
            self._parent.count_request()

    async def announce_write(self) -> None:
        """A write is about to be sent."""
        if self.before_write is not None:
            await self.before_write()

    def report_response(self, response: RawResponse) -> None:
        """A call of this job succeeded."""
        if self.on_response is not None:
            self.on_response(response)
        if self._parent is not None:
            self._parent.report_response(response)
