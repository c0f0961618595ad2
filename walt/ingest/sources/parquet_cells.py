"""Reads the bytes in one row of a Parquet file, page by page: memory holds a page, not the column or the file. Writers
often put up to a thousand rows into one page, whatever their size, but no page is larger than its row group.
"""

from __future__ import annotations

import errno
from typing import IO

import pyarrow as pa
import pyarrow.parquet as pq

_BUFFER = 1 << 20


def open_table(stream: IO[bytes]) -> pq.ParquetFile:
    """Open a Parquet file for reading in pages. Raises pa.ArrowException or OSError."""
    return pq.ParquetFile(stream, buffer_size=_BUFFER, pre_buffer=False)


def read_cell(stream: IO[bytes], group: int, row: int, column: str) -> bytes:
    """The bytes in one row.

    Args:
        group: of rows. row: in that group, from 0.
        column: its path in the file's schema, such as ``video.bytes``.

    Raises:
        OSError: the file is damaged, or no longer what it was when it was listed.
    """
    try:
        file = open_table(stream)
        skipped = 0
        for batch in file.iter_batches(1, row_groups=[group], columns=[column], use_threads=False):
            if skipped + batch.num_rows > row:
                value = _inner(batch.column(0), column)[row - skipped].as_py()
                if isinstance(value, str):
                    value = value.encode()
                if value is None:
                    raise OSError(errno.ENODATA, "the row holds no bytes")
                return bytes(value)
            skipped += batch.num_rows
    except MemoryError:
        said = "a page of its table is larger than ingest.memory_mb allows: write it with smaller row groups"
        raise OSError(errno.ENOMEM, said) from None
    except (pa.ArrowException, IndexError, KeyError) as error:
        raise OSError(errno.EIO, f"not valid Parquet: {str(error).splitlines()[0]}") from None
    raise OSError(errno.ENODATA, "the table has become shorter while it was in use")


def _inner(values: pa.Array, column: str) -> pa.Array:
    """The leaf of a column: ``bytes`` of a struct."""
    for name in column.split(".")[1:] if pa.types.is_struct(values.type) else ():
        values = values.field(name)
    return values
