"""Completion-keyed slots: who may send now, when somebody may send next. Pure; the clock is passed in.

There are `limit` slots. Each slot in use is one row `id -> the instant at which it comes free`, and that is all the
state the guarantee needs:

    take        free at  now + life + late + window + guard     (pessimistic: whoever dies holding it needs no clean-up)
    answered    free at  now + window + guard                   (the answer's headers are here: it was counted by now)
    lost        free at  now + late + window + guard            (nobody knows when, or whether, it is counted)
    give back   free at once                                    (never sent, or refused with 429: never counted)

**Invariant**: never more than `limit` rows; a row's instant is only ever moved earlier, by its own settling.
**Why that is enough**: a request is counted by the server after it was taken and before its row's instant less
(window + guard). Two requests that hold one slot after another are thus counted more than a window apart, so no
window of the server, sliding or fixed, wherever it starts, holds more than `limit` of ours.

The server's own counter (`X-RateLimit-Remaining`) is a second, sound bound, for what the rows cannot know: another
process, a stranger on the same IP, the time before this start. It admits only while

    highest counter among the answers that overlap the newest one  +  what may still arrive  <  limit - margin

All instants are integer nanoseconds: an instant is computed once, stored, and only compared afterwards.
"""

from __future__ import annotations

import enum
from bisect import bisect_left, bisect_right, insort
from collections import deque
from typing import Any

import attrs

__all__ = ["FAR", "Lane", "Rules", "Slots", "nanoseconds"]

FAR = 1 << 62
"""An instant that never comes."""


def nanoseconds(seconds: float) -> int:
    """Seconds as whole nanoseconds."""
    return round(seconds * 1_000_000_000)


class Lane(enum.IntEnum):
    """Who goes first when slots are scarce: strict order between lanes, first come first served inside one."""

    INTERACTIVE = 0
    """A person or a web request waits for it; may use every slot."""
    NORMAL = 1
    """Lists past their first page; leaves a headroom for the interactive lane."""
    BULK = 2
    """Long jobs; leaves the headroom too."""


@attrs.frozen(kw_only=True)
class Rules:
    """The numbers of one budget; durations in seconds.

    Attributes:
        limit: Requests that the server allows in a window (150; reference section 2, confidence A).
        window: The server's window (60 s; confidence B).
        guard: Added to the window, for stores that keep whole seconds and for clock drift.
        late: How long after a client gave up the server may still come to count its request.
        headroom: Slots that lanes other than the interactive one leave free; at most a tenth of the limit.
        soon: A slot that comes free within this time counts as headroom.
        use_server_counter: Obey the server's counter as well.
    """

    limit: int = attrs.field(default=150, validator=attrs.validators.ge(1))
    window: float = attrs.field(default=60.0, validator=attrs.validators.gt(0))
    guard: float = 1.0
    late: float = 30.0
    headroom: int = attrs.field(default=10, validator=attrs.validators.ge(0))
    soon: float = 1.0
    use_server_counter: bool = True

    @property
    def hold(self) -> int:
        """Nanoseconds for which a slot cools after its answer."""
        return nanoseconds(self.window) + nanoseconds(self.guard)


class _Rows:
    """The slots in use, ordered by the instant at which they come free."""

    def __init__(self) -> None:
        self._free_at: dict[int, int] = {}
        self._order: list[tuple[int, int]] = []

    def __len__(self) -> int:
        return len(self._order)

    def drop_free(self, now: int) -> list[int]:
        """Drop those that are free by now; which they were."""
        dropped = [slot for _, slot in self._order[: self.free_by(now)]]
        for slot in dropped:
            del self._free_at[slot]
        del self._order[: len(dropped)]
        return dropped

    def add(self, slot: int, free_at: int) -> None:
        self._free_at[slot] = free_at
        insort(self._order, (free_at, slot))

    def remove(self, slot: int) -> int | None:
        free_at = self._free_at.pop(slot, None)
        if free_at is not None:
            del self._order[bisect_left(self._order, (free_at, slot))]
        return free_at

    def move_earlier(self, slot: int, free_at: int) -> None:
        before = self.remove(slot)
        if before is not None:
            self.add(slot, min(before, free_at))

    def dump(self) -> list[tuple[int, int]]:
        """All of them: when they come free, and which."""
        return list(self._order)

    def free_by(self, instant: int) -> int:
        """How many of them are free by then."""
        return bisect_right(self._order, (instant, FAR))

    def nth_free_at(self, n: int) -> int:
        """When the n-th of them (from 0) comes free."""
        return self._order[n][0] if n < len(self._order) else FAR


class _ServerCounter:
    """A sound upper bound of the server's counter, out of the answers that it put its counter on.

    Let R be the answered request that was sent last. Whatever was answered after R was sent overlaps it; the highest
    counter among those is one that no answered request has raised since. So the counter now is at most that, plus
    what is in flight, plus what strangers sent since.
    """

    def __init__(self, hold: int) -> None:
        self._hold = hold
        self._overlapping: deque[tuple[int, int]] = deque()  # (answered at, counter)
        self._newest_sent = -FAR
        self.highest: int | None = None  # None: nothing is known
        self.ends = FAR  # the window that `highest` speaks of is over by then

    def observe(self, sent: int, now: int, count: int) -> None:
        self._newest_sent = max(self._newest_sent, sent)
        self._overlapping.append((now, count))
        while self._overlapping[0][0] < self._newest_sent:
            self._overlapping.popleft()
        highest = max(counter for _, counter in self._overlapping)
        if not self.highest or highest < self.highest:
            # A new window, begun not later than now. A counter of zero says that none is running.
            self.ends = now + self._hold if highest else FAR
        self.highest = highest

    def unseen(self, now: int) -> None:
        """An answer without the counter: it may have been counted all the same."""
        if self.highest is not None:
            if not self.highest:
                self.ends = now + self._hold  # no window was running; this one may have begun one
            self.highest += 1
            self._overlapping.append((now, self.highest))

    def forget(self) -> None:
        self._overlapping.clear()
        self.highest, self.ends = None, FAR

    def dump(self) -> dict[str, Any]:
        return {
            "overlapping": list(self._overlapping),
            "newest_sent": self._newest_sent,
            "highest": self.highest,
            "ends": self.ends,
        }

    def load(self, values: dict[str, Any]) -> None:
        self._overlapping = deque((int(at), int(count)) for at, count in values["overlapping"])
        self._newest_sent, self.ends = int(values["newest_sent"]), int(values["ends"])
        self.highest = None if values["highest"] is None else int(values["highest"])


class Slots:
    """The state machine. Every method takes `now`, which never goes back."""

    SHARED_FOR = 5
    """For how many windows a stranger who was seen is reckoned with."""
    MOST_MARGIN = 16
    PROBES = 20
    """While nothing is known, at most so many go in a window, should the first ones not be answered."""
    SILENT = 3
    _SCALARS = (
        "throttled_count",
        "_last_id",
        "_paused_until",
        "_shared_until",
        "_margin",
        "_cold",
        "_cold_since",
        "_probe",
        "_probe_until",
        "_silent",
    )

    def __init__(self, rules: Rules, *, first_id: int = 0) -> None:
        self.rules = rules
        self.throttled_count = 0
        self._hold = rules.hold
        self._late = nanoseconds(rules.late)
        self._soon = nanoseconds(rules.soon)
        self._headroom = min(rules.headroom, rules.limit // 10)
        self._rows = _Rows()
        self._sent: dict[int, int] = {}  # slot -> when it was taken, until it is settled
        self._last_id = first_id
        self._counter = _ServerCounter(self._hold)
        self._paused_until = -FAR
        self._shared_until = -FAR
        self._margin = 0
        # Cold: nothing is known of the server's window, so one request goes alone. What was sent before tells nothing.
        self._cold = rules.use_server_counter
        self._cold_since = -FAR
        self._probe: int | None = None
        self._silent = 0  # answers without a counter while cold
        self._patience = nanoseconds(rules.window) // self.PROBES
        self._probe_until = -FAR  # a probe that is not answered by then is not waited for any longer

    # -- reading ------------------------------------------------------------------------------------------------

    def free(self, now: int) -> int:
        """How many requests may go now, by our own rows and by the server's counter."""
        self._pass_time(now)
        own = self.rules.limit - len(self._rows)
        if self._counter.highest is None:
            return own
        by_server = self.rules.limit - self._margin - self._counter.highest - self._may_still_arrive(now)
        return min(own, by_server)

    def in_flight(self, now: int) -> int:
        """How many were taken and not settled."""
        self._pass_time(now)
        return len(self._sent)

    def used(self, now: int) -> int:
        """How many slots are in use, cooling ones included."""
        self._pass_time(now)
        return len(self._rows)

    def paused_until(self, now: int) -> int | None:
        """The end of the pause that a 429 ordered, or None."""
        return self._paused_until if self._paused_until > now else None

    def strangers_seen(self, now: int) -> bool:
        """Whether the server's counter showed requests that are not ours, of late."""
        return now < self._shared_until

    def next_change(self, now: int) -> int:
        """The earliest instant after `now` at which time alone may let a request go; FAR if only an answer can."""
        if self._paused_until > now:
            return self._paused_until
        self._pass_time(now)
        instants = [self._rows.nth_free_at(0), self._counter.ends]
        if self._probe is not None:
            instants.append(self._probe_until)
        if self._headroom and len(self._rows):
            instants.append(self._next_after(now, self._soon))
        if self._counter.highest is not None:
            instants.append(self._next_after(now, self._hold))  # a lost one stops being "may still arrive"
        return min((instant for instant in instants if instant > now), default=FAR)

    def predicted_wait(self, now: int, ahead: int, lane: Lane = Lane.INTERACTIVE) -> int:
        """Nanoseconds until somebody with `ahead` others before them would get a slot, if all goes as usual."""
        self._pass_time(now)
        own = self.rules.limit - len(self._rows)
        instant = max(now, self._paused_until, self._freed(now, ahead + 1 - own))
        if lane is not Lane.INTERACTIVE and self._headroom:
            instant = max(instant, self._freed(now, ahead + 1 - own + self._headroom) - self._soon)
        by_server = self._counter.highest
        if by_server is not None and by_server + self._margin + ahead >= self.rules.limit and self._counter.ends < FAR:
            instant = max(instant, self._counter.ends)
        return instant - now

    def _freed(self, now: int, number: int) -> int:
        """When so many more slots will have come free; what is in flight will be answered about now."""
        if number <= 0:
            return now
        rounds, nth = divmod(number - 1, self.rules.limit)
        return min(self._rows.nth_free_at(nth), now + self._hold) + rounds * self._hold

    # -- the life of a slot -------------------------------------------------------------------------------------

    def take(self, now: int, lane: Lane, life: int) -> int | None:
        """Take a slot for an attempt that lives at most `life` nanoseconds; None: not now."""
        if now < self._paused_until:
            return None
        free = self.free(now)
        if self._probe is not None and now < self._probe_until:
            return None
        if free < 1 or not self._leaves_headroom(now, lane, free):
            return None
        self._last_id += 1
        slot = self._last_id
        self._rows.add(slot, now + life + self._late + self._hold)
        self._sent[slot] = now
        if self._cold:
            self._probe, self._probe_until = slot, now + self._patience
        return slot

    def answered(self, slot: int, now: int, count: int | None = None) -> None:
        """The answer's headers are here; `count` is the server's counter on them, if it spoke of our limit."""
        self._pass_time(now)
        sent = self._sent.pop(slot, None)
        if sent is None:
            return
        self._rows.move_earlier(slot, now + self._hold)
        if sent < self._cold_since:
            return
        self._warm(told=count is not None)
        if count is None:
            self._counter.unseen(now)
        elif self.rules.use_server_counter:
            self._look_for_strangers(now, count)
            self._counter.observe(sent, now, count)

    def lost(self, slot: int, now: int) -> None:
        """It was sent and no answer came (or a gateway's): it may be counted up to `late` from now."""
        if self._sent.pop(slot, None) is not None:
            self._rows.move_earlier(slot, now + self._late + self._hold)

    def give_back(self, slot: int) -> None:
        """It was never sent."""
        if self._sent.pop(slot, None) is not None:
            self._rows.remove(slot)
        if self._probe == slot:
            self._probe = None

    def refused(self, slot: int, now: int, pause: int) -> None:
        """The server answered 429, which it does not count: everybody pauses, then one request goes alone."""
        self.give_back(slot)
        self.throttled(now, pause)

    def throttled(self, now: int, pause: int) -> None:
        """The server's throttle spoke: pause everybody for `pause` nanoseconds and reckon with strangers."""
        self.throttled_count += 1
        self._paused_until = max(self._paused_until, now + pause)
        self._forget(now)
        self._shared_until = now + self.SHARED_FOR * self._hold
        self._margin = min(self.MOST_MARGIN, max(2, self._margin * 2), self.rules.limit // 2)

    def orphan_all(self, now: int) -> None:
        """Whoever held the slots in flight will never settle them here (a fork); the requests may well arrive."""
        self._sent.clear()  # the rows stay as they are, which covers the longest life
        self._forget(now)

    # -- as data ------------------------------------------------------------------------------------------------

    def dump(self) -> dict[str, Any]:
        """All of it, as JSON-ready values."""
        scalars = {name.lstrip("_"): getattr(self, name) for name in self._SCALARS}
        return scalars | {"rows": self._rows.dump(), "sent": list(self._sent.items()), "counter": self._counter.dump()}

    def load(self, values: dict[str, Any]) -> None:
        """Become what `dump` gave.

        Raises:
            LookupError, TypeError, ValueError: It is something else.
        """
        for name in self._SCALARS:
            value = values[name.lstrip("_")]
            setattr(self, name, value if value is None or isinstance(value, bool) else int(value))
        self._rows = _Rows()
        for free_at, slot in values["rows"]:
            self._rows.add(int(slot), int(free_at))
        self._sent = {int(slot): int(at) for slot, at in values["sent"]}
        self._counter.load(values["counter"])

    def adopt(self, others: Slots) -> None:
        """Reckon with what was sent under other slots for the same server, by the same clock."""
        for free_at, _ in others._rows.dump():
            self._last_id += 1
            self._rows.add(self._last_id, free_at)

    # -- inside -------------------------------------------------------------------------------------------------

    def _pass_time(self, now: int) -> None:
        for slot in self._rows.drop_free(now):
            self._sent.pop(slot, None)  # only where its holder died: its longest life is over
        if now >= self._counter.ends:
            if now < self._shared_until:
                self._forget(now)  # a stranger may have begun the next window already
            self._counter.forget()
        if now >= self._shared_until:
            self._margin = 0

    def _forget(self, now: int) -> None:
        """What is known of the server's window is over; one request alone is to find out anew."""
        self._counter.forget()
        self._probe, self._silent = None, 0
        self._cold, self._cold_since = self.rules.use_server_counter, now

    def _warm(self, *, told: bool) -> None:
        """An answer came. One with the counter opens the rest; so do a few without: this server tells nothing."""
        self._probe = None
        self._silent = 0 if told else self._silent + 1
        if told or self._silent >= self.SILENT:
            self._cold, self._silent = False, 0

    def _may_still_arrive(self, now: int) -> int:
        return len(self._rows) - self._rows.free_by(now + self._hold)

    def _leaves_headroom(self, now: int, lane: Lane, free: int) -> bool:
        if lane is Lane.INTERACTIVE or free > self._headroom:
            return True
        return free - 1 + self._rows.free_by(now + self._soon) >= self._headroom

    def _next_after(self, now: int, before: int) -> int:
        """When the next row is `before` nanoseconds from coming free."""
        free_at = self._rows.nth_free_at(self._rows.free_by(now + before))
        return FAR if free_at == FAR else free_at - before

    def _look_for_strangers(self, now: int, count: int) -> None:
        if count > len(self._rows):
            self._shared_until = now + self.SHARED_FOR * self._hold
            self._margin = max(self._margin, min(2, self.rules.limit // 10))
