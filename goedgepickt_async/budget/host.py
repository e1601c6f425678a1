"""`HostBudget`: the slots are in a private file that all processes of the user on this host share.

The file has two halves. Each half has an encoded state with a sequence number and a checksum. A transaction rewrites
the older half under an advisory lock. If a process dies while it writes, the other half is complete. A transaction
takes about ten microseconds. No process blocks on the lock: it tries again a moment later.

The time is the system's monotonic clock, which all processes of a host share and which no clock change moves. After a
reboot the clock and the slots start again, with a single first request. Containers that do not share the file do not
share the budget: use `RedisBudget` for them.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import os
import random
import re
import stat
import sys
import tempfile
import time
import zlib
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import attrs

from goedgepickt_async.budget.config import (
    SECOND,
    Lane,
    LimiterConfig,
    check_numbers,
    check_place,
    limiter_config,
    nanoseconds,
)
from goedgepickt_async.budget.encoding import HEADER, StateError, StateVersionError, length_of, sequence_of, unseal
from goedgepickt_async.budget.queue import QueuedBudget, running_loop
from goedgepickt_async.budget.slots import Slots
from goedgepickt_async.budget.store import SharerMemory, SlotStore, new_sharer
from goedgepickt_async.logs import log_event

__all__ = ["DEFAULT_NAME", "HostBudget", "HostStore"]

DEFAULT_NAME = "account.goedgepickt.nl"
"""The name of a budget without a name: the server. All its APIs count together."""
_HALF = 1 << 20
"""The size of one half in bytes. Unused bytes are a hole in the file and take no disk space."""
_TRY_AGAIN = 5 * SECOND
"""The time until an unusable file is tried again."""
_BUSY_FOR = SECOND
"""The time after which a file counts as unusable, because a stopped process holds its lock."""
_ABANDONED = 600.0
"""The seconds without a write after which the file of another version is replaced, as after an upgrade."""
_POLL_ANSWERS = SECOND // 20
"""The polling interval while requests of any process are in flight, because a response can arrive at any moment."""
_POLL = SECOND
_OURS_ALONE = 0o077
"""The permissions that others must not have."""


class UnusableFileError(Exception):
    """The file cannot be used at the moment; the text has the reason."""


class RemovedFileError(UnusableFileError):
    """The file was removed or replaced."""


class HostFile:
    """The file of a budget: two halves under a lock. Only one thread may use it at a time.

    Attributes:
        is_open: Whether the file is open and can be locked.
        problem: The reason why it could not be opened.
    """

    is_open: bool = False  # also if `__init__` raised

    def __init__(self, name: str, directory: Path | str | None) -> None:
        self._name = f"budget-{re.sub('[^A-Za-z0-9.-]', '_', name)}.state"
        self._directory = None if directory is None else Path(directory)
        self._path: Path | None = None
        self._descriptor = -1
        self._older = 0
        self._heads: list[bytes] = []  # the first bytes of the halves, as this process last read or wrote them
        self.problem: str = ""

    def __del__(self) -> None:
        self.close()

    @property
    def path(self) -> Path:
        """The path of the file, which may not exist yet."""
        return self._path or (self._directory or next(_places())) / self._name

    def open(self, *, create: bool = True) -> None:
        """Open the file, and create it if it does not exist. This blocks while the disk works.

        Args:
            create: Whether to create a missing file and its directory. Otherwise only the first directory is tried.

        Raises:
            UnusableFileError: No directory is usable.
        """
        reasons = []
        for directory in [self._directory] if self._directory else _places():
            path = directory / self._name
            try:
                if create:
                    directory.mkdir(mode=0o700, exist_ok=True)
                if not self._directory:
                    _check_ours(directory.lstat(), directory, stat.S_ISDIR)
                descriptor = os.open(path, os.O_RDWR | (os.O_CREAT if create else 0) | _FLAGS, 0o600)
            except (OSError, UnusableFileError) as error:
                reasons.append(f"{path}: {getattr(error, 'strerror', None) or error}")
                if not create:
                    return
                continue
            try:
                _check_ours(os.fstat(descriptor), path, stat.S_ISREG)
            except (OSError, UnusableFileError) as error:
                os.close(descriptor)
                reasons.append(f"{path}: {error}")
                continue
            if reasons and self._path != path:
                log_event("budget.moved", why=reasons[0], path=str(path))
            self._path, self._descriptor, self.is_open, self.problem = path, descriptor, True, ""
            return
        self.problem = "; ".join(reasons)
        raise UnusableFileError(self.problem)

    def close(self) -> None:
        """Close the file, which releases the lock."""
        was_open, self.is_open = self.is_open, False
        if was_open:
            with contextlib.suppress(OSError):
                os.close(self._descriptor)

    def lock(self, *, settles: bool = False) -> bool:
        """Take the lock if no other process has it. Return whether it was taken.

        Args:
            settles: Whether a removed file is not noticed, because that costs a tenth of a transaction.

        Raises:
            RemovedFileError: The file was removed or replaced; it is closed now.
            UnusableFileError: The file cannot be locked.
        """
        if not self.is_open:
            raise UnusableFileError(self.problem)
        try:
            _flock(self._descriptor, _TAKE)
        except (BlockingIOError, PermissionError):
            return False
        except OSError as error:
            self.close()
            raise UnusableFileError(error.strerror or type(error).__name__) from None
        if not settles and not os.fstat(self._descriptor).st_nlink:
            self.close()
            raise RemovedFileError("it was removed")
        return True

    def unlock(self) -> None:
        """Release the lock, if this process has it."""
        try:
            if self.is_open:
                _flock(self._descriptor, _RELEASE)
        except OSError:
            pass  # the lock ends with the file

    def read(self, *, if_changed: bool) -> bytes | None:
        """Return the newest complete state, or b"" without one.

        Args:
            if_changed: Whether to return None if this process did the last read or write.

        Raises:
            UnusableFileError: The file cannot be read, or its state is from another version.
        """
        try:
            heads = [_read_at(self._descriptor, HEADER, 0), _read_at(self._descriptor, HEADER, _HALF)]
            if if_changed and heads == self._heads:
                return None
            self._heads = heads
            order = (0, 1) if sequence_of(heads[0]) >= sequence_of(heads[1]) else (1, 0)
            other_version: StateVersionError | None = None
            for half in order:
                data = _read_at(self._descriptor, min(length_of(heads[half]), _HALF), half * _HALF)
                try:
                    unseal(data)
                except StateVersionError as error:
                    other_version = error
                except StateError:
                    continue
                else:
                    self._older = 1 - half
                    return data
            written = os.fstat(self._descriptor).st_mtime
        except OSError as error:
            raise UnusableFileError(error.strerror or type(error).__name__) from None
        if other_version is not None and time.time() - written < _ABANDONED:
            raise UnusableFileError(f"another version of goedgepickt-async uses it: {other_version}")
        self._older = 0
        return b""

    def write(self, data: bytes) -> None:
        """Rewrite the older half.

        Raises:
            UnusableFileError: The file cannot be written.
        """
        if len(data) > _HALF:
            raise UnusableFileError(f"{len(data)} bytes do not fit into it")
        try:
            written = _write_at(self._descriptor, data, self._older * _HALF)
        except OSError as error:
            raise UnusableFileError(error.strerror or type(error).__name__) from None
        if written < len(data):
            raise UnusableFileError("the disk is full")
        self._heads[self._older] = data[:HEADER]
        self._older = 1 - self._older


class HostStore(SlotStore):
    """Slots in a file. While the file cannot be used, this process uses fewer slots in its memory.

    Args:
        config: The numbers of the budget.
        file: The file.
        fallback: The part of the limit for this process while the file cannot be used and the number of sharing
            processes is unknown.
        clock: The time in nanoseconds, the same in all processes.
        each: The part of the limit for this host. While the server's counter shows no other requests, each process adds
            it. None if the processes share the numbers of `config`.
        memory: What this process knows of an earlier state.
    """

    kind = "host"

    def __init__(
        self,
        config: LimiterConfig,
        file: HostFile,
        fallback: float,
        clock: Callable[[], int],
        each: float | None = None,
        *,
        memory: SharerMemory | None = None,
    ) -> None:
        self.config = config
        self.file = file
        self.memory: SharerMemory = memory or SharerMemory(new_sharer())
        self.sharer: int = self.memory.sharer
        self.problem: str = ""
        self._fraction = fallback
        self._each = each
        self._clock = clock
        self._slots: Slots | None = None  # as this process last wrote or read them
        self._fallback: Slots | None = None
        self._try_again_at = 0
        self._busy_since: int | None = None
        self._opening = False
        self._dirty = False
        self._retrying: set[asyncio.AbstractEventLoop] = set()
        self._conflict: tuple[int, int] | None = None

    def begin(self, *, settles: bool = False) -> tuple[Slots, int] | None:
        """Start a transaction: return the slots and the time. None if that is not possible now (see `retry`)."""
        if self._fallback is not None and (now := self._clock()) < self._try_again_at:
            return self._fallback, now
        if not self.file.is_open and not self._is_opened_here():
            return None if self._fallback is None else (self._fallback, self._clock())
        try:
            if not self.file.lock(settles=settles):
                return self._busy(self._clock())
            self._busy_since = None
            slots = self._slots
            data = self.file.read(if_changed=slots is not None)
            if slots is None or data is not None:
                slots = self._restored(data or b"")
            if self._each is not None:
                self._add_parts(slots, self._each)
        except RemovedFileError:
            return self.begin()
        except UnusableFileError as error:
            self.file.unlock()
            return self._fall_back(str(error)), self._clock()
        if self._fallback is not None:
            self.problem, self._fallback = "", None
            log_event("budget.restored", what=f"the budget's file can be used again: {self.file.path}")
        return slots, max(self._clock(), slots.at)

    def end(self, slots: Slots, now: int, *, changed: bool) -> bool:
        """End the transaction: write changed slots and release the lock. False if they could not be written."""
        if slots is self._fallback:
            return True
        try:
            if changed or self._dirty:
                slots.sequence += 1
                self._dirty = False
                slots.at, slots.written_at = now, time.time_ns()
                self.file.write(slots.encode())
        except UnusableFileError as error:
            self.file.unlock()
            self._slots = None
            self._fall_back(str(error))
            return False
        self.file.unlock()
        return True

    def noted(self, slots: Slots, now: int, taken: Iterable[int], settled: Iterable[int]) -> None:
        """Remember the slots that this process has."""
        self.memory.note(slots, now, now, taken, settled)

    def peek(self) -> tuple[Slots, int]:
        """The slots in the file, or as last seen."""
        if not self.file.is_open and self._fallback is None and not self._opening:
            with contextlib.suppress(UnusableFileError):
                self.file.open(create=False)
        opened = self.begin() if self.file.is_open else None
        if opened is None:
            return self._fallback or self._slots or Slots(self.config, self.sharer), self._clock()
        self.end(*opened, changed=False)
        return opened

    def retry(self, attempt: Callable[[], object]) -> None:
        """Try again in a moment, or when the file is open."""
        loop = running_loop()
        if loop is None or loop in self._retrying:
            return

        def again(_: object = None) -> None:
            self._retrying.discard(loop)
            attempt()

        self._retrying.add(loop)
        if self.file.is_open or self._opening or not self._open_in_thread(loop, again):
            loop.call_later(random.uniform(0.0002, 0.002), again)  # noqa: S311  no secret

    def look_again_in(self, slots: Slots, now: int, lane: Lane, ahead: int) -> int:  # noqa: ARG002
        """The time until a slot can become free, or until another process may have changed something."""
        poll = _POLL_ANSWERS if slots.in_flight(now) else _POLL
        return min(poll, max(0, slots.next_change(now) - now))

    def after_fork(self) -> None:
        """Called in a forked child: it opens the file itself and has nothing in flight."""
        self.file.close()
        self.sharer = new_sharer()
        self.memory = SharerMemory(self.sharer)
        self._slots, self._busy_since, self._opening = None, None, False
        self._retrying.clear()
        if self._fallback is not None:
            self._fallback.detach_in_flight(self._clock())

    def describe(self) -> dict[str, Any]:
        """The path of the file, and whether it can be used."""
        return {"place": str(self.file.path), "problem": self.problem}

    # -- inside -------------------------------------------------------------------------------------------------

    def _is_opened_here(self) -> bool:
        """Open the file if this thread may block. Return whether it is open, or failed before."""
        loop = running_loop()
        if loop is None:
            self._open()
            return True
        if self._opening:
            return False
        if self._fallback is not None:  # this thread continues
            self._open_in_thread(loop, lambda _: None)
            return False
        return bool(self.file.problem)

    def _open_in_thread(self, loop: asyncio.AbstractEventLoop, then: Callable[[Any], None]) -> bool:
        self._opening = True
        try:
            loop.run_in_executor(None, self._open).add_done_callback(then)
        except RuntimeError:  # the threads of the loop have ended
            self._open()
            return False
        return True

    def _open(self) -> None:
        _clock_id()  # it is read once, at a point where blocking is allowed
        try:
            self.file.open()
        except UnusableFileError:
            self._try_again_at = self._clock() + _TRY_AGAIN
        finally:
            self._opening = False

    def _busy(self, now: int) -> tuple[Slots, int] | None:
        if self._fallback is not None:
            self._try_again_at = now + _TRY_AGAIN
            return self._fallback, now
        if self._busy_since is None:
            self._busy_since = now
        if now - self._busy_since < _BUSY_FOR:
            return None
        self._busy_since = None
        return self._fall_back("another process holds its lock for too long. Check for a stopped process"), now

    def _restored(self, data: bytes) -> Slots:
        """The slots in the locked file, with the ones that it has lost."""
        now = self._clock()
        slots = self._slots_in(data, now)
        slots.clock = _clock_id()
        self._dirty = self.memory.restore(slots, now, now)
        self._slots = slots
        return slots

    def _add_parts(self, slots: Slots, each: float) -> None:
        """Set the share of this host while the number of hosts is not known."""
        here = len(slots.sharers | {self.sharer: None}) if slots.may_be_alone(self._clock()) else 1
        share = max(1, min(self.config.limit, round(self.config.limit * each * here)))
        if share != slots.config.share:
            slots.config = attrs.evolve(self.config, share=share)

    def _slots_in(self, data: bytes, now: int) -> Slots:
        if not data:
            if self._slots is not None:
                log_event(
                    "budget.reset",
                    why=f"the budget's file {self.file.path} was lost or damaged; this process restores the slots that it knows",
                )
            return Slots(self.config, self.sharer)
        slots = Slots.decode(data, self.config, self.sharer)
        if slots.clock == _clock_id() and slots.at <= now:
            self._conflict = None
            return slots
        if self._is_in_use_elsewhere(slots, now):
            raise UnusableFileError(
                "a process with another clock uses it, on another machine or in a container with its own kernel. Use "
                "one file with share= for each machine, or a RedisBudget for all"
            )
        anew = Slots(self.config, self.sharer)  # from before a reboot: a single request asks for the server's counter
        anew.sequence = slots.sequence
        return anew

    def _is_in_use_elsewhere(self, slots: Slots, now: int) -> bool:
        """Whether a process with another clock writes the file."""
        booted = time.time_ns() - _since_boot()
        is_same_boot = slots.clock == _clock_id() != 0  # Windows and macOS have no id
        if not is_same_boot and slots.written_at < booted + 2 * SECOND and self._slots is None:
            return False
        if self._conflict is None or self._conflict[0] != slots.sequence:
            self._conflict = (slots.sequence, now)
        quiet = self.config.cooldown + nanoseconds(self.config.late_arrival)
        return now - self._conflict[1] < quiet

    def _fall_back(self, reason: str) -> Slots:
        now = self._clock()
        self._try_again_at = now + _TRY_AGAIN
        self.problem = reason
        if self._fallback is None:
            known = self._slots.sharers if self._slots is not None else {}
            if self._conflict:
                known = {}
            parts = len(known) or max(1, int(1 / self._fraction))
            share = max(1, min(self.config.share, self.config.limit // parts))
            others = self.config.limit - (share if known else 0)
            config = attrs.evolve(self.config, share=share, others=others)
            self._fallback = Slots(config)
            part = self.memory.part(self.sharer, known, now, self.config)
            part.restore(self._fallback, now, now)
            log_event(
                "budget.degraded",
                why=f"the budget's file {self.file.path} cannot be used ({reason})",
                share=share,
                limit=self.config.limit,
                period=self.config.window,
            )
        return self._fallback


class HostBudget(QueuedBudget):
    """A budget for all processes of this user on this host: web workers, cron jobs, restarts.

    Args:
        limit: The number of requests that the server allows in a period (150; confidence A). The server's counter
            counts down from it.
        period: The server's window in seconds (60; confidence B).
        share: The number of them that all processes with this file may use together. The rest is for other programs on
            the IP address. None: all.
        name: The name of the server, which is part of the file name.
        directory: The directory of the file. The default is a private directory of the user, below the one for temporary
            files. It is the same for a login shell, a cron job and a service of that user.
        fallback: The part of the limit that this process uses alone while the file cannot be used (a full disk, a file
            of another user). It applies if the number of sharing processes is unknown.
        safety_margin: See `LocalBudget`.
        late_arrival: See `LocalBudget`.
        headroom: See `LocalBudget`.
        interactive_interval: See `LocalBudget`.
        use_server_counter: See `LocalBudget`.
        clock: A function that returns the time in nanoseconds, for tests. It must be the same in all processes and
            never go back.

    Raises:
        ConfigurationError: A number is not valid.
    """

    def __init__(
        self,
        limit: int = 150,
        period: float = 60.0,
        *,
        share: int | None = None,
        name: str = DEFAULT_NAME,
        directory: Path | str | None = None,
        fallback: float = 0.25,
        safety_margin: float = 1.0,
        late_arrival: float = 30.0,
        headroom: int = 30,
        interactive_interval: float = 1.0,
        use_server_counter: bool = True,
        clock: Callable[[], int] = time.monotonic_ns,
    ) -> None:
        check_numbers(fallback=fallback)
        check_place(name, directory)
        config = limiter_config(
            limit=limit,
            period=period,
            share=share,
            safety_margin=safety_margin,
            late_arrival=late_arrival,
            headroom=headroom,
            interactive_interval=interactive_interval,
            use_server_counter=use_server_counter,
        )
        self._first_answer = 1.0  # opening the file
        self.store: HostStore = HostStore(config, HostFile(name, directory), fallback, clock)
        super().__init__(self.store, config, clock)

    @property
    def path(self) -> Path:
        """The path of the file. All processes with the same file share the budget."""
        return self.store.file.path


def _places() -> Iterator[Path]:
    """The private directories for the file, which are the same for all processes of the user.

    The first usable one is taken.

    Environment variables such as XDG_RUNTIME_DIR and TMPDIR differ between cron jobs and shells, so the first
    directories do not depend on them. The directory may survive a reboot, because the file contains the id of the boot.
    """
    if not hasattr(os, "getuid"):
        yield Path(os.environ.get("LOCALAPPDATA") or tempfile.gettempdir()) / "goedgepickt-async"
        return
    name = f"goedgepickt-async-{os.getuid()}"
    yield Path("/tmp") / name  # noqa: S108  checked to be ours alone, and no link
    yield Path("/var/tmp") / name  # noqa: S108  likewise
    with contextlib.suppress(RuntimeError, KeyError):
        yield Path.home() / ".goedgepickt-async"
    directory = Path(os.environ.get("TMPDIR", ""))
    if directory.is_absolute():
        yield directory / name


def _check_ours(status: os.stat_result, path: Path, is_kind: Callable[[int], bool]) -> None:
    if not is_kind(status.st_mode):
        raise UnusableFileError(f"{path} is a link, or not a file or directory")
    if hasattr(os, "getuid") and (status.st_uid != os.getuid() or status.st_mode & _OURS_ALONE):
        raise UnusableFileError(f"{path} is not private: it belongs to another user or others have access")


@functools.cache
def _clock_id() -> int:
    """An id of this boot and its monotonic clock; 0 if the system has none."""
    parts = []
    with contextlib.suppress(OSError):
        parts.append(Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip())
    with contextlib.suppress(OSError):
        parts.append(str(Path("/proc/self/ns/time").readlink()))
    return zlib.crc32(" ".join(parts).encode()) if parts else 0


def _since_boot() -> int:
    """Nanoseconds since this system started."""
    clock = getattr(time, "CLOCK_BOOTTIME", None)
    return time.monotonic_ns() if clock is None else time.clock_gettime_ns(clock)


_FLAGS = getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_BINARY", 0)

if sys.platform == "win32":  # pragma: no cover  only `nox -s smoke` on Windows runs it
    import msvcrt

    _TAKE, _RELEASE = msvcrt.LK_NBLCK, msvcrt.LK_UNLCK

    def _flock(descriptor: int, operation: int) -> None:
        os.lseek(descriptor, 2 * _HALF, os.SEEK_SET)
        msvcrt.locking(descriptor, operation, 1)

    def _read_at(descriptor: int, length: int, offset: int) -> bytes:
        os.lseek(descriptor, offset, os.SEEK_SET)
        return os.read(descriptor, length)

    def _write_at(descriptor: int, data: bytes, offset: int) -> int:
        os.lseek(descriptor, offset, os.SEEK_SET)
        return os.write(descriptor, data)

else:
    import fcntl

    _flock, _TAKE, _RELEASE = fcntl.flock, fcntl.LOCK_EX | fcntl.LOCK_NB, fcntl.LOCK_UN
    _read_at, _write_at = os.pread, os.pwrite
