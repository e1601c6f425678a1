"""State files of exports: `--resume` and `--since-last`."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import attrs

from goedgepickt_async import Page
from goedgepickt_async.cli.errors import UsageError
from goedgepickt_async.cli.export.output import FileOutput
from goedgepickt_async.cli.private_files import Lock, state_directory, sync_directory, write_private
from goedgepickt_async.convert import to_plain

__all__ = [
    "Checkpoint",
    "Mark",
    "Reach",
    "SinceLast",
    "State",
    "created_day",
    "default_path",
    "fingerprint",
    "identity",
    "load_checkpoint",
    "load_state",
    "refuse_difference",
    "row_key",
    "save_checkpoint",
    "save_state",
    "state_of",
]

_VERSION = 1


@attrs.frozen(kw_only=True)
class State:
    """How far an export came, and what it was asked for.

    Attributes:
        resource: What is exported.
        source: From where.
        filters: By option, as text; limits and `--lines` among them.
        format: `jsonl` or `csv`.
        output: The file's absolute path, or `-`.
        offset: Bytes of the output up to the end of the last whole page.
        tail: Tells whether the output is still the one that was written.
        token: Where the list is taken up again; None: at its beginning.
        rows: Items so far.
        read: Items that were read for them; more, if some were left out.
    """

    resource: str
    source: str
    filters: dict[str, str]
    format: str
    output: str
    offset: int = 0
    tail: str | None = None
    token: str | None = None
    rows: int = 0
    read: int = 0


def save_state(state: State, path: Path) -> None:
    """Write it in the place of the one before; whoever is killed here leaves one of the two."""
    write_private(path, json.dumps({"version": _VERSION, **attrs.asdict(state)}, indent=1) + "\n")


def load_state(path: Path) -> State | None:
    """Read it; None if there is none.

    Raises:
        UsageError: It is no such file, or one of another version.
    """
    try:
        values = json.loads(path.read_bytes())
    except FileNotFoundError:
        return None
    except ValueError:
        raise _no_state(path) from None
    if not isinstance(values, dict) or "version" not in values:
        raise _no_state(path)
    if values.pop("version") != _VERSION:
        raise UsageError(f"{path} is of another version of goedgepickt-async; start the export afresh")
    try:
        return state_of(values)
    except ValueError:
        raise _no_state(path) from None


def state_of(values: Any) -> State:
    """The state that `attrs.asdict` made these values from.

    Raises:
        ValueError: They are something else.
    """
    if not isinstance(values, dict) or not _is_sound(values):
        raise ValueError
    return State(**values)


def refuse_difference(before: State, now: State, otherwise: str = "start afresh without its resume file") -> None:
    """Refuse to go on with anything but the same export.

    Args:
        before: The export so far.
        now: What is asked for.
        otherwise: What can be done instead of giving the same options.

    Raises:
        UsageError: It says which option differs.
    """
    names = {"resource": "the resource", "source": "the server", "format": "--format", "output": "--output"}
    pairs = [(said, getattr(before, name), getattr(now, name)) for name, said in names.items()]
    options = sorted(before.filters.keys() | now.filters.keys())
    pairs += [
        (option, before.filters.get(option, "not given"), now.filters.get(option, "not given")) for option in options
    ]
    for said, old, new in pairs:
        if old != new:
            raise UsageError(
                f"the export cannot go on so: {said} was {old} and is now {new}; give the same options, or {otherwise}"
            )


def _is_sound(values: dict[str, Any]) -> bool:
    numbers = ("offset", "rows", "read")
    return (
        values.keys() == {field.name for field in attrs.fields(State)}
        and isinstance(values["filters"], dict)
        and all(isinstance(values[name], int) and values[name] >= 0 for name in numbers)
        and isinstance(values["token"], str | None)
    )


def _no_state(path: Path) -> UsageError:
    return UsageError(f"{path} is no resume file of an export; name another one with --resume, or remove it")


_DUTCH = ZoneInfo("Europe/Amsterdam")
_OVERLAP = timedelta(days=1)
_UNDATED = ""
_KEYS = ("uuid", "track_trace_code", "external_id")
"""What tells rows apart; a shipment's uuid was seen once only (reference section 4.6, B)."""


@attrs.frozen
class Reach:
    """Which rows were seen.

    Attributes:
        since: From which day on the next reading reads; None: all.
        newest: The newest day that a row was created on, or the day of the reading if that was earlier.
        seen: Keys of the rows from `since` on, by the day they were created on; those without a day below "".
    """

    since: date | None = None
    newest: date | None = None
    seen: Mapping[str, frozenset[str]] = attrs.field(factory=dict)

    def __contains__(self, row: Any) -> bool:
        key = row_key(row)
        return any(key in keys for keys in self.seen.values())

    def plus(self, rows: Any, today: date) -> Reach:
        """This one and more rows, without what the next reading cannot meet again.

        Args:
            rows: Models.
            today: In the Netherlands. Rows of the future don't move the beginning of the next reading past it.
        """
        more: dict[str, set[str]] = {}
        newest = self.newest
        for row in rows:
            day = created_day(row)
            more.setdefault(_UNDATED if day is None else day.isoformat(), set()).add(row_key(row))
            if day is not None:
                newest = max(newest or date.min, min(day, today))
        since = self.since if newest is None else max(self.since or date.min, newest - _OVERLAP)
        seen = {name: self.seen.get(name, frozenset()) | keys for name, keys in more.items()}
        kept = {name: keys for name, keys in {**self.seen, **seen}.items() if _may_come_again(name, since)}
        return Reach(since, newest, kept)

    def dump(self) -> dict[str, Any]:
        """As JSON takes it."""
        return {
            "since": None if self.since is None else self.since.isoformat(),
            "newest": None if self.newest is None else self.newest.isoformat(),
            "seen": {day: sorted(keys) for day, keys in sorted(self.seen.items())},
        }

    @classmethod
    def load(cls, values: Any) -> Reach:
        """What `dump` gave.

        Raises:
            ValueError: It is something else; or KeyError, TypeError, AttributeError.
        """
        days = {str(day): frozenset(map(str, keys)) for day, keys in values["seen"].items()}
        for day in days:
            _ = day == _UNDATED or date.fromisoformat(day)
        return cls(_day(values["since"]), _day(values["newest"]), days)


def created_day(row: Any) -> date | None:
    """The Dutch day that a row was created on, if it says."""
    moment = row.created_at
    return moment.astimezone(_DUTCH).date() if isinstance(moment, datetime) else None


def row_key(row: Any) -> str:
    """A short digest of what tells a row apart from others; without anything like that, of all that stays as it is."""
    for name in _KEYS:
        value = getattr(row, name, None)
        if value:
            return _digest(f"{name}:{value}")
    plain = {name: value for name, value in to_plain(row).items() if name not in {"status", "delivered_at"}}
    return _digest(json.dumps(plain, sort_keys=True))


def _digest(text: str) -> str:
    return hashlib.blake2b(text.encode(errors="surrogatepass"), digest_size=8).hexdigest()


def _may_come_again(name: str, since: date | None) -> bool:
    return name == _UNDATED or since is None or date.fromisoformat(name) >= since


def _day(text: Any) -> date | None:
    return None if text is None else date.fromisoformat(text)


@attrs.frozen
class Mark:
    """How far one export came.

    Attributes:
        state: What it was asked for, and what it wrote.
        reach: The rows that it and those before it brought.
    """

    state: State
    reach: Reach


@attrs.frozen(kw_only=True)
class Checkpoint:
    """What is known between two exports.

    Attributes:
        account: A digest of the API key.
        done: Where the last export that came to its end ended.
        running: Where one came that has not ended, or was stopped.
        renaming: `running` is all that it wants to bring, and is whole in the file of this name: what is left is to
            give that file its own name.
    """

    account: str
    done: Mark | None = None
    running: Mark | None = None
    renaming: str | None = None


def fingerprint(api_key: str) -> str:
    """A digest that tells keys apart and gives none away: a key has some hundred random characters."""
    return hashlib.sha256(f"goedgepickt-async export\0{api_key}".encode()).hexdigest()[:16]


def identity(state: State) -> dict[str, str]:
    """What all exports with one checkpoint have in common, by the words for it."""
    filters = {option: value for option, value in state.filters.items() if option != "--lines"}
    return {"resource": state.resource, "server": state.source, **filters}


def default_path(state: State, account: str) -> Path:
    """Where the checkpoint of this export lies, unless its user says so."""
    named = json.dumps([identity(state), account], sort_keys=True)
    return state_directory() / f"export-{state.resource}-{hashlib.sha256(named.encode()).hexdigest()[:16]}.json"


def save_checkpoint(checkpoint: Checkpoint, path: Path) -> None:
    """Write it in the place of the one before.

    Raises:
        OSError: It cannot be written.
    """
    values = {
        "version": _VERSION,
        "account": checkpoint.account,
        "done": _dump(checkpoint.done),
        "running": _dump(checkpoint.running),
        "renaming": checkpoint.renaming,
    }
    write_private(path, json.dumps(values, separators=(",", ":")) + "\n")


def load_checkpoint(path: Path) -> Checkpoint | None:
    """Read it; None if there is none.

    Raises:
        UsageError: It is no such file, or one of another version.
    """
    try:
        values = json.loads(path.read_bytes())
        if not isinstance(values, dict) or "version" not in values:
            raise _no_checkpoint(path)
        if values["version"] != _VERSION:
            raise UsageError(f"{path} is of another version of goedgepickt-async; remove it to export all rows again")
        return Checkpoint(
            account=str(values["account"]),
            done=_mark(values["done"]),
            running=_mark(values["running"]),
            renaming=None if values["renaming"] is None else str(values["renaming"]),
        )
    except FileNotFoundError:
        return None
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        raise _no_checkpoint(path) from None


def _dump(mark: Mark | None) -> dict[str, Any] | None:
    return None if mark is None else {"state": attrs.asdict(mark.state), "reach": mark.reach.dump()}


def _mark(values: Any) -> Mark | None:
    return None if values is None else Mark(state_of(values["state"]), Reach.load(values["reach"]))


def _no_checkpoint(path: Path) -> UsageError:
    return UsageError(f"{path} is no checkpoint of --since-last; name another one with --checkpoint, or remove it")


_ANOTHER_FILE = "name another file"


class SinceLast:
    """One export's dealings with its checkpoint; close it at the end.

    Args:
        asked: What is asked for now, with nothing written yet.
        account: A digest of the API key.
        path: Where the checkpoint is; None: at its own place.
        grows: Whether the output's format can be added to.
        today: In the Netherlands.

    Attributes:
        path: Where the checkpoint is.
        state: Where the export is to begin.
        since: From which day on it reads; None: from the first.
        remark: Something that its user should know, or None.

    Raises:
        UsageError: The checkpoint is another export's, or in use; or the output is not what it says.
        OSError: It cannot be read.
    """

    def __init__(
        self, asked: State, account: str, path: Path | None, *, grows: bool, today: date | None = None
    ) -> None:
        self.path: Path = (path or default_path(asked, account)).absolute()
        self.remark: str | None = None
        self._grows = grows
        self._today = today or datetime.now(ZoneInfo("Europe/Amsterdam")).date()
        self._lock = Lock(self.path.with_name(self.path.name + ".lock"))
        if not self._lock.take():
            self._lock.release()
            raise UsageError(f"another export is using the checkpoint {self.path}; wait for its end")
        try:
            self._checkpoint = load_checkpoint(self.path) or Checkpoint(account=account)
            self._refuse_strangers(asked, account)
            self._finish_renaming()
            mark = self._begin(asked)
        except BaseException:
            self._lock.release()
            raise
        self.state: State = mark.state
        self.since: date | None = self._known.since
        self._reach = mark.reach

    @property
    def _known(self) -> Reach:
        """What the exports brought that came to their end."""
        return Reach() if self._checkpoint.done is None else self._checkpoint.done.reach

    def new_of(self, page: Page[Any]) -> Page[Any]:
        """A page without what earlier exports brought."""
        fresh = tuple(row for row in page.items if row not in self._known)
        dropped = len(page.items) - len(fresh)
        return attrs.evolve(page, items=fresh, filtered=page.filtered + dropped)

    def saw(self, page: Page[Any]) -> None:
        """A page is about to be written."""
        self._reach = self._reach.plus(page.items, self._today)

    def keep(self, state: State) -> None:
        """Whole pages up to here are on the disk."""
        self._save(attrs.evolve(self._checkpoint, running=Mark(state, self._reach)))

    def intend(self, state: State, unnamed: Path) -> None:
        """All rows are on the disk, in a file that is about to get its own name."""
        running = Mark(state, self._reach)
        self._save(attrs.evolve(self._checkpoint, running=running, renaming=str(unnamed)))

    def finish(self, state: State) -> None:
        """All rows are on the disk, under their own name."""
        ended = attrs.evolve(state, token=None)
        self._save(attrs.evolve(self._checkpoint, done=Mark(ended, self._reach), running=None, renaming=None))

    def close(self) -> None:
        """Let others use the checkpoint."""
        self._lock.release()

    def _save(self, checkpoint: Checkpoint) -> None:
        save_checkpoint(checkpoint, self.path)
        self._checkpoint = checkpoint

    def _refuse_strangers(self, asked: State, account: str) -> None:
        mark = self._checkpoint.running or self._checkpoint.done
        if mark is None:
            return
        before, now = identity(mark.state), identity(asked)
        before["API key"], now["API key"] = self._checkpoint.account, account
        for name in sorted(before.keys() | now.keys()):
            if before.get(name) != now.get(name):
                was = "another one" if name == "API key" else before.get(name, "not given")
                raise UsageError(
                    f"the checkpoint {self.path} is of another export: its {name} was {was}; name a checkpoint of its "
                    "own with --checkpoint, or leave that out"
                )

    def _finish_renaming(self) -> None:
        """An export was killed at its very end: between the two there is nothing but a name."""
        known = self._checkpoint
        if known.renaming is None or known.running is None:
            return
        unnamed, path = Path(known.renaming), Path(known.running.state.output)
        if unnamed.exists():  # else it was renamed already
            unnamed.replace(path)
            sync_directory(path.parent)
        self._save(attrs.evolve(known, done=known.running, running=None, renaming=None))

    def _begin(self, asked: State) -> Mark:
        running, done = self._checkpoint.running, self._checkpoint.done
        if running is not None:
            mark = self._go_on(running, asked)
            if mark is not None:
                return mark
        if done is not None:
            return Mark(self._add_to(done.state, asked), done.reach)
        return Mark(asked, Reach())

    def _go_on(self, stopped: Mark, asked: State) -> Mark | None:
        """Where the export that was stopped goes on; None if what it wrote is gone."""
        before = stopped.state
        if before.output != asked.output:
            return self._go_on_elsewhere(stopped, asked)
        refuse_difference(before, asked, _ANOTHER_FILE)
        return stopped if Path(before.output).exists() else None

    def _go_on_elsewhere(self, stopped: Mark, asked: State) -> Mark | None:
        """The rows that are in the other file stay there, without the torn one behind them."""
        before = stopped.state
        if before.tail is not None:
            if not Path(before.output).exists():
                return None
            output = FileOutput(Path(before.output))
            try:
                output.begin(before.offset, before.tail)
            finally:
                output.close()
            self.remark = f"the export that was stopped left its first {before.rows:,} rows in {before.output}"
        self._refuse_overwriting(asked)
        return Mark(attrs.evolve(asked, token=before.token), stopped.reach)

    def _add_to(self, last: State, asked: State) -> State:
        """The output as the last export left it, or a new one."""
        if not Path(asked.output).exists():
            if last.output == asked.output and self._grows:
                self.remark = (
                    f"{asked.output} was gone: it has what is new since the last export, not the rows before; "
                    f"for all rows, remove {self.path}"
                )
            return asked
        if last.output != asked.output or not self._grows:
            self._refuse_overwriting(asked)
        refuse_difference(last, asked, _ANOTHER_FILE)
        return attrs.evolve(asked, offset=last.offset, tail=last.tail)

    def _refuse_overwriting(self, asked: State) -> None:
        if Path(asked.output).exists():
            why = "the last export did not write it" if self._grows else "such a file cannot be added to"
            raise UsageError(
                f"{asked.output} is there already, and {why}: its rows would be lost, since they are not exported "
                "again. Name a new file, such as one with today's date"
            )
