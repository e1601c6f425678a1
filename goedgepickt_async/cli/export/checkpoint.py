"""How far an export came, on disk: one format for `--resume` and `--since-last`."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any

import attrs
from attrs import validators
from cattrs.preconf.json import make_converter

from goedgepickt_async import Page
from goedgepickt_async.cli.errors import UsageError
from goedgepickt_async.cli.export.formats import DUTCH
from goedgepickt_async.cli.export.output import FileOutput
from goedgepickt_async.convert import to_plain
from goedgepickt_async.paths import FileLock, state_dir, sync_directory, write_private
from goedgepickt_async.text import safe_repr

__all__ = [
    "Checkpoint",
    "Mark",
    "SinceLast",
    "State",
    "Watermark",
    "created_day",
    "default_path",
    "fingerprint",
    "identity",
    "load_checkpoint",
    "refuse_difference",
    "row_key",
    "save_checkpoint",
]

_VERSION = 1


@safe_repr
@attrs.frozen(kw_only=True)
class State:
    """How far an export came, and what it was asked for.

    Attributes:
        resource: What is exported.
        source: From where.
        filters: By option, as text; limits and `--lines` among them.
        format: Its name.
        output: The file's absolute path, or `-`.
        offset: Bytes of the output up to the end of the last whole page.
        tail: Tells whether the output is still the one that was written.
        token: Where the list is taken up again; None: at its beginning.
        rows: Items so far.
        read: Items that were read for them; more, if some were left out.
        unreadable: Items that could not be read and were set aside.
    """

    resource: str
    source: str
    filters: dict[str, str]
    format: str
    output: str
    offset: int = attrs.field(default=0, validator=validators.ge(0))
    tail: str | None = None
    token: str | None = None
    rows: int = attrs.field(default=0, validator=validators.ge(0))
    read: int = attrs.field(default=0, validator=validators.ge(0))
    unreadable: int = attrs.field(default=0, validator=validators.ge(0))


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


_OVERLAP = timedelta(days=1)
_UNDATED = ""
_KEYS = ("uuid", "track_trace_code", "external_id")
"""What tells rows apart; a shipment's uuid was seen once only (reference section 4.6, B)."""


@safe_repr
@attrs.frozen
class Watermark:
    """Which rows were seen.

    Attributes:
        since: From which day on the next reading reads; None: all.
        newest: The newest day that a row was created on, or the day of the reading if that was earlier.
        seen: Keys of the rows from `since` on, by the day they were created on; those without a day below "".
    """

    since: date | None = None
    newest: date | None = None
    seen: Mapping[str, frozenset[str]] = attrs.field(factory=dict)

    def __attrs_post_init__(self) -> None:
        for day in self.seen:
            _ = day == _UNDATED or date.fromisoformat(day)

    def __contains__(self, row: Any) -> bool:
        key = row_key(row)
        return any(key in keys for keys in self.seen.values())

    def advanced(self, rows: Any, today: date) -> Watermark:
        """This one after more rows, without what the next reading cannot meet again.

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
        return Watermark(since, newest, kept)


def created_day(row: Any) -> date | None:
    """The Dutch day that a row was created on, if it says."""
    moment = row.created_at
    return moment.astimezone(DUTCH).date() if isinstance(moment, datetime) else None


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


@attrs.frozen
class Mark:
    """How far one export came.

    Attributes:
        state: What it was asked for, and what it wrote.
        watermark: The rows that it and those before it brought.
    """

    state: State
    watermark: Watermark


@attrs.frozen(kw_only=True)
class Checkpoint:
    """What is known of one export between its runs, and between one export and the next.

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
    filters = {option: value for option, value in state.filters.items() if option not in {"--lines", "--fields"}}
    return {"resource": state.resource, "server": state.source, **filters}


def default_path(state: State, account: str) -> Path:
    """Where the checkpoint of this export lies, unless its user says so."""
    named = json.dumps([identity(state), account], sort_keys=True)
    return state_dir() / f"export-{state.resource}-{hashlib.sha256(named.encode()).hexdigest()[:16]}.json"


_CONVERTER = make_converter(forbid_extra_keys=True, detailed_validation=False)


def _exactly(value: Any, kind: type[Any]) -> Any:
    """A value as it is: cattrs would make a number of "7"."""
    if type(value) is not kind:
        raise ValueError(value)
    return value


_CONVERTER.register_structure_hook(int, _exactly)
_CONVERTER.register_structure_hook(str, _exactly)


def save_checkpoint(checkpoint: Checkpoint, path: Path) -> None:
    """Write it in the place of the one before; whoever is killed here leaves one of the two.

    Raises:
        OSError: It cannot be written.
    """
    values = {"version": _VERSION, **_CONVERTER.unstructure(checkpoint)}
    write_private(path, json.dumps(values, separators=(",", ":")) + "\n")


def load_checkpoint(
    path: Path, *, noun: str = "resume file of an export", option: str = "--resume"
) -> Checkpoint | None:
    """Read it; None if there is none.

    Args:
        path: Of the file.
        noun: What it should be, for the message.
        option: How another one is named.

    Raises:
        UsageError: It is no such file, or one of another version.
    """
    try:
        values = json.loads(path.read_bytes())
        version = values.pop("version")
    except FileNotFoundError:
        return None
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        raise _no_checkpoint(path, noun, option) from None
    if version != _VERSION:
        raise UsageError(f"{path} is of another version of goedgepickt-async; remove it to start the export afresh")
    try:
        return _CONVERTER.structure(values, Checkpoint)
    except Exception:  # noqa: BLE001  cattrs, attrs and dates raise many kinds for what is something else
        raise _no_checkpoint(path, noun, option) from None


def _no_checkpoint(path: Path, noun: str, option: str) -> UsageError:
    return UsageError(f"{path} is no {noun}; name another one with {option}, or remove it")


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
        self._today = today or datetime.now(DUTCH).date()
        self._lock = FileLock(self.path.with_name(self.path.name + ".lock"))
        if not self._lock.take():
            self._lock.release()
            raise UsageError(f"another export is using the checkpoint {self.path}; wait for its end")
        try:
            self._checkpoint = load_checkpoint(
                self.path, noun="checkpoint of --since-last", option="--checkpoint"
            ) or Checkpoint(account=account)
            self._refuse_other_exports(asked, account)
            self._finish_renaming()
            mark = self._begin(asked)
        except BaseException:
            self._lock.release()
            raise
        self.state: State = mark.state
        self.since: date | None = self._known.since
        self._watermark = mark.watermark

    @property
    def _known(self) -> Watermark:
        """What the exports brought that came to their end."""
        return Watermark() if self._checkpoint.done is None else self._checkpoint.done.watermark

    def new_of(self, page: Page[Any]) -> Page[Any]:
        """A page without what earlier exports brought."""
        fresh = tuple(row for row in page.items if row not in self._known)
        dropped = len(page.items) - len(fresh)
        return attrs.evolve(page, items=fresh, filtered=page.filtered + dropped)

    def saw(self, page: Page[Any]) -> None:
        """A page is about to be written."""
        self._watermark = self._watermark.advanced(page.items, self._today)

    def keep(self, state: State) -> None:
        """Whole pages up to here are on the disk."""
        self._save(attrs.evolve(self._checkpoint, running=Mark(state, self._watermark)))

    def intend(self, state: State, temp_path: Path) -> None:
        """All rows are on the disk, in a file that is about to get its own name."""
        running = Mark(state, self._watermark)
        self._save(attrs.evolve(self._checkpoint, running=running, renaming=str(temp_path)))

    def finish(self, state: State) -> None:
        """All rows are on the disk, under their own name."""
        ended = attrs.evolve(state, token=None)
        self._save(attrs.evolve(self._checkpoint, done=Mark(ended, self._watermark), running=None, renaming=None))

    def close(self) -> None:
        """Let others use the checkpoint."""
        self._lock.release()

    def _save(self, checkpoint: Checkpoint) -> None:
        save_checkpoint(checkpoint, self.path)
        self._checkpoint = checkpoint

    def _refuse_other_exports(self, asked: State, account: str) -> None:
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
        temp_path, path = Path(known.renaming), Path(known.running.state.output)
        if temp_path.exists():  # else it was renamed already
            temp_path.replace(path)
            sync_directory(path.parent)
        self._save(attrs.evolve(known, done=known.running, running=None, renaming=None))

    def _begin(self, asked: State) -> Mark:
        running, done = self._checkpoint.running, self._checkpoint.done
        if running is not None:
            mark = self._go_on(running, asked)
            if mark is not None:
                return mark
        if done is not None:
            return Mark(self._add_to(done.state, asked), done.watermark)
        return Mark(asked, Watermark())

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
        return Mark(attrs.evolve(asked, token=before.token), stopped.watermark)

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
