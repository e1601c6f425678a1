"""Files of desired rows, CSV and JSON Lines, as mappings with Python field names for plans.

`read_rows` reads one; what it cannot read it names by file, line and column, and guesses nothing.
"""

from __future__ import annotations

from goedgepickt_async.bulk.files.cells import escape_cell, unescape_cell
from goedgepickt_async.bulk.files.reading import FileRow, FileRows, read_bytes, read_rows

__all__ = ["FileRow", "FileRows", "escape_cell", "read_bytes", "read_rows", "unescape_cell"]
