"""Files of Parquet of a LeRobot dataset: which there are, and their rows."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from typing import Any

from dsrecords._convert.base import unreadable
from dsrecords._optional import import_optional
from dsrecords.errors import CorruptError


@contextlib.contextmanager
def damage_of(path: str) -> Iterator[None]:
    """Turn what reading a file raises into CorruptError, which names the file."""
    arrow = import_optional("pyarrow", "pyarrow", extra="arrow")
    try:
        yield
    except CorruptError:
        raise
    except (arrow.ArrowException, OSError, ValueError, TypeError, KeyError) as error:
        raise unreadable(path, error) from None


def parquet_files(folder: str) -> list[str]:
    """Return the files of a folder of chunks, in their order. Raises CorruptError if it is none."""
    found = []
    for chunk in _names_in(folder):
        path = os.path.join(folder, chunk)
        for name in _names_in(path):
            if name.endswith(".parquet"):
                file = os.path.join(path, name)
                found.append(file)
    if not found:
        raise unreadable(folder, "there are no files of Parquet in it")
    return found


def _names_in(folder: str) -> list[str]:
    if not os.path.isdir(folder):
        return []
    return sorted(os.listdir(folder))


def columns_in(path: str) -> list[str]:
    """Return the names of the columns of a file."""
    with opened(path) as file:
        names: list[str] = file.schema_arrow.names
    return names


def count_rows(path: str) -> int:
    """Return how many rows a file has. Raises CorruptError."""
    with damage_of(path), opened(path) as file:
        count: int = file.metadata.num_rows
    return count


def read_rows(path: str, columns: list[str]) -> Iterator[tuple[Any, ...]]:
    """Return the rows of a short file. Raises ValueError if it has no such columns."""
    with opened(path) as file:
        require_columns(file, columns)
        table = file.read(columns)
    lists = []
    for name in columns:
        column = table.column(name)
        lists.append(column.to_pylist())
    return zip(*lists)


def require_columns(file: Any, columns: list[str]) -> None:
    """Raise ValueError if a file does not have all of these columns."""
    missing = set(columns).difference(file.schema_arrow.names)
    if missing:
        listed = ", ".join(sorted(missing))
        raise ValueError(f"it has no column {listed}")


def opened(path: str) -> Any:
    """Open a file."""
    parquet = import_optional(
        "pyarrow.parquet",
        "pyarrow",
        extra="arrow",
    )
    return parquet.ParquetFile(path)
