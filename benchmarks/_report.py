"""How a benchmark tells what it found: tables in Markdown for people, or a line of JSON each for `run.py`."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from typing import Any, Self

import attrs

__all__ = ["Table", "parser", "tell"]


@attrs.define
class Table:
    """What one measurement found.

    Attributes:
        title: What was measured.
        head: The columns; the first names what a row is about.
        note: How to read it, as prose.
        rows: As text.
        missed: The goals that were not reached, in words.
    """

    title: str
    head: Sequence[str]
    note: str = ""
    rows: list[list[str]] = attrs.field(factory=list)
    missed: list[str] = attrs.field(factory=list)

    def add(self, *cells: object) -> None:
        """One row."""
        self.rows.append([str(cell) for cell in cells])

    def at_most(self, what: str, found: float, goal: float) -> None:
        """Hold a figure against its goal."""
        if found > goal:
            self.missed.append(f"{what}: {found:.2f}, at most {goal:.2f} was wanted")

    def __str__(self) -> str:
        lines = [f"### {self.title}", ""]
        lines += [_line(self.head), "|---" * len(self.head) + "|", *map(_line, self.rows)]
        if self.note:
            lines += ["", self.note]
        lines += [f"\n**Not reached**: {missed}." for missed in self.missed]
        return "\n".join(lines)

    @classmethod
    def of(cls, data: dict[str, Any]) -> Self:
        """From JSON."""
        return cls(**data)


def _line(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"


def parser(doc: str | None) -> argparse.ArgumentParser:
    """The command line of a benchmark, with what all of them have."""
    made = argparse.ArgumentParser(description=(doc or "").partition("\n\n")[0].replace("\n", " "))
    made.add_argument("--json", action="store_true", help="a line of JSON for each table, as run.py reads them")
    return made


def tell(tables: Sequence[Table], *, as_json: bool) -> int:
    """Print the tables; 1 if a goal was missed, so that a person sees it. No test depends on it."""
    for table in tables:
        print(json.dumps(attrs.asdict(table)) if as_json else f"{table}\n")
        for missed in table.missed:
            print(f"MISSED: {table.title}: {missed}", file=sys.stderr)
    return 1 if any(table.missed for table in tables) else 0
