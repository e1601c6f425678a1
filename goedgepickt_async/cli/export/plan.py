"""What one export is to do: its options, checked against each other and against the resource."""

from __future__ import annotations

from datetime import date
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Literal, TypeAlias

import attrs

from goedgepickt_async.cli.export.resources import RESOURCES, ResourceSpec
from goedgepickt_async.cli.outcome import UsageError

__all__ = ["ExportPlan", "Format"]

Format: TypeAlias = Literal["jsonl", "csv", "parquet", "table"]

_BY_ENDING: dict[str, Format] = {".jsonl": "jsonl", ".ndjson": "jsonl", ".csv": "csv", ".parquet": "parquet"}
_FORMAT_OF: dict[str, str] = {
    ".json": "JSON Lines (--format jsonl) is what there is",
    ".xlsx": "spreadsheets open --format csv",
}


@attrs.frozen(kw_only=True)
class ExportPlan:
    """One export.

    Attributes:
        resource: The name of what is exported.
        format: The format, as given.
        output: A path, or `-` for stdout.
        created_after: A filter of the list.
        status: Likewise.
        limit: Rows at most.
        lines: Whether each line of an order is a row.
        resume: The file that keeps how far it came.
        since_last: Whether only what is new since the last export is wanted.
        checkpoint: The file that keeps what the last export brought.
    """

    resource: str
    format: Format | None = None
    output: str = "-"
    created_after: date | None = None
    status: str | None = None
    limit: int | None = None
    lines: bool = False
    resume: Path | None = None
    since_last: bool = False
    checkpoint: Path | None = None

    @property
    def spec(self) -> ResourceSpec:
        """The resource."""
        return RESOURCES[self.resource]

    @property
    def chosen_format(self) -> Format:
        """The format: as given, else by the file's ending, else JSON Lines."""
        return self.format or _BY_ENDING.get(Path(self.output).suffix.lower(), "jsonl")

    @property
    def filters(self) -> dict[str, Any]:
        """The filters of the list that were given, by the names that `list` knows them under."""
        given = {"created_after": self.created_after, "status": self.status}
        return {name: value for name, value in given.items() if value is not None}

    @property
    def said(self) -> dict[str, str]:
        """All that decides which rows come, by option, for the resume file."""
        said = {f"--{name.replace('_', '-')}": str(value) for name, value in self.filters.items()}
        said |= {} if self.limit is None else {"--limit": str(self.limit)}
        return said | ({"--lines": "given"} if self.lines else {})

    def check(self) -> None:
        """Refuse what makes no sense together.

        Raises:
            UsageError: It says which option.
        """
        for name in self.filters.keys() - self.spec.filters:
            known = ", ".join(name for name, spec in RESOURCES.items() if self.filters.keys() & spec.filters)
            raise UsageError(f"--{name.replace('_', '-')} is not known for {self.resource}; it is for {known}")
        if self.lines and self.spec.lines is None:
            raise UsageError(f"--lines is not known for {self.resource}; only orders have lines")
        if self.lines and self.chosen_format != "csv":
            raise UsageError(
                "--lines makes rows of a CSV file: add --format csv (JSON Lines has the lines inside each order)"
            )
        if self.limit is not None and self.limit < 1:
            raise UsageError("--limit must be at least 1")
        self._check_output()
        self._check_parquet()
        self._check_since_last()

    def _check_output(self) -> None:
        ending = Path(self.output).suffix.lower()
        if self.format is None and ending in _FORMAT_OF:
            raise UsageError(f"no export makes {ending} files: {_FORMAT_OF[ending]}")
        if self.chosen_format == "table" and (self.output != "-" or self.resume is not None):
            raise UsageError("a table goes to the terminal: leave out --output and --resume, or choose csv or jsonl")
        if self.resume is not None and self.output != "-" and self.resume.absolute() == Path(self.output).absolute():
            raise UsageError("--resume is a small file of its own, not the output: name another one")

    def _check_parquet(self) -> None:
        if self.chosen_format != "parquet":
            return
        if self.output == "-":
            raise UsageError("a Parquet file ends in its index, so it cannot be a stream: add --output FILE.parquet")
        if self.resume is not None:
            raise UsageError("a Parquet file is there as a whole or not at all, so --resume has nothing to go on with")
        if not self.spec.has_schema:
            known = ", ".join(name for name, spec in RESOURCES.items() if spec.has_schema)
            raise UsageError(f"there is no Parquet schema for {self.resource}; there is one for {known}")
        if find_spec("pyarrow") is None:
            raise UsageError("Parquet is an extra: pip install 'goedgepickt-async[arrow]'")

    def _check_since_last(self) -> None:
        if self.checkpoint is not None and not self.since_last:
            raise UsageError("--checkpoint is for --since-last, which is not there")
        if not self.since_last:
            return
        if "created_after" not in self.spec.filters:
            known = ", ".join(name for name, spec in RESOURCES.items() if "created_after" in spec.filters)
            raise UsageError(
                f"--since-last is not known for {self.resource}: the API does not say when they were made, so nobody can "
                f"tell which are new; it is for {known}. Export the whole list, which costs a request for 100 rows"
            )
        if self.output == "-" or self.chosen_format == "table":
            raise UsageError(
                "--since-last needs --output FILE: rows that went into a pipe may not have been kept, and they would not "
                "be exported again"
            )
        if self.resume is not None:
            raise UsageError("--since-last keeps by itself how far it came, in its checkpoint: leave out --resume")
        if self.limit is not None:
            raise UsageError("--since-last brings all that is new: leave out --limit")
