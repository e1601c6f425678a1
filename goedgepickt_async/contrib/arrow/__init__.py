"""Models as Arrow: one fixed, versioned schema for orders, products and shipments. It needs the extra `arrow`.

`schema` tells the columns, `to_batch` makes rows of models, `SCHEMA_VERSION` is raised when a schema changes.
`docs/howto/exports.md` lists them.
"""

from __future__ import annotations

from goedgepickt_async.errors import ConfigurationError

try:
    import pyarrow as pa  # noqa: F401  the extra may not be installed
except ImportError:
    raise ConfigurationError("Arrow and Parquet need pyarrow: install the extra, goedgepickt-async[arrow]") from None

from goedgepickt_async.contrib.arrow.rows import to_batch, to_rows
from goedgepickt_async.contrib.arrow.schemas import SCHEMA_VERSION, schema

__all__ = ["SCHEMA_VERSION", "schema", "to_batch", "to_rows"]
