"""A list as a table on the terminal: the useful few columns."""

from __future__ import annotations

import itertools
import sys
from collections.abc import Sequence
from datetime import datetime
from decimal import Decimal
from typing import Any

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from goedgepickt_async.cli.export.columns import flat_rows
from goedgepickt_async.cli.export.resources import ResourceSpec

__all__ = ["print_table"]

_WIDEST_CELL = 60


def print_table(spec: ResourceSpec, items: Sequence[Any]) -> None:
    """Print it to stdout, as wide as the terminal, or as wide as it needs to be where there is none."""
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    rows = [row for item in items for row in flat_rows(spec, item)]
    for name in spec.table:
        numeric = any(_is_number(row[name]) for row in rows)
        # No cell is wrapped; the first column, by which people find the row again, is the last to be cut.
        table.add_column(name, justify="right" if numeric else "left", no_wrap=True, overflow="ellipsis")
    for row in rows:
        table.add_row(*(_shown(row[name]) for name in spec.table))
    console = Console(file=sys.stdout, highlight=False)
    if not console.is_terminal:
        console = Console(file=sys.stdout, highlight=False, width=_width_needed(table, console))
    console.print(table)


def _width_needed(table: Table, console: Console) -> int:
    wide = console.options.update(width=len(table.columns) * (_WIDEST_CELL + 3))
    return max(1, console.measure(table, options=wide).maximum)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float | Decimal) and not isinstance(value, bool)


def _shown(value: Any) -> Text:
    """A value as plain text: no markup, and no control character that a terminal would obey."""
    match value:
        case None:
            return Text("")
        case datetime():
            return Text(value.strftime("%Y-%m-%d %H:%M"))
        case Decimal():
            return Text(f"{value:f}")
    text = "".join(char if char.isprintable() else " " for char in itertools.islice(str(value), _WIDEST_CELL + 1))
    return Text(text if len(text) <= _WIDEST_CELL else text[: _WIDEST_CELL - 1] + "…")
