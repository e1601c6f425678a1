"""Pages of models as Parquet, written a row group at a time: memory does not grow with the list."""

from __future__ import annotations

import io
from collections.abc import Sequence
from typing import Any

import pyarrow as pa
from pyarrow import parquet

from goedgepickt_async.contrib.arrow import schema, to_batch

__all__ = ["ParquetEncoder"]

_ROWS_IN_A_GROUP = 10_000
_BYTES_IN_A_GROUP = 32 * 1024 * 1024


class _Sink(io.RawIOBase):
    """What pyarrow writes to: a stream that is emptied as it fills."""

    def __init__(self) -> None:
        super().__init__()
        self._data = bytearray()
        self._written = 0

    def writable(self) -> bool:
        return True

    def write(self, data: Any) -> int:
        self._data += data
        self._written += len(data)
        return len(data)

    def tell(self) -> int:
        return self._written

    def take(self) -> bytes:
        """What was written since the last time."""
        data = bytes(self._data)
        self._data.clear()
        return data


class ParquetEncoder:
    """A Parquet file with one of the fixed schemas, compressed with zstd.

    Args:
        resource: `orders`, `products` or `shipments`.
    """

    head = b""

    def __init__(self, resource: str) -> None:
        self._resource = resource
        self._sink = _Sink()
        self._waiting: list[pa.RecordBatch] = []
        self._writer = parquet.ParquetWriter(self._sink, schema(resource), compression="zstd")

    def encode(self, items: Sequence[Any]) -> bytes:
        """The rows of the pages so far that make a row group; often nothing yet."""
        self._waiting.append(to_batch(self._resource, items))
        rows = sum(batch.num_rows for batch in self._waiting)
        if rows >= _ROWS_IN_A_GROUP or sum(batch.nbytes for batch in self._waiting) >= _BYTES_IN_A_GROUP:
            self._write()
        return self._sink.take()

    def foot(self) -> bytes:
        """The last row group and the index."""
        self._write()
        self._writer.close()
        return self._sink.take()

    def _write(self) -> None:
        rows = sum(batch.num_rows for batch in self._waiting)
        if rows:
            table = pa.Table.from_batches(self._waiting)
            self._writer.write_table(table, row_group_size=rows)
        self._waiting.clear()
