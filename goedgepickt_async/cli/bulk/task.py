"""What `plan` and `apply` are asked for: a file, how to read it, and how to compare it."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from datetime import date
from pathlib import Path
from typing import Any

import attrs

from goedgepickt_async import GoedGepickt, InputFileError
from goedgepickt_async.bulk import Plan
from goedgepickt_async.bulk.files import FileRows, read_bytes
from goedgepickt_async.cli.messages import note, plain
from goedgepickt_async.cli.outcome import CommandError, UsageError

__all__ = ["PlanTask", "shown"]

_SHOWN_PROBLEMS = 20


@attrs.frozen(kw_only=True)
class PlanTask:
    """One file and what its rows mean.

    Attributes:
        kind: `products`, `stock` or `orders`.
        file: Of rows.
        columns: `field=column`, as given.
        delimiter: Between cells, as given; so are `encoding` and `decimal`.
        skip_bad: Whether the good rows are wanted without the bad ones.
        mode: Of a stock plan; so are `location` and `one_location`.
        key: Of a product plan; so is `update_pictures`.
        since: Of an order plan.
        webshop: Its uuid; None: the client's own, or the only one.
    """

    kind: str
    file: Path
    columns: list[str] = attrs.field(factory=list)
    delimiter: str | None = None
    encoding: str | None = None
    decimal: str | None = None
    skip_bad: bool = False
    mode: str = "free"
    location: str | None = None
    one_location: bool = False
    key: str = "sku"
    update_pictures: bool = False
    since: date | None = None
    webshop: str | None = None

    def check(self) -> None:
        """Refuse what makes no sense together.

        Raises:
            UsageError: It says which option.
        """
        if self.kind == "stock" and self.mode == "set" and self.location is None:
            raise UsageError("--mode set needs --location UUID: the place whose quantity is set")
        for pair in self.columns:
            if "=" not in pair:
                raise UsageError(f"--column {pair}: it is FIELD=COLUMN, such as sku=Artikelnr")

    @property
    def data(self) -> bytes:
        """The file's bytes."""
        try:
            return self.file.read_bytes()
        except OSError as error:
            raise CommandError(f"{self.file}: {error.strerror or 'cannot be read'}") from None

    @property
    def digest(self) -> str:
        """Tells whether the rows and what they mean are still the same."""
        said = repr(attrs.astuple(attrs.evolve(self, file=Path(self.file.name), skip_bad=False)))
        return hashlib.sha256(said.encode() + self.data).hexdigest()[:8]

    def read(self) -> FileRows:
        """The rows; bad ones are told, and refused unless they are to be skipped.

        Raises:
            CommandError: There are bad rows, or the file cannot be read.
        """
        columns = dict(pair.split("=", 1) for pair in self.columns)
        delimiter = "\t" if self.delimiter in {"tab", "\\t"} else self.delimiter
        options = {"delimiter": delimiter, "encoding": self.encoding, "decimal": self.decimal}
        as_json = True if self.file.suffix.lower() in {".jsonl", ".ndjson"} else None
        try:
            rows = read_bytes(self.data, self.kind, name=self.file.name, columns=columns, as_json=as_json, **options)
        except InputFileError as error:
            raise CommandError(plain(error.message)) from None
        for problem in rows.problems[:_SHOWN_PROBLEMS]:
            note(plain(problem))
        bad = len(rows.problems)
        if bad > _SHOWN_PROBLEMS:
            note(f"and {bad - _SHOWN_PROBLEMS:,} more")
        if bad and not self.skip_bad:
            raise CommandError(f"{bad:,} bad cells or rows; nothing was sent. --skip-bad goes on with the others")
        if rows.columns:
            note("reads " + ", ".join(f"{field} from {plain(name)!r}" for field, name in rows.columns.items()))
        return rows

    async def plan(self, client: GoedGepickt, rows: FileRows, *, sandbox: bool) -> Plan:
        """Compare the rows with what is there; `sandbox`: in one that is inside this process."""
        values = [row.values for row in rows.rows]
        webshop = self.webshop or client.settings.webshop_uuid or await _only_webshop(client, sandbox=sandbox)
        made: Plan = await _PLANNERS[self.kind](self, client, values, webshop)
        return made


def shown(plan: Any, rows: FileRows) -> str:
    """A plan for people, its rows named by file and line."""
    return str(plan.render(where=rows.where))


async def _only_webshop(client: GoedGepickt, *, sandbox: bool) -> str:
    """The account's only webshop; of a sandbox in this process, where nothing is at stake, the first.

    Raises:
        UsageError: There are several, or none.
    """
    shops = await client.webshops.list().collect(limit=_SHOWN_PROBLEMS)
    if len(shops) == 1 or (shops and sandbox):
        return shops[0].uuid
    there = ", ".join(plain(f"{shop.uuid} ({shop.name})") for shop in shops)
    number = f"several webshops: {there}" if shops else "no webshop that is shown"
    raise UsageError(f"the account has {number}; say which with --webshop UUID, or GOEDGEPICKT_WEBSHOP_UUID")


async def _products(task: PlanTask, client: Any, rows: list[Any], webshop: str) -> Plan:
    plan: Plan = await client.products.plan(
        rows, key=task.key, webshop_uuid=webshop, update_pictures=task.update_pictures
    )
    return plan


async def _stock(task: PlanTask, client: Any, rows: list[Any], webshop: str) -> Plan:
    plan: Plan = await client.stock.plan(
        [(row["sku"], row["level"]) for row in rows],
        mode=task.mode,
        location=task.location,
        one_location=task.one_location,
        webshop_uuid=webshop,
    )
    return plan


async def _orders(task: PlanTask, client: Any, rows: list[Any], webshop: str) -> Plan:
    plan: Plan = await client.orders.plan(rows, since=task.since, webshop_uuid=webshop)
    return plan


_PLANNERS: dict[str, Callable[..., Any]] = {"products": _products, "stock": _stock, "orders": _orders}
