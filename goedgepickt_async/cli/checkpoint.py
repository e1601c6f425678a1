"""The progress of an export on disk: one format for `--resume` and `--since-last`."""

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
from goedgepickt_async.cli.common import CommandError, UsageError
from goedgepickt_async.cli.output import FileOutput
from goedgepickt_async.cli.resources import DUTCH, in_dutch_time
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
    """The progress of an export, and its options.

    Attributes:
        source: The source of the data.
        filters: The options as text, including limits and `--lines`.
        output: The file's absolute path, or `-`.
        offset: The size of the output in bytes, up to the end of the last complete page.
        tail: A digest to check that the output is unchanged.
        token: The resume token of the list; None for its start.
        rows: The number of items so far.
        read: The number of items that were read, including ones that were left out.
        unreadable: The number of items that could not be read and were skipped.
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


def refuse_difference(before: State, now: State, otherwise: str = "start again without the resume file") -> None:
    """Refuse to continue an export with other options."""
    names = {"resource": "the resource", "source": "the server", "format": "--format", "output": "--output"}
    pairs = [(said, getattr(before, name), getattr(now, name)) for name, said in names.items()]
    options = sorted(before.filters.keys() | now.filters.keys())
    pairs += [(name, before.filters.get(name, "not given"), now.filters.get(name, "not given")) for name in options]
    for said, old, new in pairs:
        if old != new:
            raise UsageError(
                f"the export cannot continue: {said} was {old} and is now {new}; pass the same options, or {otherwise}"
            )


_OVERLAP = timedelta(days=1)
_UNDATED = ""
_KEYS = ("uuid", "track_trace_code", "external_id")
"""The fields that identify a row; a shipment's uuid was seen only once (reference section 4.6, B)."""


@safe_repr
@attrs.frozen
class Watermark:
    """The rows that were exported.

    Attributes:
        since: The first day of the next reading; None for all days.
        newest: The newest creation day of a row, but not after the day of the reading.
        seen: The keys of rows since `since`, by the newest creation day up to the row; "" for rows without a day.
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
        """Return the watermark after more rows, without rows that the next reading cannot contain.

        The next reading does not start after `today`, the present day in the Netherlands, even with rows from the future.
        """
        more: dict[str, set[str]] = {}
        newest = self.newest
        for row in rows:
            day = created_day(row)
            if day is not None:
                newest = max(newest or date.min, min(day, today))
                day = max(
                    day, newest
                )  # an order with an older date can be imported today, and so be in the next reading
            more.setdefault(_UNDATED if day is None else day.isoformat(), set()).add(row_key(row))
        since = self.since if newest is None else max(self.since or date.min, newest - _OVERLAP)
        seen = {name: self.seen.get(name, frozenset()) | keys for name, keys in more.items()}
        first = "" if since is None else since.isoformat()
        kept = {name: keys for name, keys in {**self.seen, **seen}.items() if name == _UNDATED or name >= first}
        return Watermark(since, newest, kept)


def created_day(row: Any) -> date | None:
    """Return the Dutch creation day of a row, if it has one."""
    moment = row.created_at
    return in_dutch_time(moment).date() if isinstance(moment, datetime) else None


def row_key(row: Any) -> str:
    """Return a short digest that identifies a row: of its identifier, or else of its constant fields."""
    for name in _KEYS:
        value = getattr(row, name, None)
        if value:
            return _digest(f"{name}:{value}")
    plain = {name: value for name, value in to_plain(row).items() if name not in {"status", "delivered_at"}}
    return _digest(json.dumps(plain, sort_keys=True))


def _digest(text: str) -> str:
    return hashlib.blake2b(text.encode(errors="surrogatepass"), digest_size=8).hexdigest()


@attrs.frozen
class Mark:
    """The state of one export, and the rows of this and earlier exports."""

    state: State
    watermark: Watermark


@attrs.frozen(kw_only=True)
class Checkpoint:
    """The file between two runs of an export, and between two exports.

    Attributes:
        account: A digest of the API key.
        done: The state of the last finished export.
        running: The state of an unfinished or stopped export.
        renaming: The name of a complete temporary file with all rows of `running`, which only has to be renamed.
    """

    account: str
    done: Mark | None = None
    running: Mark | None = None
    renaming: str | None = None


def fingerprint(api_key: str) -> str:
    """A digest that identifies a key without revealing it, because a key has some hundred random characters."""
    return hashlib.sha256(f"goedgepickt-async export\0{api_key}".encode()).hexdigest()[:16]


def identity(state: State) -> dict[str, str]:
    """Return the values that all exports with one checkpoint share, with their names."""
    filters = {option: value for option, value in state.filters.items() if option not in {"--lines", "--fields"}}
    return {"resource": state.resource, "server": state.source, **filters}


def default_path(state: State, account: str) -> Path:
    """Return the default path of the checkpoint."""
    named = json.dumps([identity(state), account], sort_keys=True)
    return state_dir() / f"export-{state.resource}-{hashlib.sha256(named.encode()).hexdigest()[:16]}.json"


_CONVERTER = make_converter(forbid_extra_keys=True, detailed_validation=False)


def _exactly(value: Any, kind: type[Any]) -> Any:
    """Return the value unchanged, because cattrs would convert "7" to a number."""
    if type(value) is not kind:
        raise ValueError(value)
    return value


_CONVERTER.register_structure_hook(int, _exactly)
_CONVERTER.register_structure_hook(str, _exactly)


def save_checkpoint(checkpoint: Checkpoint, path: Path) -> None:
    """Replace the file atomically: after a crash, the old or the new file exists."""
    values = {"version": _VERSION, **_CONVERTER.unstructure(checkpoint)}
    write_private(path, json.dumps(values, separators=(",", ":")) + "\n")


def load_checkpoint(
    path: Path, *, noun: str = "resume file of an export", option: str = "--resume"
) -> Checkpoint | None:
    """Read the file; None if it does not exist. A message names its kind, and the option for another file."""
    or_delete = ", or delete the file" if path.is_file() else ""  # not /dev/null
    wrong = UsageError(f"{path} is no {noun}; pass another file with {option}{or_delete}")
    try:
        values = json.loads(path.read_bytes())
        version = values.pop("version")
    except FileNotFoundError:
        return None
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        raise wrong from None
    if version != _VERSION:
        raise UsageError(f"{path} is from another version of goedgepickt-async; delete it to start the export again")
    try:
        return _CONVERTER.structure(values, Checkpoint)
    except Exception:  # noqa: BLE001  cattrs, attrs and dates raise many kinds for what is something else
        raise wrong from None


_ANOTHER_FILE = "name another file"


class SinceLast:
    """The checkpoint of one export; close it at the end.

    Args:
        asked: The present options, without progress.
        account: A digest of the API key.
        path: The path of the checkpoint; None for the default.
        grows: Whether rows can be appended to the output.
        today: The present day in the Netherlands.

    Attributes:
        state: The progress to start from.
        since: The first day to read; None for all days.
        remark: A note for the user, or None.
    """

    def __init__(
        self, asked: State, account: str, path: Path | None, *, grows: bool, today: date | None = None
    ) -> None:
        self.path: Path = (path or default_path(asked, account)).absolute()
        self.remark: str | None = None
        self._grows = grows
        self._today = today or datetime.now(DUTCH).date()
        self._lock = FileLock(self.path.with_name(self.path.name + ".lock"))
        try:
            taken = self._lock.take()
        except OSError as error:
            raise CommandError(
                f"the checkpoint {self.path} cannot be kept: {error.strerror or error}; pass a file with --checkpoint, or "
                "set XDG_STATE_HOME to another directory"
            ) from None
        if not taken:
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
        """Return the rows of finished exports."""
        return Watermark() if self._checkpoint.done is None else self._checkpoint.done.watermark

    def new_of(self, page: Page[Any]) -> Page[Any]:
        """Return a page without rows of earlier exports."""
        fresh = tuple(row for row in page.items if row not in self._known)
        dropped = len(page.items) - len(fresh)
        return attrs.evolve(page, items=fresh, filtered=page.filtered + dropped)

    def saw(self, page: Page[Any]) -> None:
        """Called before a page is written."""
        self._watermark = self._watermark.advanced(page.items, self._today)

    def keep(self, state: State) -> None:
        """Save the progress: the complete pages so far are on the disk."""
        self._save(attrs.evolve(self._checkpoint, running=Mark(state, self._watermark)))

    def intend(self, state: State, temp_path: Path) -> None:
        """Save that all rows are on the disk in a temporary file, which will be renamed."""
        running = Mark(state, self._watermark)
        self._save(attrs.evolve(self._checkpoint, running=running, renaming=str(temp_path)))

    def finish(self, state: State) -> None:
        """Save that the export is finished."""
        ended = attrs.evolve(state, token=None)
        self._save(attrs.evolve(self._checkpoint, done=Mark(ended, self._watermark), running=None, renaming=None))

    def close(self) -> None:
        """Release the checkpoint."""
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
                    f"the checkpoint {self.path} belongs to another export: its {name} was {was}; pass another file "
                    "with --checkpoint, or leave it out"
                )

    def _finish_renaming(self) -> None:
        """Finish an export that was killed just before the rename."""
        known = self._checkpoint
        if known.renaming is None or known.running is None:
            return
        temp_path, path = Path(known.renaming), Path(known.running.state.output)
        if temp_path.exists():  # otherwise it was renamed already
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
        """Return the progress of a stopped export; None if its output is gone."""
        before = stopped.state
        if before.output != asked.output:
            return self._go_on_elsewhere(stopped, asked)
        refuse_difference(before, asked, _ANOTHER_FILE)
        return stopped if Path(before.output).exists() else None

    def _go_on_elsewhere(self, stopped: Mark, asked: State) -> Mark | None:
        """Keep the rows of the other file, and cut off an incomplete row at its end."""
        before = stopped.state
        if before.tail is not None:
            if not Path(before.output).exists():
                return None
            output = FileOutput(Path(before.output))
            try:
                output.begin(before.offset, before.tail)
            finally:
                output.close()
            self.remark = f"the stopped export left its first {before.rows:,} rows in {before.output}"
        self._refuse_overwriting(asked)
        return Mark(attrs.evolve(asked, token=before.token), stopped.watermark)

    def _add_to(self, last: State, asked: State) -> State:
        """Return the progress for the output of the last export, or for a new output."""
        if not Path(asked.output).exists():
            if last.output == asked.output and self._grows:
                self.remark = f"{asked.output} did not exist: the new file has only rows since the last export. For all rows, delete {self.path}"
            return asked
        if last.output != asked.output or not self._grows:
            self._refuse_overwriting(asked)
        refuse_difference(last, asked, _ANOTHER_FILE)
        return attrs.evolve(asked, offset=last.offset, tail=last.tail)

    def _refuse_overwriting(self, asked: State) -> None:
        if Path(asked.output).exists():
            why = "the last export did not write it" if self._grows else "rows cannot be appended to this format"
            raise UsageError(
                f"{asked.output} exists already, and {why}: its rows would be lost, because they are not exported "
                "again. Pass a new file name, for example with the date"
            )
