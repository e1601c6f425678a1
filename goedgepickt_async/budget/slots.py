"""Completion-keyed slots: who may send now, when somebody may send next. Pure; the clock is passed in.

There are `limit` slots. Each slot in use is one row `id -> the instant at which it comes free`, and that is all the
state the guarantee needs:

    take        free at  now + max_lifetime + late + window + guard     (pessimistic: whoever dies holding it needs no clean-up)
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

(`server_counter.py`). The margin is for strangers whose requests cross ours. There is none once the counter has been
seen to be ours alone, and goes on to be.

Lanes that are not interactive leave room: after each of theirs there is a slot left for an interactive call, and as
many as seconds (`soon`) pass, rounded, until the next one comes free; and so on for the next ones:

    free now + what comes free before an instant  >=  1/2 + (that instant - now) / soon,  or the whole headroom

So a long job fills all slots but one or two, and the last of them come free one by one instead of all at once.

All instants are integer nanoseconds: an instant is computed once, stored, and only compared afterwards.
"""

from __future__ import annotations

import enum
from typing import Any, Final

import attrs

from goedgepickt_async.budget.rows import Rows
from goedgepickt_async.budget.server_counter import FAR, ServerCounter

__all__ = ["FAR", "Lane", "LimiterConfig", "Slots", "nanoseconds"]


def nanoseconds(seconds: float) -> int:
    """Seconds as whole nanoseconds."""
    return round(seconds * 1_000_000_000)


class Lane(enum.IntEnum):
    """Who goes first when slots are scarce: strict order between lanes, first come first served inside one."""

    INTERACTIVE = 0
    """A person or a web request waits for it; may use every slot."""
    NORMAL = 1
    """Lists past their first page; leaves room for the interactive calls until the next slots come free."""
    BULK = 2
    """Long jobs; leaves that room too."""


@attrs.frozen(kw_only=True)
class LimiterConfig:
    """The numbers of one budget; durations in seconds.

    Attributes:
        limit: Requests that the server allows in a window (150; reference section 2, confidence A).
        window: The server's window (60 s; confidence B).
        safety_margin: Added to the window, for stores that keep whole seconds and for clock drift.
        late_arrival: How long after a client gave up the server may still come to count its request.
        headroom: Slots that lanes other than the interactive one leave free at most, and a fifth of the limit at most.
        interactive_interval: How far apart the interactive calls come that the headroom is for: until the next slots come free, one
            slot is left for each `soon`.
        use_server_counter: Obey the server's counter as well.
    """

    limit: int = attrs.field(default=150, validator=attrs.validators.ge(1))
    window: float = attrs.field(default=60.0, validator=attrs.validators.gt(0))
    safety_margin: float = 1.0
    late_arrival: float = 30.0
    headroom: int = attrs.field(default=30, validator=attrs.validators.ge(0))
    interactive_interval: float = attrs.field(default=1.0, validator=attrs.validators.gt(0))
    use_server_counter: bool = True

    @property
    def cooldown(self) -> int:
        """Nanoseconds for which a slot cools after its answer."""
        return nanoseconds(self.window) + nanoseconds(self.safety_margin)

    @property
    def headroom_kept(self) -> int:
        """Slots that are left free at most."""
        return min(self.headroom, self.limit // 5)

    @property
    def margins(self) -> tuple[int, int]:
        """Kept between the server's counter and the limit: while strangers are about, and while that is not known."""
        return min(Slots.MARGIN, self.limit // 10), self.limit // 15

    def part(self, number: int) -> int:
        """So many parts of the window make it whole; in nanoseconds, on a whole microsecond, as Redis counts."""
        return nanoseconds(round(self.window / number, 6))

    def room_until(self, more_come: int, left: int) -> int:
        """From when on `left` slots are room enough for the interactive calls until more come free; FAR: never."""
        if left >= self.headroom_kept:
            return -FAR
        if left < 1 or more_come >= FAR:
            return FAR
        soon = nanoseconds(self.interactive_interval)
        return more_come - left * soon + soon // 2


class Slots:
    """The state machine. Every method takes `now`, which never goes back."""

    SHARED_FOR = 5
    """For how many windows a stranger who was seen is reckoned with."""
    MARGIN = 3
    """Kept between the server's counter and the limit while somebody else may be on the IP, for what crosses ours."""
    MOST_MARGIN = 16
    LISTEN = 6
    """A stranger who matters shows in the server's counter within this part of a window; who does not is not there."""
    HEARD = 15
    """If the server has said nothing for this part of a window, one may go although it leaves no room, to hear."""
    PROBES = 20
    """While nothing is known, at most so many go in a window, should the first ones not be answered."""
    SILENT = 3
    _SCALARS: Final = {
        "throttled_count": "throttled_count",
        "last_id": "_last_id",
        "paused_until": "_paused_until",
        "shared_until": "_shared_until",
        "alone_until": "_alone_until",
        "margin": "_margin",
        "cold": "_cold",
        "cold_since": "_cold_since",
        "probe": "_probe",
        "probe_until": "_probe_until",
        "silent": "_silent",
    }
    """What they are called in `dump`, and here."""

    def __init__(self, config: LimiterConfig, *, first_id: int = 0) -> None:
        self.config = config
        self.throttled_count: int = 0
        self._hold = config.cooldown
        self._late = nanoseconds(config.late_arrival)
        self._soon = nanoseconds(config.interactive_interval)
        self._headroom = config.headroom_kept
        self._rows = Rows()
        self._sent: dict[int, int] = {}  # slot -> when it was taken, until it is settled
        self._last_id = first_id
        self._counter = ServerCounter(self._hold)
        self._paused_until = -FAR
        self._shared_until = -FAR
        self._alone_until = -FAR
        self._margin = 0
        # Cold: nothing is known of the server's window, so one request goes alone. What was sent before tells nothing.
        self._cold = config.use_server_counter
        self._cold_since = -FAR
        self._probe: int | None = None
        self._silent = 0  # answers without a counter while cold
        self._patience = config.part(self.PROBES)
        self._listen = config.part(self.LISTEN)
        self._heard = config.part(self.HEARD)
        self._careful, self._unsure = config.margins
        self._probe_until = -FAR  # a probe that is not answered by then is not waited for any longer

    # -- reading ------------------------------------------------------------------------------------------------

    def free(self, now: int) -> int:
        """How many requests may go now, by our own rows and by the server's counter."""
        self._pass_time(now)
        return min(self._free_here(), self._free_there(now))

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

    def foreign_traffic(self, now: int) -> bool:
        """Whether the server's counter showed requests that are not ours, of late."""
        return now < self._shared_until

    def next_change(self, now: int) -> int:
        """The earliest instant after `now` at which time alone may let a request go; FAR if only an answer can."""
        if self._paused_until > now:
            return self._paused_until
        self._pass_time(now)
        instants = [self._rows.nth_free_at(0), self._counter.ends, self._young_until()]
        if self._probe is not None:
            instants.append(self._probe_until)
        if self._headroom and self.free(now) > 0:
            instants.append(self._room_from(now))
        if self._counter.highest is not None:
            instants.append(self._next_after(now, self._hold))  # a lost one stops being "may still arrive"
        return min((instant for instant in instants if instant > now), default=FAR)

    def predicted_wait(self, now: int, ahead: int, lane: Lane = Lane.INTERACTIVE) -> int:
        """Nanoseconds until somebody with `ahead` others before them would get a slot, if all goes as usual."""
        self._pass_time(now)
        lacking = ahead + 1 - self._free_here()
        instant = max(now, self._paused_until, self._freed(now, lacking))
        if lane is not Lane.INTERACTIVE and self._headroom:
            left = max(1, -lacking)
            instant = max(instant, self._freed(now, lacking + 1))
            instant = max(instant, self.config.room_until(self._freed(now, lacking + left + 1), left))
        return max(instant, self._opens_there(now, ahead)) - now

    def _opens_there(self, now: int, ahead: int) -> int:
        """When the server's counter lets somebody with `ahead` others before them go."""
        highest, ends = self._counter.highest, self._counter.ends
        if highest is None or ends == FAR or highest + self._margin_at(now, highest) + ahead < self.config.limit:
            return now
        return self._young_until() if self._is_unsure(now) and highest + ahead < self.config.limit else ends

    def _freed(self, now: int, number: int) -> int:
        """When so many more slots will have come free; what is in flight will be answered about now."""
        if number <= 0:
            return now
        rounds, nth = divmod(number - 1, self.config.limit)
        return min(self._rows.nth_free_at(nth), now + self._hold) + rounds * self._hold

    # -- one slot -------------------------------------------------------------------------------------

    def take(self, now: int, lane: Lane, max_lifetime: int) -> int | None:
        """Take a slot for an attempt that lives at most `life` nanoseconds; None: not now."""
        if now < self._paused_until:
            return None
        free = self.free(now)
        if self._probe is not None and now < self._probe_until:
            return None
        if free < 1 or (lane is not Lane.INTERACTIVE and self._room_from(now) > now):
            return None
        self._last_id += 1
        slot = self._last_id
        self._rows.add(slot, now + max_lifetime + self._late + self._hold)
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
        elif self.config.use_server_counter:
            self._counter.observe(sent, now, count)
            self._look_for_strangers(sent, now, count)

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
        self._margin = min(self.MOST_MARGIN, max(2, self._margin * 2), self.config.limit // 2)

    def orphan_all(self, now: int) -> None:
        """Whoever held the slots in flight will never settle them here (a fork); the requests may well arrive."""
        self._sent.clear()  # the rows stay as they are, which covers the longest life
        self._forget(now)

    # -- as data ------------------------------------------------------------------------------------------------

    def dump(self) -> dict[str, Any]:
        """All of it, as JSON-ready values."""
        scalars = {key: getattr(self, name) for key, name in self._SCALARS.items()}
        return scalars | {"rows": self._rows.dump(), "sent": list(self._sent.items()), "counter": self._counter.dump()}

    def load(self, values: dict[str, Any]) -> None:
        """Become what `dump` gave.

        Raises:
            LookupError, TypeError, ValueError: It is something else.
        """
        for key, name in self._SCALARS.items():
            value = values[key]
            setattr(self, name, value if value is None or isinstance(value, bool) else int(value))
        self._rows.load(values["rows"])
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
        if self._counter.pass_time(now) and now < self._shared_until:
            self._forget(now)  # a stranger may have begun the next window already
        if now >= self._shared_until:
            self._margin = 0

    def _forget(self, now: int) -> None:
        """What is known of the server's window is over; one request alone is to find out anew."""
        self._counter.forget()
        self._probe, self._silent = None, 0
        self._cold, self._cold_since = self.config.use_server_counter, now

    def _warm(self, *, told: bool) -> None:
        """An answer came. One with the counter opens the rest; so do a few without: this server tells nothing."""
        self._probe = None
        self._silent = 0 if told else self._silent + 1
        if told or self._silent >= self.SILENT:
            self._cold, self._silent = False, 0

    # -- how many may go ----------------------------------------------------------------------------------------

    def _free_here(self) -> int:
        """By our own rows."""
        return self.config.limit - len(self._rows)

    def _free_there(self, now: int) -> int:
        """By the server's counter; as many as there are slots, if nothing is known of it."""
        highest = self._counter.highest
        if highest is None:
            return self.config.limit
        return self.config.limit - self._margin_at(now, highest) - highest - self._may_still_arrive(now)

    def _margin_at(self, now: int, highest: int) -> int:
        if now < self._shared_until:  # since the server last said something, they may have sent what it lets them
            since = self.config.limit * (now - self._counter.told_at) // self._hold
            return self._margin + min(since, self.config.limit * 2 // 5)
        if self._is_unsure(now):  # once a stranger would have shown, one goes alone to hear
            may_listen = now >= self._young_until() and not self._may_still_arrive(now)
            return self._careful if may_listen else self._unsure
        return 0 if highest <= self._answered(now) else self._careful

    def _is_unsure(self, now: int) -> bool:
        """Whether it is not known if strangers are on the IP."""
        return now >= self._shared_until and now >= self._alone_until

    def _young_until(self) -> int:
        """When the server's window has run for long enough to show who is on the IP."""
        return FAR if self._counter.ends == FAR else self._counter.ends - self._hold + self._listen

    def _may_still_arrive(self, now: int) -> int:
        return len(self._rows) - self._rows.free_by(now + self._hold)

    def _perhaps_counted(self) -> int:
        """How many of ours the server may have counted in its window: not those answered before it began."""
        return len(self._rows) - self._rows.free_by(self._counter.began + self._hold)

    def _answered(self, now: int) -> int:
        """How many of ours are counted in the server's window, lost and unanswered ones left out."""
        return self._perhaps_counted() - self._may_still_arrive(now)

    def _look_for_strangers(self, sent: int, now: int, count: int) -> None:
        """Strangers are proven by a counter that is higher than all of ours can have made it.

        A counter no higher than the number of ours that are answered proves that we were alone until then: those
        were all counted before it was read. That says something once a stranger would have shown; or if ours was the
        one that began the window, for a stranger hardly ever leaves that to us.
        """
        ours = self._perhaps_counted() if sent >= self._counter.since else len(self._rows)
        if count > ours:
            self._shared_until = now + self.SHARED_FOR * self._hold
            self._margin = max(self._margin, self._careful)
        elif (count == 1 or now >= self._young_until()) and (self._counter.highest or 0) <= self._answered(now):
            self._alone_until = now + self.SHARED_FOR * self._hold

    # -- room for interactive calls -----------------------------------------------------------------------------

    def _room_from(self, now: int) -> int:
        """When other lanes may take one and leave room, if only time passes; FAR if slots must come free first."""
        if not self._headroom:
            return now
        left_there = self._free_there(now) - 1
        instants = [self.config.room_until(self._counter.ends, left_there)]
        for nth, left in enumerate(range(self._free_here() - 1, self._headroom)):
            instants.append(self.config.room_until(self._rows.nth_free_at(nth), left))
        if self._counter.highest is None or self._may_still_arrive(now):
            return max(instants)
        # What the server said grows old, and strangers go on: one goes to hear how things stand.
        return min(max(instants), self._counter.told_at + self._heard)

    def _next_after(self, now: int, before: int) -> int:
        """When the next row is `before` nanoseconds from coming free."""
        free_at = self._rows.nth_free_at(self._rows.free_by(now + before))
        return FAR if free_at == FAR else free_at - before
