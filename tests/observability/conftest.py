"""A client that records the events of its hooks, and a log that is listened to down to its last word."""

import logging
from collections.abc import Callable, Iterator
from typing import Any

import attrs
import pytest

from goedgepickt_async import GoedGepickt, Hooks
from goedgepickt_async.logs import EVENTS
from goedgepickt_async.sandbox import Sandbox


@attrs.define
class Heard:
    """What hooks heard, in order: the hook's name and its event."""

    events: list[tuple[str, Any]] = attrs.field(factory=list)

    def hooks(self) -> Hooks:
        return Hooks(**{field.name: self._ear(field.name) for field in attrs.fields(Hooks)})

    def _ear(self, name: str) -> Callable[[Any], None]:
        return lambda event: self.events.append((name, event))

    def of(self, name: str) -> list[Any]:
        return [event for kind, event in self.events if kind == name]

    @property
    def story(self) -> list[str]:
        """The names of what belongs to calls."""
        aside = {"drift", "wait", "pause", "foreign_traffic", "page", "item"}
        return [name for name, _ in self.events if name not in aside]


@pytest.fixture
def heard() -> Heard:
    return Heard()


@pytest.fixture
def watched(sandbox: Sandbox, make_client: Callable[..., GoedGepickt], heard: Heard) -> GoedGepickt:
    webshop = str(sandbox.world.webshops[0]["uuid"])
    return make_client(sandbox.url, sandbox.api_key, hooks=heard.hooks(), webshop_uuid=webshop)


@pytest.fixture
def records() -> Iterator[list[logging.LogRecord]]:
    """All records of this package, of any level."""
    made: list[logging.LogRecord] = []

    class Ear(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            made.append(record)

    loggers = {logging.getLogger("goedgepickt_async")}
    loggers |= {logging.getLogger(f"goedgepickt_async.{event.logger}") for event in EVENTS.values() if event.logger}
    levels = {logger: logger.level for logger in loggers}
    ear = Ear()
    logging.getLogger("goedgepickt_async").addHandler(ear)
    for logger in loggers:
        logger.setLevel(logging.DEBUG)
    yield made
    logging.getLogger("goedgepickt_async").removeHandler(ear)
    for logger, level in levels.items():
        logger.setLevel(level)
