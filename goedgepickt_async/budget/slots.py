"""Slots: which request may be sent now, and when the next one may be sent. Pure; the clock is passed in.

Each used slot is one row `id -> the time when it becomes free`. The guarantee needs no other state:

    take        free at  now + max_lifetime + late_arrival + window + safety_margin   (a holder that dies needs no clean-up)
    answered    free at  now + window + safety_margin                      (the headers are here: it was counted by now)
    lost        free at  now + late_arrival + window + safety_margin       (it is unknown when, or whether, it is counted)
    give back   free at once                                               (never sent, or refused with 429)

**Invariant**: there are never more than `share` rows, and the time of a row only moves earlier, when its holder settles
it. **Why that is enough**: the server counts a request after its slot was taken, and at least (window + safety margin)
before the slot becomes free. So two requests that use one slot in turn are counted more than a window apart. Any window
of the server, sliding or fixed, has at most `share` of them.

The server's counter (`X-RateLimit-Remaining`) is a second bound. It includes requests that the rows do not know: other
processes, other clients on the IP address, the time before this start. A request is allowed only while

    highest counter among the answers that overlap the newest one  +  what may still arrive  <  limit - margin

The margin is for foreign requests at the same time. It is zero after the counter has shown no foreign traffic.

Other lanes leave one slot for each `interactive_interval` until the next slot becomes free:

    free now + becomes free before an instant  >=  1/2 + (that instant - now) / interactive_interval, or the headroom

All times are integer nanoseconds: computed once, stored, and afterwards only compared.
"""

from __future__ import annotations

import random
import struct
from array import array
from bisect import bisect_right
from collections.abc import Iterable, Mapping
from itertools import chain, islice
from operator import itemgetter
from typing import Any, Final

from goedgepickt_async.budget.config import FAR, Demand, Lane, LimiterConfig, nanoseconds
from goedgepickt_async.budget.encoding import StateError, seal, unseal
from goedgepickt_async.budget.server_counter import ExpiryIndex, ServerCounter

__all__ = ["FAR", "Demand", "Lane", "LimiterConfig", "Slots", "nanoseconds"]

_MAX_SHARERS = 512


_SCALARS: Final = (
    "at",
    "clock",
    "written_at",
    "apart_until",
    "throttled_count",
    "_paused_until",
    "_shared_until",
    "_announced_until",
    "_fixed_until",
    "_alone_until",
    "_margin",
    "_cold",
    "_cold_since",
    "_probe",
    "_probe_until",
    "_silent",
    "_gone",
    "_gone_before",
    "_gone_since",
    "_fresh_starts",
)
_scalars_of = itemgetter(*_SCALARS)
_KNOWN_UNTIL: Final = ("_paused_until", "_shared_until", "_announced_until", "_fixed_until", "_alone_until")
"""What is known of the server, until these times; no loss of a state changes it."""
_NONE = -1
_AWAITED = 0
"""No request is sent until the other processes had time to restore their slots."""
_RESTORING: Final = nanoseconds(1.5)
"""The time in which each process with waiting calls looks at a file again."""
_LONG_AGO: Final = -FAR - 1
"""When a slot was taken, where that is not known: before all that is known of the server's counter."""


class Slots:
    """The state machine of the slots. Each method has an argument `now`, which never goes back.

    Args:
        config: Its numbers.
        sharer: The number of the process that takes slots here; 0 if there is only one.

    Attributes:
        config: Its numbers.
        epoch: The number of the state's history; a new state has another number.
        sequence: The number of writes.
        at: The time of the last write on its own clock.
        clock: The id of the clock, or the nanoseconds that the store's clock is behind.
        written_at: The wall-clock time of the last write, if the store records it.
        apart_until: The time until which each host uses its own state, after an outage of the store.
        throttled_count: The number of 429 responses so far.
        turns: The last turn that was served, by lane.
        sharers: The waiting calls of the sharing processes, by their numbers.
        rows: The used slots; only for reading.
        most_ours: The largest number of requests in the server's last counter that known processes can have sent.
    """

    SHARED_FOR = 5
    """The number of windows for which seen foreign traffic is expected to continue."""
    MOST_MARGIN = 16
    LISTEN = 6
    """The part of a window within which relevant foreign traffic shows in the server's counter."""
    HEARD = 15
    """The part of a window after which one request may be sent without room, to refresh the counter."""
    PROBES = 20
    """The largest number of requests in a window while nothing is known and the first ones get no response."""
    STARTS = 4
    """The number of consecutive restarts of the window after which it counts as a fixed window."""
    SILENT = 3
    REMEMBERED = 5
    """The number of windows for which a process without a write is remembered."""
    WAITS_FOR = 2
    """The part of a window for which the calls of a process count as waiting without another write."""

    def __init__(self, config: LimiterConfig, sharer: int = 0) -> None:
        self.config = config
        self.sharer = sharer
        self.epoch: int = random.getrandbits(62)
        self.sequence: int = 0
        self.at: int = -FAR
        self.clock: int = 0
        self.written_at: int = 0
        self.apart_until: int = 0
        self.throttled_count: int = 0
        self.turns: list[int] = [0, 0, 0]
        self.sharers: dict[int, Demand] = {}
        self._cooldown = config.cooldown
        self._late = nanoseconds(config.late_arrival)
        self._headroom = config.headroom_kept
        self._last_id = 0
        self.rows: ExpiryIndex = ExpiryIndex()
        self.most_ours: int = 0
        self._sent: dict[int, int] = {}  # slot -> when it was taken, until it is settled
        self._counter = ServerCounter(self._cooldown)
        self._paused_until = self._shared_until = self._announced_until = -FAR
        self._fixed_until = self._alone_until = -FAR
        self._margin = 0
        # Slots that became free since this time, and in the cooldown before it.
        self._gone = self._gone_before = 0
        self._gone_since = -FAR
        self._fresh_starts = 0  # the number of consecutive windows that were seen to restart
        # Cold: nothing is known about the server's window, so a single request is sent. Earlier requests do not matter.
        self._cold = int(config.use_server_counter)
        self._cold_since = -FAR
        self._probe, self._probe_until = _NONE, -FAR  # a probe without a response is waited for until then
        self._silent = 0  # responses without a counter while cold
        self._window, self._lateness = nanoseconds(config.window), config.part(20)
        self._probe_wait = config.part(self.PROBES)
        self._listen, self._heard = config.part(self.LISTEN), config.part(self.HEARD)
        self._careful, self._unsure = config.margins

    # -- reading ------------------------------------------------------------------------------------------------

    def free(self, now: int) -> int:
        """The number of requests that may be sent now, by the rows and by the server's counter."""
        self._advance(now)
        return min(self.config.share - len(self.rows.instants), self._free_server(now))

    def in_flight(self, now: int) -> int:
        """The number of slots that are taken and not settled."""
        self._advance(now)
        return len(self._sent)

    def used(self, now: int) -> int:
        """The number of used slots, including the ones that are settled and not free yet."""
        self._advance(now)
        return len(self.rows)

    def is_cold(self) -> bool:
        """Whether nothing is known about the server's window, so that a single request is sent first."""
        return bool(self._cold)

    def paused_until(self, now: int) -> int | None:
        """The end of the pause after a 429, or None."""
        return self._paused_until if self._paused_until > now else None

    def foreign_traffic(self, now: int) -> bool:
        """Whether the server's counter recently showed requests of other programs."""
        return now < self._announced_until

    def may_be_alone(self, now: int) -> bool:
        """Whether the server's counter recently showed only requests of this state, or is not known."""
        return now < self._alone_until or self._counter.told_at == -FAR

    def next_change(self, now: int) -> int:
        """The earliest time after `now` when a request may be sent; FAR if that needs a response."""
        if self._paused_until > now:
            return self._paused_until
        self._advance(now)
        instants = [self.rows.nth_free_at(0), self._counter.ends, self._young_until()]
        if self._probe != _NONE:
            instants.append(self._probe_until)
        if self._headroom and self.free(now) > 0:
            instants.append(self.room_from(now))
        if self._counter.highest is not None:
            if now < self._counter.rolling_until:
                instants.append(self._counter.told_at + self._heard)
            # The second one: a lost request can no longer arrive.
            instants += self._refresh_at(now), self._next_after(now, self._cooldown)
        return min(instant for instant in instants if instant > now)

    def nth_change(self, now: int, ahead: int, each: int = 0) -> int:
        """The earliest time when a slot can become free for a call with `ahead` others before it.

        A response can arrive at any moment, so a slot in flight becomes free at the earliest a cooldown after it was
        sent. Each of the others needs `each` nanoseconds to take its slot.
        """
        if self._paused_until > now:
            return self._paused_until
        self._advance(now)
        if self._probe != _NONE and self._cold:
            return self._probe_until
        lacking = ahead + 1 - self._free_local()
        if lacking <= 0:
            return max(self.next_change(now), now + ahead * each)
        free_at = self.rows.free_at
        early = {slot: at + self._cooldown for slot, at in self._sent.items() if at > _LONG_AGO}
        earliest = sorted(max(now, min(instant, early.get(slot, FAR))) for slot, instant in free_at.items())
        instant = now + (ahead + 1 - lacking) * each if earliest else FAR
        for free in earliest[:lacking]:
            instant = max(instant + each, free)
        return instant

    def predicted_wait(self, now: int, ahead: int, lane: Lane = Lane.INTERACTIVE) -> int:
        """The expected nanoseconds until a call with `ahead` others before it gets a slot."""
        self._advance(now)
        lacking = ahead + 1 - self._free_local()
        instant = max(self._paused_until, self._freed(now, lacking))
        if lane is not Lane.INTERACTIVE and self._headroom:
            left = max(1, -lacking)
            instant = max(instant, self._freed(now, lacking + 1))
            instant = max(instant, self.config.room_until(self._freed(now, lacking + left + 1), left))
        return max(instant, self._opens_there(now, ahead)) - now

    def _opens_there(self, now: int, ahead: int) -> int:
        """The time when the server's counter allows a call with `ahead` others before it."""
        highest, ends = self._counter.highest, self._counter.ends
        if highest is None or ends == FAR or now < self._counter.rolling_until:
            return now
        lacking = highest + self._margin_at(now, highest) + ahead + 1 - self.config.limit
        if lacking <= 0:
            return now
        if (refresh := self._refresh_at(now)) < FAR:
            return min(ends, refresh + (lacking - 1) * (refresh - self._counter.told_at))
        return self._young_until() if self._is_unsure(now) and highest + ahead < self.config.limit else ends

    def _freed(self, now: int, number: int) -> int:
        """The time when this number of further slots is free, if open responses arrive about now."""
        if number <= 0:
            return now
        rounds, nth = divmod(number - 1, self.config.share)
        return min(self.rows.nth_free_at(nth), now + self._cooldown) + rounds * self._cooldown

    # -- one slot -----------------------------------------------------------------------------------------------

    def take(self, now: int, lane: Lane, max_lifetime: int, slot: int | None = None) -> int | None:
        """Take a slot for an attempt of at most `max_lifetime` nanoseconds. None if no slot is free.

        All lanes except the interactive one leave room. The id is unique among all processes; by default the next number.
        """
        if not self.can_take(now, lane):
            return None
        if slot is None:
            slot = self._last_id + 1
            self._last_id = slot
        self.rows.add(slot, now + max_lifetime + self._late + self._cooldown)
        self._sent[slot] = now
        if self._cold:
            self._probe, self._probe_until = slot, now + self._probe_wait
        return slot

    def answered(self, slot: int, now: int, count: int | None = None) -> None:
        """Record a response's headers. `count` is the server's counter, if it is for our limit."""
        self._advance(now)
        sent = self._sent.pop(slot, None)
        if sent is None:
            return
        self.rows.move_earlier(slot, now + self._cooldown)
        if sent < self._cold_since:
            return
        first = slot == self._probe
        if self._cold:
            self._warm(told=count is not None)
        if count is None or self._is_of_an_earlier_window(sent, now, count):
            self._counter.unseen(now)
        elif self.config.use_server_counter:
            rolling_until, before = self._counter.rolling_until, self._counter.highest or 0
            drained = self.config.limit * (now + self._lateness - self._counter.told_at) // self._window
            in_bucket = before - drained if before or now < rolling_until else self.config.limit
            self._counter.observe(sent, now, count)
            if self._counter.rolling_until > rolling_until:  # proven by two falls
                self._shared_until = min(self._shared_until, self._announced_until)
            self._look_for_a_fixed_window(sent, now, count, in_bucket, first=first)
            fell = self._counter.fell_at == now and now >= self._fixed_until
            # After a larger fall, foreign traffic may have followed the start of a fixed window.
            is_small_fall = fell and before <= count + self.config.limit // 3
            self._look_for_foreign_traffic(sent, now, count, first=first or is_small_fall)
            if self.config.others >= self.config.limit and count > self._perhaps_counted() + self._careful:
                self._alone_until = -FAR  # other hosts send requests

    def lost(self, slot: int, now: int) -> None:
        """Record a request without a response of the application: it may be counted until `late_arrival` from now."""
        if self._sent.pop(slot, None) is not None:
            self.rows.move_earlier(slot, now + self._late + self._cooldown)

    def give_back(self, slot: int) -> None:
        """Give back a slot whose request was never sent."""
        if self._sent.pop(slot, None) is not None:
            self.rows.remove(slot)
        if self._probe == slot:
            self._probe = _NONE

    def throttled(self, now: int, pause: int) -> None:
        """Pause all requests for `pause` nanoseconds after a 429; then a single one is sent. Expect foreign traffic."""
        self.throttled_count += 1
        self._counter.rolling_until = -FAR
        self._paused_until = max(self._paused_until, now + pause)
        self.begin_cold(now)
        self._shared_until = now + self.SHARED_FOR * self._cooldown
        self._announced_until = self._shared_until
        self._margin = min(self.MOST_MARGIN, max(2, self._margin * 2), self.config.limit // 2)

    def begin_cold(self, now: int) -> None:
        """Treat the server's counter as outdated: a single request must refresh it."""
        self._counter.forget()
        self._probe, self._silent = _NONE, 0
        self._cold, self._cold_since = int(self.config.use_server_counter), now

    # -- sharers ------------------------------------------------------------------------------------------------

    def detach_in_flight(self, now: int) -> None:
        """Forget the holders of the slots in flight, which never settle them here (a fork). The requests may arrive."""
        self._sent.clear()  # the rows stay as they are, which covers the longest possible lifetime
        self.begin_cold(now)

    def absorb(self, rows: Mapping[int, int]) -> int:
        """Add missing slots by their ids and times. Return the number of missing ones."""
        missing = rows.keys() - self.rows.free_at.keys()
        for slot in missing:
            self.rows.add(slot, rows[slot])
        return len(missing)

    def reopen(self, slots: Iterable[int]) -> None:
        """Mark slots that were taken before this state began and that their holder will settle."""
        for slot in slots:
            if slot in self.rows.free_at:
                self._sent.setdefault(slot, _LONG_AGO)

    def server_facts(self, now: int, shift: int = 0) -> list[int]:
        """What is known of the server, for `begin_restored` of another state whose times are `shift` nanoseconds later."""
        highest, ends = self._counter.highest, self._counter.ends
        is_running = highest and now < ends <= now + self._cooldown
        window = [highest, ends + shift, self._counter.told_at + shift] if is_running else [0, -FAR, -FAR]
        rolling_until = self._counter.rolling_until + shift if now < self._counter.rolling_until else -FAR
        return [*window, rolling_until, self._margin, *(getattr(self, name) + shift for name in _KNOWN_UNTIL)]

    def begin_restored(self, now: int, *known: list[int], shared: bool = False) -> None:
        """Begin cold, but keep what this state and earlier ones know of the server (`server_facts`).

        The server's window ends at the same time as before, so a lost state does not prolong the wait for its end. If a
        single request of another process is in flight, it refreshes the counter, and no second one is sent meanwhile.

        Args:
            now: The time.
            known: The facts of earlier states.
            shared: Whether other processes may have sent requests since then. If few slots seem free, these processes
                get time to restore their slots first.
        """
        facts = [self.server_facts(now), *known]
        highest, ends, told_at, rolling_until, margin, *times = map(max, zip(*facts, strict=True))
        # A later end is of the next window, or of a process that did not see the start of this one.
        ends = min((fact[1] for fact in facts if fact[0]), default=ends)
        probe, until, since = self._probe, self._probe_until, self._cold_since
        waits = self._cold and probe != _NONE and now < until <= now + max(self._probe_wait, _RESTORING)
        self.begin_cold(now)
        if waits:
            self._probe, self._cold_since = probe, since
        elif shared and self._cold and since < now - self._cooldown and self._are_few_left(highest):
            self._probe, self._probe_until = _AWAITED, now + min(_RESTORING, self.config.part(5))
        if highest:  # a lower counter than this one will show that another window has begun
            self._counter.resume(highest, ends, told_at)
        self._counter.rolling_until, self._margin = rolling_until, margin
        for name, until in zip(_KNOWN_UNTIL, times, strict=True):
            setattr(self, name, until)

    def _are_few_left(self, highest: int) -> bool:
        return min(self._free_local(), self.config.limit - highest) <= self.config.margins[1]

    def lower(self, slot: int, free_at: int) -> None:
        """Move the time of a slot of this process to an earlier one; the slot is no longer in flight."""
        self._sent.pop(slot, None)
        self.rows.move_earlier(slot, free_at)

    def drop(self, slots: Iterable[int]) -> None:
        """Remove slots that were given back and are still in an older state."""
        for slot in slots:
            self._sent.pop(slot, None)
            self.rows.remove(slot)

    def can_take(self, now: int, lane: Lane) -> bool:
        """Whether a call in this lane may be sent now."""
        if now < self._paused_until or self.free(now) < 1 or (self._probe != _NONE and now < self._probe_until):
            return False
        return lane is Lane.INTERACTIVE or self.room_from(now) <= now

    def may_pass(self, now: int, lane: Lane, ahead: int) -> bool:
        """Whether enough is free for one call in this lane and for `ahead` calls of other sharers before it."""
        headroom = 0 if lane is Lane.INTERACTIVE else self._headroom  # which those calls leave free too
        return self.free(now) > ahead + headroom

    def next_in_line(self, now: int) -> list[int]:
        """The other processes that may take free slots now, in their order."""
        waits_since = now - self._cooldown // self.WAITS_FOR
        line = sorted(
            (lane, demand.tags[lane], sharer, demand.calls[lane])
            for sharer, demand in self.sharers.items()
            if sharer != self.sharer and demand.seen > waits_since
            for lane in Lane
            if demand.calls[lane]
        )
        free, found = self.free(now), []
        for lane, _, sharer, calls in line:
            if free < 1 or not self.can_take(now, lane):
                break
            found.append(sharer)
            free -= calls
        return list(dict.fromkeys(found))

    def announce(self, demand: Demand) -> None:
        """Record the waiting calls of this process, and forget processes that wrote nothing for some windows."""
        self.sharers[self.sharer] = demand
        if len(self.sharers) < 2:
            return
        oldest = demand.seen - self.REMEMBERED * self._cooldown
        if any(demand.seen < oldest for demand in self.sharers.values()) or len(self.sharers) > _MAX_SHARERS:
            kept = sorted(self.sharers.items(), key=lambda item: item[1].seen)[-_MAX_SHARERS:]
            self.sharers = {sharer: demand for sharer, demand in kept if demand.seen >= oldest}

    def ahead(self, now: int, lane: Lane, tag: int) -> int:
        """The number of calls of other processes before a call of this process."""
        if len(self.sharers) == (self.sharer in self.sharers):
            return 0
        waits_since = now - self._cooldown // self.WAITS_FOR
        return sum(
            demand.before(lane, tag, wins_ties=sharer < self.sharer)
            for sharer, demand in self.sharers.items()
            if sharer != self.sharer and demand.seen > waits_since and any(demand.calls)
        )

    # -- as bytes -----------------------------------------------------------------------------------------------

    def encode(self) -> bytes:
        """Encode the state as bytes with a version and a checksum."""
        overlapping = self._counter.overlapping
        numbers = [len(self.rows.instants), len(self._sent), len(overlapping), len(self.sharers)]
        numbers += (*_scalars_of(vars(self)), *self.turns, *self._counter.dump())
        for row in chain(self._sent.items(), overlapping):
            numbers += row
        for sharer, (seen, host, calls, keys, tags) in self.sharers.items():
            numbers += (sharer, host, seen, *calls, *keys, *tags)
        return seal(self.epoch, self.sequence, array("q", numbers), self.rows.instants, self.rows.slots)

    @classmethod
    def decode(cls, data: bytes, config: LimiterConfig, sharer: int = 0) -> Slots:
        """Decode the state in these bytes; later bytes are ignored.

        Raises:
            StateError: The bytes are damaged.
            StateVersionError: Another version wrote the bytes.
        """
        slots = cls(config, sharer)
        slots.epoch, slots.sequence, body = unseal(data)
        try:
            slots._load(body)
        except (LookupError, ValueError, TypeError, struct.error) as error:
            raise StateError(f"it has values that are not valid ({type(error).__name__})") from None
        return slots

    def _load(self, body: bytes) -> None:
        rows, sent, overlapping, sharers = struct.unpack_from("4q", body)
        length = 4 + len(_SCALARS) + 11 + 2 * sent + 3 * overlapping + 12 * sharers
        if min(rows, sent, overlapping, sharers) < 0 or 8 * (length + 2 * rows) != len(body):
            raise ValueError("its length is wrong")
        values = islice(struct.unpack_from(f"{length}q", body), 4, None)
        vars(self).update(zip(_SCALARS, values, strict=False))
        self.turns, counter = list(islice(values, 3)), list(islice(values, 8))
        pairs, triples = islice(values, 2 * sent), islice(values, 3 * overlapping)
        self._sent = dict(zip(pairs, pairs, strict=True))
        self._counter.load(counter, zip(triples, triples, triples, strict=True))
        others: Iterable[tuple[Any, ...]] = zip(*[values] * 12, strict=True)
        self.sharers = {s[0]: Demand(s[2], s[1], s[3:6], s[6:9], s[9:12]) for s in others}
        self.rows.load(body[8 * length :])

    # -- inside -------------------------------------------------------------------------------------------------

    def _advance(self, now: int) -> None:
        dropped = self.rows.drop_free(now)
        freed = len(dropped) - bisect_right(dropped, now - self._cooldown) if dropped else 0
        since = now - self._gone_since
        if since >= self._cooldown and (freed or self._gone or self._gone_before):
            self._gone_before = self._gone if since < 2 * self._cooldown else 0
            self._gone, self._gone_since = 0, now
        self._gone += freed
        if dropped and not self._sent.keys() <= self.rows.free_at.keys():
            # Only if a holder died: its longest lifetime is over.
            self._sent = {slot: at for slot, at in self._sent.items() if slot in self.rows.free_at}
        saw_no_start = self._saw_no_start()
        if self._counter.advance(now) and (saw_no_start or now < self._shared_until or self._may_linger(now)):
            self.begin_cold(now)  # another client may have started the next window, or the window is not fixed
        if now >= self._shared_until:
            self._margin = 0

    def _warm(self, *, told: bool) -> None:
        """A response arrived: one with the counter, or a few without it, allow further requests."""
        self._probe = _NONE
        self._silent += 1
        if told or self._silent >= self.SILENT:
            self._cold, self._silent = 0, 0

    # -- how many may go ----------------------------------------------------------------------------------------

    def _free_local(self) -> int:
        """The number of free slots by the rows."""
        return self.config.share - len(self.rows.instants)

    def _free_server(self, now: int) -> int:
        """The number of requests that the server's counter allows; no limit if nothing is known."""
        highest = self._counter.highest
        if highest is None:
            return self.config.limit
        if now < self._counter.rolling_until:  # the counter falls with time; a single request finds out how fast
            highest = max(0, highest - int(now >= self._counter.told_at + self._heard))
        free = self.config.limit - self._margin_at(now, highest) - highest - self._may_still_arrive(now)
        return 1 if free < 1 and self._refresh_at(now) <= now and not self._may_still_arrive(now) else free

    def _margin_at(self, now: int, highest: int) -> int:
        if now < self._shared_until:  # other programs may have used the allowed requests since the last counter
            since = self.config.limit * (now - self._counter.told_at) // self._cooldown
            return self._margin + min(since, self.config.limit * 2 // 5)
        if now < self._counter.rolling_until:
            return 1 if highest <= self._ours_lately() + self.config.others else self._careful
        if self._refresh_at(now) < FAR:
            return self._unsure
        if now >= self._alone_until:  # foreign traffic would have shown by now: a single request refreshes the counter
            may_listen = now >= self._young_until() and not self._may_still_arrive(now)
            return self._careful if may_listen else self._unsure
        answered = self._perhaps_counted() - self._may_still_arrive(now)
        return 0 if highest <= answered + self.config.others else self._careful

    def _refresh_at(self, now: int) -> int:
        """The time when one request may look for the end of a window with many requests that this state does not know.

        Until the latest end of that window, the requests that the server still allows are sent at equal intervals. FAR
        for another window.
        """
        counter, left = self._counter, self.config.limit - (self._counter.highest or 0)
        known = len(self.rows) + self.config.others + self._unsure
        is_unknown = 0 < left < self.config.limit - known and self._saw_no_start()
        if not is_unknown or now < max(self._shared_until, counter.rolling_until):
            return FAR
        return counter.told_at + max(self._heard, (counter.ends - counter.told_at) // (left + 1))

    def _is_unsure(self, now: int) -> bool:
        """Whether it is unknown if there is foreign traffic."""
        return now >= self._shared_until and now >= self._alone_until

    def _young_until(self) -> int:
        """The time when the server's window has run long enough to show foreign traffic."""
        return FAR if self._counter.ends == FAR else self._counter.ends - self._cooldown + self._listen

    def _may_still_arrive(self, now: int) -> int:
        return self.rows.used_at(now + self._cooldown)

    def _perhaps_counted(self) -> int:
        """The largest number of our requests in the server's window, without those finished before its start."""
        return self.rows.used_at(self._counter.began + self._cooldown)

    def _is_of_an_earlier_window(self, sent: int, now: int, count: int) -> bool:
        """Whether a late response has the counter of a window that is over, which would block the present one."""
        if sent >= self._counter.since or now >= self._fixed_until or now < self._shared_until:
            return False
        return count > self._perhaps_counted() + self.config.others

    def _look_for_foreign_traffic(self, sent: int, now: int, count: int, *, first: bool) -> None:
        """Detect foreign traffic: the counter is higher than the requests of all known processes.

        With a fixed window, only requests since its start count. With a rolling one, all requests of the last window
        count. In a new state, also the ones that the first counter shows. So a proof that needs a fixed window is used as a precaution, and reported only if the window is known to
        be fixed.

        If the counter is at most the number of our requests with a response, there was no foreign traffic until then.
        This is conclusive after the time in which foreign traffic would have shown, or if our request started the
        window.
        """
        ours, others = self._perhaps_counted(), self.config.others
        is_new = self._saw_no_start() and not self.foreign_traffic(now)
        counted = ours + others
        by_window = counted if sent >= self._counter.since else len(self.rows) + others
        if first and is_new:  # the others may be of an earlier run or a sharing process, and count for two windows
            self._gone += max(0, count - by_window - self._gone - self._gone_before)
            self._gone_since = now
        most = self._ours_lately() + others if is_new or now >= self._fixed_until else by_window
        self.most_ours = most
        if first and self._cold_since == -FAR and count + others <= by_window:
            self._counter.since = max(self._counter.since, sent)  # all requests of this window are in the new state
        if count > most:  # in a new state, some requests of an earlier run may have arrived late
            is_proof = not is_new or count > most + self._unsure
            self._suspect(now + self.SHARED_FOR * self._cooldown if is_proof else self._counter.ends, announce=is_proof)
        elif now < self._counter.rolling_until:
            if count <= len(self.rows):
                self._alone_until = now + self.SHARED_FOR * self._cooldown
        elif is_new and count > by_window:
            pass
        elif first and now >= self._shared_until and count > max(counted + self._careful, self.config.limit // 3):
            self._counter.rolling_until = now + 20 * self._cooldown  # requests outside the window are still counted
        elif count > by_window:
            self._suspect(now + self.SHARED_FOR * self._cooldown, announce=False)
        elif (count == 1 or now >= self._young_until()) and (
            (self._counter.highest or 0) <= ours - self._may_still_arrive(now)
        ):
            self._alone_until = now + self.SHARED_FOR * self._cooldown

    def _saw_no_start(self) -> bool:
        """Whether no window of the server has begun since this state began, was restored, or saw a 429."""
        return self._counter.since == -FAR or self._counter.since < self._cold_since

    def _look_for_a_fixed_window(self, sent: int, now: int, count: int, in_bucket: int, *, first: bool) -> None:
        """Detect a fixed window: the counter is lower than any rolling limit would count our own requests.

        A token bucket counts at least `in_bucket`, by the last counter. A sliding window that is estimated from two
        fixed windows counts at least the part of a request's window that has not passed. After a pause of one window
        this is zero, but then one of the next starts shows it.
        """
        if first:
            was_busy = self._gone + self._gone_before >= self.config.limit // 2
            self._fresh_starts = self._fresh_starts + 1 if was_busy and count <= self._careful + 1 else 0
        window, latest = self._window, now + self._lateness
        begin, end = self.rows.free_by(latest + self._cooldown - window), self.rows.free_by(sent + self._cooldown)
        if count + self._careful >= min(end - begin, in_bucket):
            return
        instants = self.rows.instants[begin:end]
        least = len(instants) * (window - latest - self._cooldown) + sum(instants)
        if count + self._careful < least // window:
            self._fixed_until = now + 20 * self._cooldown
            self._counter.rolling_until = -FAR

    def _ours_lately(self) -> int:
        """The number of our requests in the last two windows, which any kind of limit may still count."""
        return len(self.rows) + self._gone + self._gone_before

    def _may_linger(self, now: int) -> bool:
        """Whether the server may count requests that have left the window by our calculation."""
        if now < self._fixed_until or self._fresh_starts >= self.STARTS:
            return False
        return self._gone + self._gone_before > 0

    def _suspect(self, until: int, *, announce: bool) -> None:
        self._shared_until = max(self._shared_until, until)
        self._margin = max(self._margin, self._careful)
        if announce:
            self._announced_until = until

    # -- room for interactive calls -----------------------------------------------------------------------------

    def room_from(self, now: int) -> int:
        """The time when other lanes may take a slot and still leave room; FAR if slots must become free first."""
        if not self._headroom:
            return now
        # Only the next end is known of a rolling limit; of a fixed window, all its slots become free at its end.
        more_come = self.rows.nth_free_at(0) if now < self._counter.rolling_until else self._counter.ends
        latest = max(self.config.room_until(more_come, self._free_server(now) - 1), self._room_of_slots())
        if self._counter.highest is None or self._may_still_arrive(now):
            return latest
        # The last counter is outdated if other clients continue to send, so one request may refresh it.
        return min(latest, self._counter.told_at + self._heard)

    def _room_of_slots(self) -> int:
        """`room_from` by the slots alone: after each of the next ones that become free, the rest must be enough."""
        left = self._free_local() - 1
        if left >= self._headroom:
            return -FAR
        ends = self.rows.instants[: self._headroom - left]
        if left < 1 or len(ends) < self._headroom - left:
            return FAR
        interval = nanoseconds(self.config.interactive_interval)
        return max([end - number * interval for number, end in enumerate(ends, left)]) + interval // 2

    def _next_after(self, now: int, before: int) -> int:
        """The time `before` nanoseconds before the next slot becomes free."""
        free_at = self.rows.nth_free_at(self.rows.free_by(now + before))
        return FAR if free_at == FAR else free_at - before
