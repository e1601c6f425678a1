"""The two inboxes do the same for every sequence of calls."""

import sqlite3
from collections.abc import Coroutine
from typing import Any, TypeVar

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from goedgepickt_async.webhooks import Claim, InboxEntry, MemoryInbox
from goedgepickt_async.webhooks.inbox.tables import SCHEMA, SqliteTable
from tests.support.fuzz import examples
from tests.webhooks.support import Clock

T = TypeVar("T")
ROUTES = ("r", "s")
indexes = st.integers(0, 20)
seconds = st.sampled_from([0.0, 0.5, 2.0, 10.0])


class BothInboxes(RuleBasedStateMachine):
    """Both inboxes do the same; and no topic is in two hands, unless a lease ended."""

    def __init__(self) -> None:
        super().__init__()
        self.clock = Clock()
        self.memory = MemoryInbox(clock=self.clock)
        self.connection = sqlite3.connect(":memory:", isolation_level=None)
        self.connection.executescript(SCHEMA)
        self.claims: list[tuple[Claim, Claim]] = []

    def teardown(self) -> None:
        self.connection.close()

    @property
    def table(self) -> SqliteTable:
        """Each step is one transaction."""
        return SqliteTable(self.connection, self.clock.now)

    def run(self, coroutine: Coroutine[Any, Any, T]) -> T:
        try:
            coroutine.send(None)
        except StopIteration as end:
            result: T = end.value
            return result
        raise AssertionError("an inbox in memory waits for nothing")

    @rule(route=st.sampled_from(ROUTES), topic=st.sampled_from("tu"), key=st.sampled_from("ab"), delay=seconds)
    def put(self, route: str, topic: str, key: str, delay: float) -> None:
        entry = InboxEntry(handler=route, ordering_key=topic, dedup_key=key, body=b"{}", delay=delay)
        assert self.run(self.memory.put([entry])) == self.table.put([entry])

    @rule(limit=st.integers(1, 4), lease=st.sampled_from([1.0, 30.0]), routes=st.sampled_from([ROUTES, ("s",)]))
    def claim(self, limit: int, lease: float, routes: tuple[str, ...]) -> None:
        first = self.run(self.memory.claim(routes, limit=limit, lease=lease, wait=0.0))
        second = self.table.claim(routes, limit, lease)
        assert [(one.entry.ordering_key, one.entry.dedup_key, one.id, one.attempt) for one in first] == [
            (one.entry.ordering_key, one.entry.dedup_key, one.id, one.attempt) for one in second
        ]
        lines = [(one.entry.handler, one.entry.ordering_key) for one in first]
        assert len(set(lines)) == len(lines)
        self.claims += zip(first, second, strict=True)

    @rule(index=indexes, dedup_window=seconds)
    def finish(self, index: int, dedup_window: float) -> None:
        if self.claims:
            first, second = self.claims.pop(index % len(self.claims))
            self.run(self.memory.finish(first, dedup_window=dedup_window))
            self.table.finish(second, dedup_window)

    @rule(index=indexes, delay=seconds, counts=st.booleans())
    def postpone(self, index: int, delay: float, counts: bool) -> None:
        if self.claims:
            first, second = self.claims[index % len(self.claims)]
            self.run(self.memory.postpone(first, delay=delay, counts=counts))
            self.table.postpone(second, delay, counts=counts)

    @rule(index=indexes)
    def give_up(self, index: int) -> None:
        if self.claims:
            first, second = self.claims[index % len(self.claims)]
            self.run(self.memory.give_up(first, reason="x"))
            self.table.give_up(second, "x", 1e9)

    @rule(index=indexes, lease=st.sampled_from([1.0, 30.0]))
    def renew(self, index: int, lease: float) -> None:
        if self.claims:
            first, second = self.claims[index % len(self.claims)]
            self.run(self.memory.renew([first], lease=lease))
            self.table.renew([second], lease)

    @rule(by=seconds)
    def pass_time(self, by: float) -> None:
        self.clock.now += by

    @invariant()
    def nothing_is_lost_or_stuck(self) -> None:
        assert self.run(self.memory.waiting(ROUTES)) == self.table.waiting(ROUTES)
        lines, heads = self.connection.execute(
            "SELECT (SELECT count(*) FROM (SELECT DISTINCT handler, ordering_key FROM entries)),"
            " (SELECT count(*) FROM entries WHERE due IS NOT NULL)"
        ).fetchone()
        assert lines == heads, "each line has one entry that may be handed out one day"


TestBothInboxes = BothInboxes.TestCase
TestBothInboxes.settings = settings(max_examples=examples(12), stateful_step_count=30)
