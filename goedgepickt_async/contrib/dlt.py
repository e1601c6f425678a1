"""A dlt source for orders, products and shipments, with incremental loading.

It needs the extra `dlt`, and imports it when `goedgepickt_source` is called. The requests use the same budget, retries
and checks as any list. So a load keeps the rate limit, also during other jobs on the same IP address.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator, MutableMapping, Sequence
from contextlib import AbstractAsyncContextManager, aclosing, nullcontext
from datetime import date, datetime, timedelta
from typing import TYPE_CHECKING, Any, Final

from goedgepickt_async.client import GoedGepickt
from goedgepickt_async.errors import ConfigurationError, GoedGepicktError
from goedgepickt_async.models.base import AMSTERDAM
from goedgepickt_async.paging.reader import LARGEST_PAGE
from goedgepickt_async.resources.base import day

if TYPE_CHECKING:
    from dlt.sources import DltSource

__all__ = ["goedgepickt_source", "load"]

_RESOURCES: Final = ("orders", "products", "shipments")
_NEWEST: Final = "newest_day"
_READING: Final = "reading"
_SOURCE: Final = "goedgepickt"

Client = Callable[[], AbstractAsyncContextManager[GoedGepickt]]


def goedgepickt_source(
    client: GoedGepickt | None = None,
    *,
    resources: Sequence[str] = _RESOURCES,
    created_after: date | None = None,
    overlap_days: int = 1,
) -> DltSource:
    """Return a dlt source with the resources orders, products and shipments.

    The first run of a pipeline loads all rows. A later run loads what was created since a day before the newest known row.
    Products have no date in the API, so all of them are read, with one request per 100 products. Rows are merged by
    their uuid, so a row that is read again is updated. Changes to older orders are not loaded, unless they are within
    `overlap_days`.

    dlt drops the rows of a failed run, so the next run reads them again. `load` keeps them and continues there.

    The columns are in `goedgepickt_async.contrib.arrow.schema`. The lines of an order are a separate table. A
    shipment's uuid may be absent in the API, so a column `key` identifies a shipment.

    Args:
        client: An open client, which you close yourself. None: a new client with the settings of the environment for
            each run.
        resources: The names of the resources.
        created_after: The first day to load; None for all days.
        overlap_days: The number of days before the newest row that are read again, at least 1.

    Raises:
        ConfigurationError: dlt is not installed, or a resource or `overlap_days` is not valid.
    """
    return _source(client, resources, created_after, overlap_days, None)


def load(
    pipeline: Any,
    client: GoedGepickt | None = None,
    *,
    resources: Sequence[str] = _RESOURCES,
    created_after: date | None = None,
    overlap_days: int = 1,
    pages_per_run: int = 100,
) -> None:
    """Load new rows into a dlt pipeline in several runs. After a failure, the next call continues where it stopped.

    Each run loads some pages, and saves the resume token in dlt's state together with the rows. If a call fails, the
    rows so far are loaded, and then the error is raised. The next `load` continues there, also in another process.
    After a killed process, at most the pages of one run are repeated.

    Args:
        pipeline: A `dlt.pipeline`.
        client: The client, as for `goedgepickt_source`.
        resources: The names of the resources.
        created_after: The first day to load; None for all days.
        overlap_days: The number of days before the newest row that are read again, at least 1.
        pages_per_run: The number of requests for each resource in one run, at least 1.

    Raises:
        ConfigurationError: dlt is not installed, or an argument is not valid.
        GoedGepicktError: A list cannot be read further; the rows before are loaded.
    """
    if type(pages_per_run) is not int or pages_per_run < 1:
        raise ConfigurationError("pages_per_run must be a whole number, at least 1")
    while True:
        run = _Run(pages_per_run)
        pipeline.run(_source(client, resources, created_after, overlap_days, run))
        if run.errors:
            raise run.errors[0]
        if not run.unfinished:
            return


class _Run:
    """One run of `load`: its limit and its result.

    Attributes:
        rows: The largest number of rows for each resource.
        unfinished: The resources with more rows.
        errors: The errors of the resources that failed.
    """

    def __init__(self, pages: int) -> None:
        self.rows = pages * LARGEST_PAGE
        self.unfinished: set[str] = set()
        self.errors: list[GoedGepicktError] = []


def _source(
    client: GoedGepickt | None,
    resources: Sequence[str],
    created_after: date | None,
    overlap_days: int,
    run: _Run | None,
) -> DltSource:
    strangers = [name for name in resources if name not in _RESOURCES]
    if strangers or not resources:
        raise ConfigurationError(f"resources must be some of {', '.join(_RESOURCES)}")
    if type(overlap_days) is not int or overlap_days < 1:
        raise ConfigurationError("overlap_days must be a whole number, at least 1")
    dlt = _dlt()
    opening = GoedGepickt if client is None else lambda: nullcontext(client)
    overlap = timedelta(days=overlap_days)

    def source() -> Iterator[Any]:
        for name in resources:
            yield _resource(dlt, name, opening, first=day(created_after), overlap=overlap, run=run)

    made: DltSource = dlt.source(source, name=_SOURCE, max_table_nesting=1)()
    return made


def _dlt() -> Any:
    try:
        import dlt  # noqa: PLC0415  the extra may not be installed

        import goedgepickt_async.contrib.arrow  # noqa: F401, PLC0415  says if pyarrow is not
    except ImportError:
        raise ConfigurationError(
            "goedgepickt_source needs dlt: install the extra, as in goedgepickt-async[dlt]"
        ) from None
    return dlt


def _resource(dlt: Any, name: str, opening: Client, *, first: date | None, overlap: timedelta, run: _Run | None) -> Any:
    by_date = name != "products"

    def rows() -> AsyncIterator[list[dict[str, Any]]]:
        # dlt iterates in a separate thread without access to the state, which is saved with the rows.
        state: MutableMapping[str, Any] = dlt.current.resource_state(name)
        return _read(name, opening, _Position(state, first, overlap, by_date=by_date), run)

    return dlt.resource(
        rows,
        name=name,
        primary_key="key" if name == "shipments" else "uuid",
        write_disposition="merge",
        columns=_hints(name),
    )


class _Position:
    """The first day to read and the resume token of a started reading, which are kept in dlt's state.

    A resume token belongs to one list with its filters, so the day is kept with the token.
    """

    def __init__(
        self, state: MutableMapping[str, Any], first: date | None, overlap: timedelta, *, by_date: bool
    ) -> None:
        self._state = state
        self._today = datetime.now(AMSTERDAM).date()
        self._newest = date.fromisoformat(state[_NEWEST]) if _NEWEST in state else None
        self._by_date = by_date
        days = [first] if first else []
        days += [self._newest - overlap] if self._newest else []
        self.day = max(days, default=None) if by_date else None
        self.resume: str | None = None
        self._first = None if first is None else first.isoformat()
        begun = state.get(_READING)
        if begun is not None and begun["first"] == self._first:
            self.day = None if begun["day"] is None else date.fromisoformat(begun["day"])
            self.resume = begun["resume"]

    @property
    def filters(self) -> dict[str, Any]:
        return {"created_after": self.day} if self._by_date else {}

    def loaded(self, rows: Sequence[Any], resume: str) -> None:
        """Record rows that are loaded with the state.

        A row with a future date does not move the first day past today.
        """
        text = None if self.day is None else self.day.isoformat()
        self._state[_READING] = {"first": self._first, "day": text, "resume": resume}
        if not self._by_date:
            return
        days = [min(day(row.created_at) or date.min, self._today) for row in rows if row.created_at is not None]
        self._newest = max([*days, self._newest or date.min])
        if self._newest > date.min:
            self._state[_NEWEST] = self._newest.isoformat()

    def finished(self) -> None:
        """The list was read to its end: the next reading starts by date."""
        self._state.pop(_READING, None)


async def _read(
    name: str, opening: Client, position: _Position, run: _Run | None
) -> AsyncIterator[list[dict[str, Any]]]:
    from goedgepickt_async.contrib.arrow import to_rows  # noqa: PLC0415  needs pyarrow

    count = 0
    async with opening() as client:
        listing = getattr(client, name).list(**position.filters)
        if run is not None:
            listing = listing.limit(run.rows)  # so that no unneeded page is fetched ahead
        pages = listing.pages(resume=position.resume)
        async with aclosing(pages):
            while True:
                try:
                    page = await anext(pages, None)
                except GoedGepicktError as error:
                    if run is None:
                        raise
                    run.errors.append(error)  # `load` raises it after the pages before are loaded
                    return
                if page is None:
                    break
                count += len(page.items)
                rows = to_rows(name, page.items)
                if name == "shipments":
                    rows = [{"key": _key(row)} | row for row in rows]
                yield [_told(row) for row in rows]
                position.loaded(page.items, page.resume)
        if run is not None and count >= run.rows:
            run.unfinished.add(name)
        else:
            position.finished()


def _told(value: Any) -> Any:
    """Return the row without None values, because dlt cannot know the type of their columns."""
    if isinstance(value, dict):
        return {name: _told(part) for name, part in value.items() if part is not None}
    return [_told(part) for part in value] if isinstance(value, list) else value


def _key(row: dict[str, Any]) -> str:
    for name in ("uuid", "track_trace_code", "external_id"):
        if row[name]:
            return row[name] if name == "uuid" else f"{name}:{row[name]}"
    fixed = {name: row[name] for name in row if name not in {"status", "delivered_at", "extra"}}
    return f"row:{fixed}"


def _hints(name: str) -> dict[str, Any]:
    """The columns that are not lists, so that a table is complete even if the first rows have empty values."""
    import pyarrow as pa  # noqa: PLC0415  needs the extra

    from goedgepickt_async.contrib.arrow import schema  # noqa: PLC0415

    flat: dict[str, pa.DataType] = {"key": pa.string()} if name == "shipments" else {}
    for field in schema(name):
        if pa.types.is_struct(field.type):
            flat |= {f"{field.name}__{part.name}": part.type for part in field.type}
        elif not pa.types.is_list(field.type):
            flat[field.name] = field.type
    return {column: _hint(kind) for column, kind in flat.items()}


def _hint(kind: Any) -> dict[str, Any]:
    import pyarrow as pa  # noqa: PLC0415

    if pa.types.is_decimal(kind):
        return {"data_type": "decimal", "precision": kind.precision, "scale": kind.scale, "nullable": True}
    names = {pa.types.is_timestamp: "timestamp", pa.types.is_int64: "bigint", pa.types.is_boolean: "bool"}
    return {"data_type": next((said for is_it, said in names.items() if is_it(kind)), "text"), "nullable": True}
