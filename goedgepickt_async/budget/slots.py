"""Completion-keyed slots: which request may go now, and when the next one may. Pure; the clock is passed in.

Each slot in use is one row `id -> the instant at which it comes free`. That is all the state that the guarantee needs:

    take        free at  now + max_lifetime + late_arrival + window + safety_margin   (a holder that dies needs no clean-up)
    answered    free at  now + window + safety_margin                      (the headers are here: it was counted by now)
    lost        free at  now + late_arrival + window + safety_margin       (it is unknown when, or whether, it is counted)
    give back   free at once                                               (never sent, or refused with 429)

**Invariant**: never more than `share` rows; the instant of a row only moves earlier, when its holder settles it.
**Why that is enough**: the server counts a request after it was taken and before its row's instant less (window +
safety margin). So two requests that hold one slot after another are counted more than a window apart. No window of the
server, sliding or fixed, wherever it starts, holds more than `share` of them.

The server's own counter (`X-RateLimit-Remaining`) is a second, sound bound. It covers what the rows cannot know: other
processes, other clients on the IP, the time before this start. It admits only while

    highest counter among the answers that overlap the newest one  +  what may still arrive  <  limit - margin

The margin is for foreign requests that cross ours. It is zero once the counter shows that there are none.

Lanes that are not interactive leave room: one slot for each `interactive_interval` until the next slot comes free:

    free now + what comes free before an instant  >=  1/2 + (that instant - now) / interactive_interval, or the headroom

All instants are integer nanoseconds: an instant is computed once, stored, and only compared afterwards.
The encoding is fixed: `encode` and `decode` are what every store keeps.
"""

from __future__ import annotations

import random
import struct
import sys
import zlib
from array import array
from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Mapping, Sequence
from itertools import chain
from operator import attrgetter
from typing import Any, Final, NamedTuple

from goedgepickt_async.budget.config import FAR, Lane, LimiterConfig, nanoseconds
from goedgepickt_async.budget.server_counter import ServerCounter

__all__ = ["FAR", "Demand", "Lane", "LimiterConfig", "Slots", "StateError", "StateVersionError", "nanoseconds"]

_VERSION = 3
_HEADER: Final = struct.Struct("<4sHHQQII")  # magic, version, zero, epoch, sequence number, length, checksum
_MAGIC = b"GGB\0"
_ID_BITS = 32
"""A slot's id is the sharer's number, then a counter of so many bits: ids of different sharers never meet."""
_MAX_SHARERS = 512
_TUPLE_SIZES: Final = (2, 3, 12)
"""Of what is in flight, of the observations, and of the sharers."""


class StateError(ValueError):
    """Bytes that are no state; the text says why."""


class StateVersionError(StateError):
    """A state that another version of this package wrote."""


class ExpiryIndex:
    """The slots in use, ordered by the instant at which they come free; two arrays, which are bytes at no cost."""

    def __init__(self) -> None:
        self._free_at: dict[int, int] = {}
        self._instants = array("q")
        self._slots = array("q")

    def __len__(self) -> int:
        return len(self._instants)

    @property
    def free_at(self) -> Mapping[int, int]:
        """When each slot comes free, by its id."""
        return self._free_at

    @property
    def instants(self) -> Sequence[int]:
        """When they come free, in this order; not to be changed."""
        return self._instants

    def drop_free(self, now: int) -> Sequence[int]:
        """Drop those that are free by now; returns when they came free (mostly none)."""
        if not self._instants or self._instants[0] > now:
            return ()
        number = self.free_by(now)
        dropped = self._instants[:number]
        for slot in self._slots[:number]:
            del self._free_at[slot]
        del self._instants[:number], self._slots[:number]
        return dropped

    def add(self, slot: int, free_at: int) -> None:
        """One more."""
        self._free_at[slot] = free_at
        index = bisect_right(self._instants, free_at)
        self._instants.insert(index, free_at)
        self._slots.insert(index, slot)

    def remove(self, slot: int) -> int | None:
        """One less; when it would have come free, or None if it is not there."""
        free_at = self._free_at.pop(slot, None)
        if free_at is not None:
            index = self._slots.index(slot, bisect_left(self._instants, free_at))
            del self._instants[index], self._slots[index]
        return free_at

    def move_earlier(self, slot: int, free_at: int) -> None:
        """It comes free at this instant, if that is sooner."""
        if self._free_at.get(slot, -FAR) > free_at:
            self.remove(slot)
            self.add(slot, free_at)

    def encode(self) -> bytes:
        """For `load`."""
        return self._instants.tobytes() + self._slots.tobytes()

    def load(self, data: bytes) -> None:
        """Become what `encode` gave.

        Raises:
            ValueError: It is something else.
        """
        middle = len(data) // 2
        self._instants, self._slots = array("q", data[:middle]), array("q", data[middle:])
        self._free_at = dict(zip(self._slots, self._instants, strict=True))
        if len(self._free_at) != len(self._instants):
            raise ValueError("a slot is there twice")

    def free_by(self, instant: int) -> int:
        """How many of them are free by then."""
        return bisect_right(self._instants, instant)

    def nth_free_at(self, n: int) -> int:
        """When the n-th of them (from 0) comes free."""
        return self._instants[n] if n < len(self._instants) else FAR


class Demand(NamedTuple):
    """What one sharer waits for, in each lane.

    Attributes:
        seen: When it last wrote.
        host: A number of its host.
        calls: How many calls wait, by lane.
        keys: How many keys those have, by lane.
        tags: The turn of the first of them, by lane.
    """

    seen: int
    host: int
    calls: tuple[int, int, int] = (0, 0, 0)
    keys: tuple[int, int, int] = (0, 0, 0)
    tags: tuple[int, int, int] = (0, 0, 0)

    def before(self, lane: Lane, tag: int, *, wins_ties: bool) -> int:
        """How many of these calls go before one of that lane and turn."""
        count = sum(self.calls[:lane])
        if self.calls[lane]:
            rounds = tag - self.tags[lane] + wins_ties
            count += min(self.calls[lane], max(0, rounds) * max(1, self.keys[lane]))
        return count


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
_scalars_of = attrgetter(*_SCALARS)
_NONE = -1
_LONG_AGO: Final = -FAR - 1
"""When a slot was taken, where that is not known: before all that is known of the server's counter."""


def _swapped(body: bytes) -> bytes:
    """The same numbers in the other byte order: what is stored is little-endian everywhere."""
    numbers = array("q", body)
    numbers.byteswap()
    return numbers.tobytes()


class Slots:
    """The state machine. Every method takes `now`, which never goes back.

    Args:
        config: Its numbers.
        sharer: A number of the process that takes slots here; 0 if there is only one.

    Attributes:
        config: Its numbers.
        epoch: A number of the state's history: a state that was begun anew has another one.
        sequence: How often it was written.
        at: When it was last written, on its own clock.
        clock: Of what the instants are: a number of the clock, or the nanoseconds that the store's clock is behind.
        written_at: The wall clock at the last write, where the store notes it.
        apart_until: Until then each host goes by a state of its own, after an outage of the store.
        throttled_count: 429s seen so far.
        turns: The latest turn that was served, by lane.
        sharers: What the sharers wait for, by their numbers.
    """

    HEADER = _HEADER.size
    """Bytes that tell one written state from all others."""
    SHARED_FOR = 5
    """For how many windows foreign traffic that was seen is reckoned with."""
    MOST_MARGIN = 16
    LISTEN = 6
    """Foreign traffic that matters shows in the server's counter within this part of a window."""
    HEARD = 15
    """If the server has said nothing for this part of a window, one may go although it leaves no room, to hear."""
    PROBES = 20
    """While nothing is known, at most so many go in a window, should the first ones not be answered."""
    STARTS = 4
    """After so many windows in a row that started anew the window is taken for a fixed one."""
    SILENT = 3
    REMEMBERED = 5
    """For how many windows a sharer that wrote nothing is remembered."""
    WAITS_FOR = 2
    """For this part of a window a sharer's calls count as waiting, unless it writes again."""

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
        self._rows = ExpiryIndex()
        self._sent: dict[int, int] = {}  # slot -> when it was taken, until it is settled
        self._counter = ServerCounter(self._cooldown)
        self._paused_until = -FAR
        self._shared_until = -FAR
        self._announced_until = -FAR
        self._fixed_until = -FAR
        self._alone_until = -FAR
        self._margin = 0
        # Slots that came free since that instant, and in the cooldown before it.
        self._gone = self._gone_before = 0
        self._gone_since = -FAR
        self._fresh_starts = 0  # windows in a row that were seen to start anew
        # Cold: nothing is known of the server's window, so one request goes alone. What was sent before tells nothing.
        self._cold = int(config.use_server_counter)
        self._cold_since = -FAR
        self._probe = _NONE
        self._silent = 0  # answers without a counter while cold
        self._probe_wait = config.part(self.PROBES)
        self._listen = config.part(self.LISTEN)
        self._heard = config.part(self.HEARD)
        self._careful, self._unsure = config.margins
        self._probe_until = -FAR  # a probe that is not answered by then is not waited for any longer

    # -- reading ------------------------------------------------------------------------------------------------

    @property
    def rows(self) -> ExpiryIndex:
        """The slots in use; not to be changed."""
        return self._rows

    def free(self, now: int) -> int:
        """How many requests may go now, by our own rows and by the server's counter."""
        self._advance(now)
        return min(self._free_local(), self._free_server(now))

    def in_flight(self, now: int) -> int:
        """How many were taken and not settled."""
        self._advance(now)
        return len(self._sent)

    def used(self, now: int) -> int:
        """How many slots are in use, cooling ones included."""
        self._advance(now)
        return len(self._rows)

    def is_cold(self) -> bool:
        """Whether nothing is known of the server's window, so that one request goes alone."""
        return bool(self._cold)

    def paused_until(self, now: int) -> int | None:
        """The end of the pause that a 429 ordered, or None."""
        return self._paused_until if self._paused_until > now else None

    def foreign_traffic(self, now: int) -> bool:
        """Whether the server's counter lately showed requests that no sharer can have sent."""
        return now < self._announced_until

    def next_change(self, now: int) -> int:
        """The earliest instant after `now` at which time alone may let a request go; FAR if only an answer can."""
        if self._paused_until > now:
            return self._paused_until
        self._advance(now)
        instants = [self._rows.nth_free_at(0), self._counter.ends, self._young_until()]
        if self._probe != _NONE:
            instants.append(self._probe_until)
        if self._headroom and self.free(now) > 0:
            instants.append(self.room_from(now))
        if self._counter.highest is not None:
            if self._counter.is_rolling(now):
                instants.append(self._counter.told_at + self._heard)
            instants.append(self._next_after(now, self._cooldown))  # a lost one stops being "may still arrive"
        return min((instant for instant in instants if instant > now), default=FAR)

    def nth_change(self, now: int, ahead: int, each: int = 0) -> int:
        """The earliest instant at which a slot can come free for a call with `ahead` others before it.

        What is in flight may be answered at any moment, so it comes free a cooldown after it was sent at the earliest.
        Each of the others needs `each` nanoseconds to take its own.
        """
        if self._paused_until > now:
            return self._paused_until
        self._advance(now)
        if self._probe != _NONE and self._cold:
            return self._probe_until
        lacking = ahead + 1 - self._free_local()
        if lacking <= 0:
            return max(self.next_change(now), now + ahead * each)
        free_at = self._rows.free_at
        sent = {slot: at for slot, at in self._sent.items() if at > _LONG_AGO and slot in free_at}
        early = {slot: at + self._cooldown for slot, at in sent.items()}
        earliest = sorted(max(now, min(instant, early.get(slot, FAR))) for slot, instant in free_at.items())
        instant = now + (ahead + 1 - lacking) * each if earliest else FAR
        for free in earliest[: min(lacking, len(earliest))]:
            instant = max(instant + each, free)
        return instant

    def predicted_wait(self, now: int, ahead: int, lane: Lane = Lane.INTERACTIVE) -> int:
        """Nanoseconds until a call with `ahead` others before it would get a slot, if all goes as usual."""
        self._advance(now)
        lacking = ahead + 1 - self._free_local()
        instant = max(now, self._paused_until, self._freed(now, lacking))
        if lane is not Lane.INTERACTIVE and self._headroom:
            left = max(1, -lacking)
            instant = max(instant, self._freed(now, lacking + 1))
            instant = max(instant, self.config.room_until(self._freed(now, lacking + left + 1), left))
        return max(instant, self._opens_there(now, ahead)) - now

    def _opens_there(self, now: int, ahead: int) -> int:
        """When the server's counter lets a call with `ahead` others before it go."""
        highest, ends = self._counter.highest, self._counter.ends
        if highest is None or ends == FAR or self._counter.is_rolling(now):
            return now
        if highest + self._margin_at(now, highest) + ahead < self.config.limit:
            return now
        return self._young_until() if self._is_unsure(now) and highest + ahead < self.config.limit else ends

    def _freed(self, now: int, number: int) -> int:
        """When so many more slots will have come free; what is in flight will be answered about now."""
        if number <= 0:
            return now
        rounds, nth = divmod(number - 1, self.config.share)
        return min(self._rows.nth_free_at(nth), now + self._cooldown) + rounds * self._cooldown

    # -- one slot -----------------------------------------------------------------------------------------------

    def take(self, now: int, lane: Lane, max_lifetime: int, slot: int | None = None) -> int | None:
        """Take a slot for an attempt that lives at most `max_lifetime` nanoseconds; None: not now.

        Other lanes than the interactive one leave room. The id is unique among all sharers; by default the next number.
        """
        if now < self._paused_until:
            return None
        free = self.free(now)
        if self._probe != _NONE and now < self._probe_until:
            return None
        if free < 1 or (lane is not Lane.INTERACTIVE and self.room_from(now) > now):
            return None
        if slot is None:
            slot = self._last_id + 1
            self._last_id = slot
        self._rows.add(slot, now + max_lifetime + self._late + self._cooldown)
        self._sent[slot] = now
        if self._cold:
            self._probe, self._probe_until = slot, now + self._probe_wait
        return slot

    def answered(self, slot: int, now: int, count: int | None = None) -> None:
        """The answer's headers are here; `count` is the server's counter on them, if it spoke of our limit."""
        self._advance(now)
        sent = self._sent.pop(slot, None)
        if sent is None:
            return
        self._rows.move_earlier(slot, now + self._cooldown)
        if sent < self._cold_since:
            return
        first = bool(self._cold) and slot == self._probe
        self._warm(told=count is not None)
        if count is None:
            self._counter.unseen(now)
        elif self.config.use_server_counter:
            was_rolling = self._counter.is_rolling(now)
            self._counter.observe(sent, now, count)
            if self._counter.is_rolling(now) and not was_rolling:
                self._shared_until = min(self._shared_until, self._announced_until)  # it was the window that fell
            self._look_for_a_fixed_window(sent, now, count, first=first)
            self._look_for_foreign_traffic(sent, now, count, first=first)

    def lost(self, slot: int, now: int) -> None:
        """It was sent and no answer came (or a gateway's): it may be counted up to `late_arrival` from now."""
        if self._sent.pop(slot, None) is not None:
            self._rows.move_earlier(slot, now + self._late + self._cooldown)

    def give_back(self, slot: int) -> None:
        """It was never sent."""
        if self._sent.pop(slot, None) is not None:
            self._rows.remove(slot)
        if self._probe == slot:
            self._probe = _NONE

    def refused(self, slot: int, now: int, pause: int) -> None:
        """The server answered 429, which it does not count: everybody pauses, then one request goes alone."""
        self.give_back(slot)
        self.throttled(now, pause)

    def throttled(self, now: int, pause: int) -> None:
        """The server's throttle spoke: pause everybody for `pause` nanoseconds and expect foreign traffic."""
        self.throttled_count += 1
        self._counter.rolling_until = -FAR
        self._paused_until = max(self._paused_until, now + pause)
        self._forget(now)
        self._shared_until = now + self.SHARED_FOR * self._cooldown
        self._announced_until = self._shared_until
        self._margin = min(self.MOST_MARGIN, max(2, self._margin * 2), self.config.limit // 2)

    # -- sharers ------------------------------------------------------------------------------------------------

    def detach_in_flight(self, now: int) -> None:
        """The holders of the slots in flight will never settle them here (a fork); the requests may well arrive."""
        self._sent.clear()  # the rows stay as they are, which covers the longest life
        self._forget(now)

    def absorb(self, rows: Mapping[int, int]) -> int:
        """Reckon with slots that are missing here: their ids, and when they come free; how many were missing."""
        missing = rows.keys() - self._rows.free_at.keys()
        for slot in missing:
            self._rows.add(slot, rows[slot])
        return len(missing)

    def reopen(self, slots: Iterable[int]) -> None:
        """These were taken before this state began, and their holder will settle them."""
        for slot in slots:
            if slot in self._rows.free_at:
                self._sent.setdefault(slot, _LONG_AGO)

    def lower(self, slot: int, free_at: int) -> None:
        """A slot of ours comes free at this instant, if that is sooner; it is in flight no more."""
        self._sent.pop(slot, None)
        self._rows.move_earlier(slot, free_at)

    def drop(self, slots: Iterable[int]) -> None:
        """These were given back, and an older state has them still."""
        for slot in slots:
            self._sent.pop(slot, None)
            self._rows.remove(slot)

    def begin_cold(self, now: int) -> None:
        """What is known of the server may be old: one request goes alone, to hear."""
        self._forget(now)

    def announce(self, demand: Demand | None) -> None:
        """Note what this sharer waits for; None: it is gone."""
        if demand is None:
            self.sharers.pop(self.sharer, None)
        else:
            self.sharers[self.sharer] = demand

    def can_take(self, now: int, lane: Lane) -> bool:
        """Whether a call in this lane may go now."""
        if now < self._paused_until or self.free(now) < 1 or (self._probe != _NONE and now < self._probe_until):
            return False
        return lane is Lane.INTERACTIVE or self.room_from(now) <= now

    def may_pass(self, now: int, lane: Lane, ahead: int) -> bool:
        """Whether enough is free for one call in this lane and for `ahead` calls of other sharers before it."""
        headroom = 0 if lane is Lane.INTERACTIVE else self._headroom  # which those calls leave free too
        return self.free(now) > ahead + headroom

    def next_in_line(self, now: int) -> list[int]:
        """The other sharers that may take what is free now, in their order."""
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

    def forget_sharers(self, now: int) -> None:
        """Those that wrote nothing for some windows are gone."""
        if len(self.sharers) < 2:
            return
        oldest = now - self.REMEMBERED * self._cooldown
        if any(demand.seen < oldest for demand in self.sharers.values()) or len(self.sharers) > _MAX_SHARERS:
            kept = sorted(self.sharers.items(), key=lambda item: item[1].seen)[-_MAX_SHARERS:]
            self.sharers = {sharer: demand for sharer, demand in kept if demand.seen >= oldest}

    def ahead(self, now: int, lane: Lane, tag: int) -> int:
        """How many calls of other sharers go before one of ours."""
        waits_since = now - self._cooldown // self.WAITS_FOR
        return sum(
            demand.before(lane, tag, wins_ties=sharer < self.sharer)
            for sharer, demand in self.sharers.items()
            if sharer != self.sharer and demand.seen > waits_since
        )

    # -- as bytes -----------------------------------------------------------------------------------------------

    def encode(self) -> bytes:
        """All of it, as bytes of a fixed form with a version and a checksum."""
        overlapping = list(self._counter.overlapping)
        demands = [(sharer, d.host, d.seen, *d.calls, *d.keys, *d.tags) for sharer, d in self.sharers.items()]
        values = [len(self._rows), len(self._sent), len(overlapping), len(demands)]
        values += _scalars_of(self)
        values += self.turns
        values += self._counter.dump()
        for part in (self._sent.items(), overlapping, demands):
            values += chain.from_iterable(part)
        body = struct.pack(f"{len(values)}q", *values) + self._rows.encode()
        if sys.byteorder == "big":
            body = _swapped(body)
        return self._head(len(body), zlib.crc32(body)) + body

    def _head(self, length: int, checksum: int) -> bytes:
        bare = _HEADER.pack(_MAGIC, _VERSION, 0, self.epoch, self.sequence, length, 0)
        return _HEADER.pack(_MAGIC, _VERSION, 0, self.epoch, self.sequence, length, zlib.crc32(bare, checksum))

    @staticmethod
    def token(data: bytes) -> bytes:
        """What tells one written state from all others: the first bytes of its encoding."""
        return data[: _HEADER.size]

    @staticmethod
    def length_of(data: bytes) -> int:
        """How many bytes a state has, by its first ones; 0 if they are none of a state."""
        if len(data) < _HEADER.size or data[:4] != _MAGIC:
            return 0
        return _HEADER.size + int(_HEADER.unpack_from(data)[5])

    @staticmethod
    def sequence_of(data: bytes) -> int:
        """How often the state in these bytes was written; 0 if they are none of a state."""
        return int.from_bytes(data[16:24], "little") if data[:4] == _MAGIC and len(data) >= _HEADER.size else 0

    @staticmethod
    def check(data: bytes) -> None:
        """Raise unless these bytes are a whole state.

        Raises:
            StateError: They are damaged.
            StateVersionError: Another version wrote them.
        """
        if len(data) < _HEADER.size:
            raise StateError("it is too short")
        magic, version, _, epoch, sequence, length, checksum = _HEADER.unpack_from(data)
        bare = _HEADER.pack(magic, version, 0, epoch, sequence, length, 0)
        end = _HEADER.size + length
        if magic != _MAGIC or len(data) < end or zlib.crc32(bare, zlib.crc32(data[_HEADER.size : end])) != checksum:
            raise StateError("its checksum is wrong")
        if version != _VERSION:
            raise StateVersionError(f"it has format {version}, and this version reads format {_VERSION}")

    @classmethod
    def decode(cls, data: bytes, config: LimiterConfig, sharer: int = 0) -> Slots:
        """The state in these bytes; what follows its end is left alone.

        Raises:
            StateError: They are damaged.
            StateVersionError: Another version wrote them.
        """
        cls.check(data)
        *_, epoch, sequence, length, _ = _HEADER.unpack_from(data)
        slots = cls(config, sharer)
        slots.epoch, slots.sequence = epoch, sequence
        try:
            body = data[_HEADER.size : _HEADER.size + length]
            slots._load(_swapped(body) if sys.byteorder == "big" else body)
        except (LookupError, ValueError, TypeError, struct.error) as error:
            raise StateError(f"it makes no sense ({type(error).__name__})") from None
        return slots

    def _load(self, body: bytes) -> None:
        rows, *sizes = struct.unpack_from("4q", body)
        fixed = 4 + len(_SCALARS) + 11
        lengths = [count * size for count, size in zip(sizes, _TUPLE_SIZES, strict=True)]
        length = fixed + sum(lengths)
        if min(rows, *sizes) < 0 or 8 * (length + 2 * rows) != len(body):
            raise ValueError("its length is wrong")
        values = struct.unpack_from(f"{length}q", body)
        start = 4
        for name, value in zip(_SCALARS, values[start:], strict=False):
            setattr(self, name, value)
        start += len(_SCALARS)
        self.turns = list(values[start : start + 3])
        parts: list[list[Any]] = []
        at = fixed
        for size, long in zip(_TUPLE_SIZES, lengths, strict=True):
            part = iter(values[at : at + long])
            parts.append(list(zip(*[part] * size, strict=True)))
            at += long
        self._sent = dict(parts[0])
        self._counter.load(list(values[start + 3 : start + 11]), parts[1])
        self.sharers = {s[0]: Demand(s[2], s[1], s[3:6], s[6:9], s[9:12]) for s in parts[2]}
        self._rows.load(body[8 * length :])

    # -- inside -------------------------------------------------------------------------------------------------

    def _advance(self, now: int) -> None:
        dropped = self._rows.drop_free(now)
        freed = len(dropped) - bisect_right(dropped, now - self._cooldown)
        since = now - self._gone_since
        if since >= self._cooldown and (freed or self._gone or self._gone_before):
            self._gone_before = self._gone if since < 2 * self._cooldown else 0
            self._gone, self._gone_since = 0, now
        self._gone += freed
        if len(self._sent) > len(self._rows) or (self._sent and not self._sent.keys() <= self._rows.free_at.keys()):
            # Only where a holder died: its longest life is over.
            self._sent = {slot: at for slot, at in self._sent.items() if slot in self._rows.free_at}
        if self._counter.advance(now) and (now < self._shared_until or self._may_linger(now)):
            self._forget(now)  # another client may have begun the next window, or it is no fixed one
        if now >= self._shared_until:
            self._margin = 0

    def _forget(self, now: int) -> None:
        """What is known of the server's window is over; one request alone is to find out anew."""
        self._counter.forget()
        self._probe, self._silent = _NONE, 0
        self._cold, self._cold_since = int(self.config.use_server_counter), now

    def _warm(self, *, told: bool) -> None:
        """An answer came. One with the counter opens the rest; so do a few without: this server tells nothing."""
        self._probe = _NONE
        self._silent = 0 if told else self._silent + 1
        if told or self._silent >= self.SILENT:
            self._cold, self._silent = 0, 0

    # -- how many may go ----------------------------------------------------------------------------------------

    def _free_local(self) -> int:
        """By our own rows."""
        return self.config.share - len(self._rows)

    def _free_server(self, now: int) -> int:
        """By the server's counter; as many as it allows, if nothing is known of it."""
        highest = self._counter.highest
        if highest is None:
            return self.config.limit
        if self._counter.is_rolling(now):  # it falls while time passes; how fast, one request alone finds out
            highest = max(0, highest - int(now >= self._counter.told_at + self._heard))
        return self.config.limit - self._margin_at(now, highest) - highest - self._may_still_arrive(now)

    def _margin_at(self, now: int, highest: int) -> int:
        if now < self._shared_until:  # since the server last said something, they may have sent what it lets them
            since = self.config.limit * (now - self._counter.told_at) // self._cooldown
            return self._margin + min(since, self.config.limit * 2 // 5)
        if self._counter.is_rolling(now):
            return 1 if highest <= self._ours_lately() + self.config.others else self._careful
        if self._is_unsure(now):  # once foreign traffic would have shown, one goes alone to hear
            may_listen = now >= self._young_until() and not self._may_still_arrive(now)
            return self._careful if may_listen else self._unsure
        return 0 if highest <= self._answered(now) + self.config.others else self._careful

    def _is_unsure(self, now: int) -> bool:
        """Whether it is not known if there is foreign traffic."""
        return now >= self._shared_until and now >= self._alone_until

    def _young_until(self) -> int:
        """When the server's window has run for long enough to show foreign traffic."""
        return FAR if self._counter.ends == FAR else self._counter.ends - self._cooldown + self._listen

    def _may_still_arrive(self, now: int) -> int:
        return len(self._rows) - self._rows.free_by(now + self._cooldown)

    def _perhaps_counted(self) -> int:
        """How many of ours the server may have counted in its window: not those answered before it began."""
        return len(self._rows) - self._rows.free_by(self._counter.began + self._cooldown)

    def _answered(self, now: int) -> int:
        """How many of ours are counted in the server's window, lost and unanswered ones left out."""
        return self._perhaps_counted() - self._may_still_arrive(now)

    def _look_for_foreign_traffic(self, sent: int, now: int, count: int, *, first: bool) -> None:
        """Foreign traffic is proven by a counter that is higher than all sharers can have made it.

        With a fixed window only what was sent since the window began counts. With a rolling one all that was sent in
        the last window does, so a proof by the fixed window alone is reckoned with, and announced only where the window
        is known to be a fixed one.

        A counter no higher than the number of ours that are answered proves that we were alone until then: those
        were all counted before it was read. That says something once foreign traffic would have shown; or if ours was
        the request that began the window.
        """
        others = self.config.others
        by_window = (self._perhaps_counted() if sent >= self._counter.since else len(self._rows)) + others
        most = by_window if now < self._fixed_until else self._ours_lately() + others
        if count > most:
            self._suspect(now, announce=True)
        elif self._counter.is_rolling(now):
            if count <= len(self._rows):
                self._alone_until = now + self.SHARED_FOR * self._cooldown
        elif first and count > max(by_window + self._careful, self.config.limit // 3):
            self._counter.rolling_until = now + 20 * self._cooldown  # what has left the window is counted still
        elif count > by_window:
            self._suspect(now, announce=False)
        elif (count == 1 or now >= self._young_until()) and (self._counter.highest or 0) <= self._answered(now):
            self._alone_until = now + self.SHARED_FOR * self._cooldown

    def _look_for_a_fixed_window(self, sent: int, now: int, count: int, *, first: bool) -> None:
        """A counter below what every rolling limit would say of our own requests has begun anew: the window is fixed.

        The lowest that one would say is that of a sliding window that is estimated from two fixed ones: of a request it
        counts at least the part of the window that has not passed since. After a pause of a window that is nothing; but
        then its estimate would show at one of the next starts.
        """
        if first:
            was_busy = self._gone + self._gone_before >= self.config.limit // 2
            self._fresh_starts = self._fresh_starts + 1 if was_busy and count <= self._careful + 1 else 0
        window, latest = nanoseconds(self.config.window), now + self.config.part(20)
        begin, end = self._rows.free_by(latest + self._cooldown - window), self._rows.free_by(sent + self._cooldown)
        instants = self._rows.instants[begin:end]
        least = len(instants) * (window - latest - self._cooldown) + sum(instants)
        if count + self._careful < least // window:
            self._fixed_until = now + 20 * self._cooldown
            self._counter.rolling_until = -FAR

    def _ours_lately(self) -> int:
        """How many of ours any kind of limit may count still: those of the last two windows."""
        return len(self._rows) + self._gone + self._gone_before

    def _may_linger(self, now: int) -> bool:
        """Whether the server may count what has left the window by our reckoning."""
        if now < self._fixed_until or self._fresh_starts >= self.STARTS:
            return False
        return self._gone + self._gone_before > 0

    def _suspect(self, now: int, *, announce: bool) -> None:
        self._shared_until = now + self.SHARED_FOR * self._cooldown
        self._margin = max(self._margin, self._careful)
        if announce:
            self._announced_until = self._shared_until

    # -- room for interactive calls -----------------------------------------------------------------------------

    def room_from(self, now: int) -> int:
        """When other lanes may take one and leave room, if only time passes; FAR if slots must come free first."""
        if not self._headroom:
            return now
        left_there = self._free_server(now) - 1
        instants = [self.config.room_until(self._counter.ends, left_there)]
        if self._counter.is_rolling(now):
            instants = [self.config.room_until(self._rows.nth_free_at(0), left_there)]
        for nth, left in enumerate(range(self._free_local() - 1, self._headroom)):
            instants.append(self.config.room_until(self._rows.nth_free_at(nth), left))
        if self._counter.highest is None or self._may_still_arrive(now):
            return max(instants)
        # The last counter is stale while other clients keep sending; one request goes, to refresh it.
        return min(max(instants), self._counter.told_at + self._heard)

    def _next_after(self, now: int, before: int) -> int:
        """When the next row is `before` nanoseconds from coming free."""
        free_at = self._rows.nth_free_at(self._rows.free_by(now + before))
        return FAR if free_at == FAR else free_at - before
