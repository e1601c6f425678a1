"""Reads files with desired rows, such as CSV and JSON Lines, as mappings with Python field names for plans.

`read_rows` reads a file. It reports values that it cannot read by file, line and column, and does not guess.
"""

from __future__ import annotations

from goedgepickt_async.bulk.files.cells import escape_cell, unescape_cell
from goedgepickt_async.bulk.files.reading import FileRow, FileRows, read_bytes, read_rows

__all__ = ["FileRow", "FileRows", "escape_cell", "read_bytes", "read_rows", "unescape_cell"]
