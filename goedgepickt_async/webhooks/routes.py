"""Which handler is for which event, and what it is given as an entry of the inbox. No IO."""

from __future__ import annotations

import hashlib
from collections.abc import Awaitable, Callable, Iterator, Sequence

import attrs

from goedgepickt_async.errors import ConfigurationError
from goedgepickt_async.webhooks.events import (
    AnyEvent,
    CompoundProductStockUpdated,
    Event,
    OrderStatusChanged,
    StockUpdated,
)
from goedgepickt_async.webhooks.inbox import Entry

__all__ = ["Route", "Routes", "name_of", "topic_of"]


@attrs.frozen(kw_only=True, eq=False)
class Route:
    """One handler and what it is for.

    Attributes:
        name: Its name in the inbox, the same in the next process.
        events: The classes of event that it is for.
        act: What is to be done.
        within: Seconds in which all events of one topic become one; None if each is handled by itself.
    """

    name: str
    events: tuple[type[Event], ...]
    act: Callable[[AnyEvent], Awaitable[object]]
    within: float | None = None

    def entry(self, event: AnyEvent, topic: str, digest: str, body: bytes) -> Entry | None:
        """What goes into the inbox; None if it is for other events."""
        if not isinstance(event, self.events):
            return None
        if self.within is None:
            return Entry(route=self.name, topic=topic, key=digest, body=body)
        # All ask for the same thing, a look at the present state: so they have the same key, and one of them waits.
        return Entry(route=self.name, topic=topic, key="", body=body, delay=self.within)


class Routes:
    """All handlers of a receiver."""

    def __init__(self) -> None:
        self._routes: dict[str, Route] = {}

    def __iter__(self) -> Iterator[Route]:
        return iter(self._routes.values())

    def __getitem__(self, name: str) -> Route:
        return self._routes[name]

    @property
    def names(self) -> tuple[str, ...]:
        """Their names."""
        return tuple(self._routes)

    def add(self, route: Route) -> None:
        """Add one.

        Raises:
            ConfigurationError: There is one of that name: what waits in the inbox could go to the wrong one.
        """
        if route.name in self._routes:
            raise ConfigurationError(f"two handlers are called {route.name!r}: give one of them another name=")
        self._routes[route.name] = route

    def entries(self, event: AnyEvent, body: bytes) -> Sequence[Entry]:
        """What an event puts into the inbox."""
        digest = hashlib.sha256(body).hexdigest()
        topic = topic_of(event) or f"body:{digest}"
        made = (route.entry(event, topic, digest, body) for route in self)
        return [entry for entry in made if entry is not None]


def topic_of(event: AnyEvent) -> str | None:
    """What an event is about; None if that is not known."""
    match event:
        case OrderStatusChanged():
            return f"order:{event.order_uuid}"
        case StockUpdated() | CompoundProductStockUpdated():
            return f"product:{event.product_uuid}"
        case _:
            return None


def name_of(handler: Callable[..., object], kind: str) -> str:
    """A handler's name: its own, without its module, which may be `__main__` today and `app` tomorrow.

    Raises:
        ConfigurationError: It has none.
    """
    name = getattr(handler, "__qualname__", None)
    if not isinstance(name, str):
        raise ConfigurationError(f"a handler without a name of its own ({type(handler).__name__}) needs name=")
    return f"{kind}:{name}"
